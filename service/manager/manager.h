/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * All VMs of the daemon: their names, CIDs, owners and history. Knows nothing of D-Bus: the bus layer asks it and
 * hears of changes through ManagerObserver.
 */

#include <systemd/sd-event.h>

#include <stdint.h>

#include "base/text_error.h"
#include "service/manager/capabilities.h"
#include "service/manager/host_devices.h"
#include "service/policy/quota.h"
#include "service/metrics/totals.h"
#include "service/store/history.h"
#include "service/vm/vm.h"

#define MANAGER_VMS_MAX_DEFAULT 1000u
#define MANAGER_HISTORY_MAX_DEFAULT 1000u
#define MANAGER_RAMDUMPS_MAX_DEFAULT 8u
#define MANAGER_RAMDUMPS_MIB_DEFAULT 8192u

typedef struct Manager Manager;

typedef struct ManagerConfig {
        const char *vmm_path, *launcher_path; /* absolute */
        VmmDialect vmm_dialect;               /* of its command line */
        const char *runtime_dir;              /* lost with the host's power, as the VMs are */
        const char *state_dir;                /* outlives it: the history */
        const char *vmm_log_level;            /* optional */
        const char *netd_socket;              /* of vivarium-netd; NULL: VMs get no interfaces */
        const char *virtiofsd_path;           /* absolute */
        const char *assignable_path;          /* of the list of host_devices.h; NULL: none */
        const char *sysfs;                    /* where it is mounted */
        const char *journal_socket;           /* where lines of guests go; NULL: to the log */
        unsigned vms_max;                     /* VMs that are not-started or running */
        unsigned history_max;                 /* dead VMs that stay readable, at least 1 */
        RamdumpLimits ramdumps;
        const char *pressure_path; /* see pressure_new() */
        usec_t trim_interval_usec; /* see TrimPolicy */
        Quota quota;               /* of each user but root and the daemon's own */
} ManagerConfig;

/* All VMs have ended; @r is -ECANCELED if it was decided otherwise meanwhile. */
typedef void (*ManagerDrainedFn)(void *userdata, int r);

/* All optional; none may free a VM or change the manager. */
typedef struct ManagerObserver {
        void (*added)(void *userdata, Vm *vm);
        void (*removed)(void *userdata, Vm *vm); /* still readable */
        void (*changed)(void *userdata, Vm *vm, unsigned changes);
        void (*payload)(void *userdata, Vm *vm, const VmPayloadEvent *event);
        /* Return: 0; negative errno when it could not be told now, upon which it is called again. */
        int (*ended)(void *userdata, Vm *vm);
        void (*capabilities_known)(void *userdata);
        void *userdata; /* borrowed */
} ManagerObserver;

int manager_new(sd_event *event, const ManagerConfig *config, Manager **ret);
Manager *manager_free(Manager *manager);
DEFINE_CLEANUP(Manager *, manager_free)

void manager_set_observer(Manager *manager, const ManagerObserver *observer);
const Capabilities *manager_capabilities(const Manager *manager);
void manager_probe_again(Manager *manager);
void manager_set_journal(Manager *manager, bool journal);
bool manager_journal(const Manager *manager);
Totals *manager_totals(Manager *manager);
const Totals *manager_read_totals(const Manager *manager);

int manager_host_devices(const Manager *manager, HostDevices *ret, TextError *reterr);
bool manager_has_device(const Manager *manager, const char *address);
int manager_create_vm(Manager *manager, VmRequest *request, const VmOwner *owner, Vm **ret,
                      TextError *reterr);
int manager_release_vm(Manager *manager, Vm *vm, TextError *reterr);
int manager_take_vm(Manager *manager, const char *token, const VmOwner *owner, bool detached,
                    Vm **ret, TextError *reterr);
void manager_client_vanished(Manager *manager, const char *bus_name);
int manager_start_vm(Manager *manager, Vm *vm, VmDoneFn done, void *userdata, TextError *reterr);

int manager_restore(Manager *manager, Scopes *scopes, const char *bus_id);
void manager_check_owners(Manager *manager, char *const *names, size_t n);
int manager_drain(Manager *manager, const StopRequest *by, usec_t timeout_usec,
                  ManagerDrainedFn done, void *userdata);
void manager_cancel_drain(Manager *manager);
int manager_pressure_error(const Manager *manager);
bool manager_is_draining(const Manager *manager);
int manager_read_history(Manager *manager, const HistoryListener *listener, HistoryReader **ret);

unsigned manager_n_vms(const Manager *manager);
unsigned manager_n_active(const Manager *manager);
Vm *manager_first_vm(const Manager *manager);
Vm *manager_next_vm(const Manager *manager, const Vm *vm);
Vm *manager_find_id(const Manager *manager, const char *id);
Vm *manager_find_name(const Manager *manager, uid_t owner, const char *name);
Vm *manager_find_foreign_name(const Manager *manager, uid_t owner, const char *name,
                              bool *ret_ambiguous);
Vm *manager_find_cid(const Manager *manager, uint32_t cid);
Vm *manager_find_pid(const Manager *manager, uint32_t pid);
