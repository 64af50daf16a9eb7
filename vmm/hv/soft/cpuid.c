/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processor model. It is chosen so that a stock kernel does the least needless work honestly: the family is one
 * that does not speculate, so that no mitigation is due; time comes from kvmclock and an invariant TSC; the APIC timer
 * has a deadline mode; SERIALIZE replaces the IRET that self-modifying kernels would serialize with.
 */
#include <errno.h>

#include "vmm/hv/soft/access.h"

#define TSC_HZ 1000000000u
#define LEAF1_ECX_OSXSAVE (UINT32_C(1) << 27)
#define LEAF7_ECX_OSPKE (UINT32_C(1) << 4)

/* Features that guests see unless they are hidden. Those of the host are executed by its units, where it has them. */
static const CpuFeature offered[] = {
        CPU_FEATURE_SSE3,
        CPU_FEATURE_CX16,
        CPU_FEATURE_X2APIC,
        CPU_FEATURE_MOVBE,
        CPU_FEATURE_RDRAND,
        CPU_FEATURE_TSC_DEADLINE_TIMER,
        CPU_FEATURE_HYPERVISOR,
        CPU_FEATURE_FPU,
        CPU_FEATURE_VME,
        CPU_FEATURE_DE,
        CPU_FEATURE_PSE,
        CPU_FEATURE_TSC,
        CPU_FEATURE_MSR,
        CPU_FEATURE_PAE,
        CPU_FEATURE_CX8,
        CPU_FEATURE_APIC,
        CPU_FEATURE_SEP,
        CPU_FEATURE_PGE,
        CPU_FEATURE_CMOV,
        CPU_FEATURE_PAT,
        CPU_FEATURE_CLFLUSH,
        CPU_FEATURE_MMX,
        CPU_FEATURE_FXSR,
        CPU_FEATURE_SSE,
        CPU_FEATURE_SSE2,
        CPU_FEATURE_ARAT,
        CPU_FEATURE_FSGSBASE,
        CPU_FEATURE_ERMS,
        CPU_FEATURE_SERIALIZE,
        CPU_FEATURE_LAHF_LM,
        CPU_FEATURE_SYSCALL,
        CPU_FEATURE_NX,
        CPU_FEATURE_RDTSCP,
        CPU_FEATURE_LM,
        CPU_FEATURE_NONSTOP_TSC,
        CPU_FEATURE_KVMCLOCK,
        CPU_FEATURE_KVM_NOP_IO_DELAY,
        CPU_FEATURE_KVMCLOCK_STABLE,
        CPU_FEATURE_SMEP,
        CPU_FEATURE_SMAP,
        CPU_FEATURE_UMIP,
        CPU_FEATURE_PCID,
        CPU_FEATURE_INVPCID,
        CPU_FEATURE_PDPE1GB,
        CPU_FEATURE_XSAVE,
        CPU_FEATURE_PKU,
        CPU_FEATURE_PKS,
};
static const CpuFeature of_the_host[] = {
        CPU_FEATURE_PCLMULQDQ, CPU_FEATURE_SSSE3,  CPU_FEATURE_SSE4_1,
        CPU_FEATURE_SSE4_2,    CPU_FEATURE_POPCNT, CPU_FEATURE_AES,
};
/* Parts of what x86-64 is, and instructions that would work all the same. */
static const CpuFeature not_hidden[] = {
        CPU_FEATURE_SSE3, CPU_FEATURE_FPU,  CPU_FEATURE_TSC,     CPU_FEATURE_MSR,
        CPU_FEATURE_PAE,  CPU_FEATURE_CX8,  CPU_FEATURE_APIC,    CPU_FEATURE_CMOV,
        CPU_FEATURE_PAT,  CPU_FEATURE_MMX,  CPU_FEATURE_CLFLUSH, CPU_FEATURE_FXSR,
        CPU_FEATURE_SSE,  CPU_FEATURE_SSE2, CPU_FEATURE_LAHF_LM, CPU_FEATURE_SYSCALL,
        CPU_FEATURE_LM,
};

static void put_all(CpuFeatureSet *set, const CpuFeature *features, size_t n) {
        for (size_t i = 0; i < n; i++)
                cpu_feature_set_put(set, features[i], true);
}

static uint32_t host_leaf1_ecx(void) {
        uint32_t eax = 1, ebx, ecx = 0, edx;

        __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
        return ecx;
}

/**
 * soft_model_init() - the default model with what @change wants to be different
 *
 * Return: 0; -EOPNOTSUPP naming a feature that cannot be added or hidden.
 */
