/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"
#include "service/manager/internal.h"

/* Looking for a VM. Doomed VMs are still in the lists, but whoever looks finds them gone. */

/** manager_n_vms() - VM objects in any state */
unsigned manager_n_vms(const Manager *manager) {
        return manager->n_vms;
}

/** manager_n_active() - VMs that a process belongs to */
unsigned manager_n_active(const Manager *manager) {
        const Entry *entry;
        unsigned n = 0;

        TAILQ_FOREACH(entry, &manager->all, all)
        n += vm_is_active(entry->vm);
        return n;
}

static Vm *skip_doomed(const Entry *entry) {
        while (entry && entry->doomed)
                entry = TAILQ_NEXT(entry, all);
        return entry ? entry->vm : NULL;
}

/** manager_first_vm() - in order of creation; NULL if there is none */
Vm *manager_first_vm(const Manager *manager) {
        return skip_doomed(TAILQ_FIRST(&manager->all));
}

/** manager_next_vm() - the VM made after @vm, or NULL; see manager_first_vm() */
Vm *manager_next_vm(const Manager *manager, const Vm *vm) {
        const Entry *entry = vm_holder(vm);

        return skip_doomed(TAILQ_NEXT(entry, all));
}

typedef bool (*VmMatchFn)(const VmInfo *info, const void *key);

/* The living VM that matches, else the one that died last; NULL if there is none. */
static Vm *find_match(const Manager *manager, VmMatchFn matches, const void *key) {
        const Entry *entry;

        TAILQ_FOREACH(entry, &manager->all, all)
        if (!entry->doomed && !vm_state_is_final(vm_info(entry->vm)->state) &&
            matches(vm_info(entry->vm), key))
                return entry->vm;
        TAILQ_FOREACH_REVERSE(entry, &manager->history, EntryList, history)
        if (!entry->doomed && matches(vm_info(entry->vm), key))
                return entry->vm;
        return NULL;
}

typedef struct NameKey {
        const char *name;
        uid_t owner;
} NameKey;

static bool name_matches(const VmInfo *info, const void *key) {
        const NameKey *wanted = key;

        return info->owner_uid == wanted->owner && str_eq(info->name, wanted->name);
}

static bool foreign_name_matches(const VmInfo *info, const void *key) {
        const NameKey *wanted = key;

        return info->owner_uid != wanted->owner && str_eq(info->name, wanted->name);
}

static bool cid_matches(const VmInfo *info, const void *key) {
        return info->cid == *(const uint32_t *) key;
}

static bool pid_matches(const VmInfo *info, const void *key) {
        return info->pid == *(const uint32_t *) key;
}

/** manager_find_name() - the owner's living VM of that name, else the one that died last; borrowed; NULL if none */
Vm *manager_find_name(const Manager *manager, uid_t owner, const char *name) {
        return find_match(manager, name_matches, &(NameKey){name, owner});
}

/**
 * manager_find_foreign_name() - likewise, of an owner other than @owner
 * @ret_ambiguous: whether several have a living VM of that name
 */
Vm *manager_find_foreign_name(const Manager *manager, uid_t owner, const char *name,
                              bool *ret_ambiguous) {
        Vm *found = find_match(manager, foreign_name_matches, &(NameKey){name, owner});
        const Entry *entry;

        *ret_ambiguous = false;
        TAILQ_FOREACH(entry, &manager->all, all)
        if (found && entry->vm != found && !entry->doomed &&
            !vm_state_is_final(vm_info(entry->vm)->state) &&
            foreign_name_matches(vm_info(entry->vm), &(NameKey){name, owner}))
                *ret_ambiguous = true;
        return found;
}

/** manager_find_cid() - likewise by CID */
Vm *manager_find_cid(const Manager *manager, uint32_t cid) {
        return find_match(manager, cid_matches, &cid);
}

/** manager_find_pid() - by the process id of its running VMM */
Vm *manager_find_pid(const Manager *manager, uint32_t pid) {
        return pid == 0 ? NULL : find_match(manager, pid_matches, &pid);
}
