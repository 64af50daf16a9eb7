/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Translated code against the interpreter, which the differential test holds to the host: programs of random
 * instructions with branches, loops and faults in them are run by both from the same state, and must leave the same.
 * VIVARIUM_NATIVE_PROGRAMS=N makes a long run of it, VIVARIUM_NATIVE_SEED another one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/le.h"
#include "tests/fake/vmm_soft_guest.h"
#include "vmm/hv/soft/native.h"
#include "vmm/hv/soft/native_emit.h"

#define PROGRAMS_DEFAULT 20000u
#define INSTRUCTIONS_MAX 24u
#define LOOPS_MAX 12u

#define CODE_VA UINT64_C(0x40000000) /* two pages */
#define CODE_GPA UINT64_C(0x100000)
#define CODE_SIZE 0x2000u
#define DATA_VA UINT64_C(0x50000000) /* two pages to write, one to read, nothing */
#define DATA_GPA UINT64_C(0x110000)
#define DATA_SIZE 0x3000u
#define GS_BASE UINT64_C(0x1230)

typedef struct Program {
        uint64_t random;
        SoftGuest guest;
        Emitter e;
        uint8_t code[1024];
        uint64_t at; /* in CODE_VA */
        bool loop;   /* rcx counts and is not written */
} Program;

static uint64_t next(Program *p) {
        p->random ^= p->random << 13;
        p->random ^= p->random >> 7;
        p->random ^= p->random << 17;
        return p->random * UINT64_C(0x2545f4914f6cdd1d);
}

static unsigned below(Program *p, unsigned n) {
        return (unsigned) (next(p) >> 32) % n;
}

/* ---- programs ---- */

/* A register to write to: not the stack's, and not the loop's counter. */
static unsigned destination(Program *p) {
        for (;;) {
                unsigned reg = below(p, 16);

                if (reg != RSP && (reg != RCX || !p->loop))
                        return reg;
        }
}

/* rbx, rsi, rdi, r8 and r12 point into the data, unless the program changed them; others rarely do. */
static Operand memory(Program *p) {
        static const uint8_t bases[] = {RBX, RSI, RDI, R8, R12, RSP, RBP};
        Operand o = operand_mem(bases[below(p, sizeof(bases))], (int32_t) below(p, 64) - 32);

        if (below(p, 8) == 0) {
                o.index = (uint8_t) below(p, 16);
                o.scale = (uint8_t) below(p, 4);
                if (o.index == RSP)
                        o.index = H_NONE;
        }
        return o;
}

static Operand source(Program *p) {
        return below(p, 2) ? operand_reg(below(p, 16)) : memory(p);
}

/* One that is written: a register is the destination's, and the other operand is any. */
static Operand target(Program *p) {
        return below(p, 2) ? operand_reg(destination(p)) : memory(p);
}

static void arithmetic(Program *p) {
        unsigned size = below(p, 4);
        uint32_t op = below(p, 8) << 3;
        Operand rm;

        switch (below(p, 5)) {
        case 0:
                rm = target(p);
                emit_op(&p->e, op_sized(op, size), below(p, 16), rm);
                break;
        case 1:
                rm = source(p);
                emit_op(&p->e, op_sized(op | 2, size), destination(p), rm);
                break;
        case 2:
                rm = target(p);
                emit_op_imm(&p->e, op_sized(0x80, size), op >> 3, rm, next(p),
                            size < 2 ? size + 1 : 4);
                break;
        case 3:
                rm = target(p);
                emit_op_imm(&p->e, op_wide(0x83, size ? size : 2), op >> 3, rm, next(p), 1);
                break;
        default:
                rm = source(p);
                emit_op(&p->e, op_sized(0x84, size), below(p, 16), rm); /* test */
                break;
        }
}

static void unary(Program *p) {
        static const uint32_t ops[] = {0xf6 << 3 | 2, 0xf6 << 3 | 3, 0xfe << 3 | 0, 0xfe << 3 | 1};
        uint32_t op = ops[below(p, ELEMENTSOF(ops))];
        Operand rm = target(p);

        emit_op(&p->e,
                op_sized(op >> 3, below(p, 4)) | (rm.memory && below(p, 4) == 0 ? OP_LOCK : 0),
                op & 7, rm);
}

