/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/verbs.h"

static int suspend_one(Client *client, const char *which, const char *path, TextError *reterr) {
        return call_vm(client, which, path, "Suspend", "suspend", reterr);
}

/** verb_suspend() - `vivctl suspend VM...`. Return: exit status. */
int verb_suspend(Client *client, const Args *args, TextError *reterr) {
        return for_each_vm(client, args, suspend_one);
}

static int resume_one(Client *client, const char *which, const char *path, TextError *reterr) {
        return call_vm(client, which, path, "Resume", "resume", reterr);
}

/** verb_resume() - `vivctl resume VM...`. Return: exit status. */
int verb_resume(Client *client, const Args *args, TextError *reterr) {
        return for_each_vm(client, args, resume_one);
}
