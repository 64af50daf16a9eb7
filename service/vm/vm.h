/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One virtual machine: what it is, and its life from creation over a start to its one death record. Everything runs
 * on the event loop of the daemon and nothing blocks it; what takes time is answered through a callback.
 */

#include <systemd/sd-event.h>

#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "config/control_message.h"
#include "service/conditions.h"
#include "service/vm/death.h"
#include "service/metrics/sample.h"
#include "service/monitor/line_log.h"
#include "service/monitor/oom.h"
#include "service/policy/trim.h"
#include "service/request.h"
#include "service/store/fdstore.h"
#include "service/store/fields.h"
#include "service/store/ramdumps.h"
#include "service/unit/scope.h"
#include "service/vm/sampling.h"
#include "service/vm/state.h"

#define VM_ID_LEN 32u
#define VM_WAITERS_MAX 64u
#define VM_VSOCK_PORT_MIN 1024u
/* Name of a VM without one, from its CID. */
#define VM_NAME_BY_CID "vm-%u"

typedef struct Vm Vm;

/* What may be seen of a VM; the bus serves its properties from here. What a list of all VMs tells of each comes first: it
 * is waited for by as many lines of the processor's cache as there are VMs, and not a multiple of it. */
typedef struct VmInfo {
        char id[VM_ID_LEN + 1]; /* hexadecimal digits */
        uint32_t cid;
        VmState state;
        VmPayloadState payload;
        VmmHypervisor hypervisor;
        uint32_t owner_uid;
        char *name;              /* owned */
        int suspended;           /* boolean, in the width that sd-bus reads */
        uint64_t balloon_bytes;  /* that the guest was last asked to give up */
        uint64_t balloon_choice; /* likewise, by its owner; the host's pressure asks for no less */
        bool auto_balloon;       /* it follows the host's pressure */
        int payload_exit_code;   /* 0 unless the guest named one */
        char *payload_status;    /* owned; the guest's words about it; NULL if there are none */
        usec_t payload_started_usec, payload_started_monotonic_usec;
        uint32_t owner_pid;
        char *owner_bus_name; /* owned; unique name of the owner's connection */
        char *owner_bus_id; /* owned; of the bus that has that name; another one may have it too */
        char *interfaces; /* owned; of the host, with spaces between them; NULL if there are none */
        char *unit;       /* owned; systemd's name of the scope; "" where VMs have none */
        char *devices; /* owned; addresses of the host's functions that it has, with spaces; NULL: none */
        bool vhost_vsock; /* the host's kernel connects its sockets, by @cid */
        int detached;     /* boolean, in the width that sd-bus reads */
        uint64_t memory_bytes;
        uint32_t n_vcpus;
        uint32_t pid; /* of the VMM while it runs, else 0 */
        usec_t created_usec, created_monotonic_usec;
        usec_t started_usec, started_monotonic_usec;
        usec_t died_usec, died_monotonic_usec;
        Usage usage;
        DeathRecord record; /* valid in a final state */
} VmInfo;

/* Groups of properties that change together. */
typedef enum VmChange {
        VM_CHANGED_STATE = 1 << 0,
        VM_CHANGED_START = 1 << 1,
        VM_CHANGED_DEATH = 1 << 2,
        VM_CHANGED_USAGE = 1 << 3,
        VM_CHANGED_PAYLOAD = 1 << 4,
        VM_CHANGED_SUSPENDED = 1 << 5,
        VM_CHANGED_BALLOON = 1 << 6,
        VM_CHANGED_OWNER = 1 << 7,
} VmChange;

typedef enum VmPayloadEventKind {
        VM_PAYLOAD_EVENT_STARTED,
        VM_PAYLOAD_EVENT_READY,
        VM_PAYLOAD_EVENT_FINISHED, /* @code: its exit status */
        VM_PAYLOAD_EVENT_ERROR,    /* @code and @text are the guest's */
} VmPayloadEventKind;

typedef struct VmPayloadEvent {
        VmPayloadEventKind kind;
        int code;
        const char *text; /* borrowed, UTF-8; for an error */
} VmPayloadEvent;

/* What a guest writes that is the service's to keep and to show. */
typedef enum VmStreamKind {
        VM_STREAM_CONSOLE,
        VM_STREAM_LOG,
} VmStreamKind;

/* What a VM borrows from its owner, who outlives it. */
typedef struct VmEnv {
        sd_event *event;
        const char *vmm_path, *launcher_path;
        VmmDialect vmm_dialect; /* of its command line */
        const char *runtime_dir;
        const char *vmm_log_level; /* optional */
        const char *netd_socket;   /* of vivarium-netd; NULL where VMs get no interfaces */
        const char *virtiofsd_path;
        OomWatch *oom;
        SampleRound *round;
        FdStore *fdstore;
        Ramdumps *ramdumps;
        int state_dir;      /* directory of the VMs' state files */
        Scopes *scopes;     /* NULL where there is no bus */
        const char *bus_id; /* "" where there is no bus */
        RateLimit *lines;   /* the budget of all VMs for what their guests write */
        /* The guest wrote a line; see LineFn. */
        bool (*line)(void *userdata, const Vm *vm, VmStreamKind stream, LineKind kind,
                     const char *text);
        /* Properties changed. Must not free the VM. */
        void (*changed)(void *userdata, Vm *vm, unsigned changes);
        /* The guest told of its payload. Must not free the VM. */
        void (*payload)(void *userdata, Vm *vm, const VmPayloadEvent *event);
        /* The VM reached a final state and holds nothing any more. Must not free the VM. */
        void (*ended)(void *userdata, Vm *vm);
        /* A state file could not be written; vm_save() wants to be called again. */
        void (*unsaved)(void *userdata);
        void *userdata;
} VmEnv;

