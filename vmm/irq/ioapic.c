/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/irq/ioapic.h"

/*
 * Edge pins send their message when the line rises, if not masked; a masked edge is lost, as the data sheet says.
 * Level pins send it and set Remote IRR, which holds further messages back until a local APIC's EOI for the vector
 * comes back; if the line is still high then, the message goes out again.
 *
 * The partition is told the message of level pins as a route, because it must know for which vectors to report the
 * EOI. Edge pins need none, and leaving them out spares a guest's boot dozens of slow routing updates.
 */

#define IOAPIC_REG_SELECT 0x00u
#define IOAPIC_REG_WINDOW 0x10u
#define IOAPIC_REG_EOI 0x40u

#define IOAPIC_INDEX_ID 0x00u
#define IOAPIC_INDEX_VERSION 0x01u
#define IOAPIC_INDEX_ARBITRATION 0x02u
#define IOAPIC_INDEX_ENTRIES 0x10u
#define IOAPIC_VERSION (0x20u | (GSI_COUNT - 1) << 16)

#define ENTRY_VECTOR UINT64_C(0xff)
#define ENTRY_MODE(e) (((e) >> 8) & 7u)
#define ENTRY_LOGICAL (UINT64_C(1) << 11)
#define ENTRY_DELIVERY_STATUS (UINT64_C(1) << 12)
#define ENTRY_REMOTE_IRR (UINT64_C(1) << 14)
#define ENTRY_LEVEL (UINT64_C(1) << 15)
#define ENTRY_MASKED (UINT64_C(1) << 16)
#define ENTRY_DESTINATION(e) ((e) >> 56)
#define ENTRY_READ_ONLY (ENTRY_REMOTE_IRR | ENTRY_DELIVERY_STATUS)
/* Bits 17-55 are reserved. */
#define ENTRY_WRITABLE (UINT64_C(0xff0000000001ffff) & ~ENTRY_READ_ONLY)

enum { MODE_FIXED = 0, MODE_LOWEST_PRIORITY = 1, MODE_EXTINT = 7 };

#define MSI_DATA_ASSERT (1u << 14)
#define MSI_DATA_LEVEL (1u << 15)
#define MSI_ADDRESS_LOGICAL (1u << 2)
#define VECTOR_FIRST_LEGAL 16u

/* Only fixed and lowest priority can be level-triggered. */
static bool entry_is_level(uint64_t entry) {
        return (entry & ENTRY_LEVEL) && ENTRY_MODE(entry) <= MODE_LOWEST_PRIORITY;
}

/* Reserved vectors, and ExtINT, for which the board has no wire from the PIC, go nowhere. */
static bool entry_is_deliverable(uint64_t entry) {
        if (ENTRY_MODE(entry) <= MODE_LOWEST_PRIORITY)
                return (entry & ENTRY_VECTOR) >= VECTOR_FIRST_LEGAL;
        return ENTRY_MODE(entry) != MODE_EXTINT;
}

static MsiMessage entry_message(uint64_t entry) {
        MsiMessage message = {
                .address = MEMMAP_LAPIC_BASE | ENTRY_DESTINATION(entry) << 12,
                .data = (uint32_t) (entry & ENTRY_VECTOR) | (uint32_t) ENTRY_MODE(entry) << 8,
        };

        if (entry & ENTRY_LOGICAL)
                message.address |= MSI_ADDRESS_LOGICAL;
        if (entry_is_level(entry))
                message.data |= MSI_DATA_LEVEL | MSI_DATA_ASSERT;
        return message;
}

static void ioapic_send(Ioapic *ioapic, unsigned pin) {
        uint64_t *entry = &ioapic->entries[pin];
        MsiMessage message = entry_message(*entry);

        if (!ioapic->partition || !entry_is_deliverable(*entry))
                return;
        if (entry_is_level(*entry))
                *entry |= ENTRY_REMOTE_IRR;
        /* Fails for destinations that do not exist: the guest's mistake, lost like on the real bus. */
        (void) ioapic->partition->ops->signal_msi(ioapic->partition, &message);
}

