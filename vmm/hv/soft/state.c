/* SPDX-License-Identifier: Apache-2.0 */
/* The processor's state in the neutral form of vmm/hv/state.h. */
#include <errno.h>
#include <string.h>

#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/soft_internal.h"

static VcpuSegment segment_out(const Segment *s) {
        return (VcpuSegment){.base = s->base,
                             .limit = s->limit,
                             .selector = s->selector,
                             .attributes = s->attr,
                             .unusable = !(s->attr & SEG_ATTR_P)};
}

static Segment segment_in(const VcpuSegment *s) {
        return (Segment){.base = s->base,
                         .limit = s->limit,
                         .selector = s->selector,
                         .attr = s->unusable ? (uint16_t) (s->attributes & ~SEG_ATTR_P)
                                             : s->attributes};
}

static void get_registers(SoftCpu *c, VcpuRegisters *r) {
        *r = (VcpuRegisters){
                .rax = c->r[RAX],
                .rbx = c->r[RBX],
                .rcx = c->r[RCX],
                .rdx = c->r[RDX],
                .rsi = c->r[RSI],
                .rdi = c->r[RDI],
                .rsp = c->r[RSP],
                .rbp = c->r[RBP],
                .r8 = c->r[R8],
                .r9 = c->r[R9],
                .r10 = c->r[R10],
                .r11 = c->r[R11],
                .r12 = c->r[R12],
                .r13 = c->r[R13],
                .r14 = c->r[R14],
                .r15 = c->r[R15],
                .rip = c->rip,
                .rflags = cpu_flags(c),
        };
}

static void set_registers(SoftCpu *c, const VcpuRegisters *r) {
        const uint64_t v[16] = {r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi,
                                r->r8,  r->r9,  r->r10, r->r11, r->r12, r->r13, r->r14, r->r15};

        memcpy(c->r, v, sizeof(v));
        c->rip = r->rip;
        cpu_set_flags(c, (uint32_t) r->rflags, UINT32_MAX);
}

static void get_system(SoftCpu *c, VcpuSystemRegisters *s) {
        *s = (VcpuSystemRegisters){
                .cs = segment_out(&c->seg[SEG_CS]),
                .ds = segment_out(&c->seg[SEG_DS]),
                .es = segment_out(&c->seg[SEG_ES]),
                .fs = segment_out(&c->seg[SEG_FS]),
                .gs = segment_out(&c->seg[SEG_GS]),
                .ss = segment_out(&c->seg[SEG_SS]),
                .tr = segment_out(&c->tr),
                .ldtr = segment_out(&c->ldtr),
                .gdtr = {.base = c->gdt_base, .limit = c->gdt_limit},
                .idtr = {.base = c->idt_base, .limit = c->idt_limit},
                .cr0 = c->cr0,
                .cr2 = c->cr2,
                .cr3 = c->cr3,
                .cr4 = c->cr4,
                .cr8 = lapic_tpr(c->lapic) >> 4,
                .efer = c->efer,
        };
}

static void set_system(SoftCpu *c, const VcpuSystemRegisters *s) {
        c->seg[SEG_CS] = segment_in(&s->cs);
        c->seg[SEG_DS] = segment_in(&s->ds);
        c->seg[SEG_ES] = segment_in(&s->es);
        c->seg[SEG_FS] = segment_in(&s->fs);
        c->seg[SEG_GS] = segment_in(&s->gs);
        c->seg[SEG_SS] = segment_in(&s->ss);
        c->tr = segment_in(&s->tr);
        c->ldtr = segment_in(&s->ldtr);
        c->gdt_base = s->gdtr.base;
        c->gdt_limit = s->gdtr.limit;
        c->idt_base = s->idtr.base;
        c->idt_limit = s->idtr.limit;
        c->cr0 = s->cr0 | CR0_ET;
        c->cr2 = s->cr2;
        c->cr3 = s->cr3;
        c->cr4 = s->cr4;
        c->efer = s->efer;
        if ((c->efer & EFER_LME) && (c->cr0 & CR0_PG))
                c->efer |= EFER_LMA;
        c->cpl = (uint8_t) (c->cr0 & CR0_PE ? SEG_ATTR_DPL(c->seg[SEG_SS].attr) : 0);
        lapic_set_tpr(c->lapic, s->cr8 << 4);
        cpu_mode_changed(c);
        tlb_flush_all(c);
}

