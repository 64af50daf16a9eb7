/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "vmm/legacy/devices.h"
#include "vmm/legacy/rtc_time.h"
#include "vmm/mem/bus_bytes.h"
#include "vmm/mem/memmap.h"

/*
 * The clock shows the host's wall clock plus an offset, which is what a guest changes when it sets the time. Nothing
 * ticks: registers, the update-in-progress bit and the interrupt flags are worked out when somebody looks, and a timer
 * runs only towards an interrupt that the guest enabled and has not got yet.
 */

#define CMOS_SIZE 128u
#define CMOS_EQUIPMENT 0x14
#define CMOS_BASE_KIB 0x15       /* 2 bytes */
#define CMOS_EXTENDED_KIB 0x17   /* 2 bytes, from 1 MiB */
#define CMOS_EXTENDED_KIB_2 0x30 /* the same again */
#define CMOS_ABOVE_16M 0x34      /* 2 bytes, units of 64 KiB */
#define CMOS_ABOVE_4G 0x5b       /* 3 bytes, units of 64 KiB */
#define CMOS_EQUIPMENT_FPU 0x02u

#define A_UPDATE_IN_PROGRESS 0x80u
#define A_DIVIDER 0x70u
#define A_DIVIDER_32KHZ 0x20u
#define A_DIVIDER_RESET 0x60u /* both upper bits: held in reset */
#define A_RATE 0x0fu
#define A_RATE_1024HZ 0x06u
#define B_SET 0x80u
#define C_IRQF 0x80u
#define C_PERIODIC 0x40u
#define C_ALARM 0x20u
#define C_UPDATE 0x10u
#define C_SOURCES (C_PERIODIC | C_ALARM | C_UPDATE)
#define D_VALID 0x80u

#define UPDATE_LEAD_USEC INT64_C(244) /* UIP is set this long before */
#define USEC_PER_SECOND INT64_C(1000000)
#define FIRST_UPDATE_USEC INT64_C(500000) /* after the divider is released */
#define SECONDS_MAX                                                                                \
        (INT64_C(1) << 40) /* from 1970 on, or back: beyond all that registers can say */

struct Rtc {
        pthread_mutex_t lock;
        GuestClock *clock; /* borrowed */
        GuestTimer *timer; /* owned */
        IrqLine irq;
        int64_t offset_usec;  /* clock time minus the host's wall clock */
        int64_t frozen_usec;  /* within the second, while the clock stands */
        int64_t seen_seconds; /* flags up to this second are in register C */
        uint64_t seen_periods;
        uint8_t index;
        uint8_t cmos[CMOS_SIZE]; /* time registers are valid while the clock stands */
};

static bool rtc_divider_held(const Rtc *rtc) {
        return (rtc->cmos[RTC_A] & A_DIVIDER_RESET) == A_DIVIDER_RESET;
}

static bool rtc_stands(const Rtc *rtc) {
        return (rtc->cmos[RTC_B] & B_SET) || rtc_divider_held(rtc);
}

static int64_t rtc_now_usec(Rtc *rtc) {
        int64_t usec = (int64_t) guest_clock_wall_usec(rtc->clock) + rtc->offset_usec;

        return MAX(usec, 0);
}

/* The square wave's period in nanoseconds, 0 when it is off. Rates 1 and 2 are those of 8 and 9. */
static uint64_t rtc_period_nsec(const Rtc *rtc) {
        unsigned rate = rtc->cmos[RTC_A] & A_RATE;

        if (rate == 0 || (rtc->cmos[RTC_A] & A_DIVIDER) != A_DIVIDER_32KHZ)
                return 0;
        if (rate < 3)
                rate += 7;
        return (NSEC_PER_SEC << (rate - 1)) / 32768;
}

