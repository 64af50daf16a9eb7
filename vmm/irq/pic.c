/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/irq/pic.h"

/*
 * A request travels: input line → IRR → (not masked, outranks what is in service) → INT output → INTA cycle moves it
 * to ISR → EOI. The slave's INT output is the master's input 2, here a level that is worked out anew after each change.
 * Sources: Intel 8259A data sheet; the ELCR is that of the 82371 bridges.
 */

#define PIC_NONE 8u

#define ICW1_START 0x10u
#define ICW1_EXPECTS_ICW4 0x01u
#define ICW4_AUTO_EOI 0x02u
#define ICW4_SPECIAL_FULLY_NESTED 0x10u
#define OCW3 0x08u
#define OCW3_READ_ISR 0x01u
#define OCW3_READ_SELECT 0x02u
#define OCW3_POLL 0x04u
#define OCW3_SPECIAL_MASK 0x20u
#define OCW3_SPECIAL_MASK_SELECT 0x40u

/* OCW2 bits 7-5: rotate, specific, EOI. */
enum {
        OCW2_ROTATE_AUTO_OFF = 0,
        OCW2_EOI = 1,
        OCW2_NOP = 2,
        OCW2_EOI_SPECIFIC = 3,
        OCW2_ROTATE_AUTO_ON = 4,
        OCW2_ROTATE_EOI = 5,
        OCW2_SET_PRIORITY = 6,
        OCW2_ROTATE_EOI_SPECIFIC = 7,
};

/* How many inputs outrank the best one in @mask; PIC_NONE for an empty mask. */
static unsigned chip_rank(const PicChip *chip, uint8_t mask) {
        for (unsigned rank = 0; rank < 8; rank++)
                if (mask & (1u << ((chip->lowest_priority + 1 + rank) & 7)))
                        return rank;
        return PIC_NONE;
}

static unsigned chip_input_of_rank(const PicChip *chip, unsigned rank) {
        return (chip->lowest_priority + 1 + rank) & 7;
}

/* The input that makes the INT output active, or PIC_NONE. */
static unsigned chip_request(const PicChip *chip, bool is_master) {
        unsigned rank = chip_rank(chip, chip->irr & (uint8_t) ~chip->imr);
        uint8_t in_service = chip->isr;

        if (rank == PIC_NONE)
                return PIC_NONE;
        if (chip->special_mask)
                in_service &= (uint8_t) ~chip->imr;
        /* The master lets a better request of the slave through while an earlier one is in service. */
        if (chip->special_fully_nested && is_master)
                in_service &= (uint8_t) ~(1u << PIC_CASCADE_PIN);
        return rank < chip_rank(chip, in_service) ? chip_input_of_rank(chip, rank) : PIC_NONE;
}

static void pic_update_cascade(PicPair *pair) {
        uint8_t bit = 1u << PIC_CASCADE_PIN;

        if (chip_request(&pair->slave, false) != PIC_NONE)
                pair->master.irr |= bit;
        else
                pair->master.irr &= (uint8_t) ~bit;
}

static void chip_set_line(PicChip *chip, unsigned input, bool level) {
        uint8_t bit = (uint8_t) (1u << input);

        if (chip->level_triggered & bit)
                chip->irr = level ? chip->irr | bit : chip->irr & (uint8_t) ~bit;
        else if (level && !(chip->lines & bit))
                chip->irr |= bit;
        chip->lines = level ? chip->lines | bit : chip->lines & (uint8_t) ~bit;
}

/* The INTA cycle of one chip for @input. */
static void chip_serve(PicChip *chip, unsigned input) {
        uint8_t bit = (uint8_t) (1u << input);

        if (!(chip->level_triggered & bit))
                chip->irr &= (uint8_t) ~bit;
        if (!chip->auto_eoi)
                chip->isr |= bit;
        else if (chip->rotate_on_auto_eoi)
                chip->lowest_priority = (uint8_t) input;
}

