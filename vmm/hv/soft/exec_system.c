/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupts by instruction, identification, model-specific registers, ports, caches and translations. */
#include <sched.h>
#include <sys/random.h>

#include "vmm/hv/soft/handlers.h"
#include "vmm/hv/soft/operand.h"
#include "vmm/hv/soft/privilege.h"

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

        set_reg(c, u->size, u->rm, ok ? v : 0);
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
        set_reg(c, u->size, RAX, v);
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

void op_invlpg(SoftCpu *c, const Uop *u) {
        need_cpl0(c, u);
        tlb_flush_page(c,
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
                tlb_flush_all(c);
        else if (type == INVPCID_ALL)
                tlb_flush_nonglobal(c);
        else if ((c->cr4 & CR4_PCIDE ? c->cr3 & CR3_PCID : 0) != descriptor[0])
                GOTO(c, uop_next_rip(c, u));
        else if (type == INVPCID_ADDRESS)
                tlb_flush_page(c, descriptor[1]);
        else
                tlb_flush_nonglobal(c);
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
