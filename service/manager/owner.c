/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "service/manager/internal.h"

static Vm *find_offered(const Manager *manager, const char *token, uid_t uid) {
        const Entry *entry;

        TAILQ_FOREACH(entry, &manager->all, all)
        if (!entry->doomed && !entry->orphan && !vm_state_is_final(vm_info(entry->vm)->state) &&
            vm_is_offered(entry->vm, token, uid))
                return entry->vm;
        return NULL;
}

/* Whether @uid may have one VM more, this one. */
static int check_new_owner(const Manager *manager, const Vm *vm, uid_t uid, TextError *reterr) {
        const char *name = vm_info(vm)->name;

        if (vm_info(vm)->owner_uid == uid)
                return 0;
        if (manager_name_is_taken(manager, uid, name))
                return text_error_set(reterr, SERVICE_E_NAME_TAKEN,
                                      "take VM \"%s\": uid %u has a living VM of that name", name,
                                      (unsigned) uid);
        return manager_check_quota_of_vm(manager, vm, uid, reterr);
}

/**
 * manager_take_vm() - give the VM that is offered under @token to @owner
 * @detached: whether it outlives the owner's connection
 * @ret:      borrowed
 *
 * Return: 0; SERVICE_E_NO_SUCH_VM; SERVICE_E_NAME_TAKEN; SERVICE_E_QUOTA_EXCEEDED; negative errno.
 */
int manager_take_vm(Manager *manager, const char *token, const VmOwner *owner, bool detached,
                    Vm **ret, TextError *reterr) {
        Vm *vm = find_offered(manager, token, owner->uid);
        uint32_t from;
        int r;

        if (!vm)
                return text_error_set(reterr, SERVICE_E_NO_SUCH_VM,
                                      "take VM: none is offered to uid %u by that token",
                                      (unsigned) owner->uid);
        r = check_new_owner(manager, vm, owner->uid, reterr);
        if (r != 0)
                return r;
        from = vm_info(vm)->owner_uid;
        r = vm_set_owner(vm, owner, detached);
        if (r < 0)
                return text_error_set(reterr, r, "take VM \"%s\": %s", vm_info(vm)->name,
                                      strerror(-r));
        log_line(LOG_LEVEL_INFO, vm_info(vm)->name, "handed over from uid %u to uid %u, process %d",
                 from, (unsigned) owner->uid, (int) owner->pid);
        *ret = vm;
        return 0;
}
