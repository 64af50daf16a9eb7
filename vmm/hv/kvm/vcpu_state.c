/* SPDX-License-Identifier: Apache-2.0 */

/* The elements of VCPU_STATE_TABLE in KVM's structures. */

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "vmm/hv/kvm/kvm_internal.h"

#define MSR_KVM_MAX 32u

static int get_registers(const KvmVcpu *vcpu, VcpuRegisters *ret) {
        struct kvm_regs regs = {0};
        int r = kvm_ioctl(vcpu->fd, KVM_GET_REGS, &regs);

        if (r < 0)
                return r;
#define COPY(name) ret->name = regs.name
        COPY(rax), COPY(rbx), COPY(rcx), COPY(rdx), COPY(rsi), COPY(rdi), COPY(rsp), COPY(rbp);
        COPY(r8), COPY(r9), COPY(r10), COPY(r11), COPY(r12), COPY(r13), COPY(r14), COPY(r15);
        COPY(rip), COPY(rflags);
#undef COPY
        return 0;
}

static int set_registers(const KvmVcpu *vcpu, const VcpuRegisters *state) {
        struct kvm_regs regs;

#define COPY(name) regs.name = state->name
        COPY(rax), COPY(rbx), COPY(rcx), COPY(rdx), COPY(rsi), COPY(rdi), COPY(rsp), COPY(rbp);
        COPY(r8), COPY(r9), COPY(r10), COPY(r11), COPY(r12), COPY(r13), COPY(r14), COPY(r15);
        COPY(rip), COPY(rflags);
#undef COPY
        return kvm_ioctl(vcpu->fd, KVM_SET_REGS, &regs);
}

static void segment_from_kvm(const struct kvm_segment *kvm, VcpuSegment *ret) {
        *ret = (VcpuSegment){
                .base = kvm->base,
                .limit = kvm->limit,
                .selector = kvm->selector,
                .attributes = (uint16_t) (kvm->type | (kvm->s ? VCPU_SEGMENT_S : 0) |
                                          ((unsigned) kvm->dpl << VCPU_SEGMENT_DPL_SHIFT) |
                                          (kvm->present ? VCPU_SEGMENT_P : 0) |
                                          (kvm->avl ? VCPU_SEGMENT_AVL : 0) |
                                          (kvm->l ? VCPU_SEGMENT_L : 0) |
                                          (kvm->db ? VCPU_SEGMENT_DB : 0) |
                                          (kvm->g ? VCPU_SEGMENT_G : 0)),
                .unusable = kvm->unusable,
        };
}

static struct kvm_segment segment_to_kvm(const VcpuSegment *segment) {
        const uint16_t attributes = segment->attributes;

        return (struct kvm_segment){
                .base = segment->base,
                .limit = segment->limit,
                .selector = segment->selector,
                .type = attributes & 0xf,
                .s = !!(attributes & VCPU_SEGMENT_S),
                .dpl = (attributes >> VCPU_SEGMENT_DPL_SHIFT) & 3,
                .present = !!(attributes & VCPU_SEGMENT_P),
                .avl = !!(attributes & VCPU_SEGMENT_AVL),
                .l = !!(attributes & VCPU_SEGMENT_L),
                .db = !!(attributes & VCPU_SEGMENT_DB),
                .g = !!(attributes & VCPU_SEGMENT_G),
                .unusable = segment->unusable,
        };
}

static int get_system_registers(const KvmVcpu *vcpu, VcpuSystemRegisters *ret) {
        struct kvm_sregs sregs = {0};
        int r = kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);

        if (r < 0)
                return r;
        *ret = (VcpuSystemRegisters){
                .gdtr = {.base = sregs.gdt.base, .limit = sregs.gdt.limit},
                .idtr = {.base = sregs.idt.base, .limit = sregs.idt.limit},
                .cr0 = sregs.cr0,
                .cr2 = sregs.cr2,
                .cr3 = sregs.cr3,
                .cr4 = sregs.cr4,
                .cr8 = sregs.cr8,
                .efer = sregs.efer,
        };
        segment_from_kvm(&sregs.cs, &ret->cs);
        segment_from_kvm(&sregs.ds, &ret->ds);
        segment_from_kvm(&sregs.es, &ret->es);
        segment_from_kvm(&sregs.fs, &ret->fs);
        segment_from_kvm(&sregs.gs, &ret->gs);
        segment_from_kvm(&sregs.ss, &ret->ss);
        segment_from_kvm(&sregs.tr, &ret->tr);
        segment_from_kvm(&sregs.ldt, &ret->ldtr);
        return 0;
}

