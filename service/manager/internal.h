/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The inside of the manager, shared by manager.c and its neighbours. */

#include <systemd/sd-event.h>

#include <stdbool.h>
#include <sys/queue.h>

#include "service/manager/cid_probe.h"
#include "service/journal/guest.h"
#include "service/manager/id_pool.h"
#include "service/manager/manager.h"
#include "service/monitor/pressure.h"
#include "service/policy/trim.h"
#include "service/store/fdstore.h"
#include "service/vm/runtime_dir.h"
#include "service/store/history.h"
#include "service/store/late_file.h"
#include "service/worker.h"

/* Until what failed for want of memory, or of room, is tried again. */
#define MANAGER_AGAIN_USEC (500 * USEC_PER_MSEC)
/* A small file among the VMs' state. */
#define DRAINING_FILE "draining"

typedef struct Entry {
        const char *id; /* of @vm; the key of the tree */
        Vm *vm;         /* owned */
        bool has_cid;
        bool orphan; /* its creator left; nobody can release it */
        bool doomed; /* the next sweep frees it */
        TAILQ_ENTRY(Entry) all;
        TAILQ_ENTRY(Entry) history; /* only in a final state */
} Entry;

typedef TAILQ_HEAD(EntryList, Entry) EntryList;

typedef struct DrainWaiter {
        ManagerDrainedFn done;
        void *userdata;
        TAILQ_ENTRY(DrainWaiter) link;
} DrainWaiter;

typedef TAILQ_HEAD(DrainWaiterList, DrainWaiter) DrainWaiterList;

struct Manager {
        ManagerConfig config; /* borrowed strings */
        VmEnv env;
        ManagerObserver observer;
        Capabilities *capabilities; /* owned */
        OomWatch oom;
        IdPool cids;
        CidProbe cid_probe;
        uid_t uid; /* the daemon's own */
        Totals totals;
        FdStore *fdstore;     /* owned */
        RuntimeDirs dirs;     /* owned */
        Worker *worker;       /* owned; writes the next two */
        History *history_log; /* owned; records, also of VMs that are gone */
        LateFile *
                last_cid; /* owned; beside it, so that numbers go on after a restart of the host, too */
        char bus_id[33];   /* "" without a bus */
        void *by_id;       /* tree of Entry */
        EntryList all;     /* in order of creation */
        EntryList history; /* ended VMs in order of death */
        unsigned n_vms, n_history;
        sd_event_source *sweep; /* owned */
        bool journal;
        JournalSocket
                guest_journal; /* owned; without a socket their lines go to the log, for debugging */
        RateLimit guest_lines; /* budget of all VMs together */
        bool draining;
        DrainWaiterList drained;   /* who waits for the last VM's end */
        StopRequest drained_by;    /* the last one who asked for it */
        sd_event_source *patience; /* owned; with VMs that were asked to end */
        sd_event_source *again;    /* owned; off unless something is to be tried anew */
        Pressure *pressure;        /* owned; NULL where the host does not tell */
        int pressure_error;        /* why; else 0 */
        TrimPolicy trim;
        sd_event_source *relax;   /* owned; off unless guests are asked for memory */
        sd_event_source *resumed; /* owned; deaths that an earlier daemon left untold */
};

int manager_insert(Manager *manager, Vm *vm, Entry **ret);
void manager_doom(Manager *manager, Entry *entry);
void manager_release_cid(Manager *manager, Entry *entry, uint32_t cid);
void manager_abandon(Manager *manager, Entry *entry);
void manager_tell_death(Manager *manager, Vm *vm, bool again);
void manager_vm_ended(Manager *manager, Vm *vm);
void manager_try_again(Manager *manager);
int manager_on_again(sd_event_source *source, uint64_t usec, void *userdata);
int manager_watch_pressure(Manager *manager);
void manager_adopt_trimmed(Manager *manager);
void manager_check_drained(Manager *manager);
int manager_claim_devices(const Manager *manager, VmRequest *request, TextError *reterr);
int manager_check_quota(const Manager *manager, const VmRequest *request, uid_t uid,
                        TextError *reterr);
int manager_check_quota_of_vm(const Manager *manager, const Vm *vm, uid_t uid, TextError *reterr);
bool manager_name_is_taken(const Manager *manager, uid_t owner, const char *name);
int manager_check_start_quota(const Manager *manager, const Vm *vm, TextError *reterr);
void manager_forget_oldest(Manager *manager, uid_t uid);
