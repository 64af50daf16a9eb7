/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/event/guest_clock.h"

#include <errno.h>
#include <stddef.h>

/* The host's clocks, and timers on the loop, which may be armed from any thread. */
typedef struct HostClock {
        GuestClock clock;
        Loop *loop; /* borrowed */
} HostClock;

typedef struct HostTimer {
        GuestTimer timer;
        LoopSource *source; /* owned */
} HostTimer;

static uint64_t host_clock_now_nsec(GuestClock *clock) {
        return clock_monotonic_nsec();
}

static usec_t host_clock_wall_usec(GuestClock *clock) {
        return clock_realtime_usec();
}

static int host_timer_new(GuestClock *clock, GuestTimerFn fn, void *userdata, GuestTimer **ret) {
        HostClock *host = CONTAINER_OF(clock, HostClock, clock);
        HostTimer *t = malloc(sizeof(*t));
        int r;

        if (!t)
                return -ENOMEM;
        *t = (HostTimer){.timer.clock = clock};
        r = loop_add_timer(host->loop, fn, userdata, &t->source);
        if (r < 0) {
                free(t);
                return r;
        }
        *ret = &t->timer;
        return 0;
}

static void host_timer_arm(GuestTimer *timer, uint64_t due_nsec) {
        HostTimer *t = CONTAINER_OF(timer, HostTimer, timer);

        /* For the loop, 0 is "off". Fails only for descriptors that are not ours. */
        (void) loop_set_timer(t->source, due_nsec == GUEST_TIMER_OFF ? 0 : MAX(due_nsec, 1u));
}

static GuestTimer *host_timer_free(GuestTimer *timer) {
        HostTimer *t = CONTAINER_OF(timer, HostTimer, timer);

        loop_remove(t->source);
        free(t);
        return NULL;
}

static GuestClock *host_clock_free(GuestClock *clock) {
        free(CONTAINER_OF(clock, HostClock, clock));
        return NULL;
}

static const GuestClockOps host_clock_ops = {
        .now_nsec = host_clock_now_nsec,
        .wall_usec = host_clock_wall_usec,
        .timer_new = host_timer_new,
        .timer_arm = host_timer_arm,
        .timer_free = host_timer_free,
        .free = host_clock_free,
};

/**
 * guest_clock_new() - guest time that is the host's time
 * @loop: fires the timers; borrowed, must outlive the clock
 *
 * Return: 0 or -ENOMEM.
 */
int guest_clock_new(Loop *loop, GuestClock **ret) {
        HostClock *host = malloc(sizeof(*host));

        if (!host)
                return -ENOMEM;
        *host = (HostClock){.clock.ops = &host_clock_ops, .loop = loop};
        *ret = &host->clock;
        return 0;
}

/** guest_clock_free() - release a clock that has no timers left; NULL is fine. Return: NULL. */
GuestClock *guest_clock_free(GuestClock *clock) {
        return clock ? clock->ops->free(clock) : NULL;
}

/** guest_clock_now_nsec() - nanoseconds since an arbitrary start, never backwards; any thread */
uint64_t guest_clock_now_nsec(GuestClock *clock) {
        return clock->ops->now_nsec(clock);
}

/** guest_clock_wall_usec() - the time of day in UTC, microseconds since 1970; any thread */
usec_t guest_clock_wall_usec(GuestClock *clock) {
        return clock->ops->wall_usec(clock);
}

/**
 * guest_timer_new() - a one-shot alarm, not armed
 * @fn: called on the loop's thread once for each time that it is armed and reached
 *
 * Before the loop runs, or on its thread. An alarm that was moved while it fires may still call @fn early: callees
 * look at the clock.
 *
 * Return: 0 or negative errno.
 */
int guest_timer_new(GuestClock *clock, GuestTimerFn fn, void *userdata, GuestTimer **ret) {
        return clock->ops->timer_new(clock, fn, userdata, ret);
}

/** guest_timer_free() - release; on the loop's thread or after it ended; NULL is fine. Return: NULL. */
GuestTimer *guest_timer_free(GuestTimer *timer) {
        return timer ? timer->clock->ops->timer_free(timer) : NULL;
}

/** guest_timer_arm() - fire when guest_clock_now_nsec() reaches @due_nsec; GUEST_TIMER_OFF disarms; any thread */
void guest_timer_arm(GuestTimer *timer, uint64_t due_nsec) {
        timer->clock->ops->timer_arm(timer, due_nsec);
}