static int set_system_registers(const KvmVcpu *vcpu, const VcpuSystemRegisters *state) {
        struct kvm_sregs sregs = {0};
        int r;

        /* The APIC base travels in the same structure, but is an element of its own. */
        r = kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);
        if (r < 0)
                return r;
        memset(sregs.interrupt_bitmap, 0, sizeof(sregs.interrupt_bitmap));
        sregs.cs = segment_to_kvm(&state->cs);
        sregs.ds = segment_to_kvm(&state->ds);
        sregs.es = segment_to_kvm(&state->es);
        sregs.fs = segment_to_kvm(&state->fs);
        sregs.gs = segment_to_kvm(&state->gs);
        sregs.ss = segment_to_kvm(&state->ss);
        sregs.tr = segment_to_kvm(&state->tr);
        sregs.ldt = segment_to_kvm(&state->ldtr);
        sregs.gdt = (struct kvm_dtable){.base = state->gdtr.base, .limit = state->gdtr.limit};
        sregs.idt = (struct kvm_dtable){.base = state->idtr.base, .limit = state->idtr.limit};
        sregs.cr0 = state->cr0;
        sregs.cr2 = state->cr2;
        sregs.cr3 = state->cr3;
        sregs.cr4 = state->cr4;
        sregs.cr8 = state->cr8;
        sregs.efer = state->efer;
        return kvm_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs);
}

static int get_xcr(const KvmVcpu *vcpu, VcpuXcr *ret) {
        struct kvm_xcrs xcrs = {0};
        int r = kvm_ioctl(vcpu->fd, KVM_GET_XCRS, &xcrs);

        if (r < 0)
                return r;
        for (unsigned i = 0; i < MIN(xcrs.nr_xcrs, (uint32_t) KVM_MAX_XCRS); i++)
                if (xcrs.xcrs[i].xcr == 0)
                        ret->xcr0 = xcrs.xcrs[i].value;
        return 0;
}

static int set_xcr(const KvmVcpu *vcpu, const VcpuXcr *state) {
        const struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = state->xcr0}}};

        return kvm_ioctl(vcpu->fd, KVM_SET_XCRS, &xcrs);
}

static int get_xsave(const KvmVcpu *vcpu, VcpuXsave *ret) {
        return kvm_ioctl(vcpu->fd, KVM_GET_XSAVE, ret);
}

static int set_xsave(const KvmVcpu *vcpu, const VcpuXsave *state) {
        return kvm_ioctl(vcpu->fd, KVM_SET_XSAVE, state);
}

static int get_apic(const KvmVcpu *vcpu, VcpuApic *ret) {
        struct kvm_sregs sregs = {0};
        struct kvm_lapic_state lapic = {0};
        int r;

        r = kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);
        if (r < 0)
                return r;
        r = kvm_ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic);
        if (r < 0)
                return r;
        ret->base_msr = sregs.apic_base;
        memcpy(ret->registers, lapic.regs, sizeof(ret->registers));
        return 0;
}

static int set_apic(const KvmVcpu *vcpu, const VcpuApic *state) {
        struct kvm_sregs sregs = {0};
        struct kvm_lapic_state lapic = {0};
        int r;

        r = kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);
        if (r < 0)
                return r;
        if (sregs.apic_base != state->base_msr) {
                sregs.apic_base = state->base_msr;
                r = kvm_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs);
                if (r < 0)
                        return r;
        }
        memcpy(lapic.regs, state->registers, sizeof(lapic.regs));
        return kvm_ioctl(vcpu->fd, KVM_SET_LAPIC, &lapic);
}

