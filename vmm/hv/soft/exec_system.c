/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions of operating systems: control registers, tables, model-specific registers, ports, interrupts. */
#include <sched.h>
#include <sys/random.h>

#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/handlers.h"
#include "vmm/hv/soft/operand.h"

static inline void need_cpl0(SoftCpu *c, const Uop *u) {
        if (unlikely(c->cpl != 0))
                cpu_raise_code(c, u, EXC_GP, 0);
}

/* What CPUID does not show does not exist. */
static inline void need_feature(SoftCpu *c, const Uop *u, CpuFeature feature) {
        if (unlikely(!soft_has(c, feature)))
                cpu_raise(c, u, EXC_UD);
}

/* User-mode instruction prevention */
static inline void need_umip(SoftCpu *c, const Uop *u) {
        if (unlikely((c->cr4 & CR4_UMIP) && c->cpl != 0))
                cpu_raise_code(c, u, EXC_GP, 0);
}

static void set_sized(SoftCpu *c, const Uop *u, unsigned n, uint64_t v) {
        if (u->size == 1)
                R16(c, n) = (uint16_t) v;
        else
                c->r[n] = u->size == 2 ? (uint32_t) v : v;
}

/* More than 15 bytes of one instruction. */
void op_too_long(SoftCpu *c, const Uop *u) {
        cpu_raise_code(c, u, EXC_GP, 0);
}

void op_invalid(SoftCpu *c, const Uop *u) {
        cpu_raise(c, u, EXC_UD);
}

/* ---- interrupts ---- */

static void software_interrupt(SoftCpu *c, const Uop *u, unsigned vector) {
        c->cur = u;
        c->rip = uop_rip(c, u); /* where a fault on the way restarts */
        c->event = true;
        (void) interrupt_deliver(c, vector, true, false, 0, uop_next_rip(c, u));
}

void op_int3(SoftCpu *c, const Uop *u) {
        if (c->debugged && c->debug.catch_breakpoints) {
                debug_stop(c, VCPU_DEBUG_BREAKPOINT, 0);
                GOTO(c, uop_rip(c, u));
        }
        software_interrupt(c, u, EXC_BP);
}

void op_int_n(SoftCpu *c, const Uop *u) {
        if (unlikely(cpu_v86(c)) && v86_interrupt(c, u, (unsigned) u->imm)) {
                c->event = true;
                return;
        }
        software_interrupt(c, u, (unsigned) u->imm);
}

void op_into(SoftCpu *c, const Uop *u) {
        if (c->af & AF_OF)
                software_interrupt(c, u, EXC_OF);
        else
                GOTO(c, uop_next_rip(c, u));
}

void op_icebp(SoftCpu *c, const Uop *u) {
        c->cur = u;
        c->rip = uop_rip(c, u);
        c->event = true;
        debug_enter(c, 0);
        (void) interrupt_deliver(c, EXC_DB, false, false, 0, uop_next_rip(c, u));
}

void op_iret(SoftCpu *c, const Uop *u) {
        interrupt_return(c, u);
}

void op_cli(SoftCpu *c, const Uop *u) {
        if (unlikely(v86_has_vif(c))) {
                c->flags &= ~FLAG_VIF;
                NEXT(c, u);
        }
        if (cpu_protected(c) && c->cpl > (c->flags & FLAG_IOPL) >> 12)
                cpu_raise_code(c, u, EXC_GP, 0);
        c->flags &= ~FLAG_IF;
        NEXT(c, u);
}

void op_sti(SoftCpu *c, const Uop *u) {
        if (unlikely(v86_has_vif(c))) {
                v86_sti(c, u);
                GOTO(c, uop_next_rip(c, u));
        }
        if (cpu_protected(c) && c->cpl > (c->flags & FLAG_IOPL) >> 12)
                cpu_raise_code(c, u, EXC_GP, 0);
        if (!(c->flags & FLAG_IF)) {
                c->flags |= FLAG_IF;
                c->shadow = SHADOW_STI;
        }
        GOTO(c, uop_next_rip(c, u));
}

void op_hlt(SoftCpu *c, const Uop *u) {
        need_cpl0(c, u);
        c->activity = ACTIVITY_HALTED;
        cpu_attention(c, ATTENTION_INTERRUPT);
        GOTO(c, uop_next_rip(c, u));
}

void op_pause(SoftCpu *c, const Uop *u) {
        if ((++c->pauses & 63) == 0)
                sched_yield(); /* whoever holds the lock may want this host processor */
        NEXT(c, u);
}

/* ---- identification and MSRs ---- */

void op_cpuid(SoftCpu *c, const Uop *u) {
        CpuidEntry e;

        const CpuidNow now = {.index = c->index,
                              .apic_base = lapic_base(c->lapic),
                              .cr4 = c->cr4,
                              .xcr0 = c->xcr0};

        soft_cpuid(c->model, &now, (uint32_t) c->r[RAX], (uint32_t) c->r[RCX], &e);
        c->r[RAX] = e.eax;
        c->r[RBX] = e.ebx;
        c->r[RCX] = e.ecx;
        c->r[RDX] = e.edx;
        NEXT(c, u);
}

