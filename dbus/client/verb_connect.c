/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "dbus/client/errors.h"
#include "dbus/client/relay.h"
#include "dbus/client/remote.h"
#include "dbus/client/verbs.h"
#include "dbus/names.h"

#define PORT_MIN 1024u /* those below are privileged, and the service refuses them */

/** verb_connect() - `vivctl connect VM PORT`. Return: exit status; negative errno. */
int verb_connect(Client *client, const Args *args, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(freep) char *path = NULL;
        uint32_t port;
        int r, sock;

        if (parse_u32(args->operands[1], &port) < 0 || port < PORT_MIN)
                return text_error_set(reterr, CLIENT_E_USAGE,
                                      "expected a port from %u to 4294967295, not \"%s\"", PORT_MIN,
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
        if (r < 0 && sd_bus_error_has_name(&error, VIVARIUM_ERROR_TIMEOUT))
                return client_told_error(&error, r, "cannot connect",
                                         "The guest neither took nor refused it: does it have the "
                                         "driver vmw_vsock_virtio_transport, and run?",
                                         reterr);
        if (r < 0)
                return client_call_error(client, &error, r, "cannot connect", reterr);
        r = sd_bus_message_read(reply, "h", &sock);
        if (r >= 0)
                r = relay_standard_streams(sock); /* the message owns it */
        return r < 0 ? text_error_set(reterr, r, "cannot relay: %s", strerror(-r)) : 0;
}