static void chip_start_initialization(PicChip *chip, uint8_t icw1) {
        chip->irr = chip->lines & chip->level_triggered; /* latched edges are forgotten */
        chip->imr = 0;
        chip->isr = 0;
        chip->lowest_priority = 7;
        chip->read_isr = false;
        chip->poll = false;
        chip->special_mask = false;
        chip->special_fully_nested = false;
        chip->auto_eoi = false;
        chip->rotate_on_auto_eoi = false;
        chip->expects_icw4 = icw1 & ICW1_EXPECTS_ICW4;
        chip->step = PIC_STEP_ICW2;
}

static void chip_write_ocw3(PicChip *chip, uint8_t value) {
        chip->poll = value & OCW3_POLL;
        if (value & OCW3_READ_SELECT)
                chip->read_isr = value & OCW3_READ_ISR;
        if (value & OCW3_SPECIAL_MASK_SELECT)
                chip->special_mask = value & OCW3_SPECIAL_MASK;
}

static void chip_end(PicChip *chip, unsigned input, bool rotate) {
        chip->isr &= (uint8_t) ~(1u << input);
        if (rotate)
                chip->lowest_priority = (uint8_t) input;
}

static void chip_write_ocw2(PicChip *chip, uint8_t value) {
        unsigned command = value >> 5, input = value & 7u, rank;

        switch (command) {
        case OCW2_ROTATE_AUTO_OFF:
        case OCW2_ROTATE_AUTO_ON:
                chip->rotate_on_auto_eoi = command == OCW2_ROTATE_AUTO_ON;
                break;
        case OCW2_EOI:
        case OCW2_ROTATE_EOI:
                rank = chip_rank(chip, chip->isr);
                if (rank != PIC_NONE)
                        chip_end(chip, chip_input_of_rank(chip, rank), command == OCW2_ROTATE_EOI);
                break;
        case OCW2_EOI_SPECIFIC:
        case OCW2_ROTATE_EOI_SPECIFIC:
                chip_end(chip, input, command == OCW2_ROTATE_EOI_SPECIFIC);
                break;
        case OCW2_SET_PRIORITY:
                chip->lowest_priority = (uint8_t) input;
                break;
        case OCW2_NOP:
        default:
                break;
        }
}

static void chip_write_command(PicChip *chip, uint8_t value) {
        if (value & ICW1_START)
                chip_start_initialization(chip, value);
        else if (value & OCW3)
                chip_write_ocw3(chip, value);
        else
                chip_write_ocw2(chip, value);
}

static void chip_write_data(PicChip *chip, uint8_t value) {
        switch (chip->step) {
        case PIC_STEP_READY:
                chip->imr = value;
                break;
        case PIC_STEP_ICW2:
                chip->vector_base = value & 0xf8u;
                chip->step = PIC_STEP_ICW3;
                break;
        case PIC_STEP_ICW3: /* which input has the slave: fixed by the board */
                chip->step = chip->expects_icw4 ? PIC_STEP_ICW4 : PIC_STEP_READY;
                break;
        case PIC_STEP_ICW4:
                chip->special_fully_nested = value & ICW4_SPECIAL_FULLY_NESTED;
                chip->auto_eoi = value & ICW4_AUTO_EOI;
                chip->step = PIC_STEP_READY;
                break;
        }
}

/**
 * pic_init() - the state after power-on
 *
 * There is no firmware to program the chips, so everything starts masked, and input 9 (the SCI) starts as
 * level-triggered, which is what firmware does to it.
 */
void pic_init(PicPair *pair) {
        *pair = (PicPair){
                .master = {.imr = 0xff, .lowest_priority = 7, .level_writable = 0xf8},
                .slave = {.imr = 0xff,
                          .lowest_priority = 7,
                          .level_writable = 0xde,
                          .level_triggered = 1u << 1},
        };
}

/** pic_set_line() - input @pin, 0-15 without the cascade, is now at @level */
void pic_set_line(PicPair *pair, unsigned pin, bool level) {
        chip_set_line(pin < 8 ? &pair->master : &pair->slave, pin & 7, level);
        pic_update_cascade(pair);
}

/** pic_output() - whether the pair asks the processor for an INTA cycle */
bool pic_output(const PicPair *pair) {
        return chip_request(&pair->master, true) != PIC_NONE;
}

