/* SPDX-License-Identifier: Apache-2.0 */
#include "service/monitor/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"

#define COMM_MAX 15 /* TASK_COMM_LEN less its terminator */

struct Process {
        pid_t pid;
        int pidfd;               /* owned */
        sd_event_source *source; /* owned */
        bool reaped;
        ProcessEndedFn ended; /* optional */
        void *userdata;       /* borrowed */
};

static int on_ended(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Process *process = userdata;

        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        if (process->ended)
                process->ended(process->userdata); /* may free @process */
        return 0;
}

static int fill_actions(posix_spawn_file_actions_t *actions, const ProcessSpec *spec) {
        int out = spec->stdout_fd >= 0 ? spec->stdout_fd : STDERR_FILENO;
        int r;

        r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(actions, out, STDOUT_FILENO);
        /* A duplication onto itself is how posix_spawn() is told to clear CLOEXEC in the child only. */
        for (size_t i = 0; r == 0 && i < spec->n_fds; i++)
                r = posix_spawn_file_actions_adddup2(actions, spec->fds[i], spec->fds[i]);
        return -r;
}

/* The daemon blocks and ignores signals for its own ends; the child starts with a clean slate. */
static int fill_attributes(posix_spawnattr_t *attr) {
        sigset_t none, all;
        int r;

        (void) sigemptyset(&none);
        (void) sigfillset(&all);
        r = posix_spawnattr_setsigmask(attr, &none);
        if (r == 0)
                r = posix_spawnattr_setsigdefault(attr, &all);
        if (r == 0)
                r = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        return -r;
}

static int spawn(const ProcessSpec *spec, pid_t *ret) {
        char *const no_environment[] = {NULL};
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attr;
        int r;

        r = -posix_spawn_file_actions_init(&actions);
        if (r < 0)
                return r;
        r = -posix_spawnattr_init(&attr);
        if (r < 0) {
                (void) posix_spawn_file_actions_destroy(&actions);
                return r;
        }
        r = fill_actions(&actions, spec);
        if (r == 0)
                r = fill_attributes(&attr);
        if (r == 0)
                r = -posix_spawn(ret, spec->argv[0], &actions, &attr, spec->argv, no_environment);
        (void) posix_spawnattr_destroy(&attr);
        (void) posix_spawn_file_actions_destroy(&actions);
        return r;
}

/**
 * process_spawn() - execute a program as a child
 * @event: referenced as long as the process is watched
 * @ended: optional
 *
 * Return: 0 or negative errno, among them that of a failed execve().
 */
int process_spawn(sd_event *event, const ProcessSpec *spec, ProcessEndedFn ended, void *userdata,
                  Process **ret) {
        _cleanup_(process_freep) Process *process = NULL;
        int r;

        process = malloc(sizeof(*process));
        if (!process)
                return -ENOMEM;
        *process = (Process){.pidfd = -EBADF, .reaped = true, .ended = ended, .userdata = userdata};
        r = spawn(spec, &process->pid);
        if (r < 0)
                return r;
        /* Nobody but us can reap it, so the pid cannot have changed hands. */
        process->reaped = false;
        process->pidfd = pidfd_open(process->pid, 0);
        if (process->pidfd < 0) {
                r = -errno;
                (void) kill(process->pid, SIGKILL);
                (void) waitpid(process->pid, NULL, 0);
                process->reaped = true;
                return r;
        }
        r = sd_event_add_io(event, &process->source, process->pidfd, EPOLLIN, on_ended, process);
        if (r < 0)
                return r;
        *ret = TAKE(process);
        return 0;
}

/** process_free() - forget the child; one that was not reaped is killed first. Return: NULL. */
Process *process_free(Process *process) {
        if (!process)
                return NULL;
        if (!process->reaped) {
                siginfo_t info;

                process_kill_group(process);
                (void) process_kill(process, SIGKILL);
                /* Ends at once unless it hangs in the kernel, which nobody could help. */
                (void) waitid((idtype_t) P_PIDFD, (id_t) process->pidfd, &info, WEXITED);
        }
        (void) sd_event_source_disable_unref(process->source);
        (void) fd_close(process->pidfd);
        free(process);
        return NULL;
}

pid_t process_pid(const Process *process) {
        return process->pid;
}

/** process_kill() - send a signal; fine after the child's end. Return: 0 or negative errno. */
int process_kill(Process *process, int signo) {
        if (process->reaped)
                return 0;
        return pidfd_send_signal(process->pidfd, signo, NULL, 0) < 0 && errno != ESRCH ? -errno : 0;
}

/**
 * process_kill_group() - SIGKILL to all that is left of the process group the child leads
 *
 * Must come before process_reap(): only the zombie keeps the number from being given to somebody else.
 */
void process_kill_group(Process *process) {
        if (!process->reaped && getpgid(process->pid) == process->pid)
                (void) kill(-process->pid, SIGKILL);
}

/**
 * process_is_ending() - whether the child is a zombie, gone, or about to be
 *
 * An ending process gives up its memory first, its descriptors then, and becomes a zombie last. So one whose
 * descriptors were seen to close is ending exactly if it has no memory any more, and with it no executable.
 */
bool process_is_ending(const Process *process) {
        char path[64], target[8];

        if (process->reaped)
                return true;
        (void) snprintf(path, sizeof(path), "/proc/%d/exe", process->pid);
        return readlink(path, target, sizeof(target)) < 0 && errno == ENOENT;
}

/**
 * process_runs_program() - whether the child, ending or a zombie, still carries the name execve() gave it for @path
 *
 * Tells a child that ended in its first program from one that ended in a program which that one executed.
 */
bool process_runs_program(const Process *process, const char *path) {
        char proc[64], comm[COMM_MAX + 2] = {0};
        _cleanup_(fd_closep) int fd = -EBADF;
        const char *slash = strrchr(path, '/');
        ssize_t n;

        (void) snprintf(proc, sizeof(proc), "/proc/%d/comm", process->pid);
        fd = open(proc, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return false;
        n = read(fd, comm, sizeof(comm) - 1);
        if (n <= 0)
                return false;
        comm[strcspn(comm, "\n")] = '\0';
        return strncmp(comm, slash ? slash + 1 : path, COMM_MAX) == 0;
}

/**
 * process_reap() - collect how the ended child ended
 *
 * Return: 0; -EAGAIN if it has not ended; other negative errno when waiting failed, and no status can be had.
 */
int process_reap(Process *process, ProcessExit *ret) {
        siginfo_t info = {0};

        if (waitid((idtype_t) P_PIDFD, (id_t) process->pidfd, &info, WEXITED | WNOHANG) < 0) {
                process->reaped = errno == ECHILD;
                return -errno;
        }
        if (info.si_pid == 0)
                return -EAGAIN;
        process->reaped = true;
        *ret = (ProcessExit){.exited = info.si_code == CLD_EXITED,
                             .status = info.si_status,
                             .core_dumped = info.si_code == CLD_DUMPED};
        return 0;
}
