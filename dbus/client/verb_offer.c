/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pwd.h>

#include "dbus/client/errors.h"
#include "dbus/client/verbs.h"
#include "dbus/names.h"

/* That anybody may come with the token. */
#define TO_ALL UINT32_MAX

static int find_user(const char *user, uint32_t *ret, TextError *reterr) {
        const struct passwd *entry;

        if (parse_u32(user, ret) == 0 && *ret != TO_ALL)
                return 0;
        entry = getpwnam(user);
        if (!entry)
                return text_error_set(reterr, -ESRCH, "there is no user \"%s\"", user);
        *ret = entry->pw_uid;
        return 0;
}

static int print_member(const Client *client, const char *key, const char *text) {
        _cleanup_(value_freep) Value *object = NULL;
        _cleanup_(strbuf_deinit) StrBuf line = {0};
        int r;

        if (client->json == JSON_OFF) {
                strbuf_printf(&line, "%s\n", text);
                return client_print_text(&line);
        }
        r = value_new(VALUE_OBJECT, &object);
        if (r >= 0)
                r = value_add_string(object, key, text);
        return r < 0 ? r : client_print_json(client, object);
}

/** verb_offer() - `vivctl offer VM`: print a token for the VM's next owner. Return: exit status; negative errno. */
int verb_offer(Client *client, const Args *args, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *user = args_value(args, OPTION_TO), *token;
        _cleanup_(freep) char *path = NULL;
        uint32_t uid = TO_ALL;
        int r;

        if (user) {
                r = find_user(user, &uid, reterr);
                if (r < 0)
                        return r;
        }
        r = client_find_vm(client, args->operands[0], &path, reterr);
        if (r >= 0)
                r = client_new_call(client, path, VIVARIUM_VM_INTERFACE, "OfferOwnership", &call,
                                    reterr);
        if (r >= 0)
                r = sd_bus_message_append(call, "u", uid);
        if (r < 0)
                return r;
        r = client_send(client, call, &reply, &error);
        if (r < 0)
                return client_call_error(client, &error, r, "cannot offer it", reterr);
        r = sd_bus_message_read(reply, "s", &token);
        return r < 0 ? r : print_member(client, "Token", token);
}

/**
 * verb_take() - `vivctl take TOKEN`: become the owner of a VM that was offered, which outlives vivctl
 *
 * Return: exit status; negative errno.
 */
int verb_take(Client *client, const Args *args, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(freep) char *name = NULL;
        const char *path;
        int r;

        r = client_new_call(client, VIVARIUM_MANAGER_PATH, VIVARIUM_MANAGER_INTERFACE,
                            "TakeOwnership", &call, reterr);
        if (r >= 0)
                r = sd_bus_message_append(call, "sb", args->operands[0], /* detach= */ 1);
        if (r < 0)
                return r;
        r = client_send(client, call, &reply, &error);
        if (r < 0)
                return sd_bus_error_has_name(&error, VIVARIUM_ERROR_NO_SUCH_VM)
                               ? client_told_error(
                                         &error, r, "cannot take VM",
                                         "A token is good for one time and for whom it "
                                         "was made; have its owner make another one with: "
                                         "vivctl offer VM",
                                         reterr)
                               : client_call_error(client, &error, r, "cannot take VM", reterr);
        r = sd_bus_message_read(reply, "o", &path);
        if (r >= 0)
                r = sd_bus_get_property_string(client->bus, VIVARIUM_BUS_NAME, path,
                                               VIVARIUM_VM_INTERFACE, "Name", NULL, &name);
        return r < 0 ? r : print_member(client, "Name", name);
}