static void shift(Program *p) {
        static const uint8_t digits[] = {0, 1, 2, 3, 4, 5, 7};
        unsigned digit = digits[below(p, sizeof(digits))], size = below(p, 4);
        Operand rm = target(p);

        if (below(p, 2))
                emit_op_imm(&p->e, op_sized(0xc0, size), digit, rm, next(p), 1);
        else
                emit_op(&p->e, op_sized(0xd2, size), digit, rm);
}

static void multiply(Program *p) {
        unsigned size = 1 + below(p, 3);
        Operand rm = source(p);

        switch (below(p, 3)) {
        case 0:
                emit_op(&p->e, op_wide(0xaf | OP_0F, size), destination(p), rm);
                break;
        case 1:
                emit_op_imm(&p->e, op_wide(0x69, size), destination(p), rm, next(p),
                            size == 1 ? 2 : 4);
                break;
        default:
                emit_op(&p->e, op_sized(0xf6, below(p, 4)), 4 + below(p, 2), rm);
                break;
        }
        /* The carry is all that it leaves defined; keep that and set the others. */
        emit_op(&p->e, 0x90 | CC_C | OP_0F | OP_BYTE, 0, operand_reg(destination(p)));
        emit_op(&p->e, 0x39 | OP_W, below(p, 16), operand_reg(below(p, 16)));
}

static void bits(Program *p) {
        unsigned size = 1 + below(p, 3), digit = 4 + below(p, 4);

        switch (below(p, 4)) {
        case 0:
                emit_op_imm(&p->e, op_wide(0xba | OP_0F, size), digit, operand_reg(destination(p)),
                            next(p), 1);
                break;
        case 1:
                emit_op(&p->e, op_wide(0x83 | OP_0F, size) | digit << 3, below(p, 16),
                        operand_reg(destination(p)));
                break;
        case 2:
                emit_op(&p->e, op_wide((0xbc + below(p, 2)) | OP_0F, size), destination(p),
                        operand_reg(below(p, 16)));
                break;
        default:
                emit_op_imm(&p->e, op_wide((below(p, 2) ? 0xa4 : 0xac) | OP_0F, 2 + below(p, 2)),
                            below(p, 16), operand_reg(destination(p)), next(p), 1);
                break;
        }
}

static void move(Program *p) {
        unsigned size = below(p, 4);
        Operand rm;

        switch (below(p, 8)) {
        case 0:
                rm = target(p);
                emit_op(&p->e, op_sized(0x88, size), below(p, 16), rm);
                break;
        case 1:
                rm = source(p);
                emit_op(&p->e, op_sized(0x8a, size), destination(p), rm);
                break;
        case 2:
                rm = target(p);
                emit_op_imm(&p->e, op_sized(0xc6, size), 0, rm, next(p), size < 2 ? size + 1 : 4);
                break;
        case 3:
                rm = source(p);
                emit_op(&p->e,
                        op_wide((below(p, 2) ? 0xb6 : 0xbe) | below(p, 2) | OP_0F, 1 + below(p, 3)),
                        destination(p), rm);
                break;
        case 4:
                rm = memory(p);
                emit_op(&p->e, op_wide(0x8d, 1 + below(p, 3)), destination(p), rm);
                break;
        case 5:
                rm = source(p);
                emit_op(&p->e, op_wide(0x63, 3), destination(p), rm);
                break;
        case 6:
                emit_mov_imm(&p->e, destination(p), next(p) >> below(p, 64));
                break;
        default:
                emit_op(&p->e, op_wide(0x87, 1 + below(p, 3)), destination(p), target(p));
                break;
        }
}

static void conditional(Program *p) {
        unsigned cc = below(p, 16);
        Operand rm;

        if (below(p, 2)) {
                rm = target(p);
                emit_op(&p->e, 0x90 | cc | OP_0F | OP_BYTE, 0, rm);
        } else {
                rm = source(p);
                emit_op(&p->e, op_wide(0x40 | cc | OP_0F, 1 + below(p, 3)), destination(p), rm);
        }
}

