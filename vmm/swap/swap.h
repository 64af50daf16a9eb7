/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Moving guest RAM out of the memfd on request, first into memory of our own and from there into a file, while the guest runs:
 * it takes back what it touches. A thread of its own serves those faults, because any other may be the one that waits.
 */

#include "base/cleanup.h"
#include "base/text_error.h"
#include "vmm/mem/guest_mem.h"
#include "vmm/swap/engine.h"

typedef struct Swap Swap;

typedef struct SwapConfig {
        GuestMem *mem;         /* borrowed; outlives it; small pages */
        const char *directory; /* in whose file system the file is; borrowed for the call */
        /* The end of SWAP_ENABLE, on the thread of the swap. @r: 0; -ECANCELED: another command came; other -errno. */
        void (*moved)(void *userdata, int r);
        void *userdata; /* borrowed */
} SwapConfig;

/* What was moved where, at one time. */
typedef struct SwapStatus {
        SwapState state;
        bool moving; /* into staging memory */
        SwapTransition transition;
        SwapFaultCounts counts;
        uint64_t resident, staged, filed; /* pages */
} SwapStatus;

int swap_new(const SwapConfig *config, Swap **ret, TextError *reterr);
int swap_start(Swap *swap);
Swap *swap_free(Swap *swap);
DEFINE_CLEANUP(Swap *, swap_free)

int swap_command(Swap *swap, SwapCommand command);
void swap_status(Swap *swap, SwapStatus *ret);
void swap_hold(Swap *swap);
void swap_release(Swap *swap);