void op_rdmsr(SoftCpu *c, const Uop *u) {
        uint64_t v;

        need_cpl0(c, u);
        if (!msr_read(c, (uint32_t) c->r[RCX], &v))
                cpu_raise_code(c, u, EXC_GP, 0);
        c->r[RAX] = (uint32_t) v;
        c->r[RDX] = v >> 32;
        NEXT(c, u);
}

void op_wrmsr(SoftCpu *c, const Uop *u) {
        need_cpl0(c, u);
        c->cur = u;
        if (!msr_write(c, (uint32_t) c->r[RCX],
                       (uint64_t) (uint32_t) c->r[RDX] << 32 | (uint32_t) c->r[RAX]))
                cpu_raise_code(c, u, EXC_GP, 0);
        GOTO(c, uop_next_rip(c, u));
}

void op_rdtsc(SoftCpu *c, const Uop *u) {
        uint64_t t;

        if ((c->cr4 & CR4_TSD) && c->cpl != 0)
                cpu_raise_code(c, u, EXC_GP, 0);
        t = cpu_tsc(c);
        c->r[RAX] = (uint32_t) t;
        c->r[RDX] = t >> 32;
        NEXT(c, u);
}

void op_rdtscp(SoftCpu *c, const Uop *u) {
        uint64_t t;

        need_feature(c, u, CPU_FEATURE_RDTSCP);
        if ((c->cr4 & CR4_TSD) && c->cpl != 0)
                cpu_raise_code(c, u, EXC_GP, 0);
        t = cpu_tsc(c);
        c->r[RAX] = (uint32_t) t;
        c->r[RDX] = t >> 32;
        c->r[RCX] = (uint32_t) c->tsc_aux;
        NEXT(c, u);
}

void op_rdpmc(SoftCpu *c, const Uop *u) {
        cpu_raise_code(c, u, EXC_GP, 0); /* no counters */
}

void op_rdrand(SoftCpu *c, const Uop *u) {
        uint64_t v;
        bool ok = getrandom(&v, sizeof(v), GRND_NONBLOCK) == sizeof(v);

        set_sized(c, u, u->rm, ok ? v : 0);
        c->af = ok ? AF_CF : 0;
        NEXT(c, u);
}

/* ---- ports; op: 1 = the port is in DX ---- */

void op_in_i(SoftCpu *c, const Uop *u) {
        uint16_t port = u->op ? (uint16_t) c->r[RDX] : (uint16_t) u->imm;
        uint64_t v;

        io_check(c, u, port, 1u << u->size);
        v = c->io->pio_read(c->io->machine, port, 1u << u->size);
        cpu_notice_stop(c);
        if (u->size == 0)
                R8(c, 0) = (uint8_t) v;
        else
                set_sized(c, u, RAX, v);
        NEXT(c, u);
}

void op_out_i(SoftCpu *c, const Uop *u) {
        uint16_t port = u->op ? (uint16_t) c->r[RDX] : (uint16_t) u->imm;
        uint64_t mask = u->size == 0 ? 0xff : u->size == 1 ? 0xffff : UINT32_MAX;

        io_check(c, u, port, 1u << u->size);
        c->io->pio_write(c->io->machine, port, 1u << u->size, c->r[RAX] & mask);
        cpu_notice_stop(c);
        if (atomic_load_explicit(&c->attention, memory_order_relaxed))
                GOTO(c, uop_next_rip(c, u)); /* an interrupt that this caused comes at once */
        NEXT(c, u);
}

/* ---- control registers ---- */

/* PAE's tables begin with registers, which are loaded from @cr3 while the control registers have these values. */
static void need_pdptes(SoftCpu *c, const Uop *u, uint64_t cr0, uint64_t cr3, uint64_t cr4) {
        if ((cr0 & CR0_PG) && (cr4 & CR4_PAE) && !cpu_long_mode(c) && !(c->efer & EFER_LME) &&
            !mmu_pdptes_valid(c, cr3))
                cpu_raise_code(c, u, EXC_GP, 0);
}

static void write_cr0(SoftCpu *c, const Uop *u, uint64_t v) {
        uint64_t old = c->cr0;

        if (v >> 32 || ((v & CR0_PG) && !(v & CR0_PE)) || ((v & CR0_NW) && !(v & CR0_CD)))
                cpu_raise_code(c, u, EXC_GP, 0);
        v |= CR0_ET;
        if ((old ^ v) & (CR0_PG | CR0_CD | CR0_NW))
                need_pdptes(c, u, v, c->cr3, c->cr4);
        if ((v & CR0_PG) && !(old & CR0_PG) && (c->efer & EFER_LME)) {
                if (!(c->cr4 & CR4_PAE) || (c->seg[SEG_CS].attr & SEG_ATTR_L))
                        cpu_raise_code(c, u, EXC_GP, 0);
                c->efer |= EFER_LMA;
        } else if (!(v & CR0_PG) && (old & CR0_PG) && (c->efer & EFER_LMA)) {
                if (cpu_code64(c) || (c->cr4 & CR4_PCIDE))
                        cpu_raise_code(c, u, EXC_GP, 0);
                c->efer &= ~(uint64_t) EFER_LMA;
        }
        c->cr0 = v;
        if ((old ^ v) & (CR0_PG | CR0_WP | CR0_PE))
                mmu_flush_all(c);
        cpu_mode_changed(c);
}

