/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/net/tap_open.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fd.h"

#define TAP_DEVICE "/dev/net/tun"

/**
 * net_tap_open_queue() - one queue of the TAP interface @name, which is made when there is none
 * @multi: it was, or will be, made with IFF_MULTI_QUEUE
 * @ret:   set on success only; nonblocking, the caller owns it
 *
 * Needs the right to use the interface: its owner's, or CAP_NET_ADMIN. Return: 0; negative errno with a sentence.
 */
int net_tap_open_queue(const char *name, bool multi, int *ret, TextError *reterr) {
        struct ifreq ifr = {.ifr_flags = (short) (NET_TAP_FLAGS | (multi ? IFF_MULTI_QUEUE : 0))};
        _cleanup_(fd_closep) int fd = -EBADF;

        if (strlen(name) >= sizeof(ifr.ifr_name))
                return text_error_set(reterr, -EINVAL, "'%s' is no name of an interface", name);
        fd = open(TAP_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return text_error_set(reterr, -errno, "cannot open " TAP_DEVICE ": %s",
                                      strerror(errno));
        memcpy(ifr.ifr_name, name, strlen(name) + 1);
        if (ioctl(fd, TUNSETIFF, &ifr) < 0)
                return text_error_set(reterr, -errno, "cannot attach to interface %s: %s", name,
                                      strerror(errno));
        *ret = TAKE_FD(fd);
        return 0;
}
