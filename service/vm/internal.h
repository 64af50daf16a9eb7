/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The inside of a VM, shared by the files of its life: vm.c and its neighbours. */

#include <sys/queue.h>

#include "config/keeper.h"
#include "service/monitor/console.h"
#include "service/monitor/control.h"
#include "service/monitor/dial.h"
#include "service/monitor/drain.h"
#include "service/monitor/notify.h"
#include "service/monitor/process.h"
#include "service/net/cards.h"
#include "service/net/tap_job.h"
#include "service/share/share_sockets.h"
#include "service/vm/stop_ladder.h"
#include "service/unit/scope.h"
#include "service/vm/vm.h"

/* Bytes kept of what the guest and the VMM say; Android's number for the failure text. */
#define FAILURE_BYTES_MAX 50000u
#define CONSOLE_TAIL_BYTES 4096u
#define STDERR_TAIL_BYTES 4096u

typedef struct VmWaiter {
        VmDoneFn done; /* optional */
        void *userdata;
} VmWaiter;

typedef enum VmPhase {
        VM_PHASE_IDLE,
        VM_PHASE_LAUNCHING, /* there is a keeper, and it has not seen the launcher execute the VMM yet */
        VM_PHASE_EXECUTED, /* the VMM ran, as far as is known it still does */
        VM_PHASE_ENDED,
} VmPhase;

typedef struct VmOperation VmOperation;

#define VM_TOKEN_BYTES 16u

/* Whoever comes with the token is to have the VM. */
typedef struct VmOffer {
        char token[2 * VM_TOKEN_BYTES + 1]; /* hexadecimal; empty: there is no offer */
        uid_t to;                           /* VM_OFFER_TO_ALL: anybody */
} VmOffer;

/* A process that serves a shared folder. */
typedef struct VmServer {
        Vm *vm;           /* borrowed; whose it is */
        Process *process; /* owned; NULL unless it was seen to live */
} VmServer;

/* The VMM's ends of the pipes of vm_make_consoles(). */
typedef struct VmConsoleEnds {
        int console, keys, log;
} VmConsoleEnds;

struct Vm {
        void *holder; /* weak; the owner's own */
        VmInfo info;
        const VmEnv *env;  /* borrowed */
        VmRequest request; /* emptied when the VMM runs */
        VmPhase phase;
        char *dir;       /* owned; NULL once removed */
        int record_file; /* owned; what the keeper writes; -EBADF before the start */
        Process *keeper; /* owned; the VMM's parent; NULL when it ended before the VMM */
        Process *
                vmm; /* owned; NULL until it runs, and if it was gone before it could be attached */
        Drain *bell; /* owned; tells when the record says how the launch went */
        Drain *failure, *vmm_stderr; /* owned */
        Console *console, *log;      /* owned; NULL if the client has it */
        sd_event_source *deadline;   /* owned; of the launch */
        sd_event_source *sampler; /* owned; NULL in the round, and before and after all samples */
        bool in_round;
        usec_t sample_due; /* in the round; CLOCK_MONOTONIC */
        TAILQ_ENTRY(Vm) round_link;
        sd_event_source *later; /* owned; what a restored VM does at the first turn of the loop */
        char *start_error;      /* owned; why the start failed */
        VmOffer offer;          /* lost with the daemon */
        StopRequest stop;       /* first one wins */
        bool kill_sent;
        bool vmm_ended;                      /* it was seen to; how, the keeper tells */
        ScopeJob *scope;                     /* while systemd makes it; owned by env->scopes */
        VmLimits limits;                     /* of the scope */
        MachinedEntry *machine;              /* owned by env->scopes' register */
        bool files_lost;                     /* those of the client did not come to this daemon */
        bool told;                           /* the death was */
        bool unsaved;                        /* the state file is not as it should be */
        bool files_stored, processes_stored; /* with systemd */
        size_t n_stored;                     /* files */
        uint64_t oom_count;                  /* when the VMM was started */
        Cards cards;                         /* until the keeper has their descriptors */
        ShareSockets shares;                 /* likewise */
        TapJob *tap_job;                     /* owned; while interfaces are being made */
        VmServer servers[VM_SHARES_MAX];     /* by the index of the shared path */
        bool has_taps;                       /* there may be interfaces of this VM */
        VmWaiter start_waiter;
        VmWaiter *death_waiters; /* owned array */
        size_t n_death_waiters;
        Notify *notify;                       /* owned; hears the guest */
        usec_t boot_timeout_usec;             /* 0: there is none */
        sd_event_source *boot_timer;          /* owned */
        StopLadder ladder;                    /* of a Stop() that is under way */
        sd_event_source *step_timer;          /* owned */
        TAILQ_HEAD(, VmOperation) operations; /* owned; calls that wait for the VMM */
        unsigned n_operations;
};