/* One MSR and where its value is kept in the neutral state. */
typedef struct MsrField {
        uint32_t index;
        size_t offset;
} MsrField;

typedef struct MsrList {
        struct kvm_msrs header;
        struct kvm_msr_entry entries[MSR_KVM_MAX];
} MsrList;

static int get_msrs(int fd, const MsrField *fields, unsigned n, void *ret) {
        MsrList list = {.header.nmsrs = n};
        int r;

        for (unsigned i = 0; i < n; i++)
                list.entries[i].index = fields[i].index;
        r = kvm_ioctl(fd, KVM_GET_MSRS, &list);
        if (r < 0)
                return r;
        if ((unsigned) r != n)
                return -EIO;
        for (unsigned i = 0; i < n; i++)
                memcpy((char *) ret + fields[i].offset, &list.entries[i].data, sizeof(uint64_t));
        return 0;
}

static int set_msrs(int fd, const MsrField *fields, unsigned n, const void *state) {
        MsrList list = {.header.nmsrs = n};
        int r;

        for (unsigned i = 0; i < n; i++) {
                uint64_t value;

                memcpy(&value, (const char *) state + fields[i].offset, sizeof(value));
                list.entries[i] = (struct kvm_msr_entry){.index = fields[i].index, .data = value};
        }
        r = kvm_ioctl(fd, KVM_SET_MSRS, &list);
        if (r < 0)
                return r;
        return (unsigned) r == n ? 0 : -EIO; /* r MSRs were taken before one was refused */
}

static const MsrField mtrr_fields[] = {
        {0x2ff, offsetof(VcpuMtrr, def_type)}, {0x250, offsetof(VcpuMtrr, fixed[0])},
        {0x258, offsetof(VcpuMtrr, fixed[1])}, {0x259, offsetof(VcpuMtrr, fixed[2])},
        {0x268, offsetof(VcpuMtrr, fixed[3])}, {0x269, offsetof(VcpuMtrr, fixed[4])},
        {0x26a, offsetof(VcpuMtrr, fixed[5])}, {0x26b, offsetof(VcpuMtrr, fixed[6])},
        {0x26c, offsetof(VcpuMtrr, fixed[7])}, {0x26d, offsetof(VcpuMtrr, fixed[8])},
        {0x26e, offsetof(VcpuMtrr, fixed[9])}, {0x26f, offsetof(VcpuMtrr, fixed[10])},
        {0x200, offsetof(VcpuMtrr, base[0])},  {0x201, offsetof(VcpuMtrr, mask[0])},
        {0x202, offsetof(VcpuMtrr, base[1])},  {0x203, offsetof(VcpuMtrr, mask[1])},
        {0x204, offsetof(VcpuMtrr, base[2])},  {0x205, offsetof(VcpuMtrr, mask[2])},
        {0x206, offsetof(VcpuMtrr, base[3])},  {0x207, offsetof(VcpuMtrr, mask[3])},
        {0x208, offsetof(VcpuMtrr, base[4])},  {0x209, offsetof(VcpuMtrr, mask[4])},
        {0x20a, offsetof(VcpuMtrr, base[5])},  {0x20b, offsetof(VcpuMtrr, mask[5])},
        {0x20c, offsetof(VcpuMtrr, base[6])},  {0x20d, offsetof(VcpuMtrr, mask[6])},
        {0x20e, offsetof(VcpuMtrr, base[7])},  {0x20f, offsetof(VcpuMtrr, mask[7])},
};
_Static_assert(ELEMENTSOF(mtrr_fields) <= MSR_KVM_MAX, "MsrList holds every element");

static const MsrField pat_fields[] = {{0x277, offsetof(VcpuPat, pat)}};

static const MsrField virtual_msrs_fields[] = {
        {0xc0000081, offsetof(VcpuVirtualMsrs, star)},
        {0xc0000082, offsetof(VcpuVirtualMsrs, lstar)},
        {0xc0000083, offsetof(VcpuVirtualMsrs, cstar)},
        {0xc0000084, offsetof(VcpuVirtualMsrs, sfmask)},
        {0xc0000102, offsetof(VcpuVirtualMsrs, kernel_gs_base)},
        {0x174, offsetof(VcpuVirtualMsrs, sysenter_cs)},
        {0x175, offsetof(VcpuVirtualMsrs, sysenter_esp)},
        {0x176, offsetof(VcpuVirtualMsrs, sysenter_eip)},
        {0x1a0, offsetof(VcpuVirtualMsrs, misc_enable)},
};

