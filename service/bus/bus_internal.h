/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of the bus layer share. */

#include <systemd/sd-bus.h>

#include <sys/queue.h>
#include <sys/types.h>

#include "dbus/names.h"
#include "service/bus/bus_service.h"
#include "service/bus/changed.h"
#include "service/bus/gate.h"
#include "service/bus/history_bus.h"
#include "service/manager/manager.h"
#include "service/policy/caller.h"

/* A method call that is answered later. */
typedef struct PendingCall {
        BusService *service;     /* borrowed */
        sd_bus_message *message; /* owned */
        bool for_capabilities;   /* waits for the probe; else for a VM */
        TAILQ_ENTRY(PendingCall) link;
} PendingCall;

typedef TAILQ_HEAD(PendingCallList, PendingCall) PendingCallList;

struct BusService {
        sd_bus *bus;      /* borrowed; outlives the service */
        Manager *manager; /* borrowed; outlives the service */
        uid_t uid;        /* the daemon's own */
        CallerCache callers;
        Changed *changed;      /* owned */
        Gate *gate;            /* owned */
        HistoryCalls *history; /* owned */
        PendingCallList pending;
};

/* sd-bus takes some things without const that it only reads. */
static inline void *bus_unconst(const void *p) {
        union {
                const void *in;
                void *out;
        } cast = {.in = p};

        return cast.out;
}

extern const sd_bus_vtable manager_bus_vtable[];
extern const sd_bus_vtable vm_bus_vtable[];
extern const sd_bus_vtable log_control_vtable[];

/* Where the path of a VM's object is written. */
typedef struct VmBusPath {
        char text[sizeof(VIVARIUM_VM_PATH_PREFIX "/_00") + VM_ID_LEN];
} VmBusPath;

const char *vm_bus_path(const Vm *vm, VmBusPath *buf);
Vm *vm_bus_at_path(const BusService *service, const char *path);
int vm_bus_find(sd_bus *bus, const char *path, const char *interface, void *userdata,
                void **ret_found, sd_bus_error *error);
int vm_bus_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
                     sd_bus_error *error);
int vm_bus_stop(sd_bus_message *message, void *userdata, sd_bus_error *error);
int vm_bus_suspend(sd_bus_message *message, void *userdata, sd_bus_error *error);
int vm_bus_resume(sd_bus_message *message, void *userdata, sd_bus_error *error);
int vm_bus_get_balloon(sd_bus_message *message, void *userdata, sd_bus_error *error);
int vm_bus_set_balloon(sd_bus_message *message, void *userdata, sd_bus_error *error);
int vm_bus_trim_memory(sd_bus_message *message, void *userdata, sd_bus_error *error);
int vm_bus_connect_vsock(sd_bus_message *message, void *userdata, sd_bus_error *error);
int vm_bus_open_console(sd_bus_message *message, void *userdata, sd_bus_error *error);
int vm_bus_open_gdb(sd_bus_message *message, void *userdata, sd_bus_error *error);
int vm_bus_open_ramdump(sd_bus_message *message, void *userdata, sd_bus_error *error);
int vm_bus_dump_memory(sd_bus_message *message, void *userdata, sd_bus_error *error);
int vm_bus_list_disks(sd_bus_message *message, void *userdata, sd_bus_error *error);
int vm_bus_add_disk(sd_bus_message *message, void *userdata, sd_bus_error *error);
int vm_bus_remove_disk(sd_bus_message *message, void *userdata, sd_bus_error *error);
int vm_bus_resize_disk(sd_bus_message *message, void *userdata, sd_bus_error *error);
int vm_bus_offer_ownership(sd_bus_message *message, void *userdata, sd_bus_error *error);
int vm_bus_open_log(sd_bus_message *message, void *userdata, sd_bus_error *error);
BusService *bus_current_service(sd_bus *bus);
int vm_bus_emit_payload(sd_bus *bus, const Vm *vm, const VmPayloadEvent *event);
int vm_bus_emit_died(sd_bus *bus, const Vm *vm);
int manager_bus_emit_vm(sd_bus *bus, const char *signal, const Vm *vm);
int manager_bus_answer_capabilities(PendingCall *call);

int bus_identify(BusService *service, sd_bus_message *message, Caller *ret);
int manager_bus_get_assignable_devices(sd_bus_message *message, void *userdata,
                                       sd_bus_error *error);
int manager_bus_get_history(sd_bus_message *message, void *userdata, sd_bus_error *error);
int manager_bus_get_usage(sd_bus_message *message, void *userdata, sd_bus_error *error);
int manager_bus_take_ownership(sd_bus_message *message, void *userdata, sd_bus_error *error);
int manager_bus_drain(sd_bus_message *message, void *userdata, sd_bus_error *error);
int manager_bus_cancel_drain(sd_bus_message *message, void *userdata, sd_bus_error *error);
int manager_bus_get_draining(sd_bus *bus, const char *path, const char *interface,
                             const char *property, sd_bus_message *reply, void *userdata,
                             sd_bus_error *error);

int pending_call_new(BusService *service, sd_bus_message *message, PendingCall **ret);
PendingCall *pending_call_free(PendingCall *call);
void pending_call_done(void *userdata, int r, const char *message);
void pending_call_fd(void *userdata, int r, int fd, const char *message);
void pending_call_replied(void *userdata, int r, uint64_t value, const char *message);
int pending_call_settle(PendingCall *call, int r, const TextError *text, sd_bus_error *error);
void pending_call_u32(void *userdata, int r, uint64_t value, const char *message);
void pending_call_number(void *userdata, int r, uint64_t value, const char *message);