/* Sends the message of a level pin if it is due. */
static void ioapic_serve_level(Ioapic *ioapic, unsigned pin) {
        uint64_t entry = ioapic->entries[pin];

        if (!entry_is_level(entry) || (entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR)))
                return;
        if (ioapic->lines & (UINT32_C(1) << pin))
                ioapic_send(ioapic, pin);
}

/* A masked pin keeps its route while an EOI is outstanding, or that EOI would never be reported. */
static bool entry_wants_route(uint64_t entry) {
        return entry_is_level(entry) && entry_is_deliverable(entry) &&
               (!(entry & ENTRY_MASKED) || (entry & ENTRY_REMOTE_IRR));
}

static void ioapic_update_route(Ioapic *ioapic, unsigned pin) {
        uint32_t bit = UINT32_C(1) << pin;
        MsiMessage message = entry_message(ioapic->entries[pin]);
        Partition *partition = ioapic->partition;

        if (!partition)
                return;
        if (!entry_wants_route(ioapic->entries[pin])) {
                if (ioapic->routed & bit)
                        (void) partition->ops->set_irq_route(partition, pin, NULL);
                ioapic->routed &= ~bit;
                return;
        }
        if ((ioapic->routed & bit) && ioapic->routes[pin].address == message.address &&
            ioapic->routes[pin].data == message.data)
                return;
        ioapic->routes[pin] = message;
        ioapic->routed |= bit;
        (void) partition->ops->set_irq_route(partition, pin, &message);
}

/** ioapic_init() - the state after reset: all pins masked */
void ioapic_init(Ioapic *ioapic) {
        *ioapic = (Ioapic){0};
        for (unsigned pin = 0; pin < GSI_COUNT; pin++)
                ioapic->entries[pin] = ENTRY_MASKED;
}

/** ioapic_set_line() - pin @pin is now at @level, true meaning asserted whatever the polarity */
void ioapic_set_line(Ioapic *ioapic, unsigned pin, bool level) {
        uint32_t bit = UINT32_C(1) << pin;
        bool rose = level && !(ioapic->lines & bit);
        uint64_t entry = ioapic->entries[pin];

        ioapic->lines = level ? ioapic->lines | bit : ioapic->lines & ~bit;
        if (entry_is_level(entry))
                ioapic_serve_level(ioapic, pin);
        else if (rose && !(entry & ENTRY_MASKED))
                ioapic_send(ioapic, pin);
}

/** ioapic_pins_in_service() - the pins, a bit each, that wait for the end of interrupt @vector */
uint32_t ioapic_pins_in_service(const Ioapic *ioapic, uint8_t vector) {
        uint32_t pins = 0;

        for (unsigned pin = 0; pin < GSI_COUNT; pin++)
                if ((ioapic->entries[pin] & ENTRY_VECTOR) == vector &&
                    (ioapic->entries[pin] & ENTRY_REMOTE_IRR))
                        pins |= UINT32_C(1) << pin;
        return pins;
}

/** ioapic_is_eoi() - whether a write at @offset is an end of interrupt, of the vector that is written */
bool ioapic_is_eoi(uint64_t offset) {
        return offset == IOAPIC_REG_EOI;
}

/** ioapic_handle_eoi() - a local APIC, or the EOI register, completed the level-triggered @vector */
void ioapic_handle_eoi(Ioapic *ioapic, uint8_t vector) {
        for (unsigned pin = 0; pin < GSI_COUNT; pin++) {
                uint64_t *entry = &ioapic->entries[pin];

                if ((*entry & ENTRY_VECTOR) != vector || !(*entry & ENTRY_REMOTE_IRR))
                        continue;
                *entry &= ~ENTRY_REMOTE_IRR;
                ioapic_update_route(ioapic, pin);
                ioapic_serve_level(ioapic, pin);
        }
}

