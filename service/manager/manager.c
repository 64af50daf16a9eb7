/* SPDX-License-Identifier: Apache-2.0 */
#include "service/manager/manager.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "service/journal/journal.h"
#include "service/manager/internal.h"

/*
 * A VM is freed only by the sweep, at the end of a turn of the event loop: whoever tells of a VM's end is in the
 * middle of it, and the bus may be about to answer those who waited.
 */

static int compare_ids(const void *a, const void *b) {
        return strcmp(((const Entry *) a)->id, ((const Entry *) b)->id);
}

static Entry *find_entry(const Manager *manager, const char *id) {
        Entry key = {.id = id};
        Entry *const *found = tfind(&key, &manager->by_id, compare_ids);

        return found ? *found : NULL;
}

/* manager_release_cid() - for the next one, who gets the directory that is named after it, too */
void manager_release_cid(Manager *manager, Entry *entry, uint32_t cid) {
        if (entry->has_cid)
                id_pool_release(&manager->cids, cid);
        entry->has_cid = false;
}

static void free_entry(Manager *manager, Entry *entry) {
        const uint32_t cid = vm_info(entry->vm)->cid;

        if (manager->observer.removed)
                manager->observer.removed(manager->observer.userdata, entry->vm);
        if (vm_state_is_final(vm_info(entry->vm)->state)) {
                TAILQ_REMOVE(&manager->history, entry, history);
                manager->n_history--;
        }
        TAILQ_REMOVE(&manager->all, entry, all);
        manager->n_vms--;
        (void) tdelete(entry, &manager->by_id, compare_ids);
        (void) vm_remove(entry->vm);
        manager_release_cid(manager, entry, cid);
        free(entry);
}

static int on_sweep(sd_event_source *source, void *userdata) {
        Manager *manager = userdata;
        Entry *entry = TAILQ_FIRST(&manager->all);

        while (entry) {
                Entry *next = TAILQ_NEXT(entry, all);

                if (entry->doomed)
                        free_entry(manager, entry);
                entry = next;
        }
        return 0;
}

/* manager_doom() - have it gone by the next turn of the loop; NULL is nobody to doom */
void manager_doom(Manager *manager, Entry *entry) {
        if (!entry)
                return;
        entry->doomed = true;
        /* Who was told that it is gone does not find it with the next daemon. */
        vm_forget(entry->vm);
        (void) sd_event_source_set_enabled(manager->sweep, SD_EVENT_ONESHOT);
}

static void on_vm_changed(void *userdata, Vm *vm, unsigned changes) {
        Manager *manager = userdata;

        if (manager->observer.changed)
                manager->observer.changed(manager->observer.userdata, vm, changes);
}

static bool on_vm_line(void *userdata, const Vm *vm, VmStreamKind stream, LineKind kind,
                       const char *text) {
        Manager *manager = userdata;

        if (manager->guest_journal.fd >= 0)
                return guest_journal_send(&manager->guest_journal, vm_info(vm), stream, kind, text);
        log_line(LOG_LEVEL_DEBUG, vm_info(vm)->name, "%s: %s",
                 stream == VM_STREAM_CONSOLE ? "console" : "log", text);
        return true;
}

static void on_vm_payload(void *userdata, Vm *vm, const VmPayloadEvent *event) {
        Manager *manager = userdata;
        const VmInfo *info = vm_info(vm);

        if (event->kind == VM_PAYLOAD_EVENT_STARTED) {
                journal_boot(info, manager->journal);
                totals_count_boot(&manager->totals, info->payload_started_monotonic_usec -
                                                            info->started_monotonic_usec);
        }
        if (manager->observer.payload)
                manager->observer.payload(manager->observer.userdata, vm, event);
}

static void on_vm_unsaved(void *userdata) {
        manager_try_again(userdata);
}

static void on_vm_ended(void *userdata, Vm *vm) {
        manager_vm_ended(userdata, vm);
}

static void on_capabilities_known(void *userdata) {
        Manager *manager = userdata;

        if (manager->observer.capabilities_known)
                manager->observer.capabilities_known(manager->observer.userdata);
}

/* What outlives the host's power. */
static int open_store(Manager *manager, sd_event *event) {
        const char *directory = manager->config.state_dir;
        const int ahead_dir = manager->dirs.unwritten;
        int r;

        r = worker_new(event, &manager->worker);
        if (r < 0)
                return r;
        r = history_open(&(HistorySpec){.directory = directory,
                                        .ahead_dir = ahead_dir,
                                        .key = "ID",
                                        .max = manager->config.history_max,
                                        .worker = manager->worker},
                         &manager->history_log);
        if (r < 0)
                return r;
        return late_file_new(&(LateFileSpec){.directory = directory,
                                             .ahead_dir = ahead_dir,
                                             .name = "last-cid",
                                             .worker = manager->worker},
                             &manager->last_cid);
}

