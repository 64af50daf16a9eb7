/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The interrupt controllers of the board as one thing: an i8259 pair and an I/O APIC behind the same input wires.
 * ISA line n reaches the PIC's input n and the I/O APIC's pin n, except that line 0 arrives at pin 2; lines 16-23
 * (PCI INTx) reach the I/O APIC only. One lock covers both. Lock order: device, irqchip; the Partition is called last.
 */

#include <stdint.h>

#include "base/cleanup.h"
#include "vmm/hv/hv.h"
#include "vmm/irq/irq_line.h"
#include "vmm/mem/bus.h"
#include "vmm/snapshot/snapshot.h"

typedef struct Irqchip Irqchip;

/** IrqchipEoiFn - the guest has served line @gsi, which is not looked at again yet; any thread, no lock held */
typedef void (*IrqchipEoiFn)(void *userdata, unsigned gsi);

int irqchip_new(Bus *pio, Bus *mmio, Irqchip **ret);
Irqchip *irqchip_free(Irqchip *chip);
DEFINE_CLEANUP(Irqchip *, irqchip_free)
void irqchip_connect(Irqchip *chip, Partition *partition);

int irqchip_add_line(Irqchip *chip, unsigned irq, IrqLine *ret);

int irqchip_acknowledge_pic(Irqchip *chip);
uint64_t irqchip_times_raised(const Irqchip *chip, unsigned irq);
void irqchip_handle_eoi(Irqchip *chip, uint8_t vector);
void irqchip_set_eoi_handler(Irqchip *chip, IrqchipEoiFn fn, void *userdata);
void irqchip_snapshot(Irqchip *chip, Snapshot *s);
