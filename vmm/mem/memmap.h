/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The guest physical address map, the I/O port map and the interrupt lines of the one board. Firmware tables, the
 * boot protocol and the devices all take their numbers from here.
 *
 *   0x0000_0000  RAM, up to 3 GiB
 *   0xC000_0000  32-bit PCI memory window, 512 MiB
 *   0xE000_0000  PCI ECAM, 256 buses
 *   0xFEC0_0000  I/O APIC        0xFEE0_0000  local APIC
 *   0xFEFF_C000  KVM identity map page and TSS (KVM on Intel only)
 *   ....         firmware (--bios) ends at 4 GiB, its variables lie below it
 *   4 GiB        rest of RAM, then the 64-bit PCI memory window
 */

#include <stdint.h>

#define MEMMAP_PAGE_SIZE UINT64_C(4096)
#define MEMMAP_LOW_RAM_END UINT64_C(0xC0000000)
#define MEMMAP_PCI32_BASE UINT64_C(0xC0000000)
#define MEMMAP_PCI32_SIZE UINT64_C(0x20000000)
/* With firmware (--bios): it places ECAM and BARs itself, anywhere between low RAM and the I/O APIC. */
#define MEMMAP_FIRMWARE_LOW_RAM_END UINT64_C(0x80000000)
#define MEMMAP_FIRMWARE_PCI32_BASE UINT64_C(0x80000000)
#define MEMMAP_FIRMWARE_PCI32_END UINT64_C(0xFEC00000)
#define MEMMAP_ECAM_BASE UINT64_C(0xE0000000)
#define MEMMAP_ECAM_BUSES 1u /* the board has one bus; 1 MiB of ECAM a bus */
#define MEMMAP_ECAM_SIZE (UINT64_C(0x100000) * MEMMAP_ECAM_BUSES)
#define MEMMAP_IOAPIC_BASE UINT64_C(0xFEC00000)
#define MEMMAP_IOAPIC_SIZE UINT64_C(0x1000)
#define MEMMAP_LAPIC_BASE UINT64_C(0xFEE00000)
#define MEMMAP_TEST_IOMEM_BASE UINT64_C(0xFF000000) /* only with --test-device */
#define MEMMAP_TEST_IOMEM_SIZE UINT64_C(0x10000)
#define MEMMAP_KVM_IDENTITY_BASE UINT64_C(0xFEFFC000)
#define MEMMAP_KVM_TSS_BASE UINT64_C(0xFEFFD000)
#define MEMMAP_HIGH_RAM_BASE UINT64_C(0x100000000)
#define MEMMAP_PCI64_ALIGN UINT64_C(0x40000000)
#define MEMMAP_PCI64_SIZE UINT64_C(0x1000000000) /* 64 GiB, cut to the physical address width */

/* Low memory as the boot protocol lays it out; everything up to 1 MiB is the VMM's to place. */
#define MEMMAP_BOOT_GDT UINT64_C(0x500)
#define MEMMAP_BOOT_STACK UINT64_C(0x8ff0)
#define MEMMAP_BOOT_PAGE_TABLES UINT64_C(0x9000) /* PML4, PDPT, 4 page directories */
#define MEMMAP_BOOT_PARAMS UINT64_C(0x10000)
#define MEMMAP_BOOT_SETUP_DATA UINT64_C(0x11000) /* one page: what boot parameters cannot hold */
#define MEMMAP_BOOT_CMDLINE UINT64_C(0x20000)
#define MEMMAP_BOOT_CMDLINE_SIZE UINT64_C(0x10000)
#define MEMMAP_MULTIBOOT_INFO UINT64_C(0x90000) /* one page */
#define MEMMAP_MULTIBOOT_CMDLINE UINT64_C(0x91000)
#define MEMMAP_MULTIBOOT_CMDLINE_SIZE UINT64_C(0x1000)
#define MEMMAP_EBDA_START UINT64_C(0x9fc00)
#define MEMMAP_ACPI_BASE UINT64_C(0xe0000) /* RSDP first, 16-byte aligned; tables follow */
#define MEMMAP_ACPI_SIZE UINT64_C(0x10000)
#define MEMMAP_SMBIOS_BASE UINT64_C(0xf0000)
#define MEMMAP_SMBIOS_SIZE UINT64_C(0x10000)
#define MEMMAP_HIMEM_START UINT64_C(0x100000)
#define MEMMAP_SHADOW_SIZE UINT64_C(0x40000) /* end of the firmware image, repeated below 1 MiB */

