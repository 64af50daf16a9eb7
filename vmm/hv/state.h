/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The state of a virtual processor, element by element. Every element has one neutral type, a value after RESET# and
 * a backend that gets and sets it; save, restore, reset and the reset check are loops over the one table.
 */

#include <stdbool.h>
#include <stdint.h>

typedef struct Vcpu Vcpu;

/*
 * X(id, NAME, type, name). Ids are part of the snapshot format and never reused. The order is the order of restoring:
 * what enables a feature (EFER, XCR0, the APIC's mode) comes before what needs it.
 */
#define VCPU_STATE_TABLE(X)                                                                        \
        X(1, REGISTERS, VcpuRegisters, registers)                                                  \
        X(2, SYSTEM_REGISTERS, VcpuSystemRegisters, system_registers)                              \
        X(3, XCR, VcpuXcr, xcr)                                                                    \
        X(4, XSAVE, VcpuXsave, xsave)                                                              \
        X(5, APIC, VcpuApic, apic)                                                                 \
        X(6, MTRR, VcpuMtrr, mtrr)                                                                 \
        X(7, PAT, VcpuPat, pat)                                                                    \
        X(8, VIRTUAL_MSRS, VcpuVirtualMsrs, virtual_msrs)                                          \
        X(9, DEBUG_REGISTERS, VcpuDebugRegisters, debug_registers)                                 \
        X(10, TSC, VcpuTsc, tsc)                                                                   \
        X(11, TSC_AUX, VcpuTscAux, tsc_aux)                                                        \
        X(13, PKRS, VcpuPkrs, pkrs)                                                                \
        X(14, OTHER_MSRS, VcpuOtherMsrs, other_msrs)                                               \
        X(12, ACTIVITY, VcpuActivity, activity)

typedef struct VcpuRegisters {
        uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
        uint64_t rip, rflags;
} VcpuRegisters;

typedef struct VcpuSegment {
        uint64_t base;
        uint32_t limit; /* in bytes, after granularity */
        uint16_t selector;
        uint16_t
                attributes; /* descriptor bits 40-55: type, S, DPL, P, -, AVL, L, DB, G; VCPU_SEGMENT_* */
        bool unusable;
        uint8_t padding[7]; /* spelled out, so that states compare as bytes */
} VcpuSegment;

#define VCPU_SEGMENT_S 0x0010u
#define VCPU_SEGMENT_DPL_SHIFT 5u
#define VCPU_SEGMENT_P 0x0080u
#define VCPU_SEGMENT_AVL 0x1000u
#define VCPU_SEGMENT_L 0x2000u
#define VCPU_SEGMENT_DB 0x4000u
#define VCPU_SEGMENT_G 0x8000u

typedef struct VcpuTableRegister {
        uint64_t base;
        uint16_t limit;
        uint8_t padding[6];
} VcpuTableRegister;

typedef struct VcpuSystemRegisters {
        VcpuSegment cs, ds, es, fs, gs, ss, tr, ldtr;
        VcpuTableRegister gdtr, idtr;
        uint64_t cr0, cr2, cr3, cr4, cr8, efer;
} VcpuSystemRegisters;

typedef struct VcpuXcr {
        uint64_t xcr0;
} VcpuXcr;

/* The XSAVE area in standard format; features beyond 4 KiB (AMX) are not offered to guests. */
typedef struct VcpuXsave {
        uint8_t area[4096];
} VcpuXsave;

/* The register page of the local APIC as xAPIC MMIO shows it, and its base MSR. */
typedef struct VcpuApic {
        uint64_t base_msr;
        uint8_t registers[1024];
} VcpuApic;

#define VCPU_APIC_ID 0x20u
#define VCPU_APIC_LVT_LINT0 0x350u
#define VCPU_APIC_LVT_LINT1 0x360u
#define VCPU_APIC_LVT_MASKED 0x10000u
#define VCPU_APIC_LVT_EXTINT 0x700u
#define VCPU_APIC_LVT_NMI 0x400u