static void get_xsave(SoftCpu *c, VcpuXsave *x) {
        uint32_t mask = 0xffff;

        memset(x, 0, sizeof(*x));
        memcpy(x->area, c->fxstate, 160);
        memcpy(x->area + 24, &c->mxcsr, 4);
        memcpy(x->area + 28, &mask, 4);
        memcpy(x->area + 160, c->xmm, sizeof(c->xmm));
        x->area[XSAVE_HEADER] = XSTATE_X87 | XSTATE_SSE;
        if (c->pkru != 0) {
                x->area[XSAVE_HEADER + 1] = XSTATE_PKRU >> 8;
                memcpy(x->area + XSAVE_PKRU, &c->pkru, sizeof(c->pkru));
        }
}

static void set_xsave(SoftCpu *c, const VcpuXsave *x) {
        uint32_t pkru = 0;

        memcpy(c->fxstate, x->area, 160);
        memcpy(&c->mxcsr, x->area + 24, 4);
        c->mxcsr &= 0xffff;
        memcpy(c->xmm, x->area + 160, sizeof(c->xmm));
        memset(c->fxstate + 24, 0, 8);
        c->fxstate[24] = 0x80;
        c->fxstate[25] = 0x1f;
        if (x->area[XSAVE_HEADER + 1] & XSTATE_PKRU >> 8)
                memcpy(&pkru, x->area + XSAVE_PKRU, sizeof(pkru));
        keys_set_user(c, pkru);
}

static void get_activity(SoftCpu *c, VcpuActivity *a) {
        static const VcpuRunState states[] = {
                [ACTIVITY_RUNNING] = VCPU_RUNNING,
                [ACTIVITY_HALTED] = VCPU_HALTED,
                [ACTIVITY_WAIT_FOR_INIT] = VCPU_WAIT_FOR_INIT,
                [ACTIVITY_WAIT_FOR_SIPI] = VCPU_WAIT_FOR_SIPI,
        };

        *a = (VcpuActivity){
                .run_state = states[c->activity],
                .nmi_pending = c->nmi_pending > 0,
                .nmi_masked = c->nmi_masked,
                .interrupt_shadow_sti = c->shadow == SHADOW_STI,
                .interrupt_shadow_mov_ss = c->shadow == SHADOW_MOV_SS,
                .sipi_vector = c->sipi_vector,
        };
        if (c->injected.kind == INJECTED_INTERRUPT) {
                a->interrupt_injected = true;
                a->interrupt_soft = c->injected.software;
                a->interrupt_vector = c->injected.vector;
        } else if (c->injected.kind == INJECTED_EXCEPTION) {
                a->exception_injected = true;
                a->exception_has_error_code = c->injected.has_code;
                a->exception_vector = c->injected.vector;
                a->exception_error_code = c->injected.code;
        }
}

static void set_activity(SoftCpu *c, const VcpuActivity *a) {
        static const Activity activities[] = {
                [VCPU_RUNNING] = ACTIVITY_RUNNING,
                [VCPU_HALTED] = ACTIVITY_HALTED,
                [VCPU_WAIT_FOR_INIT] = ACTIVITY_WAIT_FOR_INIT,
                [VCPU_WAIT_FOR_SIPI] = ACTIVITY_WAIT_FOR_SIPI,
        };

        c->activity = activities[a->run_state];
        c->nmi_pending = a->nmi_pending ? 1 : 0;
        c->nmi_masked = a->nmi_masked;
        c->shadow = a->interrupt_shadow_mov_ss ? SHADOW_MOV_SS
                    : a->interrupt_shadow_sti  ? SHADOW_STI
                                               : 0;
        c->sipi_vector = (uint8_t) a->sipi_vector;
        c->injected = (Injected){.kind = INJECTED_NONE};
        if (a->exception_injected)
                c->injected = (Injected){.kind = INJECTED_EXCEPTION,
                                         .vector = a->exception_vector,
                                         .has_code = a->exception_has_error_code,
                                         .code = a->exception_error_code};
        else if (a->interrupt_injected)
                c->injected = (Injected){.kind = INJECTED_INTERRUPT,
                                         .vector = a->interrupt_vector,
                                         .software = a->interrupt_soft};
}

