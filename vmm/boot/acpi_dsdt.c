/* SPDX-License-Identifier: Apache-2.0 */

/* The DSDT: everything on the board that no bus enumerates, and how the PCI bus is wired to the rest. */

#include <stdio.h>

#include "vmm/boot/acpi.h"
#include "vmm/boot/aml.h"
#include "vmm/mem/memmap.h"

#define DSDT_REVISION 2u /* 64-bit integers */
#define DSDT_PCI_SLOTS 32u
#define DSDT_PCI_PINS 4u
#define DSDT_STA_PRESENT 0x0fu /* present, enabled, shown, functioning */

static void dsdt_add_processors(Aml *aml, unsigned n_vcpus) {
        for (unsigned i = 0; i < n_vcpus; i++) {
                char name[5];

                (void) snprintf(name, sizeof(name), "C%03X", i & 0xfffu);
                aml_begin_device(aml, name);
                aml_name_string(aml, "_HID", "ACPI0007");
                aml_name_integer(aml, "_UID", i); /* as in the MADT */
                aml_end(aml);
        }
}

/* _PRT: pin INTA-INTD of every slot on a fixed I/O APIC input; there is no router to program. */
static void dsdt_add_pci_routing(Aml *aml) {
        aml_name_object(aml, "_PRT");
        aml_begin_package(aml, DSDT_PCI_SLOTS * DSDT_PCI_PINS);
        for (unsigned slot = 0; slot < DSDT_PCI_SLOTS; slot++)
                for (unsigned pin = 0; pin < DSDT_PCI_PINS; pin++) {
                        aml_begin_package(aml, 4);
                        aml_integer(aml, (uint64_t) slot << 16 | 0xffff); /* all functions */
                        aml_integer(aml, pin);
                        aml_integer(aml, 0);
                        aml_integer(aml, memmap_pci_intx_gsi(slot, pin));
                        aml_end(aml);
                }
        aml_end(aml);
}

static void add_memory_window(Aml *aml, uint64_t start, uint64_t end) {
        if (start < end)
                aml_resource_memory32_window(aml, (uint32_t) start, (uint32_t) (end - 1));
}

/* With firmware all that is not RAM, but for ECAM, which it has put somewhere in between. */
static void dsdt_add_pci32_windows(Aml *aml, const BoardInfo *board) {
        if (!board->firmware) {
                const VmmRange window = board_pci32(board);

                add_memory_window(aml, window.start, window.start + window.size);
        } else if (board->ecam_base == 0) {
                add_memory_window(aml, MEMMAP_FIRMWARE_PCI32_BASE, MEMMAP_FIRMWARE_PCI32_END);
        } else {
                add_memory_window(aml, MEMMAP_FIRMWARE_PCI32_BASE, board->ecam_base);
                add_memory_window(aml, board->ecam_base + board->ecam_size,
                                  MEMMAP_FIRMWARE_PCI32_END);
        }
}

static void dsdt_add_pci_windows(Aml *aml, const BoardInfo *board) {
        aml_begin_resources(aml, "_CRS");
        aml_resource_bus_window(aml, 0, MEMMAP_ECAM_BUSES - 1);
        aml_resource_io(aml, IOPORT_PCI_CONFIG_ADDRESS, 8);
        aml_resource_io_window(aml, IOPORT_PCI_WINDOW_BASE,
                               IOPORT_PCI_WINDOW_BASE + IOPORT_PCI_WINDOW_SIZE - 1);
        dsdt_add_pci32_windows(aml, board);
        if (board->pci64_size > 0)
                aml_resource_memory64_window(aml, board->pci64_base,
                                             board->pci64_base + board->pci64_size - 1);
        aml_end_resources(aml);
}

/*
 * _OSC (PCI firmware specification 3.2, 4.5): which PCI Express features the system may drive by itself. Nothing on
 * the board competes for any, so that all it asks for is granted as asked.
 */
