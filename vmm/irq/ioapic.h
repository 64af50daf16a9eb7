/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The I/O APIC: 24 pins, each with a redirection entry that says which message to send (82093AA data sheet, with the
 * EOI register of version 0x20). State and delivery: irqchip.c locks it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "vmm/hv/hv.h"
#include "vmm/mem/memmap.h"
#include "vmm/snapshot/snapshot.h"

typedef struct Ioapic {
        Partition *partition; /* borrowed; NULL until connected: nothing is delivered */
        uint32_t lines;       /* levels of the pins now */
        uint32_t routed;      /* pins that the partition has a route for */
        uint64_t entries[GSI_COUNT];
        MsiMessage routes[GSI_COUNT]; /* valid where @routed */
        uint8_t select;               /* IOREGSEL */
        uint8_t id;                   /* 4 bits */
} Ioapic;

void ioapic_init(Ioapic *ioapic);
void ioapic_set_line(Ioapic *ioapic, unsigned pin, bool level);
uint32_t ioapic_pins_in_service(const Ioapic *ioapic, uint8_t vector);
bool ioapic_is_eoi(uint64_t offset);
void ioapic_handle_eoi(Ioapic *ioapic, uint8_t vector);
uint32_t ioapic_read(Ioapic *ioapic, uint64_t offset);
void ioapic_write(Ioapic *ioapic, uint64_t offset, uint32_t value);
void ioapic_snapshot(Ioapic *ioapic, Snapshot *s);
