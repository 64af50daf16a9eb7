/* SPDX-License-Identifier: Apache-2.0 */
/* Model-specific registers: what the CPUID model offers and what a stock kernel touches; the rest is #GP. */
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/soft_internal.h"

#define MSR_TSC 0x10u
#define MSR_PLATFORM_ID 0x17u
#define MSR_APIC_BASE 0x1bu
#define MSR_SMI_COUNT 0x34u
#define MSR_FEAT_CTL 0x3au
#define MSR_UCODE 0x8bu
#define MSR_PLATFORM_INFO 0xceu
#define MSR_MISC_FEATURES 0x140u
#define MSR_MCG_CAP 0x179u
#define MSR_MCG_STATUS 0x17au
#define MSR_SYSENTER_CS 0x174u
#define MSR_SYSENTER_ESP 0x175u
#define MSR_SYSENTER_EIP 0x176u
#define MSR_MISC_ENABLE 0x1a0u
#define MSR_PAT 0x277u
#define MSR_PKRS 0x6e1u
#define MSR_X2APIC_FIRST 0x800u
#define MSR_X2APIC_LAST 0x83fu
#define MSR_EFER 0xc0000080u
#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_CSTAR 0xc0000083u
#define MSR_SFMASK 0xc0000084u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX 0xc0000103u
#define MSR_KVM_WALL_CLOCK_OLD 0x11u
#define MSR_KVM_SYSTEM_TIME_OLD 0x12u
#define MSR_KVM_WALL_CLOCK 0x4b564d00u

/* Registers that come and go with a feature. */
static bool offered(const SoftCpu *c, uint32_t msr) {
        switch (msr) {
        case MSR_TSC_DEADLINE:
                return soft_has(c, CPU_FEATURE_TSC_DEADLINE_TIMER);
        case MSR_PKRS:
                return soft_has(c, CPU_FEATURE_PKS);
        case MSR_TSC_AUX:
                return soft_has(c, CPU_FEATURE_RDTSCP);
        case MSR_SYSENTER_CS:
        case MSR_SYSENTER_ESP:
        case MSR_SYSENTER_EIP:
                return soft_has(c, CPU_FEATURE_SEP);
        case MSR_KVM_WALL_CLOCK:
        case MSR_KVM_WALL_CLOCK_OLD:
        case MSR_KVM_SYSTEM_TIME:
        case MSR_KVM_SYSTEM_TIME_OLD:
                return soft_has(c, CPU_FEATURE_KVMCLOCK);
        default:
                return true;
        }
}

/** msr_read() - RDMSR; false means #GP */
bool msr_read(SoftCpu *c, uint32_t msr, uint64_t *ret) {
        if (!offered(c, msr))
                return false;
        if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST)
                return lapic_msr_read(c->lapic, msr, ret);
        switch (msr) {
        case MSR_TSC:
                *ret = cpu_tsc(c);
                return true;
        case MSR_APIC_BASE:
                *ret = lapic_base(c->lapic);
                return true;
        case MSR_MCG_CAP: /* no banks */
        case MSR_MCG_STATUS:
        case MSR_PLATFORM_ID:
        case MSR_SMI_COUNT:
        case MSR_UCODE:
        case MSR_PLATFORM_INFO:
        case MSR_MISC_FEATURES:
                *ret = 0;
                return true;
        case MSR_FEAT_CTL:
                *ret = c->feat_ctl | 1; /* locked */
                return true;
        case MSR_SYSENTER_CS:
                *ret = c->sysenter_cs;
                return true;
        case MSR_SYSENTER_ESP:
                *ret = c->sysenter_esp;
                return true;
        case MSR_SYSENTER_EIP:
                *ret = c->sysenter_eip;
                return true;
        case MSR_MISC_ENABLE:
                *ret = c->misc_enable;
                return true;
        case MSR_PAT:
                *ret = c->pat;
                return true;
        case MSR_TSC_DEADLINE:
                *ret = lapic_deadline(c->lapic);
                return true;
        case MSR_PKRS:
                *ret = c->pkrs;
                return true;
        case MSR_EFER:
                *ret = c->efer;
                return true;
        case MSR_STAR:
                *ret = c->star;
                return true;
        case MSR_LSTAR:
                *ret = c->lstar;
                return true;
        case MSR_CSTAR:
                *ret = c->cstar;
                return true;
        case MSR_SFMASK:
                *ret = c->sfmask;
                return true;
        case MSR_FS_BASE:
                *ret = c->seg[SEG_FS].base;
                return true;
        case MSR_GS_BASE:
                *ret = c->seg[SEG_GS].base;
                return true;
        case MSR_KERNEL_GS_BASE:
                *ret = c->kernel_gs_base;
                return true;
        case MSR_TSC_AUX:
                *ret = c->tsc_aux;
                return true;
        case MSR_KVM_SYSTEM_TIME:
        case MSR_KVM_SYSTEM_TIME_OLD:
                *ret = c->kvmclock_msr;
                return true;
        default:
                return false;
        }
}

