/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/hv/state.h"

#include <string.h>

#include "base/le.h"
#include "vmm/hv/hv.h"
#include "vmm/mem/memmap.h"

#define CR0_ET 0x00000010u
#define CR0_NW 0x20000000u
#define CR0_CD 0x40000000u

#define APIC_BASE_BSP 0x100u
#define APIC_BASE_ENABLE 0x800u
#define APIC_VERSION 0x30u
#define APIC_VERSION_INTEGRATED_6_LVTS 0x50014u
#define APIC_DFR 0xe0u
#define APIC_SVR 0xf0u
#define APIC_LVT_TIMER 0x320u
#define APIC_LVT_THERMAL 0x330u
#define APIC_LVT_PERFORMANCE 0x340u
#define APIC_LVT_ERROR 0x370u

#define FPU_CONTROL_RESET 0x037fu /* as FNINIT leaves it; KVM and QEMU start so too */
#define FPU_MXCSR_OFFSET 24
#define FPU_MXCSR_RESET 0x1f80u
#define XSAVE_HEADER_OFFSET 512

#define MISC_ENABLE_FAST_STRING 0x0001u
#define MISC_ENABLE_BTS_UNAVAILABLE 0x0800u
#define MISC_ENABLE_PEBS_UNAVAILABLE 0x1000u

/* Intel SDM volume 3 table 10-1 (processor state after power-up, RESET#) is the source of what follows. */

void vcpu_registers_at_reset(const VcpuResetInfo *info, VcpuRegisters *ret) {
        *ret = (VcpuRegisters){.rip = 0xfff0, .rflags = 0x2, .rdx = info->signature};
}

static VcpuSegment segment_at_reset(uint16_t type) {
        return (VcpuSegment){.limit = 0xffff, .attributes = (uint16_t) (VCPU_SEGMENT_P | type)};
}

void vcpu_system_registers_at_reset(const VcpuResetInfo *info, VcpuSystemRegisters *ret) {
        const VcpuSegment data = segment_at_reset(VCPU_SEGMENT_S | 0x3);

        *ret = (VcpuSystemRegisters){
                .cs = segment_at_reset(VCPU_SEGMENT_S | 0xb),
                .ds = data,
                .es = data,
                .fs = data,
                .gs = data,
                .ss = data,
                .tr = segment_at_reset(0xb),
                .ldtr = segment_at_reset(0x2),
                .gdtr = {.limit = 0xffff},
                .idtr = {.limit = 0xffff},
                .cr0 = CR0_CD | CR0_NW | CR0_ET,
        };
        ret->cs.selector = 0xf000;
        ret->cs.base = 0xffff0000;
}

void vcpu_xcr_at_reset(const VcpuResetInfo *info, VcpuXcr *ret) {
        *ret = (VcpuXcr){.xcr0 = 1};
}

void vcpu_xsave_at_reset(const VcpuResetInfo *info, VcpuXsave *ret) {
        *ret = (VcpuXsave){0};
        le16_store(ret->area, FPU_CONTROL_RESET);
        le32_store(ret->area + FPU_MXCSR_OFFSET, FPU_MXCSR_RESET);
        /* XSTATE_BV: x87 and SSE come from the area, everything else is in its initial state. */
        le64_store(ret->area + XSAVE_HEADER_OFFSET, 3);
}

void vcpu_apic_at_reset(const VcpuResetInfo *info, VcpuApic *ret) {
        static const uint16_t masked[] = {APIC_LVT_TIMER,       APIC_LVT_THERMAL,
                                          APIC_LVT_PERFORMANCE, VCPU_APIC_LVT_LINT0,
                                          VCPU_APIC_LVT_LINT1,  APIC_LVT_ERROR};

        *ret = (VcpuApic){
                .base_msr = MEMMAP_LAPIC_BASE | APIC_BASE_ENABLE |
                            (info->boot_processor ? APIC_BASE_BSP : 0),
        };
        le32_store(ret->registers + VCPU_APIC_ID, info->apic_id << 24);
        le32_store(ret->registers + APIC_VERSION, APIC_VERSION_INTEGRATED_6_LVTS);
        le32_store(ret->registers + APIC_DFR, UINT32_MAX);
        le32_store(ret->registers + APIC_SVR, 0xff);
        for (unsigned i = 0; i < ELEMENTSOF(masked); i++)
                le32_store(ret->registers + masked[i], VCPU_APIC_LVT_MASKED);
}

void vcpu_mtrr_at_reset(const VcpuResetInfo *info, VcpuMtrr *ret) {
        *ret = (VcpuMtrr){0};
}

void vcpu_pat_at_reset(const VcpuResetInfo *info, VcpuPat *ret) {
        *ret = (VcpuPat){.pat = UINT64_C(0x0007040600070406)};
}

void vcpu_virtual_msrs_at_reset(const VcpuResetInfo *info, VcpuVirtualMsrs *ret) {
        *ret = (VcpuVirtualMsrs){
                .misc_enable = MISC_ENABLE_FAST_STRING | MISC_ENABLE_BTS_UNAVAILABLE |
                               MISC_ENABLE_PEBS_UNAVAILABLE,
        };
}