static void stack(Program *p) {
        unsigned reg;

        switch (below(p, 3)) {
        case 0:
                reg = below(p, 16);
                emit_byte(&p->e, (uint8_t) (0x40 | reg >> 3));
                emit_byte(&p->e, (uint8_t) (0x50 | (reg & 7)));
                break;
        case 1:
                reg = destination(p);
                emit_byte(&p->e, (uint8_t) (0x40 | reg >> 3));
                emit_byte(&p->e, (uint8_t) (0x58 | (reg & 7)));
                break;
        default:
                emit_byte(&p->e, 0x68);
                emit_number(&p->e, next(p), 4);
                break;
        }
}

static void exchange(Program *p) {
        uint32_t lock = below(p, 2) ? OP_LOCK : 0;
        unsigned size = below(p, 4);
        Operand rm = memory(p);

        emit_op(&p->e, op_sized((below(p, 2) ? 0xb0 : 0xc0) | OP_0F, size) | lock, destination(p),
                rm);
}

static void vector(Program *p) {
        static const uint32_t ops[] = {
                0x10,         0x28,         0x6f | OP_66, 0x6f | OP_F3, 0x10 | OP_F3, 0x10 | OP_F2,
                0x58 | OP_F2, 0x59 | OP_F3, 0x5c,         0x5e | OP_66, 0xef | OP_66, 0xfe | OP_66,
                0x2e,         0x2f | OP_66, 0x14,         0x7e | OP_F3, 0x5a | OP_F2, 0x51 | OP_F2,
                0x54,         0xd4 | OP_66, 0x60 | OP_66, 0x5b,         0x12 | OP_F2, 0xe6 | OP_F3,
        };
        static const uint32_t stores[] = {0x11,         0x29,         0x7f | OP_66, 0x7f | OP_F3,
                                          0x11 | OP_F3, 0x11 | OP_F2, 0xd6 | OP_66};
        Operand rm;

        switch (below(p, 8)) {
        case 0:
                rm = source(p);
                emit_op(&p->e, (0x2a + 0u) | OP_0F | OP_F2 | (below(p, 2) ? OP_W : 0), below(p, 16),
                        rm);
                break;
        case 1:
                emit_op(&p->e, 0x2c | OP_0F | OP_F2 | (below(p, 2) ? OP_W : 0), destination(p),
                        operand_reg(below(p, 16)));
                break;
        case 2:
                emit_op(&p->e, 0x6e | OP_0F | OP_66 | (below(p, 2) ? OP_W : 0), below(p, 16),
                        source(p));
                break;
        case 3:
                emit_op(&p->e, 0x7e | OP_0F | OP_66 | (below(p, 2) ? OP_W : 0), below(p, 16),
                        target(p));
                break;
        case 4:
                rm = memory(p);
                emit_op(&p->e, stores[below(p, ELEMENTSOF(stores))] | OP_0F, below(p, 16), rm);
                break;
        case 5:
                emit_op_imm(&p->e, 0x70 | OP_0F | OP_66, below(p, 16), operand_reg(below(p, 16)),
                            next(p), 1); /* pshufd */
                break;
        case 6:
                emit_op(&p->e, 0xd7 | OP_0F | OP_66, destination(p),
                        operand_reg(below(p, 16))); /* pmovmskb */
                break;
        default:
                rm = source(p);
                emit_op(&p->e, ops[below(p, ELEMENTSOF(ops))] | OP_0F, below(p, 16), rm);
                break;
        }
}

/* What the translator does not know, so that both take turns within a block. */
static void other(Program *p) {
        static const char *const bytes[] = {"\x9c", "\xfc", "\x9f", "\xd9\xe8", "\x90",
                                            "\xf8", "\xf5", "\x98", "\x48\x99"};

        for (const char *b = bytes[below(p, ELEMENTSOF(bytes))]; *b; b++)
                emit_byte(&p->e, (uint8_t) *b);
}

static void instruction(Program *p) {
        static void (*const kinds[])(Program *) = {
                arithmetic, arithmetic, arithmetic, unary,  shift,  multiply,
                bits,       move,       move,       move,   move,   conditional,
                stack,      exchange,   vector,     vector, vector, other,
        };

        kinds[below(p, ELEMENTSOF(kinds))](p);
}

