/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Processor features by name, as CPUID reports them (Intel SDM volume 2A "CPUID", AMD APM volume 3 appendix E, Linux
 * Documentation/virt/kvm/x86/cpuid.rst), and what a user adds to or hides from the model that guests see. Names are
 * those of Linux's /proc/cpuinfo where it has one.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/text_error.h"

/* X(NAME, "name", leaf, subleaf, register, bit) */
#define CPU_FEATURE_TABLE(X)                                                                       \
        X(SSE3, "sse3", 0x1, 0, ECX, 0)                                                            \
        X(PCLMULQDQ, "pclmulqdq", 0x1, 0, ECX, 1)                                                  \
        X(MONITOR, "monitor", 0x1, 0, ECX, 3)                                                      \
        X(SSSE3, "ssse3", 0x1, 0, ECX, 9)                                                          \
        X(FMA, "fma", 0x1, 0, ECX, 12)                                                             \
        X(CX16, "cx16", 0x1, 0, ECX, 13)                                                           \
        X(PCID, "pcid", 0x1, 0, ECX, 17)                                                           \
        X(SSE4_1, "sse4_1", 0x1, 0, ECX, 19)                                                       \
        X(SSE4_2, "sse4_2", 0x1, 0, ECX, 20)                                                       \
        X(X2APIC, "x2apic", 0x1, 0, ECX, 21)                                                       \
        X(MOVBE, "movbe", 0x1, 0, ECX, 22)                                                         \
        X(POPCNT, "popcnt", 0x1, 0, ECX, 23)                                                       \
        X(TSC_DEADLINE_TIMER, "tsc_deadline_timer", 0x1, 0, ECX, 24)                               \
        X(AES, "aes", 0x1, 0, ECX, 25)                                                             \
        X(XSAVE, "xsave", 0x1, 0, ECX, 26)                                                         \
        X(AVX, "avx", 0x1, 0, ECX, 28)                                                             \
        X(F16C, "f16c", 0x1, 0, ECX, 29)                                                           \
        X(RDRAND, "rdrand", 0x1, 0, ECX, 30)                                                       \
        X(HYPERVISOR, "hypervisor", 0x1, 0, ECX, 31)                                               \
        X(FPU, "fpu", 0x1, 0, EDX, 0)                                                              \
        X(VME, "vme", 0x1, 0, EDX, 1)                                                              \
        X(DE, "de", 0x1, 0, EDX, 2)                                                                \
        X(PSE, "pse", 0x1, 0, EDX, 3)                                                              \
        X(TSC, "tsc", 0x1, 0, EDX, 4)                                                              \
        X(MSR, "msr", 0x1, 0, EDX, 5)                                                              \
        X(PAE, "pae", 0x1, 0, EDX, 6)                                                              \
        X(MCE, "mce", 0x1, 0, EDX, 7)                                                              \
        X(CX8, "cx8", 0x1, 0, EDX, 8)                                                              \
        X(APIC, "apic", 0x1, 0, EDX, 9)                                                            \
        X(SEP, "sep", 0x1, 0, EDX, 11)                                                             \
        X(MTRR, "mtrr", 0x1, 0, EDX, 12)                                                           \
        X(PGE, "pge", 0x1, 0, EDX, 13)                                                             \
        X(MCA, "mca", 0x1, 0, EDX, 14)                                                             \
        X(CMOV, "cmov", 0x1, 0, EDX, 15)                                                           \
        X(PAT, "pat", 0x1, 0, EDX, 16)                                                             \
        X(PSE36, "pse36", 0x1, 0, EDX, 17)                                                         \
        X(CLFLUSH, "clflush", 0x1, 0, EDX, 19)                                                     \
        X(MMX, "mmx", 0x1, 0, EDX, 23)                                                             \
        X(FXSR, "fxsr", 0x1, 0, EDX, 24)                                                           \
        X(SSE, "sse", 0x1, 0, EDX, 25)                                                             \
        X(SSE2, "sse2", 0x1, 0, EDX, 26)                                                           \
        X(HT, "ht", 0x1, 0, EDX, 28)                                                               \
        X(ARAT, "arat", 0x6, 0, EAX, 2)                                                            \
        X(FSGSBASE, "fsgsbase", 0x7, 0, EBX, 0)                                                    \
        X(TSC_ADJUST, "tsc_adjust", 0x7, 0, EBX, 1)                                                \
        X(BMI1, "bmi1", 0x7, 0, EBX, 3)                                                            \
        X(AVX2, "avx2", 0x7, 0, EBX, 5)                                                            \
        X(SMEP, "smep", 0x7, 0, EBX, 7)                                                            \
        X(BMI2, "bmi2", 0x7, 0, EBX, 8)                                                            \
        X(ERMS, "erms", 0x7, 0, EBX, 9)                                                            \
        X(INVPCID, "invpcid", 0x7, 0, EBX, 10)                                                     \
        X(RTM, "rtm", 0x7, 0, EBX, 11)                                                             \
        X(AVX512F, "avx512f", 0x7, 0, EBX, 16)                                                     \
        X(RDSEED, "rdseed", 0x7, 0, EBX, 18)                                                       \
        X(ADX, "adx", 0x7, 0, EBX, 19)                                                             \
        X(SMAP, "smap", 0x7, 0, EBX, 20)                                                           \
        X(CLFLUSHOPT, "clflushopt", 0x7, 0, EBX, 23)                                               \
        X(CLWB, "clwb", 0x7, 0, EBX, 24)                                                           \
        X(SHA_NI, "sha_ni", 0x7, 0, EBX, 29)                                                       \
        X(UMIP, "umip", 0x7, 0, ECX, 2)                                                            \
        X(PKU, "pku", 0x7, 0, ECX, 3)                                                              \
        X(VAES, "vaes", 0x7, 0, ECX, 9)                                                            \
        X(VPCLMULQDQ, "vpclmulqdq", 0x7, 0, ECX, 10)                                               \
        X(LA57, "la57", 0x7, 0, ECX, 16)                                                           \
        X(RDPID, "rdpid", 0x7, 0, ECX, 22)                                                         \
        X(PKS, "pks", 0x7, 0, ECX, 31)                                                             \
        X(FSRM, "fsrm", 0x7, 0, EDX, 4)                                                            \
        X(SERIALIZE, "serialize", 0x7, 0, EDX, 14)                                                 \
        X(SPEC_CTRL, "spec_ctrl", 0x7, 0, EDX, 26)                                                 \
        X(ARCH_CAPABILITIES, "arch_capabilities", 0x7, 0, EDX, 29)                                 \
        X(KVM_NOP_IO_DELAY, "kvm_nop_io_delay", 0x40000001, 0, EAX, 1)                             \
        X(KVMCLOCK, "kvmclock", 0x40000001, 0, EAX, 3)                                             \
        X(KVM_STEAL_TIME, "kvm_steal_time", 0x40000001, 0, EAX, 5)                                 \
        X(KVMCLOCK_STABLE, "kvmclock_stable", 0x40000001, 0, EAX, 24)                              \
        X(LAHF_LM, "lahf_lm", 0x80000001, 0, ECX, 0)                                               \
        X(SVM, "svm", 0x80000001, 0, ECX, 2)                                                       \
        X(ABM, "abm", 0x80000001, 0, ECX, 5)                                                       \
        X(SSE4A, "sse4a", 0x80000001, 0, ECX, 6)                                                   \
        X(SYSCALL, "syscall", 0x80000001, 0, EDX, 11)                                              \
        X(NX, "nx", 0x80000001, 0, EDX, 20)                                                        \
        X(PDPE1GB, "pdpe1gb", 0x80000001, 0, EDX, 26)                                              \
        X(RDTSCP, "rdtscp", 0x80000001, 0, EDX, 27)                                                \
        X(LM, "lm", 0x80000001, 0, EDX, 29)                                                        \
        X(NONSTOP_TSC, "nonstop_tsc", 0x80000007, 0, EDX, 8)

