/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The software processor against the real one: each case is one instruction with random operands from corner values,
 * run by both from the same state at the same addresses; what they trap with and all they leave must be equal. Half of
 * the cases are translated, the others interpreted.
 * Everything around the instruction is HLT, which user mode may not: that ends a case that does not trap by itself.
 * VIVARIUM_DIFFERENTIAL_CASES=N makes a long run of it, VIVARIUM_DIFFERENTIAL_SEED another one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <asm/prctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/le.h"
#include "tests/fake/vmm_soft_guest.h"
#include "tests/unit/vmm/hv/soft/differential_forms.h"
#include "vmm/hv/soft/native.h"

/* Sanitizers map much of the address space for themselves, which stray operands must not reach. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ON_HOST_TOO false
#else
#define ON_HOST_TOO true
#endif

#define CASES_DEFAULT (ON_HOST_TOO ? 1000000u : 150000u)
#define REPORTS_PER_FORM 2u

#define CODE_VA UINT64_C(0x40000000) /* two pages, and nothing behind them */
#define CODE_GPA UINT64_C(0x100000)
#define CODE_SIZE 0x2000u
#define DATA_VA UINT64_C(0x50000000) /* nothing, two pages to write, one to read, nothing */
#define DATA_GPA UINT64_C(0x110000)
#define DATA_FIRST (DATA_VA + 0x1000)
#define DATA_SIZE 0x3000u
#define GS_BASE UINT64_C(0x1230)

#define FLAGS_COMPARED (FLAGS_ARITH | FLAG_DF | FLAG_NT | FLAG_AC | FLAG_ID | FLAG_TF)

typedef struct Differ {
        SoftGuest guest;
        uint8_t *native_code, *native_data, *guest_code, *guest_data;
        uint64_t random;
        unsigned reports[N_FORMS], different[N_FORMS], total_different;
        CpuImage start;
        const Form *form;
        uint8_t bytes[24];
        unsigned len, op;
        uint64_t code_at, operand;
        bool has_operand, env16;
} Differ;

/* ---- random values ---- */

static uint64_t next(Differ *d) {
        d->random ^= d->random << 13;
        d->random ^= d->random >> 7;
        d->random ^= d->random << 17;
        return d->random * UINT64_C(0x2545f4914f6cdd1d);
}

static unsigned below(Differ *d, unsigned n) {
        return (unsigned) (next(d) >> 32) % n;
}

static bool one_in(Differ *d, unsigned n) {
        return below(d, n) == 0;
}

static uint64_t corner(Differ *d) {
        static const uint64_t values[] = {
                0,
                1,
                2,
                0x7f,
                0x80,
                0xff,
                0x7fff,
                0x8000,
                0xffff,
                0x7fffffff,
                0x80000000,
                0xffffffff,
                0x3f800000,
                0x7f800000,
                0x7fc00000,
                INT64_MAX,
                1ull << 63,
                UINT64_MAX,
                64,
                32,
                16,
                UINT64_MAX - 1,
                0x0123456789abcdef,
                0x3ff0000000000000,
                0x7ff0000000000000,
                0x7ff8000000000001,
        };

        switch (below(d, 4)) {
        case 0:
                return values[below(d, sizeof(values) / sizeof(values[0]))];
        case 1:
                return next(d) >> below(d, 64);
        case 2:
                return (uint64_t) - (int64_t) (next(d) >> below(d, 64));
        default:
                return next(d);
        }
}

static uint64_t float_corner(Differ *d, bool wide) {
        static const uint32_t singles[] = {0,          0x80000000, 0x3f800000, 0xbf800000,
                                           0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001,
                                           1,          0x807fffff, 0x7f7fffff, 0x4f000000,
                                           0xcf000000, 0x5f000000, 0x3effffff};
        static const uint64_t doubles[] = {0,
                                           1ull << 63,
                                           0x3ff0000000000000,
                                           0xbff0000000000000,
                                           0x7ff0000000000000,
                                           0xfff0000000000000,
                                           0x7ff8000000000000,
                                           0x7ff0000000000001,
                                           1,
                                           0x800fffffffffffff,
                                           0x7fefffffffffffff,
                                           0x41e0000000000000,
                                           0xc1e0000000000000,
                                           0x43e0000000000000,
                                           0x3fdfffffffffffff};

        if (wide)
                return doubles[below(d, sizeof(doubles) / sizeof(doubles[0]))];
        return singles[below(d, sizeof(singles) / sizeof(singles[0]))] |
               (uint64_t) singles[below(d, sizeof(singles) / sizeof(singles[0]))] << 32;
}