#define VM_OFFER_TO_ALL ((uid_t) -1)

/* Who created the VM, or took it over. */
typedef struct VmOwner {
        uid_t uid;
        pid_t pid;
        const char *bus_name; /* borrowed */
} VmOwner;

/**
 * VmDoneFn - a start or a death that was waited for; called once for each wait
 * @r:       0, or a SERVICE_E_* condition, or a negative errno
 * @message: the sentence for a failure; borrowed
 */
typedef void (*VmDoneFn)(void *userdata, int r, const char *message);

/**
 * VmReplyFn - the VMM answered, or will not
 * @r:       as for VmDoneFn
 * @value:   what was asked for, if it is a number
 * @message: the sentence for a failure; borrowed
 */
typedef void (*VmReplyFn)(void *userdata, int r, uint64_t value, const char *message);

/**
 * VmAnswerFn - the VMM answered, or will not
 * @answer: of the kind that the request has; borrowed; NULL unless @r is 0
 */
typedef void (*VmAnswerFn)(void *userdata, int r, const ControlAnswer *answer, const char *message);

/* A disk for a VM that runs. All of it is borrowed. */
typedef struct VmNewDisk {
        int file;
        bool writable;
        const char *serial; /* optional; by which the guest knows it */
} VmNewDisk;

/* VmFdFn - a descriptor, or a failure as for VmReplyFn; @fd is borrowed, -EBADF unless @r is 0 */
typedef void (*VmFdFn)(void *userdata, int r, int fd, const char *message);

int vm_new(const VmEnv *env, VmRequest *request, uint32_t cid, const VmOwner *owner, Vm **ret);
uint32_t vm_count_vcpus(const VmConfig *config);
void vm_keep(Vm *vm);
Vm *vm_free(Vm *vm);
DEFINE_CLEANUP(Vm *, vm_free)
void vm_forget(const Vm *vm);
Vm *vm_remove(Vm *vm);

const VmInfo *vm_info(const Vm *vm);
void vm_set_holder(Vm *vm, void *holder);
void *vm_holder(const Vm *vm);
bool vm_is_active(const Vm *vm);
bool vm_has_dir(const Vm *vm);
void vm_save(Vm *vm);
bool vm_is_saved(const Vm *vm);
unsigned vm_count_files(const Vm *vm);
int vm_start(Vm *vm, VmDoneFn done, void *userdata, TextError *reterr);
int vm_restore(const VmEnv *env, const Fields *state, Vm **ret);
void vm_resume(Vm *vm);
void vm_died_was_told(Vm *vm);
bool vm_death_is_told(const Vm *vm);
int vm_terminate(Vm *vm, const StopRequest *by);
int vm_kill(Vm *vm, const StopRequest *by, VmDoneFn done, void *userdata, TextError *reterr);
int vm_stop(Vm *vm, const StopRequest *by, usec_t timeout_usec, VmDoneFn done, void *userdata,
            TextError *reterr);
int vm_suspend(Vm *vm, VmReplyFn done, void *userdata, TextError *reterr);
int vm_wake(Vm *vm, VmReplyFn done, void *userdata, TextError *reterr);
int vm_get_balloon(Vm *vm, VmReplyFn done, void *userdata, TextError *reterr);
int vm_set_balloon(Vm *vm, uint64_t bytes, VmReplyFn done, void *userdata, TextError *reterr);
int vm_list_disks(Vm *vm, VmAnswerFn done, void *userdata, TextError *reterr);
int vm_add_disk(Vm *vm, const VmNewDisk *disk, VmReplyFn done, void *userdata, TextError *reterr);
int vm_remove_disk(Vm *vm, uint32_t number, VmReplyFn done, void *userdata, TextError *reterr);
int vm_resize_disk(Vm *vm, uint32_t number, uint64_t bytes, VmReplyFn done, void *userdata,
                   TextError *reterr);
int vm_trim(Vm *vm, TrimLevel level, VmReplyFn done, void *userdata, TextError *reterr);
void vm_follow_pressure(Vm *vm, TrimLevel level, bool rising);
bool vm_is_trimmed(const Vm *vm);
int vm_offer(Vm *vm, uid_t to, const char **ret_token, TextError *reterr);
bool vm_is_offered(const Vm *vm, const char *token, uid_t uid);
int vm_set_owner(Vm *vm, const VmOwner *owner, bool detached);
int vm_open_gdb(const Vm *vm, int *ret_fd, TextError *reterr);
int vm_dump_memory(Vm *vm, int file, VmReplyFn done, void *userdata, TextError *reterr);
int vm_open_ramdump(const Vm *vm, int *ret_fd, TextError *reterr);
void vm_sample_soon(Vm *vm);
int vm_open_console(Vm *vm, VmStreamKind stream, int *ret_fd, TextError *reterr);
int vm_connect_vsock(Vm *vm, uint32_t port, VmFdFn done, void *userdata, TextError *reterr);
