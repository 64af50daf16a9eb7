/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/hv/state_set.h"

#include <errno.h>
#include <string.h>

#include "vmm/hv/hv.h"

#define CR0_PE UINT64_C(0x00000001)
#define CR0_PG UINT64_C(0x80000000)
#define CR4_PAE UINT64_C(0x00000020)
#define CR4_LA57 UINT64_C(0x00001000)
#define EFER_LME UINT64_C(0x00000100)
#define EFER_LMA UINT64_C(0x00000400)
#define RFLAGS_VM UINT64_C(0x00020000)
#define RFLAGS_ALL UINT64_C(0x003f7fd7)
#define SEGMENT_ATTRIBUTES 0xf0ffu

#define BIT(id) (UINT32_C(1) << (id))

/* ---- a processor's ---- */

/**
 * vcpu_states_get() - every element that the processor has; on its thread, while the machine is paused
 *
 * The activity comes first: asking for it lets an INIT that is on its way take effect, on everything.
 *
 * Return: 0; negative errno of the backend.
 */
int vcpu_states_get(Vcpu *vcpu, VcpuStates *ret) {
        int r;

        memset(ret, 0, sizeof(*ret));
        r = vcpu->ops->get_state(vcpu, VCPU_STATE_ACTIVITY, &ret->activity);
        if (r < 0)
                return r;
#define GET(id, NAME, type, name)                                                                  \
        if (vcpu_state_present(VCPU_STATE_##NAME, &vcpu->reset_info)) {                            \
                r = vcpu->ops->get_state(vcpu, VCPU_STATE_##NAME, &ret->name);                     \
                if (r < 0)                                                                         \
                        return r;                                                                  \
                ret->present |= BIT(id);                                                           \
        }
        VCPU_STATE_TABLE(GET)
#undef GET
        return 0;
}

/**
 * vcpu_states_set() - the reverse, likewise
 * @ret_name: on failure, the option and the element that it is about; static
 *
 * Return: 0; -EINVAL for a state that this processor cannot have; other negative errno.
 */
int vcpu_states_set(Vcpu *vcpu, const VcpuStates *states, const char **ret_name) {
        int r;

#define SET(id, NAME, type, name)                                                                  \
        *ret_name = "--restore: the processor's " #name;                                           \
        if (vcpu_state_present(VCPU_STATE_##NAME, &vcpu->reset_info) !=                            \
            !!(states->present & BIT(id)))                                                         \
                return -EINVAL;                                                                    \
        if (states->present & BIT(id)) {                                                           \
                r = vcpu->ops->set_state(vcpu, VCPU_STATE_##NAME, &states->name);                  \
                if (r < 0)                                                                         \
                        return r;                                                                  \
        }
        VCPU_STATE_TABLE(SET)
#undef SET
        return 0;
}

/* ---- what an element is made of ---- */

static const SnapshotField registers_fields[] = {
#define REGISTER(name) SNAPSHOT_UINT(VcpuRegisters, name)
        REGISTER(rax), REGISTER(rbx), REGISTER(rcx), REGISTER(rdx), REGISTER(rsi), REGISTER(rdi),
        REGISTER(rsp), REGISTER(rbp), REGISTER(r8),  REGISTER(r9),  REGISTER(r10), REGISTER(r11),
        REGISTER(r12), REGISTER(r13), REGISTER(r14), REGISTER(r15), REGISTER(rip), REGISTER(rflags),
#undef REGISTER
};

static const SnapshotField system_registers_fields[] = {
#define MEMBER(name) SNAPSHOT_UINT(VcpuSystemRegisters, name)
#define SEGMENT(name)                                                                              \
        MEMBER(name.base), MEMBER(name.limit), MEMBER(name.selector),                              \
                SNAPSHOT_RANGE(VcpuSystemRegisters, name.attributes, 0, SEGMENT_ATTRIBUTES),       \
                SNAPSHOT_BOOL(VcpuSystemRegisters, name.unusable)
        SEGMENT(cs),
        SEGMENT(ds),
        SEGMENT(es),
        SEGMENT(fs),
        SEGMENT(gs),
        SEGMENT(ss),
        SEGMENT(tr),
        SEGMENT(ldtr),
        MEMBER(gdtr.base),
        MEMBER(gdtr.limit),
        MEMBER(idtr.base),
        MEMBER(idtr.limit),
        MEMBER(cr0),
        MEMBER(cr2),
        MEMBER(cr3),
        MEMBER(cr4),
        SNAPSHOT_RANGE(VcpuSystemRegisters, cr8, 0, 15),
        MEMBER(efer),
#undef SEGMENT
#undef MEMBER
};

static const SnapshotField xcr_fields[] = {SNAPSHOT_UINT(VcpuXcr, xcr0)};
static const SnapshotField xsave_fields[] = {SNAPSHOT_ARRAY(VcpuXsave, area)};
static const SnapshotField apic_fields[] = {
        SNAPSHOT_UINT(VcpuApic, base_msr),
        SNAPSHOT_ARRAY(VcpuApic, registers),
};
static const SnapshotField mtrr_fields[] = {
        SNAPSHOT_UINT(VcpuMtrr, def_type),
        SNAPSHOT_ARRAY(VcpuMtrr, fixed),
        SNAPSHOT_ARRAY(VcpuMtrr, base),
        SNAPSHOT_ARRAY(VcpuMtrr, mask),
};
static const SnapshotField pat_fields[] = {SNAPSHOT_UINT(VcpuPat, pat)};
static const SnapshotField virtual_msrs_fields[] = {
        SNAPSHOT_UINT(VcpuVirtualMsrs, star),
        SNAPSHOT_UINT(VcpuVirtualMsrs, lstar),
        SNAPSHOT_UINT(VcpuVirtualMsrs, cstar),
        SNAPSHOT_UINT(VcpuVirtualMsrs, sfmask),
        SNAPSHOT_UINT(VcpuVirtualMsrs, kernel_gs_base),
        SNAPSHOT_UINT(VcpuVirtualMsrs, sysenter_cs),
        SNAPSHOT_UINT(VcpuVirtualMsrs, sysenter_esp),
        SNAPSHOT_UINT(VcpuVirtualMsrs, sysenter_eip),
        SNAPSHOT_UINT(VcpuVirtualMsrs, misc_enable),
};
static const SnapshotField debug_registers_fields[] = {
        SNAPSHOT_UINT(VcpuDebugRegisters, dr0),
        SNAPSHOT_UINT(VcpuDebugRegisters, dr1),
        SNAPSHOT_UINT(VcpuDebugRegisters, dr2),
        SNAPSHOT_UINT(VcpuDebugRegisters, dr3),
        SNAPSHOT_RANGE(VcpuDebugRegisters, dr6, 0, UINT32_MAX),
        SNAPSHOT_RANGE(VcpuDebugRegisters, dr7, 0, UINT32_MAX),
};
static const SnapshotField tsc_fields[] = {SNAPSHOT_UINT(VcpuTsc, tsc)};
static const SnapshotField tsc_aux_fields[] = {SNAPSHOT_RANGE(VcpuTscAux, tsc_aux, 0, UINT32_MAX)};
static const SnapshotField pkrs_fields[] = {SNAPSHOT_RANGE(VcpuPkrs, pkrs, 0, UINT32_MAX)};
static const SnapshotField activity_fields[] = {
        SNAPSHOT_RANGE(VcpuActivity, run_state, VCPU_RUNNING, VCPU_WAIT_FOR_SIPI),
        SNAPSHOT_BOOL(VcpuActivity, nmi_pending),
        SNAPSHOT_BOOL(VcpuActivity, nmi_masked),
        SNAPSHOT_BOOL(VcpuActivity, interrupt_shadow_sti),
        SNAPSHOT_BOOL(VcpuActivity, interrupt_shadow_mov_ss),
        SNAPSHOT_BOOL(VcpuActivity, interrupt_injected),
        SNAPSHOT_BOOL(VcpuActivity, interrupt_soft),
        SNAPSHOT_UINT(VcpuActivity, interrupt_vector),
        SNAPSHOT_BOOL(VcpuActivity, exception_injected),
        SNAPSHOT_BOOL(VcpuActivity, exception_has_error_code),
        SNAPSHOT_RANGE(VcpuActivity, exception_vector, 0, 31),
        SNAPSHOT_UINT(VcpuActivity, exception_error_code),
        SNAPSHOT_RANGE(VcpuActivity, sipi_vector, 0, 255),
};

#define DEFINE_PLAIN(name, type)                                                                   \
        static void snapshot_##name(type *state, Snapshot *s) {                                    \
                snapshot_members(s, name##_fields, state);                                         \
        }
DEFINE_PLAIN(registers, VcpuRegisters)
DEFINE_PLAIN(system_registers, VcpuSystemRegisters)
DEFINE_PLAIN(xcr, VcpuXcr)
DEFINE_PLAIN(xsave, VcpuXsave)
DEFINE_PLAIN(apic, VcpuApic)
DEFINE_PLAIN(mtrr, VcpuMtrr)
DEFINE_PLAIN(pat, VcpuPat)
DEFINE_PLAIN(virtual_msrs, VcpuVirtualMsrs)
DEFINE_PLAIN(debug_registers, VcpuDebugRegisters)
DEFINE_PLAIN(tsc, VcpuTsc)
DEFINE_PLAIN(tsc_aux, VcpuTscAux)
DEFINE_PLAIN(pkrs, VcpuPkrs)
DEFINE_PLAIN(activity, VcpuActivity)
#undef DEFINE_PLAIN

static void snapshot_other_msrs(VcpuOtherMsrs *state, Snapshot *s) {
        static const SnapshotField count[] = {
                SNAPSHOT_RANGE(VcpuOtherMsrs, n, 0, VCPU_OTHER_MSRS_MAX)};
        static const SnapshotField msr[] = {
                SNAPSHOT_UINT(VcpuMsr, index),
                SNAPSHOT_UINT(VcpuMsr, value),
        };

        snapshot_members(s, count, state);
        for (uint32_t i = 0; s->error == 0 && i < state->n; i++)
                snapshot_members(s, msr, &state->msrs[i]);
}

/* ---- whether it makes sense ---- */

static bool is_canonical(uint64_t address, unsigned bits) {
        const unsigned unused = 64 - bits;

        return (uint64_t) ((int64_t) (address << unused) >> unused) == address;
}

/* What no processor can be in, whatever the backend makes of it. */
static const char *check_mode(const VcpuStates *states) {
        const VcpuSystemRegisters *system = &states->system_registers;
        const bool paging = system->cr0 & CR0_PG, is_long = system->efer & EFER_LMA;

        if (paging && !(system->cr0 & CR0_PE))
                return "pages without protected mode";
        if (is_long != (paging && (system->efer & EFER_LME)) ||
            (is_long && !(system->cr4 & CR4_PAE)))
                return "long mode that was not entered";
        if ((system->cr0 | system->cr4) >> 32)
                return "control registers with bits that they do not have";
        if (states->registers.rflags & ~RFLAGS_ALL)
                return "flags that there are not";
        if (is_long && (states->registers.rflags & RFLAGS_VM))
                return "virtual 8086 mode in long mode";
        return NULL;
}

static const char *check_addresses(const VcpuStates *states) {
        const VcpuSystemRegisters *system = &states->system_registers;
        const VcpuVirtualMsrs *msrs = &states->virtual_msrs;
        const uint64_t addresses[] = {
                system->fs.base,      system->gs.base,    system->tr.base,    system->ldtr.base,
                system->gdtr.base,    system->idtr.base,  msrs->lstar,        msrs->cstar,
                msrs->kernel_gs_base, msrs->sysenter_eip, msrs->sysenter_esp, states->registers.rip,
        };

        for (size_t i = 0; i < ELEMENTSOF(addresses); i++)
                if (!is_canonical(addresses[i], system->cr4 & CR4_LA57 ? 57 : 48))
                        return "an address that is not canonical";
        return NULL;
}

/**
 * vcpu_states_snapshot() - save or restore the state of processor @index
 *
 * What was restored is a state that processors can be in; the backend may still know better.
 */
void vcpu_states_snapshot(VcpuStates *states, unsigned index, Snapshot *s) {
        const char *mistake;

        snapshot_enter(s, "vcpu", index);
        snapshot_u32(s, &states->present);
#define ELEMENT(id, NAME, type, name)                                                              \
        if (states->present & BIT(id))                                                             \
                snapshot_##name(&states->name, s);
        VCPU_STATE_TABLE(ELEMENT)
#undef ELEMENT
        snapshot_leave(s);
        if (!snapshot_restored(s))
                return;
        mistake = check_mode(states) ?: check_addresses(states);
        if (mistake)
                snapshot_refuse(s, "vCPU %u: %s", index, mistake);
}
