/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/shortage.h"
#include "service/manager/internal.h"
#include "service/vm/runtime_dir.h"
#include "service/store/state_file.h"
#include "service/vm/stray.h"

/*
 * What an earlier daemon left, in the order load, attach, drop what is stale. A state file that makes no sense is set
 * aside and said, and costs no other VM anything; what runs in its VM's name is found by the VM's directory and ended,
 * for nobody could own it.
 */

/* More VMs than there are CIDs cannot have been. */
#define STATE_FILES_MAX (2u * (CID_MAX - CID_MIN + 1))

typedef struct Restored {
        Vm **vms; /* owned array of owned */
        size_t n, room;
} Restored;

static void restored_deinit(Restored *restored) {
        for (size_t i = 0; i < restored->n; i++)
                (void) vm_free(restored->vms[i]);
        free(restored->vms);
}

static int add(Restored *restored, Vm *vm) {
        if (restored->n == restored->room) {
                size_t room = MAX(restored->room * 2, (size_t) 16);
                Vm **grown = reallocarray(restored->vms, room, sizeof(Vm *));

                if (!grown)
                        return -ENOMEM;
                restored->vms = grown;
                restored->room = room;
        }
        restored->vms[restored->n++] = vm;
        return 0;
}

static bool is_vm_id(const char *name) {
        return strlen(name) == VM_ID_LEN && strspn(name, "0123456789abcdef") == VM_ID_LEN;
}

static int restore_one(Manager *manager, const char *name, Restored *restored) {
        _cleanup_(fields_deinit) Fields state = {0};
        _cleanup_(vm_freep) Vm *vm = NULL;
        int r;

        r = state_file_load(manager->env.state_dir, name, &state);
        if (r == 0)
                r = vm_restore(&manager->env, &state, &vm);
        if (r == 0 && !str_eq(vm_info(vm)->id, name))
                r = -EBADMSG;
        if (r == 0 && !vm_state_is_final(vm_info(vm)->state) &&
            id_pool_claim(&manager->cids, vm_info(vm)->cid) != 0)
                r = -EBADMSG;
        if (r == 0)
                r = add(restored, vm);
        if (r == 0)
                vm = NULL;
        return r;
}

static void closedirp(DIR **dir) {
        if (*dir)
                (void) closedir(*dir);
}