/** pic_acknowledge() - the INTA cycle. Return: the vector, or -1 when nothing asks for one any more. */
int pic_acknowledge(PicPair *pair) {
        unsigned input = chip_request(&pair->master, true);
        PicChip *chip = &pair->master;

        if (input == PIC_NONE)
                return -1;
        chip_serve(&pair->master, input);
        if (input == PIC_CASCADE_PIN) {
                chip = &pair->slave;
                input = chip_request(chip, false);
                if (input != PIC_NONE)
                        chip_serve(chip, input);
                else
                        input = 7; /* only if the master's input 2 was never the cascade: spurious */
                pic_update_cascade(pair);
        }
        return chip->vector_base + (int) input;
}

/* A poll takes the place of an INTA cycle on one chip (8259A data sheet, "poll command"). */
static uint8_t pic_poll(PicPair *pair, PicChip *chip) {
        unsigned input = chip_request(chip, chip == &pair->master);

        chip->poll = false;
        if (input == PIC_NONE)
                return 0;
        chip_serve(chip, input);
        pic_update_cascade(pair);
        return (uint8_t) (0x80u | input);
}

/** pic_read() - read port @offset (0 command, 1 data) of one chip; a poll changes state */
uint8_t pic_read(PicPair *pair, bool slave, unsigned offset) {
        PicChip *chip = slave ? &pair->slave : &pair->master;

        if (chip->poll)
                return pic_poll(pair, chip);
        if (offset == 1)
                return chip->imr;
        return chip->read_isr ? chip->isr : chip->irr;
}

/** pic_write() - write port @offset (0 command, 1 data) of one chip */
void pic_write(PicPair *pair, bool slave, unsigned offset, uint8_t value) {
        PicChip *chip = slave ? &pair->slave : &pair->master;

        if (offset == 1)
                chip_write_data(chip, value);
        else
                chip_write_command(chip, value);
        pic_update_cascade(pair);
}

/** pic_read_elcr() - edge/level control register @offset: 0 master, 1 slave */
uint8_t pic_read_elcr(const PicPair *pair, unsigned offset) {
        return offset ? pair->slave.level_triggered : pair->master.level_triggered;
}

/** pic_write_elcr() - choose edge (0) or level (1) for each input of one chip; bits that must be edge stay 0 */
void pic_write_elcr(PicPair *pair, unsigned offset, uint8_t value) {
        PicChip *chip = offset ? &pair->slave : &pair->master;
        uint8_t now_level = value & chip->level_writable & (uint8_t) ~chip->level_triggered;

        chip->level_triggered = value & chip->level_writable;
        /* What used to be a latched edge is from here on what the line says. */
        chip->irr = (chip->irr & (uint8_t) ~now_level) | (chip->lines & now_level);
        pic_update_cascade(pair);
}

/** pic_snapshot() - save or restore both chips */
void pic_snapshot(PicPair *pair, Snapshot *s) {
        static const SnapshotField fields[] = {
                SNAPSHOT_UINT(PicChip, lines),
                SNAPSHOT_UINT(PicChip, irr),
                SNAPSHOT_UINT(PicChip, imr),
                SNAPSHOT_UINT(PicChip, isr),
                SNAPSHOT_UINT(PicChip, level_triggered),
                SNAPSHOT_UINT(PicChip, vector_base),
                SNAPSHOT_RANGE(PicChip, lowest_priority, 0, 7),
                SNAPSHOT_RANGE(PicChip, step, PIC_STEP_READY, PIC_STEP_ICW4),
                SNAPSHOT_BOOL(PicChip, expects_icw4),
                SNAPSHOT_BOOL(PicChip, read_isr),
                SNAPSHOT_BOOL(PicChip, poll),
                SNAPSHOT_BOOL(PicChip, special_mask),
                SNAPSHOT_BOOL(PicChip, special_fully_nested),
                SNAPSHOT_BOOL(PicChip, auto_eoi),
                SNAPSHOT_BOOL(PicChip, rotate_on_auto_eoi),
        };

        snapshot_members(s, fields, &pair->master);
        snapshot_members(s, fields, &pair->slave);
        pair->master.level_triggered &= pair->master.level_writable;
        pair->slave.level_triggered &= pair->slave.level_writable;
        pic_update_cascade(pair);
}
