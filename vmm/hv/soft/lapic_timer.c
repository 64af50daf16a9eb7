/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timer of a local APIC (SDM volume 3 section 11.5.4), in guest nanoseconds; its count runs at the TSC's rate, one
 * tick a nanosecond.
 *
 * A processor sees its own timer count without gaps. Ours is a thread that the host may leave waiting for longer than
 * the whole count, between two instructions that a guest relies on to be close. The count must not miss what it should
 * have shown in between: it stands still for such a gap, and catches up by TIMER_STEP_NSEC with each look at it. So it
 * is late after the gap, as all else that the processor does, and never early. It has caught up by the time the
 * processor sleeps, and whatever is programmed anew begins without arrears. A deadline is a value of the TSC and has
 * no count to show: it knows none of this.
 */
#include "vmm/hv/soft/lapic_timer.h"

#include "base/cleanup.h"

/** lapic_timer_clear() - as after RESET# and INIT */
void lapic_timer_clear(LapicTimer *t) {
        *t = (LapicTimer){.due = UINT64_MAX, .looked = UINT64_MAX};
}

static unsigned divider(const LapicTimer *t) {
        unsigned v = (t->divide & 3) | (t->divide >> 1 & 4);

        return v == 7 ? 1 : 2u << v;
}

static uint64_t period(const LapicTimer *t) {
        return (uint64_t) t->initial * divider(t);
}

static bool counting(const LapicTimer *t) {
        return t->due != UINT64_MAX && (t->lvt & LVT_TIMER_MODE) != LVT_TIMER_DEADLINE;
}

static void start(LapicTimer *t, uint64_t due) {
        t->due = due;
        t->held = 0;
}

static void disarm(LapicTimer *t) {
        start(t, UINT64_MAX);
        t->deadline = 0;
}

/** lapic_timer_set_mode() - its LVT entry is written; between one-shot and periodic the count goes on */
void lapic_timer_set_mode(LapicTimer *t, uint32_t lvt) {
        if ((t->lvt ^ lvt) & LVT_TIMER_DEADLINE) {
                disarm(t);
                t->initial = 0;
        }
        t->lvt = lvt;
}

/** lapic_timer_set_count() - the initial count is written, which starts the timer, or with 0 stops it */
void lapic_timer_set_count(LapicTimer *t, uint64_t now, uint32_t count) {
        if ((t->lvt & LVT_TIMER_MODE) == LVT_TIMER_DEADLINE)
                return;
        t->initial = count;
        t->looked = now;
        start(t, count == 0 ? UINT64_MAX : now + period(t));
}

/** lapic_timer_set_divide() - a new rate, at which a running count goes on */
void lapic_timer_set_divide(LapicTimer *t, uint64_t now, uint32_t divide) {
        const uint32_t left = lapic_timer_count(t, now);

        t->divide = divide & 0xb;
        t->looked = now;
        if (left != 0)
                start(t, now + (uint64_t) left * divider(t));
}

/**
 * lapic_timer_set_deadline() - the TSC deadline MSR is written
 * @tsc_offset: what the TSC is ahead of guest time
 * @tsc:        when to fire; 0 disarms
 *
 * Return: false outside of deadline mode, where the MSR ignores it.
 */
bool lapic_timer_set_deadline(LapicTimer *t, uint64_t now, int64_t tsc_offset, uint64_t tsc) {
        const uint64_t tsc_now = now + (uint64_t) tsc_offset;

        if ((t->lvt & LVT_TIMER_MODE) != LVT_TIMER_DEADLINE)
                return false;
        t->deadline = tsc;
        start(t, tsc == 0 ? UINT64_MAX : tsc <= tsc_now ? now : now + (tsc - tsc_now));
        return true;
}

/** lapic_timer_count() - the current count register at @now, which has been looked at; 0 where it does not count */
uint32_t lapic_timer_count(const LapicTimer *t, uint64_t now) {
        if (!counting(t) || t->due <= now)
                return 0;
        return (uint32_t) MIN((t->due - now) / divider(t), t->initial);
}

/** lapic_timer_left() - the same, but what is left of the last count is one: 0 only where it does not count */
uint32_t lapic_timer_left(const LapicTimer *t, uint64_t now) {
        const uint32_t count = lapic_timer_count(t, now);

        return count == 0 && counting(t) ? 1 : count;
}

/** lapic_timer_go_on() - a count that was just set has in truth been running, and has @left to go; 0: has ended */
void lapic_timer_go_on(LapicTimer *t, uint64_t now, uint32_t left) {
        if (counting(t))
                start(t, left == 0 ? UINT64_MAX : now + (uint64_t) left * divider(t));
}

/** lapic_timer_jumped() - whether more time has passed since the last look than the count may jump by */
bool lapic_timer_jumped(const LapicTimer *t, uint64_t now) {
        return counting(t) && t->looked != UINT64_MAX && now > t->looked + TIMER_STEP_NSEC;
}

/* Time that the processor was kept waiting for is taken out of the count, and given back a step at a time. */
static void hold(LapicTimer *t, uint64_t now, bool kept_waiting) {
        uint64_t step;

        if (kept_waiting && lapic_timer_jumped(t, now)) {
                step = MIN(now - t->looked - TIMER_STEP_NSEC, TIMER_HELD_MAX_NSEC - t->held);
                t->due += step;
                t->held += step;
        } else {
                step = MIN(t->held, TIMER_STEP_NSEC);
                t->due -= step;
                t->held -= step;
        }
        t->looked = now;
}

/**
 * lapic_timer_look() - bring the timer to @now
 * @kept_waiting: the host did not let the processor run for some of the time since the last look
 *
 * Return: whether it has run out, at most once for each time that it does; its interrupt may be masked.
 */
bool lapic_timer_look(LapicTimer *t, uint64_t now, bool kept_waiting) {
        if (t->due == UINT64_MAX)
                return false;
        hold(t, now, kept_waiting);
        if (now < t->due)
                return false;
        if ((t->lvt & LVT_TIMER_MODE) != LVT_TIMER_PERIODIC) {
                disarm(t);
                return true;
        }
        t->due += period(t);
        if (t->due <= now) /* ticks that nobody could take are lost, as on a busy machine */
                start(t, now + period(t));
        return true;
}

/** lapic_timer_sleep() - the processor is about to sleep. Return: until when at most, in guest nanoseconds. */
uint64_t lapic_timer_sleep(LapicTimer *t) {
        if (t->due != UINT64_MAX)
                t->due -= t->held;
        t->held = 0;
        t->looked = UINT64_MAX;
        return t->due;
}