/* Puts into register C what happened since the last look. Lock held. */
static void rtc_catch_up(Rtc *rtc) {
        uint64_t period = rtc_period_nsec(rtc), periods;
        int64_t seconds;

        if (period) {
                periods = guest_clock_now_nsec(rtc->clock) / period;
                if (periods != rtc->seen_periods)
                        rtc->cmos[RTC_C] |= C_PERIODIC;
                rtc->seen_periods = periods;
        }
        if (rtc_stands(rtc))
                return;
        seconds = rtc_now_usec(rtc) / USEC_PER_SECOND;
        if (seconds > rtc->seen_seconds) {
                rtc->cmos[RTC_C] |= C_UPDATE;
                if (rtc_time_next_alarm(rtc->cmos, rtc->seen_seconds) <= seconds)
                        rtc->cmos[RTC_C] |= C_ALARM;
        }
        rtc->seen_seconds = seconds; /* also backwards, when the host's clock was set */
}

/* When the next interrupt that the guest waits for is due. Lock held, caught up. */
static uint64_t rtc_next_due_nsec(Rtc *rtc) {
        unsigned waiting = rtc->cmos[RTC_B] & ~rtc->cmos[RTC_C] & C_SOURCES;
        uint64_t now_nsec = guest_clock_now_nsec(rtc->clock), due = GUEST_TIMER_OFF;
        uint64_t period = rtc_period_nsec(rtc);
        int64_t now_usec = rtc_now_usec(rtc), second = INT64_MAX;

        if ((waiting & C_PERIODIC) && period)
                due = (now_nsec / period + 1) * period;
        if (rtc_stands(rtc))
                return due;
        if (waiting & C_ALARM)
                second = rtc_time_next_alarm(rtc->cmos, rtc->seen_seconds);
        if (waiting & C_UPDATE)
                second = rtc->seen_seconds + 1;
        if (second != INT64_MAX) {
                int64_t wait_usec = second * USEC_PER_SECOND - now_usec;

                due = MIN(due, now_nsec + (uint64_t) MAX(wait_usec, 0) * NSEC_PER_USEC);
        }
        return due;
}

/* Brings flags, line and timer in step with the time and the registers. Lock held. */
static void rtc_update(Rtc *rtc) {
        bool interrupt;

        rtc_catch_up(rtc);
        interrupt = rtc->cmos[RTC_C] & rtc->cmos[RTC_B] & C_SOURCES;
        rtc->cmos[RTC_C] = (rtc->cmos[RTC_C] & C_SOURCES) | (interrupt ? C_IRQF : 0);
        irq_line_set(&rtc->irq, interrupt);
        guest_timer_arm(rtc->timer, rtc_next_due_nsec(rtc));
}

static void rtc_expired(void *userdata) {
        Rtc *rtc = userdata;

        pthread_mutex_lock(&rtc->lock);
        rtc_update(rtc);
        pthread_mutex_unlock(&rtc->lock);
}

static bool is_time_register(unsigned index) {
        switch (index) {
        case RTC_SECONDS:
        case RTC_MINUTES:
        case RTC_HOURS:
        case RTC_DAY_OF_WEEK:
        case RTC_DAY_OF_MONTH:
        case RTC_MONTH:
        case RTC_YEAR:
        case RTC_CENTURY:
                return true;
        default:
                return false;
        }
}

static void rtc_freeze(Rtc *rtc) {
        int64_t now = rtc_now_usec(rtc);

        rtc->frozen_usec = now % USEC_PER_SECOND;
        rtc_time_store(rtc->cmos, now / USEC_PER_SECOND);
}

/* Lets the clock run on from what the registers show. */
static void rtc_thaw(Rtc *rtc) {
        int64_t seconds = rtc_time_load(rtc->cmos);

        rtc->offset_usec = seconds * USEC_PER_SECOND + rtc->frozen_usec -
                           (int64_t) guest_clock_wall_usec(rtc->clock);
        rtc->seen_seconds = seconds;
}

/* Registers A and B: the clock may stop or start by it. */
static void rtc_write_control(Rtc *rtc, unsigned index, uint8_t value) {
        bool stood = rtc_stands(rtc), was_held = rtc_divider_held(rtc);

        if (!stood)
                rtc_freeze(rtc); /* in the form of the old register B */
        rtc->cmos[index] = value;
        if (rtc_divider_held(rtc))
                rtc->frozen_usec = 0;
        else if (was_held)
                rtc->frozen_usec = USEC_PER_SECOND - FIRST_UPDATE_USEC;
        if (rtc_stands(rtc))
                return;
        if (stood)
                rtc_thaw(rtc);
        else
                rtc_time_store(rtc->cmos, rtc_now_usec(rtc) / USEC_PER_SECOND);
        if (rtc_period_nsec(rtc))
                rtc->seen_periods = guest_clock_now_nsec(rtc->clock) / rtc_period_nsec(rtc);
}

