/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "base/fd.h"
#include "vmm/legacy/devices.h"
#include "vmm/mem/bus_bytes.h"
#include "vmm/mem/memmap.h"

/*
 * ACPI fixed hardware (ACPI 6.5 section 4.8). There is no legacy mode to leave: SCI_EN is always set, so the FADT has
 * no SMI command. The SCI is high while any enabled status bit is set.
 */

#define PM_TIMER_HZ UINT64_C(3579545)
#define PM_TIMER_CARRY_TICKS (UINT64_C(1) << 31) /* TMR_STS: bit 31 changed */

#define PM1_TIMER 0x0001u
#define PM1_POWER_BUTTON 0x0100u
#define PM1_SLEEP_BUTTON 0x0200u
#define PM1_STATUS_WRITABLE 0x8731u /* TMR, BM, GBL, PWRBTN, SLPBTN, RTC, WAK */
#define PM1_ENABLE_WRITABLE 0x0721u /* TMR, GBL, PWRBTN, SLPBTN, RTC */

#define PM1_CONTROL_SCI_ENABLE 0x0001u
#define PM1_CONTROL_WRITABLE 0x1c02u /* SLP_TYP, BM_RLD; SLP_EN reads as 0 */
#define PM1_CONTROL_SLEEP_TYPE(v) ((v) >> 10 & 7u)
#define PM1_CONTROL_SLEEP_ENABLE 0x2000u

/* A status register whose bits are cleared by writing ones, and the enable register behind it. */
typedef struct EventBlock {
        uint16_t status, enable;
        uint16_t status_writable, enable_writable;
} EventBlock;

struct AcpiPm {
        pthread_mutex_t lock;
        GuestClock *clock; /* borrowed */
        GuestTimer *timer; /* owned; the PM timer's carry, while it is enabled as an event */
        IrqLine sci;
        HaltSink halt;
        EventBlock pm1, gpe0;
        int gpe_cleared
                [ACPI_GPE_COUNT]; /* owned eventfds: the guest cleared this event; -EBADF where nobody asked */
        uint16_t control;
        uint64_t start_nsec;
        uint64_t seen_carries;
};

static uint64_t pm_ticks(AcpiPm *pm) {
        uint64_t nsec = guest_clock_now_nsec(pm->clock) - pm->start_nsec;

        return nsec / NSEC_PER_SEC * PM_TIMER_HZ + nsec % NSEC_PER_SEC * PM_TIMER_HZ / NSEC_PER_SEC;
}

/* Rounded up, so that at that time the tick has been reached. */
static uint64_t pm_ticks_to_nsec(uint64_t ticks) {
        return ticks / PM_TIMER_HZ * NSEC_PER_SEC +
               (ticks % PM_TIMER_HZ * NSEC_PER_SEC + PM_TIMER_HZ - 1) / PM_TIMER_HZ;
}

/* Brings the carry bit, the SCI and the timer in step with time and registers. Lock held. */
static void pm_update(AcpiPm *pm) {
        uint64_t carries = pm_ticks(pm) / PM_TIMER_CARRY_TICKS, due = GUEST_TIMER_OFF;

        if (carries != pm->seen_carries)
                pm->pm1.status |= PM1_TIMER;
        pm->seen_carries = carries;
        if ((pm->pm1.enable & PM1_TIMER) && !(pm->pm1.status & PM1_TIMER))
                due = pm->start_nsec + pm_ticks_to_nsec((carries + 1) * PM_TIMER_CARRY_TICKS);
        guest_timer_arm(pm->timer, due);
        irq_line_set(&pm->sci,
                     (pm->pm1.status & pm->pm1.enable) || (pm->gpe0.status & pm->gpe0.enable));
}

static void pm_timer_expired(void *userdata) {
        AcpiPm *pm = userdata;

        pthread_mutex_lock(&pm->lock);
        pm_update(pm);
        pthread_mutex_unlock(&pm->lock);
}

static uint8_t byte_of(uint64_t value, unsigned offset) {
        return (uint8_t) (value >> (offset * 8));
}

static uint8_t event_block_read(const EventBlock *block, unsigned offset) {
        return byte_of((uint32_t) block->enable << 16 | block->status, offset);
}

static void event_block_write(EventBlock *block, unsigned offset, uint8_t value) {
        unsigned shift = offset % 2 * 8;
        uint16_t bits = (uint16_t) (value << shift), mask = (uint16_t) (0xffu << shift);

        if (offset < 2)
                block->status &= (uint16_t) ~(bits & block->status_writable);
        else
                block->enable =
                        (block->enable & (uint16_t) ~mask) | (bits & block->enable_writable);
}

