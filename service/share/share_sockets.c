/* SPDX-License-Identifier: Apache-2.0 */
#include "service/share/share_sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "service/monitor/unix_name.h"

/*
 * virtiofsd takes a socket that listens, and one connection at it. So the connection is made here and the name removed
 * before anybody else could connect; nobody waits for a path to appear.
 */

#define NAME "share"

static int make(int dir, LaunchShare *ret) {
        _cleanup_(fd_closep) int listener = unix_name_listen(dir, NAME, SOCK_STREAM, 1);
        int fd, r;

        if (listener < 0)
                return listener;
        fd = unix_name_connect(dir, NAME, SOCK_STREAM);
        (void) unlinkat(dir, NAME, 0);
        if (fd < 0)
                return fd;
        *ret = (LaunchShare){.listen = TAKE_FD(listener), .connect = fd};
        r = fd_set_nonblock(ret->listen, false);
        return r < 0 ? r : fd_set_nonblock(fd, false);
}

/**
 * share_sockets_make() - a listening and a connected socket for each directory that is to be served
 * @dir: the VM's directory
 *
 * Return: 0 or negative errno.
 */
int share_sockets_make(const char *dir, const VmConfig *config, ShareSockets *ret) {
        _cleanup_(share_sockets_close) ShareSockets sockets = {0};
        _cleanup_(fd_closep) int fd = -EBADF;

        if (config->n_shares == 0)
                return 0;
        fd = open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        for (size_t i = 0; i < config->n_shares; i++) {
                LaunchShare *share = &sockets.items[sockets.n++];
                int r = 0;

                *share = (LaunchShare){-EBADF, -EBADF};
                if (config->shares[i].path)
                        r = make(fd, share);
                if (r < 0)
                        return r;
        }
        *ret = sockets;
        sockets.n = 0;
        return 0;
}

/** share_sockets_close() - close both ends of all that are there */
void share_sockets_close(ShareSockets *sockets) {
        while (sockets->n > 0) {
                LaunchShare *share = &sockets->items[--sockets->n];

                (void) fd_close(share->listen);
                (void) fd_close(share->connect);
        }
}

/** share_find_virtiofsd() - where distributions put it: of its own package first, then of QEMU's. Return: static. */
const char *share_find_virtiofsd(void) {
        static const char *const paths[] = {"/usr/libexec/virtiofsd", "/usr/lib/virtiofsd",
                                            "/usr/lib/qemu/virtiofsd"};

        for (size_t i = 0; i < ELEMENTSOF(paths); i++)
                if (access(paths[i], X_OK) == 0)
                        return paths[i];
        return paths[0];
}
