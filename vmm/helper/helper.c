/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/helper/helper.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/rights.h"

/*
 * Between fork and exec a helper tells of itself through a pipe that its execution closes: first, where it has a user
 * namespace, that the namespace is there, so that we can write its maps, which wants our rights; then what failed.
 */

/* Above all numbers that a helper's descriptors get. */
#define SPARE_FD (HELPER_FIRST_FD + (int) HELPER_FDS_MAX + 2)

typedef struct Report {
        int error; /* 0: the namespace is there */
        char act[60];
} Report;

typedef struct Pipes {
        int report[2]; /* from the helper */
        int go[2];     /* to it: the maps are written */
} Pipes;

/* ---- in the helper; nothing but system calls ---- */

static int move_fd(int *fd) {
        *fd = fcntl(*fd, F_DUPFD_CLOEXEC, SPARE_FD);
        return *fd < 0 ? -errno : 0;
}

/* Nothing of ours is left but standard error, which is its standard output as well, and what @config gives. */
static int arrange(const HelperConfig *config, int *report, int *go) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC), fds[HELPER_FDS_MAX] = {0};
        int r = null < 0 ? -errno : move_fd(report);

        if (r == 0)
                r = move_fd(go);
        for (unsigned i = 0; i < config->n_fds && r == 0; i++) {
                fds[i] = config->fds[i];
                r = move_fd(&fds[i]);
        }
        if (r < 0)
                return r;
        if (dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
                return -errno;
        for (unsigned i = 0; i < config->n_fds; i++)
                if (dup2(fds[i], HELPER_FIRST_FD + (int) i) < 0)
                        return -errno;
        if (dup3(*report, HELPER_FIRST_FD + (int) config->n_fds, O_CLOEXEC) < 0 ||
            dup3(*go, HELPER_FIRST_FD + (int) config->n_fds + 1, O_CLOEXEC) < 0)
                return -errno;
        *report = HELPER_FIRST_FD + (int) config->n_fds;
        *go = *report + 1;
        return close_range((unsigned) *go + 1, ~0u, 0) < 0 ? -errno : 0;
}

static void reset_signals(void) {
        sigset_t none;

        for (int i = 1; i < NSIG; i++)
                (void) signal(i, SIG_DFL); /* fails for those that are so in any case */
        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
}

