/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/verbs.h"

/** verb_create() - `vivctl create [CONFIG.json]`. Return: exit status; negative errno with @reterr set. */
int verb_create(Client *client, const Args *args, TextError *reterr) {
        _cleanup_(vm_request_deinit) VmRequest request = {0};
        _cleanup_(console_deinit) Console console;
        _cleanup_(new_vm_deinit) NewVm vm = {0};
        int r;

        console_init(&console);
        r = vm_request_build(args, &request, reterr);
        if (r == 0)
                r = console_open_files(&console, args, /* live= */ false, /* json= */ false,
                                       reterr);
        if (r == 0)
                r = create_vm(client, args, &request, &console, /* detach= */ true, &vm, reterr);
        return r == 0 ? new_vm_print(client, &vm) : r;
}
