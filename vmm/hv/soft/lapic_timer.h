/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The timer of a local APIC; part of lapic.c, and used only on the processor's own thread or while it does not run. */

#include <stdbool.h>
#include <stdint.h>

#define LVT_MASKED 0x10000u
#define LVT_TIMER_MODE 0x60000u
#define LVT_TIMER_PERIODIC 0x20000u
#define LVT_TIMER_DEADLINE 0x40000u

#define TIMER_STEP_NSEC UINT64_C(500000)         /* by how much the count may jump */
#define TIMER_HELD_MAX_NSEC UINT64_C(1000000000) /* by how much it may be late */

typedef struct LapicTimer {
        uint32_t lvt;      /* its entry, for the mode */
        uint32_t divide;   /* divide configuration register */
        uint32_t initial;  /* initial count register */
        uint64_t due;      /* guest nsec, UINT64_MAX: not running */
        uint64_t deadline; /* TSC value, 0 = disarmed */
        uint64_t looked;   /* guest nsec of the last look, UINT64_MAX: has slept since */
        uint64_t held;     /* how much of @due is time that the host kept the processor waiting */
} LapicTimer;

void lapic_timer_clear(LapicTimer *t);
void lapic_timer_set_mode(LapicTimer *t, uint32_t lvt);
void lapic_timer_set_count(LapicTimer *t, uint64_t now, uint32_t count);
void lapic_timer_set_divide(LapicTimer *t, uint64_t now, uint32_t divide);
bool lapic_timer_set_deadline(LapicTimer *t, uint64_t now, int64_t tsc_offset, uint64_t tsc);
uint32_t lapic_timer_count(const LapicTimer *t, uint64_t now);
uint32_t lapic_timer_left(const LapicTimer *t, uint64_t now);
void lapic_timer_go_on(LapicTimer *t, uint64_t now, uint32_t left);
bool lapic_timer_jumped(const LapicTimer *t, uint64_t now);
bool lapic_timer_look(LapicTimer *t, uint64_t now, bool kept_waiting);
uint64_t lapic_timer_sleep(LapicTimer *t);