typedef enum CpuFeature {
#define CPU_FEATURE_ENUM(NAME, name, leaf, subleaf, reg, bit) CPU_FEATURE_##NAME,
        CPU_FEATURE_TABLE(CPU_FEATURE_ENUM)
#undef CPU_FEATURE_ENUM
                CPU_FEATURES
} CpuFeature;

typedef enum CpuidRegister { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX } CpuidRegister;

typedef struct CpuFeatureInfo {
        const char *name;
        uint32_t leaf, subleaf;
        CpuidRegister reg;
        uint8_t bit;
} CpuFeatureInfo;

extern const CpuFeatureInfo cpu_feature_infos[CPU_FEATURES];

typedef struct CpuFeatureSet {
        uint64_t words[(CPU_FEATURES + 63) / 64];
} CpuFeatureSet;

static inline bool cpu_feature_set_has(const CpuFeatureSet *set, CpuFeature feature) {
        return set->words[feature / 64] >> feature % 64 & 1;
}

static inline void cpu_feature_set_put(CpuFeatureSet *set, CpuFeature feature, bool on) {
        const uint64_t bit = UINT64_C(1) << feature % 64;

        set->words[feature / 64] =
                on ? set->words[feature / 64] | bit : set->words[feature / 64] & ~bit;
}

/* What a user wants to be different; no feature is in both sets. */
typedef struct CpuFeatureChange {
        CpuFeatureSet add, hide;
} CpuFeatureChange;

int cpu_feature_change_parse(const char *text, CpuFeatureChange *change, TextError *reterr);
int cpu_feature_change_emit(const CpuFeatureChange *change, char **ret);
