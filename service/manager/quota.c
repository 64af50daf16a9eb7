/* SPDX-License-Identifier: Apache-2.0 */
#include "service/manager/internal.h"

/* What the VMs of one user take. Counted anew each time, so that no path of a VM's life can leave a sum wrong. */

static bool has_quota(const Manager *manager, uid_t uid) {
        return uid != 0 && uid != manager->uid;
}

/* What @vm counts for. */
static void add_vm(Quota *used, const Vm *vm) {
        const VmInfo *info = vm_info(vm);

        used->vms++;
        used->starting += info->state == VM_NOT_STARTED && vm_is_active(vm);
        used->vcpus += info->n_vcpus;
        used->memory_bytes += info->memory_bytes;
        used->files += vm_count_files(vm);
}

static Quota count_used(const Manager *manager, uid_t uid) {
        Quota used = {0};
        const Entry *entry;

        TAILQ_FOREACH(entry, &manager->all, all) {
                const VmInfo *info = vm_info(entry->vm);

                if (info->owner_uid != uid || entry->doomed)
                        continue;
                if (vm_state_is_final(info->state))
                        used.records++;
                else
                        add_vm(&used, entry->vm);
        }
        return used;
}

/* manager_check_quota() - whether @uid may have one more VM. Return: 0 or SERVICE_E_QUOTA_EXCEEDED. */
int manager_check_quota(const Manager *manager, const VmRequest *request, uid_t uid,
                        TextError *reterr) {
        const Quota wanted = {.vms = 1,
                              .vcpus = vm_count_vcpus(&request->config),
                              .memory_bytes = request->config.memory_mib << 20,
                              .files = request_count_files(request)};
        Quota used;
        int r;

        if (!has_quota(manager, uid))
                return 0;
        used = count_used(manager, uid);
        r = quota_check(&manager->config.quota, &used, &wanted, uid, reterr);
        return r == 0 ? 0 : text_error_prefix(reterr, r, "create VM");
}

/* manager_check_quota_of_vm() - likewise the VM of somebody else, which is living. Return: likewise. */
int manager_check_quota_of_vm(const Manager *manager, const Vm *vm, uid_t uid, TextError *reterr) {
        Quota used, wanted = {0};
        int r;

        if (!has_quota(manager, uid))
                return 0;
        add_vm(&wanted, vm);
        used = count_used(manager, uid);
        r = quota_check(&manager->config.quota, &used, &wanted, uid, reterr);
        return r == 0 ? 0 : text_error_prefix(reterr, r, "take VM \"%s\"", vm_info(vm)->name);
}

/* manager_check_start_quota() - whether its owner may start one more at this moment. Return: likewise. */
int manager_check_start_quota(const Manager *manager, const Vm *vm, TextError *reterr) {
        const uid_t owner = vm_info(vm)->owner_uid;
        const Quota wanted = {.starting = 1};
        Quota used;
        int r;

        if (!has_quota(manager, owner) || vm_is_active(vm))
                return 0;
        used = count_used(manager, owner);
        r = quota_check(&manager->config.quota, &used, &wanted, owner, reterr);
        return r == 0 ? 0 : text_error_prefix(reterr, r, "start VM \"%s\"", vm_info(vm)->name);
}

/* manager_forget_oldest() - make room after a death: among the user's own records before there is none left at all */
void manager_forget_oldest(Manager *manager, uid_t uid) {
        bool own = has_quota(manager, uid) &&
                   count_used(manager, uid).records > manager->config.quota.records;
        Entry *entry;

        if (!own && manager->n_history <= manager->config.history_max)
                return;
        TAILQ_FOREACH(entry, &manager->history, history)
        if (!entry->doomed && (!own || vm_info(entry->vm)->owner_uid == uid)) {
                manager_doom(manager, entry);
                return;
        }
}