#define CR3_KEEP (UINT64_C(1) << 63)

/*
 * Translations carry no process-context identifier: they are those of the current one, and of no other. So they may
 * only be kept where that stays the same.
 */
static void write_cr3(SoftCpu *c, const Uop *u, uint64_t v) {
        bool keep = false;

        if (c->cr4 & CR4_PCIDE) {
                keep = (v & CR3_KEEP) && ((v ^ c->cr3) & CR3_PCID) == 0;
                v &= ~CR3_KEEP;
        }
        if (cpu_long_mode(c) && v >> 52)
                cpu_raise_code(c, u, EXC_GP, 0);
        need_pdptes(c, u, c->cr0, v, c->cr4);
        c->cr3 = v;
        if (!keep)
                mmu_flush_nonglobal(c);
}

static void write_cr4(SoftCpu *c, const Uop *u, uint64_t v) {
        const uint64_t old = c->cr4, changed = old ^ v;

        if (v & ~c->cr4_known)
                cpu_raise_code(c, u, EXC_GP, 0);
        if (cpu_long_mode(c) && !(v & CR4_PAE))
                cpu_raise_code(c, u, EXC_GP, 0);
        if ((changed & v & CR4_PCIDE) && (!cpu_long_mode(c) || (c->cr3 & CR3_PCID)))
                cpu_raise_code(c, u, EXC_GP, 0);
        if (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP))
                need_pdptes(c, u, c->cr0, c->cr3, v);
        c->cr4 = v;
        if (changed &
            (CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_PKS))
                mmu_flush_all(c);
        mmu_role_changed(c);
        if (changed & CR4_DE)
                debug_changed(c);
}

/* A register that does not exist is invalid at any privilege. */
static void need_cr(SoftCpu *c, const Uop *u) {
        if (u->reg > 4 ? u->reg != 8 : u->reg == 1)
                cpu_raise(c, u, EXC_UD);
        need_cpl0(c, u);
}

void op_mov_from_cr(SoftCpu *c, const Uop *u) {
        uint64_t v;

        need_cr(c, u);
        switch (u->reg) {
        case 0:
                v = c->cr0;
                break;
        case 2:
                v = c->cr2;
                break;
        case 3:
                v = c->cr3;
                break;
        case 4:
                v = c->cr4;
                break;
        case 8:
                v = lapic_tpr(c->lapic) >> 4;
                break;
        default:
                cpu_raise(c, u, EXC_UD);
        }
        c->r[u->rm] = cpu_code64(c) ? v : (uint32_t) v;
        NEXT(c, u);
}

void op_mov_to_cr(SoftCpu *c, const Uop *u) {
        uint64_t v = cpu_code64(c) ? c->r[u->rm] : (uint32_t) c->r[u->rm];

        need_cr(c, u);
        switch (u->reg) {
        case 0:
                write_cr0(c, u, v);
                break;
        case 2:
                c->cr2 = v;
                break;
        case 3:
                write_cr3(c, u, v);
                break;
        case 4:
                write_cr4(c, u, v);
                break;
        case 8:
                if (v >> 4)
                        cpu_raise_code(c, u, EXC_GP, 0);
                lapic_set_tpr(c->lapic, v << 4);
                break;
        default:
                cpu_raise(c, u, EXC_UD);
        }
        GOTO(c, uop_next_rip(c, u));
}

void op_clts(SoftCpu *c, const Uop *u) {
        need_cpl0(c, u);
        c->cr0 &= ~(uint64_t) CR0_TS;
        NEXT(c, u);
}

static void lmsw(SoftCpu *c, const Uop *u, uint16_t v) {
        need_cpl0(c, u);
        /* PE can be set and never cleared this way. */
        write_cr0(c, u, (c->cr0 & ~UINT64_C(0xe)) | (v & 0xf));
        c->rip = uop_next_rip(c, u);
}

void op_lmsw_r(SoftCpu *c, const Uop *u) {
        lmsw(c, u, R16(c, u->rm));
}
void op_lmsw_m(SoftCpu *c, const Uop *u) {
        need_cpl0(c, u);
        lmsw(c, u, mem_read16(c, u, ea(c, u)));
}
void op_smsw_r(SoftCpu *c, const Uop *u) {
        need_umip(c, u);
        set_sized(c, u, u->rm, c->cr0);
        NEXT(c, u);
}
void op_smsw_m(SoftCpu *c, const Uop *u) {
        need_umip(c, u);
        mem_write16(c, u, ea(c, u), (uint16_t) c->cr0);
        NEXT(c, u);
}