static int enter_namespaces(const HelperConfig *config, int report, int go, const char **act) {
        const HelperUsers *users = config->users;
        const Report ready = {0};
        char byte;
        int r;

        *act = "give up supplementary groups";
        /* Where we may; in the namespace they cannot be given up. */
        if (getgroups(0, NULL) > 0 && setgroups(0, NULL) < 0 && errno != EPERM)
                return -errno;
        *act = "make namespaces";
        if (unshare(CLONE_NEWUSER | (config->own_mounts ? CLONE_NEWNS | CLONE_NEWNET : 0)) < 0)
                return -errno;
        *act = "wait for the maps of users";
        r = fd_write_all(report, &ready, sizeof(ready));
        if (r < 0)
                return r;
        if (read(go, &byte, 1) != 1)
                return -EPIPE;
        *act = "become its user and group";
        if (setresgid(users->gid, users->gid, users->gid) < 0)
                return -errno;
        /* As root of the namespace the change would take its rights away, if it is one to another user. */
        r = rights_keep_over_exec();
        if (r == 0 && users->uid != getuid() && setresuid(users->uid, users->uid, users->uid) < 0)
                r = -errno;
        if (r < 0 || !config->own_mounts)
                return r;
        *act = "detach mounts";
        return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

static void become(const HelperConfig *config, Pipes *pipes) {
        const char *act = "arrange descriptors";
        int report = pipes->report[1], go = pipes->go[0];
        Report failure;
        int r;

        reset_signals();
        r = arrange(config, &report, &go);
        if (r == 0 && config->users)
                r = enter_namespaces(config, report, go, &act);
        if (r == 0) {
                act = "run it";
                (void) execvp(config->argv[0], config->argv);
                r = -errno;
        }
        failure = (Report){.error = -r};
        (void) strncpy(failure.act, act, sizeof(failure.act) - 1);
        (void) fd_write_all(report, &failure, sizeof(failure));
        _exit(EXIT_FAILURE);
}

/* ---- in the VMM ---- */

static int write_map(pid_t pid, const char *name, const char *text) {
        _cleanup_(fd_closep) int fd = -EBADF;
        char path[64];

        (void) snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

static int write_maps(pid_t pid, const HelperUsers *users) {
        /* Where it is so already, or is not ours to say, what follows tells. */
        int r = write_map(pid, "setgroups", "deny");

        r = write_map(pid, "uid_map", users->uid_map);
        return r < 0 ? r : write_map(pid, "gid_map", users->gid_map);
}

/* Return: 0 when the helper runs its program. */
static int follow(const HelperConfig *config, pid_t pid, Pipes *pipes, TextError *reterr) {
        Report report;
        int r;

        if (config->users && read(pipes->report[0], &report, sizeof(report)) == sizeof(report)) {
                if (report.error != 0)
                        return text_error_set(reterr, -report.error, "%.*s: %s",
                                              (int) sizeof(report.act), report.act,
                                              strerror(report.error));
                r = write_maps(pid, config->users);
                if (r < 0)
                        return text_error_set(reterr, r, "map users and groups: %s", strerror(-r));
                r = fd_write_all(pipes->go[1], "", 1);
                if (r < 0)
                        return r;
        }
        if (read(pipes->report[0], &report, sizeof(report)) != sizeof(report))
                return 0;
        return text_error_set(reterr, -report.error, "%.*s: %s", (int) sizeof(report.act),
                              report.act, strerror(report.error));
}

static int open_pipes(Pipes *pipes) {
        if (pipe2(pipes->report, O_CLOEXEC) < 0)
                return -errno;
        if (pipe2(pipes->go, O_CLOEXEC) < 0) {
                int r = -errno;

                (void) fd_close(pipes->report[0]);
                (void) fd_close(pipes->report[1]);
                return r;
        }
        return 0;
}

/**
 * helper_start() - run a program beside the VMM
 * @config:     borrowed for the call
 * @ret_pid_fd: for helper_wait_consume() or helper_end()
 *
 * It has no descriptor of ours but those of @config and standard error. Before there are threads that hold locks.
 *
 * Return: 0 when the program runs; negative errno with a sentence, and nothing is left of it.
 */
int helper_start(const HelperConfig *config, int *ret_pid_fd, TextError *reterr) {
        Pipes pipes;
        int r, pid_fd = -EBADF;
        pid_t pid;

        assert(config->n_fds <= HELPER_FDS_MAX);

        r = open_pipes(&pipes);
        if (r < 0)
                return r;
        pid = fork();
        if (pid == 0)
                become(config, &pipes);
        (void) fd_close(pipes.report[1]);
        (void) fd_close(pipes.go[0]);
        r = pid < 0 ? -errno : follow(config, pid, &pipes, reterr);
        if (r == 0) {
                pid_fd = pidfd_open(pid, 0);
                r = pid_fd < 0 ? -errno : 0;
        }
        (void) fd_close(pipes.report[0]);
        (void) fd_close(pipes.go[1]);
        if (r < 0 && pid > 0) {
                (void) kill(pid, SIGKILL);
                (void) waitpid(pid, NULL, 0);
        }
        if (r == 0)
                *ret_pid_fd = pid_fd;
        return r < 0 ? text_error_prefix(reterr, r, "helper %s", config->argv[0]) : 0;
}

/**
 * helper_wait_consume() - wait until a helper has done its work
 * @ret_status: its exit status; 128 and the signal that ended it
 */
int helper_wait_consume(int pid_fd, int *ret_status) {
        siginfo_t info;
        int r = 0;

        if (waitid(P_PIDFD, (id_t) pid_fd, &info, WEXITED) < 0)
                r = -errno;
        else
                *ret_status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
        (void) fd_close(pid_fd);
        return r;
}

/**
 * helper_end() - end a helper that serves until it is told otherwise; it has lost its connection to us already
 *
 * By its descriptor, so that the sandbox need not let us signal anybody else. A helper that has become another user is
 * out of reach, and ends because its socket did.
 *
 * Return: -EBADF, to be stored where @pid_fd was.
 */
int helper_end(int pid_fd) {
        siginfo_t info;

        if (pid_fd < 0)
                return -EBADF;
        (void) pidfd_send_signal(pid_fd, SIGKILL, NULL, 0);
        (void) waitid(P_PIDFD, (id_t) pid_fd, &info, WEXITED);
        return fd_close(pid_fd);
}

/** helper_find() - the first of @paths that can be run; the last, whose failure will name it, if none can */
const char *helper_find(const char *const *paths, size_t n) {
        assert(n > 0);

        for (size_t i = 0; i + 1 < n; i++)
                if (access(paths[i], X_OK) == 0)
                        return paths[i];
        return paths[n - 1];
}
