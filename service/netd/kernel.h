/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the network service needs of the kernel, as a table, so that tests have a kernel of their own. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/mac.h"
#include "config/net_message.h"

#define LINK_KIND_MAX 15u
#define LINK_ALIAS_MAX 255u

typedef struct LinkInfo {
        uint32_t ifindex;
        uint32_t master; /* ifindex; 0 if it is in no bridge */
        char name[NET_INTERFACE_MAX + 1];
        char kind[LINK_KIND_MAX + 1];   /* "bridge", "tun", …; "" if the kernel names none */
        char alias[LINK_ALIAS_MAX + 1]; /* "" if there is none */
} LinkInfo;

typedef struct IpAddress {
        int family; /* AF_INET or AF_INET6 */
        union {
                struct in_addr in;
                struct in6_addr in6;
        };
        unsigned prefix_len;
} IpAddress;

typedef int (*LinkFn)(void *userdata, const LinkInfo *link);
typedef int (*AddressFn)(void *userdata, uint32_t ifindex, const IpAddress *address);

/* All return 0 or a negative errno, and none waits for anything but the kernel. */
typedef struct KernelOps {
        /* -ENODEV if there is none of that name. */
        int (*find_link)(void *self, const char *name, LinkInfo *ret);
        /* Both stop at the first return that is not 0, and return it. */
        int (*each_link)(void *self, LinkFn fn, void *userdata);
        int (*each_address)(void *self, AddressFn fn, void *userdata);
        /* -EEXIST if the name is taken. */
        int (*add_bridge)(void *self, const char *name, const uint8_t mac[static MAC_LEN]);
        int (*set_alias)(void *self, uint32_t ifindex, const char *alias);
        int (*set_up)(void *self, uint32_t ifindex);
        /* Into the bridge @master, without addresses of its own. */
        int (*join)(void *self, uint32_t ifindex, uint32_t master, bool isolated);
        /* Fine if it is there already. */
        int (*add_address)(void *self, uint32_t ifindex, const IpAddress *address);
        int (*delete_link)(void *self, uint32_t ifindex);
        /*
         * A TAP interface that lasts as long as its descriptors, which are the caller's: @n of them in @fds. A @name that
         * ends in %d gets a free number. -EBUSY if it is taken.
         */
        int (*open_tap)(void *self, const char *name, unsigned n, int *fds,
                        char ret_name[static NET_INTERFACE_MAX + 1]);
} KernelOps;

typedef struct Kernel {
        const KernelOps *ops;
        void *self; /* borrowed */
} Kernel;
