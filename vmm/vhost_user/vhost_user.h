/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The frontend of vhost-user: a device whose requests another process serves, from guest memory that it maps.
 *
 * The other process never sees the guest's own rings. Requests are taken and checked by the device model as of any
 * device and put into rings of ours; so a guest's mistake stays between the guest and us, a software processor learns
 * what is written to memory, and rings can be begun anew. What the process answers is checked too: it can write guest
 * memory, but not lead us astray.
 *
 * Threads: the loop's, except for vhost_user_new_consume().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/text_error.h"
#include "vmm/event/loop.h"
#include "vmm/mem/guest_mem.h"

typedef struct VhostUser VhostUser;

#define VHOST_USER_QUEUES_MAX 16u
#define VHOST_USER_RING_SIZE 1024u /* descriptors, at most */
#define VHOST_USER_CONFIG_MAX 256u

typedef struct VhostUserConfig {
        const GuestMem *mem; /* borrowed, outlives the result */
        Loop *loop;        /* borrowed, outlives the result; must not run yet, or be the caller's */
        uint64_t features; /* of the device type, that the model can pass on */
        unsigned min_queues, max_queues; /* 1..VHOST_USER_QUEUES_MAX */
        uint16_t ring_size; /* a power of two up to VHOST_USER_RING_SIZE, which 0 stands for */
        size_t config_len;  /* of the configuration to ask for, up to VHOST_USER_CONFIG_MAX */
} VhostUserConfig;

/* None of these is called from inside a call of the frontend's. All but gone() are optional. */
typedef struct VhostUserHandler {
        /* Requests of @queue have ended; vhost_user_take() gives them. */
        void (*completed)(void *userdata, unsigned queue);
        /* vhost_user_stop() is done: no request ends any more. */
        void (*stopped)(void *userdata);
        /* vhost_user_config() reads anew, and maybe differently. */
        void (*config_changed)(void *userdata);
        /* The process is gone; @cause is static text. Once. */
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

uint64_t vhost_user_features(const VhostUser *vhost);
unsigned vhost_user_queues(const VhostUser *vhost);
unsigned vhost_user_ring_size(const VhostUser *vhost);
const uint8_t *vhost_user_config(const VhostUser *vhost, size_t *ret_len);
int vhost_user_write_config(VhostUser *vhost, size_t offset, const void *data, size_t len);

int vhost_user_set_features(VhostUser *vhost, uint64_t features);
int vhost_user_start(VhostUser *vhost, unsigned queue);
int vhost_user_stop(VhostUser *vhost);
void vhost_user_forget(VhostUser *vhost);

int vhost_user_submit(VhostUser *vhost, unsigned queue, uint16_t tag, const struct iovec *iov,
                      unsigned n_out, unsigned n_in);
void vhost_user_kick(VhostUser *vhost, unsigned queue);
int vhost_user_take(VhostUser *vhost, unsigned queue, VhostUserDone *ret);
