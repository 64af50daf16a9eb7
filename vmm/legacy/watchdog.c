/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>

#include "vmm/legacy/devices.h"
#include "vmm/mem/memmap.h"

/*
 * The hardware watchdog of the board. It has no driver of its own: the ACPI table WDAT tells a generic one (Linux
 * wdat_wdt, Windows) which register to touch for each action, so that Debian's cloud kernel, which has no driver for
 * any watchdog chip, can use it, and so can every other kernel. See vmm/mem/memmap.h for the registers.
 *
 *   stopped ──CONTROL=1──▶ counting down from COUNTDOWN ──0──▶ STATUS=1, HALT_WATCHDOG
 *      ▲────CONTROL=0────────┘  ▲──CURRENT=1, or a new COUNTDOWN──┘ starts again
 */

#define WATCHDOG_DEFAULT_COUNT (30u * 1000 / WATCHDOG_PERIOD_MSEC)
#define WATCHDOG_PERIOD_NSEC (WATCHDOG_PERIOD_MSEC * UINT64_C(1000000))
#define CONTROL_RUNNING 0x1u
#define STATUS_FIRED 0x1u

struct Watchdog {
        pthread_mutex_t lock;
        GuestClock *clock; /* borrowed */
        GuestTimer *timer; /* owned */
        HaltSink halt;
        bool running, fired;
        uint32_t countdown; /* periods */
        uint64_t due_nsec;  /* while @running */
};

static void watchdog_restart(Watchdog *watchdog) {
        if (!watchdog->running) {
                guest_timer_arm(watchdog->timer, GUEST_TIMER_OFF);
                return;
        }
        watchdog->due_nsec =
                guest_clock_now_nsec(watchdog->clock) + watchdog->countdown * WATCHDOG_PERIOD_NSEC;
        guest_timer_arm(watchdog->timer, watchdog->due_nsec);
}

static void watchdog_expired(void *userdata) {
        Watchdog *watchdog = userdata;
        bool fires;

        pthread_mutex_lock(&watchdog->lock);
        /* The guest may have been just in time. */
        fires = watchdog->running && guest_clock_now_nsec(watchdog->clock) >= watchdog->due_nsec;
        if (fires) {
                watchdog->fired = true;
                watchdog->running = false;
        }
        pthread_mutex_unlock(&watchdog->lock);
        if (fires)
                halt_sink_report(&watchdog->halt, HALT_WATCHDOG);
}

/* Periods left, rounded up. */
static uint32_t watchdog_current(const Watchdog *watchdog) {
        uint64_t now = guest_clock_now_nsec(watchdog->clock);

        if (!watchdog->running)
                return watchdog->countdown;
        if (now >= watchdog->due_nsec)
                return 0;
        return (uint32_t) ((watchdog->due_nsec - now + WATCHDOG_PERIOD_NSEC - 1) /
                           WATCHDOG_PERIOD_NSEC);
}

static uint64_t watchdog_read(void *device, uint64_t offset, unsigned size) {
        const Watchdog *watchdog = device;

        if (size != 4)
                return UINT64_MAX;
        switch (offset) {
        case WATCHDOG_REG_CONTROL:
                return watchdog->running ? CONTROL_RUNNING : 0;
        case WATCHDOG_REG_COUNTDOWN:
                return watchdog->countdown;
        case WATCHDOG_REG_CURRENT:
                return watchdog_current(watchdog);
        case WATCHDOG_REG_STATUS:
                return watchdog->fired ? STATUS_FIRED : 0;
        default:
                return UINT64_MAX;
        }
}

static void watchdog_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        Watchdog *watchdog = device;
        bool run = value & CONTROL_RUNNING;

        if (size != 4)
                return;
        switch (offset) {
        case WATCHDOG_REG_CONTROL:
                if (run != watchdog->running) {
                        watchdog->running = run;
                        watchdog_restart(watchdog);
                }
                break;
        case WATCHDOG_REG_COUNTDOWN:
                watchdog->countdown =
                        (uint32_t) MAX(MIN(value, WATCHDOG_COUNT_MAX), WATCHDOG_COUNT_MIN);
                watchdog_restart(watchdog);
                break;
        case WATCHDOG_REG_CURRENT:
                if (value & 1)
                        watchdog_restart(watchdog);
                break;
        case WATCHDOG_REG_STATUS:
                if (value & STATUS_FIRED)
                        watchdog->fired = false;
                break;
        default:
                break;
        }
}

static const BusOps watchdog_ops = {
        .name = "watchdog",
        .read = watchdog_read,
        .write = watchdog_write,
};

/**
 * watchdog_new() - stopped, set to 30 s
 * @pio:  gets the registers at IOPORT_WATCHDOG; 32-bit accesses only
 * @halt: told HALT_WATCHDOG
 *
 * Return: 0 or negative errno.
 */
int watchdog_new(Bus *pio, GuestClock *clock, HaltSink halt, Watchdog **ret) {
        _cleanup_(watchdog_freep) Watchdog *watchdog = calloc(1, sizeof(*watchdog));
        int r;

        if (!watchdog)
                return -ENOMEM;
        pthread_mutex_init(&watchdog->lock, NULL);
        watchdog->clock = clock;
        watchdog->halt = halt;
        watchdog->countdown = WATCHDOG_DEFAULT_COUNT;
        r = guest_timer_new(clock, watchdog_expired, watchdog, &watchdog->timer);
        if (r < 0)
                return r;
        r = bus_add(pio, IOPORT_WATCHDOG, WATCHDOG_REGS_SIZE, &watchdog_ops, watchdog,
                    &watchdog->lock);
        if (r < 0)
                return r;
        *ret = TAKE(watchdog);
        return 0;
}

/** watchdog_free() - release; the loop and the vCPUs have ended. Return: NULL. */
Watchdog *watchdog_free(Watchdog *watchdog) {
        if (!watchdog)
                return NULL;
        guest_timer_free(watchdog->timer);
        pthread_mutex_destroy(&watchdog->lock);
        free(watchdog);
        return NULL;
}

/** watchdog_snapshot() - save or restore; a countdown goes on from where it was */
void watchdog_snapshot(Watchdog *watchdog, Snapshot *s) {
        static const SnapshotField fields[] = {
                SNAPSHOT_BOOL(Watchdog, running),
                SNAPSHOT_BOOL(Watchdog, fired),
                SNAPSHOT_RANGE(Watchdog, countdown, WATCHDOG_COUNT_MIN, WATCHDOG_COUNT_MAX),
                SNAPSHOT_UINT(Watchdog, due_nsec),
        };

        pthread_mutex_lock(&watchdog->lock);
        snapshot_enter(s, "watchdog", 0);
        snapshot_members(s, fields, watchdog);
        snapshot_leave(s);
        if (snapshot_restored(s))
                guest_timer_arm(watchdog->timer,
                                watchdog->running ? watchdog->due_nsec : GUEST_TIMER_OFF);
        pthread_mutex_unlock(&watchdog->lock);
}
