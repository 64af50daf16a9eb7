/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* max-queue-sizes=[N,...] of virtio devices: how long each of their queues may be. */

#include <stdint.h>

#include "config/kv_list.h"

int crosvm_queue_sizes_set(const KvItem *item, uint16_t *ret, unsigned n_queues, TextError *reterr);
void crosvm_queue_sizes_append(StrBuf *buf, const uint16_t *sizes, unsigned n_queues);
