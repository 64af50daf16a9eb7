/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/control/listen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fd_path.h"
#include "base/unix_bind.h"

#define BACKLOG 16

/* A descriptor that was passed: a SOCK_SEQPACKET socket that somebody has bound and made listen. */
static int adopt(const char *path, int fd, ControlListener *ret, TextError *reterr) {
        _cleanup_(fd_closep) int own = fd_path_open(path, 0, 0);
        int listens = 0, type = 0;
        socklen_t len = sizeof(int);

        if (own < 0)
                return text_error_set(reterr, own, "%s: %s", path, strerror(-own));
        if (getsockopt(own, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0 || !listens)
                return text_error_set(reterr, -EINVAL, "descriptor %d is no listening socket", fd);
        len = sizeof(int);
        if (getsockopt(own, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET)
                return text_error_set(reterr, -EINVAL,
                                      "descriptor %d is not a SOCK_SEQPACKET socket", fd);
        (void) fd_set_nonblock(own, true);
        *ret = CONTROL_LISTENER_NONE;
        ret->fd = TAKE_FD(own);
        return 0;
}

/* @path itself, or, for a directory, a name in it that no other VMM has. */
static int socket_path(const char *path, char **ret) {
        struct stat st;
        int n;

        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
                n = asprintf(ret, "%s/crosvm-%d.sock", path, (int) getpid());
        else
                n = asprintf(ret, "%s", path);
        return n < 0 ? -ENOMEM : 0;
}

/**
 * control_listener_open() - see control_server_listen()
 *
 * Return: 0; negative errno with a sentence.
 */
int control_listener_open(const char *path, ControlListener *ret, TextError *reterr) {
        _cleanup_(fd_closep) int fd = -EBADF;
        _cleanup_(freep) char *name = NULL;
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int inherited, r;

        if (fd_path_parse(path, &inherited))
                return adopt(path, inherited, ret, reterr);
        r = socket_path(path, &name);
        if (r < 0)
                return r;
        if (strlen(name) >= sizeof(address.sun_path))
                return text_error_set(reterr, -ENAMETOOLONG, "%s: longer than %zu bytes", name,
                                      sizeof(address.sun_path) - 1);
        memcpy(address.sun_path, name, strlen(name));
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        r = unix_bind(fd, &address);
        if (r == -EADDRINUSE)
                return text_error_set(reterr, r, "%s: somebody listens there, or it is no socket",
                                      name);
        if (r < 0)
                return text_error_set(reterr, r, "%s: %s", name, strerror(-r));
        /* Whoever connects rules the machine. */
        r = chmod(name, 0600) < 0 || listen(fd, BACKLOG) < 0 ? -errno : 0;
        if (r == 0)
                r = fd_path_open_parent(name, &ret->dir_fd, &ret->name);
        if (r < 0) {
                (void) unlink(name);
                return r;
        }
        ret->fd = TAKE_FD(fd);
        return 0;
}

/** control_listener_close() - close it, and remove the socket that was made for it */
void control_listener_close(ControlListener *listener) {
        if (listener->name)
                (void) unlinkat(listener->dir_fd, listener->name, 0);
        free(listener->name);
        (void) fd_close(listener->dir_fd);
        (void) fd_close(listener->fd);
        *listener = CONTROL_LISTENER_NONE;
}
