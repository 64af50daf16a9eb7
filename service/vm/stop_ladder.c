/* SPDX-License-Identifier: Apache-2.0 */
#include "service/vm/stop_ladder.h"

#include "base/checked.h"
#include "base/cleanup.h"

/* Of the time: a guest has services to stop and disks to write; a VMM only has itself. */
static const unsigned weights[STOP_STEP_COUNT] = {
        [STOP_STEP_POWER_BUTTON] = 8,
        [STOP_STEP_VMM_STOP] = 1,
        [STOP_STEP_SIGTERM] = 1,
};

/* The step's share of what is left, together with those that come after it. */
static void set_due(StopLadder *ladder, usec_t now_usec) {
        usec_t left = ladder->deadline_usec > now_usec ? ladder->deadline_usec - now_usec : 0;
        unsigned sum = 0;

        for (unsigned i = ladder->step; i < STOP_STEP_COUNT; i++)
                sum += weights[i];
        ladder->due_usec = now_usec + (sum > 0 ? left / sum * weights[ladder->step] : 0);
}

static void enter(StopLadder *ladder, StopStep step, usec_t now_usec) {
        ladder->step = now_usec >= ladder->deadline_usec ? STOP_STEP_SIGKILL : step;
        set_due(ladder, now_usec);
}

static usec_t deadline_after(usec_t now_usec, usec_t timeout_usec) {
        usec_t deadline;

        return ADD_CHECKED(now_usec, timeout_usec, &deadline) ? deadline : UINT64_MAX;
}

/** stop_ladder_begin() - at the first step; with a timeout of 0 that is the last one too */
void stop_ladder_begin(StopLadder *ladder, usec_t now_usec, usec_t timeout_usec) {
        *ladder = (StopLadder){.deadline_usec = deadline_after(now_usec, timeout_usec)};
        enter(ladder, STOP_STEP_POWER_BUTTON, now_usec);
}

/** stop_ladder_hurry() - somebody else wants it too; whoever is in a greater hurry wins */
void stop_ladder_hurry(StopLadder *ladder, usec_t now_usec, usec_t timeout_usec) {
        usec_t deadline = deadline_after(now_usec, timeout_usec);

        if (deadline >= ladder->deadline_usec)
                return;
        ladder->deadline_usec = deadline;
        enter(ladder, ladder->step, now_usec);
}

/** stop_ladder_resume() - at the step that it has, with what is left of the time of an earlier daemon's */
void stop_ladder_resume(StopLadder *ladder, usec_t now_usec, usec_t deadline_usec) {
        ladder->deadline_usec = deadline_usec;
        if (ladder->step != STOP_STEP_NONE)
                enter(ladder, ladder->step, now_usec);
}

/** stop_ladder_advance() - to the next step, since this one had its time or is not to be had */
void stop_ladder_advance(StopLadder *ladder, usec_t now_usec) {
        if (ladder->step < STOP_STEP_SIGKILL)
                enter(ladder, (StopStep) (ladder->step + 1), now_usec);
}

/** stop_step_to_string() - the name used on the bus; "" for STOP_STEP_NONE */
const char *stop_step_to_string(StopStep step) {
        static const char *const names[STOP_STEP_COUNT] = {
                [STOP_STEP_NONE] = "",
                [STOP_STEP_POWER_BUTTON] = "power-button",
                [STOP_STEP_VMM_STOP] = "vmm-stop",
                [STOP_STEP_SIGTERM] = "sigterm",
                [STOP_STEP_SIGKILL] = "sigkill",
        };

        return names[step];
}