static const MsrField tsc_register_fields[] = {{0x10, offsetof(VcpuTsc, tsc)}};
static const MsrField tsc_aux_fields[] = {{0xc0000103, offsetof(VcpuTscAux, tsc_aux)}};
static const MsrField pkrs_fields[] = {{0x6e1, offsetof(VcpuPkrs, pkrs)}};

#define DEFINE_MSR_ELEMENT(name, type)                                                             \
        static int get_##name(const KvmVcpu *vcpu, type *ret) {                                    \
                return get_msrs(vcpu->fd, name##_fields, ELEMENTSOF(name##_fields), ret);          \
        }                                                                                          \
        static int set_##name(const KvmVcpu *vcpu, const type *state) {                            \
                return set_msrs(vcpu->fd, name##_fields, ELEMENTSOF(name##_fields), state);        \
        }
DEFINE_MSR_ELEMENT(mtrr, VcpuMtrr)
DEFINE_MSR_ELEMENT(pat, VcpuPat)
DEFINE_MSR_ELEMENT(virtual_msrs, VcpuVirtualMsrs)
DEFINE_MSR_ELEMENT(tsc_register, VcpuTsc)
DEFINE_MSR_ELEMENT(tsc_aux, VcpuTscAux)
DEFINE_MSR_ELEMENT(pkrs, VcpuPkrs)
#undef DEFINE_MSR_ELEMENT

/* Of a paused machine it is the one of the pause, where the host's kernel lets us say so (Linux 5.16). */
static int get_tsc(const KvmVcpu *vcpu, VcpuTsc *ret) {
        return kvm_get_paused_tsc(vcpu->partition, vcpu->slot, &ret->tsc) == 0
                       ? 0
                       : get_tsc_register(vcpu, ret);
}

static int set_tsc(const KvmVcpu *vcpu, const VcpuTsc *state) {
        return kvm_set_paused_tsc(vcpu->partition, vcpu->slot, state->tsc) == 0
                       ? 0
                       : set_tsc_register(vcpu, state);
}

static int get_other_msrs(const KvmVcpu *vcpu, VcpuOtherMsrs *ret) {
        return kvm_get_other_msrs(vcpu, ret);
}

static int set_other_msrs(const KvmVcpu *vcpu, const VcpuOtherMsrs *state) {
        return kvm_set_other_msrs(vcpu, state);
}

static int get_debug_registers(const KvmVcpu *vcpu, VcpuDebugRegisters *ret) {
        struct kvm_debugregs regs = {0};
        int r = kvm_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &regs);

        if (r < 0)
                return r;
        *ret = (VcpuDebugRegisters){
                .dr0 = regs.db[0],
                .dr1 = regs.db[1],
                .dr2 = regs.db[2],
                .dr3 = regs.db[3],
                .dr6 = regs.dr6,
                .dr7 = regs.dr7,
        };
        return 0;
}

static int set_debug_registers(const KvmVcpu *vcpu, const VcpuDebugRegisters *state) {
        const struct kvm_debugregs regs = {
                .db = {state->dr0, state->dr1, state->dr2, state->dr3},
                .dr6 = state->dr6,
                .dr7 = state->dr7,
        };

        return kvm_ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &regs);
}

static VcpuRunState run_state_from_kvm(uint32_t mp_state) {
        switch (mp_state) {
        case KVM_MP_STATE_UNINITIALIZED:
                return VCPU_WAIT_FOR_INIT;
        case KVM_MP_STATE_INIT_RECEIVED:
        case KVM_MP_STATE_SIPI_RECEIVED:
                return VCPU_WAIT_FOR_SIPI;
        case KVM_MP_STATE_HALTED:
                return VCPU_HALTED;
        default:
                return VCPU_RUNNING;
        }
}