static uint64_t vector_value(Differ *d) {
        switch (below(d, 4)) {
        case 0:
                return float_corner(d, true);
        case 1:
                return float_corner(d, false);
        case 2:
                return corner(d);
        default: /* moderate doubles and singles */
                return one_in(d, 2) ? (next(d) >> 12) | (0x3f0 + (uint64_t) below(d, 0x20)) << 52
                                    : ((next(d) & 0x807fffff807fffff) | 0x3f8000003f800000) +
                                              ((uint64_t) below(d, 64) << 55 | below(d, 64) << 23);
        }
}

static void random_x87_register(Differ *d, uint8_t *p) {
        static const uint16_t exponents[] = {0,      1,      0x3ffe, 0x3fff, 0x4000,
                                             0x401e, 0x403e, 0x7ffe, 0x7fff};
        uint64_t mantissa = one_in(d, 3) ? 1ull << 63 : next(d) | (one_in(d, 8) ? 0 : 1ull << 63);
        uint16_t exponent =
                one_in(d, 2) ? exponents[below(d, 9)] : (uint16_t) (0x3fff - 70 + below(d, 140));

        if (one_in(d, 8))
                mantissa = 0;
        if (one_in(d, 12))
                mantissa = 0xc000000000000000;
        le64_store(p, mantissa);
        le16_store(p + 8, (uint16_t) (exponent | (one_in(d, 2) ? 0x8000 : 0)));
}

static void random_float_state(Differ *d) {
        uint8_t *fx = d->start.fx;
        bool unmasked = one_in(d, 8), mmx = one_in(d, 2);
        uint16_t fcw = (uint16_t) (0x3f | below(d, 16) << 8), fsw;
        uint32_t mxcsr = 0x1f80 | below(d, 4) << 13;

        memset(fx, 0, 512);
        if ((fcw >> 8 & 3) == 1) /* reserved precision */
                fcw |= 0x300;
        if (unmasked && one_in(d, 2))
                fcw = (uint16_t) (fcw & ~0x3f) | (uint16_t) below(d, 64);
        fcw |= 0x40;
        fsw = (uint16_t) (below(d, 8) << 11 | (next(d) & 0x4700));
        if (one_in(d, 4))
                fsw |= (uint16_t) below(d, 0x80);
        if (one_in(d, 8) ? false : (fsw & ~fcw & 0x3f)) /* mostly nothing is pending */
                fsw &= (uint16_t) ~0x3f;
        if (fsw & ~fcw & 0x3f)
                fsw |= 0x8080;
        else
                fsw &= (uint16_t) ~0x8080;
        if (mmx)
                fsw &= (uint16_t) ~0x3800;
        le16_store(fx, fcw);
        le16_store(fx + 2, fsw);
        fx[4] = one_in(d, 2) ? 0xff : (uint8_t) next(d);
        if (unmasked && one_in(d, 2))
                mxcsr = (mxcsr & ~0x1f80u) | below(d, 64) << 7;
        if (one_in(d, 4))
                mxcsr |= below(d, 64);
        if (one_in(d, 4))
                mxcsr |= 0x8000;
        if (one_in(d, 4))
                mxcsr |= 0x40;
        le32_store(fx + 24, mxcsr);
        le32_store(fx + 28, 0xffff);
        for (unsigned i = 0; i < 8; i++) {
                if (mmx) {
                        le64_store(fx + 32 + 16 * i, vector_value(d));
                        le16_store(fx + 40 + 16 * i, 0xffff);
                } else {
                        random_x87_register(d, fx + 32 + 16 * i);
                }
        }
        for (unsigned i = 0; i < 32; i++)
                le64_store(fx + 160 + 8 * i, vector_value(d));
}

/* ---- operands ---- */