int soft_model_init(SoftModel *model, unsigned n_vcpus, const CpuFeatureChange *change,
                    TextError *reterr) {
        CpuFeatureSet able, fixed = {0};

        *model = (SoftModel){.n_vcpus = n_vcpus, .threads_per_core = 1};
        put_all(&model->features, offered, ELEMENTSOF(offered));
        for (size_t i = 0; i < ELEMENTSOF(of_the_host); i++)
                if (host_leaf1_ecx() >> cpu_feature_infos[of_the_host[i]].bit & 1)
                        cpu_feature_set_put(&model->features, of_the_host[i], true);
        cpu_feature_set_put(&model->features, CPU_FEATURE_HT, n_vcpus > 1);
        able = model->features;
        put_all(&fixed, not_hidden, ELEMENTSOF(not_hidden));
        for (unsigned i = 0; i < CPU_FEATURES; i++) {
                const CpuFeature f = (CpuFeature) i;
                const char *name = cpu_feature_infos[i].name;

                if (cpu_feature_set_has(&change->add, f) && !cpu_feature_set_has(&able, f))
                        return text_error_set(reterr, -EOPNOTSUPP,
                                              "the software processor does not have '%s'", name);
                if (cpu_feature_set_has(&change->hide, f) && cpu_feature_set_has(&fixed, f))
                        return text_error_set(reterr, -EOPNOTSUPP,
                                              "the software processor cannot hide '%s'", name);
                if (cpu_feature_set_has(&change->add, f) || cpu_feature_set_has(&change->hide, f))
                        cpu_feature_set_put(&model->features, f,
                                            cpu_feature_set_has(&change->add, f));
        }
        return 0;
}

static uint32_t feature_bits(const SoftModel *model, uint32_t leaf, CpuidRegister reg) {
        uint32_t bits = 0;

        for (unsigned i = 0; i < CPU_FEATURES; i++)
                if (cpu_feature_infos[i].leaf == leaf && cpu_feature_infos[i].reg == reg &&
                    cpu_feature_set_has(&model->features, (CpuFeature) i))
                        bits |= UINT32_C(1) << cpu_feature_infos[i].bit;
        return bits;
}

/** soft_model_leaf1_ecx() - the features of ECX of leaf 1, which the decoder asks for */
uint32_t soft_model_leaf1_ecx(const SoftModel *model) {
        return feature_bits(model, 1, CPUID_ECX);
}

/** soft_cr4_known() - the bits of CR4 that can be set */
uint64_t soft_cr4_known(const SoftModel *model) {
        static const struct {
                CpuFeature feature;
                uint32_t bits;
        } bits[] = {
                {CPU_FEATURE_TSC, CR4_TSD},           {CPU_FEATURE_DE, CR4_DE},
                {CPU_FEATURE_PSE, CR4_PSE},           {CPU_FEATURE_PAE, CR4_PAE},
                {CPU_FEATURE_PGE, CR4_PGE},           {CPU_FEATURE_FXSR, CR4_OSFXSR},
                {CPU_FEATURE_SSE, CR4_OSXMMEXCPT},    {CPU_FEATURE_UMIP, CR4_UMIP},
                {CPU_FEATURE_FSGSBASE, CR4_FSGSBASE}, {CPU_FEATURE_PCID, CR4_PCIDE},
                {CPU_FEATURE_SMEP, CR4_SMEP},         {CPU_FEATURE_SMAP, CR4_SMAP},
                {CPU_FEATURE_XSAVE, CR4_OSXSAVE},     {CPU_FEATURE_PKU, CR4_PKE},
                {CPU_FEATURE_PKS, CR4_PKS},           {CPU_FEATURE_VME, CR4_VME | CR4_PVI},
        };
        /* MCE, which firmware sets without asking, and PCE, which has no bit in CPUID, are taken and do nothing. */
        uint64_t known = 0x40 | 0x100;

        for (size_t i = 0; i < ELEMENTSOF(bits); i++)
                if (cpu_feature_set_has(&model->features, bits[i].feature))
                        known |= bits[i].bits;
        return known;
}

/*
 * Leaf 4, deterministic cache parameters: 32 KiB each for data and instructions of a core, 512 KiB for a cluster. Only
 * with clusters, which are known by the processors that share level 2.
 */
static void set_cache(const SoftModel *model, uint32_t sub, CpuidEntry *e) {
        enum { DATA = 1, INSTRUCTION = 2, UNIFIED = 3 };
        const uint32_t type = sub == 0 ? DATA : sub == 1 ? INSTRUCTION : UNIFIED;
        const uint32_t shared = sub == 2 ? model->cluster_size : model->threads_per_core;
        const uint32_t sets = sub == 2 ? 1024 : 64;

        if (model->cluster_size == 0 || sub > 2)
                return;
        e->eax = type | (sub == 2 ? 2u : 1u) << 5 | 1u << 8 | (shared - 1) << 14 |
                 MIN(model->n_vcpus / model->threads_per_core - 1, 63u) << 26;
        e->ebx = 7u << 22 | 63u; /* 8 ways, lines of 64 bytes */
        e->ecx = sets - 1;
}