/* An instruction or two that a branch may skip; calls and returns that go on behind them. */
static void branch(Program *p) {
        uint8_t *jump;

        switch (below(p, 4)) {
        case 0:
                jump = emit_jmp(&p->e);
                break;
        case 1:
                emit_byte(&p->e, 0xe8); /* call */
                emit_number(&p->e, 0, 4);
                jump = p->e.at - 4;
                break;
        case 2: /* lea 6(%rip), %rax; push; ret: to what follows */
                emit_number(&p->e, 0x00000002058d48, 7);
                emit_number(&p->e, 0xc350, 2);
                return;
        default:
                jump = emit_jcc(&p->e, below(p, 16));
                break;
        }
        for (unsigned i = below(p, 3); i > 0; i--)
                instruction(p);
        emit_target(&p->e, jump);
}

static void make_program(Program *p) {
        uint8_t *again;

        p->e = (Emitter){.at = p->code, .end = p->code + sizeof(p->code)};
        p->loop = below(p, 2);
        p->at = below(p, 4) ? below(p, 0x400) : 0x1000 - below(p, 0x40);
        for (unsigned i = 1 + below(p, INSTRUCTIONS_MAX); i > 0; i--) {
                if (below(p, 10) == 0)
                        branch(p);
                else
                        instruction(p);
        }
        if (p->loop) {
                emit_op(&p->e, 0xff, 1, operand_reg(RCX)); /* dec */
                again = emit_jcc(&p->e, CC_NZ);
                le32_store(again, (uint32_t) (p->code - (again + 4)));
        }
        emit_byte(&p->e, 0xf4);
        assert_false(p->e.full);
}

/* ---- running ---- */

static void random_state(Program *p, CpuImage *image) {
        static const uint8_t pointers[] = {RBX, RSI, RDI, R8, R12, RSP, RBP};

        memset(image, 0, sizeof(*image));
        for (unsigned i = 0; i < 16; i++)
                image->r[i] = next(p) >> below(p, 64);
        for (unsigned i = 0; i < sizeof(pointers); i++)
                image->r[pointers[i]] = DATA_VA + 0x800 + below(p, below(p, 4) ? 0x1000 : 0x2900);
        for (unsigned i = 0; i < sizeof(pointers); i++)
                if (below(p, 2))
                        image->r[pointers[i]] &= ~UINT64_C(15);
        image->r[RCX] = p->loop ? 1 + below(p, LOOPS_MAX) : image->r[RCX];
        image->rip = CODE_VA + p->at;
        image->flags = next(p) & (FLAGS_ARITH | FLAG_DF);
        le16_store(image->fx, 0x37f);
        le32_store(image->fx + 24, below(p, 16) ? 0x1f80 : 0x1f80 & ~(0x80u << below(p, 6)));
        for (unsigned i = 160; i < 416; i += 8)
                le64_store(image->fx + i, below(p, 2) ? next(p) : UINT64_C(0x3ff0000000000000));
}

/* @heat: executions after which a block is translated */
static void run(Program *p, CpuImage *image, uint8_t *data, uint32_t heat) {
        SoftCpu *c = p->guest.cpu;
        uint8_t *memory_now = soft_guest_memory(&p->guest, DATA_GPA);

        memcpy(memory_now, data, DATA_SIZE);
        block_cache_flush(c);
        c->native_heat = heat;
        soft_guest_run(&p->guest, image);
        memcpy(data, memory_now, DATA_SIZE);
}

static void fail_with(const Program *p, const CpuImage *start, const CpuImage *a,
                      const CpuImage *b) {
        printf("program at %#lx:", (unsigned long) (CODE_VA + p->at));
        for (const uint8_t *i = p->code; i < p->e.at; i++)
                printf(" %02x", *i);
        printf("\n  interpreter #%u(%#lx) cr2 %#lx rip %#lx flags %#lx\n"
               "  translated  #%u(%#lx) cr2 %#lx rip %#lx flags %#lx\n",
               a->vector, (unsigned long) a->code, (unsigned long) a->cr2, (unsigned long) a->rip,
               (unsigned long) a->flags, b->vector, (unsigned long) b->code, (unsigned long) b->cr2,
               (unsigned long) b->rip, (unsigned long) b->flags);
        for (unsigned i = 0; i < 16; i++)
                if (a->r[i] != b->r[i])
                        printf("  r%u: before %#lx interpreter %#lx translated %#lx\n", i,
                               (unsigned long) start->r[i], (unsigned long) a->r[i],
                               (unsigned long) b->r[i]);
        for (unsigned i = 0; i < 416; i += 8)
                if (memcmp(a->fx + i, b->fx + i, 8) != 0)
                        printf("  fx[%u]: interpreter %#lx translated %#lx\n", i,
                               (unsigned long) le64_load(a->fx + i),
                               (unsigned long) le64_load(b->fx + i));
        fail_msg("translated code does something else");
}