#define VCPU_MTRR_FIXED 11u
#define VCPU_MTRR_VARIABLE 8u

typedef struct VcpuMtrr {
        uint64_t def_type;
        uint64_t fixed[VCPU_MTRR_FIXED]; /* 64K_00000, 16K_80000, 16K_A0000, 4K_C0000 .. 4K_F8000 */
        uint64_t base[VCPU_MTRR_VARIABLE], mask[VCPU_MTRR_VARIABLE];
} VcpuMtrr;

typedef struct VcpuPat {
        uint64_t pat;
} VcpuPat;

typedef struct VcpuVirtualMsrs {
        uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
        uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
        uint64_t misc_enable;
} VcpuVirtualMsrs;

typedef struct VcpuDebugRegisters {
        uint64_t dr0, dr1, dr2, dr3, dr6, dr7;
} VcpuDebugRegisters;

/* While the machine is paused: as it was when the pause began. */
typedef struct VcpuTsc {
        uint64_t tsc;
} VcpuTsc;

typedef struct VcpuTscAux {
        uint64_t tsc_aux;
} VcpuTscAux;

/* Rights of the supervisor's protection keys; those of user mode, PKRU, are part of the XSAVE area. */
typedef struct VcpuPkrs {
        uint64_t pkrs;
} VcpuPkrs;

#define VCPU_OTHER_MSRS_MAX 256u

typedef struct VcpuMsr {
        uint32_t index;
        uint32_t padding;
        uint64_t value;
} VcpuMsr;

/*
 * Registers that are in no other element, among them the TSC deadline and those of kvmclock. Which there are is the
 * backend's to say; those that are not named keep their values. After all that they depend on.
 */
typedef struct VcpuOtherMsrs {
        uint32_t n;
        uint32_t padding;
        VcpuMsr msrs[VCPU_OTHER_MSRS_MAX];
} VcpuOtherMsrs;

typedef enum VcpuRunState {
        VCPU_RUNNING,
        VCPU_HALTED,
        VCPU_WAIT_FOR_INIT, /* an application processor after RESET# */
        VCPU_WAIT_FOR_SIPI,
} VcpuRunState;

typedef struct VcpuActivity {
        VcpuRunState run_state;
        bool nmi_pending, nmi_masked;
        bool interrupt_shadow_sti, interrupt_shadow_mov_ss;
        bool interrupt_injected; /* a vector taken from the controller but not delivered yet */
        bool interrupt_soft;
        uint8_t interrupt_vector;
        bool exception_injected, exception_has_error_code;
        uint8_t exception_vector;
        uint8_t padding[2];
        uint32_t exception_error_code;
        uint32_t sipi_vector;
} VcpuActivity;

typedef enum VcpuStateId {
#define VCPU_STATE_ENUM(id, NAME, type, name) VCPU_STATE_##NAME = id,
        VCPU_STATE_TABLE(VCPU_STATE_ENUM)
#undef VCPU_STATE_ENUM
} VcpuStateId;

/* What the values after RESET# depend on, and which elements exist. */
typedef struct VcpuResetInfo {
        uint32_t apic_id;
        bool boot_processor;
        uint32_t signature; /* CPUID.1:EAX, found in EDX after RESET# */
        bool has_xsave;
        bool has_tsc_aux;
        bool has_pks;
} VcpuResetInfo;

bool vcpu_state_present(VcpuStateId id, const VcpuResetInfo *info);
int vcpu_state_reset_all(Vcpu *vcpu);
const char *vcpu_state_check_reset(Vcpu *vcpu);

/* vcpu_NAME_at_reset(): what element NAME is after RESET#, Intel SDM volume 3 table 10-1. */
#define VCPU_STATE_RESET_DECLARE(id, NAME, type, name)                                             \
        void vcpu_##name##_at_reset(const VcpuResetInfo *info, type *ret);
VCPU_STATE_TABLE(VCPU_STATE_RESET_DECLARE)
#undef VCPU_STATE_RESET_DECLARE
