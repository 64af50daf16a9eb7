/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/vmm_soft_guest.h"

#include <assert.h>
#include <string.h>

#include "base/le.h"
#include "vmm/hv/soft/soft.h"
#include "vmm/hv/soft/soft_internal.h"

/* A guest whose first processor is bound to this thread, in real mode as tiny_guest_start() leaves it. */
int soft_guest_new(unsigned n_vcpus, SoftGuest *ret) {
        const HvConfig config = {.n_vcpus = n_vcpus, .threads_per_core = 1};

        return soft_guest_new_with(&config, ret);
}

int soft_guest_new_with(const HvConfig *config, SoftGuest *ret) {
        _cleanup_(text_error_deinit) TextError error = {0};
        SoftGuest guest = {.tables_used = SOFT_PAGE_TABLES};
        int r;

        r = tiny_guest_new_with(&soft_hv_ops, config, &guest.tiny, &error);
        if (r < 0)
                return r;
        r = tiny_guest_start(guest.tiny, "\xf4", 1);
        if (r < 0) {
                (void) tiny_guest_free(guest.tiny);
                return r;
        }
        guest.cpu = ((SoftVcpu *) guest.tiny->vcpu)->cpu;
        guest.cpu->io = &guest.tiny->io;
        guest.cpu->stop = &guest.tiny->stop;
        *ret = guest;
        return 0;
}

void soft_guest_deinit(SoftGuest *guest) {
        guest->tiny = tiny_guest_free(guest->tiny);
}

uint8_t *soft_guest_memory(SoftGuest *guest, uint64_t gpa) {
        return guest_mem_ptr(guest->tiny->mem, gpa, 1);
}

/* Four-level tables with all rights above the last level. */
void soft_guest_map(SoftGuest *guest, uint64_t va, uint64_t gpa, unsigned flags) {
        uint64_t table = SOFT_PAGE_TABLES;

        if (guest->tables_used == SOFT_PAGE_TABLES)
                guest->tables_used += 0x1000;
        for (unsigned level = 3; level > 0; level--) {
                uint8_t *entry =
                        soft_guest_memory(guest, table + (va >> (12 + 9 * level) & 511) * 8);

                if (le64_load(entry) == 0) {
                        assert(guest->tables_used < SOFT_PAGE_TABLES_END);
                        le64_store(entry, guest->tables_used | 7);
                        guest->tables_used += 0x1000;
                }
                table = le64_load(entry) & PAGE_MASK;
        }
        le64_store(soft_guest_memory(guest, table + (va >> 12 & 511) * 8),
                   gpa | 1 | (flags & 0xfff) | (flags & SOFT_MAP_NX ? UINT64_C(1) << 63 : 0));
}

/* 64-bit mode as a kernel sets it up, without descriptor tables: every exception of the guest ends in this file. */
void soft_guest_long_mode(SoftGuest *guest, unsigned cpl) {
        SoftCpu *c = guest->cpu;
        uint16_t dpl = (uint16_t) (cpl << 5);

        c->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
        c->cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_FSGSBASE;
        c->efer = EFER_LME | EFER_LMA | EFER_NX | EFER_SCE;
        c->cr3 = SOFT_PAGE_TABLES;
        c->cpl = (uint8_t) cpl;
        c->idt_limit = c->gdt_limit = 0;
        c->tr = (Segment){0}; /* no ports for user mode */
        for (unsigned i = 0; i < N_SEGS; i++)
                c->seg[i] = (Segment){.limit = UINT32_MAX, .attr = (uint16_t) (0xc093 | dpl)};
        c->seg[SEG_CS] = (Segment){.selector = (uint16_t) (0x30 | cpl),
                                   .limit = UINT32_MAX,
                                   .attr = (uint16_t) (0xa09b | dpl)};
        c->seg[SEG_SS].selector = (uint16_t) (0x28 | cpl);
        cpu_mode_changed(c);
        tlb_flush_all(c);
}

/* As the run loop does, minus everything that is not the guest's own. Return: 1 after an exception, 0 after @n blocks. */
int soft_guest_blocks(SoftGuest *guest, unsigned n) {
        SoftCpu *c = guest->cpu;

        if (setjmp(c->on_fault) != 0)
                return 1;
        atomic_store(&c->attention, 0);
        c->exit_link = NULL;
        for (unsigned i = 0; i < n && c->activity == ACTIVITY_RUNNING; i++) {
                Block *found = c->exit_link ? block_find_and_chain(c) : block_find(c);
                const Block *b = block_warm(c, found);

                c->budget = (int32_t) (n - i) - 1;
                c->r[REG_BLOCK] = c->rip;
                b->uops[0].fn(c, b->uops);
        }
        return 0;
}

/* The counterpart of native_cpu_run(); what no exception ends within some blocks has vector 255. */
void soft_guest_run(SoftGuest *guest, CpuImage *image) {
        static VcpuXsave xsave;
        static uint8_t host_fx[512] __attribute__((aligned(64)));
        SoftCpu *c = guest->cpu;
        uint32_t host_mxcsr = __builtin_ia32_stmxcsr();
        int r;

        memcpy(c->r, image->r, sizeof(image->r));
        c->rip = image->rip;
        cpu_set_flags(c, (uint32_t) image->flags, UINT32_MAX);
        memcpy(xsave.area, image->fx, sizeof(image->fx));
        memset(xsave.area + XSAVE_HEADER, 0, 64);
        r = soft_cpu_set_state(c, VCPU_STATE_XSAVE, &xsave);
        assert(r == 0);
        soft_fpu_enter(c, &host_mxcsr, host_fx);
        r = soft_guest_blocks(guest, 256);
        soft_fpu_leave(c, host_mxcsr, host_fx);
        (void) soft_cpu_get_state(c, VCPU_STATE_XSAVE, &xsave);
        memcpy(image->fx, xsave.area, sizeof(image->fx));
        memcpy(image->r, c->r, sizeof(image->r));
        image->rip = c->rip;
        image->flags = cpu_flags(c);
        image->vector = r ? c->fault_vector : 255;
        image->code = r && c->fault_has_code ? c->fault_code : 0;
        image->cr2 = c->cr2;
}
