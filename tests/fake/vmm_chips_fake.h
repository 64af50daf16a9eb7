/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What stands around a chip in a test: an interrupt wire, a halt sink and a partition, all of which only remember. */

#include <stdbool.h>

#include "vmm/hv/hv.h"
#include "vmm/irq/irq_line.h"
#include "vmm/mem/bus.h"

typedef struct FakeIrq {
        bool level;
        unsigned n_rises;
} FakeIrq;

IrqLine fake_irq_line(FakeIrq *irq);

typedef struct FakeHalt {
        HaltReason reason;
        unsigned n;
} FakeHalt;

HaltSink fake_halt_sink(FakeHalt *halt);

#define FAKE_MESSAGES_MAX 64u

typedef struct FakePartition {
        Partition base;
        unsigned n_messages;
        MsiMessage messages[FAKE_MESSAGES_MAX];
        unsigned n_route_updates;
        bool routed[24];
        MsiMessage routes[24];
        bool extint;
        unsigned n_extint_changes;
} FakePartition;

void fake_partition_init(FakePartition *partition);

/* Port accesses of one byte, which is most of them. */
static inline uint8_t in8(Bus *pio, uint16_t port) {
        return (uint8_t) bus_read(pio, port, 1);
}

static inline void out8(Bus *pio, uint16_t port, uint8_t value) {
        bus_write(pio, port, 1, value);
}
