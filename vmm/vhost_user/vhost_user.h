/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The frontend of vhost-user: a device whose requests another process serves, from guest memory that it maps.
 *
 * The other process never sees the guest's own rings. Requests are taken and checked by the device model as of any
 * device and put into rings of ours; so a guest's mistake stays between the guest and us, a software processor learns
 * what is written to memory, and the rings live through resets of the device. What the process answers is checked too:
 * it can write guest memory, but not lead us astray.
 *
 * Threads: the loop's, except for vhost_user_new_consume().
 */

#include <stdint.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/text_error.h"
#include "vmm/event/loop.h"
#include "vmm/mem/guest_mem.h"

typedef struct VhostUser VhostUser;

#define VHOST_USER_QUEUES_MAX 8u
#define VHOST_USER_RING_SIZE 1024u /* descriptors */

typedef struct VhostUserConfig {
        const GuestMem *mem; /* borrowed, outlives the result */
        Loop *loop;        /* borrowed, outlives the result; must not run yet, or be the caller's */
        unsigned n_queues; /* 1..VHOST_USER_QUEUES_MAX */
} VhostUserConfig;

typedef struct VhostUserHandler {
        /* Requests of @queue have ended; vhost_user_take() gives them. */
        void (*completed)(void *userdata, unsigned queue);
        /* The process is gone; @cause is static text. Once, and not from inside a call of the frontend's. */
        void (*gone)(void *userdata, const char *cause);
        void *userdata; /* weak */
} VhostUserHandler;

typedef struct VhostUserDone {
        uint16_t tag;     /* as submitted */
        uint32_t written; /* bytes, at most what there was room for */
} VhostUserDone;

enum { VHOST_USER_E_FULL = 1, VHOST_USER_E_NONE };

int vhost_user_new_consume(int fd, const VhostUserConfig *config, VhostUser **ret,
                           TextError *reterr);
VhostUser *vhost_user_free(VhostUser *vhost);
DEFINE_CLEANUP(VhostUser *, vhost_user_free)
void vhost_user_set_handler(VhostUser *vhost, const VhostUserHandler *handler);
int vhost_user_submit(VhostUser *vhost, unsigned queue, uint16_t tag, const struct iovec *iov,
                      unsigned n_out, unsigned n_in);
void vhost_user_kick(VhostUser *vhost, unsigned queue);
int vhost_user_take(VhostUser *vhost, unsigned queue, VhostUserDone *ret);
