/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/event/guest_clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/checked.h"

#define NOT_PAUSED UINT64_MAX

typedef struct HostTimer HostTimer;

/* The host's clocks less the time spent in pauses, and timers on the loop, which may be armed from any thread. */
typedef struct HostClock {
        GuestClock clock;
        Loop *loop; /* borrowed */
        _Atomic uint64_t
                paused_nsec; /* how far we are behind the host; of a restored clock modulo 2^64 */
        _Atomic uint64_t paused_at_nsec; /* guest time, or NOT_PAUSED */
        pthread_mutex_t lock;            /* what follows, and the timers' due times */
        HostTimer *timers;
} HostClock;

struct HostTimer {
        GuestTimer timer;
        LoopSource *source; /* owned */
        uint64_t due_nsec;
        HostTimer *next, *previous;
};

static HostClock *host_clock(GuestClock *clock) {
        return CONTAINER_OF(clock, HostClock, clock);
}

static uint64_t host_clock_now_nsec(GuestClock *clock) {
        HostClock *host = host_clock(clock);
        uint64_t paused_at = atomic_load(&host->paused_at_nsec);

        return paused_at != NOT_PAUSED ? paused_at
                                       : clock_monotonic_nsec() - atomic_load(&host->paused_nsec);
}

static usec_t host_clock_wall_usec(GuestClock *clock) {
        return clock_realtime_usec();
}

/* When @t is due by the host's clock; for the loop 0 is "off". */
static uint64_t host_timer_due(const HostClock *host, const HostTimer *t) {
        const int64_t behind = (int64_t) atomic_load(&host->paused_nsec);
        uint64_t due;

        if (t->due_nsec == GUEST_TIMER_OFF || atomic_load(&host->paused_at_nsec) != NOT_PAUSED)
                return 0;
        if (!ADD_CHECKED(t->due_nsec, behind, &due))
                return behind < 0 ? 1
                                  : 0; /* before the host's clock began, or after the end of time */
        return MAX(due, 1u);
}

/* Brings the host's timer in step. Lock held. */
static void host_timer_set(const HostClock *host, const HostTimer *t) {
        /* Fails only for descriptors that are not ours. */
        (void) loop_set_timer(t->source, host_timer_due(host, t));
}

static int host_timer_new(GuestClock *clock, GuestTimerFn fn, void *userdata, GuestTimer **ret) {
        HostClock *host = host_clock(clock);
        HostTimer *t = malloc(sizeof(*t));
        int r;

        if (!t)
                return -ENOMEM;
        *t = (HostTimer){.timer.clock = clock, .due_nsec = GUEST_TIMER_OFF};
        r = loop_add_timer(host->loop, fn, userdata, &t->source);
        if (r < 0) {
                free(t);
                return r;
        }
        pthread_mutex_lock(&host->lock);
        t->next = host->timers;
        if (t->next)
                t->next->previous = t;
        host->timers = t;
        pthread_mutex_unlock(&host->lock);
        *ret = &t->timer;
        return 0;
}

static void host_timer_arm(GuestTimer *timer, uint64_t due_nsec) {
        HostTimer *t = CONTAINER_OF(timer, HostTimer, timer);
        HostClock *host = host_clock(timer->clock);

        pthread_mutex_lock(&host->lock);
        t->due_nsec = due_nsec;
        host_timer_set(host, t);
        pthread_mutex_unlock(&host->lock);
}

static GuestTimer *host_timer_free(GuestTimer *timer) {
        HostTimer *t = CONTAINER_OF(timer, HostTimer, timer);
        HostClock *host = host_clock(timer->clock);

        pthread_mutex_lock(&host->lock);
        if (t->previous)
                t->previous->next = t->next;
        else
                host->timers = t->next;
        if (t->next)
                t->next->previous = t->previous;
        pthread_mutex_unlock(&host->lock);
        loop_remove(t->source);
        free(t);
        return NULL;
}

static void host_clock_set_paused(GuestClock *clock, bool paused) {
        HostClock *host = host_clock(clock);
        const uint64_t paused_at = atomic_load(&host->paused_at_nsec);

        if (paused == (paused_at != NOT_PAUSED))
                return;
        pthread_mutex_lock(&host->lock);
        if (paused) {
                atomic_store(&host->paused_at_nsec, host_clock_now_nsec(clock));
        } else {
                atomic_store(&host->paused_nsec, clock_monotonic_nsec() - paused_at);
                atomic_store(&host->paused_at_nsec, NOT_PAUSED);
        }
        for (const HostTimer *t = host->timers; t; t = t->next)
                host_timer_set(host, t);
        pthread_mutex_unlock(&host->lock);
}

static void host_clock_set_now_nsec(GuestClock *clock, uint64_t nsec) {
        HostClock *host = host_clock(clock);

        if (atomic_load(&host->paused_at_nsec) != NOT_PAUSED)
                atomic_store(&host->paused_at_nsec, nsec);
}

static GuestClock *host_clock_free(GuestClock *clock) {
        HostClock *host = host_clock(clock);

        pthread_mutex_destroy(&host->lock);
        free(host);
        return NULL;
}

static const GuestClockOps host_clock_ops = {
        .now_nsec = host_clock_now_nsec,
        .wall_usec = host_clock_wall_usec,
        .timer_new = host_timer_new,
        .timer_arm = host_timer_arm,
        .timer_free = host_timer_free,
        .set_paused = host_clock_set_paused,
        .set_now_nsec = host_clock_set_now_nsec,
        .free = host_clock_free,
};

/**
 * guest_clock_new() - guest time that is the host's time, less pauses
 * @loop: fires the timers; borrowed, must outlive the clock
 *
 * Return: 0 or -ENOMEM.
 */
int guest_clock_new(Loop *loop, GuestClock **ret) {
        HostClock *host = malloc(sizeof(*host));

        if (!host)
                return -ENOMEM;
        *host = (HostClock){
                .clock.ops = &host_clock_ops,
                .loop = loop,
                .paused_at_nsec = NOT_PAUSED,
        };
        pthread_mutex_init(&host->lock, NULL);
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
 * guest_clock_set_paused() - make time stand still, or go on from where it stood; the loop's thread
 *
 * Not while a vCPU may read the clock: what it read must not change under it. Alarms that were due in between come as
 * much later.
 */
void guest_clock_set_paused(GuestClock *clock, bool paused) {
        if (clock->ops->set_paused)
                clock->ops->set_paused(clock, paused);
}

/**
 * guest_clock_set_now_nsec() - what a clock that stands still shows, and goes on from; the loop's thread
 *
 * Before the machine runs: what devices have taken from the clock before is none of its times.
 */
void guest_clock_set_now_nsec(GuestClock *clock, uint64_t nsec) {
        if (clock->ops->set_now_nsec)
                clock->ops->set_now_nsec(clock, nsec);
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