static uint8_t pm1_read_byte(void *device, unsigned offset) {
        return event_block_read(&((AcpiPm *) device)->pm1, offset);
}

static void pm1_write_byte(void *device, unsigned offset, uint8_t value) {
        event_block_write(&((AcpiPm *) device)->pm1, offset, value);
}

static uint8_t gpe0_read_byte(void *device, unsigned offset) {
        return event_block_read(&((AcpiPm *) device)->gpe0, offset);
}

static void gpe0_write_byte(void *device, unsigned offset, uint8_t value) {
        AcpiPm *pm = device;
        uint16_t before = pm->gpe0.status, cleared;

        event_block_write(&pm->gpe0, offset, value);
        cleared = before & (uint16_t) ~pm->gpe0.status;
        for (unsigned i = 0; cleared != 0 && i < ACPI_GPE_COUNT; i++)
                if ((cleared & 1u << i) && pm->gpe_cleared[i] >= 0) {
                        (void) eventfd_write(pm->gpe_cleared[i], 1);
                        pm->gpe_cleared[i] = fd_close(pm->gpe_cleared[i]);
                }
}

static uint64_t pm1_read(void *device, uint64_t offset, unsigned size) {
        pm_update(device);
        return bus_bytes_read(device, offset, size, pm1_read_byte);
}

static void pm1_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        bus_bytes_write(device, offset, size, value, pm1_write_byte);
        pm_update(device);
}

static uint64_t gpe0_read(void *device, uint64_t offset, unsigned size) {
        return bus_bytes_read(device, offset, size, gpe0_read_byte);
}

static void gpe0_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        bus_bytes_write(device, offset, size, value, gpe0_write_byte);
        pm_update(device);
}

static uint64_t control_read(void *device, uint64_t offset, unsigned size) {
        AcpiPm *pm = device;

        return (uint64_t) (pm->control | PM1_CONTROL_SCI_ENABLE) >> (offset * 8);
}

static void control_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        AcpiPm *pm = device;
        uint32_t written = (uint32_t) (value << (offset * 8)), mask = size == 1 ? 0xffu : 0xffffu;

        mask <<= offset * 8;
        pm->control = (uint16_t) ((pm->control & ~mask) | (written & mask)) & PM1_CONTROL_WRITABLE;
        /* Other sleep states do not exist here, and the tables do not offer them. */
        if ((written & PM1_CONTROL_SLEEP_ENABLE) &&
            PM1_CONTROL_SLEEP_TYPE(pm->control) == PM_SLEEP_TYPE_S5)
                halt_sink_report(&pm->halt, HALT_POWER_OFF);
}

static uint64_t timer_read(void *device, uint64_t offset, unsigned size) {
        return (uint32_t) pm_ticks(device) >> (offset * 8);
}

static void timer_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        /* read-only */
}

static const BusOps pm1_ops = {.name = "acpi-pm1", .read = pm1_read, .write = pm1_write};
static const BusOps control_ops = {
        .name = "acpi-pm1-control", .read = control_read, .write = control_write};
static const BusOps timer_ops = {.name = "acpi-timer", .read = timer_read, .write = timer_write};
static const BusOps gpe0_ops = {.name = "acpi-gpe0", .read = gpe0_read, .write = gpe0_write};

static int acpi_pm_add_to_bus(AcpiPm *pm, Bus *pio) {
        int r;

        r = bus_add(pio, IOPORT_PM_BASE, 4, &pm1_ops, pm, &pm->lock);
        if (r < 0)
                return r;
        r = bus_add(pio, IOPORT_PM_CONTROL, 2, &control_ops, pm, &pm->lock);
        if (r < 0)
                return r;
        /* Reads nothing but the clock. */
        r = bus_add(pio, IOPORT_PM_TIMER, 4, &timer_ops, pm, /* lock= */ NULL);
        if (r < 0)
                return r;
        return bus_add(pio, IOPORT_PM_GPE0, 4, &gpe0_ops, pm, &pm->lock);
}

/**
 * acpi_pm_new() - fixed hardware with nothing enabled
 * @pio:  gets the blocks at IOPORT_PM_*
 * @sci:  GSI_SCI, level-triggered
 * @halt: told HALT_POWER_OFF
 *
 * Return: 0 or negative errno.
 */
