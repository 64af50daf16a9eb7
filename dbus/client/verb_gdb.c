/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "dbus/client/errors.h"
#include "dbus/client/gdb_command.h"
#include "dbus/client/relay.h"
#include "dbus/client/remote.h"
#include "dbus/client/verbs.h"
#include "dbus/names.h"

/*
 * gdb talks to a program as well as to a port: "target remote | COMMAND". The command is vivctl again, which gets the
 * socket over the bus, or over ssh, and relays.
 */

static int unsupported(const sd_bus_error *error, int r, TextError *reterr) {
        return text_error_set(reterr, r,
                              "cannot debug the VM: %s\nMake it with \"gdb_port\": 1234 and "
                              "\"debug_level\": \"full\" in its config.",
                              error->message);
}

/* What gdb starts: standard input and output lead to the stub. */
static int relay(Client *client, const char *which, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(freep) char *path = NULL;
        int r, sock;

        r = client_find_vm(client, which, &path, reterr);
        if (r >= 0)
                r = client_new_call(client, path, VIVARIUM_VM_INTERFACE, "OpenGdb", &call, reterr);
        if (r < 0)
                return r;
        r = client_send(client, call, &reply, &error);
        if (r < 0 && sd_bus_error_has_name(&error, VIVARIUM_ERROR_UNSUPPORTED))
                return unsupported(&error, r, reterr);
        if (r < 0)
                return client_call_error(client, &error, r, "cannot debug the VM", reterr);
        r = sd_bus_message_read(reply, "h", &sock);
        if (r >= 0)
                r = relay_standard_streams(sock); /* the message owns it */
        return r < 0 ? text_error_set(reterr, r, "cannot relay: %s", strerror(-r)) : 0;
}

/** verb_gdb() - `vivctl gdb VM [GDB-ARGUMENT...]`. Return: exit status; negative errno with @reterr set. */
int verb_gdb(Client *client, const Args *args, TextError *reterr) {
        _cleanup_(strvec_deinit) StrVec words = {0};
        char self[PATH_MAX];
        ssize_t n;
        int r;

        if (args_has(args, OPTION_STDIO))
                return client->bus_kind == BUS_REMOTE
                               ? remote_exec(client, args, /* terminal= */ false, reterr)
                               : relay(client, args->operands[0], reterr);
        /* gdb would come up, say much of itself and end well. */
        if (client->bus_kind != BUS_REMOTE) {
                _cleanup_(freep) char *path = NULL;

                r = client_find_vm(client, args->operands[0], &path, reterr);
                if (r < 0)
                        return r;
        }
        n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        if (n < 0)
                return text_error_set(reterr, -errno, "cannot find out where vivctl is: %s",
                                      strerror(errno));
        self[n] = '\0';
        r = gdb_command(client, self, args, &words);
        if (r < 0)
                return r;
        (void) execvp("gdb", words.items);
        return text_error_set(reterr, -errno, "cannot run gdb: %s%s", strerror(errno),
                              errno == ENOENT ? "\nInstall the package gdb." : "");
}