/* Of those that are in no other element, the ones that this processor has. */
static const uint32_t other_msrs[] = {MSR_KVM_SYSTEM_TIME, MSR_TSC_DEADLINE};

static void get_other_msrs(SoftCpu *c, VcpuOtherMsrs *m) {
        *m = (VcpuOtherMsrs){0};
        for (size_t i = 0; i < ELEMENTSOF(other_msrs); i++)
                if (msr_read(c, other_msrs[i], &m->msrs[m->n].value))
                        m->msrs[m->n++].index = other_msrs[i];
}

static bool is_other_msr(uint32_t index) {
        for (size_t i = 0; i < ELEMENTSOF(other_msrs); i++)
                if (other_msrs[i] == index)
                        return true;
        return false;
}

static int set_other_msrs(SoftCpu *c, const VcpuOtherMsrs *m) {
        if (m->n > VCPU_OTHER_MSRS_MAX)
                return -EINVAL;
        for (uint32_t i = 0; i < m->n; i++)
                if (!is_other_msr(m->msrs[i].index) ||
                    !msr_write(c, m->msrs[i].index, m->msrs[i].value))
                        return -EINVAL;
        return 0;
}

/** soft_cpu_get_state() - VcpuOps.get_state; -EOPNOTSUPP for elements that CPUID does not offer */
int soft_cpu_get_state(SoftCpu *c, VcpuStateId id, void *ret) {
        switch (id) {
        case VCPU_STATE_REGISTERS:
                get_registers(c, ret);
                return 0;
        case VCPU_STATE_SYSTEM_REGISTERS:
                get_system(c, ret);
                return 0;
        case VCPU_STATE_XSAVE:
                get_xsave(c, ret);
                return 0;
        case VCPU_STATE_APIC:
                lapic_save(c->lapic, ret);
                return 0;
        case VCPU_STATE_MTRR:
                memcpy(ret, &c->mtrr, sizeof(c->mtrr));
                return 0;
        case VCPU_STATE_PAT:
                *(VcpuPat *) ret = (VcpuPat){.pat = c->pat};
                return 0;
        case VCPU_STATE_VIRTUAL_MSRS:
                *(VcpuVirtualMsrs *) ret = (VcpuVirtualMsrs){
                        .star = c->star,
                        .lstar = c->lstar,
                        .cstar = c->cstar,
                        .sfmask = c->sfmask,
                        .kernel_gs_base = c->kernel_gs_base,
                        .sysenter_cs = c->sysenter_cs,
                        .sysenter_esp = c->sysenter_esp,
                        .sysenter_eip = c->sysenter_eip,
                        .misc_enable = c->misc_enable,
                };
                return 0;
        case VCPU_STATE_DEBUG_REGISTERS:
                *(VcpuDebugRegisters *) ret = (VcpuDebugRegisters){.dr0 = c->dr[0],
                                                                   .dr1 = c->dr[1],
                                                                   .dr2 = c->dr[2],
                                                                   .dr3 = c->dr[3],
                                                                   .dr6 = c->dr[6],
                                                                   .dr7 = c->dr[7]};
                return 0;
        case VCPU_STATE_TSC:
                *(VcpuTsc *) ret = (VcpuTsc){.tsc = cpu_tsc(c)};
                return 0;
        case VCPU_STATE_OTHER_MSRS:
                get_other_msrs(c, ret);
                return 0;
        case VCPU_STATE_ACTIVITY:
                soft_cpu_settle(c);
                get_activity(c, ret);
                return 0;
        case VCPU_STATE_TSC_AUX:
                if (!soft_has(c, CPU_FEATURE_RDTSCP))
                        return -EOPNOTSUPP;
                *(VcpuTscAux *) ret = (VcpuTscAux){.tsc_aux = c->tsc_aux};
                return 0;
        case VCPU_STATE_XCR:
                if (!soft_has(c, CPU_FEATURE_XSAVE))
                        return -EOPNOTSUPP;
                *(VcpuXcr *) ret = (VcpuXcr){.xcr0 = c->xcr0};
                return 0;
        case VCPU_STATE_PKRS:
                if (!soft_has(c, CPU_FEATURE_PKS))
                        return -EOPNOTSUPP;
                *(VcpuPkrs *) ret = (VcpuPkrs){.pkrs = c->pkrs};
                return 0;
        }
        return -EINVAL;
}

