/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The i8259A pair of a PC with its edge/level control registers. State only: irqchip.c locks it and wires it up. */

#include <stdbool.h>
#include <stdint.h>

#include "vmm/snapshot/snapshot.h"

#define PIC_CASCADE_PIN 2u

/* What the next write to the data port means (8259A data sheet, "initialization sequence"). */
typedef enum PicStep {
        PIC_STEP_READY, /* OCW1, the interrupt mask */
        PIC_STEP_ICW2,
        PIC_STEP_ICW3,
        PIC_STEP_ICW4,
} PicStep;

typedef struct PicChip {
        uint8_t lines;           /* levels of the inputs now */
        uint8_t irr, imr, isr;   /* request, mask, in service */
        uint8_t level_triggered; /* ELCR */
        uint8_t level_writable;  /* bits of the ELCR that exist */
        uint8_t vector_base;
        uint8_t lowest_priority; /* input 0-7 that ranks last */
        PicStep step;
        bool expects_icw4;
        bool read_isr; /* the command port reads ISR instead of IRR */
        bool poll;     /* the next read is a poll */
        bool special_mask, special_fully_nested, auto_eoi, rotate_on_auto_eoi;
} PicChip;

typedef struct PicPair {
        PicChip master, slave;
} PicPair;

void pic_init(PicPair *pair);
void pic_set_line(PicPair *pair, unsigned pin, bool level);
bool pic_output(const PicPair *pair);
int pic_acknowledge(PicPair *pair);

uint8_t pic_read(PicPair *pair, bool slave, unsigned offset);
void pic_write(PicPair *pair, bool slave, unsigned offset, uint8_t value);
uint8_t pic_read_elcr(const PicPair *pair, unsigned offset);
void pic_write_elcr(PicPair *pair, unsigned offset, uint8_t value);
void pic_snapshot(PicPair *pair, Snapshot *s);
