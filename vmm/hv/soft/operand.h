/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Operands whose size is known only when they are used, and the stack in every mode. Sizes are 0 byte .. 3 qword. */

#include "vmm/hv/soft/access.h"

/* 32-bit results clear the upper half, smaller ones keep it. */
static inline void set_reg(SoftCpu *c, unsigned size, unsigned n, uint64_t v) {
        switch (size) {
        case 0:
                R8(c, n) = (uint8_t) v;
                break;
        case 1:
                R16(c, n) = (uint16_t) v;
                break;
        case 2:
                R64(c, n) = (uint32_t) v;
                break;
        default:
                R64(c, n) = v;
                break;
        }
}

static inline uint64_t get_reg(SoftCpu *c, unsigned size, unsigned n) {
        return size == 0 ? R8(c, n) : size == 1 ? R16(c, n) : size == 2 ? R32(c, n) : R64(c, n);
}

static inline uint64_t read_sized(SoftCpu *c, const Uop *u, uint64_t va, unsigned size) {
        return size == 0   ? mem_read8(c, u, va)
               : size == 1 ? mem_read16(c, u, va)
               : size == 2 ? mem_read32(c, u, va)
                           : mem_read64(c, u, va);
}

static inline void write_sized(SoftCpu *c, const Uop *u, uint64_t va, unsigned size, uint64_t v) {
        switch (size) {
        case 0:
                mem_write8(c, u, va, (uint8_t) v);
                break;
        case 1:
                mem_write16(c, u, va, (uint16_t) v);
                break;
        case 2:
                mem_write32(c, u, va, (uint32_t) v);
                break;
        default:
                mem_write64(c, u, va, v);
                break;
        }
}

static inline uint64_t stack_mask(const SoftCpu *c) {
        return cpu_code64(c) ? UINT64_MAX : c->mode & MODE_STACK32 ? UINT32_MAX : 0xffff;
}

/* Whether @bytes at offset @at lie within the limit of a stack outside 64-bit mode. */
static inline bool stack_fits(const Segment *ss, uint64_t at, unsigned bytes) {
        const uint64_t last = at + bytes - 1;

        if ((ss->attr & 0xc) == 4) /* expand-down */
                return at > ss->limit && last <= (ss->attr & SEG_ATTR_DB ? UINT32_MAX : 0xffff);
        return last <= ss->limit || ss->limit == UINT32_MAX;
}

/* The linear address of @bytes on the stack; #SS beyond its limit. */
static inline uint64_t stack_address(SoftCpu *c, const Uop *u, uint64_t sp, unsigned bytes) {
        const uint64_t at = sp & stack_mask(c);

        if (cpu_code64(c))
                return sp;
        if (unlikely(!stack_fits(&c->seg[SEG_SS], at, bytes)))
                cpu_raise_code(c, u, EXC_SS, 0);
        return (c->seg[SEG_SS].base + at) & UINT32_MAX;
}

/* @mask: stack_mask() of the mode that @sp belongs to */
static inline void stack_set(SoftCpu *c, uint64_t mask, uint64_t sp) {
        c->r[RSP] = mask == 0xffff ? (c->r[RSP] & ~UINT64_C(0xffff)) | (sp & mask) : sp & mask;
}

static inline void set_zf(SoftCpu *c, bool on) {
        c->af = on ? c->af | AF_ZF : c->af & ~AF_ZF;
}