int acpi_pm_new(Bus *pio, GuestClock *clock, IrqLine sci, HaltSink halt, AcpiPm **ret) {
        _cleanup_(acpi_pm_freep) AcpiPm *pm = calloc(1, sizeof(*pm));
        int r;

        if (!pm)
                return -ENOMEM;
        pthread_mutex_init(&pm->lock, NULL);
        for (unsigned i = 0; i < ACPI_GPE_COUNT; i++)
                pm->gpe_cleared[i] = -EBADF;
        pm->clock = clock;
        pm->sci = sci;
        pm->halt = halt;
        pm->pm1.status_writable = PM1_STATUS_WRITABLE;
        pm->pm1.enable_writable = PM1_ENABLE_WRITABLE;
        pm->gpe0.status_writable = pm->gpe0.enable_writable = UINT16_MAX;
        pm->start_nsec = guest_clock_now_nsec(clock);
        r = guest_timer_new(clock, pm_timer_expired, pm, &pm->timer);
        if (r < 0)
                return r;
        r = acpi_pm_add_to_bus(pm, pio);
        if (r < 0)
                return r;
        *ret = TAKE(pm);
        return 0;
}

/** acpi_pm_free() - release; the loop and the vCPUs have ended. Return: NULL. */
AcpiPm *acpi_pm_free(AcpiPm *pm) {
        if (!pm)
                return NULL;
        guest_timer_free(pm->timer);
        for (unsigned i = 0; i < ACPI_GPE_COUNT; i++)
                (void) fd_close(pm->gpe_cleared[i]);
        pthread_mutex_destroy(&pm->lock);
        free(pm);
        return NULL;
}

static void press(AcpiPm *pm, uint16_t button) {
        pthread_mutex_lock(&pm->lock);
        pm->pm1.status |= button;
        pm_update(pm);
        pthread_mutex_unlock(&pm->lock);
}

/** acpi_pm_press_power_button() - press and let go: the guest may shut down, or not; any thread */
void acpi_pm_press_power_button(AcpiPm *pm) {
        press(pm, PM1_POWER_BUTTON);
}

/** acpi_pm_press_sleep_button() - press and let go: there is no sleep state, what the guest does is its own; any thread */
void acpi_pm_press_sleep_button(AcpiPm *pm) {
        press(pm, PM1_SLEEP_BUTTON);
}

/** acpi_pm_raise_gpe() - set the status of general-purpose event @gpe; any thread. Return: 0; -EINVAL: no such event. */
int acpi_pm_raise_gpe(AcpiPm *pm, unsigned gpe) {
        return acpi_pm_raise_gpe_consume(pm, gpe, -EBADF);
}

/**
 * acpi_pm_raise_gpe_consume() - the same, and tell when the guest has cleared it
 * @cleared_fd: an eventfd that is then written to and closed, in place of one from an earlier event; -EBADF: none
 */
int acpi_pm_raise_gpe_consume(AcpiPm *pm, unsigned gpe, int cleared_fd) {
        _cleanup_(fd_closep) int fd = cleared_fd;

        if (gpe >= ACPI_GPE_COUNT)
                return -EINVAL;
        pthread_mutex_lock(&pm->lock);
        if (fd >= 0) {
                (void) fd_close(pm->gpe_cleared[gpe]);
                pm->gpe_cleared[gpe] = TAKE_FD(fd);
        }
        pm->gpe0.status |= (uint16_t) (1u << gpe);
        pm_update(pm);
        pthread_mutex_unlock(&pm->lock);
        return 0;
}

/**
 * acpi_pm_snapshot() - save or restore; the clock shows the time of the snapshot
 *
 * Who waits for the end of a general-purpose event is not part of it.
 */
void acpi_pm_snapshot(AcpiPm *pm, Snapshot *s) {
        static const SnapshotField block[] = {
                SNAPSHOT_UINT(EventBlock, status),
                SNAPSHOT_UINT(EventBlock, enable),
        };
        static const SnapshotField fields[] = {
                SNAPSHOT_UINT(AcpiPm, control),
                SNAPSHOT_UINT(AcpiPm, start_nsec),
                SNAPSHOT_UINT(AcpiPm, seen_carries),
        };

        pthread_mutex_lock(&pm->lock);
        snapshot_enter(s, "acpi-pm", 0);
        snapshot_members(s, block, &pm->pm1);
        snapshot_members(s, block, &pm->gpe0);
        snapshot_members(s, fields, pm);
        if (snapshot_restored(s) && pm->start_nsec > guest_clock_now_nsec(pm->clock))
                snapshot_refuse(s, "the timer began at a time that is to come");
        snapshot_leave(s);
        if (snapshot_restored(s)) {
                pm->pm1.status &= pm->pm1.status_writable;
                pm->pm1.enable &= pm->pm1.enable_writable;
                pm->control &= PM1_CONTROL_WRITABLE;
                pm_update(pm);
        }
        pthread_mutex_unlock(&pm->lock);
}
