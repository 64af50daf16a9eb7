/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/verbs.h"

static int release_one(Client *client, const char *which, const char *path, TextError *reterr) {
        return call_vm(client, which, path, "Release", "release", reterr);
}

/** verb_release() - `vivctl release VM...`. Return: exit status. */
int verb_release(Client *client, const Args *args, TextError *reterr) {
        return for_each_vm(client, args, release_one);
}
