/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The PC's small fixed devices. Each puts itself on the port bus when it is made, owns its lock, and is released after
 * the last vCPU and the loop have ended. Buses, clocks and halt sinks are borrowed and outlive the devices.
 */

#include <stdint.h>

#include "base/cleanup.h"
#include "vmm/event/guest_clock.h"
#include "vmm/hv/halt.h"
#include "vmm/irq/irq_line.h"
#include "vmm/mem/bus.h"
#include "vmm/mem/memmap.h"
#include "vmm/snapshot/snapshot.h"

/* MC146818 real-time clock and CMOS memory. */
typedef struct Rtc Rtc;
int rtc_new(Bus *pio, GuestClock *clock, IrqLine irq, uint64_t low_ram_bytes,
            uint64_t high_ram_bytes, Rtc **ret);
Rtc *rtc_free(Rtc *rtc);
DEFINE_CLEANUP(Rtc *, rtc_free)
void rtc_snapshot(Rtc *rtc, Snapshot *s);

/* i8042 keyboard controller with nothing plugged in. */
typedef struct I8042 I8042;
int i8042_new(Bus *pio, IrqLine keyboard_irq, HaltSink halt, I8042 **ret);
I8042 *i8042_free(I8042 *kbc);
DEFINE_CLEANUP(I8042 *, i8042_free)
void i8042_snapshot(I8042 *kbc, Snapshot *s);

/* ACPI fixed hardware: PM1a event and control blocks, PM timer, GPE0 block; @sci is level-triggered. */
typedef struct AcpiPm AcpiPm;
int acpi_pm_new(Bus *pio, GuestClock *clock, IrqLine sci, HaltSink halt, AcpiPm **ret);
AcpiPm *acpi_pm_free(AcpiPm *pm);
DEFINE_CLEANUP(AcpiPm *, acpi_pm_free)
void acpi_pm_snapshot(AcpiPm *pm, Snapshot *s);
void acpi_pm_press_power_button(AcpiPm *pm);
void acpi_pm_press_sleep_button(AcpiPm *pm);
int acpi_pm_raise_gpe(AcpiPm *pm, unsigned gpe);
int acpi_pm_raise_gpe_consume(AcpiPm *pm, unsigned gpe, int cleared_fd);

/* Port 0xcf9, the chipset's reset register. */
typedef struct ResetControl ResetControl;
int reset_control_new(Bus *pio, HaltSink halt, ResetControl **ret);
ResetControl *reset_control_free(ResetControl *reset);
DEFINE_CLEANUP(ResetControl *, reset_control_free)
void reset_control_snapshot(ResetControl *reset, Snapshot *s);

/* Ports that only firmware looks for. */
typedef struct ChipsetPorts ChipsetPorts;
int chipset_ports_new(Bus *pio, HaltSink halt, ChipsetPorts **ret);
ChipsetPorts *chipset_ports_free(ChipsetPorts *ports);
DEFINE_CLEANUP(ChipsetPorts *, chipset_ports_free)

/* pvpanic on its ISA port (ACPI QEMU0001): a guest kernel says that it panicked. */
typedef struct Pvpanic Pvpanic;
int pvpanic_new(Bus *pio, HaltSink halt, Pvpanic **ret);
Pvpanic *pvpanic_free(Pvpanic *pvpanic);
DEFINE_CLEANUP(Pvpanic *, pvpanic_free)

/* The watchdog that the ACPI table WDAT describes (driver wdat_wdt); registers in vmm/mem/memmap.h. */
typedef struct Watchdog Watchdog;
int watchdog_new(Bus *pio, GuestClock *clock, HaltSink halt, Watchdog **ret);
Watchdog *watchdog_free(Watchdog *watchdog);
DEFINE_CLEANUP(Watchdog *, watchdog_free)
void watchdog_snapshot(Watchdog *watchdog, Snapshot *s);

/* What test programs for processors expect of their machine; only with --test-device. */
typedef struct TestDeviceConfig {
        unsigned n_vcpus;
        uint64_t ram_bytes;
        IrqLine lines[GSI_COUNT];
} TestDeviceConfig;

typedef struct TestDevice TestDevice;
int test_device_new(Bus *pio, Bus *mmio, const TestDeviceConfig *config, HaltSink halt,
                    TestDevice **ret);
TestDevice *test_device_free(TestDevice *test);
DEFINE_CLEANUP(TestDevice *, test_device_free)
int test_device_status(const TestDevice *test);

/* Port 0x80, where firmware reports progress and kernels write to wait a little. */
int post_port_add(Bus *pio);
