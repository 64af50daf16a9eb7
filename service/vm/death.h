/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Why a VM ended: the facts, the decision, and the record that is kept of it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/clock.h"
#include "service/vm/stop_ladder.h"

/* The numbers are Android's up to 99, ours from 100 on; both are part of the bus contract. */
typedef enum DeathReason {
        DEATH_INFRASTRUCTURE_ERROR = 0,
        DEATH_KILLED = 1,
        DEATH_UNKNOWN = 2,
        DEATH_SHUTDOWN = 3,
        DEATH_START_FAILED = 4,
        DEATH_REBOOT = 5,
        DEATH_CRASH = 6,
        DEATH_PVM_FIRMWARE_PUBLIC_KEY_MISMATCH = 7,
        DEATH_PVM_FIRMWARE_INSTANCE_IMAGE_CHANGED = 8,
        DEATH_MICRODROID_FAILED_TO_CONNECT_TO_VIRTUALIZATION_SERVICE = 11,
        DEATH_MICRODROID_PAYLOAD_HAS_CHANGED = 12,
        DEATH_MICRODROID_PAYLOAD_VERIFICATION_FAILED = 13,
        DEATH_MICRODROID_INVALID_PAYLOAD_CONFIG = 14,
        DEATH_MICRODROID_UNKNOWN_RUNTIME_ERROR = 15,
        DEATH_HANGUP = 16,
        DEATH_WATCHDOG_REBOOT = 17,
        DEATH_GUEST_PANIC = 100,
        DEATH_VMM_INVALID_ARGS = 101,
        DEATH_VMM_CRASH = 102,
        DEATH_OUT_OF_MEMORY = 103,
        DEATH_VMM_SECCOMP = 104,
        DEATH_LOST = 105,
} DeathReason;
#define DEATH_REASON_COUNT 22u /* the numbers have gaps; see death_reason_index() */

/* Who asked the daemon to end the VM. */
typedef enum StopRequester {
        STOP_BY_NOBODY,
        STOP_BY_CLIENT,     /* Kill() or Stop() */
        STOP_BY_DISCONNECT, /* the creator left the bus */
        STOP_BY_DRAIN,      /* Drain() */
} StopRequester;
#define STOP_BY_LAST STOP_BY_DRAIN

typedef struct StopRequest {
        StopRequester by;
        uid_t uid; /* for STOP_BY_CLIENT and STOP_BY_DRAIN */
        pid_t pid; /* likewise */
} StopRequest;

/* How the VMM's process ended. */
typedef enum ExitKind {
        EXIT_UNSEEN, /* the VMM was lost while nobody could wait for it */
        EXIT_WAIT_FAILED,
        EXIT_NEVER_RAN, /* the start failed before the VMM was executed */
        EXIT_STATUS,
        EXIT_SIGNAL,
} ExitKind;

typedef struct DeathFacts {
        ExitKind exit;
        int status;               /* exit status or signal number */
        bool kill_sent;           /* we sent SIGKILL */
        bool oom_kill;            /* the kernel's OOM killer took it */
        bool payload_hangup;      /* payload state is "hangup" */
        const char *failure_text; /* borrowed; up to the first '|'; never NULL */
} DeathFacts;

#define DEATH_CALL_MAX 32u

typedef struct DeathRecord {
        DeathReason reason;
        bool exited;      /* @exit_status is valid */
        int exit_status;  /* -1 if there is none */
        int exit_signal;  /* 0 if no signal ended the VMM */
        bool core_dumped; /* for exit_signal */
        char system_call
                [DEATH_CALL_MAX]; /* for SIGSYS: what was not allowed, as the VMM said; "" if it did not */
        char *message;            /* owned, optional: why the start or the waiting failed */
        char *ramdump;            /* owned, optional: path of the dump of a guest that panicked */
        char *failure_text, *failure_info; /* owned, UTF-8, NULL if memory ran out */
        uint64_t failure_bytes;            /* written by the guest in all */
        char *console_tail, *stderr_tail;  /* owned, raw bytes */
        size_t console_tail_len, stderr_tail_len;
        usec_t run_time_usec;
        usec_t guest_cpu_usec;
        uint64_t rss_peak_bytes; /* of guest and VMM together; the others as they were sampled */
        uint64_t rss_guest_peak_bytes, rss_vmm_peak_bytes;
        StopRequest stop;
        StopStep stop_step; /* of Stop(), the one during which it ended */
} DeathRecord;

DeathReason death_decide(const DeathFacts *facts);
const char *death_reason_to_string(DeathReason reason);
unsigned death_reason_index(DeathReason reason);
DeathReason death_reason_at(unsigned index);
const char *stop_requester_to_string(StopRequester by);
void death_find_system_call(const char *log, size_t len, char ret[static DEATH_CALL_MAX]);
int death_split_failure(const char *raw, size_t len, char **ret_text, char **ret_info);

void death_record_deinit(DeathRecord *record);