void vcpu_debug_registers_at_reset(const VcpuResetInfo *info, VcpuDebugRegisters *ret) {
        *ret = (VcpuDebugRegisters){.dr6 = 0xffff0ff0, .dr7 = 0x400};
}

void vcpu_tsc_at_reset(const VcpuResetInfo *info, VcpuTsc *ret) {
        *ret = (VcpuTsc){0};
}

void vcpu_tsc_aux_at_reset(const VcpuResetInfo *info, VcpuTscAux *ret) {
        *ret = (VcpuTscAux){0};
}

void vcpu_pkrs_at_reset(const VcpuResetInfo *info, VcpuPkrs *ret) {
        *ret = (VcpuPkrs){0};
}

/* What they are is the backend's matter: it makes its processors so. */
void vcpu_other_msrs_at_reset(const VcpuResetInfo *info, VcpuOtherMsrs *ret) {
        *ret = (VcpuOtherMsrs){0};
}

void vcpu_activity_at_reset(const VcpuResetInfo *info, VcpuActivity *ret) {
        *ret = (VcpuActivity){
                .run_state = info->boot_processor ? VCPU_RUNNING : VCPU_WAIT_FOR_INIT,
        };
}

/** vcpu_state_present() - whether a processor with @info has element @id at all */
bool vcpu_state_present(VcpuStateId id, const VcpuResetInfo *info) {
        if (id == VCPU_STATE_XCR)
                return info->has_xsave;
        if (id == VCPU_STATE_TSC_AUX)
                return info->has_tsc_aux;
        if (id == VCPU_STATE_PKRS)
                return info->has_pks;
        return true;
}

/* A function for each element, because together they would not fit into one stack frame. */
#define DEFINE_RESET(id, NAME, type, name)                                                         \
        static int reset_##name(Vcpu *vcpu) {                                                      \
                type value;                                                                        \
                                                                                                   \
                vcpu_##name##_at_reset(&vcpu->reset_info, &value);                                 \
                return vcpu->ops->set_state(vcpu, VCPU_STATE_##NAME, &value);                      \
        }
VCPU_STATE_TABLE(DEFINE_RESET)
#undef DEFINE_RESET

/**
 * vcpu_state_reset_all() - put every element to its value after RESET#; on the bound thread, outside run()
 *
 * Return: 0 or the first backend error.
 */
int vcpu_state_reset_all(Vcpu *vcpu) {
        int r;

#define RESET(id, NAME, type, name)                                                                \
        if (vcpu_state_present(VCPU_STATE_##NAME, &vcpu->reset_info)) {                            \
                r = reset_##name(vcpu);                                                            \
                if (r < 0)                                                                         \
                        return r;                                                                  \
        }
        VCPU_STATE_TABLE(RESET)
#undef RESET
        return 0;
}

/* Parts that a backend fills in by itself, or that move on their own. */
static void forget_incomparable(VcpuStateId id, void *value) {
        if (id == VCPU_STATE_XSAVE) {
                VcpuXsave *xsave = value;

                /* MXCSR_MASK, the software bytes and XSTATE_BV say what the processor can do, not its state. */
                memset(xsave->area + 28, 0, 4);
                memset(xsave->area + 464, 0, 64);
        } else if (id == VCPU_STATE_APIC) {
                memset(((VcpuApic *) value)->registers + APIC_VERSION, 0, 4);
        } else if (id == VCPU_STATE_TSC) {
                ((VcpuTsc *) value)->tsc = 0;
        } else if (id == VCPU_STATE_OTHER_MSRS) {
                memset(value, 0, sizeof(VcpuOtherMsrs));
        }
}

#define DEFINE_CHECK(id, NAME, type, name)                                                         \
        static bool is_reset_##name(Vcpu *vcpu) {                                                  \
                type want, have;                                                                   \
                                                                                                   \
                memset(&want, 0, sizeof(want));                                                    \
                memset(&have, 0, sizeof(have));                                                    \
                vcpu_##name##_at_reset(&vcpu->reset_info, &want);                                  \
                if (vcpu->ops->get_state(vcpu, VCPU_STATE_##NAME, &have) < 0)                      \
                        return false;                                                              \
                forget_incomparable(VCPU_STATE_##NAME, &want);                                     \
                forget_incomparable(VCPU_STATE_##NAME, &have);                                     \
                return memcmp(&want, &have, sizeof(want)) == 0;                                    \
        }
VCPU_STATE_TABLE(DEFINE_CHECK)
#undef DEFINE_CHECK

/**
 * vcpu_state_check_reset() - read everything back after a reset and compare; finds backends that lose state
 *
 * Return: NULL when all is as it should be, else the name of the first element that differs or cannot be read.
 */
const char *vcpu_state_check_reset(Vcpu *vcpu) {
#define CHECK(id, NAME, type, name)                                                                \
        if (vcpu_state_present(VCPU_STATE_##NAME, &vcpu->reset_info) && !is_reset_##name(vcpu))    \
                return #name;
        VCPU_STATE_TABLE(CHECK)
#undef CHECK
        return NULL;
}