/* Which register MOV to or from DR means, with all its checks. */
static unsigned debug_register(SoftCpu *c, const Uop *u) {
        unsigned n = u->reg;

        need_cpl0(c, u);
        if (n > 7 || ((n == 4 || n == 5) && (c->cr4 & CR4_DE)))
                cpu_raise(c, u, EXC_UD);
        debug_check_access(c, u);
        return n == 4 || n == 5 ? n + 2 : n;
}

void op_mov_from_dr(SoftCpu *c, const Uop *u) {
        const unsigned n = debug_register(c, u);

        c->r[u->rm] = c->dr[n];
        NEXT(c, u);
}

void op_mov_to_dr(SoftCpu *c, const Uop *u) {
        uint64_t v = cpu_code64(c) ? c->r[u->rm] : (uint32_t) c->r[u->rm];
        const unsigned n = debug_register(c, u);

        if (n >= 6 && v >> 32)
                cpu_raise_code(c, u, EXC_GP, 0);
        if (n == 6)
                v = (v & 0xe00f) | 0xffff0ff0u;
        else if (n == 7)
                v = (v & 0xffff2bffu) | 0x400u;
        c->dr[n] = v;
        c->flags &= ~FLAG_RF; /* as after every instruction, and now it means something */
        debug_changed(c);
        GOTO(c, uop_next_rip(c, u));
}

/* ---- descriptor tables ---- */

static void load_table(SoftCpu *c, const Uop *u, uint64_t *base, uint16_t *limit) {
        uint64_t va = ea(c, u), b;
        uint16_t l;

        need_cpl0(c, u);
        l = mem_read16(c, u, va);
        if (cpu_code64(c)) {
                b = mem_read64(c, u, va + 2);
                if (!is_canonical(b))
                        cpu_raise_code(c, u, EXC_GP, 0);
        } else {
                b = mem_read32(c, u, va + 2);
                if (u->size == 1)
                        b &= 0xffffff;
        }
        *base = b;
        *limit = l;
}

static void store_table(SoftCpu *c, const Uop *u, uint64_t base, uint16_t limit) {
        const unsigned bytes = cpu_code64(c) ? 8 : 4;
        uint64_t va;

        need_umip(c, u);
        va = ea(c, u);
        (void) mem_begin(c, u, va, 2); /* both or none */
        (void) mem_begin(c, u, va + 2, bytes);
        c->post_write = 0;
        mem_write16(c, u, va, limit);
        mem_write_bytes(c, u, va + 2, &base, bytes);
}

void op_lgdt(SoftCpu *c, const Uop *u) {
        load_table(c, u, &c->gdt_base, &c->gdt_limit);
        NEXT(c, u);
}
void op_lidt(SoftCpu *c, const Uop *u) {
        load_table(c, u, &c->idt_base, &c->idt_limit);
        NEXT(c, u);
}
void op_sgdt(SoftCpu *c, const Uop *u) {
        store_table(c, u, c->gdt_base, c->gdt_limit);
        NEXT(c, u);
}
void op_sidt(SoftCpu *c, const Uop *u) {
        store_table(c, u, c->idt_base, c->idt_limit);
        NEXT(c, u);
}

/* Instructions about descriptors are invalid where there are none. */
static void need_descriptors(SoftCpu *c, const Uop *u) {
        if (!cpu_descriptors(c))
                cpu_raise(c, u, EXC_UD);
}

static void lldt(SoftCpu *c, const Uop *u, uint16_t selector) {
        if ((selector & ~3u) == 0)
                c->ldtr = (Segment){.selector = selector};
        else
                segment_load_descriptor(c, u, &c->ldtr, selector, 2);
}

static void ltr(SoftCpu *c, const Uop *u, uint16_t selector) {
        if ((selector & ~3u) == 0)
                cpu_raise_code(c, u, EXC_GP, 0);
        segment_load_descriptor(c, u, &c->tr, selector, 9);
}

void op_lldt_r(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        need_cpl0(c, u);
        lldt(c, u, R16(c, u->rm));
        NEXT(c, u);
}
void op_lldt_m(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        need_cpl0(c, u); /* before the operand is touched */
        lldt(c, u, mem_read16(c, u, ea(c, u)));
        NEXT(c, u);
}
void op_ltr_r(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        need_cpl0(c, u);
        ltr(c, u, R16(c, u->rm));
        NEXT(c, u);
}
void op_ltr_m(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        need_cpl0(c, u);
        ltr(c, u, mem_read16(c, u, ea(c, u)));
        NEXT(c, u);
}
void op_sldt_r(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        need_umip(c, u);
        set_sized(c, u, u->rm, c->ldtr.selector);
        NEXT(c, u);
}
void op_sldt_m(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        need_umip(c, u);
        mem_write16(c, u, ea(c, u), c->ldtr.selector);
        NEXT(c, u);
}
void op_str_r(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        need_umip(c, u);
        set_sized(c, u, u->rm, c->tr.selector);
        NEXT(c, u);
}
void op_str_m(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        need_umip(c, u);
        mem_write16(c, u, ea(c, u), c->tr.selector);
        NEXT(c, u);
}

