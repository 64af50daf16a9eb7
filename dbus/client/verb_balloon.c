/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>

#include "dbus/client/errors.h"
#include "dbus/client/verbs.h"
#include "dbus/names.h"

#define MIB_MAX (UINT64_MAX >> 20)

/* What a guest without a balloon can be helped with is its own matter, not the host's. */
static int failed(const Client *client, const sd_bus_error *error, int r, const char *act,
                  TextError *reterr) {
        if (!sd_bus_error_has_name(error, VIVARIUM_ERROR_UNSUPPORTED))
                return client_call_error(client, error, r, act, reterr);
        return client_told_error(error, r, act,
                                 "The guest needs the driver virtio_balloon, and its config must "
                                 "not say \"balloon\": false.",
                                 reterr);
}

static int set(Client *client, const char *path, const char *mib, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        uint64_t n;
        int r;

        if (parse_u64(mib, &n) < 0 || n > MIB_MAX)
                return text_error_set(reterr, CLIENT_E_USAGE,
                                      "expected a number of MiB, not \"%s\"", mib);
        r = client_new_call(client, path, VIVARIUM_VM_INTERFACE, "SetMemoryBalloon", &call, reterr);
        if (r >= 0)
                r = sd_bus_message_append(call, "t", n << 20);
        if (r < 0)
                return r;
        r = client_send(client, call, NULL, &error);
        return r < 0 ? failed(client, &error, r, "cannot set the balloon", reterr) : 0;
}

static int print(const Client *client, uint64_t bytes) {
        _cleanup_(value_freep) Value *object = NULL;
        _cleanup_(strbuf_deinit) StrBuf text = {0};
        int r;

        if (client->json == JSON_OFF) {
                strbuf_printf(&text, "%" PRIu64 " MiB\n", bytes >> 20);
                return client_print_text(&text);
        }
        r = value_new(VALUE_OBJECT, &object);
        if (r >= 0)
                r = value_add_uint(object, "Bytes", bytes);
        return r < 0 ? r : client_print_json(client, object);
}

static int get(Client *client, const char *path, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        uint64_t bytes;
        int r;

        r = client_new_call(client, path, VIVARIUM_VM_INTERFACE, "GetMemoryBalloon", &call, reterr);
        if (r < 0)
                return r;
        r = client_send(client, call, &reply, &error);
        if (r < 0)
                return failed(client, &error, r, "cannot read the balloon", reterr);
        r = sd_bus_message_read(reply, "t", &bytes);
        return r < 0 ? r : print(client, bytes);
}

/** verb_balloon() - `vivctl balloon VM [MIB]`: what the guest gave up, or shall. Return: exit status; negative errno. */
int verb_balloon(Client *client, const Args *args, TextError *reterr) {
        _cleanup_(freep) char *path = NULL;
        int r = client_find_vm(client, args->operands[0], &path, reterr);

        if (r < 0)
                return r;
        return args->n_operands > 1 ? set(client, path, args->operands[1], reterr)
                                    : get(client, path, reterr);
}

/** verb_trim() - `vivctl trim VM LEVEL`: prints what the guest shall give up. Return: exit status; negative errno. */
int verb_trim(Client *client, const Args *args, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(freep) char *path = NULL;
        uint64_t bytes;
        int r = client_find_vm(client, args->operands[0], &path, reterr);

        if (r >= 0)
                r = client_new_call(client, path, VIVARIUM_VM_INTERFACE, "TrimMemory", &call,
                                    reterr);
        if (r >= 0)
                r = sd_bus_message_append(call, "s", args->operands[1]);
        if (r < 0)
                return r;
        r = client_send(client, call, &reply, &error);
        if (r < 0)
                return failed(client, &error, r, "cannot trim VM", reterr);
        r = sd_bus_message_read(reply, "t", &bytes);
        return r < 0 ? r : print(client, bytes);
}
