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

/* Exactly one of @n_tap_fds, @tap_name, @user and @make is set. */
typedef struct VmmNet {
        int tap_fds[VMM_NET_PAIRS_MAX]; /* inherited; borrowed until the card is made */
        size_t n_tap_fds;
        char *tap_name; /* owned */
        bool user;      /* no interface of the host: a helper process opens sockets for the guest */
        VmmForward *forwards; /* owned array; of @user */
        size_t n_forwards;

        bool make; /* an interface of its own, with the three below, that goes when the VM does */
        uint32_t host_ip, netmask; /* of the interface, in network byte order; 0: not given */

        bool has_mac; /* or one is made up; with @make it is the interface's, not the guest's */
        uint8_t mac[6];
        unsigned n_pairs;   /* receive and transmit queues; default 1 */
        bool mergeable;     /* default true */
        bool packed;        /* the driver may have packed rings */
        bool vhost;         /* the host's kernel moves the frames */
        unsigned pci_slot;  /* 1..VMM_PCI_SLOT_MAX, 0: any */
        char *vhost_device; /* owned, optional; /dev/vhost-net if NULL */
} VmmNet;

/*
 * What crosvm had before --net: the cards that --tap-fd, --tap-name and --host-ip describe share their queues and their
 * way. Used up when the last argument is read.
 */
typedef struct VmmOldNets {
        uint32_t cards; /* bits by index in the nets: given by an old spelling */
        VmmNet made;    /* --host-ip, --netmask and --mac are a card together */
        VmmNet how;     /* --net-vq-pairs (0: not given), --vhost-net and --vhost-net-device */
} VmmOldNets;

void vmm_net_init(VmmNet *net);
void vmm_net_deinit(VmmNet *net);
int vmm_net_validate(const VmmNet *net, TextError *reterr);