static int manager_init(Manager *manager, sd_event *event) {
        int r = 0;

        if (manager->config.journal_socket)
                r = journal_socket_open(manager->config.journal_socket, &manager->guest_journal);
        if (r < 0)
                return r;
        r = runtime_dir_prepare(manager->config.runtime_dir, &manager->dirs);
        if (r < 0)
                return r;
        manager->env.state_dir = manager->dirs.state;
        r = open_store(manager, event);
        if (r < 0)
                return r;
        r = ramdumps_new(manager->config.state_dir, &manager->config.ramdumps,
                         &manager->env.ramdumps);
        if (r < 0)
                return r;
        r = fdstore_new(&manager->fdstore);
        if (r < 0)
                return r;
        manager->env.fdstore = manager->fdstore;
        r = sample_round_new(event, &manager->env.round);
        if (r < 0)
                return r;
        r = oom_watch_init(&manager->oom, "/proc/self/cgroup", "/sys/fs/cgroup");
        if (r < 0)
                return r;
        r = sd_event_add_defer(event, &manager->sweep, on_sweep, manager);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(manager->sweep, SD_EVENT_OFF);
        if (r < 0)
                return r;
        r = sd_event_add_time_relative(event, &manager->again, CLOCK_MONOTONIC, MANAGER_AGAIN_USEC,
                                       /* accuracy= */ 0, manager_on_again, manager);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(manager->again, SD_EVENT_OFF);
        if (r < 0)
                return r;
        r = manager_watch_pressure(manager);
        if (r < 0)
                return r;
        return capabilities_new(event, manager->config.vmm_path, manager->config.vmm_dialect,
                                on_capabilities_known, manager, &manager->capabilities);
}

/**
 * manager_new() - a manager without VMs
 * @event:  borrowed
 * @config: copied; its strings are borrowed
 *
 * Return: 0 or negative errno.
 */
int manager_new(sd_event *event, const ManagerConfig *config, Manager **ret) {
        _cleanup_(manager_freep) Manager *manager = malloc(sizeof(*manager));
        int r;

        if (!manager)
                return -ENOMEM;
        *manager = (Manager){.config = *config,
                             .uid = geteuid(),
                             .dirs = {-EBADF, -EBADF},
                             .guest_journal = {.fd = -EBADF},
                             .guest_lines = {.interval_usec = LINE_LOG_WINDOW_USEC,
                                             .burst = LINE_LOG_ALL_LINES_MAX}};
        cid_probe_init(&manager->cid_probe, "/dev/vhost-vsock");
        manager->env = (VmEnv){.event = event,
                               .vmm_path = config->vmm_path,
                               .vmm_dialect = config->vmm_dialect,
                               .launcher_path = config->launcher_path,
                               .runtime_dir = config->runtime_dir,
                               .vmm_log_level = config->vmm_log_level,
                               .netd_socket = config->netd_socket,
                               .virtiofsd_path = config->virtiofsd_path,
                               .oom = &manager->oom,
                               .state_dir = -EBADF,
                               .bus_id = manager->bus_id,
                               .lines = &manager->guest_lines,
                               .line = on_vm_line,
                               .changed = on_vm_changed,
                               .payload = on_vm_payload,
                               .ended = on_vm_ended,
                               .unsaved = on_vm_unsaved,
                               .userdata = manager};
        totals_init(&manager->totals);
        TAILQ_INIT(&manager->all);
        TAILQ_INIT(&manager->history);
        TAILQ_INIT(&manager->drained);
        r = manager_init(manager, event);
        if (r < 0)
                return r;
        *ret = TAKE(manager);
        return 0;
}

/** manager_free() - let go of all VMs, which run on, without telling the observer. Return: NULL. */
Manager *manager_free(Manager *manager) {
        Entry *entry;
        DrainWaiter *waiter;

        if (!manager)
                return NULL;
        while ((waiter = TAILQ_FIRST(&manager->drained))) {
                TAILQ_REMOVE(&manager->drained, waiter, link);
                free(waiter);
        }
        while ((entry = TAILQ_FIRST(&manager->all))) {
                TAILQ_REMOVE(&manager->all, entry, all);
                (void) tdelete(entry, &manager->by_id, compare_ids);
                (void) vm_free(entry->vm);
                free(entry);
        }
        (void) sd_event_source_disable_unref(manager->sweep);
        (void) sd_event_source_disable_unref(manager->again);
        (void) sd_event_source_disable_unref(manager->resumed);
        (void) sd_event_source_disable_unref(manager->patience);
        (void) sd_event_source_disable_unref(manager->relax);
        (void) pressure_free(manager->pressure);
        (void) capabilities_free(manager->capabilities);
        oom_watch_deinit(&manager->oom);
        cid_probe_deinit(&manager->cid_probe);
        (void) worker_free(manager->worker);
        (void) history_free(manager->history_log);
        (void) late_file_free(manager->last_cid);
        (void) ramdumps_free(manager->env.ramdumps);
        (void) sample_round_free(manager->env.round);
        (void) fdstore_free(manager->fdstore);
        journal_socket_deinit(&manager->guest_journal);
        (void) fd_close(manager->dirs.state);
        (void) fd_close(manager->dirs.unwritten);
        free(manager);
        return NULL;
}

