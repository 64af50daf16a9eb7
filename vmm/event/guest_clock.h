/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Time as timer devices see it, and one-shot alarms in it. Devices read and arm on vCPU threads under their own lock;
 * alarms fire on the loop's thread, which then takes that lock. While the machine is paused the clock stands still and no
 * alarm comes due; the time of day goes on. Tests put a clock in place that they move by hand.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "vmm/event/loop.h"

typedef struct GuestClock GuestClock;
typedef struct GuestTimer GuestTimer;
typedef struct GuestClockOps GuestClockOps;

/* Called on the loop's thread with no lock held. */
typedef void (*GuestTimerFn)(void *userdata);

#define GUEST_TIMER_OFF UINT64_MAX

struct GuestClock {
        const GuestClockOps *ops;
};

struct GuestTimer {
        GuestClock *clock; /* borrowed, outlives the timer */
};

struct GuestClockOps {
        uint64_t (*now_nsec)(GuestClock *clock); /* monotonic; any thread */
        usec_t (*wall_usec)(GuestClock *clock);  /* since 1970, UTC; any thread */
        int (*timer_new)(GuestClock *clock, GuestTimerFn fn, void *userdata, GuestTimer **ret);
        void (*timer_arm)(GuestTimer *timer, uint64_t due_nsec); /* any thread */
        GuestTimer *(*timer_free)(GuestTimer *timer);
        /* Time stands still or goes on. Optional: a clock that tests move by hand stands still anyway. */
        void (*set_paused)(GuestClock *clock, bool paused);
        /* Optional: while it stands still, what it shows and goes on from. */
        void (*set_now_nsec)(GuestClock *clock, uint64_t nsec);
        GuestClock *(*free)(GuestClock *clock); /* after its timers */
};

int guest_clock_new(Loop *loop, GuestClock **ret);
GuestClock *guest_clock_free(GuestClock *clock);
DEFINE_CLEANUP(GuestClock *, guest_clock_free)
uint64_t guest_clock_now_nsec(GuestClock *clock);
usec_t guest_clock_wall_usec(GuestClock *clock);
void guest_clock_set_paused(GuestClock *clock, bool paused);
void guest_clock_set_now_nsec(GuestClock *clock, uint64_t nsec);

int guest_timer_new(GuestClock *clock, GuestTimerFn fn, void *userdata, GuestTimer **ret);
GuestTimer *guest_timer_free(GuestTimer *timer);
DEFINE_CLEANUP(GuestTimer *, guest_timer_free)
void guest_timer_arm(GuestTimer *timer, uint64_t due_nsec);
