/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The typed form of --net: one network card of the guest and where its frames go. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text_error.h"

#define VMM_NETS_MAX 8u
#define VMM_NET_PAIRS_MAX 16u
#define VMM_FORWARDS_MAX 32u

/* A port of the host that leads to one of the guest. */
typedef struct VmmForward {
        bool udp;      /* or TCP */
        char *address; /* owned, optional: of the host, to listen at; all of them if NULL */
        uint16_t host_port, guest_port;
} VmmForward;

/* Exactly one of @n_tap_fds, @tap_name and @user is set. */
typedef struct VmmNet {
        int tap_fds[VMM_NET_PAIRS_MAX]; /* inherited; borrowed until the card is made */
        size_t n_tap_fds;
        char *tap_name; /* owned */
        bool user;      /* no interface of the host: a helper process opens sockets for the guest */
        VmmForward *forwards; /* owned array; of @user */
        size_t n_forwards;

        bool has_mac; /* or one is made up */
        uint8_t mac[6];
        unsigned n_pairs;   /* receive and transmit queues; default 1 */
        bool mergeable;     /* default true */
        bool vhost;         /* the host's kernel moves the frames */
        unsigned pci_slot;  /* 1..VMM_PCI_SLOT_MAX, 0: any */
        char *vhost_device; /* owned, optional; /dev/vhost-net if NULL */
} VmmNet;

void vmm_net_init(VmmNet *net);
void vmm_net_deinit(VmmNet *net);
int vmm_net_validate(const VmmNet *net, TextError *reterr);