void vm_set_state(Vm *vm, VmState state);
void vm_answer_start(Vm *vm, int r, const char *message);
void vm_set_start_error(Vm *vm, const char *text);
void vm_now_running(Vm *vm, const KeeperRecord *record);
int vm_set_deadline(Vm *vm);
int vm_launch(Vm *vm);
int vm_launch_keeper(Vm *vm);
int vm_begin(Vm *vm);
void vm_end(Vm *vm, bool ran);

/* keeper.c */
int vm_open_record(Vm *vm);
bool vm_watch_keeperless(Vm *vm, const KeeperRecord *record);
int vm_spawn_keeper(Vm *vm);
int vm_read_record(const Vm *vm, KeeperRecord *ret);
int vm_kill_process(Vm *vm);
void vm_register(Vm *vm);
int vm_attach_keeper(Vm *vm, const KeeperRecord *record);
void vm_watch_vmm(Vm *vm);
int vm_attach_vmm(Vm *vm, const KeeperRecord *record);

int vm_open_kept(const Vm *vm, const char *name);

/* console.c */
int vm_make_consoles(Vm *vm, VmConsoleEnds *ends);
int vm_attach_console(Vm *vm, VmStreamKind stream, int read_fd, int write_fd);

/* devices.c */
int vm_make_devices(Vm *vm, bool *ret_wait);
void vm_close_devices(Vm *vm);
void vm_watch_servers(Vm *vm, const KeeperRecord *record);
void vm_tell_server_ends(Vm *vm, const KeeperRecord *record);
void vm_leave_servers(Vm *vm);
void vm_release_devices(Vm *vm);

/* exit.c */
void vm_release_all(Vm *vm);

/* sampling.c */
void vm_start_sampling(Vm *vm);
void vm_stop_sampling(Vm *vm);

/* store.c */
void vm_store_files(Vm *vm);
void vm_store_processes(Vm *vm);
void vm_unstore_files(Vm *vm);
void vm_unstore_processes(Vm *vm);

/* vm.c */
int vm_add_death_waiter(Vm *vm, VmDoneFn done, void *userdata, TextError *reterr);

/* vsock.c */

/* What the VMM gets for its guest's sockets; one of the two, owned. */
typedef struct VmVsockEnds {
        int dir;   /* of Unix sockets */
        int vhost; /* the host kernel's device */
} VmVsockEnds;

int vm_make_vsock(Vm *vm, VmVsockEnds *ret);
void vm_attach_vsock(Vm *vm);
int vm_dial(const Vm *vm, uint32_t port, usec_t timeout_usec, DialDoneFn done, void *userdata,
            Dial **ret);

/* control.c */

/* Why the guest is asked how its memory is: what it tells says what it is asked for next. */
typedef struct VmTrim {
        enum {
                VM_TRIM_NOT,
                VM_TRIM_TO_LEVEL,
                VM_TRIM_RISING, /* by the host's pressure, and so is the next */
                VM_TRIM_FALLING,
        } way;
        TrimLevel level;
} VmTrim;

/* A request to the VMM, and who hears of the answer: one of the two. Borrowed for the call, but for @userdata. */
typedef struct VmQuestion {
        const ControlRequest *request;
        int file;            /* that it is about; -EBADF for none */
        usec_t timeout_usec; /* 0: what suits most */
        const char *act;     /* static; what it is, for messages */
        VmReplyFn done;      /* optional */
        VmAnswerFn answered; /* optional */
        VmTrim trim;
        void *userdata;
} VmQuestion;

int vm_make_control_sockets(const Vm *vm, int *ret_control, int *ret_gdb);
int vm_question(Vm *vm, const VmQuestion *question, TextError *reterr);
int vm_ask(Vm *vm, const ControlRequest *request, const char *act, VmReplyFn done, void *userdata,
           TextError *reterr);
void vm_drop_operations(Vm *vm, bool tell);

/* trim.c */
void vm_trim_by_stats(Vm *vm, const VmTrim *trim, const ControlBalloon *balloon, VmReplyFn done,
                      void *userdata);

/* payload.c */
usec_t vm_boot_timeout(const VmRequest *request);
const char *vm_payload_take(void *userdata, const NotifyMessage *message);
void vm_await_payload(Vm *vm, usec_t begin_usec);

/* stop.c */
void vm_resume_stop(Vm *vm);
