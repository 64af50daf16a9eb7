/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The process at the other end of a vhost-user socket, as a puppet: it has given all the answers of the handshake before
 * it is asked, so that no thread is needed, and does afterwards what the test tells it.
 */

#include <stdint.h>

#include "vmm/vhost_user/ring.h"
#include "vmm/vhost_user/vhost_user.h"

typedef struct FakeVhost {
        int fd;         /* owned */
        uint8_t *rings; /* owned mapping of the rings, from fake_vhost_meet() on */
        int calls[VHOST_USER_QUEUES_MAX], kicks[VHOST_USER_QUEUES_MAX]; /* owned */
        uint16_t taken[VHOST_USER_QUEUES_MAX], ended[VHOST_USER_QUEUES_MAX];
} FakeVhost;

int fake_vhost_connect(FakeVhost *fake);
void fake_vhost_meet(FakeVhost *fake);
bool fake_vhost_take(FakeVhost *fake, unsigned queue, uint16_t *ret_head);
void fake_vhost_end(FakeVhost *fake, unsigned queue, uint32_t head, uint32_t written);
void fake_vhost_hang_up(FakeVhost *fake);
void fake_vhost_deinit(FakeVhost *fake);
