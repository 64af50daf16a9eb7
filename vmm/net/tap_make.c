/* SPDX-License-Identifier: Apache-2.0 */

/* A TAP interface that is the VMM's own: made with an address of the host's, up, and gone with its last descriptor. */

#include <errno.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "vmm/net/net.h"
#include "vmm/net/tap_open.h"

#define NAME_PATTERN "vmtap%d" /* the kernel puts the first free number there */

static void put_ipv4(struct sockaddr *ret, uint32_t address) {
        const struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = address};

        memcpy(ret, &in, sizeof(in));
}

/* @ifr has the name. The mask comes after the address, which brings the mask of its class along. */
static int configure(int fd, struct ifreq *ifr, const VmmNet *config) {
        put_ipv4(&ifr->ifr_addr, config->host_ip);
        if (ioctl(fd, SIOCSIFADDR, ifr) < 0)
                return -errno;
        put_ipv4(&ifr->ifr_netmask, config->netmask);
        if (ioctl(fd, SIOCSIFNETMASK, ifr) < 0)
                return -errno;
        ifr->ifr_hwaddr = (struct sockaddr){.sa_family = ARPHRD_ETHER};
        memcpy(ifr->ifr_hwaddr.sa_data, config->mac, sizeof(config->mac));
        if (ioctl(fd, SIOCSIFHWADDR, ifr) < 0)
                return -errno;
        if (ioctl(fd, SIOCGIFFLAGS, ifr) < 0)
                return -errno;
        ifr->ifr_flags |= IFF_UP;
        return ioctl(fd, SIOCSIFFLAGS, ifr) < 0 ? -errno : 0;
}

/**
 * net_tap_make() - a backend from a new TAP interface with @config's host_ip, netmask and mac
 *
 * Takes CAP_NET_ADMIN, before the sandbox is closed. Otherwise as net_tap_new_consume().
 */
int net_tap_make(const VmmNet *config, Loop *loop, NetDev **ret, TextError *reterr) {
        _cleanup_(fd_closep) int tap = -EBADF, control = -EBADF;
        struct ifreq ifr = {0};
        int r;

        r = net_tap_open_queue(NAME_PATTERN, config->n_pairs > 1, &tap, reterr);
        if (r < 0)
                return r;
        if (ioctl(tap, TUNGETIFF, &ifr) < 0)
                return text_error_set(reterr, -errno, "cannot ask for the new interface's name: %s",
                                      strerror(errno));
        control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        r = control < 0 ? -errno : configure(control, &ifr, config);
        if (r < 0)
                return text_error_set(reterr, r, "cannot set up interface %.*s: %s", IFNAMSIZ,
                                      ifr.ifr_name, strerror(-r));
        return net_tap_new_consume((const int[]){TAKE_FD(tap)}, 1, config->n_pairs, loop, ret,
                                   reterr);
}