static void dsdt_add_pci_control(Aml *aml) {
        static const uint8_t create_status[] = {
                0x8a, 0x6b, 0x00, 'C', 'D', 'W', '1'}; /* CreateDWordField (Arg3, 0, CDW1) */
        static const uint8_t is_pci_uuid[] = {
                0x93, 0x68,                                     /* LEqual (Arg0, */
                0x11, 0x13, 0x0a, 0x10,                         /* Buffer (16) */
                0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f, 0x1c, 0x40, /* 33db4d5b-1ff7-401c- */
                0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66, /* 9657-7441c03dd766 */
        };
        static const uint8_t return_capabilities[] = {0xa4, 0x6b}; /* Return (Arg3) */
        static const uint8_t set_unknown_uuid[] = {
                0x7d, 'C', 'D', 'W', '1', 0x0a, 0x04, 'C', 'D', 'W', '1'}; /* Or (CDW1, 4, CDW1) */

        aml_begin_method(aml, "_OSC", 4);
        aml_bytes(aml, create_status, sizeof(create_status));
        aml_begin_if(aml);
        aml_bytes(aml, is_pci_uuid, sizeof(is_pci_uuid));
        aml_bytes(aml, return_capabilities, sizeof(return_capabilities));
        aml_end(aml);
        aml_bytes(aml, set_unknown_uuid, sizeof(set_unknown_uuid));
        aml_bytes(aml, return_capabilities, sizeof(return_capabilities));
        aml_end(aml);
}

static void dsdt_add_pci(Aml *aml, const BoardInfo *board) {
        aml_begin_device(aml, "PCI0");
        aml_name_eisa_id(aml, "_HID", "PNP0A08"); /* PCI Express: extended configuration space */
        aml_name_eisa_id(aml, "_CID", "PNP0A03");
        aml_name_integer(aml, "_UID", 0);
        aml_name_integer(aml, "_SEG", 0);
        aml_name_integer(aml, "_BBN", 0);
        dsdt_add_pci_windows(aml, board);
        dsdt_add_pci_routing(aml);
        dsdt_add_pci_control(aml);
        acpi_add_pci_hotplug(aml);
        aml_end(aml);
}

static void dsdt_add_serial(Aml *aml, unsigned index) {
        static const uint16_t ports[] = {IOPORT_COM1, IOPORT_COM2, IOPORT_COM3, IOPORT_COM4};
        char name[5];

        (void) snprintf(name, sizeof(name), "COM%u", (index + 1) % 10);
        aml_begin_device(aml, name);
        aml_name_eisa_id(aml, "_HID", "PNP0501"); /* 16550A */
        aml_name_integer(aml, "_UID", index + 1);
        aml_begin_resources(aml, "_CRS");
        aml_resource_io(aml, ports[index], 8);
        aml_resource_irq(aml, index % 2 == 0 ? ISA_IRQ_COM1_COM3 : ISA_IRQ_COM2_COM4);
        aml_end_resources(aml);
        aml_end(aml);
}

static void dsdt_add_rtc(Aml *aml) {
        aml_begin_device(aml, "RTC_");
        aml_name_eisa_id(aml, "_HID", "PNP0B00");
        aml_begin_resources(aml, "_CRS");
        aml_resource_io(aml, IOPORT_RTC, 2);
        aml_resource_irq(aml, ISA_IRQ_RTC);
        aml_end_resources(aml);
        aml_end(aml);
}

static void dsdt_add_i8042(Aml *aml) {
        aml_begin_device(aml, "KBD_");
        aml_name_eisa_id(aml, "_HID", "PNP0303");
        aml_begin_resources(aml, "_CRS");
        aml_resource_io(aml, IOPORT_I8042_DATA, 1);
        aml_resource_io(aml, IOPORT_I8042_COMMAND, 1);
        aml_resource_irq(aml, ISA_IRQ_I8042_KEYBOARD);
        aml_end_resources(aml);
        aml_end(aml);
}

