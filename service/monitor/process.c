/* SPDX-License-Identifier: Apache-2.0 */
#include "service/monitor/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/proc_stat.h"
#include "base/shortage.h"
#include "base/wait.h"

struct Process {
        pid_t pid;
        int pidfd;               /* owned */
        sd_event_source *source; /* owned; NULL while nobody watches */
        bool child;              /* this process spawned it, and must reap it */
        bool reaped;
        ProcessEndedFn ended; /* optional */
        void *userdata;       /* borrowed */
        Process *next, *previous;
};

/* All there are: a process has one set of children. */
static Process *known;

static Process *remember(Process *process) {
        process->next = known;
        if (known)
                known->previous = process;
        return known = process;
}

static void forget(Process *process) {
        if (process->next)
                process->next->previous = process->previous;
        if (process->previous)
                process->previous->next = process->next;
        else if (known == process)
                known = process->next;
}

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
static int fill_attributes(posix_spawnattr_t *attr, int blocked_signal) {
        sigset_t mask, all;
        int r;

        (void) sigemptyset(&mask);
        if (blocked_signal > 0)
                (void) sigaddset(&mask, blocked_signal);
        (void) sigfillset(&all);
        r = posix_spawnattr_setsigmask(attr, &mask);
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
                r = fill_attributes(&attr, spec->blocked_signal);
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
        *process = (Process){.pidfd = -EBADF, .child = true, .reaped = true};
        (void) remember(process);
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
        r = process_watch(process, event, ended, userdata);
        if (r < 0)
                return r;
        *ret = TAKE(process);
        return 0;
}

/**
 * process_attach() - know a process that somebody else spawned, perhaps a daemon before this one
 * @start_time: as PROC_STAT_START_TIME; a process of that number with another one is not meant
 * @pidfd:      consumed; -EBADF to open one
 *
 * Return: 0; -ESRCH when it is gone, reaped and all; other negative errno.
 */
int process_attach(pid_t pid, uint64_t start_time, int pidfd, Process **ret) {
        _cleanup_(fd_closep) int fd = pidfd;
        uint64_t actual;
        Process *process;
        int r;

        if (fd < 0)
                fd = pidfd_open(pid, 0);
        if (fd < 0)
                return -errno;
        /* After the opening: then the number cannot have changed hands in between. */
        r = proc_stat_read(pid, PROC_STAT_START_TIME, &actual);
        if (is_shortage(r))
                return r;
        if (r < 0 || actual != start_time)
                return -ESRCH;
        process = malloc(sizeof(*process));
        if (!process)
                return -ENOMEM;
        *process = (Process){.pid = pid, .pidfd = TAKE_FD(fd)};
        *ret = remember(process);
        return 0;
}

/** process_watch() - hear of its end; once in its life. Return: 0 or negative errno. */
int process_watch(Process *process, sd_event *event, ProcessEndedFn ended, void *userdata) {
        int r;

        process->ended = ended;
        process->userdata = userdata;
        r = sd_event_add_io(event, &process->source, process->pidfd, EPOLLIN, on_ended, process);
        return r < 0 ? r : 0;
}

/** process_is_watched() - whether process_watch() was called */
bool process_is_watched(const Process *process) {
        return process->source != NULL;
}

/** process_leave() - forget the process and let it run on. Return: NULL. */
Process *process_leave(Process *process) {
        siginfo_t info;

        if (!process)
                return NULL;
        /* Nobody hears any more of one that came to us and has ended already. */
        if (!process->reaped)
                (void) waitid((idtype_t) P_PIDFD, (id_t) process->pidfd, &info, WEXITED | WNOHANG);
        process->child = false;
        return process_free(process);
}

/** process_is_known() - whether there is one of that number, whose owner reaps it */
bool process_is_known(pid_t pid) {
        for (const Process *process = known; process; process = process->next)
                if (process->pid == pid)
                        return true;
        return false;
}

/** process_pidfd() - borrowed */
int process_pidfd(const Process *process) {
        return process->pidfd;
}

/** process_free() - forget the process; a child that was not reaped is killed first. Return: NULL. */
Process *process_free(Process *process) {
        if (!process)
                return NULL;
        if (process->child && !process->reaped) {
                siginfo_t info;

                process_kill_group(process);
                (void) process_kill(process, SIGKILL);
                /* Ends at once unless it hangs in the kernel, which nobody could help. */
                (void) waitid((idtype_t) P_PIDFD, (id_t) process->pidfd, &info, WEXITED);
        }
        (void) sd_event_source_disable_unref(process->source);
        (void) fd_close(process->pidfd);
        forget(process);
        free(process);
        return NULL;
}

/** process_pid() - its pid, which may be another's once it was reaped */
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
 * process_reap() - collect how the ended child ended
 *
 * Works for what came to this process as the nearest subreaper, too.
 *
 * Return: 0; -EAGAIN if it has not ended; other negative errno when waiting failed, and no status can be had.
 */
int process_reap(Process *process, ProcessExit *ret) {
        siginfo_t info = {0};
        uint64_t peak_bytes;
        int r;

        r = wait_process((idtype_t) P_PIDFD, (id_t) process->pidfd, WEXITED | WNOHANG, &info,
                         &peak_bytes);
        if (r < 0) {
                process->reaped = r == -ECHILD;
                return r;
        }
        if (info.si_pid == 0)
                return -EAGAIN;
        process->reaped = true;
        *ret = (ProcessExit){.exited = info.si_code == CLD_EXITED,
                             .status = info.si_status,
                             .core_dumped = info.si_code == CLD_DUMPED,
                             .peak_bytes = peak_bytes};
        return 0;
}