/* Whether the caller may see the descriptor; VERR, VERW, LAR, LSL. */
static bool visible(SoftCpu *c, const Uop *u, uint16_t selector, uint64_t *ret) {
        unsigned type, dpl;

        if ((selector & ~3u) == 0 || !descriptor_read(c, u, selector, ret))
                return false;
        type = (unsigned) (*ret >> 40) & 0x1f;
        dpl = (unsigned) (*ret >> 45) & 3;
        return (type & 0x1c) == 0x1c || (c->cpl <= dpl && (selector & 3u) <= dpl);
}

static void verify(SoftCpu *c, const Uop *u, uint16_t selector, bool write) {
        bool ok = false;
        uint64_t d;

        if (visible(c, u, selector, &d) && (d >> 44 & 1)) {
                unsigned type = (unsigned) (d >> 40) & 0xf;

                ok = write ? !(type & 8) && (type & 2) : !(type & 8) || (type & 2);
        }
        set_zf(c, ok);
}

void op_verr_r(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        verify(c, u, R16(c, u->rm), false);
        NEXT(c, u);
}
void op_verr_m(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        verify(c, u, mem_read16(c, u, ea(c, u)), false);
        NEXT(c, u);
}
void op_verw_r(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        verify(c, u, R16(c, u->rm), true);
        NEXT(c, u);
}
void op_verw_m(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        verify(c, u, mem_read16(c, u, ea(c, u)), true);
        NEXT(c, u);
}

static void lar_lsl(SoftCpu *c, const Uop *u, uint16_t selector, bool limit) {
        /* System types that LAR and LSL accept, by bit. */
        uint32_t lar_types = cpu_long_mode(c) ? 0x1a04u : 0x1a3eu,
                 lsl_types = cpu_long_mode(c) ? 0x0a04u : 0x0a0eu;
        bool ok = false;
        uint64_t d = 0;

        if (visible(c, u, selector, &d))
                ok = (d >> 44 & 1) || ((limit ? lsl_types : lar_types) >> (d >> 40 & 0xf) & 1);
        if (ok) {
                Segment s;

                segment_from_descriptor(&s, selector, d);
                set_sized(c, u, u->reg, limit ? s.limit : (d >> 32) & 0x00f0ff00u);
        }
        set_zf(c, ok);
}

void op_lar_r(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        lar_lsl(c, u, R16(c, u->rm), false);
        NEXT(c, u);
}
void op_lar_m(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        lar_lsl(c, u, mem_read16(c, u, ea(c, u)), false);
        NEXT(c, u);
}
void op_lsl_r(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        lar_lsl(c, u, R16(c, u->rm), true);
        NEXT(c, u);
}
void op_lsl_m(SoftCpu *c, const Uop *u) {
        need_descriptors(c, u);
        lar_lsl(c, u, mem_read16(c, u, ea(c, u)), true);
        NEXT(c, u);
}

static void arpl(SoftCpu *c, const Uop *u, uint16_t *dst) {
        uint16_t src = R16(c, u->reg);
        bool raise = (*dst & 3) < (src & 3);

        if (raise)
                *dst = (uint16_t) ((*dst & ~3u) | (src & 3));
        set_zf(c, raise);
}

void op_arpl_r(SoftCpu *c, const Uop *u) {
        uint16_t v = R16(c, u->rm);

        need_descriptors(c, u);
        arpl(c, u, &v);
        R16(c, u->rm) = v;
        NEXT(c, u);
}
void op_arpl_m(SoftCpu *c, const Uop *u) {
        u16u *p;
        uint16_t v;

        need_descriptors(c, u);
        p = (u16u *) mem_begin(c, u, ea(c, u), 2);
        v = *p;
        arpl(c, u, &v);
        *p = v;
        mem_end(c, u);
        NEXT(c, u);
}

void op_bound(SoftCpu *c, const Uop *u) {
        uint64_t va = ea(c, u);
        int64_t i, lo, hi;

        if (u->size == 1) {
                i = (int16_t) R16(c, u->reg);
                lo = (int16_t) mem_read16(c, u, va);
                hi = (int16_t) mem_read16(c, u, va + 2);
        } else {
                i = (int32_t) R32(c, u->reg);
                lo = (int32_t) mem_read32(c, u, va);
                hi = (int32_t) mem_read32(c, u, va + 4);
        }
        if (i < lo || i > hi)
                cpu_raise(c, u, EXC_BR);
        NEXT(c, u);
}

/* ---- segment registers ---- */