/** soft_cpu_set_state() - VcpuOps.set_state, likewise */
int soft_cpu_set_state(SoftCpu *c, VcpuStateId id, const void *state) {
        switch (id) {
        case VCPU_STATE_REGISTERS:
                set_registers(c, state);
                return 0;
        case VCPU_STATE_SYSTEM_REGISTERS:
                if (((const VcpuSystemRegisters *) state)->cr4 & ~c->cr4_known)
                        return -EINVAL;
                set_system(c, state);
                return 0;
        case VCPU_STATE_XSAVE:
                set_xsave(c, state);
                return 0;
        case VCPU_STATE_APIC:
                return lapic_restore(c->lapic, state) ? 0 : -EINVAL;
        case VCPU_STATE_MTRR:
                memcpy(&c->mtrr, state, sizeof(c->mtrr));
                return 0;
        case VCPU_STATE_PAT:
                c->pat = ((const VcpuPat *) state)->pat;
                return 0;
        case VCPU_STATE_VIRTUAL_MSRS: {
                const VcpuVirtualMsrs *m = state;

                c->star = m->star;
                c->lstar = m->lstar;
                c->cstar = m->cstar;
                c->sfmask = m->sfmask;
                c->kernel_gs_base = m->kernel_gs_base;
                c->sysenter_cs = m->sysenter_cs;
                c->sysenter_esp = m->sysenter_esp;
                c->sysenter_eip = m->sysenter_eip;
                c->misc_enable = m->misc_enable;
                return 0;
        }
        case VCPU_STATE_DEBUG_REGISTERS: {
                const VcpuDebugRegisters *d = state;

                c->dr[0] = d->dr0;
                c->dr[1] = d->dr1;
                c->dr[2] = d->dr2;
                c->dr[3] = d->dr3;
                c->dr[6] = d->dr6;
                c->dr[7] = d->dr7;
                debug_changed(c);
                return 0;
        }
        case VCPU_STATE_TSC:
                c->tsc_offset = 0;
                c->tsc_offset = (int64_t) (((const VcpuTsc *) state)->tsc - cpu_tsc(c));
                return 0;
        case VCPU_STATE_OTHER_MSRS:
                return set_other_msrs(c, state);
        case VCPU_STATE_ACTIVITY:
                set_activity(c, state);
                return 0;
        case VCPU_STATE_TSC_AUX:
                if (!soft_has(c, CPU_FEATURE_RDTSCP))
                        return -EOPNOTSUPP;
                c->tsc_aux = ((const VcpuTscAux *) state)->tsc_aux;
                return 0;
        case VCPU_STATE_XCR:
                if (!soft_has(c, CPU_FEATURE_XSAVE))
                        return -EOPNOTSUPP;
                if (!xcr0_valid(c, ((const VcpuXcr *) state)->xcr0))
                        return -EINVAL;
                c->xcr0 = ((const VcpuXcr *) state)->xcr0;
                return 0;
        case VCPU_STATE_PKRS:
                if (!soft_has(c, CPU_FEATURE_PKS))
                        return -EOPNOTSUPP;
                keys_set_supervisor(c, (uint32_t) ((const VcpuPkrs *) state)->pkrs);
                return 0;
        }
        return -EINVAL;
}
