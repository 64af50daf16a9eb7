/* SPDX-License-Identifier: Apache-2.0 */

/*
 * PCI hotplug for a system that drives it through ACPI (Linux: acpiphp): a device for each slot of bus 0 that can be
 * ejected, and the event's method, which reads the registers of vmm/pci/hotplug.h and notifies the slots they name.
 *
 *   OperationRegion (PHPR, SystemIO, …)   Field (PHPR) { PHUP, 32, PHDN, 32, PHEJ, 32 }
 *   Device (S01_) { _ADR, _SUN, Method (_EJ0, 1) { Store (0x2, PHEJ) } } …
 *   Method (PHNT) { Store (PHUP, Local0)  If (And (Local0, 0x2)) { Notify (S01_, 1) } … likewise PHDN, 3 }
 *   Scope (\_GPE) { Method (_E01) { \_SB.PCI0.PHNT () } }
 */

#include <stdio.h>

#include "vmm/boot/acpi.h"
#include "vmm/boot/aml.h"
#include "vmm/mem/memmap.h"

#define SLOTS 32u
#define FIRST_SLOT 1u /* 0 is the host bridge */
#define NOTIFY_DEVICE_CHECK 1u
#define NOTIFY_EJECT_REQUEST 3u

static const char *slot_name(unsigned slot, char buf[static 5]) {
        (void) snprintf(buf, 5, "S%02X_", slot & 0xffu);
        return buf;
}

static void add_registers(Aml *aml) {
        aml_io_region(aml, "PHPR", IOPORT_PCI_HOTPLUG, PCI_HOTPLUG_SIZE);
        aml_begin_dword_field(aml, "PHPR");
        aml_field_unit(aml, "PHUP", 32);
        aml_field_unit(aml, "PHDN", 32);
        aml_field_unit(aml, "PHEJ", 32);
        aml_end(aml);
}

static void add_slot(Aml *aml, unsigned slot) {
        char name[5];

        aml_begin_device(aml, slot_name(slot, name));
        aml_name_integer(aml, "_ADR", (uint64_t) slot << 16);
        aml_name_integer(aml, "_SUN", slot);
        aml_begin_method(aml, "_EJ0", 1);
        aml_store_integer(aml, UINT64_C(1) << slot, "PHEJ");
        aml_end(aml);
        aml_end(aml);
}

/* For every slot that the register @field names now: reading has cleared it. */
static void notify_slots(Aml *aml, const char *field, unsigned value) {
        char name[5];

        aml_store_name_to_local0(aml, field);
        for (unsigned slot = FIRST_SLOT; slot < SLOTS; slot++) {
                aml_begin_if(aml);
                aml_local0_and(aml, UINT64_C(1) << slot);
                aml_notify(aml, slot_name(slot, name), value);
                aml_end(aml);
        }
}

/** acpi_add_pci_hotplug() - inside Device (PCI0): registers, slots and the method that notifies them */
void acpi_add_pci_hotplug(Aml *aml) {
        add_registers(aml);
        for (unsigned slot = FIRST_SLOT; slot < SLOTS; slot++)
                add_slot(aml, slot);
        aml_begin_method(aml, "PHNT", 0);
        notify_slots(aml, "PHUP", NOTIFY_DEVICE_CHECK);
        notify_slots(aml, "PHDN", NOTIFY_EJECT_REQUEST);
        aml_end(aml);
}

/** acpi_add_pci_hotplug_event() - inside Scope (\_GPE): what to do when ACPI_GPE_PCI_HOTPLUG is raised */
void acpi_add_pci_hotplug_event(Aml *aml) {
        static const uint8_t call[] = {
                '\\', 0x2f, 3, /* a path from the root of three segments */
                '_',  'S',  'B', '_', 'P', 'C', 'I', '0', 'P', 'H', 'N', 'T',
        };
        char name[5];

        (void) snprintf(name, sizeof(name), "_E%02X", ACPI_GPE_PCI_HOTPLUG);
        aml_begin_method(aml, name, 0);
        aml_bytes(aml, call, sizeof(call));
        aml_end(aml);
}