static bool write_efer(SoftCpu *c, uint64_t v) {
        if (v & ~(uint64_t) (EFER_SCE | EFER_LME | EFER_LMA | EFER_NX))
                return false;
        if ((v & EFER_NX) && !soft_has(c, CPU_FEATURE_NX))
                return false;
        if (((v ^ c->efer) & EFER_LME) && (c->cr0 & CR0_PG))
                return false;
        v = (v & ~(uint64_t) EFER_LMA) | (c->efer & EFER_LMA);
        if ((v ^ c->efer) & EFER_NX)
                tlb_flush_all(c);
        c->efer = v;
        cpu_mode_changed(c);
        return true;
}

/** msr_write() - WRMSR; false means #GP */
bool msr_write(SoftCpu *c, uint32_t msr, uint64_t v) {
        if (!offered(c, msr))
                return false;
        if (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST)
                return lapic_msr_write(c->lapic, msr, v);
        switch (msr) {
        case MSR_TSC:
                c->tsc_offset += (int64_t) (v - cpu_tsc(c));
                soft_kvm_system_time(c);
                return true;
        case MSR_APIC_BASE:
                return lapic_set_base(c->lapic, v);
        case MSR_UCODE:
        case MSR_MISC_FEATURES:
        case MSR_MCG_STATUS:
                return v == 0;
        case MSR_FEAT_CTL:
                return false; /* locked */
        case MSR_SYSENTER_CS:
                c->sysenter_cs = (uint32_t) v;
                return true;
        case MSR_SYSENTER_ESP:
        case MSR_SYSENTER_EIP:
                if (!is_canonical(v))
                        return false;
                *(msr == MSR_SYSENTER_ESP ? &c->sysenter_esp : &c->sysenter_eip) = v;
                return true;
        case MSR_MISC_ENABLE:
                c->misc_enable = v;
                return true;
        case MSR_PAT:
                for (unsigned i = 0; i < 8; i++) {
                        uint8_t type = (uint8_t) (v >> (8 * i));

                        if (type > 7 || type == 2 || type == 3)
                                return false;
                }
                c->pat = v;
                return true;
        case MSR_TSC_DEADLINE:
                lapic_set_deadline(c->lapic, v);
                return true;
        case MSR_PKRS:
                if (v >> 32)
                        return false;
                keys_set_supervisor(c, (uint32_t) v);
                return true;
        case MSR_EFER:
                return write_efer(c, v);
        case MSR_STAR:
                c->star = v;
                return true;
        case MSR_LSTAR:
        case MSR_CSTAR:
                if (!is_canonical(v))
                        return false;
                *(msr == MSR_LSTAR ? &c->lstar : &c->cstar) = v;
                return true;
        case MSR_SFMASK:
                c->sfmask = (uint32_t) v;
                return true;
        case MSR_FS_BASE:
        case MSR_GS_BASE: {
                unsigned seg = msr == MSR_FS_BASE ? SEG_FS : SEG_GS;

                if (!is_canonical(v))
                        return false;
                c->seg[seg].base = c->seg_base_effective[seg] = v;
                return true;
        }
        case MSR_KERNEL_GS_BASE:
                if (!is_canonical(v))
                        return false;
                c->kernel_gs_base = v;
                return true;
        case MSR_TSC_AUX:
                if (v >> 32)
                        return false;
                c->tsc_aux = v;
                return true;
        case MSR_KVM_WALL_CLOCK:
        case MSR_KVM_WALL_CLOCK_OLD:
                soft_kvm_wall_clock(c, v);
                return true;
        case MSR_KVM_SYSTEM_TIME:
        case MSR_KVM_SYSTEM_TIME_OLD:
                c->kvmclock_msr = v;
                soft_kvm_system_time(c);
                return true;
        default:
                return false;
        }
}
