/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One counter of an i8254, worked out from the time on demand instead of counted. Times are in clock ticks. */

#include <stdbool.h>
#include <stdint.h>

#include "vmm/snapshot/snapshot.h"

#define PIT_HZ UINT64_C(1193182)

/* How counts are moved through the byte-wide port: control word bits 5-4. */
typedef enum PitAccess {
        PIT_ACCESS_LOW = 1,
        PIT_ACCESS_HIGH = 2,
        PIT_ACCESS_BOTH = 3, /* low byte first */
} PitAccess;

typedef struct PitChannel {
        uint8_t mode; /* 0-5 */
        PitAccess access;
        bool bcd;
        bool gate;
        bool counting;        /* a count is loaded and, for modes 1 and 5, triggered */
        bool null_count;      /* a new count is awaited */
        uint32_t count;       /* modulus, 1..65536 (10000 in BCD) */
        uint64_t start_ticks; /* when counting began */
        uint64_t held_ticks;  /* modes 0 and 4 with the gate low: how far it had come */

        bool write_high_next; /* PIT_ACCESS_BOTH: the low byte is in @write_low */
        uint8_t write_low;
        bool read_high_next;
        uint8_t n_latched; /* bytes of @latched that are still to be read */
        uint16_t latched;
        bool status_latched;
        uint8_t status;
} PitChannel;

void pit_channel_init(PitChannel *channel, bool gate);
void pit_channel_control(PitChannel *channel, uint8_t word);
void pit_channel_latch_count(PitChannel *channel, uint64_t now);
void pit_channel_latch_status(PitChannel *channel, uint64_t now);
uint8_t pit_channel_read(PitChannel *channel, uint64_t now);
void pit_channel_write(PitChannel *channel, uint64_t now, uint8_t value);
void pit_channel_set_gate(PitChannel *channel, uint64_t now, bool gate);
bool pit_channel_output(const PitChannel *channel, uint64_t now);
bool pit_channel_next_rise(const PitChannel *channel, uint64_t after, uint64_t *ret_ticks);
void pit_channel_snapshot(PitChannel *channel, uint64_t now, Snapshot *s);
