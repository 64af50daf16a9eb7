/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where each page of RAM is: with the guest, in staging memory or in the swap file. Pages are numbered as in the memfd, and
 * lie at the same place in staging memory and in the file, so that nothing has to be allocated or looked up.
 *
 * One thread, the mover, takes pages from place to place. Any other may say meanwhile that pages are free, without waiting: a
 * page that is on its way is marked, and the mover finds the mark gone when it arrives.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

#define SWAP_PAGE_SIZE UINT64_C(4096)
#define SWAP_RUN_PAGES 64u /* that swap_store_fetch() gives at once */

typedef enum SwapPlace {
        SWAP_GUEST, /* in the memfd, or all zeros and nowhere */
        SWAP_MOVING,
        SWAP_STAGED,
        SWAP_FILED,
} SwapPlace;

typedef struct SwapStore SwapStore;

int swap_store_new_consume(int guest_fd, uint64_t size_bytes, int file_fd, SwapStore **ret);
SwapStore *swap_store_free(SwapStore *store);
DEFINE_CLEANUP(SwapStore *, swap_store_free)

uint64_t swap_store_pages(const SwapStore *store);
SwapPlace swap_store_place(const SwapStore *store, uint64_t page);
uint64_t swap_store_staged(const SwapStore *store);
uint64_t swap_store_filed(const SwapStore *store);
uint64_t swap_store_resident(const SwapStore *store);

/* Any thread. */
void swap_store_forget(SwapStore *store, uint64_t offset, uint64_t len);
bool swap_store_next_away(const SwapStore *store, uint64_t offset, uint64_t *ret_from,
                          uint64_t *ret_to);

/* The mover alone. */
int swap_store_stage(SwapStore *store, uint64_t first, uint64_t n, uint64_t *ret_moved);
int swap_store_trim(SwapStore *store, uint64_t first, uint64_t n, uint64_t *ret_dropped);
int swap_store_write_out(SwapStore *store, uint64_t first, uint64_t n, uint64_t *ret_written);
int swap_store_fetch(SwapStore *store, uint64_t page, uint64_t max, const uint8_t **ret_bytes,
                     uint64_t *ret_n, SwapPlace *ret_from);
void swap_store_arrived(SwapStore *store, uint64_t page, uint64_t n);
void swap_store_turn_back(SwapStore *store, uint64_t page, uint64_t n, SwapPlace to);
void swap_store_reset(SwapStore *store);
bool swap_store_shrink_file(SwapStore *store, uint64_t bytes);