/* The panic notifier that QEMU specified (docs/specs/pvpanic) and that Linux drives by this id. */
static void dsdt_add_pvpanic(Aml *aml) {
        aml_begin_device(aml, "PEVT");
        aml_name_string(aml, "_HID", "QEMU0001");
        aml_name_integer(aml, "_STA", DSDT_STA_PRESENT);
        aml_begin_resources(aml, "_CRS");
        aml_resource_io(aml, IOPORT_PVPANIC, 1);
        aml_end_resources(aml);
        aml_end(aml);
}

/* The firmware configuration device, by the id that Linux's qemu_fw_cfg knows it by. */
static void dsdt_add_fw_cfg(Aml *aml) {
        aml_begin_device(aml, "FWCF");
        aml_name_string(aml, "_HID", "QEMU0002");
        aml_name_integer(aml, "_STA", DSDT_STA_PRESENT);
        aml_begin_resources(aml, "_CRS");
        aml_resource_io(aml, IOPORT_FW_CFG, IOPORT_FW_CFG_SIZE);
        aml_end_resources(aml);
        aml_end(aml);
}

/*
 * What belongs to the board itself and must not be given to anything else. The power management ports are not here:
 * the FADT reserves them.
 */
static void dsdt_add_motherboard(Aml *aml, const BoardInfo *board) {
        const VmmRange ecam = board_ecam(board);

        aml_begin_device(aml, "MBRD");
        aml_name_eisa_id(aml, "_HID", "PNP0C02");
        aml_begin_resources(aml, "_CRS");
        aml_resource_io(aml, IOPORT_ELCR, 2);
        if (ecam.size != 0)
                aml_resource_memory32(aml, (uint32_t) ecam.start, (uint32_t) ecam.size);
        aml_end_resources(aml);
        aml_end(aml);
}

/* \_S5: the sleep type that the power management block takes for "power off". */
static void dsdt_add_power_off(Aml *aml) {
        aml_name_object(aml, "\\_S5");
        aml_begin_package(aml, 4);
        aml_integer(aml, PM_SLEEP_TYPE_S5); /* PM1a; there is no PM1b */
        aml_integer(aml, 0);
        aml_integer(aml, 0);
        aml_integer(aml, 0);
        aml_end(aml);
}

/* Events that only the control socket raises: a method makes the system enable and count them. */
static void dsdt_add_events(Aml *aml) {
        aml_begin_scope(aml, "\\_GPE");
        acpi_add_pci_hotplug_event(aml);
        for (unsigned i = 0; i < ACPI_GPE_COUNT; i++) {
                char name[5];

                if (i == ACPI_GPE_PCI_HOTPLUG)
                        continue;
                (void) snprintf(name, sizeof(name), "_L%02X", i & 0xffu);
                aml_begin_method(aml, name, 0);
                aml_end(aml);
        }
        aml_end(aml);
}

/** acpi_build_dsdt() - the whole table; memory failures stick in @table */
void acpi_build_dsdt(StrBuf *table, const BoardInfo *board) {
        Aml aml = {.out = table};

        acpi_begin_table(table, "DSDT", DSDT_REVISION);
        aml_begin_scope(&aml, "\\_SB");
        dsdt_add_processors(&aml, board->n_vcpus);
        dsdt_add_motherboard(&aml, board);
        dsdt_add_pci(&aml, board);
        for (unsigned i = 0; i < ELEMENTSOF(board->com); i++)
                if (board->com[i])
                        dsdt_add_serial(&aml, i);
        if (board->rtc)
                dsdt_add_rtc(&aml);
        if (board->i8042)
                dsdt_add_i8042(&aml);
        if (board->pvpanic)
                dsdt_add_pvpanic(&aml);
        if (board->fw_cfg)
                dsdt_add_fw_cfg(&aml);
        aml_end(&aml);
        dsdt_add_power_off(&aml);
        dsdt_add_events(&aml);
        acpi_end_table(table);
}
