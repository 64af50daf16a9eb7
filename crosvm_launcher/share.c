/* SPDX-License-Identifier: Apache-2.0 */
#include "crosvm_launcher/share.h"

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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/proc_stat.h"
#include "base/rights.h"
#include "config/keeper.h"
#include "crosvm_launcher/exec.h"
#include "crosvm_launcher/fd_map.h"

/*
 * virtiofsd wants to be root, to serve files of any owner. Here it is root of nothing but a user namespace, in which
 * there is one user, the owner of the VM: what its guest does in the folder, that user could do. The number that the
 * guest has for it is the number that it has in the namespace, and so the kernel does the mapping. All others are
 * nobody's. It gets namespaces of mounts, network and IPC besides, changes its root to the folder by itself, and has
 * filters of system calls of its own.
 *
 * It is made a child of the launcher's parent, the keeper, which sees it end and ends it with the VM. Having the daemon
 * for its parent was rejected: it would not outlive it, and not be in the VM's scope.
 */

static_assert(KEEPER_SERVERS_MAX >= VM_SHARES_MAX, "a record has room for each");

#define SERVER_FD 3
#define SERVER_FOLDER_FD 4
#define SERVER_REPORT_FD 5
/* By its descriptor: the old one changes to / before it looks, and takes no path that is a link itself. */
#define SOURCE "source=/proc/self/fd/4/.,sandbox=chroot,cache=auto,log_level=warn"
#define SHARED_DIR "--shared-dir=/proc/self/fd/4/."

/* What a child reports instead of being executed. */
typedef struct Failure {
        int error;
        char act[60];
} Failure;

/*
 * Of QEMU's own virtiofsd, written in C, and of its successor in Rust, which took the options over for a time.
 *
 * Both are told that their namespaces are made, to leave the limit of descriptors, which they may not raise, and to say
 * no more than warnings, which end in the VM's record.
 */
int share_argv(const char *virtiofsd, StrVec *ret) {
        static const char *const old[] = {"--fd=3", "-o", SOURCE, "--rlimit-nofile=0", NULL};
        static const char *const new[] = {"--fd=3",
                                          SHARED_DIR,
                                          "--sandbox=chroot",
                                          "--cache=auto",
                                          "--log-level=warn",
                                          "--rlimit-nofile=0",
                                          NULL};
        const char *const *words = strstr(virtiofsd, "/qemu/") ? old : new;
        int r = strvec_add(ret, virtiofsd);

        for (; *words && r == 0; words++)
                r = strvec_add(ret, *words);
        return r;
}

static int write_file(const char *path, const char *text) {
        _cleanup_(fd_closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        return fd_write_all(fd, text, strlen(text));
}

static int map_owner(const char *path, uint32_t inside, uint32_t outside) {
        char line[40];

        (void) snprintf(line, sizeof(line), "%u %u 1\n", inside, outside);
        return write_file(path, line);
}

static int enter_namespaces(const VmShare *share, const char **act) {
        const uid_t uid = geteuid();
        const gid_t gid = getegid();
        int r;

        *act = "give up supplementary groups";
        /* In the namespace they could not be given up, and virtiofsd insists. */
        if (getgroups(0, NULL) > 0 && setgroups(0, NULL) < 0)
                return -errno;
        *act = "make namespaces";
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET) < 0)
                return -errno;
        *act = "map users and groups";
        r = write_file("/proc/self/setgroups", "deny");
        if (r == 0)
                r = map_owner("/proc/self/uid_map", share->guest_uid, uid);
        if (r == 0)
                r = map_owner("/proc/self/gid_map", share->guest_gid, gid);
        if (r < 0)
                return r;
        *act = "detach mounts";
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return -errno;
        *act = "keep rights";
        return rights_keep_over_exec();
}