static uint32_t ioapic_read_window(const Ioapic *ioapic) {
        unsigned index = ioapic->select;

        switch (index) {
        case IOAPIC_INDEX_ID:
        case IOAPIC_INDEX_ARBITRATION:
                return (uint32_t) ioapic->id << 24;
        case IOAPIC_INDEX_VERSION:
                return IOAPIC_VERSION;
        default:
                break;
        }
        if (index < IOAPIC_INDEX_ENTRIES || index >= IOAPIC_INDEX_ENTRIES + 2 * GSI_COUNT)
                return 0;
        index -= IOAPIC_INDEX_ENTRIES;
        return (uint32_t) (ioapic->entries[index / 2] >> (index % 2 * 32));
}

static void ioapic_write_entry(Ioapic *ioapic, unsigned pin, bool high, uint32_t value) {
        uint64_t *entry = &ioapic->entries[pin];
        uint64_t keep = high ? UINT64_C(0xffffffff) : UINT64_C(0xffffffff) << 32;
        uint64_t wanted = (*entry & keep) | (uint64_t) value << (high ? 32 : 0);

        *entry = (*entry & ENTRY_READ_ONLY) | (wanted & ENTRY_WRITABLE);
        /* Turning a pin to edge is how kernels reset Remote IRR on chips without an EOI register. */
        if (!entry_is_level(*entry))
                *entry &= ~ENTRY_REMOTE_IRR;
        ioapic_update_route(ioapic, pin);
        ioapic_serve_level(ioapic, pin);
}

static void ioapic_write_window(Ioapic *ioapic, uint32_t value) {
        unsigned index = ioapic->select;

        if (index == IOAPIC_INDEX_ID) {
                ioapic->id = value >> 24 & 0xf;
                return;
        }
        if (index < IOAPIC_INDEX_ENTRIES || index >= IOAPIC_INDEX_ENTRIES + 2 * GSI_COUNT)
                return;
        index -= IOAPIC_INDEX_ENTRIES;
        ioapic_write_entry(ioapic, index / 2, index % 2, value);
}

/** ioapic_read() - a 32-bit read of the register at @offset; unknown ones are 0 */
uint32_t ioapic_read(Ioapic *ioapic, uint64_t offset) {
        switch (offset) {
        case IOAPIC_REG_SELECT:
                return ioapic->select;
        case IOAPIC_REG_WINDOW:
                return ioapic_read_window(ioapic);
        default:
                return 0;
        }
}

/** ioapic_write() - a 32-bit write to the register at @offset; unknown ones ignore it */
void ioapic_write(Ioapic *ioapic, uint64_t offset, uint32_t value) {
        switch (offset) {
        case IOAPIC_REG_SELECT:
                ioapic->select = (uint8_t) value;
                break;
        case IOAPIC_REG_WINDOW:
                ioapic_write_window(ioapic, value);
                break;
        case IOAPIC_REG_EOI:
                ioapic_handle_eoi(ioapic, (uint8_t) value);
                break;
        default:
                break;
        }
}

/**
 * ioapic_snapshot() - save or restore registers and the levels of pins
 *
 * Nothing is sent when they are restored: what was due is in the local APICs, or waits for its EOI.
 */
void ioapic_snapshot(Ioapic *ioapic, Snapshot *s) {
        static const SnapshotField fields[] = {
                SNAPSHOT_RANGE(Ioapic, lines, 0, (UINT32_C(1) << GSI_COUNT) - 1),
                SNAPSHOT_ARRAY(Ioapic, entries),
                SNAPSHOT_UINT(Ioapic, select),
                SNAPSHOT_RANGE(Ioapic, id, 0, 0xf),
        };

        snapshot_members(s, fields, ioapic);
        for (unsigned pin = 0; snapshot_restored(s) && pin < GSI_COUNT; pin++) {
                ioapic->entries[pin] &= ENTRY_WRITABLE | ENTRY_REMOTE_IRR;
                ioapic_update_route(ioapic, pin);
        }
}
