/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "vmm/machine/directories.h"

/*
 * --shared-dir: virtiofsd for each directory, a child of the VMM as passt is, in a user namespace that says whose the files
 * are. To the machine it is then a folder like those of --vhost-user-fs, with a socket that is connected.
 */

#define SERVER_FD "--fd=3"
/* By its descriptor: the old one changes to / before it looks, and takes no path that is a link itself. */
#define SOURCE "source=/proc/self/fd/4/.,sandbox=chroot,log_level=warn"
#define SHARED_DIR "--shared-dir=/proc/self/fd/4/."

/* The successor, in Rust; then QEMU's own. */
static const char *const programs[] = {"/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd",
                                       "virtiofsd"};

/* ---- the command line ---- */

static const char *cache_name(VmmSharedCache cache, bool old) {
        switch (cache) {
        case VMM_SHARED_CACHE_AUTO:
                return "auto";
        case VMM_SHARED_CACHE_NEVER:
                return old ? "none" : "never";
        case VMM_SHARED_CACHE_ALWAYS:
                return "always";
        }
        return "auto";
}

static int old_arguments(const VmmSharedDir *config, StrVec *argv) {
        static const char *const fixed[] = {SERVER_FD, "-f", "--rlimit-nofile=0", "-o"};
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(fixed) && r == 0; i++)
                r = strvec_add(argv, fixed[i]);
        return r < 0 ? r
                     : strvec_addf(argv, SOURCE ",cache=%s,timeout=%u%s%s",
                                   cache_name(config->cache, true), config->timeout_sec,
                                   config->writeback ? ",writeback" : "",
                                   config->posix_acl ? ",xattr,posix_acl" : "");
}

static int new_arguments(const VmmSharedDir *config, StrVec *argv, TextError *reterr) {
        static const char *const fixed[] = {SERVER_FD, SHARED_DIR, "--sandbox=chroot",
                                            "--log-level=warn", "--rlimit-nofile=0"};
        int r = 0;

        if (config->timeout_given)
                return text_error_set(reterr, -EOPNOTSUPP,
                                      "timeout: this host's virtiofsd has no such option");
        for (size_t i = 0; i < ELEMENTSOF(fixed) && r == 0; i++)
                r = strvec_add(argv, fixed[i]);
        if (r == 0)
                r = strvec_addf(argv, "--cache=%s", cache_name(config->cache, false));
        if (r == 0 && config->writeback)
                r = strvec_add(argv, "--writeback");
        if (r == 0 && config->posix_acl)
                r = strvec_add(argv, "--xattr");
        return r == 0 && config->posix_acl ? strvec_add(argv, "--posix-acl") : r;
}

static int arguments(const VmmSharedDir *config, StrVec *argv, TextError *reterr) {
        const char *program = helper_find(programs, ELEMENTSOF(programs));
        int r = strvec_add(argv, program);

        if (r < 0)
                return r;
        return strstr(program, "/qemu/") ? old_arguments(config, argv)
                                         : new_arguments(config, argv, reterr);
}

/* ---- the socket ---- */

static int bind_in(const char *directory, int fd, struct sockaddr_un *ret) {
        *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
        (void) snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/socket", directory);
        if (bind(fd, (struct sockaddr *) ret, sizeof(*ret)) < 0 || listen(fd, 1) < 0)
                return -errno;
        return 0;
}

/*
 * virtiofsd takes one connection, from a socket that listens. It is made where nobody else may connect, and our connection
 * waits in it already when virtiofsd comes.
 */
static int make_sockets(int *ret_listener, int *ret_connection) {
        _cleanup_(fd_closep) int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        _cleanup_(fd_closep) int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char directory[] = "/tmp/vivarium-share-XXXXXX";
        struct sockaddr_un address;
        int r;

        if (listener < 0 || connection < 0 || !mkdtemp(directory))
                return -errno;
        r = bind_in(directory, listener, &address);
        if (r == 0 && connect(connection, (struct sockaddr *) &address, sizeof(address)) < 0)
                r = -errno;
        (void) unlink(address.sun_path);
        (void) rmdir(directory);
        if (r < 0)
                return r;
        *ret_listener = TAKE_FD(listener);
        *ret_connection = TAKE_FD(connection);
        return 0;
}

