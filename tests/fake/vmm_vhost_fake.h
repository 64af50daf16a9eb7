/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The process at the other end of a vhost-user socket, as a puppet: it has given all the answers of the handshake before
 * it is asked, so that no thread is needed, and does afterwards what the test tells it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "vmm/vhost_user/message.h"
#include "vmm/vhost_user/ring.h"
#include "vmm/vhost_user/vhost_user.h"

#define FAKE_VHOST_REPLY 5u   /* flags of an answer */
#define FAKE_VHOST_UNASKED 1u /* flags of what is said on the back channel */

/* What the process says in the handshake. */
typedef struct FakeVhostOptions {
        uint64_t features; /* of the device; those of every process are added */
        unsigned n_queues; /* 1..VHOST_USER_QUEUES_MAX */
        const uint8_t *config;
        size_t config_len; /* 0: it tells none */
} FakeVhostOptions;

typedef struct FakeVhost {
        int fd;            /* owned */
        int back_fd;       /* owned, or -EBADF: to say that the configuration has changed */
        uint64_t features; /* as the frontend told last */
        uint8_t config[VHOST_USER_CONFIG_MAX]; /* as the frontend wrote last, at its place */
        uint8_t *rings;                        /* owned mapping of the rings, once they were told */
        unsigned n_queues;
        int calls[VHOST_USER_QUEUES_MAX], kicks[VHOST_USER_QUEUES_MAX]; /* owned */
        uint16_t taken[VHOST_USER_QUEUES_MAX], ended[VHOST_USER_QUEUES_MAX];
} FakeVhost;

void fake_vhost_init(FakeVhost *fake);
int fake_vhost_connect(FakeVhost *fake);
int fake_vhost_connect_as(FakeVhost *fake, const FakeVhostOptions *options);
void fake_vhost_meet(FakeVhost *fake);
bool fake_vhost_await(FakeVhost *fake, VhostRequest request);
void fake_vhost_say(int fd, uint32_t request, uint32_t flags, const void *payload, size_t len);
void fake_vhost_stopped(FakeVhost *fake, unsigned queue);
void fake_vhost_tell_config(FakeVhost *fake, const uint8_t *config, size_t len);
bool fake_vhost_take(FakeVhost *fake, unsigned queue, uint16_t *ret_head);
void fake_vhost_end(FakeVhost *fake, unsigned queue, uint32_t head, uint32_t written);
void fake_vhost_hang_up(FakeVhost *fake);
void fake_vhost_deinit(FakeVhost *fake);