static uint32_t run_state_to_kvm(VcpuRunState state) {
        switch (state) {
        case VCPU_WAIT_FOR_INIT:
                return KVM_MP_STATE_UNINITIALIZED;
        case VCPU_WAIT_FOR_SIPI:
                return KVM_MP_STATE_INIT_RECEIVED;
        case VCPU_HALTED:
                return KVM_MP_STATE_HALTED;
        case VCPU_RUNNING:
                break;
        }
        return KVM_MP_STATE_RUNNABLE;
}

static int get_activity(const KvmVcpu *vcpu, VcpuActivity *ret) {
        struct kvm_mp_state mp_state = {0};
        struct kvm_vcpu_events events = {0};
        int r;

        /* First, because KVM takes pending INIT and SIPI here, which changes the events. */
        r = kvm_ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp_state);
        if (r < 0)
                return r;
        r = kvm_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events);
        if (r < 0)
                return r;
        *ret = (VcpuActivity){
                .run_state = run_state_from_kvm(mp_state.mp_state),
                .nmi_pending = events.nmi.pending || events.nmi.injected,
                .nmi_masked = events.nmi.masked,
                .interrupt_shadow_sti = events.interrupt.shadow & KVM_X86_SHADOW_INT_STI,
                .interrupt_shadow_mov_ss = events.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS,
                .interrupt_injected = events.interrupt.injected,
                .interrupt_soft = events.interrupt.soft,
                .interrupt_vector = events.interrupt.nr,
                .exception_injected = events.exception.injected,
                .exception_has_error_code = events.exception.has_error_code,
                .exception_vector = events.exception.nr,
                .exception_error_code = events.exception.error_code,
                .sipi_vector = events.sipi_vector,
        };
        return 0;
}

static int set_activity(const KvmVcpu *vcpu, const VcpuActivity *state) {
        const struct kvm_mp_state mp_state = {.mp_state = run_state_to_kvm(state->run_state)};
        const struct kvm_vcpu_events events = {
                .exception =
                        {
                                .injected = state->exception_injected,
                                .nr = state->exception_vector,
                                .has_error_code = state->exception_has_error_code,
                                .error_code = state->exception_error_code,
                        },
                .interrupt =
                        {
                                .injected = state->interrupt_injected,
                                .nr = state->interrupt_vector,
                                .soft = state->interrupt_soft,
                                .shadow = (uint8_t) ((state->interrupt_shadow_sti
                                                              ? KVM_X86_SHADOW_INT_STI
                                                              : 0) |
                                                     (state->interrupt_shadow_mov_ss
                                                              ? KVM_X86_SHADOW_INT_MOV_SS
                                                              : 0)),
                        },
                .nmi = {.pending = state->nmi_pending, .masked = state->nmi_masked},
                .sipi_vector = state->sipi_vector,
                .flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |
                         KVM_VCPUEVENT_VALID_SHADOW,
        };
        int r = kvm_ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp_state);

        return r < 0 ? r : kvm_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
}

/** kvm_vcpu_get_state() - VcpuOps.get_state. Return: 0 or negative errno. */
int kvm_vcpu_get_state(Vcpu *base, VcpuStateId id, void *ret) {
        const KvmVcpu *vcpu = CONTAINER_OF(base, KvmVcpu, base);

        switch (id) {
#define GET(number, NAME, type, name)                                                              \
        case VCPU_STATE_##NAME:                                                                    \
                return get_##name(vcpu, ret);
                VCPU_STATE_TABLE(GET)
#undef GET
        }
        return -EINVAL;
}

/** kvm_vcpu_set_state() - VcpuOps.set_state. Return: 0 or negative errno. */
int kvm_vcpu_set_state(Vcpu *base, VcpuStateId id, const void *state) {
        const KvmVcpu *vcpu = CONTAINER_OF(base, KvmVcpu, base);

        switch (id) {
#define SET(number, NAME, type, name)                                                              \
        case VCPU_STATE_##NAME:                                                                    \
                return set_##name(vcpu, state);
                VCPU_STATE_TABLE(SET)
#undef SET
        }
        return -EINVAL;
}
