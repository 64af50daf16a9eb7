/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "dbus/client/errors.h"
#include "dbus/client/relay.h"
#include "dbus/client/remote.h"
#include "dbus/client/verbs.h"
#include "dbus/names.h"

/** verb_connect() - `vivctl connect VM PORT`. Return: exit status; negative errno. */
int verb_connect(Client *client, const Args *args, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(freep) char *path = NULL;
        uint32_t port;
        int r, sock;

        if (parse_u32(args->operands[1], &port) < 0)
                return text_error_set(reterr, -EINVAL, "expected a port, not \"%s\"",
                                      args->operands[1]);
        if (client->bus_kind == BUS_REMOTE)
                return remote_exec(client, args, /* terminal= */ false, reterr);
        r = client_find_vm(client, args->operands[0], &path, reterr);
        if (r >= 0)
                r = client_new_call(client, path, VIVARIUM_VM_INTERFACE, "ConnectVsock", &call,
                                    reterr);
        if (r >= 0)
                r = sd_bus_message_append(call, "u", port);
        if (r < 0)
                return r;
        r = client_send(client, call, &reply, &error);
        if (r < 0)
                return client_call_error(client, &error, r, "cannot connect", reterr);
        r = sd_bus_message_read(reply, "h", &sock);
        if (r >= 0)
                r = relay_standard_streams(sock); /* the message owns it */
        return r < 0 ? text_error_set(reterr, r, "cannot relay: %s", strerror(-r)) : 0;
}
