/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "dbus/client/reasons.h"
#include "dbus/client/run_session.h"
#include "dbus/client/verbs.h"

/* Starts a VM that stays when vivctl is gone, and says how it is called. */
static int start_detached(Client *client, const NewVm *vm, TextError *reterr) {
        int r = call_vm(client, vm->name, vm->path, "Start", "start", reterr);

        return r < 0 ? r : new_vm_print(client, vm);
}

/** verb_run() - `vivctl run [CONFIG.json]`. Return: exit status, as vivctl(1) lists them; negative errno with @reterr. */
int verb_run(Client *client, const Args *args, TextError *reterr) {
        bool detach = args_has(args, OPTION_DETACH), json = client->json != JSON_OFF;
        _cleanup_(vm_request_deinit) VmRequest request = {0};
        _cleanup_(console_deinit) Console console;
        _cleanup_(new_vm_deinit) NewVm vm = {0};
        int r;

        console_init(&console);
        r = vm_request_build(args, &request, reterr);
        if (r == 0)
                r = console_open_files(&console, args, !detach, json, reterr);
        if (r == 0)
                r = create_vm(client, args, &request, &console, detach, &vm, reterr);
        if (r != 0)
                return r;
        console_close_guest_ends(&console);
        vm_request_deinit(&request);
        if (detach)
                return start_detached(client, &vm, reterr);
        return run_session(client, &vm, &console, reterr);
}