static void rtc_write_time(Rtc *rtc, unsigned index, uint8_t value) {
        if (rtc_stands(rtc)) {
                rtc->cmos[index] = value;
                return;
        }
        rtc_freeze(rtc);
        rtc->cmos[index] = value;
        rtc_thaw(rtc);
}

static void rtc_write_register(Rtc *rtc, uint8_t value) {
        unsigned index = rtc->index;

        rtc_catch_up(rtc); /* up to now by the old settings */
        if (is_time_register(index))
                rtc_write_time(rtc, index, value);
        else if (index == RTC_A)
                rtc_write_control(rtc, index, value & (uint8_t) ~A_UPDATE_IN_PROGRESS);
        else if (index == RTC_B)
                rtc_write_control(rtc, index, value);
        else if (index != RTC_C && index != RTC_D)
                rtc->cmos[index] = value;
        rtc_update(rtc);
}

static uint8_t rtc_read_a(Rtc *rtc) {
        int64_t usec = rtc_now_usec(rtc) % USEC_PER_SECOND;

        if (rtc_stands(rtc) || usec < USEC_PER_SECOND - UPDATE_LEAD_USEC)
                return rtc->cmos[RTC_A];
        return rtc->cmos[RTC_A] | A_UPDATE_IN_PROGRESS;
}

static uint8_t rtc_read_c(Rtc *rtc) {
        uint8_t value;

        rtc_update(rtc);
        value = rtc->cmos[RTC_C];
        rtc->cmos[RTC_C] = 0;
        rtc_update(rtc);
        return value;
}

static uint8_t rtc_read_register(Rtc *rtc) {
        unsigned index = rtc->index;

        if (is_time_register(index) && !rtc_stands(rtc))
                rtc_time_store(rtc->cmos, rtc_now_usec(rtc) / USEC_PER_SECOND);
        switch (index) {
        case RTC_A:
                return rtc_read_a(rtc);
        case RTC_C:
                return rtc_read_c(rtc);
        default:
                return rtc->cmos[index];
        }
}

/* Offset 0 is the index, write-only on a PC; bit 7 is the NMI mask. */
static uint8_t rtc_read_byte(void *device, unsigned offset) {
        return offset == 0 ? 0xff : rtc_read_register(device);
}

static void rtc_write_byte(void *device, unsigned offset, uint8_t value) {
        Rtc *rtc = device;

        if (offset == 0)
                rtc->index = value % CMOS_SIZE;
        else
                rtc_write_register(rtc, value);
}

static uint64_t rtc_read(void *device, uint64_t offset, unsigned size) {
        return bus_bytes_read(device, offset, size, rtc_read_byte);
}

static void rtc_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        bus_bytes_write(device, offset, size, value, rtc_write_byte);
}

static void cmos_put(Rtc *rtc, unsigned at, unsigned n_bytes, uint64_t value) {
        for (unsigned i = 0; i < n_bytes; i++)
                rtc->cmos[at + i] = (uint8_t) (value >> (i * 8));
}

/* What a BIOS leaves about the memory, as far as each field can count. */
static void rtc_fill_memory_size(Rtc *rtc, uint64_t low_ram_bytes, uint64_t high_ram_bytes) {
        uint64_t mib = UINT64_C(1) << 20;
        uint64_t extended_kib = low_ram_bytes > mib ? (low_ram_bytes - mib) / 1024 : 0;
        uint64_t above_16m = low_ram_bytes > 16 * mib ? (low_ram_bytes - 16 * mib) / 65536 : 0;

        cmos_put(rtc, CMOS_BASE_KIB, 2, 640);
        cmos_put(rtc, CMOS_EXTENDED_KIB, 2, MIN(extended_kib, 0xffffu));
        cmos_put(rtc, CMOS_EXTENDED_KIB_2, 2, MIN(extended_kib, 0xffffu));
        cmos_put(rtc, CMOS_ABOVE_16M, 2, MIN(above_16m, 0xffffu));
        cmos_put(rtc, CMOS_ABOVE_4G, 3, MIN(high_ram_bytes / 65536, 0xffffffu));
}

