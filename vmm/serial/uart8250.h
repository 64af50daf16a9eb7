/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* 16550A serial port in front of a character device. */

#include <stdint.h>

#include "base/cleanup.h"
#include "vmm/chardev/char.h"
#include "vmm/irq/irq_line.h"
#include "vmm/mem/bus.h"
#include "vmm/snapshot/snapshot.h"

typedef struct Uart8250 Uart8250;

int uart8250_new(Bus *pio, uint16_t base, IrqLine irq, CharDev *chardev, Uart8250 **ret);
Uart8250 *uart8250_free(Uart8250 *uart);
DEFINE_CLEANUP(Uart8250 *, uart8250_free)
void uart8250_snapshot(Uart8250 *uart, unsigned number, Snapshot *s);
