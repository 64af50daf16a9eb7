/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The packed rings of the fake driver; its callers go through fake_queue_add() and fake_queue_wait(). */

#include "tests/fake/vmm_virtio_driver.h"

uint16_t fake_packed_offer(FakeQueue *queue, const FakeBuffer *buffers, unsigned n,
                           unsigned more_flags);
bool fake_packed_is_used(FakeQueue *queue);
void fake_packed_take_used(FakeQueue *queue, uint16_t *ret_id, uint32_t *ret_len);
