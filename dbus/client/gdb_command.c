/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/gdb_command.h"

#include <errno.h>

#include "dbus/client/shell_quote.h"

/* Which service, as the options that say so. */
static void append_service(StrBuf *out, const Client *client) {
        static const char *const options[] = {[BUS_SYSTEM] = "--system",
                                              [BUS_USER] = "--user",
                                              [BUS_ADDRESS] = "--address=",
                                              [BUS_REMOTE] = "--host="};
        _cleanup_(strbuf_deinit) StrBuf word = {0};

        strbuf_append(&word, options[client->bus_kind]);
        strbuf_append(&word, client->bus_target ? client->bus_target : "");
        shell_quote(out, word.data ? word.data : "");
        out->failed |= word.failed;
}

/**
 * gdb_command() - the command line of gdb
 * @self: path of vivctl
 * @args: operands: the VM, then what is gdb's own
 * @ret:  empty; release with strvec_deinit()
 *
 * Return: 0 or -ENOMEM.
 */
int gdb_command(const Client *client, const char *self, const Args *args, StrVec *ret) {
        _cleanup_(strbuf_deinit) StrBuf target = {0};
        int r = strvec_add(ret, "gdb");

        strbuf_append(&target, "target remote |");
        shell_quote(&target, self);
        append_service(&target, client);
        strbuf_append(&target, " gdb --stdio --");
        shell_quote(&target, args->operands[0]);
        if (target.failed)
                return -ENOMEM;
        if (r >= 0)
                r = strvec_add(ret, "-ex");
        if (r >= 0)
                r = strvec_add(ret, target.data);
        /* Commands among them find the guest stopped. */
        for (size_t i = 1; i < args->n_operands && r >= 0; i++)
                r = strvec_add(ret, args->operands[i]);
        return r;
}