/* @heat: of the translated ones, of which some blocks may be interpreted in the beginning */
static void compare_programs(Program *p, uint32_t heat) {
        const char *programs = getenv("VIVARIUM_NATIVE_PROGRAMS"),
                   *seed = getenv("VIVARIUM_NATIVE_SEED");
        static uint8_t before[DATA_SIZE], interpreted[DATA_SIZE], translated[DATA_SIZE];

        p->random = UINT64_C(0x9e3779b97f4a7c15) ^ (seed ? strtoull(seed, NULL, 0) << 20 : 0);
        for (uint64_t n = programs ? strtoull(programs, NULL, 0) : PROGRAMS_DEFAULT; n > 0; n--) {
                uint8_t *code = soft_guest_memory(&p->guest, CODE_GPA);
                CpuImage start, a, b;

                make_program(p);
                random_state(p, &start);
                memset(code, 0xf4, CODE_SIZE);
                memcpy(code + p->at, p->code, (size_t) (p->e.at - p->code));
                for (unsigned i = 0; i < DATA_SIZE; i += 8)
                        le64_store(before + i, next(p));
                memcpy(interpreted, before, DATA_SIZE);
                memcpy(translated, before, DATA_SIZE);
                a = b = start;
                run(p, &a, interpreted, NATIVE_HEAT_NEVER);
                run(p, &b, translated, heat);
                if (memcmp(a.r, b.r, sizeof(a.r)) != 0 || a.rip != b.rip || a.flags != b.flags ||
                    a.vector != b.vector || a.code != b.code || a.cr2 != b.cr2 ||
                    memcmp(a.fx, b.fx, 416) != 0 || memcmp(interpreted, translated, DATA_SIZE) != 0)
                        fail_with(p, &start, &a, &b);
        }
}

static void test_translated_programs_do_what_interpreted_ones_do(void **state) {
        compare_programs(*state, 1);
}

/* With room for a few blocks only: young ones go and come back, and all are forgotten again and again. */
static void test_programs_do_the_same_while_blocks_make_room_for_others(void **state) {
        Program *p = *state;

        block_cache_flush(p->guest.cpu);
        block_cache_limit(p->guest.cpu->cache, 4096, 1024);
        for (uint32_t heat = 1; heat <= 2; heat++)
                compare_programs(p, heat);
}

/* Blocks that are compared with memory when they are entered. */
static void test_programs_do_the_same_in_memory_that_others_write(void **state) {
        Program *p = *state;

        p->guest.cpu->foreign_writers = true;
        for (uint32_t heat = 1; heat <= 2; heat++)
                compare_programs(p, heat);
        p->guest.cpu->foreign_writers = false;
}

static int set_up(void **state) {
        static Program p;

        assert_int_equal(soft_guest_new(1, &p.guest), 0);
        for (unsigned i = 0; i < CODE_SIZE; i += 0x1000)
                soft_guest_map(&p.guest, CODE_VA + i, CODE_GPA + i, SOFT_MAP_USER);
        for (unsigned i = 0; i < DATA_SIZE; i += 0x1000)
                soft_guest_map(&p.guest, DATA_VA + i, DATA_GPA + i,
                               SOFT_MAP_USER | SOFT_MAP_NX | (i < 0x2000 ? SOFT_MAP_WRITE : 0));
        soft_guest_long_mode(&p.guest, 3);
        p.guest.cpu->seg[SEG_GS].base = GS_BASE;
        cpu_mode_changed(p.guest.cpu);
        *state = &p;
        return 0;
}

static int tear_down(void **state) {
        soft_guest_deinit(&((Program *) *state)->guest);
        return 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_translated_programs_do_what_interpreted_ones_do),
                cmocka_unit_test(test_programs_do_the_same_in_memory_that_others_write),
                cmocka_unit_test(test_programs_do_the_same_while_blocks_make_room_for_others),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
