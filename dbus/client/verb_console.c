/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "dbus/client/attach_session.h"
#include "dbus/client/remote.h"
#include "dbus/client/verbs.h"

/* The one VM that runs, for those who have no more. */
static int find_only(Client *client, char **ret_name, char **ret_path, TextError *reterr) {
        _cleanup_(value_freep) Value *list = NULL;
        const Value *only = NULL;
        size_t n = 0;
        int r = client_list_vms(client, &list, reterr);

        for (size_t i = 0; r >= 0 && i < list->n_members; i++)
                if (str_eq(value_get_string(list->members[i], "State"), "running")) {
                        only = list->members[i];
                        n++;
                }
        if (r < 0)
                return r;
        if (!only || n > 1)
                return text_error_set(reterr, -EINVAL,
                                      n > 1 ? "%zu VMs run; say which one: vivctl console NAME\n"
                                              "See what there is with: vivctl list"
                                            : "%zu VMs run\nStart one with: vivctl start NAME",
                                      n);
        *ret_name = strdup(value_get_string(only, "Name"));
        *ret_path = strdup(value_get_string(only, "Path"));
        return *ret_name && *ret_path ? 0 : -ENOMEM;
}

/** verb_console() - `vivctl console [VM]`. Return: exit status; negative errno with @reterr set. */
int verb_console(Client *client, const Args *args, TextError *reterr) {
        _cleanup_(freep) char *name = NULL, *path = NULL;
        int r;

        if (client->bus_kind == BUS_REMOTE)
                return remote_exec(client, args, /* terminal= */ true, reterr);
        if (args->n_operands == 0)
                r = find_only(client, &name, &path, reterr);
        else
                r = client_find_vm(client, args->operands[0], &path, reterr);
        if (r < 0)
                return r;
        return attach_session(client, name ? name : args->operands[0], path, ATTACH_CONSOLE,
                              reterr);
}

/* What is there now is in the socket when it is opened. */
static int print_kept(int sock) {
        char chunk[8192];
        ssize_t n;
        int r = 0;

        while (r >= 0 && (n = recv(sock, chunk, sizeof(chunk), MSG_DONTWAIT)) > 0)
                r = fd_write_all(STDOUT_FILENO, chunk, (size_t) n);
        return r;
}

/** verb_log() - `vivctl log VM`. Return: exit status; negative errno with @reterr set. */
int verb_log(Client *client, const Args *args, TextError *reterr) {
        const char *which = args->operands[0];
        _cleanup_(fd_closep) int sock = -EBADF;
        _cleanup_(freep) char *path = NULL;
        int r;

        if (client->bus_kind == BUS_REMOTE)
                return remote_exec(client, args, /* terminal= */ false, reterr);
        r = client_find_vm(client, which, &path, reterr);
        if (r < 0)
                return r;
        if (args_has(args, OPTION_FOLLOW))
                return attach_session(client, which, path, ATTACH_LOG, reterr);
        r = attach_open(client, which, path, ATTACH_LOG, &sock, reterr);
        return r < 0 ? r : print_kept(sock);
}
