/* SPDX-License-Identifier: Apache-2.0 */
#include "crosvm_launcher/keeper.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/proc_stat.h"
#include "base/str.h"
#include "base/wait.h"

/*
 * The kernel tells how a process ended to its parent, once, and to nobody afterwards; before Linux 6.15 a pidfd does
 * not tell it either. If that parent were the daemon, a VMM that ends while the daemon is being replaced would have
 * ended for reasons that nobody can know. So each VMM has a parent of its own that does nothing else: it holds some
 * 100 KiB, reads no input but signals, and writes down what it saw before it reaps.
 *
 * It blocks every signal: who stops the VM's cgroup means the VMM, and the keeper goes when that has gone.
 */

#define COMM_MAX 15 /* TASK_COMM_LEN less its terminator */
#define CGROUP_ROOT "/sys/fs/cgroup"
#define SMALL_FILE_MAX 4096u
/* What the VMM left behind is killed in so many rounds; each child that forks anew costs one. */
#define ORPHAN_ROUNDS_MAX 64u

static int process_of(pid_t pid, KeeperProcess *ret) {
        ret->pid = pid;
        return proc_stat_read(pid, PROC_STAT_START_TIME, &ret->start_time);
}

/* No signal ends or stops it but SIGKILL and SIGSTOP; its own session keeps a terminal's away. */
static int become_keeper(void) {
        sigset_t all;

        (void) sigfillset(&all);
        if (sigprocmask(SIG_SETMASK, &all, NULL) < 0 || (setsid() < 0 && errno != EPERM) ||
            /* What the VMM leaves behind must come to whoever ends it. */
            prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
                return -errno;
        return 0;
}

/* Who gives a VM up, or its launch, removes the name of the record. */
static int check_wanted(const Keeper *keeper) {
        struct stat st;

        if (fstat(keeper->fds.record, &st) < 0)
                return -errno;
        return st.st_nlink > 0 ? 0 : -ECANCELED;
}

/**
 * keeper_wait_for_go() - say who keeps, then wait until the daemon has put this process where it belongs
 *
 * Return: 0 to launch; -ETIMEDOUT; -ECANCELED when the VM was given up meanwhile; other negative errno.
 */
int keeper_wait_for_go(Keeper *keeper) {
        const struct timespec timeout = {.tv_sec = KEEPER_GO_TIMEOUT_SEC};
        sigset_t go;
        int r;

        r = become_keeper();
        if (r == 0)
                r = process_of(getpid(), &keeper->record.keeper);
        if (r == 0)
                r = keeper_write_self(keeper->fds.record, &keeper->record.keeper, &keeper->fds);
        /* Who removed the name before did not read that line, and does not end us. */
        if (r == 0)
                r = check_wanted(keeper);
        if (r < 0)
                return r;
        (void) sigemptyset(&go);
        (void) sigaddset(&go, KEEPER_GO_SIGNAL);
        while (sigtimedwait(&go, NULL, &timeout) < 0)
                if (errno != EINTR)
                        return errno == EAGAIN ? -ETIMEDOUT : -errno;
        return check_wanted(keeper);
}

/* Holds nothing of the VM but what it must; the VMM has the rest. */
static void close_all_but(const KeeperFds *fds) {
        const int kept[] = {fds->record,  fds->bell_in, fds->bell_out, fds->status_in, fds->failure,
                            fds->console, fds->err,     fds->log,      fds->keys};
        int next = 0;

        /* In ascending order, the gaps between them. */
        for (;;) {
                int lowest = -1;

                for (size_t i = 0; i < ELEMENTSOF(kept); i++)
                        if (kept[i] >= next && (lowest < 0 || kept[i] < lowest))
                                lowest = kept[i];
                if (lowest < 0)
                        break;
                if (lowest > next)
                        (void) close_range((unsigned) next, (unsigned) lowest - 1, 0);
                next = lowest + 1;
        }
        (void) close_range((unsigned) next, ~0u, 0);
        /* 0 to 2 are free now: the lowest are handed out. */
        for (int fd = open("/dev/null", O_RDWR | O_CLOEXEC); fd >= 0 && fd < STDERR_FILENO;)
                fd = open("/dev/null", O_RDWR | O_CLOEXEC);
}

/* Reads the launcher's sentence until the last copy of the pipe's end is closed: by its exec or by its end. */
static void read_status(int fd, char *buf, size_t size) {
        char rest[256];
        size_t len = 0;

        for (;;) {
                bool full = len >= size - 1;
                ssize_t n =
                        full ? read(fd, rest, sizeof(rest)) : read(fd, buf + len, size - 1 - len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        break;
                if (!full)
                        len += (size_t) n;
        }
        buf[len] = '\0';
}

/*
 * An ending process gives up its memory first, its descriptors then, and becomes a zombie last. So one whose
 * descriptors were seen to close is ending exactly if it has no memory any more, and with it no executable.
 */
static bool is_ending(pid_t pid) {
        char path[64], target[8];

        (void) snprintf(path, sizeof(path), "/proc/%d/exe", pid);
        return readlink(path, target, sizeof(target)) < 0 && errno == ENOENT;
}

/* Whether the child, ending or a zombie, still carries the name that execve() gave it for the launcher. */
static bool is_named(pid_t pid, const char *name) {
        char path[64], comm[COMM_MAX + 2] = {0};
        _cleanup_(fd_closep) int fd = -EBADF;

        (void) snprintf(path, sizeof(path), "/proc/%d/comm", pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, comm, sizeof(comm) - 1) <= 0)
                return false;
        comm[strcspn(comm, "\n")] = '\0';
        return strncmp(comm, name, COMM_MAX) == 0;
}

static int settle_launch(Keeper *keeper, pid_t child, const char *launcher_name) {
        char error[KEEPER_ERROR_MAX + 1];
        int r = 0;

        read_status(keeper->fds.status_in, error, sizeof(error));
        if (error[0])
                r = keeper_write_failed(keeper->fds.record, error);
        else if (!is_ending(child) || !is_named(child, launcher_name)) {
                keeper->record.executed = true;
                r = keeper_write_executed(keeper->fds.record);
        }
        /* Whoever waits for the news reads the record now. */
        (void) fd_close(TAKE_FD(keeper->fds.bell_out));
        (void) fd_close(TAKE_FD(keeper->fds.bell_in));
        (void) fd_close(TAKE_FD(keeper->fds.status_in));
        return r;
}

static int read_small(const char *path, char **ret) {
        _cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);

        return fd < 0 ? -errno : fd_read_bounded(fd, SMALL_FILE_MAX, ret, NULL);
}