/* Return: 0; what is_shortage(), upon which nothing was given up: the next daemon may have more luck. */
static int read_state_dir(Manager *manager, Restored *restored) {
        _cleanup_(closedirp) DIR *dir = NULL;
        const struct dirent *entry;
        int fd, r;

        fd = openat(manager->env.state_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        dir = fd < 0 ? NULL : fdopendir(fd);
        if (!dir)
                return -errno;
        for (unsigned n = 0; n < STATE_FILES_MAX && (entry = readdir(dir)); n++) {
                if (!is_vm_id(entry->d_name)) {
                        /* A file that was being written when the daemon was killed. */
                        if (entry->d_name[0] == '.' && strstr(entry->d_name, ".new"))
                                (void) unlinkat(dirfd(dir), entry->d_name, 0);
                        continue;
                }
                r = restore_one(manager, entry->d_name, restored);
                if (is_shortage(r))
                        return r;
                if (r < 0) {
                        log_error("state of VM %s: %s; setting it aside as .%s.bad", entry->d_name,
                                  strerror(-r), entry->d_name);
                        (void) state_file_set_aside(dirfd(dir), entry->d_name);
                }
        }
        return 0;
}

static int by_creation(const void *a, const void *b) {
        const VmInfo *x = vm_info(*(Vm *const *) a), *y = vm_info(*(Vm *const *) b);

        return (x->created_usec > y->created_usec) - (x->created_usec < y->created_usec);
}

static int by_death(const void *a, const void *b) {
        const VmInfo *x = vm_info((*(Entry *const *) a)->vm),
                     *y = vm_info((*(Entry *const *) b)->vm);

        return (x->died_usec > y->died_usec) - (x->died_usec < y->died_usec);
}

/* Hands the objects over, in the order in which they were made; the dead in that of their deaths, too. */
static int insert_all(Manager *manager, Restored *restored) {
        _cleanup_(freep) Entry **dead = calloc(restored->n + 1, sizeof(Entry *));
        size_t n_dead = 0;
        int r;

        if (!dead)
                return -ENOMEM;
        if (restored->n > 0)
                qsort(restored->vms, restored->n, sizeof(Vm *), by_creation);
        for (size_t i = 0; i < restored->n; i++) {
                Entry *entry;

                r = manager_insert(manager, restored->vms[i], &entry);
                if (r < 0)
                        return r;
                restored->vms[i] = NULL;
                if (!entry->has_cid)
                        dead[n_dead++] = entry;
        }
        qsort(dead, n_dead, sizeof(Entry *), by_death);
        for (size_t i = 0; i < n_dead; i++) {
                TAILQ_INSERT_TAIL(&manager->history, dead[i], history);
                manager->n_history++;
        }
        return 0;
}

static bool has_cid(const void *userdata, uint32_t cid) {
        const Manager *manager = userdata;
        const Entry *entry;

        TAILQ_FOREACH(entry, &manager->all, all)
        if (entry->has_cid && vm_info(entry->vm)->cid == cid)
                return true;
        return false;
}

static void drop_stale_dirs(Manager *manager) {
        int n = runtime_dir_sweep(manager->config.runtime_dir, has_cid, vm_stray_end, manager);

        if (n != 0)
                log_info("removed %d stale directories of VMs", n);
}

/*
 * All VMs have taken what is theirs out of the descriptor store. The bus knows us by now, so deaths can be told that an
 * earlier daemon saw and had no time to tell.
 */
static int on_resumed(sd_event_source *source, void *userdata) {
        Manager *manager = userdata;
        Entry *entry;

        manager->resumed = sd_event_source_disable_unref(manager->resumed);
        fdstore_drop_rest(manager->fdstore);
        TAILQ_FOREACH(entry, &manager->history, history)
        if (!vm_death_is_told(entry->vm))
                manager_tell_death(manager, entry->vm, /* again= */ true);
        return 0;
}

static int resume_all(Manager *manager) {
        Entry *entry;
        int r;

        r = sd_event_add_defer(manager->env.event, &manager->resumed, on_resumed, manager);
        if (r >= 0)
                /* After that of each VM, before the bus is listened to. */
                r = sd_event_source_set_priority(manager->resumed, SD_EVENT_PRIORITY_IMPORTANT + 1);
        if (r < 0)
                return r;
        TAILQ_FOREACH(entry, &manager->all, all)
        vm_resume(entry->vm);
        return 0;
}

static void load_counters(Manager *manager) {
        _cleanup_(fields_deinit) Fields fields = {0};

        if (late_file_load(manager->last_cid, &fields) == 0) {
                uint64_t last = fields_get_u64(&fields, "LAST_CID", 0);

                manager->cids.last = last >= CID_MIN && last <= CID_MAX ? (uint32_t) last : 0;
        }
        manager->draining = faccessat(manager->env.state_dir, DRAINING_FILE, F_OK, 0) == 0;
}

static bool is_known(void *userdata, const char *id) {
        return manager_find_id(userdata, id) != NULL;
}

/**
 * manager_restore() - take over what an earlier daemon left; once, before the event loop runs
 * @scopes: borrowed; NULL where VMs get none
 * @bus_id: of the bus that clients are on; copied
 *
 * The VMs go on at the first turn of the loop. Return: 0 or negative errno.
 */
int manager_restore(Manager *manager, Scopes *scopes, const char *bus_id) {
        _cleanup_(restored_deinit) Restored restored = {0};
        int r;

        manager->env.scopes = scopes;
        (void) snprintf(manager->bus_id, sizeof(manager->bus_id), "%s", bus_id);
        load_counters(manager);
        r = read_state_dir(manager, &restored);
        if (r < 0)
                return r;
        r = insert_all(manager, &restored);
        if (r < 0)
                return r;
        if (restored.n > 0)
                log_info("took over %zu VMs", restored.n);
        drop_stale_dirs(manager);
        ramdumps_drop_partial(manager->env.ramdumps, is_known, manager);
        manager_adopt_trimmed(manager);
        return resume_all(manager);
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/**
 * manager_check_owners() - end the VMs whose creator left while there was no daemon
 * @names: all names on the bus, sorted by strcmp(); @n of them
 */
void manager_check_owners(Manager *manager, char *const *names, size_t n) {
        Entry *entry;

        TAILQ_FOREACH(entry, &manager->all, all) {
                const VmInfo *info = vm_info(entry->vm);

                if (info->detached)
                        continue;
                /* Names are handed out anew when a bus starts. */
                if (!str_eq(info->owner_bus_id, manager->bus_id) || n == 0 ||
                    !bsearch(&info->owner_bus_name, names, n, sizeof(*names), compare_names))
                        manager_abandon(manager, entry);
        }
}