/* I/O ports. */
#define IOPORT_PIC_MASTER 0x20u
#define IOPORT_PIC_SLAVE 0xa0u
#define IOPORT_PIT 0x40u
#define IOPORT_SYSTEM_CONTROL_B 0x61u
#define IOPORT_SYSTEM_CONTROL_A 0x92u /* only with firmware */
#define IOPORT_APM 0xb2u              /* only with firmware; 2 bytes */
#define IOPORT_SMI_ENABLE 0x630u      /* only with firmware; 4 bytes */
#define IOPORT_DEBUGCON 0x402u        /* usual place of --serial hardware=debugcon */
#define IOPORT_I8042_DATA 0x60u
#define IOPORT_I8042_COMMAND 0x64u
#define IOPORT_RTC 0x70u
#define IOPORT_DEBUG_POST 0x80u
#define IOPORT_ELCR 0x4d0u
#define IOPORT_PVPANIC 0x505u
#define IOPORT_PM_BASE 0x600u    /* PM1a event block, 4 bytes */
#define IOPORT_PM_CONTROL 0x604u /* PM1a control block, 2 bytes */
#define PM_SLEEP_TYPE_S5 5u      /* SLP_TYP that the DSDT's _S5 names: power off */
#define IOPORT_PM_TIMER 0x608u   /* 4 bytes, 3.579545 MHz, 32 bits */
#define IOPORT_PM_GPE0 0x620u    /* status 2 bytes, enable 2 bytes */
#define ACPI_GPE_COUNT 16u
#define ACPI_GPE_PCI_HOTPLUG 1u /* edge: a mask of IOPORT_PCI_HOTPLUG has bits */
/* PCI hotplug, masks of slots of bus 0, 32 bits each: the first two are cleared by reading. */
#define IOPORT_PCI_HOTPLUG 0x640u
#define PCI_HOTPLUG_PLUGGED 0x0u
#define PCI_HOTPLUG_WANTED 0x4u /* back, by the host */
#define PCI_HOTPLUG_EJECT 0x8u  /* write: handed back */
#define PCI_HOTPLUG_SIZE 0xcu
#define IOPORT_COM1 0x3f8u
#define IOPORT_COM2 0x2f8u
#define IOPORT_COM3 0x3e8u
#define IOPORT_COM4 0x2e8u
#define IOPORT_PCI_CONFIG_ADDRESS 0xcf8u
#define IOPORT_RESET_CONTROL 0xcf9u
#define IOPORT_PCI_CONFIG_DATA 0xcfcu
#define IOPORT_FW_CFG 0x510u /* selector, data, DMA */
#define IOPORT_FW_CFG_SIZE 12u
/* Only with --test-device: as QEMU's isa-debug-exit and pc-testdev. */
#define IOPORT_TEST_IORAM 0xe0u
#define IOPORT_TEST_FLUSH 0xe4u
#define IOPORT_TEST_EXIT 0xf4u
#define IOPORT_TEST_FW_CFG 0x510u
#define IOPORT_TEST_LINES 0x2000u

#define IOPORT_PCI_WINDOW_BASE 0x1000u /* I/O BARs */
#define IOPORT_PCI_WINDOW_SIZE 0xf000u

/*
 * The watchdog that the ACPI table WDAT describes: four 32-bit registers. Counts are in periods of
 * WATCHDOG_PERIOD_MSEC. The countdown runs while CONTROL bit 0 is set; at its end the machine stops (HALT_WATCHDOG).
 */
#define IOPORT_WATCHDOG 0x680u
#define WATCHDOG_REG_CONTROL 0x0u   /* bit 0: running */
#define WATCHDOG_REG_COUNTDOWN 0x4u /* value that counting starts from, WATCHDOG_COUNT_MIN.._MAX */
#define WATCHDOG_REG_CURRENT 0x8u   /* read: periods left; write of 1: start again from COUNTDOWN */
#define WATCHDOG_REG_STATUS 0xcu    /* bit 0: ran out since it was last cleared; write 1 clears */
#define WATCHDOG_REGS_SIZE 0x10u
#define WATCHDOG_PERIOD_MSEC 100u
#define WATCHDOG_COUNT_MIN 1u
#define WATCHDOG_COUNT_MAX 36000u /* one hour */

/* Global system interrupts: 0-15 are the ISA lines (0 arrives at pin 2), 16-23 the PCI INTx lines. */
#define GSI_COUNT 24u
#define GSI_PIT 2u
#define ISA_IRQ_PIT 0u
#define ISA_IRQ_I8042_KEYBOARD 1u
#define ISA_IRQ_COM2_COM4 3u
#define ISA_IRQ_COM1_COM3 4u
#define ISA_IRQ_RTC 8u
#define GSI_SCI 9u
#define ISA_IRQ_I8042_AUX 12u
#define GSI_PCI_INTX_FIRST 16u
#define GSI_PCI_INTX_COUNT 8u

/* The global system interrupt that pin @pin (0 = INTA) of PCI slot @slot is wired to: the DSDT's _PRT says the same. */
static inline unsigned memmap_pci_intx_gsi(unsigned slot, unsigned pin) {
        return GSI_PCI_INTX_FIRST + (slot + pin) % GSI_PCI_INTX_COUNT;
}