/* OOM kills in the own cgroup, if it is one of version 2 that was made for this VM alone. */
static uint64_t count_oom_kills(void) {
        _cleanup_(freep) char *cgroup = NULL, *events = NULL, *path = NULL;
        uint64_t count = 0;
        char *line;

        if (read_small("/proc/self/cgroup", &cgroup) < 0)
                return 0;
        assert(cgroup);
        line = strstr(cgroup, "0::/");
        if (!line || (line != cgroup && line[-1] != '\n'))
                return 0;
        line += 3;
        line[strcspn(line, "\n")] = '\0';
        if (!strstr(line, "/vm-") || asprintf(&path, CGROUP_ROOT "%s/memory.events", line) < 0) {
                path = NULL;
                return 0;
        }
        if (read_small(path, &events) < 0)
                return 0;
        assert(events);
        line = strstr(events, "oom_kill ");
        if (!line)
                return 0;
        line += strlen("oom_kill ");
        line[strcspn(line, "\n")] = '\0';
        return parse_u64(line, &count) == 0 ? count : 0;
}

static KeeperEnd end_of(const siginfo_t *info) {
        return info->si_code == CLD_EXITED   ? KEEPER_END_EXITED
               : info->si_code == CLD_DUMPED ? KEEPER_END_DUMPED
                                             : KEEPER_END_KILLED;
}

/* A zombie still has its times and its peak, and its number is nobody else's. */
static int record_end(Keeper *keeper, const siginfo_t *info) {
        KeeperRecord *record = &keeper->record;
        siginfo_t again;

        record->end = end_of(info);
        record->status = info->si_status;
        if (proc_stat_read(info->si_pid, PROC_STAT_GUEST_TIME, &record->guest_ticks) < 0)
                record->guest_ticks = 0;
        if (proc_stat_read(info->si_pid, PROC_STAT_USER_TIME, &record->user_ticks) < 0)
                record->user_ticks = 0;
        if (wait_process(P_PID, (id_t) info->si_pid, WEXITED | WNOWAIT, &again,
                         &record->peak_bytes) < 0)
                record->peak_bytes = 0;
        record->oom_kills = count_oom_kills();
        return keeper_write_ended(keeper->fds.record, record);
}

/* All children that are left belonged to the VMM. */
static void end_orphans(void) {
        char path[64];

        (void) snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
        for (unsigned round = 0; round < ORPHAN_ROUNDS_MAX; round++) {
                _cleanup_(freep) char *list = NULL;
                char *state = NULL;
                siginfo_t info;

                if (read_small(path, &list) < 0)
                        return;
                assert(list);
                if (list[0] == '\0')
                        return;
                for (char *word = strtok_r(list, " ", &state); word;
                     word = strtok_r(NULL, " ", &state)) {
                        uint32_t pid;

                        if (parse_u32(word, &pid) == 0 && pid > 1)
                                (void) kill((pid_t) pid, SIGKILL);
                }
                if (waitid(P_ALL, 0, &info, WEXITED) < 0)
                        return;
        }
}

