/* SPDX-License-Identifier: Apache-2.0 */
/* Control registers and debug registers. */
#include "vmm/hv/soft/handlers.h"
#include "vmm/hv/soft/operand.h"
#include "vmm/hv/soft/privilege.h"

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
                tlb_flush_all(c);
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
                tlb_flush_nonglobal(c);
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
                tlb_flush_all(c);
        tlb_role_changed(c);
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
        set_reg(c, u->size, u->rm, c->cr0);
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
