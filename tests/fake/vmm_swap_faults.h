/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Stands in for userfaultfd: pages of a memfd that somebody is said to wait for, and what was done for them. */

#include "vmm/swap/faults.h"

#define SWAP_FAKE_PAGES 1600u

typedef struct SwapFaultsFake {
        int fd;         /* borrowed: the memfd */
        bool following; /* follow() */
        uint64_t waiting[64];
        unsigned n_waiting;
        bool let_go[SWAP_FAKE_PAGES];     /* whoever waits for the page goes on */
        bool write_held[SWAP_FAKE_PAGES]; /* protected, or placed and not let go yet */
        int follow_error, place_error;    /* what the next call returns, -errno; then 0 again */
        /* Called in place of the kernel's own time: between what is read and where it is put. */
        void (*before_place)(void *userdata);
        void *userdata;
} SwapFaultsFake;

extern const SwapFaultOps swap_faults_fake_ops;

void swap_faults_fake_touch(SwapFaultsFake *fake, uint64_t page);