static const BusOps rtc_bus_ops = {.name = "rtc", .read = rtc_read, .write = rtc_write};

/**
 * rtc_new() - a clock that shows the host's time in UTC, 24 hours, BCD
 * @pio:            gets ports 0x70 and 0x71
 * @irq:            ISA line 8
 * @low_ram_bytes:  RAM below 4 GiB
 * @high_ram_bytes: RAM above 4 GiB
 *
 * Return: 0 or negative errno.
 */
int rtc_new(Bus *pio, GuestClock *clock, IrqLine irq, uint64_t low_ram_bytes,
            uint64_t high_ram_bytes, Rtc **ret) {
        _cleanup_(rtc_freep) Rtc *rtc = calloc(1, sizeof(*rtc));
        int r;

        if (!rtc)
                return -ENOMEM;
        pthread_mutex_init(&rtc->lock, NULL);
        rtc->clock = clock;
        rtc->irq = irq;
        rtc->cmos[RTC_A] = A_DIVIDER_32KHZ | A_RATE_1024HZ;
        rtc->cmos[RTC_B] = RTC_B_24_HOURS;
        rtc->cmos[RTC_D] = D_VALID;
        rtc->cmos[CMOS_EQUIPMENT] = CMOS_EQUIPMENT_FPU;
        rtc_fill_memory_size(rtc, low_ram_bytes, high_ram_bytes);
        rtc->seen_seconds = rtc_now_usec(rtc) / USEC_PER_SECOND;
        rtc->seen_periods = guest_clock_now_nsec(clock) / rtc_period_nsec(rtc);
        r = guest_timer_new(clock, rtc_expired, rtc, &rtc->timer);
        if (r < 0)
                return r;
        r = bus_add(pio, IOPORT_RTC, 2, &rtc_bus_ops, rtc, &rtc->lock);
        if (r < 0)
                return r;
        *ret = TAKE(rtc);
        return 0;
}

/** rtc_free() - release; the loop and the vCPUs have ended. Return: NULL. */
Rtc *rtc_free(Rtc *rtc) {
        if (!rtc)
                return NULL;
        guest_timer_free(rtc->timer);
        pthread_mutex_destroy(&rtc->lock);
        free(rtc);
        return NULL;
}

static bool is_a_time(int64_t seconds) {
        return seconds >= -SECONDS_MAX && seconds <= SECONDS_MAX;
}

/**
 * rtc_snapshot() - save or restore; the guest's clock shows the time of the snapshot
 *
 * The time of day goes on meanwhile, by the host's clock: alarms that were due in between come at once.
 */
void rtc_snapshot(Rtc *rtc, Snapshot *s) {
        static const SnapshotField fields[] = {
                SNAPSHOT_UINT(Rtc, offset_usec),
                SNAPSHOT_RANGE(Rtc, frozen_usec, 0, (uint64_t) USEC_PER_SECOND - 1),
                SNAPSHOT_UINT(Rtc, seen_seconds),
                SNAPSHOT_UINT(Rtc, seen_periods),
                SNAPSHOT_RANGE(Rtc, index, 0, CMOS_SIZE - 1),
                SNAPSHOT_ARRAY(Rtc, cmos),
        };

        pthread_mutex_lock(&rtc->lock);
        snapshot_enter(s, "rtc", 0);
        snapshot_members(s, fields, rtc);
        if (snapshot_restored(s) &&
            !(is_a_time(rtc->seen_seconds) && is_a_time(rtc->offset_usec / USEC_PER_SECOND)))
                snapshot_refuse(s, "its time is none that registers can say");
        snapshot_leave(s);
        if (snapshot_restored(s)) /* the loop sees to the rest when the machine runs */
                guest_timer_arm(rtc->timer, guest_clock_now_nsec(rtc->clock));
        pthread_mutex_unlock(&rtc->lock);
}
