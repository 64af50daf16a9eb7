/* SPDX-License-Identifier: Apache-2.0 */
#include "crosvm_launcher/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/*
 * PR_SET_PDEATHSIG is cleared on purpose: a VM outlives the daemon, and its keeper if need be. Nor are capabilities and
 * uids changed here: that needs what only the daemon knows.
 */

/* Replaces *@fd by a copy under a number that neither the map nor the standard streams use; unset stays unset. */
static int keep_above(int *fd, const FdMap *map) {
        int copy;

        if (*fd < 0)
                return 0;
        copy = fcntl(*fd, F_DUPFD_CLOEXEC, fd_map_end(map));
        if (copy < 0)
                return -errno;
        *fd = copy;
        return 0;
}

static void close_between(int first, int last) {
        if (first > last || close_range((unsigned) first, (unsigned) last, 0) == 0)
                return;
        for (int fd = first; fd <= last; fd++)
                (void) close(fd);
}

/* Closes all from @first up, less @kept, which may be unset. */
static int close_others(int first, int kept) {
        if (kept < first)
                return fd_close_all_from(first);
        close_between(first, kept - 1);
        return fd_close_all_from(kept + 1);
}

/* Standard input is empty; output and error go to @err, or nowhere. */
static int set_streams(int err) {
        _cleanup_(fd_closep) int null_in = -EBADF, null_out = -EBADF;

        null_in = open("/dev/null", O_RDONLY | O_CLOEXEC);
        null_out = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (null_in < 0 || null_out < 0)
                return -errno;
        /* With a standard stream closed at start, open() may have taken its number. */
        null_in = null_in > STDERR_FILENO ? null_in : fcntl(null_in, F_DUPFD_CLOEXEC, 3);
        null_out = null_out > STDERR_FILENO ? null_out : fcntl(null_out, F_DUPFD_CLOEXEC, 3);
        if (null_in < 0 || null_out < 0)
                return -errno;
        if (err < 0)
                err = null_out;
        if (dup2(null_in, STDIN_FILENO) < 0 || dup2(err, STDOUT_FILENO) < 0 ||
            dup2(err, STDERR_FILENO) < 0)
                return -errno;
        return 0;
}

/* Ignored signals and the mask outlive exec; handlers do not, but there are none to keep. */
static int reset_signals(void) {
        struct sigaction action = {.sa_handler = SIG_DFL};
        sigset_t none;

        for (int signal = 1; signal < NSIG; signal++)
                (void) sigaction(signal, &action, NULL); /* fails for KILL, STOP and libc's own */
        (void) sigemptyset(&none);
        return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : 0;
}

/* The VMM kills its process group when it exits, as crosvm does: it must be alone in it. */
static int own_process_group(void) {
        if (getpgrp() == getpid())
                return 0;
        return setpgid(0, 0) < 0 ? -errno : 0;
}

/* A core of the VMM holds what the guest computes; only a VM that is to be debugged leaves one. */
static int forbid_core(void) {
        const struct rlimit none = {0, 0};

        return setrlimit(RLIMIT_CORE, &none) < 0 ? -errno : 0;
}

/* As Android's removeMemlockRlimit for a VM with devices, whose memory the kernel pins; the others get no more than they have. */
static int limit_locked_memory(bool all) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
                return -errno;
        if (all)
                limit.rlim_cur = limit.rlim_max;
        else
                limit.rlim_max = limit.rlim_cur;
        return setrlimit(RLIMIT_MEMLOCK, &limit) < 0 ? -errno : 0;
}

/**
 * launch_narrow() - what this process and what it becomes have no use for
 *
 * Return: 0; negative errno with a sentence in @reterr.
 */
int launch_narrow(bool may_dump_core, TextError *reterr) {
        int r;

        r = own_process_group();
        if (r < 0)
                return text_error_prefix(reterr, r, "cannot make a process group");
        r = reset_signals();
        if (r < 0)
                return text_error_prefix(reterr, r, "cannot reset signals");
        r = may_dump_core ? 0 : forbid_core();
        if (r < 0)
                return text_error_prefix(reterr, r, "cannot set RLIMIT_CORE");
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return text_error_prefix(reterr, -errno, "cannot set no_new_privs");
        return 0;
}

/* Afterwards open are: the standard streams, the map, and @status. */
static int arrange_descriptors(const FdMap *map, int err, int status, TextError *reterr) {
        int r;

        r = fd_map_apply(map);
        if (r < 0)
                return text_error_prefix(reterr, r, "cannot arrange %zu descriptors", map->n);
        r = set_streams(err);
        if (r < 0)
                return text_error_prefix(reterr, r, "cannot set the standard streams");
        r = close_others(fd_map_end(map), status);
        return r < 0 ? text_error_prefix(reterr, r, "cannot close the other descriptors") : 0;
}

/**
 * launch_exec() - become the VMM
 * @status_fd: closed by the exec; replaced by a copy under another number before it could be overwritten
 *
 * The environment is empty. Return: only on failure, negative errno with a sentence in @reterr; descriptors other than
 * *@status_fd are then in no known state.
 */
int launch_exec(const LaunchExec *launch, int *status_fd, TextError *reterr) {
        char *const environment[] = {NULL};
        int err = launch->err, r;

        r = keep_above(status_fd, launch->map);
        if (r == 0)
                r = keep_above(&err, launch->map);
        if (r < 0)
                return text_error_prefix(reterr, r, "cannot copy a descriptor");
        r = limit_locked_memory(launch->locks_memory);
        if (r < 0)
                return text_error_prefix(reterr, r, "cannot set RLIMIT_MEMLOCK");
        r = launch_narrow(launch->may_dump_core, reterr);
        if (r == 0 && chdir("/") < 0)
                r = text_error_prefix(reterr, -errno, "cannot change to /");
        (void) umask(0077);
        if (r == 0)
                r = arrange_descriptors(launch->map, err, *status_fd, reterr);
        if (r < 0)
                return r;
        if (prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) < 0)
                return text_error_prefix(reterr, -errno, "cannot forget the parent");
        (void) execve(launch->path, launch->argv, environment);
        return text_error_prefix(reterr, -errno, "cannot execute %s", launch->path);
}
