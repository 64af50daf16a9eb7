/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/vmm_clock_fake.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

typedef struct FakeTimer {
        GuestTimer timer;
        GuestTimerFn fn;
        void *userdata;
        uint64_t due_nsec;
        struct FakeTimer *next;
} FakeTimer;

typedef struct FakeClock {
        GuestClock clock;
        uint64_t now_nsec;
        usec_t wall_usec; /* when @now_nsec was @start_nsec */
        uint64_t start_nsec;
        FakeTimer *timers;
} FakeClock;

static FakeClock *fake(GuestClock *clock) {
        return CONTAINER_OF(clock, FakeClock, clock);
}

static uint64_t fake_now_nsec(GuestClock *clock) {
        return fake(clock)->now_nsec;
}

static usec_t fake_wall_usec(GuestClock *clock) {
        FakeClock *f = fake(clock);

        return f->wall_usec + (f->now_nsec - f->start_nsec) / NSEC_PER_USEC;
}

static int fake_timer_new(GuestClock *clock, GuestTimerFn fn, void *userdata, GuestTimer **ret) {
        FakeClock *f = fake(clock);
        FakeTimer *t = calloc(1, sizeof(*t));

        if (!t)
                return -ENOMEM;
        *t = (FakeTimer){
                .timer.clock = clock,
                .fn = fn,
                .userdata = userdata,
                .due_nsec = GUEST_TIMER_OFF,
                .next = f->timers,
        };
        f->timers = t;
        *ret = &t->timer;
        return 0;
}

static void fake_timer_arm(GuestTimer *timer, uint64_t due_nsec) {
        CONTAINER_OF(timer, FakeTimer, timer)->due_nsec = due_nsec;
}

static GuestTimer *fake_timer_free(GuestTimer *timer) {
        FakeTimer *t = CONTAINER_OF(timer, FakeTimer, timer);

        for (FakeTimer **p = &fake(timer->clock)->timers; *p; p = &(*p)->next)
                if (*p == t) {
                        *p = t->next;
                        break;
                }
        free(t);
        return NULL;
}

static GuestClock *fake_free(GuestClock *clock) {
        free(fake(clock));
        return NULL;
}

static const GuestClockOps fake_clock_ops = {
        .now_nsec = fake_now_nsec,
        .wall_usec = fake_wall_usec,
        .timer_new = fake_timer_new,
        .timer_arm = fake_timer_arm,
        .timer_free = fake_timer_free,
        .free = fake_free,
};

/** fake_clock_new() - a clock that shows these times; release with guest_clock_free() */
GuestClock *fake_clock_new(uint64_t now_nsec, usec_t wall_usec) {
        FakeClock *f = calloc(1, sizeof(*f));

        if (!f)
                abort();
        *f = (FakeClock){
                .clock.ops = &fake_clock_ops,
                .now_nsec = now_nsec,
                .start_nsec = now_nsec,
                .wall_usec = wall_usec,
        };
        return &f->clock;
}

static FakeTimer *fake_clock_first(FakeClock *f) {
        FakeTimer *first = NULL;

        for (FakeTimer *t = f->timers; t; t = t->next)
                if (t->due_nsec != GUEST_TIMER_OFF && (!first || t->due_nsec < first->due_nsec))
                        first = t;
        return first;
}

/** fake_clock_advance() - let time pass; each alarm sees the clock at its own time */
void fake_clock_advance(GuestClock *clock, uint64_t nsec) {
        FakeClock *f = fake(clock);
        uint64_t end = f->now_nsec + nsec;
        FakeTimer *t;

        while ((t = fake_clock_first(f)) && t->due_nsec <= end) {
                if (t->due_nsec > f->now_nsec)
                        f->now_nsec = t->due_nsec;
                t->due_nsec = GUEST_TIMER_OFF;
                t->fn(t->userdata);
        }
        f->now_nsec = end;
}

/** fake_clock_armed() - how many alarms are set */
unsigned fake_clock_armed(GuestClock *clock) {
        unsigned n = 0;

        for (FakeTimer *t = fake(clock)->timers; t; t = t->next)
                n += t->due_nsec != GUEST_TIMER_OFF;
        return n;
}
