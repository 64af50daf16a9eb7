/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How a VM is stopped: the ways from the gentlest to the last one, and the time that each has. Pure. */

#include "base/clock.h"

typedef enum StopStep {
        STOP_STEP_NONE,
        STOP_STEP_POWER_BUTTON, /* the guest is asked, and shuts down by itself */
        STOP_STEP_VMM_STOP,     /* the VMM is told to end by its control socket */
        STOP_STEP_SIGTERM,
        STOP_STEP_SIGKILL,
} StopStep;
#define STOP_STEP_COUNT ((unsigned) STOP_STEP_SIGKILL + 1)

typedef struct StopLadder {
        StopStep step;
        usec_t due_usec;      /* monotonic: then the step has had its time */
        usec_t deadline_usec; /* monotonic: then it is SIGKILL's turn */
} StopLadder;

void stop_ladder_begin(StopLadder *ladder, usec_t now_usec, usec_t timeout_usec);
void stop_ladder_hurry(StopLadder *ladder, usec_t now_usec, usec_t timeout_usec);
void stop_ladder_resume(StopLadder *ladder, usec_t now_usec, usec_t deadline_usec);
void stop_ladder_advance(StopLadder *ladder, usec_t now_usec);
const char *stop_step_to_string(StopStep step);
