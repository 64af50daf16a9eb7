/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* i8254: channel 0 drives IRQ 0, channel 2 is the speaker's, gated and read through port 0x61. */

#include "base/cleanup.h"
#include "vmm/event/guest_clock.h"
#include "vmm/irq/irq_line.h"
#include "vmm/mem/bus.h"
#include "vmm/snapshot/snapshot.h"

typedef struct Pit Pit;

int pit_new(Bus *pio, GuestClock *clock, IrqLine irq, Pit **ret);
Pit *pit_free(Pit *pit);
DEFINE_CLEANUP(Pit *, pit_free)
void pit_snapshot(Pit *pit, Snapshot *s);
