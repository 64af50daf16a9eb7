/* SPDX-License-Identifier: Apache-2.0 */
#include "service/monitor/vsock_host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/vm_sockets.h> /* behind sys/socket.h, which it needs */

#include "base/cleanup.h"
#include "base/fd.h"

/**
 * vsock_host_open() - the kernel's device for a guest's sockets, with @cid taken before there is a VMM
 *
 * Whoever has the device has the context id; nobody else of the host gets it meanwhile.
 * Return: descriptor, owned by the caller; -EADDRINUSE when another VM of the host has @cid; other negative errno.
 */
int vsock_host_open(uint32_t cid) {
        _cleanup_(fd_closep) int fd = open(VSOCK_HOST_DEVICE, O_RDWR | O_CLOEXEC);
        uint64_t guest_cid = cid;

        if (fd < 0 || ioctl(fd, VHOST_VSOCK_SET_GUEST_CID, &guest_cid) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int new_socket(void) {
        int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        return fd < 0 ? -errno : fd;
}

/** vsock_host_listen() - for connections of any guest to @port of the host. Return: owned descriptor; negative errno. */
int vsock_host_listen(uint32_t port, int backlog) {
        const struct sockaddr_vm address = {
                .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port};
        _cleanup_(fd_closep) int fd = new_socket();

        if (fd < 0)
                return fd;
        if (bind(fd, (const struct sockaddr *) &address, sizeof(address)) < 0 ||
            listen(fd, backlog) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/** vsock_host_is_from() - whether the other end of a connection is the guest with @cid, which the kernel vouches for */
bool vsock_host_is_from(int fd, uint32_t cid) {
        struct sockaddr_vm address = {0};
        socklen_t len = sizeof(address);

        return getpeername(fd, (struct sockaddr *) &address, &len) == 0 && len >= sizeof(address) &&
               address.svm_family == AF_VSOCK && address.svm_cid == cid;
}

/**
 * vsock_host_connect() - begin a connection to @port of the guest with @cid
 *
 * Return: descriptor that becomes writable when it is there or has failed, owned by the caller; negative errno.
 */
int vsock_host_connect(uint32_t cid, uint32_t port) {
        const struct sockaddr_vm address = {
                .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
        _cleanup_(fd_closep) int fd = new_socket();

        if (fd < 0)
                return fd;
        if (connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0 &&
            errno != EINPROGRESS)
                return -errno;
        return TAKE_FD(fd);
}
