/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/irq/pit.h"

#include <errno.h>
#include <pthread.h>

#include "vmm/irq/pit_channel.h"
#include "vmm/mem/bus_bytes.h"
#include "vmm/mem/memmap.h"

#define PIT_CHANNELS 3u
#define PIT_SPEAKER_CHANNEL 2u
#define PIT_PORT_CONTROL 3u

/* A guest may ask for a million interrupts a second; what it gets is bounded. Ticks in between are merged. */
#define PIT_INTERVAL_MIN_NSEC UINT64_C(100000)

#define CONTROL_READ_BACK 3u
#define READ_BACK_NO_COUNT 0x20u
#define READ_BACK_NO_STATUS 0x10u

/* Port 0x61. */
#define PORT61_GATE2 0x01u
#define PORT61_SPEAKER 0x02u
#define PORT61_REFRESH 0x10u /* toggles with each DRAM refresh, every 15.085 us */
#define PORT61_OUT2 0x20u
#define PORT61_REFRESH_TICKS 18u

struct Pit {
        pthread_mutex_t lock;
        GuestClock *clock; /* borrowed */
        GuestTimer *timer; /* owned */
        IrqLine irq;
        PitChannel channels[PIT_CHANNELS];
        uint64_t seen_ticks; /* rises of channel 0's OUT until here were passed on, or are void */
        uint8_t port61;      /* the bits that are written */
};

static uint64_t pit_now_ticks(Pit *pit) {
        uint64_t nsec = guest_clock_now_nsec(pit->clock);

        return nsec / NSEC_PER_SEC * PIT_HZ + nsec % NSEC_PER_SEC * PIT_HZ / NSEC_PER_SEC;
}

/* Rounded up, so that at that time the tick has been reached. */
static uint64_t pit_ticks_to_nsec(uint64_t ticks) {
        return ticks / PIT_HZ * NSEC_PER_SEC +
               (ticks % PIT_HZ * NSEC_PER_SEC + PIT_HZ - 1) / PIT_HZ;
}

/* Waits for channel 0's next interrupt after @pit->seen_ticks. Lock held. */
static void pit_arm(Pit *pit, uint64_t earliest_nsec) {
        uint64_t rise;

        if (pit_channel_next_rise(&pit->channels[0], pit->seen_ticks, &rise))
                guest_timer_arm(pit->timer, MAX(pit_ticks_to_nsec(rise), earliest_nsec));
        else
                guest_timer_arm(pit->timer, GUEST_TIMER_OFF);
}

/* Channel 0 was programmed at @now: what it did before is over. Lock held. */
static void pit_restart(Pit *pit, uint64_t now) {
        pit->seen_ticks = now;
        pit_arm(pit, 0);
}

/* GuestTimerFn: OUT of channel 0 rose, or had been about to when it was programmed anew. */
static void pit_expired(void *userdata) {
        Pit *pit = userdata;
        uint64_t now, rise;

        pthread_mutex_lock(&pit->lock);
        now = pit_now_ticks(pit);
        if (pit_channel_next_rise(&pit->channels[0], pit->seen_ticks, &rise) && rise <= now) {
                irq_line_pulse(&pit->irq);
                pit->seen_ticks = now;
        }
        pit_arm(pit, guest_clock_now_nsec(pit->clock) + PIT_INTERVAL_MIN_NSEC);
        pthread_mutex_unlock(&pit->lock);
}

static void pit_read_back(Pit *pit, uint8_t word) {
        uint64_t now = pit_now_ticks(pit);

        for (unsigned i = 0; i < PIT_CHANNELS; i++) {
                if (!(word & (2u << i)))
                        continue;
                if (!(word & READ_BACK_NO_COUNT))
                        pit_channel_latch_count(&pit->channels[i], now);
                if (!(word & READ_BACK_NO_STATUS))
                        pit_channel_latch_status(&pit->channels[i], now);
        }
}

static void pit_control(Pit *pit, uint8_t word) {
        unsigned index = word >> 6;

        if (index == CONTROL_READ_BACK) {
                pit_read_back(pit, word);
        } else if ((word & 0x30u) == 0) {
                pit_channel_latch_count(&pit->channels[index], pit_now_ticks(pit));
        } else {
                pit_channel_control(&pit->channels[index], word);
                if (index == 0)
                        pit_restart(pit, pit_now_ticks(pit));
        }
}

