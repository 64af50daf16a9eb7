/* SPDX-License-Identifier: Apache-2.0 */
#include "service/manager.h"

#include <assert.h>
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "service/journal.h"
#include "service/manager_internal.h"
#include "service/runtime_dir.h"
#include "service/vm_fields.h"

/*
 * A VM is freed only by the sweep, at the end of a turn of the event loop: whoever tells of a VM's end is in the
 * middle of it, and the bus may be about to answer those who waited.
 */

/* Of each long text in a record of the history. */
#define HISTORY_TEXT_BYTES_MAX 4096u
/* Until what failed for want of memory, or of room, is tried again. */
#define AGAIN_USEC (500 * USEC_PER_MSEC)

static int compare_ids(const void *a, const void *b) {
        return strcmp(((const Entry *) a)->id, ((const Entry *) b)->id);
}

static Entry *find_entry(const Manager *manager, const char *id) {
        Entry key = {.id = id};
        Entry *const *found = tfind(&key, &manager->by_id, compare_ids);

        return found ? *found : NULL;
}

/* For the next one, who gets the directory that is named after it, too. */
static void release_cid(Manager *manager, Entry *entry, uint32_t cid) {
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
        release_cid(manager, entry, cid);
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

static void keep_record(Manager *manager, const Vm *vm) {
        const VmInfo *info = vm_info(vm);
        _cleanup_(fields_deinit) Fields fields = {0};
        int r;

        vm_info_to_fields(info, &info->record.stop, HISTORY_TEXT_BYTES_MAX, &fields);
        r = history_add(manager->history_log, &fields);
        if (r < 0)
                log_line(LOG_LEVEL_WARNING, info->name, "add to the history: %s, ignoring",
                         strerror(-r));
}

/* Return: whether the bus knows of the end now; if not, it is tried again. */
static bool tell_bus(Manager *manager, Vm *vm) {
        int r = 0;

        if (manager->observer.ended)
                r = manager->observer.ended(manager->observer.userdata, vm);
        if (r < 0)
                manager_try_again(manager);
        return r >= 0;
}

/*
 * manager_tell_death() - to the bus, the history and the journal
 * @again: an earlier daemon was killed while it did this; the history gets each record once all the same
 *
 * The state file has the record already. The bus comes first, for who waits there shall not wait for a disk; whoever then
 * asks for the history is answered after this. Told, then marked as told: told twice is better than never.
 */
void manager_tell_death(Manager *manager, Vm *vm, bool again) {
        const bool told = tell_bus(manager, vm);

        if (!again || !history_has(manager->history_log, vm_info(vm)->id))
                keep_record(manager, vm);
        journal_death(vm_info(vm), manager->journal);
        totals_count_death(&manager->totals, &vm_info(vm)->record);
        if (told)
                vm_died_was_told(vm);
}

/* What there was no memory for: deaths that the bus was not told of, state that was not written. */
static int on_again(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *manager = userdata;
        Entry *entry;

        TAILQ_FOREACH(entry, &manager->all, all) {
                if (vm_state_is_final(vm_info(entry->vm)->state) && !vm_death_is_told(entry->vm)) {
                        if (!tell_bus(manager, entry->vm))
                                continue;
                        vm_died_was_told(entry->vm);
                        if (entry->orphan)
                                manager_doom(manager, entry);
                } else if (!vm_is_saved(entry->vm) && !entry->doomed)
                        vm_save(entry->vm);
        }
        return 0;
}

/* manager_try_again() - see on_again(); takes no memory */
void manager_try_again(Manager *manager) {
        int r = sd_event_source_set_time_relative(manager->again, AGAIN_USEC);

        if (r >= 0)
                r = sd_event_source_set_enabled(manager->again, SD_EVENT_ONESHOT);
        if (r < 0)
                log_error("set a timer to try again: %s", strerror(-r));
}

static void on_vm_unsaved(void *userdata) {
        manager_try_again(userdata);
}

/* The VM with this id is in the history now, and the oldest may have to leave it. */
static void on_vm_ended(void *userdata, Vm *vm) {
        Manager *manager = userdata;
        Entry *entry = vm_holder(vm);

        assert(entry);
        if (!vm_has_dir(vm))
                release_cid(manager, entry, vm_info(vm)->cid);
        TAILQ_INSERT_TAIL(&manager->history, entry, history);
        manager->n_history++;
        /* Before it is doomed, for the bus finds it no more from then on. */
        manager_tell_death(manager, vm, /* again= */ false);
        manager_forget_oldest(manager, vm_info(vm)->owner_uid);
        if (entry->orphan && vm_death_is_told(vm))
                manager_doom(manager, entry);
        manager_check_drained(manager);
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
        r = oom_watch_init(&manager->oom, "/proc/self/cgroup", "/sys/fs/cgroup");
        if (r < 0)
                return r;
        r = sd_event_add_defer(event, &manager->sweep, on_sweep, manager);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(manager->sweep, SD_EVENT_OFF);
        if (r < 0)
                return r;
        r = sd_event_add_time_relative(event, &manager->again, CLOCK_MONOTONIC, AGAIN_USEC,
                                       /* accuracy= */ 0, on_again, manager);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(manager->again, SD_EVENT_OFF);
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
        (void) capabilities_free(manager->capabilities);
        oom_watch_deinit(&manager->oom);
        cid_probe_deinit(&manager->cid_probe);
        (void) worker_free(manager->worker);
        (void) history_free(manager->history_log);
        (void) late_file_free(manager->last_cid);
        (void) ramdumps_free(manager->env.ramdumps);
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

static int check_hypervisor(const Manager *manager, VmmHypervisor hypervisor, TextError *reterr) {
        const HypervisorProbe *probe = capabilities_hypervisor(manager->capabilities, hypervisor);

        /* Before the probe is over there is nothing to refuse by; the VMM itself would refuse. */
        if (!probe || !capabilities_known(manager->capabilities) || probe->available)
                return 0;
        return text_error_set(reterr, SERVICE_E_UNSUPPORTED,
                              "create VM: hypervisor \"%s\" is not available: %s",
                              request_hypervisor_to_string(hypervisor), probe->reason);
}

/* A limit that nobody enforces is none; who asks for one is told so. */
static int check_limits(const Manager *manager, const VmLimits *limits, TextError *reterr) {
        bool systemd = manager->env.scopes && scopes_available(manager->env.scopes);

        if (systemd || memcmp(limits, &(VmLimits){0}, sizeof(*limits)) == 0)
                return 0;
        return text_error_set(reterr, SERVICE_E_UNSUPPORTED,
                              "create VM: limits: this service's bus has no systemd to hold the VM "
                              "to them");
}

/* What "auto" comes to, once that is known, so that a VM's properties say what it runs on. */
static VmmHypervisor resolve_hypervisor(const Manager *manager, VmmHypervisor hypervisor) {
        static const VmmHypervisor order[] = {VMM_HYPERVISOR_KVM, VMM_HYPERVISOR_SOFT};

        if (hypervisor != VMM_HYPERVISOR_AUTO || !capabilities_known(manager->capabilities))
                return hypervisor;
        for (size_t i = 0; i < ELEMENTSOF(order); i++)
                if (capabilities_hypervisor(manager->capabilities, order[i])->available)
                        return order[i];
        return hypervisor; /* the VMM says why there is none */
}

/* manager_name_is_taken() - by a living VM; each owner has names of its own */
bool manager_name_is_taken(const Manager *manager, uid_t owner, const char *name) {
        const Vm *other = manager_find_name(manager, owner, name);

        return other && !vm_state_is_final(vm_info(other)->state);
}

/* Whether one more VM called @name, if it has one, may exist. */
static int check_room(const Manager *manager, const VmRequest *request, const char *name,
                      uid_t owner, TextError *reterr) {
        if (manager->n_vms - manager->n_history >= manager->config.vms_max)
                return text_error_set(reterr, SERVICE_E_QUOTA_EXCEEDED,
                                      "create VM: there are %u, which is the limit of the host "
                                      "(--max-vms= of vivariumd(8))",
                                      manager->config.vms_max);
        if (name && manager_name_is_taken(manager, owner, name))
                return text_error_set(reterr, SERVICE_E_NAME_TAKEN,
                                      "create VM: the name \"%s\" is that of a living VM", name);
        return manager_check_quota(manager, request, owner, reterr);
}

static bool cid_is_free(void *userdata, uint32_t cid) {
        Manager *manager = userdata;

        return cid_probe_is_free(&manager->cid_probe, cid);
}

/* A VM without a name is called after its CID; one after which somebody called a VM of his own is passed over. */
static int take_cid(Manager *manager, uid_t owner, bool named, uint32_t *ret) {
        char name[sizeof(VM_NAME_BY_CID) + 10];
        uint32_t cid;

        for (uint32_t i = CID_MIN; i <= CID_MAX; i++) {
                if (id_pool_take(&manager->cids, cid_is_free, manager, &cid) != 0)
                        return ID_POOL_E_EXHAUSTED;
                (void) snprintf(name, sizeof(name), VM_NAME_BY_CID, cid);
                if (named || !manager_name_is_taken(manager, owner, name)) {
                        *ret = cid;
                        return 0;
                }
                id_pool_release(&manager->cids, cid);
        }
        return ID_POOL_E_EXHAUSTED;
}

/* Beside the history, so that numbers go on after a restart of the host, too. */
static void save_last_cid(const Manager *manager) {
        Fields fields = {0};
        int r;

        fields_set_u64(&fields, "LAST_CID", manager->cids.last);
        r = late_file_save(manager->last_cid, &fields);
        fields_deinit(&fields);
        if (r < 0)
                log_warning("write the last CID: %s, ignoring", strerror(-r));
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

/*
 * What serves a directory has the rights of this process's user. Whoever passes one shall not have more of it served than
 * its own rights reach.
 */
static int check_shares(const VmConfig *config, uid_t owner, TextError *reterr) {
        if (owner == geteuid())
                return 0;
        for (size_t i = 0; i < config->n_shares; i++)
                if (config->shares[i].path)
                        return text_error_set(
                                reterr, SERVICE_E_UNSUPPORTED,
                                "create VM: shared_paths[%zu].path: would be served with "
                                "the rights of user %u; serve it yourself and pass "
                                "its socket, or use the service of your own user",
                                i, geteuid());
        return 0;
}

/**
 * manager_create_vm() - a new VM in state "not-started"
 * @request: taken over on success
 * @ret:     borrowed; valid until the observer's removed()
 *
 * Return: 0; a SERVICE_E_* condition with its sentence; negative errno. Nothing remains of a failure.
 */
int manager_create_vm(Manager *manager, VmRequest *request, const VmOwner *owner, Vm **ret,
                      TextError *reterr) {
        const char *name = request->name ? request->name : request->config.name;
        _cleanup_(vm_freep) Vm *vm = NULL;
        Entry *entry;
        uint32_t cid;
        int r;

        if (manager->draining)
                return text_error_set(reterr, SERVICE_E_DRAINING,
                                      "create VM: this host is being drained");
        r = check_hypervisor(manager, request->hypervisor, reterr);
        if (r != 0)
                return r;
        r = check_shares(&request->config, owner->uid, reterr);
        if (r != 0)
                return r;
        r = check_limits(manager, &request->config.limits, reterr);
        if (r == 0)
                r = check_room(manager, request, name, owner->uid, reterr);
        if (r != 0)
                return r;
        r = take_cid(manager, owner->uid, name != NULL, &cid);
        if (r == ID_POOL_E_EXHAUSTED)
                return text_error_set(reterr, SERVICE_E_CID_EXHAUSTED,
                                      "create VM: all CIDs from %u to %u are taken, by VMs or by "
                                      "other programs",
                                      CID_MIN, CID_MAX);
        request->hypervisor = resolve_hypervisor(manager, request->hypervisor);
        r = vm_new(&manager->env, request, cid, owner, &vm);
        if (r == 0)
                r = manager_insert(manager, vm, &entry);
        if (r < 0) {
                vm = vm ? vm_remove(vm) : NULL;
                id_pool_release(&manager->cids, cid);
                return text_error_set(reterr, r, "create VM: %s", strerror(-r));
        }
        save_last_cid(manager);
        vm_keep(vm);
        *ret = TAKE(vm);
        if (manager->observer.added)
                manager->observer.added(manager->observer.userdata, *ret);
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

/* Doomed VMs are still in the lists, but whoever looks finds them gone. */
static Vm *skip_doomed(const Entry *entry) {
        while (entry && entry->doomed)
                entry = TAILQ_NEXT(entry, all);
        return entry ? entry->vm : NULL;
}

/** manager_first_vm() - in order of creation; NULL if there is none */
Vm *manager_first_vm(const Manager *manager) {
        return skip_doomed(TAILQ_FIRST(&manager->all));
}

Vm *manager_next_vm(const Manager *manager, const Vm *vm) {
        const Entry *entry = vm_holder(vm);

        return skip_doomed(TAILQ_NEXT(entry, all));
}

/** manager_find_id() - borrowed; NULL if there is none */
Vm *manager_find_id(const Manager *manager, const char *id) {
        const Entry *entry = find_entry(manager, id);

        return entry && !entry->doomed ? entry->vm : NULL;
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

/** manager_history_n() - records of deaths that are kept, of VMs that are gone too */
size_t manager_history_n(const Manager *manager) {
        return history_n(manager->history_log);
}

/**
 * manager_history_read() - one of them, see vm_fields.h
 * @age: the youngest is 0
 * @ret: release with fields_deinit()
 *
 * Return: 0 or negative errno.
 */
int manager_history_read(const Manager *manager, size_t age, Fields *ret) {
        return history_read(manager->history_log, age, ret);
}
