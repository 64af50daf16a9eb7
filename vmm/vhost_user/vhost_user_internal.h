/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The connection to a vhost-user process, shared by the files of this folder. */

#include "vmm/vhost_user/message.h"
#include "vmm/vhost_user/ring.h"
#include "vmm/vhost_user/vhost_user.h"

/* How long the process may take for an answer. */
#define VHOST_USER_ANSWER_NSEC UINT64_C(5000000000)

#define VHOST_F_PROTOCOL_FEATURES (UINT64_C(1) << 30)
#define VHOST_F_VERSION_1 (UINT64_C(1) << 32)

typedef struct VhostQueue {
        VhostUser *vhost; /* owner */
        unsigned index;
        int kick_fd, call_fd; /* owned eventfds */
        LoopSource *source;   /* owned, of @call_fd */
        bool started;
        VhostRing ring;
} VhostQueue;

/* What the process was asked on the loop; it answers in the order of the questions. */
typedef struct VhostQuestion {
        VhostRequest request;
        unsigned queue; /* of GET_VRING_BASE */
} VhostQuestion;

struct VhostUser {
        int fd; /* owned socket */
        Loop *loop;
        const GuestMem *mem;
        LoopSource *source; /* owned, of @fd */
        VhostInbox inbox;
        VhostQuestion questions[VHOST_USER_QUEUES_MAX + 1]; /* to be answered, oldest first */
        unsigned n_questions;
        LoopSource *timer; /* owned: then the oldest should have been answered */
        int back_fd;       /* owned socket for what the process says unasked; -EBADF: it cannot */
        LoopSource *back;  /* owned, of @back_fd */
        VhostInbox back_inbox;
        VhostUserHandler handler;
        bool gone;
        uint64_t features; /* of the device type, that both sides know */
        bool enables; /* the process knows protocol features; queues are enabled by a message */
        uint8_t config[VHOST_USER_CONFIG_MAX];
        size_t config_len; /* 0: the process tells none */
        bool config_stale; /* it has changed since the question that is under way */
        bool config_asked;
        unsigned n_stopping; /* queues whose end was asked for */
        int rings_fd;        /* owned memfd */
        uint8_t *rings;      /* owned mapping of @n_queues rings */
        uint16_t ring_size;
        unsigned n_queues;
        VhostQueue queues[VHOST_USER_QUEUES_MAX]; /* @n_queues */
};

/* handshake.c: before the loop runs */
int vhost_user_shake_hands(VhostUser *vhost, const VhostUserConfig *config, TextError *reterr);

/* channel.c */
int vhost_user_listen(VhostUser *vhost);
int vhost_user_ask(VhostUser *vhost, const VhostQuestion *question, const void *payload,
                   size_t len);
int vhost_user_ask_config(VhostUser *vhost);
void vhost_user_hang_up(VhostUser *vhost);

/* vhost_user.c */
size_t vhost_user_rings_bytes(const VhostUser *vhost);
