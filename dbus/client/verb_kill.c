/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/verbs.h"

static int kill_one(Client *client, const char *which, const char *path, TextError *reterr) {
        return call_vm(client, which, path, "Kill", "kill", reterr);
}

/** verb_kill() - `vivctl kill VM...`. Return: exit status. */
int verb_kill(Client *client, const Args *args, TextError *reterr) {
        return for_each_vm(client, args, kill_one);
}