/* Mostly good addresses, at the places where pages begin, end and change their rights. */
static uint64_t address(Differ *d, unsigned size) {
        unsigned mask = one_in(d, 3) ? 0 : size - 1;
        uint64_t at;

        switch (below(d, 32)) {
        case 0:
                return DATA_VA + 0xff0 + below(d, 32); /* over the first edge */
        case 1:
                return DATA_FIRST + DATA_SIZE - 16 + below(d, 32);
        case 2:
                return DATA_FIRST + 0x2000 - 16 + below(d, 32);
        case 3:
                return DATA_FIRST + 0x2000 + (below(d, 0x100) & ~mask);
        case 4:
                if (d->form->flags & BIG)
                        return corner(d);
                return one_in(d, 4) ? corner(d) : UINT64_C(0x7ffffffffff8) + below(d, 16);
        case 5:
        case 6:
                at = DATA_FIRST + 0x1000 - 16 + below(d, 32);
                return at;
        default:
                at = DATA_FIRST + (one_in(d, 2) ? 0x40 : 0xe00) + below(d, 0x180);
                return at & ~(uint64_t) mask;
        }
}

static uint64_t code_address(Differ *d) {
        return one_in(d, 16) ? corner(d) : CODE_VA + 0x100 + below(d, 0x200);
}

static void put(Differ *d, uint64_t v, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                d->bytes[d->len++] = (uint8_t) (v >> (8 * i));
}

/* Forward or back, but never into the instruction itself, which might then go on for ever. */
static uint64_t distance(Differ *d, unsigned range) {
        uint64_t far = 16 + below(d, range);

        return one_in(d, 2) ? far : -far;
}