/* One that serves a folder ends well when the VMM, which is its only client, closes the connection. */
static int record_server_end(const Keeper *keeper, const siginfo_t *info) {
        _cleanup_(keeper_record_deinit) KeeperRecord record = {0};
        int r = keeper_record_read(keeper->fds.record, &record);

        for (size_t i = 0; r == 0 && i < KEEPER_SERVERS_MAX; i++)
                if (record.servers[i].process.pid == info->si_pid)
                        return keeper_write_server_ended(keeper->fds.record, i, end_of(info),
                                                         info->si_status);
        return r;
}

/* Until @child is a zombie. Other children, the VMM's or the launcher's, are reaped meanwhile. */
static int wait_for_end(const Keeper *keeper, pid_t child, siginfo_t *ret) {
        for (;;) {
                siginfo_t info = {0};
                int r = 0;

                if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                if (info.si_pid == child) {
                        *ret = info;
                        return 0;
                }
                if (!is_ending(child) && (info.si_code != CLD_EXITED || info.si_status != 0))
                        r = record_server_end(keeper, &info);
                if (r < 0)
                        log_debug("record the end of process %d: %s, ignoring", info.si_pid,
                                  strerror(-r));
                (void) waitid(P_PID, (id_t) info.si_pid, &info, WEXITED);
        }
}

static bool has_bytes(int fd) {
        int n = 0;

        return fd >= 0 && ioctl(fd, FIONREAD, &n) == 0 && n > 0;
}

/*
 * Who gives the VM up removes the record's name: then SIGIO comes. Without a watch, for there may be too many of the user,
 * the wait ends later. Return: descriptor, owned by the caller; negative errno.
 */
static int watch_name(const Keeper *keeper) {
        _cleanup_(fd_closep) int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        char path[32];

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", keeper->fds.record);
        if (fd < 0 || inotify_add_watch(fd, path, IN_ATTRIB) < 0 ||
            fcntl(fd, F_SETOWN, getpid()) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/* An event that is like the last one which nobody took brings no signal. */
static void take_events(int watch) {
        char events[512];

        while (watch >= 0 && read(watch, events, sizeof(events)) > 0)
                ;
}

/* Until somebody has read what the VMM wrote last, or nobody ever will. */
static void wait_for_readers(const Keeper *keeper) {
        const struct timespec timeout = {.tv_sec = KEEPER_DISMISS_TIMEOUT_SEC};
        const KeeperFds *fds = &keeper->fds;
        _cleanup_(fd_closep) int watch = -EBADF;
        sigset_t awaited;
        int r;

        if (!has_bytes(fds->failure) && !has_bytes(fds->console) && !has_bytes(fds->err) &&
            !has_bytes(fds->log))
                return;
        (void) sigemptyset(&awaited);
        (void) sigaddset(&awaited, KEEPER_DISMISS_SIGNAL);
        (void) sigaddset(&awaited, SIGIO);
        watch = watch_name(keeper);
        do {
                take_events(watch);
                if (check_wanted(keeper) < 0)
                        return;
                r = sigtimedwait(&awaited, NULL, &timeout);
        } while (r == SIGIO || (r < 0 && errno == EINTR));
}

/**
 * keeper_join() - called by the child: die with the keeper until the VMM runs, and stand in the record
 *
 * It writes that line itself: were that the keeper's, one killed before it would leave a VMM that nobody knows.
 *
 * Return: 0; -ESRCH when the keeper is gone already; other negative errno.
 */
int keeper_join(const Keeper *keeper) {
        KeeperProcess self = {0};
        int r;

        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
                return -errno;
        if (getppid() != keeper->record.keeper.pid)
                return -ESRCH;
        r = process_of(getpid(), &self);
        return r < 0 ? r : keeper_write_spawned(keeper->fds.record, &self);
}

/**
 * keeper_watch() - see the launcher become the VMM, and the VMM to its end
 * @child:         the launcher, forked just now
 * @launcher_name: that of its executable, without its folder
 *
 * Return: 0 when its end is on record; negative errno.
 */
int keeper_watch(Keeper *keeper, pid_t child, const char *launcher_name) {
        siginfo_t info = {0};
        int r;

        close_all_but(&keeper->fds);
        (void) prctl(PR_SET_NAME, "vm-keeper", 0, 0, 0);
        if (chdir("/") < 0)
                log_debug("change to /: %m, ignoring");
        r = process_of(child, &keeper->record.vmm);
        if (r == 0)
                r = settle_launch(keeper, child, launcher_name);
        if (r < 0)
                (void) kill(child, SIGKILL); /* nobody could be told of it */
        if (wait_for_end(keeper, child, &info) < 0)
                return -ECHILD;
        /* The VMM is the head of a group of its own, as the launcher made it. */
        if (getpgid(child) == child)
                (void) kill(-child, SIGKILL);
        if (r == 0)
                r = record_end(keeper, &info);
        (void) waitid(P_PID, (id_t) child, &info, WEXITED);
        end_orphans();
        wait_for_readers(keeper);
        return r;
}