void op_mov_from_seg_r(SoftCpu *c, const Uop *u) {
        set_sized(c, u, u->rm, c->seg[u->reg].selector);
        NEXT(c, u);
}
void op_mov_from_seg_m(SoftCpu *c, const Uop *u) {
        mem_write16(c, u, ea(c, u), c->seg[u->reg].selector);
        NEXT(c, u);
}

static void mov_to_seg(SoftCpu *c, const Uop *u, uint16_t selector) {
        c->cur = u;
        segment_load(c, u, u->reg, selector);
        if (u->reg == SEG_SS)
                c->shadow = SHADOW_MOV_SS;
        GOTO(c, uop_next_rip(c, u));
}

void op_mov_to_seg_r(SoftCpu *c, const Uop *u) {
        mov_to_seg(c, u, R16(c, u->rm));
}
void op_mov_to_seg_m(SoftCpu *c, const Uop *u) {
        mov_to_seg(c, u, mem_read16(c, u, ea(c, u)));
}

void op_push_seg(SoftCpu *c, const Uop *u) {
        unsigned n = 1u << u->size;
        uint64_t sp = c->r[RSP] - n;

        if (cpu_code64(c)) {
                mem_write_slow(c, u, sp, n, c->seg[u->reg].selector);
                c->r[RSP] = sp;
        } else {
                uint64_t mask = c->mode & MODE_STACK32 ? UINT32_MAX : 0xffff;

                mem_write_slow(c, u, (c->seg[SEG_SS].base + (sp & mask)) & UINT32_MAX, n,
                               c->seg[u->reg].selector);
                c->r[RSP] = mask == 0xffff ? (c->r[RSP] & ~mask) | (sp & mask) : sp & mask;
        }
        NEXT(c, u);
}

void op_pop_seg(SoftCpu *c, const Uop *u) {
        unsigned n = 1u << u->size;
        uint64_t sp = c->r[RSP], mask = cpu_code64(c)            ? UINT64_MAX
                                        : c->mode & MODE_STACK32 ? UINT32_MAX
                                                                 : 0xffff;
        uint64_t va = cpu_code64(c) ? sp : (c->seg[SEG_SS].base + (sp & mask)) & UINT32_MAX;
        uint16_t selector = (uint16_t) mem_read_slow(c, u, va, n);

        c->cur = u;
        segment_load(c, u, u->reg, selector);
        c->r[RSP] = mask == 0xffff ? (sp & ~mask) | ((sp + n) & mask) : (sp + n) & mask;
        if (u->reg == SEG_SS)
                c->shadow = SHADOW_MOV_SS;
        GOTO(c, uop_next_rip(c, u));
}

/* LES LDS LSS LFS LGS; op is the segment. */
void op_load_far_pointer(SoftCpu *c, const Uop *u) {
        unsigned n = 1u << u->size;
        uint64_t va = ea(c, u), offset = mem_read_slow(c, u, va, n);
        uint16_t selector = mem_read16(c, u, va + n);

        c->cur = u;
        segment_load(c, u, u->op, selector);
        set_sized(c, u, u->reg, offset);
        GOTO(c, uop_next_rip(c, u));
}

void op_far_jmp_i(SoftCpu *c, const Uop *u) {
        far_jump(c, u, (uint16_t) (u->imm >> 32), (uint32_t) u->imm);
}
void op_far_call_i(SoftCpu *c, const Uop *u) {
        far_call(c, u, (uint16_t) (u->imm >> 32), (uint32_t) u->imm);
}
void op_far_jmp_m(SoftCpu *c, const Uop *u) {
        uint64_t va = ea(c, u), offset = mem_read_slow(c, u, va, 1u << u->size);

        far_jump(c, u, mem_read16(c, u, va + (1u << u->size)), offset);
}
void op_far_call_m(SoftCpu *c, const Uop *u) {
        uint64_t va = ea(c, u), offset = mem_read_slow(c, u, va, 1u << u->size);

        far_call(c, u, mem_read16(c, u, va + (1u << u->size)), offset);
}
void op_far_ret(SoftCpu *c, const Uop *u) {
        far_return(c, u, (unsigned) u->imm);
}

void op_swapgs(SoftCpu *c, const Uop *u) {
        uint64_t base = c->seg[SEG_GS].base;

        need_cpl0(c, u);
        if (!cpu_code64(c))
                cpu_raise(c, u, EXC_UD);
        c->seg[SEG_GS].base = c->kernel_gs_base;
        c->kernel_gs_base = base;
        c->seg_base_effective[SEG_GS] = c->seg[SEG_GS].base;
        NEXT(c, u);
}

static void need_fsgsbase(SoftCpu *c, const Uop *u) {
        if (!cpu_code64(c) || !(c->cr4 & CR4_FSGSBASE))
                cpu_raise(c, u, EXC_UD);
}

static void write_base(SoftCpu *c, const Uop *u, unsigned seg) {
        uint64_t v = u->size == 3 ? c->r[u->rm] : (uint32_t) c->r[u->rm];

        need_fsgsbase(c, u);
        if (!is_canonical(v))
                cpu_raise_code(c, u, EXC_GP, 0);
        c->seg[seg].base = c->seg_base_effective[seg] = v;
}

