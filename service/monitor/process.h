/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A process: spawned or met, watched and reaped through its pidfd. */

#include <systemd/sd-event.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

typedef struct Process Process;

typedef struct ProcessExit {
        bool exited;         /* by itself, with @status; else by signal @status */
        int status;          /* exit status or signal number */
        bool core_dumped;    /* for a signal */
        uint64_t peak_bytes; /* the most memory that it had resident at once */
} ProcessExit;

/* The child has ended and is a zombie; called once. process_reap() is the callee's to call. */
typedef void (*ProcessEndedFn)(void *userdata);

/* What a child gets besides an empty environment and clean signals. */
typedef struct ProcessSpec {
        char *const *argv; /* NULL-terminated; argv[0] is an absolute path */
        const int *fds;    /* inherited under their own numbers, all above 2; borrowed */
        size_t n_fds;
        int stdout_fd;      /* borrowed; -EBADF: joins standard error */
        int blocked_signal; /* blocked from the first instruction; 0: none */
} ProcessSpec;

int process_spawn(sd_event *event, const ProcessSpec *spec, ProcessEndedFn ended, void *userdata,
                  Process **ret);
int process_attach(pid_t pid, uint64_t start_time, int pidfd, Process **ret);
bool process_is_watched(const Process *process);
int process_watch(Process *process, sd_event *event, ProcessEndedFn ended, void *userdata);
Process *process_free(Process *process);
Process *process_leave(Process *process);
DEFINE_CLEANUP(Process *, process_free)

bool process_is_known(pid_t pid);
pid_t process_pid(const Process *process);
int process_pidfd(const Process *process);
int process_kill(Process *process, int signo);
void process_kill_group(Process *process);
int process_reap(Process *process, ProcessExit *ret);
