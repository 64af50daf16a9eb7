/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "dbus/client/errors.h"
#include "dbus/client/value_bus.h"
#include "dbus/client/value_json.h"
#include "dbus/names.h"

/* Starting unpacks a kernel and killing waits for a process: more than the bus's own 25 s, less than for ever. */
#define CALL_TIMEOUT_USEC (90 * USEC_PER_SEC)

static int parse_json_mode(const char *text, JsonMode *ret, TextError *reterr) {
        if (!text || str_eq(text, "off"))
                *ret = JSON_OFF;
        else if (str_eq(text, "short"))
                *ret = JSON_SHORT;
        else if (str_eq(text, "pretty"))
                *ret = JSON_PRETTY;
        else
                return text_error_set(reterr, -EINVAL, "--json=%s: expected short, pretty or off",
                                      text);
        return 0;
}

/**
 * client_init() - take the global options; no connection is made
 * @args: must outlive @client
 *
 * Return: 0; -EINVAL with the sentence in @reterr.
 */
int client_init(Client *client, const Args *args, TextError *reterr) {
        const char *address = args_value(args, OPTION_ADDRESS);
        const char *host = args_value(args, OPTION_HOST);
        bool user = args_has(args, OPTION_USER);
        int r;

        *client = (Client){.legend = !args_has(args, OPTION_NO_LEGEND)};
        r = parse_json_mode(args_value(args, OPTION_JSON), &client->json, reterr);
        if (r < 0)
                return r;
        if (!!args_has(args, OPTION_SYSTEM) + user + !!address > 1 || (host && (user || address)))
                return text_error_set(reterr, -EINVAL,
                                      "--system, --user, --address and --host name different "
                                      "services; give one of them");
        if (host) {
                client->bus_kind = BUS_REMOTE;
                client->bus_target = host;
        } else if (address) {
                client->bus_kind = BUS_ADDRESS;
                client->bus_target = address;
        } else if (user) {
                client->bus_kind = BUS_USER;
        }
        return 0;
}

/** client_deinit() - send what is queued and leave the bus */
void client_deinit(Client *client) {
        client->bus = sd_bus_flush_close_unref(client->bus);
}

static int open_address(const char *address, sd_bus **ret) {
        _cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
        int r = sd_bus_new(&bus);

        if (r >= 0)
                r = sd_bus_set_address(bus, address);
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_negotiate_fds(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                *ret = TAKE(bus);
        return r;
}

/** client_connect() - open the bus unless it is open. Return: 0; negative errno with @reterr set. */
int client_connect(Client *client, TextError *reterr) {
        int r = -EINVAL;

        if (client->bus)
                return 0;
        switch (client->bus_kind) {
        case BUS_SYSTEM:
                r = sd_bus_open_system(&client->bus);
                break;
        case BUS_USER:
                r = sd_bus_open_user(&client->bus);
                break;
        case BUS_ADDRESS:
                r = open_address(client->bus_target, &client->bus);
                break;
        case BUS_REMOTE:
                r = sd_bus_open_system_remote(&client->bus, client->bus_target);
                break;
        }
        if (r < 0)
                return client_connect_error(client, r, reterr);
        return 0;
}

/**
 * client_new_call() - an empty call to the service, connecting first where needed
 *
 * Return: 0; negative errno with @reterr set.
 */
int client_new_call(Client *client, const char *path, const char *interface, const char *method,
                    sd_bus_message **ret, TextError *reterr) {
        int r = client_connect(client, reterr);

        if (r < 0)
                return r;
        r = sd_bus_message_new_method_call(client->bus, ret, VIVARIUM_BUS_NAME, path, interface,
                                           method);
        if (r < 0)
                return text_error_set(reterr, r, "cannot call %s on \"%s\": %s", method, path,
                                      strerror(-r));
        /* A polkit agent may ask the user for a password, as systemctl lets it. */
        (void) sd_bus_message_set_allow_interactive_authorization(*ret, true);
        return 0;
}

/** client_send() - call and wait for the answer. Return: 0; negative errno with @error set. */
int client_send(Client *client, sd_bus_message *call, sd_bus_message **ret_reply,
                sd_bus_error *error) {
        int r = sd_bus_call(client->bus, call, CALL_TIMEOUT_USEC, error, ret_reply);

        return r < 0 ? r : 0;
}

/** client_read() - the first value of a reply. Return: 0; negative errno with @reterr set. */
int client_read(sd_bus_message *reply, Value **ret, TextError *reterr) {
        int r = value_read(reply, ret);

        if (r < 0)
                return text_error_set(reterr, r, "the service's answer cannot be read: %s",
                                      strerror(-r));
        return 0;
}

/** client_get_property() - one property of a VM. Return: 0; negative errno with @reterr set. */
int client_get_property(Client *client, const char *path, const char *name, Value **ret,
                        TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = client_new_call(client, path, "org.freedesktop.DBus.Properties", "Get", &call, reterr);
        if (r < 0)
                return r;
        r = sd_bus_message_append(call, "ss", VIVARIUM_VM_INTERFACE, name);
        if (r >= 0)
                r = client_send(client, call, &reply, &error);
        if (r < 0)
                return client_call_error(client, &error, r, "cannot read the VM's properties",
                                         reterr);
        return client_read(reply, ret, reterr);
}

/** client_print_json() - one JSON document on standard output, as --json asks. Return: 0 or negative errno. */
int client_print_json(const Client *client, const Value *value) {
        _cleanup_(strbuf_deinit) StrBuf text = {0};

        value_json(value, client->json == JSON_PRETTY, &text);
        strbuf_append(&text, "\n");
        return client_print_text(&text);
}

/** client_print_text() - write @text to standard output. Return: 0; -ENOMEM when building it failed; negative errno. */
int client_print_text(StrBuf *text) {
        if (text->failed)
                return -ENOMEM;
        return fd_write_all(STDOUT_FILENO, text->data ? text->data : "", text->len);
}

/** client_print_error() - the sentence for a failure, or the system's text for @r, on standard error */
void client_print_error(const TextError *error, int r) {
        _cleanup_(strbuf_deinit) StrBuf line = {0};

        strbuf_printf(&line, "vivctl: %s\n", text_error_message(error, r));
        if (!line.failed)
                (void) fd_write_all(STDERR_FILENO, line.data, line.len);
}