/* ---- the process ---- */

static int start(const VmmSharedDir *config, int listener, bool sandbox, int *ret_pid_fd,
                 TextError *reterr) {
        _cleanup_(fd_closep) int directory = directory_open(config->path, reterr);
        _cleanup_(directory_users_deinit) DirectoryUsers users = {0};
        _cleanup_(strvec_deinit) StrVec argv = {0};
        const int fds[] = {listener, directory};
        HelperConfig helper = {.fds = fds, .n_fds = 2, .own_mounts = true};
        int r;

        if (directory < 0)
                return directory;
        r = arguments(config, &argv, reterr);
        if (r == 0)
                r = directory_users_init(&users, &config->users, sandbox);
        if (r < 0)
                return r;
        helper.argv = argv.items;
        helper.users = users.none ? NULL : &users.helper;
        return helper_start(&helper, ret_pid_fd, reterr);
}

/* Makes one more of @config's folders of @dir. */
static int add_folder(VmmConfig *config, const VmmSharedDir *dir, int connection) {
        VmmFolder *folder = &config->folders[config->n_folders];
        int r;

        vmm_folder_init(folder);
        folder->tag = strdup(dir->tag);
        if (!folder->tag)
                return -ENOMEM;
        /* How opening tells a descriptor that it may use from our own. */
        r = fd_set_cloexec(connection, false);
        if (r < 0) {
                vmm_folder_deinit(folder);
                return r;
        }
        folder->socket_fd = connection;
        config->n_folders++;
        return 0;
}

static int serve(SharedDirs *dirs, VmmConfig *config, const VmmSharedDir *dir, TextError *reterr) {
        _cleanup_(fd_closep) int listener = -EBADF;
        const unsigned i = dirs->n;
        int r;

        r = make_sockets(&listener, &dirs->sockets[i]);
        if (r < 0)
                return text_error_set(reterr, r, "cannot make a socket in /tmp: %s", strerror(-r));
        dirs->pid_fds[i] = -EBADF;
        dirs->n++;
        /* Who is not root may change its root directory only where it is root of a namespace. */
        r = start(dir, listener, !config->disable_sandbox || geteuid() != 0, &dirs->pid_fds[i],
                  reterr);
        return r < 0 ? r : add_folder(config, dir, dirs->sockets[i]);
}

/**
 * shared_dirs_start() - start what serves the directories of @config, and add it to the folders there
 *
 * Before there are threads. Return: 0 or negative errno with a sentence; shared_dirs_end() in either case, when the machine
 * is gone.
 */
int shared_dirs_start(SharedDirs *dirs, VmmConfig *config, TextError *reterr) {
        for (size_t i = 0; i < config->n_shared_dirs; i++) {
                int r = serve(dirs, config, &config->shared_dirs[i], reterr);

                if (r < 0)
                        return text_error_prefix(reterr, r, "--shared-dir: %s",
                                                 config->shared_dirs[i].path);
        }
        return 0;
}

/** shared_dirs_hand_over() - the machine has duplicates of the sockets, or never will have: ours go */
void shared_dirs_hand_over(SharedDirs *dirs) {
        for (unsigned i = 0; i < dirs->n; i++)
                dirs->sockets[i] = fd_close(dirs->sockets[i]);
}

/** shared_dirs_end() - the processes end, and have ended */
void shared_dirs_end(SharedDirs *dirs) {
        shared_dirs_hand_over(dirs);
        for (; dirs->n > 0; dirs->n--)
                (void) helper_end(dirs->pid_fds[dirs->n - 1]);
}
