/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One verb a file; what several of them share is in create_vm.c. */

#include "dbus/client/client.h"
#include "dbus/client/console.h"
#include "dbus/client/vm_request.h"

extern const Verb verbs[];

int verb_run(Client *client, const Args *args, TextError *reterr);
int verb_create(Client *client, const Args *args, TextError *reterr);
int verb_start(Client *client, const Args *args, TextError *reterr);
int verb_stop(Client *client, const Args *args, TextError *reterr);
int verb_suspend(Client *client, const Args *args, TextError *reterr);
int verb_resume(Client *client, const Args *args, TextError *reterr);
int verb_balloon(Client *client, const Args *args, TextError *reterr);
int verb_trim(Client *client, const Args *args, TextError *reterr);
int verb_console(Client *client, const Args *args, TextError *reterr);
int verb_log(Client *client, const Args *args, TextError *reterr);
int verb_gdb(Client *client, const Args *args, TextError *reterr);
int verb_connect(Client *client, const Args *args, TextError *reterr);
int verb_kill(Client *client, const Args *args, TextError *reterr);
int verb_ramdump(Client *client, const Args *args, TextError *reterr);
int verb_offer(Client *client, const Args *args, TextError *reterr);
int verb_take(Client *client, const Args *args, TextError *reterr);
int verb_release(Client *client, const Args *args, TextError *reterr);
int verb_list(Client *client, const Args *args, TextError *reterr);
int verb_show(Client *client, const Args *args, TextError *reterr);
int verb_top(Client *client, const Args *args, TextError *reterr);
int verb_events(Client *client, const Args *args, TextError *reterr);
int verb_history(Client *client, const Args *args, TextError *reterr);
int verb_capabilities(Client *client, const Args *args, TextError *reterr);
int verb_metrics(Client *client, const Args *args, TextError *reterr);
int verb_devices(Client *client, const Args *args, TextError *reterr);
int verb_disk(Client *client, const Args *args, TextError *reterr);
int verb_drain(Client *client, const Args *args, TextError *reterr);
int verb_create_disk(Client *client, const Args *args, TextError *reterr);
int verb_create_partition(Client *client, const Args *args, TextError *reterr);
int verb_check_config(Client *client, const Args *args, TextError *reterr);

/* A VM that was just made. */
typedef struct NewVm {
        char *path; /* owned */
        char *name; /* owned */
        uint64_t cid;
} NewVm;

int create_vm(Client *client, const Args *args, const VmRequest *request, const Console *console,
              bool detach, NewVm *ret, TextError *reterr);
void new_vm_deinit(NewVm *vm);
int new_vm_print(const Client *client, const NewVm *vm);

typedef int (*VmPathFn)(Client *client, const char *which, const char *path, TextError *reterr);
int for_each_vm(Client *client, const Args *args, VmPathFn fn);
int call_vm(Client *client, const char *which, const char *path, const char *method,
            const char *act, TextError *reterr);
