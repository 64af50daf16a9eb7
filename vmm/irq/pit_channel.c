/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/irq/pit_channel.h"

/*
 * Intel 8254 data sheet. One deviation: in the periodic modes a count written while another runs takes effect at once
 * and not at the end of the period, as in every PC emulator; kernels write a mode before each count anyway.
 */

enum {
        MODE_INTERRUPT_ON_TERMINAL_COUNT = 0,
        MODE_ONE_SHOT = 1,
        MODE_RATE_GENERATOR = 2,
        MODE_SQUARE_WAVE = 3,
        MODE_SOFTWARE_STROBE = 4,
        MODE_HARDWARE_STROBE = 5,
};

#define STATUS_OUTPUT 0x80u
#define STATUS_NULL_COUNT 0x40u

static bool channel_is_periodic(const PitChannel *channel) {
        return channel->mode == MODE_RATE_GENERATOR || channel->mode == MODE_SQUARE_WAVE;
}

static bool channel_is_hardware_triggered(const PitChannel *channel) {
        return channel->mode == MODE_ONE_SHOT || channel->mode == MODE_HARDWARE_STROBE;
}

/* Ticks since counting began, standing still while a low gate holds the count. */
static uint64_t channel_elapsed(const PitChannel *channel, uint64_t now) {
        if (!channel->gate && !channel_is_hardware_triggered(channel))
                return channel->held_ticks;
        return now - channel->start_ticks;
}

static uint32_t bcd_to_binary(uint32_t bcd) {
        return (bcd >> 12 & 0xf) * 1000 + (bcd >> 8 & 0xf) * 100 + (bcd >> 4 & 0xf) * 10 +
               (bcd & 0xf);
}

static uint32_t binary_to_bcd(uint32_t n) {
        return (n / 1000 % 10) << 12 | (n / 100 % 10) << 8 | (n / 10 % 10) << 4 | n % 10;
}

/* What the counting element holds, as a program reads it. */
static uint16_t channel_counter(const PitChannel *channel, uint64_t now) {
        uint32_t span = channel->bcd ? 10000 : 0x10000, value;
        uint64_t elapsed = channel_elapsed(channel, now);

        if (!channel->counting)
                value = channel->count;
        else if (channel->mode == MODE_SQUARE_WAVE)
                value = channel->count - (uint32_t) (2 * elapsed % channel->count);
        else if (channel->mode == MODE_RATE_GENERATOR)
                value = channel->count - (uint32_t) (elapsed % channel->count);
        else
                value = (uint32_t) (channel->count + span - elapsed % span);
        value %= span;
        return (uint16_t) (channel->bcd ? binary_to_bcd(value) : value);
}

/** pit_channel_init() - nothing programmed, output low; @gate: level of the gate input */
void pit_channel_init(PitChannel *channel, bool gate) {
        *channel = (PitChannel){
                .access = PIT_ACCESS_BOTH,
                .gate = gate,
                .null_count = true,
                .count = 0x10000,
        };
}

/** pit_channel_control() - a control word for this channel, not a latch command: counting stops until a count comes */
void pit_channel_control(PitChannel *channel, uint8_t word) {
        unsigned mode = word >> 1 & 7u;

        channel->access = (PitAccess) (word >> 4 & 3u);
        channel->mode =
                (uint8_t) (mode > MODE_HARDWARE_STROBE ? mode - 4 : mode); /* 6, 7 are 2, 3 */
        channel->bcd = word & 1u;
        channel->counting = false;
        channel->null_count = true;
        channel->held_ticks = 0;
        channel->write_high_next = false;
        channel->read_high_next = false;
        channel->n_latched = 0;
        channel->status_latched = false;
}

/** pit_channel_latch_count() - hold the count for the next reads; a latch not yet read stays */
void pit_channel_latch_count(PitChannel *channel, uint64_t now) {
        if (channel->n_latched)
                return;
        channel->latched = channel_counter(channel, now);
        channel->n_latched = channel->access == PIT_ACCESS_BOTH ? 2 : 1;
}

/** pit_channel_latch_status() - hold the status byte for the next read; one not yet read stays */
void pit_channel_latch_status(PitChannel *channel, uint64_t now) {
        if (channel->status_latched)
                return;
        channel->status = (uint8_t) ((unsigned) channel->access << 4 | channel->mode << 1 |
                                     (channel->bcd ? 1u : 0u));
        if (pit_channel_output(channel, now))
                channel->status |= STATUS_OUTPUT;
        if (channel->null_count)
                channel->status |= STATUS_NULL_COUNT;
        channel->status_latched = true;
}

static uint8_t channel_read_latched(PitChannel *channel) {
        bool high = channel->access == PIT_ACCESS_HIGH ||
                    (channel->access == PIT_ACCESS_BOTH && channel->n_latched == 1);

        channel->n_latched--;
        return (uint8_t) (high ? channel->latched >> 8 : channel->latched);
}

/** pit_channel_read() - a read of the channel's port: latched status, latched count, or the running count */
uint8_t pit_channel_read(PitChannel *channel, uint64_t now) {
        uint16_t counter;
        bool high;

        if (channel->status_latched) {
                channel->status_latched = false;
                return channel->status;
        }
        if (channel->n_latched)
                return channel_read_latched(channel);
        counter = channel_counter(channel, now);
        high = channel->access == PIT_ACCESS_HIGH;
        if (channel->access == PIT_ACCESS_BOTH) {
                high = channel->read_high_next;
                channel->read_high_next = !high;
        }
        return (uint8_t) (high ? counter >> 8 : counter);
}

