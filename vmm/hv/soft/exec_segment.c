/* SPDX-License-Identifier: Apache-2.0 */
/* Segment registers and their bases, far transfers, system calls. */
#include "vmm/hv/soft/handlers.h"
#include "vmm/hv/soft/operand.h"
#include "vmm/hv/soft/privilege.h"

void op_mov_from_seg_r(SoftCpu *c, const Uop *u) {
        set_reg(c, u->size, u->rm, c->seg[u->reg].selector);
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
        set_reg(c, u->size, u->reg, offset);
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
        set_reg(c, u->size, u->rm, c->seg[SEG_FS].base);
        NEXT(c, u);
}
void op_rdgsbase(SoftCpu *c, const Uop *u) {
        need_fsgsbase(c, u);
        set_reg(c, u->size, u->rm, c->seg[SEG_GS].base);
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