/* Leaf 0xb: an APIC id is 8 bits of the package's one, the lowest of which tells two threads of a core apart. */
static void set_topology(const SoftModel *model, uint32_t sub, CpuidEntry *e) {
        if (sub == 0) {
                e->eax = model->threads_per_core - 1;
                e->ebx = model->threads_per_core;
                e->ecx = 1 << 8;
        } else if (sub == 1) {
                e->eax = 8;
                e->ebx = model->n_vcpus;
                e->ecx = 2 << 8 | 1;
        } else {
                e->ecx = sub;
        }
}

/* Leaf 0xd: what XSAVE saves, in the standard format only. */
static void set_xsave(const SoftModel *model, uint64_t xcr0, uint32_t sub, CpuidEntry *e) {
        const uint64_t known = soft_xcr0_known(model);

        if (!cpu_feature_set_has(&model->features, CPU_FEATURE_XSAVE))
                return;
        if (sub == 0) {
                e->eax = (uint32_t) known;
                e->ebx = soft_xsave_bytes(xcr0);
                e->ecx = soft_xsave_bytes(known);
        } else if (sub > 1 && sub < 63 && (known >> sub & 1)) {
                e->eax = XSAVE_PKRU_BYTES;
                e->ebx = XSAVE_PKRU;
        }
}

/**
 * soft_cpuid() - one leaf of the model
 * @now: a disabled APIC is not shown; what an operating system has switched on in CR4 and XCR0 is
 */
void soft_cpuid(const SoftModel *model, const CpuidNow *now, uint32_t function, uint32_t sub,
                CpuidEntry *ret) {
        CpuidEntry e = {.function = function, .index = sub};
        const unsigned n_vcpus = model->n_vcpus;

        if ((function >= 0x17 && function < 0x40000000u) ||
            (function >= 0x40000002u && function < 0x80000000u) || function > 0x80000008u)
                function =
                        0x16; /* Intel: beyond the last basic leaf comes the last basic leaf's data */
        switch (function) {
        case 0:
                e.eax = 0x16;
                e.ebx = 0x756e6547; /* GenuineIntel */
                e.edx = 0x49656e69;
                e.ecx = 0x6c65746e;
                break;
        case 1:
                e.eax = 0x000106ca; /* family 6, model 0x1c, stepping 10 */
                e.ebx = now->index << 24 | (n_vcpus > 255 ? 255 : n_vcpus) << 16 | 8 << 8;
                e.ecx = feature_bits(model, 1, CPUID_ECX);
                e.edx = feature_bits(model, 1, CPUID_EDX);
                e.ecx |= now->cr4 & CR4_OSXSAVE ? LEAF1_ECX_OSXSAVE : 0;
                if (!(now->apic_base & 0x800)) {
                        e.edx &= ~(1u << 9);
                        e.ecx &= ~(1u << 21);
                }
                break;
        case 4:
                set_cache(model, sub, &e);
                break;
        case 6:
                e.eax = feature_bits(model, 6, CPUID_EAX);
                break;
        case 7:
                if (sub == 0) {
                        e.ebx = feature_bits(model, 7, CPUID_EBX);
                        e.ecx = feature_bits(model, 7, CPUID_ECX);
                        e.ecx |= now->cr4 & CR4_PKE ? LEAF7_ECX_OSPKE : 0;
                        e.edx = feature_bits(model, 7, CPUID_EDX);
                }
                break;
        case 0xb:
                set_topology(model, sub, &e);
                e.edx = now->index;
                break;
        case 0xd:
                set_xsave(model, now->xcr0, sub, &e);
                break;
        case 0x15:
                e.eax = 1;
                e.ebx = 1;
                e.ecx = TSC_HZ;
                break;
        case 0x16:
                e.eax = e.ebx = TSC_HZ / 1000000u;
                e.ecx = 100;
                break;
        case 0x40000000:
                e.eax = 0x40000001;
                e.ebx = 0x4b4d564b; /* KVMKVMKVM */
                e.ecx = 0x564b4d56;
                e.edx = 0x4d;
                break;
        case 0x40000001:
                e.eax = feature_bits(model, 0x40000001, CPUID_EAX);
                break;
        case 0x80000000:
                e.eax = 0x80000008;
                break;
        case 0x80000001:
                e.ecx = feature_bits(model, 0x80000001, CPUID_ECX);
                e.edx = feature_bits(model, 0x80000001, CPUID_EDX);
                break;
        case 0x80000002:
                e.eax = 0x61766956; /* "Vivarium software CPU" */
                e.ebx = 0x6d756972;
                e.ecx = 0x666f7320;
                e.edx = 0x72617774;
                break;
        case 0x80000003:
                e.eax = 0x50432065;
                e.ebx = 0x00000055;
                break;
        case 0x80000007:
                e.edx = feature_bits(model, 0x80000007, CPUID_EDX);
                break;
        case 0x80000008:
                e.eax = 48 << 8 | 40;
                break;
        default:
                break;
        }
        *ret = e;
}