static void channel_load(PitChannel *channel, uint64_t now, uint16_t value) {
        uint32_t count = channel->bcd ? bcd_to_binary(value) : value;

        channel->count = count ? count : channel->bcd ? 10000 : 0x10000;
        channel->null_count = false;
        if (channel_is_hardware_triggered(channel))
                return; /* the next rise of the gate starts it */
        channel->counting = true;
        channel->start_ticks = now;
        channel->held_ticks = 0;
}

/** pit_channel_write() - a byte of a new count; counting starts when it is complete */
void pit_channel_write(PitChannel *channel, uint64_t now, uint8_t value) {
        switch (channel->access) {
        case PIT_ACCESS_LOW:
                channel_load(channel, now, value);
                break;
        case PIT_ACCESS_HIGH:
                channel_load(channel, now, (uint16_t) (value << 8));
                break;
        case PIT_ACCESS_BOTH:
                if (channel->write_high_next)
                        channel_load(channel, now, (uint16_t) (value << 8 | channel->write_low));
                else if (channel->mode == MODE_INTERRUPT_ON_TERMINAL_COUNT)
                        channel->counting = false; /* the first byte stops mode 0 */
                channel->write_low = value;
                channel->write_high_next = !channel->write_high_next;
                break;
        }
}

/** pit_channel_set_gate() - the gate input changed */
void pit_channel_set_gate(PitChannel *channel, uint64_t now, bool gate) {
        if (gate == channel->gate)
                return;
        if (channel_is_hardware_triggered(channel)) {
                if (gate && !channel->null_count) {
                        channel->counting = true;
                        channel->start_ticks = now;
                }
        } else if (channel_is_periodic(channel)) {
                channel->held_ticks = 0; /* a rise starts the period anew */
                channel->start_ticks = now;
        } else if (gate) {
                channel->start_ticks = now - channel->held_ticks;
        } else {
                channel->held_ticks = now - channel->start_ticks;
        }
        channel->gate = gate;
}

/** pit_channel_output() - the level of OUT */
bool pit_channel_output(const PitChannel *channel, uint64_t now) {
        uint64_t elapsed = channel_elapsed(channel, now);

        if (!channel->counting)
                return channel->mode != MODE_INTERRUPT_ON_TERMINAL_COUNT;
        switch (channel->mode) {
        case MODE_INTERRUPT_ON_TERMINAL_COUNT:
        case MODE_ONE_SHOT:
                return elapsed >= channel->count;
        case MODE_RATE_GENERATOR: /* low for the last tick of each period */
                return !channel->gate || elapsed % channel->count != channel->count - 1;
        case MODE_SQUARE_WAVE:
                return !channel->gate || elapsed % channel->count < (channel->count + 1) / 2;
        default: /* the strobes are low for one tick */
                return elapsed != channel->count;
        }
}

/**
 * pit_channel_next_rise() - when OUT next goes from low to high, which is when channel 0 interrupts
 * @after: rises at this tick or earlier do not count
 *
 * Return: false when it will not rise without being programmed or gated.
 */
bool pit_channel_next_rise(const PitChannel *channel, uint64_t after, uint64_t *ret_ticks) {
        uint64_t rise, elapsed = after - channel->start_ticks;

        if (!channel->counting)
                return false;
        if (!channel->gate && !channel_is_hardware_triggered(channel))
                return false;
        if (channel_is_periodic(channel)) {
                *ret_ticks = channel->start_ticks + (elapsed / channel->count + 1) * channel->count;
                return true;
        }
        rise = channel->count;
        if (channel->mode == MODE_SOFTWARE_STROBE || channel->mode == MODE_HARDWARE_STROBE)
                rise++;
        if (rise <= elapsed)
                return false;
        *ret_ticks = channel->start_ticks + rise;
        return true;
}

/** pit_channel_snapshot() - save or restore a channel; @now: the time at which that is done */
void pit_channel_snapshot(PitChannel *channel, uint64_t now, Snapshot *s) {
        static const SnapshotField fields[] = {
                SNAPSHOT_RANGE(PitChannel, mode, 0, MODE_HARDWARE_STROBE),
                SNAPSHOT_RANGE(PitChannel, access, PIT_ACCESS_LOW, PIT_ACCESS_BOTH),
                SNAPSHOT_BOOL(PitChannel, bcd),
                SNAPSHOT_BOOL(PitChannel, gate),
                SNAPSHOT_BOOL(PitChannel, counting),
                SNAPSHOT_BOOL(PitChannel, null_count),
                SNAPSHOT_RANGE(PitChannel, count, 1, 0x10000),
                SNAPSHOT_UINT(PitChannel, start_ticks),
                SNAPSHOT_UINT(PitChannel, held_ticks),
                SNAPSHOT_BOOL(PitChannel, write_high_next),
                SNAPSHOT_UINT(PitChannel, write_low),
                SNAPSHOT_BOOL(PitChannel, read_high_next),
                SNAPSHOT_RANGE(PitChannel, n_latched, 0, 2),
                SNAPSHOT_UINT(PitChannel, latched),
                SNAPSHOT_BOOL(PitChannel, status_latched),
                SNAPSHOT_UINT(PitChannel, status),
        };

        snapshot_members(s, fields, channel);
        if (snapshot_restored(s) && (channel->start_ticks > now || channel->held_ticks > now))
                snapshot_refuse(s, "a channel of the timer counts from a time that is to come");
}