void op_rdfsbase(SoftCpu *c, const Uop *u) {
        need_fsgsbase(c, u);
        set_sized(c, u, u->rm, c->seg[SEG_FS].base);
        NEXT(c, u);
}
void op_rdgsbase(SoftCpu *c, const Uop *u) {
        need_fsgsbase(c, u);
        set_sized(c, u, u->rm, c->seg[SEG_GS].base);
        NEXT(c, u);
}
void op_wrfsbase(SoftCpu *c, const Uop *u) {
        write_base(c, u, SEG_FS);
        NEXT(c, u);
}
void op_wrgsbase(SoftCpu *c, const Uop *u) {
        write_base(c, u, SEG_GS);
        NEXT(c, u);
}

/* ---- system calls ---- */

static void flat_code(SoftCpu *c, uint16_t selector, unsigned cpl, bool code64) {
        c->seg[SEG_CS] = (Segment){
                .selector = (uint16_t) (selector | cpl),
                .limit = UINT32_MAX,
                .attr = (uint16_t) (0x809b | cpl << 5 | (code64 ? SEG_ATTR_L : SEG_ATTR_DB))};
        c->cpl = (uint8_t) cpl;
}

static void flat_stack(SoftCpu *c, uint16_t selector, unsigned cpl) {
        c->seg[SEG_SS] = (Segment){.selector = (uint16_t) (selector | cpl),
                                   .limit = UINT32_MAX,
                                   .attr = (uint16_t) (0xc093 | cpl << 5)};
}

/*
 * Compatibility mode has SYSCALL on AMD's processors only, and a kernel that knows ours for one of Intel's leaves CSTAR
 * alone: a jump to 0 in its mode would be an opening. One that writes CSTAR wants it.
 */
void op_syscall(SoftCpu *c, const Uop *u) {
        const uint16_t selector = (uint16_t) (c->star >> 32) & 0xfffc;
        const uint64_t target = cpu_code64(c) ? c->lstar : c->cstar;

        if (!(c->efer & EFER_SCE) || !cpu_long_mode(c) || (!cpu_code64(c) && target == 0))
                cpu_raise(c, u, EXC_UD);
        c->r[RCX] = uop_next_rip(c, u);
        c->r[R11] = cpu_flags(c) & ~FLAG_RF;
        cpu_set_flags(c, cpu_flags(c) & ~(uint32_t) c->sfmask, UINT32_MAX & ~(FLAG_RF | FLAG_VM));
        c->event = !(c->flags & FLAG_TF); /* a step is told only if the kernel wants it */
        flat_code(c, selector, 0, true);
        flat_stack(c, (uint16_t) (selector + 8), 0);
        cpu_mode_changed(c);
        GOTO(c, target);
}

void op_sysret(SoftCpu *c, const Uop *u) {
        uint16_t selector = (uint16_t) (c->star >> 48) & 0xfffc;
        bool to64 = u->size == 3;

        if (!(c->efer & EFER_SCE) || !cpu_code64(c))
                cpu_raise(c, u, EXC_UD);
        need_cpl0(c, u);
        if (to64 && !is_canonical(c->r[RCX]))
                cpu_raise_code(c, u, EXC_GP, 0);
        cpu_set_flags(c, (uint32_t) c->r[R11], v86_task_flags(c) & ~(FLAG_RF | FLAG_VM));
        flat_code(c, (uint16_t) (to64 ? selector + 16 : selector), 3, to64);
        flat_stack(c, (uint16_t) (selector + 8), 3);
        cpu_mode_changed(c);
        c->rip = to64 ? c->r[RCX] : (uint32_t) c->r[RCX];
        c->event = true;
        if (c->flags & FLAG_TF) /* looked at when it is done, as if SYSCALL had just been */
                debug_raise(c, NULL, DR6_BS);
        v86_check_pending(c);
}

void op_sysenter(SoftCpu *c, const Uop *u) {
        uint16_t selector = (uint16_t) c->sysenter_cs & 0xfffc;
        bool to64 = cpu_long_mode(c);

        need_feature(c, u, CPU_FEATURE_SEP);
        if (!cpu_protected(c) || selector == 0)
                cpu_raise_code(c, u, EXC_GP, 0);
        c->flags &= ~(FLAG_VM | FLAG_IF | FLAG_RF);
        flat_code(c, selector, 0, to64);
        flat_stack(c, (uint16_t) (selector + 8), 0);
        cpu_mode_changed(c);
        c->r[RSP] = to64 ? c->sysenter_esp : (uint32_t) c->sysenter_esp;
        GOTO(c, to64 ? c->sysenter_eip : (uint32_t) c->sysenter_eip);
}

