/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A vhost device of the host's kernel (/dev/vhost-net, /dev/vhost-vsock): the kernel serves a virtio device's rings
 * itself, in guest memory, and speaks to the guest's driver through eventfds. Here is what all kinds have in common, and
 * the few calls of each; the device models in vmm/virtio say when.
 *
 *   vhost_new_consume() ─▶ vhost_begin() ─▶ vhost_ring_set() ─▶ vhost_net_attach() / vhost_vsock_set_running()
 *   before the sandbox      features,        addresses,           from now on the kernel serves the ring, until the
 *                           memory           eventfds             same call with -1 or false, then vhost_ring_base()
 *
 * The kernel's worker is made in vhost_begin() and not before: it is a thread of this process since Linux 6.4, and a process
 * with threads gets no user namespace.
 *
 * Threads: the loop's, except for what makes the object.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/text_error.h"
#include "vmm/event/loop.h"
#include "vmm/mem/guest_mem.h"

typedef struct Vhost Vhost;

#define VHOST_RINGS_MAX 2u
#define VHOST_NET_DEVICE "/dev/vhost-net"
#define VHOST_VSOCK_DEVICE "/dev/vhost-vsock"

/* How the kernel is asked; tests put a device of their own in its place. */
typedef struct VhostOps {
        int (*control)(int fd, unsigned long request, void *argument); /* as ioctl(); 0 or -errno */
} VhostOps;

extern const VhostOps vhost_kernel_ops;

typedef struct VhostConfig {
        const VhostOps *ops;
        const GuestMem *mem; /* borrowed, outlives the result */
        Loop *loop; /* borrowed, outlives the result; must not run yet, or be the caller's */
} VhostConfig;

/* A ring in guest memory. */
typedef struct VhostRingSetup {
        uint16_t size;
        uint16_t base; /* the next available entry to take */
        const void *desc, *avail, *used;
        int kick_fd,
                call_fd; /* eventfds; the kernel holds them until the device is freed or another is set */
} VhostRingSetup;

/** VhostErrorFn - the kernel found ring @ring unusable, on the loop's thread; more may follow */
typedef void (*VhostErrorFn)(void *userdata, unsigned ring);

int vhost_open(const char *path, int *ret, TextError *reterr);
int vhost_new_consume(int fd, const VhostConfig *config, Vhost **ret, TextError *reterr);
Vhost *vhost_free(Vhost *vhost);
DEFINE_CLEANUP(Vhost *, vhost_free)
void vhost_set_handler(Vhost *vhost, VhostErrorFn error, void *userdata);
uint64_t vhost_features(const Vhost *vhost);

int vhost_begin(Vhost *vhost, uint64_t features);
int vhost_ring_set(Vhost *vhost, unsigned index, const VhostRingSetup *ring);
int vhost_ring_base(Vhost *vhost, unsigned index, uint16_t *ret);

int vhost_net_attach(Vhost *vhost, unsigned ring, int tap_fd);
int vhost_vsock_set_cid(Vhost *vhost, uint64_t cid, TextError *reterr);
int vhost_vsock_set_running(Vhost *vhost, bool running);