/* Standard input is empty, the rest goes where the VMM's goes; 3 is the socket, 4 the directory. */
static int arrange(int listener, int folder, int report, int err) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (null < 0)
                return -errno;
        /* Above all numbers that are assigned. */
        null = fcntl(null, F_DUPFD_CLOEXEC, 16);
        listener = fcntl(listener, F_DUPFD_CLOEXEC, 16);
        folder = fcntl(folder, F_DUPFD_CLOEXEC, 16);
        report = fcntl(report, F_DUPFD_CLOEXEC, 16);
        err = fcntl(err < 0 ? null : err, F_DUPFD_CLOEXEC, 16);
        if (null < 0 || listener < 0 || folder < 0 || report < 0 || err < 0)
                return -errno;
        if (dup2(null, STDIN_FILENO) < 0 || dup2(err, STDOUT_FILENO) < 0 ||
            dup2(err, STDERR_FILENO) < 0 || dup2(listener, SERVER_FD) < 0 ||
            dup2(folder, SERVER_FOLDER_FD) < 0 || dup3(report, SERVER_REPORT_FD, O_CLOEXEC) < 0)
                return -errno;
        return fd_close_all_from(SERVER_REPORT_FD + 1);
}

/* In the child; ends in virtiofsd or in a report. */
static void become_server(const LaunchPlan *plan, size_t index, int report, char *const *argv) {
        char *const environment[] = {NULL};
        const VmShare *share = &plan->config.shares[index];
        const char *act = "arrange descriptors";
        Failure failure;
        int r;

        r = arrange(plan->shares[index].listen, launch_plan_find_file(plan, share->path), report,
                    plan->vmm_stderr);
        if (r == 0)
                report = SERVER_REPORT_FD;
        if (r == 0) {
                act = "reset the process";
                r = launch_narrow(/* may_dump_core= */ false, NULL);
        }
        if (r == 0)
                r = enter_namespaces(share, &act);
        if (r == 0) {
                act = "execute virtiofsd";
                (void) umask(0);
                (void) execve(argv[0], argv, environment);
                r = -errno;
        }
        failure = (Failure){.error = -r};
        (void) snprintf(failure.act, sizeof(failure.act), "%s", act);
        (void) fd_write_all(report, &failure, sizeof(failure));
        _exit(EXIT_FAILURE);
}

/* With the caller's parent for its parent. */
static pid_t fork_sibling(void) {
        return (pid_t) syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
}

static int record_server(int record_fd, pid_t pid, size_t index) {
        KeeperProcess process = {.pid = pid};
        int r = proc_stat_read(pid, PROC_STAT_START_TIME, &process.start_time);

        return r < 0 ? r : keeper_write_server(record_fd, &process, index);
}

static int serve(const LaunchPlan *plan, size_t index, int record_fd, char *const *argv,
                 TextError *reterr) {
        _cleanup_(fd_closep) int report_in = -EBADF;
        Failure failure;
        int fds[2], r = 0;
        ssize_t n;
        pid_t pid;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        report_in = fds[0];
        pid = fork_sibling();
        if (pid == 0)
                become_server(plan, index, fds[1], argv);
        (void) fd_close(fds[1]);
        if (pid < 0)
                return text_error_prefix(reterr, -errno, "fork");
        if (record_fd >= 0)
                r = record_server(record_fd, pid, index);
        if (r < 0)
                return text_error_prefix(reterr, r, "record the process");
        /* Closed by its execution. */
        n = read(report_in, &failure, sizeof(failure));
        if (n != sizeof(failure))
                return 0;
        return text_error_set(reterr, -failure.error, "%.*s: %s", (int) sizeof(failure.act),
                              failure.act, strerror(failure.error));
}

/**
 * shares_serve() - start virtiofsd for each directory of the plan, before the VMM is executed
 * @record_fd: the keeper's record, or -EBADF without a keeper
 *
 * On failure those that were started end when the launcher does, with their only connection. Return: 0; negative errno
 * with a sentence in @reterr.
 */
int shares_serve(const LaunchPlan *plan, int record_fd, TextError *reterr) {
        _cleanup_(strvec_deinit) StrVec argv = {0};
        int r = 0;

        if (plan->virtiofsd_path)
                r = share_argv(plan->virtiofsd_path, &argv);
        for (size_t i = 0; i < plan->n_shares && r == 0; i++) {
                /* A plan that has such a path has virtiofsd's. */
                if (!plan->config.shares[i].path || !argv.items)
                        continue;
                r = serve(plan, i, record_fd, argv.items, reterr);
                if (r < 0)
                        return text_error_prefix(reterr, r, "shared_paths[%zu]: %s", i,
                                                 plan->virtiofsd_path);
        }
        return r;
}
