/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A guest in protected mode without paging: flat segments, a GDT, an IDT and a TSS of 32 bits, for tests of what x86 had before. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/le.h"
#include "tests/fake/vmm_soft_guest.h"
#include "vmm/hv/soft/soft_internal.h"

#define CODE 0x100000u
#define HANDLER 0x101000u
#define GDT 0x102000u
#define IDT 0x103000u
#define TSS 0x104000u
#define STACK3 0x106000u
#define STACK0 0x108000u
#define LOW 0x60000u /* of virtual-8086 mode: segment 0x6000 */
#define LOW_SEG 0x6000u

#define CS0 0x08u
#define DS0 0x10u
#define CS3 0x1bu
#define DS3 0x23u
#define TR 0x28u
#define GATE 0x30u
#define CS_CONFORMING 0x40u
#define CS0_64 0x48u
#define GDT_END 0x80u

#define GATE_INTERRUPT32 14u
#define IOPL3 FLAG_IOPL

#define DESCRIPTOR_CODE0 UINT64_C(0x00cf9b000000ffff)
#define DESCRIPTOR_DATA0 UINT64_C(0x00cf93000000ffff)
#define NOT_PRESENT (UINT64_C(1) << 47)

static inline void set_descriptor(SoftGuest *g, unsigned selector, uint64_t d) {
        le64_store(soft_guest_memory(g, GDT + (selector & ~7u)), d);
}

static inline uint64_t gate(unsigned type, unsigned dpl, unsigned selector, uint32_t offset,
                            unsigned n_parameters) {
        return (offset & 0xffff) | (uint64_t) selector << 16 | (uint64_t) n_parameters << 32 |
               (uint64_t) (0x80 | dpl << 5 | type) << 40 | (uint64_t) (offset & 0xffff0000u) << 32;
}

static inline void set_interrupt(SoftGuest *g, unsigned vector, uint64_t d) {
        le64_store(soft_guest_memory(g, IDT + vector * 8), d);
}

static inline void set_tss32(SoftGuest *g, unsigned at, uint32_t v) {
        le32_store(soft_guest_memory(g, TSS + at), v);
}

static inline uint32_t word32(SoftGuest *g, uint64_t at) {
        return le32_load(soft_guest_memory(g, at));
}

/* Flat segments of @cpl. */
static inline void protected_mode(SoftGuest *g, unsigned cpl) {
        SoftCpu *c = g->cpu;
        const uint16_t dpl = (uint16_t) (cpl << 5);

        c->cr0 = CR0_PE | CR0_ET;
        c->cr4 = c->efer = 0;
        c->flags = 0;
        c->cpl = (uint8_t) cpl;
        for (unsigned i = 0; i < N_SEGS; i++)
                c->seg[i] = (Segment){.selector = (uint16_t) (cpl ? DS3 : DS0),
                                      .limit = UINT32_MAX,
                                      .attr = (uint16_t) (0xc093 | dpl)};
        c->seg[SEG_CS] = (Segment){.selector = (uint16_t) (cpl ? CS3 : CS0),
                                   .limit = UINT32_MAX,
                                   .attr = (uint16_t) (0xc09b | dpl)};
        c->gdt_base = GDT;
        c->gdt_limit = GDT_END - 1;
        c->idt_base = IDT;
        c->idt_limit = 0x7ff;
        c->tr = (Segment){.selector = TR, .base = TSS, .limit = 0x68 + 0x80, .attr = 0x8b};
        c->ldtr = (Segment){0};
        c->r[RSP] = cpl ? STACK3 : STACK0;
        cpu_mode_changed(c);
        tlb_flush_all(c);
}

static inline int legacy_setup(void **state) {
        static SoftGuest guest;

        if (soft_guest_new(1, &guest) < 0)
                return -1;
        memset(soft_guest_memory(&guest, GDT), 0, 0x3000);
        set_descriptor(&guest, CS0, DESCRIPTOR_CODE0);
        set_descriptor(&guest, DS0, DESCRIPTOR_DATA0);
        set_descriptor(&guest, CS3, DESCRIPTOR_CODE0 | UINT64_C(3) << 45);
        set_descriptor(&guest, DS3, DESCRIPTOR_DATA0 | UINT64_C(3) << 45);
        set_descriptor(&guest, TR, UINT64_C(0x00008b000000ffff) | (uint64_t) TSS << 16);
        set_descriptor(&guest, CS_CONFORMING, DESCRIPTOR_CODE0 | UINT64_C(4) << 40);
        set_descriptor(&guest, CS0_64, UINT64_C(0x00af9b000000ffff));
        set_tss32(&guest, 4, STACK0);
        set_tss32(&guest, 8, DS0);
        le16_store(soft_guest_memory(&guest, TSS + 0x66), 0x68);
        memset(soft_guest_memory(&guest, TSS + 0x68), 0xff, 0x81);
        memcpy(soft_guest_memory(&guest, HANDLER), "\x0f\x0b", 2); /* ud2 */
        protected_mode(&guest, 0);
        *state = &guest;
        return 0;
}

static inline int legacy_teardown(void **state) {
        soft_guest_deinit(*state);
        return 0;
}

/* Runs at @at what ends in a fault. Return: its vector. */
static inline unsigned legacy_run(SoftGuest *g, uint64_t at, uint64_t rip, const void *code,
                                  size_t len) {
        memcpy(soft_guest_memory(g, at), code, len);
        guest_mem_written(g->tiny->mem, at, len);
        g->cpu->rip = rip;
        assert_int_equal(soft_guest_blocks(g, 64), 1);
        return g->cpu->fault_vector;
}
#define RUN(g, code) legacy_run(g, CODE, CODE, code "\x0f\x0b", sizeof(code) - 1 + 2) /* ud2 */
#define TEST(f) cmocka_unit_test_setup_teardown(f, legacy_setup, legacy_teardown)

/* A program at LOW_SEG:0 with its stack in the same segment. */
static inline void v86_mode(SoftGuest *g, uint32_t iopl) {
        uint16_t selectors[N_SEGS];

        for (unsigned i = 0; i < N_SEGS; i++)
                selectors[i] = LOW_SEG;
        protected_mode(g, 3);
        g->cpu->flags |= FLAG_VM | iopl;
        v86_enter(g->cpu, selectors);
        g->cpu->r[RSP] = 0x8000;
}
#define RUN86(g, code) legacy_run(g, LOW, 0, code "\x0f\x0b", sizeof(code) - 1 + 2) /* ud2 */
