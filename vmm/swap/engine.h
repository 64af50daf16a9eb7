/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What swapping does, without a thread: states, the work of a state in steps that are short, and touched pages served
 * between them. All of it is the mover's (vmm/swap/store.h).
 */

#include "vmm/swap/faults.h"
#include "vmm/swap/store.h"

typedef enum SwapState {
        SWAP_READY, /* everything is with the guest, and nothing is followed */
        SWAP_FAILED,
        SWAP_PENDING, /* guest memory is in staging memory, or on its way there */
        SWAP_TRIM_IN_PROGRESS,
        SWAP_OUT_IN_PROGRESS,
        SWAP_ACTIVE, /* what the guest had not taken back is in the file */
        SWAP_IN_IN_PROGRESS,
} SwapState;

typedef enum SwapCommand {
        SWAP_ENABLE,
        SWAP_TRIM,
        SWAP_OUT,
        SWAP_DISABLE,
        SWAP_DISABLE_SLOWLY, /* the file's blocks go back little by little */
} SwapCommand;

/* What the last change of state moved. */
typedef struct SwapTransition {
        uint64_t pages, nsec;
} SwapTransition;

/* How pages came back since swapping was enabled. */
typedef struct SwapFaultCounts {
        uint64_t from_file, from_staging, zeroed;
        uint64_t redundant; /* had come meanwhile */
} SwapFaultCounts;

typedef struct SwapEngine {
        const SwapFaultOps *ops;
        void *faults;     /* borrowed */
        SwapStore *store; /* borrowed */
        SwapState state;
        bool moving;    /* SWAP_PENDING: not all is there yet */
        bool following; /* pages that are touched are told */
        uint64_t at;    /* the page that the work has come to */
        uint64_t started_nsec;
        bool slow_cleanup;
        bool cleaning; /* SWAP_READY: the file is not empty yet */
        uint64_t clean_due_nsec;
        SwapTransition transition;
        SwapFaultCounts counts;
} SwapEngine;

bool swap_engine_takes(SwapState state, bool moving, SwapCommand command);
int swap_engine_command(SwapEngine *engine, SwapCommand command);
bool swap_engine_has_work(const SwapEngine *engine);
int swap_engine_step(SwapEngine *engine);
int swap_engine_serve(SwapEngine *engine);
void swap_engine_clean(SwapEngine *engine, uint64_t now_nsec);