static uint8_t pit_read_byte(void *device, unsigned offset) {
        Pit *pit = device;

        if (offset == PIT_PORT_CONTROL)
                return 0xff; /* write-only */
        return pit_channel_read(&pit->channels[offset], pit_now_ticks(pit));
}

static void pit_write_byte(void *device, unsigned offset, uint8_t value) {
        Pit *pit = device;
        uint64_t now = pit_now_ticks(pit);

        if (offset == PIT_PORT_CONTROL) {
                pit_control(pit, value);
                return;
        }
        pit_channel_write(&pit->channels[offset], now, value);
        if (offset == 0)
                pit_restart(pit, now);
}

static uint64_t pit_read(void *device, uint64_t offset, unsigned size) {
        return bus_bytes_read(device, offset, size, pit_read_byte);
}

static void pit_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        bus_bytes_write(device, offset, size, value, pit_write_byte);
}

static uint64_t port61_read(void *device, uint64_t offset, unsigned size) {
        Pit *pit = device;
        uint64_t now = pit_now_ticks(pit);
        uint8_t value = pit->port61;

        if (now / PORT61_REFRESH_TICKS % 2)
                value |= PORT61_REFRESH;
        if (pit_channel_output(&pit->channels[PIT_SPEAKER_CHANNEL], now))
                value |= PORT61_OUT2;
        return value;
}

static void port61_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        Pit *pit = device;

        pit->port61 = (uint8_t) value & (PORT61_GATE2 | PORT61_SPEAKER);
        pit_channel_set_gate(&pit->channels[PIT_SPEAKER_CHANNEL], pit_now_ticks(pit),
                             pit->port61 & PORT61_GATE2);
}

static const BusOps pit_bus_ops = {.name = "pit", .read = pit_read, .write = pit_write};
static const BusOps port61_bus_ops = {.name = "port61", .read = port61_read, .write = port61_write};

/**
 * pit_new() - the timer and the speaker port, nothing programmed
 * @pio:   gets ports 0x40-0x43 and 0x61
 * @clock: borrowed, must outlive the device
 * @irq:   ISA line 0
 *
 * Return: 0 or negative errno.
 */
int pit_new(Bus *pio, GuestClock *clock, IrqLine irq, Pit **ret) {
        _cleanup_(pit_freep) Pit *pit = calloc(1, sizeof(*pit));
        int r;

        if (!pit)
                return -ENOMEM;
        pthread_mutex_init(&pit->lock, NULL);
        pit->clock = clock;
        pit->irq = irq;
        for (unsigned i = 0; i < PIT_CHANNELS; i++)
                pit_channel_init(&pit->channels[i], i != PIT_SPEAKER_CHANNEL);
        r = guest_timer_new(clock, pit_expired, pit, &pit->timer);
        if (r < 0)
                return r;
        r = bus_add(pio, IOPORT_PIT, 4, &pit_bus_ops, pit, &pit->lock);
        if (r < 0)
                return r;
        r = bus_add(pio, IOPORT_SYSTEM_CONTROL_B, 1, &port61_bus_ops, pit, &pit->lock);
        if (r < 0)
                return r;
        *ret = TAKE(pit);
        return 0;
}

/** pit_free() - release; the loop and the vCPUs have ended. Return: NULL. */
Pit *pit_free(Pit *pit) {
        if (!pit)
                return NULL;
        guest_timer_free(pit->timer);
        pthread_mutex_destroy(&pit->lock);
        free(pit);
        return NULL;
}

/** pit_snapshot() - save or restore; the clock shows the time of the snapshot */
void pit_snapshot(Pit *pit, Snapshot *s) {
        const uint64_t now = pit_now_ticks(pit);

        pthread_mutex_lock(&pit->lock);
        snapshot_enter(s, "pit", 0);
        for (unsigned i = 0; i < PIT_CHANNELS; i++)
                pit_channel_snapshot(&pit->channels[i], now, s);
        snapshot_u64(s, &pit->seen_ticks);
        snapshot_u8(s, &pit->port61);
        if (snapshot_restored(s) && pit->seen_ticks > now)
                snapshot_refuse(s, "seen_ticks is a time that is to come");
        if (snapshot_restored(s) && pit->seen_ticks < pit->channels[0].start_ticks)
                snapshot_refuse(s, "seen_ticks is a time before the count began");
        snapshot_leave(s);
        if (snapshot_restored(s))
                pit_arm(pit, 0);
        pthread_mutex_unlock(&pit->lock);
}
