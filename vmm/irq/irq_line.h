/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a device knows of the interrupt controllers: a wire to raise and lower, or a message to send. */

#include <stdbool.h>
#include <stdint.h>

/* One input pin of an interrupt controller; a value type that devices keep a copy of. */
typedef struct IrqLine {
        void (*set)(void *controller, unsigned pin,
                    bool level); /* any thread; NULL = not connected */
        void *controller;        /* borrowed, outlives the device */
        unsigned pin;
} IrqLine;

/* A PCI message signalled interrupt (PCI 3.0 section 6.8). */
typedef struct MsiMessage {
        uint64_t address;
        uint32_t data;
} MsiMessage;

/** irq_line_set() - drive the line to @level; no effect on an unconnected line */
static inline void irq_line_set(const IrqLine *line, bool level) {
        if (line->set)
                line->set(line->controller, line->pin, level);
}

/** irq_line_pulse() - one edge for edge-triggered lines */
static inline void irq_line_pulse(const IrqLine *line) {
        irq_line_set(line, true);
        irq_line_set(line, false);
}
