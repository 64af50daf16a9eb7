/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/verbs.h"

static int start_one(Client *client, const char *which, const char *path, TextError *reterr) {
        return call_vm(client, which, path, "Start", "start", reterr);
}

/** verb_start() - `vivctl start VM...`. Return: exit status. */
int verb_start(Client *client, const Args *args, TextError *reterr) {
        return for_each_vm(client, args, start_one);
}
