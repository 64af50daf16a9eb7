/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* RAM and a swap file for tests of vmm/swap: memfds whose pages have contents that tell them apart. */

#include "vmm/swap/store.h"

#define SWAP_TEST_PAGES 1100u /* more than a step, and no multiple of one */

typedef struct SwapPages {
        int guest_fd, file_fd; /* owned; @store has a duplicate of the second */
        SwapStore *store;      /* owned */
} SwapPages;

void swap_pages_init(SwapPages *pages);
void swap_pages_deinit(SwapPages *pages);
void swap_pages_write(const SwapPages *pages, uint64_t page, uint8_t seed);
void swap_pages_expect(const SwapPages *pages, uint64_t page, uint8_t seed);
bool swap_pages_has(int fd, uint64_t page);