/** manager_set_observer() - who hears of changes from now on; copied */
void manager_set_observer(Manager *manager, const ManagerObserver *observer) {
        manager->observer = *observer;
}

/** manager_capabilities() - which hypervisors work here; borrowed, lives as long as @manager */
const Capabilities *manager_capabilities(const Manager *manager) {
        return manager->capabilities;
}

/** manager_probe_again() - find out anew which hypervisors work; the observer hears when that is over, as at first */
void manager_probe_again(Manager *manager) {
        capabilities_probe_again(manager->capabilities);
}

/** manager_set_journal() - whether deaths go to the journal with their fields, or to the log as text */
void manager_set_journal(Manager *manager, bool journal) {
        manager->journal = journal;
}

/** manager_journal() - see manager_set_journal() */
bool manager_journal(const Manager *manager) {
        return manager->journal;
}

/** manager_totals() - the sums of what happened, for those who see more of it happen */
Totals *manager_totals(Manager *manager) {
        return &manager->totals;
}

/** manager_read_totals() - the sums of what happened */
const Totals *manager_read_totals(const Manager *manager) {
        return &manager->totals;
}

/* manager_insert() - take @vm over. Return: 0 or -ENOMEM. */
int manager_insert(Manager *manager, Vm *vm, Entry **ret) {
        Entry *entry = calloc(1, sizeof(*entry));

        if (!entry)
                return -ENOMEM;
        entry->id = vm_info(vm)->id;
        entry->vm = vm;
        vm_set_holder(vm, entry);
        entry->has_cid = !vm_state_is_final(vm_info(vm)->state);
        if (!tsearch(entry, &manager->by_id, compare_ids)) {
                free(entry);
                return -ENOMEM;
        }
        TAILQ_INSERT_TAIL(&manager->all, entry, all);
        manager->n_vms++;
        *ret = entry;
        return 0;
}

/**
 * manager_release_vm() - remove a VM that no process belongs to
 *
 * It is gone by the next turn of the event loop. Return: 0 or SERVICE_E_INVALID_TRANSITION.
 */
int manager_release_vm(Manager *manager, Vm *vm, TextError *reterr) {
        if (vm_is_active(vm))
                return text_error_set(reterr, SERVICE_E_INVALID_TRANSITION,
                                      "release VM \"%s\": it is running or being started; kill "
                                      "it first",
                                      vm_info(vm)->name);
        manager_doom(manager, vm_holder(vm));
        return 0;
}

/* manager_abandon() - its creator left: end it, and have it gone with that */
void manager_abandon(Manager *manager, Entry *entry) {
        const StopRequest by = {.by = STOP_BY_DISCONNECT};

        entry->orphan = true;
        if (!vm_is_active(entry->vm))
                manager_doom(manager, entry);
        else if (vm_kill(entry->vm, &by, NULL, NULL, NULL) < 0)
                log_line(LOG_LEVEL_ERROR, vm_info(entry->vm)->name,
                         "kill after its creator left: failed");
}

/** manager_client_vanished() - end and remove the VMs whose creator left the bus, but for detached ones */
void manager_client_vanished(Manager *manager, const char *bus_name) {
        Entry *entry;

        TAILQ_FOREACH(entry, &manager->all, all) {
                const VmInfo *info = vm_info(entry->vm);

                if (!info->detached && str_eq(info->owner_bus_name, bus_name))
                        manager_abandon(manager, entry);
        }
}

/**
 * manager_start_vm() - vm_start(), unless the host is being drained or the owner starts as many as it may
 *
 * Return: as vm_start(); SERVICE_E_DRAINING; SERVICE_E_QUOTA_EXCEEDED.
 */
int manager_start_vm(Manager *manager, Vm *vm, VmDoneFn done, void *userdata, TextError *reterr) {
        int r;

        if (manager->draining)
                return text_error_set(reterr, SERVICE_E_DRAINING,
                                      "start VM \"%s\": this host is being drained",
                                      vm_info(vm)->name);
        r = manager_check_start_quota(manager, vm, reterr);
        if (r != 0)
                return r;
        return vm_start(vm, done, userdata, reterr);
}

/** manager_find_id() - borrowed; NULL if there is none */
Vm *manager_find_id(const Manager *manager, const char *id) {
        const Entry *entry = find_entry(manager, id);

        return entry && !entry->doomed ? entry->vm : NULL;
}