/* A memory operand at d->operand by one of the ways to say so; registers are given the values that it takes. */
static void memory_operand(Differ *d, unsigned reg, uint8_t *rex, unsigned *ret_rip_at,
                           uint64_t segment_base) {
        uint64_t want = d->operand - segment_base, *r = d->start.r;
        unsigned mod = below(d, 4), base, index, scale = below(d, 4);
        uint64_t disp = 0;

        if (mod == 3) { /* RIP-relative, or absolute for what is in the first 2 GiB */
                if (one_in(d, 2)) {
                        put(d, (reg & 7) << 3 | 5, 1);
                        *ret_rip_at = d->len;
                        put(d, 0, 4);
                } else {
                        put(d, (reg & 7) << 3 | 4, 1);
                        put(d, 0x25, 1);
                        put(d, want, 4);
                }
                return;
        }
        if (mod == 1)
                disp = (uint64_t) (int64_t) (int8_t) next(d);
        if (mod == 2)
                disp = (uint64_t) (int64_t) (int32_t) next(d);
        base = below(d, 16);
        *rex = (uint8_t) ((*rex & ~3u) | (base >= 8 ? 1 : 0));
        if (mod == 0 && (base & 7) == 5)
                base = base & 8 ? 15 : 3;
        if ((base & 7) == 4 || one_in(d, 2)) {
                index = below(d, 16);
                if (index >= 8)
                        *rex |= 2;
                if (index == base && index != 4 && (d->form->flags & (FIX_MXCSR | CODE_PTR)))
                        index = 4, *rex &= ~2;
                if (index == base && index != 4)
                        index = base == 4 ? 4 : (scale = 0, base);
                put(d, mod << 6 | (reg & 7) << 3 | 4, 1);
                put(d, scale << 6 | (index & 7) << 3 | (base & 7), 1);
                if (index != 4 && index != base) {
                        if (one_in(d, 2))
                                r[index] = corner(d);
                        r[base] = want - disp - (r[index] << scale);
                } else if (index == 4) {
                        r[base] = want - disp;
                } else {
                        r[base] = (want - disp) / 2;
                }
        } else {
                put(d, mod << 6 | (reg & 7) << 3 | (base & 7), 1);
                r[base] = want - disp;
        }
        put(d, disp, mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

static void prepare_string(Differ *d, unsigned size) {
        d->start.r[RSI] = address(d, size);
        d->start.r[RDI] = address(d, size);
        if (one_in(d, 4))
                d->start.r[RDI] = d->start.r[RSI] + below(d, 32) - 16;
        d->start.r[RCX] = below(d, 40);
        if (one_in(d, 8))
                d->start.r[RCX] |= UINT64_C(0x100000000);
}

/* ---- one case ---- */

static void random_registers(Differ *d) {
        for (unsigned i = 0; i < 16; i++)
                d->start.r[i] = corner(d);
        d->start.r[RSP] =
                one_in(d, 16) ? address(d, 8)
                              : DATA_FIRST + 0xf00 + (below(d, 0x200) & ~(one_in(d, 8) ? 0u : 7u));
        d->start.flags = (next(d) & FLAGS_ARITH) | 0x202 | (one_in(d, 8) ? FLAG_DF : 0) |
                         (one_in(d, 16) ? FLAG_AC : 0);
}

static void random_data(Differ *d) {
        static const unsigned windows[][2] = {
                {0, 0x240}, {0xd00, 0x500}, {0x1f00, 0x240}, {0x2f00, 0x100}};

        for (unsigned w = 0; w < sizeof(windows) / sizeof(windows[0]); w++)
                for (unsigned i = 0; i < windows[w][1]; i += 8)
                        le64_store(d->native_data + windows[w][0] + i,
                                   (i / 8) % 4 == 0 ? vector_value(d) : next(d));
        if (one_in(d, 8)) /* strings that match for a while */
                memset(d->native_data + 0xe00, 0x41, 0x300);
}

static void fix_operand(Differ *d) {
        uint64_t at = d->operand - DATA_FIRST;

        if (!d->has_operand || at > DATA_SIZE - 32)
                return;
        if (d->form->flags & CODE_PTR)
                le64_store(d->native_data + at, code_address(d));
        if (d->form->flags & FIX_MXCSR) {
                if (d->form->flags & BIG)
                        at += 24;
                le32_store(d->native_data + at,
                           below(d, 0x10000) | (one_in(d, 8) ? 0x80000000 : 0));
        }
}

/* No single step, no alignment checks, no nested task: these would stop what looks at the result. */
static void fix_popped_flags(Differ *d) {
        uint64_t at = d->start.r[RSP] - DATA_FIRST;

        if (at <= DATA_SIZE - 8)
                le64_store(d->native_data + at,
                           next(d) & ~(uint64_t) (FLAG_TF | FLAG_AC | FLAG_NT));
}

static unsigned operand_size(const Differ *d) {
        return d->form->flags & BIG ? 16 : d->form->map == 0 && d->op < 0xd8 ? 8 : 16;
}

/* Chooses and encodes an instruction; its operands are put into d->start and memory. */
static void random_instruction(Differ *d) {
        const Form *f = d->form;
        uint32_t fl = f->flags;
        bool o66 = (fl & O) && one_in(d, 3), a67 = one_in(d, 24), lock, repeat;
        uint8_t rex = 0;
        bool has_rex = one_in(d, 2), mem;
        unsigned mod, reg, rip_at = 0, modrm_at;
        uint64_t segment_base = 0;

        d->len = 0;
        d->env16 = o66;
        d->has_operand = false;
        d->op = f->first + below(d, f->last - f->first + 1u);
        mem = (fl & M) && ((fl & MEM) == MEM || ((fl & REG) != REG && one_in(d, 2)));
        lock = mem && (fl & L) ? one_in(d, 4) : one_in(d, 64) && !(fl & NO_LOCK);
        repeat = fl & REP ? !one_in(d, 3)
                          : !f->prefix && f->map == 0 && !(fl & (L | REL8 | REL32 | CODE_PTR)) &&
                                    one_in(d, 64);
        if (f->map == 0 && d->op == 0x90)
                repeat = false;
        if (one_in(d, 16) && (mem || (fl & (STRINGS | MOFFS)))) {
                put(d, 0x65, 1);
                segment_base = GS_BASE;
        } else if (one_in(d, 32)) {
                put(d, 0x3e, 1);
        }
        if (lock)
                put(d, 0xf0, 1);
        if (a67)
                put(d, 0x67, 1);
        if (o66)
                put(d, 0x66, 1);
        if (repeat)
                put(d, one_in(d, 2) ? 0xf3 : 0xf2, 1);
        if (f->prefix)
                put(d, f->prefix, 1);
        if (fl & W ? one_in(d, 2) : one_in(d, 16))
                rex |= 8;
        reg = f->digit >= 0 ? (unsigned) f->digit : below(d, 16);
        mod = below(d, 16);
        if (!(fl & M) && one_in(d, 2))
                rex |= (uint8_t) below(d, 8);
        if (reg >= 8)
                rex |= 4;

        /* The registers of the operand decide about REX, which comes before them. */
        {
                uint8_t tail[16];
                unsigned start = d->len, n;

                modrm_at = start;
                if (mem) {
                        d->operand = address(d, operand_size(d));
                        d->has_operand = true;
                        if (a67)
                                d->operand &= UINT32_MAX;
                        memory_operand(d, reg, &rex, &rip_at, segment_base);
                } else if (fl & M) {
                        if ((fl & CODE_PTR) && mod == RSP) /* two faults at once */
                                mod = RBP;
                        if (mod >= 8)
                                rex |= 1;
                        put(d, 0xc0 | (reg & 7) << 3 | (mod & 7), 1);
                        if (fl & CODE_PTR)
                                d->start.r[mod] = code_address(d);
                }
                n = d->len - start;
                memcpy(tail, d->bytes + start, n);
                d->len = start;
                if (rex || has_rex)
                        put(d, 0x40 | rex, 1);
                if (f->map)
                        put(d, 0x0f, 1);
                if (f->map >= 2)
                        put(d, f->map == 2 ? 0x38 : 0x3a, 1);
                put(d, d->op, 1);
                if (rip_at)
                        rip_at = rip_at - modrm_at + d->len;
                memcpy(d->bytes + d->len, tail, n);
                d->len += n;
        }
        if (fl & I16)
                put(d, f->first == 0xc8 ? below(d, 64) : below(d, 256), 2);
        if (fl & I8)
                put(d, f->first == 0xc8 ? below(d, 4) : one_in(d, 2) ? below(d, 8) : next(d), 1);
        if (fl & IZ)
                put(d, corner(d), o66 && !(rex & 8) ? 2 : 4);
        if (fl & IV)
                put(d, corner(d), rex & 8 ? 8 : o66 ? 2 : 4);
        if (fl & REL8)
                put(d, distance(d, 0x60), 1);
        if (fl & REL32)
                put(d, distance(d, 0x300), 4);
        if (fl & MOFFS) {
                d->operand = address(d, 8);
                put(d, d->operand - segment_base, a67 ? 4 : 8);
        }
        if (fl & STRINGS)
                prepare_string(d, (d->op & 1) ? rex & 8 ? 8 : o66 ? 2 : 4 : 1);

        /* Where the code lies: anywhere, over the middle, or right before nothing. */
        if (one_in(d, 4))
                d->code_at = CODE_VA + CODE_SIZE - d->len;
        else if (one_in(d, 4))
                d->code_at = CODE_VA + 0x1000 - 1 - below(d, d->len);
        else
                d->code_at = CODE_VA + 0x400 + below(d, 0x400);
        if (rip_at)
                le32_store(d->bytes + rip_at,
                           (uint32_t) (d->operand - segment_base - (d->code_at + d->len)));
        if ((fl & CODE_PTR) && !(fl & M)) {
                uint64_t at = d->start.r[RSP] - DATA_FIRST;

                if (at <= DATA_SIZE - 8)
                        le64_store(d->native_data + at, code_address(d));
        }
        if (fl & POPS_FLAGS)
                fix_popped_flags(d);
        fix_operand(d);
        d->start.rip = d->code_at;
}

/* ---- running and comparing ---- */

static void code_both(Differ *d, const uint8_t *bytes, bool restore) {
        uint64_t at = d->code_at - CODE_VA;

        if (restore) {
                memset(d->native_code + at, 0xf4, d->len);
                memset(d->guest_code + at, 0xf4, d->len);
        } else {
                memcpy(d->native_code + at, bytes, d->len);
                memcpy(d->guest_code + at, bytes, d->len);
        }
        guest_mem_written(d->guest.tiny->mem, CODE_GPA + at, d->len);
}

/* Pointers to the last x87 instruction and operand are not kept, on purpose. */
static void forget_pointers(const Differ *d, uint8_t *data) {
        uint64_t at = d->operand - DATA_FIRST;

        if (!(d->form->flags & ENV) || at > DATA_SIZE - 512)
                return;
        if (d->form->map == 1)
                memset(data + at + 6, 0, 18), memset(data + at + 28, 0, 4); /* and the mask */
        else if (d->env16)
                memset(data + at + 6, 0, 8);
        else
                memset(data + at + 12, 0, 16);
}

static uint64_t flags_compared(const Differ *d, const CpuImage *a) {
        uint64_t mask = FLAGS_COMPARED;

        if ((d->form->flags & UNDEF_FLAGS) && a->vector != EXC_DE)
                mask &= ~(uint64_t) FLAGS_ARITH;
        if (d->form->flags & UNDEF_SZAP)
                mask &= ~(uint64_t) (FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF);
        return mask;
}

/*
 * How exact a tiny or huge result was, before it became a number, cannot be known from outside; nor what the later
 * steps of a dot product would have found after a fault in an earlier one.
 */
static bool same_mxcsr(const Differ *d, const CpuImage *a, const CpuImage *b) {
        uint32_t x = le32_load(a->fx + 24), y = le32_load(b->fx + 24), ignored = 0;

        if (a->vector == EXC_XM && ((x & 0x810) == 0x10 || (x & 0x408) == 8))
                ignored = 0x20;
        if (a->vector == EXC_XM && d->form->map == 3)
                ignored = 0x3f;
        return ((x ^ y) & ~ignored) == 0;
}

/* Some instructions on MMX registers touch the tags before they fault, which nobody promises. */
static bool same_float(const Differ *d, const CpuImage *a, const CpuImage *b) {
        if ((d->form->flags & MMX_FAULTS) && a->vector != EXC_GP && a->vector == b->vector &&
            a->rip == d->code_at)
                return memcmp(a->fx + 160, b->fx + 160, 256) == 0 && same_mxcsr(d, a, b);
        return memcmp(a->fx, b->fx, 5) == 0 && same_mxcsr(d, a, b) &&
               memcmp(a->fx + 32, b->fx + 32, 384) == 0;
}

/* What is not mapped here may be the host kernel's there. */
static bool same_code(const Differ *d, const CpuImage *a, const CpuImage *b) {
        uint64_t ignored = a->vector == EXC_PF && a->cr2 >= UINT64_C(0x7ffffffff000) ? 1 : 0;

        if (d->form->flags & BIG)
                ignored |= 1;
        return ((a->code ^ b->code) & ~ignored) == 0;
}

/* Long operands are probed in no particular order, and with 32-bit addresses may reach around their end. */
static bool same_address(const Differ *d, const CpuImage *a, const CpuImage *b) {
        return a->vector != EXC_PF || a->cr2 == b->cr2 ||
               ((d->form->flags & BIG) && (uint32_t) (a->cr2 - b->cr2 + 512) < 1024);
}

/* With both a stack and a target that are bad, processors differ in what they see first. */
static bool two_faults(const Differ *d, const CpuImage *native, const CpuImage *soft) {
        return (d->form->flags & CODE_PTR) && native->rip == soft->rip && soft->vector == EXC_GP &&
               (native->vector == EXC_SS || native->vector == EXC_PF || native->vector == EXC_AC);
}

static bool is_address_fault(const CpuImage *image) {
        return image->vector == EXC_GP || image->vector == EXC_PF || image->vector == EXC_SS ||
               image->vector == EXC_AC;
}

/* With both of its operands out of reach, vendors differ in which one CMPS looks at first. */
static bool two_bad_operands(const Differ *d, const CpuImage *native, const CpuImage *soft) {
        return d->form->map == 0 && (d->op & ~1u) == 0xa6 && native->rip == d->code_at &&
               soft->rip == d->code_at && is_address_fault(native) && is_address_fault(soft) &&
               memcmp(native->r, soft->r, sizeof(native->r)) == 0;
}

static bool same(const Differ *d, const CpuImage *native, const CpuImage *soft) {
        if (two_faults(d, native, soft) || two_bad_operands(d, native, soft))
                return true;
        return memcmp(native->r, soft->r, sizeof(native->r)) == 0 && native->rip == soft->rip &&
               native->vector == soft->vector && same_code(d, native, soft) &&
               same_address(d, native, soft) &&
               ((native->flags ^ soft->flags) & flags_compared(d, native)) == 0 &&
               same_float(d, native, soft) && memcmp(d->native_data, d->guest_data, DATA_SIZE) == 0;
}

static void report(Differ *d, const CpuImage *native, const CpuImage *soft) {
        static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                              "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                              "r12", "r13", "r14", "r15"};

        printf("at %#lx:", (unsigned long) d->code_at);
        for (unsigned i = 0; i < d->len; i++)
                printf(" %02x", d->bytes[i]);
        printf("  operand %#lx\n", d->has_operand ? (unsigned long) d->operand : 0);
        printf("  native #%u(%#lx) cr2 %#lx rip %#lx flags %#lx; soft #%u(%#lx) cr2 %#lx rip %#lx "
               "flags %#lx; before flags %#lx\n",
               native->vector, (unsigned long) native->code, (unsigned long) native->cr2,
               (unsigned long) native->rip, (unsigned long) native->flags, soft->vector,
               (unsigned long) soft->code, (unsigned long) soft->cr2, (unsigned long) soft->rip,
               (unsigned long) soft->flags, (unsigned long) d->start.flags);
        if (d->form->flags & STRINGS)
                printf("  before rsi %#lx rdi %#lx rcx %#lx\n", (unsigned long) d->start.r[RSI],
                       (unsigned long) d->start.r[RDI], (unsigned long) d->start.r[RCX]);
        for (unsigned i = 0; i < 16; i++)
                if (native->r[i] != soft->r[i])
                        printf("  %s: before %#lx native %#lx soft %#lx\n", names[i],
                               (unsigned long) d->start.r[i], (unsigned long) native->r[i],
                               (unsigned long) soft->r[i]);
        for (unsigned i = 0; i < 416; i += i < 32 ? 1 : 8)
                if ((i < 5 || i >= 24) && (i < 28 || i >= 32) &&
                    memcmp(native->fx + i, soft->fx + i, i < 32 ? 1 : 8) != 0)
                        printf("  fx[%u]: before %#lx native %#lx soft %#lx\n", i,
                               i < 32 ? d->start.fx[i] : (unsigned long) le64_load(d->start.fx + i),
                               i < 32 ? native->fx[i] : (unsigned long) le64_load(native->fx + i),
                               i < 32 ? soft->fx[i] : (unsigned long) le64_load(soft->fx + i));
        for (unsigned i = 0, n = 0; i < DATA_SIZE && n < 8; i++)
                if (d->native_data[i] != d->guest_data[i]) {
                        printf("  [%#lx]: native %#x soft %#x\n", (unsigned long) (DATA_FIRST + i),
                               d->native_data[i], d->guest_data[i]);
                        n++;
                }
        printf("  fcw %#x fsw %#x mxcsr %#x\n", le16_load(d->start.fx), le16_load(d->start.fx + 2),
               le32_load(d->start.fx + 24));
}

static void one_case(Differ *d, unsigned form) {
        CpuImage native, soft;

        d->form = &forms[form];
        random_registers(d);
        random_float_state(d);
        random_data(d);
        random_instruction(d);
        if (one_in(d, 64))
                tlb_flush_all(d->guest.cpu);
        d->guest.cpu->native_heat = one_in(d, 2) ? 1 : NATIVE_HEAT_NEVER;
        if (d->len > 15)
                return;
        code_both(d, d->bytes, false);
        memcpy(d->guest_data, d->native_data, DATA_SIZE);
        if (d->form->flags & NO_PENDING) /* vendors differ in whether it waits */
                d->start.fx[2] &= 0x40;
        native = soft = d->start;
        if (ON_HOST_TOO)
                native_cpu_run(&native);
        soft_guest_run(&d->guest, &soft);
        forget_pointers(d, d->native_data);
        forget_pointers(d, d->guest_data);
        if (ON_HOST_TOO && !same(d, &native, &soft)) {
                d->different[form]++;
                d->total_different++;
                if (d->reports[form]++ < REPORTS_PER_FORM)
                        report(d, &native, &soft);
                memcpy(d->guest_data, d->native_data, DATA_SIZE);
        }
        code_both(d, d->bytes, true);
}

/* ---- set-up ---- */

static bool host_has(uint32_t feature) {
        uint32_t a = 1, b, c = 0, e;

        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(e));
        return feature == 0 || (c >> (feature - 1) & 1);
}

/* Shared memory at a fixed address; the result is a second, writable mapping of it. */
static uint8_t *map_native(uint64_t at, size_t size, int prot) {
        _cleanup_(fd_closep) int fd = memfd_create("differential", MFD_CLOEXEC);
        void *fixed = (void *) (uintptr_t) at; /* NOLINT */
        void *alias;

        assert_true(fd >= 0 && ftruncate(fd, (off_t) size) == 0);
        if (mmap(fixed, size, prot, MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, fd, 0) !=
            fixed) {
                print_message("address %#lx is not free on this machine, skipping\n",
                              (unsigned long) at);
                skip();
        }
        alias = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
        assert_true(alias != MAP_FAILED);
        return alias;
}

static void differ_init(Differ *d) {
        const char *seed = getenv("VIVARIUM_DIFFERENTIAL_SEED");

        *d = (Differ){.random = UINT64_C(0x9e3779b97f4a7c15)};
        if (seed)
                d->random ^= strtoull(seed, NULL, 0) * UINT64_C(0x2545f4914f6cdd1d);
        d->native_code = map_native(CODE_VA, CODE_SIZE, PROT_READ | PROT_EXEC);
        d->native_data = map_native(DATA_FIRST, DATA_SIZE, PROT_READ | PROT_WRITE);
        assert_int_equal(mprotect((void *) (DATA_FIRST + 0x2000), 0x1000, PROT_READ),
                         0); /* NOLINT */
        assert_int_equal(soft_guest_new(1, &d->guest), 0);
        d->guest_code = soft_guest_memory(&d->guest, CODE_GPA);
        d->guest_data = soft_guest_memory(&d->guest, DATA_GPA);
        memset(d->native_code, 0xf4, CODE_SIZE);
        memset(d->guest_code, 0xf4, CODE_SIZE);
        for (unsigned i = 0; i < CODE_SIZE; i += 0x1000)
                soft_guest_map(&d->guest, CODE_VA + i, CODE_GPA + i, SOFT_MAP_USER);
        for (unsigned i = 0; i < DATA_SIZE; i += 0x1000)
                soft_guest_map(&d->guest, DATA_FIRST + i, DATA_GPA + i,
                               SOFT_MAP_USER | SOFT_MAP_NX | (i < 0x2000 ? SOFT_MAP_WRITE : 0));
        soft_guest_long_mode(&d->guest, 3);
        d->guest.cpu->cr0 |= CR0_AM;
        d->guest.cpu->seg[SEG_GS].base = GS_BASE;
        cpu_mode_changed(d->guest.cpu);
        assert_int_equal(syscall(SYS_arch_prctl, ARCH_SET_GS, GS_BASE), 0);
        assert_int_equal(native_cpu_open(), 0);
}

static void differ_deinit(Differ *d) {
        native_cpu_close();
        (void) syscall(SYS_arch_prctl, ARCH_SET_GS, 0);
        (void) munmap((void *) CODE_VA, CODE_SIZE);    /* NOLINT */
        (void) munmap((void *) DATA_FIRST, DATA_SIZE); /* NOLINT */
        (void) munmap(d->native_code, CODE_SIZE);
        (void) munmap(d->native_data, DATA_SIZE);
        soft_guest_deinit(&d->guest);
}

static void test_every_instruction_does_what_the_host_does(void **state) {
        const char *cases = getenv("VIVARIUM_DIFFERENTIAL_CASES");
        const char *only = getenv("VIVARIUM_DIFFERENTIAL_FORM");
        uint64_t n = cases ? strtoull(cases, NULL, 0) : CASES_DEFAULT;
        static Differ d;

        if (!ON_HOST_TOO)
                print_message("not comparing with the host under a sanitizer\n");
        differ_init(&d);
        for (uint64_t i = 0; i < n; i++) {
                unsigned form = only ? (unsigned) strtoul(only, NULL, 0) : below(&d, N_FORMS);

                if (host_has(forms[form].feature))
                        one_case(&d, form);
        }
        for (unsigned i = 0; i < N_FORMS; i++)
                if (d.different[i])
                        printf("form %u (map %u, %02x-%02x, prefix %02x, /%d): %u differences\n", i,
                               forms[i].map, forms[i].first, forms[i].last, forms[i].prefix,
                               forms[i].digit, d.different[i]);
        differ_deinit(&d);
        assert_int_equal(d.total_different, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_instruction_does_what_the_host_does),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
