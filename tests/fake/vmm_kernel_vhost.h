/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A vhost device of a kernel that does as it is told and keeps book: what was set, what is served, and whether it was
 * done in an order that the real one takes. Breaches of that order fail the assertion at once.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/vhost/vhost.h"

#define KERNEL_VHOST_REGIONS_MAX 4u

/* What may be refused; the kernel's header does not go together with ours of virtio. */
typedef enum KernelVhostRequest {
        KERNEL_VHOST_NOTHING,
        KERNEL_VHOST_SET_OWNER,
        KERNEL_VHOST_SET_KICK,
        KERNEL_VHOST_SET_BACKEND,
        KERNEL_VHOST_SET_CID,
        KERNEL_VHOST_SET_RUNNING,
} KernelVhostRequest;

typedef struct KernelVhostRing {
        unsigned size, base;
        uint64_t desc, avail, used; /* our addresses */
        int kick_fd, call_fd, error_fd;
        int backend; /* of vhost-net; -1: none */
} KernelVhostRing;

typedef struct KernelVhost {
        int fd;            /* stands for the device; given to vhost_new_consume() */
        uint64_t offered;  /* features */
        uint64_t features; /* as set */
        uint64_t cid;
        bool owned, running;
        unsigned n_owners, n_regions;
        uint64_t regions[KERNEL_VHOST_REGIONS_MAX][3]; /* guest address, size, our address */
        KernelVhostRing rings[VHOST_RINGS_MAX];

        unsigned long refuse; /* this request of the kernel's fails with @refuse_errno */
        int refuse_errno;
        pthread_mutex_t lock;
        pthread_cond_t changed;
} KernelVhost;

extern const VhostOps kernel_vhost_fake_ops;

KernelVhost *kernel_vhost_new(uint64_t features);
KernelVhost *kernel_vhost_free(KernelVhost *fake);
void kernel_vhost_refuse(KernelVhost *fake, KernelVhostRequest request, int error);
/* Whether a ring is served becomes @served before long. */
bool kernel_vhost_wait(KernelVhost *fake, unsigned ring, bool served);
/* The device's half of a ring: takes what is available, gives it back with a length of @written. Return: how many. */
unsigned kernel_vhost_serve(KernelVhost *fake, unsigned ring, uint32_t written);
bool kernel_vhost_kicked(KernelVhost *fake, unsigned ring); /* since the last call; waits */
void kernel_vhost_call(KernelVhost *fake, unsigned ring);
void kernel_vhost_fail(KernelVhost *fake, unsigned ring); /* reports an error in the ring */
