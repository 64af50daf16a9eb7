/* SPDX-License-Identifier: Apache-2.0 */
#include "service/netd/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fd.h"

#define TUN_DEVICE "/dev/net/tun"
#define TUN_FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)

/* The first queue makes the interface, and must not join one that somebody else made; the others must join it. */
static int open_queue(struct ifreq *ifr, bool first, bool multi) {
        _cleanup_(fd_closep) int fd = open(TUN_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);

        if (fd < 0)
                return -errno;
        ifr->ifr_flags =
                (short) (TUN_FLAGS | (multi ? IFF_MULTI_QUEUE : 0) | (first ? IFF_TUN_EXCL : 0));
        return ioctl(fd, TUNSETIFF, ifr) < 0 ? -errno : TAKE_FD(fd);
}

/**
 * tun_open() - a TAP interface with @n queues, which goes with the last of its descriptors
 * @name:     of NET_INTERFACE_MAX bytes at the most; one that ends in %d gets a free number
 * @fds:      @n of them, the caller's on success
 * @ret_name: the name it got
 *
 * Return: 0; -EBUSY when the name is taken; other negative errno.
 */
int tun_open(const char *name, unsigned n, int *fds, char ret_name[static NET_INTERFACE_MAX + 1]) {
        struct ifreq ifr = {0};

        if (strlen(name) > NET_INTERFACE_MAX)
                return -ENAMETOOLONG;
        memcpy(ifr.ifr_name, name, strlen(name) + 1);
        for (unsigned i = 0; i < n; i++) {
                fds[i] = open_queue(&ifr, i == 0, n > 1);
                if (fds[i] < 0) {
                        int r = fds[i];

                        while (i > 0)
                                (void) fd_close(fds[--i]);
                        return r;
                }
        }
        memcpy(ret_name, ifr.ifr_name, NET_INTERFACE_MAX);
        ret_name[NET_INTERFACE_MAX] = '\0';
        return 0;
}