void op_sysexit(SoftCpu *c, const Uop *u) {
        uint16_t selector = (uint16_t) c->sysenter_cs & 0xfffc;
        bool to64 = u->size == 3;

        need_feature(c, u, CPU_FEATURE_SEP);
        if (!cpu_protected(c) || selector == 0)
                cpu_raise_code(c, u, EXC_GP, 0);
        need_cpl0(c, u);
        flat_code(c, (uint16_t) (selector + (to64 ? 32 : 16)), 3, to64);
        flat_stack(c, (uint16_t) (selector + (to64 ? 40 : 24)), 3);
        cpu_mode_changed(c);
        c->r[RSP] = to64 ? c->r[RCX] : (uint32_t) c->r[RCX];
        c->rip = to64 ? c->r[RDX] : (uint32_t) c->r[RDX];
        v86_check_pending(c);
}

/* ---- the rest ---- */

void op_invlpg(SoftCpu *c, const Uop *u) {
        need_cpl0(c, u);
        mmu_flush_page(c,
                       ea_offset(c, u) +
                               (u->ea == (EA_PLAIN | 3u << 4) ? 0 : c->seg_base_effective[u->seg]));
        GOTO(c, uop_next_rip(c, u));
}

static void set_ac(SoftCpu *c, const Uop *u, bool on) {
        need_feature(c, u, CPU_FEATURE_SMAP);
        if (c->cpl != 0)
                cpu_raise(c, u, EXC_UD);
        cpu_set_flags(c, on ? FLAG_AC : 0, FLAG_AC);
        NEXT(c, u);
}

void op_clac(SoftCpu *c, const Uop *u) {
        set_ac(c, u, false);
}

void op_stac(SoftCpu *c, const Uop *u) {
        set_ac(c, u, true);
}

enum { INVPCID_ADDRESS, INVPCID_CONTEXT, INVPCID_ALL_GLOBAL, INVPCID_ALL };

/* Translations are those of the current process context only: of any other there is nothing to forget. */
void op_invpcid(SoftCpu *c, const Uop *u) {
        const uint64_t type = u->size == 3 ? c->r[u->reg] : (uint32_t) c->r[u->reg];
        uint64_t descriptor[2];

        need_feature(c, u, CPU_FEATURE_INVPCID);
        need_cpl0(c, u);
        mem_read_bytes(c, u, ea(c, u), descriptor, sizeof(descriptor));
        if (type > INVPCID_ALL || (descriptor[0] & ~(uint64_t) CR3_PCID))
                cpu_raise_code(c, u, EXC_GP, 0);
        if (type <= INVPCID_CONTEXT && !(c->cr4 & CR4_PCIDE) && descriptor[0] != 0)
                cpu_raise_code(c, u, EXC_GP, 0);
        if (type == INVPCID_ADDRESS && !is_canonical(descriptor[1]))
                cpu_raise_code(c, u, EXC_GP, 0);
        if (type == INVPCID_ALL_GLOBAL)
                mmu_flush_all(c);
        else if (type == INVPCID_ALL)
                mmu_flush_nonglobal(c);
        else if ((c->cr4 & CR4_PCIDE ? c->cr3 & CR3_PCID : 0) != descriptor[0])
                GOTO(c, uop_next_rip(c, u));
        else if (type == INVPCID_ADDRESS)
                mmu_flush_page(c, descriptor[1]);
        else
                mmu_flush_nonglobal(c);
        GOTO(c, uop_next_rip(c, u));
}

void op_wbinvd(SoftCpu *c, const Uop *u) {
        need_cpl0(c, u);
        NEXT(c, u);
}

void op_serialize(SoftCpu *c, const Uop *u) {
        need_feature(c, u, CPU_FEATURE_SERIALIZE);
        atomic_thread_fence(memory_order_seq_cst);
        GOTO(c, uop_next_rip(c, u));
}

/* Linux Documentation/virt/kvm/x86/hypercalls.rst */
#define KVM_HC_SEND_IPI 10u
#define KVM_EPERM ((uint64_t) -1)
#define KVM_EINVAL ((uint64_t) -22)
#define KVM_ENOSYS ((uint64_t) -1000)

void op_vmcall(SoftCpu *c, const Uop *u) {
        const uint64_t mask = cpu_code64(c) ? UINT64_MAX : UINT32_MAX;
        const uint32_t icr = (uint32_t) c->r[RSI];

        if (c->cpl != 0)
                c->r[RAX] = KVM_EPERM & mask;
        else if ((uint32_t) c->r[RAX] != KVM_HC_SEND_IPI)
                c->r[RAX] = KVM_ENOSYS & mask;
        else if ((icr >> 8 & 7) != 0 && (icr >> 8 & 7) != 4)
                c->r[RAX] = KVM_EINVAL & mask; /* only fixed interrupts and NMIs */
        else
                c->r[RAX] = lapic_send_to_set(c->partition, c->r[RBX] & mask, c->r[RCX] & mask,
                                              (uint32_t) c->r[RDX], icr);
        GOTO(c, uop_next_rip(c, u));
}
