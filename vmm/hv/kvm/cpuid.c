/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The CPUID that a guest sees: what KVM supports, without what this VMM does not offer, with the topology of this
 * machine. Leaf numbers and fields: Intel SDM volume 2A "CPUID", AMD APM volume 3 appendix E, Linux
 * Documentation/virt/kvm/x86/cpuid.rst for 0x4000_0000.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/hv/kvm/kvm_internal.h"

#define LEAF1_ECX_MONITOR (1u << 3)
#define LEAF1_ECX_VMX (1u << 5)
#define LEAF1_ECX_X2APIC (1u << 21)
#define LEAF1_ECX_TSC_DEADLINE (1u << 24)
#define LEAF1_ECX_OSXSAVE (1u << 27)
#define LEAF1_ECX_HYPERVISOR (1u << 31)
#define LEAF1_EDX_HTT (1u << 28)
#define LEAF7_EDX_AMX ((1u << 22) | (1u << 24) | (1u << 25))
#define LEAF_80000001_ECX_CMP_LEGACY (1u << 1)
#define LEAF_80000001_ECX_SVM (1u << 2)
#define LEAF_80000001_ECX_TOPOEXT (1u << 22)
#define LEAF_80000001_ECX_PERFCTR (1u << 23)

#define TOPOLOGY_LEVEL_SMT 1u
#define TOPOLOGY_LEVEL_CORE 2u

#define CACHE_TYPE(eax) ((eax) &0x1fu)
#define CACHE_LEVEL(eax) (((eax) >> 5) & 0x7u)

static size_t cpuid_bytes(unsigned n_entries) {
        return sizeof(struct kvm_cpuid2) + n_entries * sizeof(struct kvm_cpuid_entry2);
}

/** kvm_cpuid_find() - the entry for a leaf, or NULL; @index only matters where the leaf depends on ECX */
struct kvm_cpuid_entry2 *kvm_cpuid_find(struct kvm_cpuid2 *cpuid, uint32_t function,
                                        uint32_t index) {
        for (unsigned i = 0; i < cpuid->nent; i++) {
                struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

                if (entry->function == function &&
                    (entry->index == index || !(entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX)))
                        return entry;
        }
        return NULL;
}

static void cpuid_remove(struct kvm_cpuid2 *cpuid, uint32_t function) {
        unsigned kept = 0;

        for (unsigned i = 0; i < cpuid->nent; i++)
                if (cpuid->entries[i].function != function)
                        cpuid->entries[kept++] = cpuid->entries[i];
        cpuid->nent = kept;
}

static void cpuid_add(struct kvm_cpuid2 *cpuid, const struct kvm_cpuid_entry2 *entry) {
        if (cpuid->nent < KVM_CPUID_ENTRIES_MAX)
                cpuid->entries[cpuid->nent++] = *entry;
}

static unsigned log2_ceil(unsigned n) {
        unsigned bits = 0;

        while ((1u << bits) < n)
                bits++;
        return bits;
}

/* APIC id = package : core : thread, each field as wide as it must be. */
static unsigned thread_bits(const HvConfig *config) {
        return log2_ceil(config->threads_per_core);
}

static unsigned package_bits(const HvConfig *config) {
        unsigned cores = config->n_vcpus / config->threads_per_core;

        return thread_bits(config) + log2_ceil(cores);
}

/* Architectural performance monitoring, and AMD's counters beyond the first four, which have no bit. */
static void remove_pmu(struct kvm_cpuid2 *cpuid) {
        struct kvm_cpuid_entry2 *entry = kvm_cpuid_find(cpuid, 0xa, 0);

        if (entry)
                entry->eax = entry->ebx = entry->ecx = entry->edx = 0;
        entry = kvm_cpuid_find(cpuid, 0x80000001, 0);
        if (entry)
                entry->ecx &= ~LEAF_80000001_ECX_PERFCTR;
        cpuid_remove(cpuid, 0x80000022);
}

static void remove_nesting(struct kvm_cpuid2 *cpuid) {
        struct kvm_cpuid_entry2 *entry = kvm_cpuid_find(cpuid, 1, 0);

        if (entry)
                entry->ecx &= ~LEAF1_ECX_VMX;
        entry = kvm_cpuid_find(cpuid, 0x80000001, 0);
        if (entry)
                entry->ecx &= ~LEAF_80000001_ECX_SVM;
        cpuid_remove(cpuid, 0x8000000a);
}

/** kvm_cpuid_can_nest() - whether what KVM supports has virtualization among it */
bool kvm_cpuid_can_nest(struct kvm_cpuid2 *cpuid) {
        const struct kvm_cpuid_entry2 *leaf1 = kvm_cpuid_find(cpuid, 1, 0),
                                      *extended = kvm_cpuid_find(cpuid, 0x80000001, 0);

        return (leaf1 && leaf1->ecx & LEAF1_ECX_VMX) ||
               (extended && extended->ecx & LEAF_80000001_ECX_SVM);
}

/**
 * kvm_cpuid_filter() - take out what guests of this VMM do not get, put in what the split irqchip gives them
 * @tsc_deadline: the kernel emulates the TSC deadline timer
 *
 * AMX needs more state than one page. MONITOR would leave HLT exits unused.
 */
void kvm_cpuid_filter(struct kvm_cpuid2 *cpuid, const HvConfig *config, bool tsc_deadline) {
        struct kvm_cpuid_entry2 *entry;

        if (!config->nested)
                remove_nesting(cpuid);
        if (config->no_pmu)
                remove_pmu(cpuid);
        entry = kvm_cpuid_find(cpuid, 1, 0);
        if (entry) {
                entry->ecx &= ~(LEAF1_ECX_MONITOR | LEAF1_ECX_OSXSAVE | LEAF1_ECX_TSC_DEADLINE);
                entry->ecx |= LEAF1_ECX_HYPERVISOR | LEAF1_ECX_X2APIC;
                if (tsc_deadline)
                        entry->ecx |= LEAF1_ECX_TSC_DEADLINE;
        }
        entry = kvm_cpuid_find(cpuid, 7, 0);
        if (entry)
                entry->edx &= ~LEAF7_EDX_AMX;
        cpuid_remove(cpuid, 0x5);
        cpuid_remove(cpuid, 0x1d);
        cpuid_remove(cpuid, 0x1e);
}

/* With the last leaf of a range raised to @function where that was lower. */
static void cpuid_put(struct kvm_cpuid2 *cpuid, const struct kvm_cpuid_entry2 *entry) {
        struct kvm_cpuid_entry2 *range = kvm_cpuid_find(cpuid, entry->function & 0x80000000u, 0);

        cpuid_remove(cpuid, entry->function);
        cpuid_add(cpuid, entry);
        if (range)
                range->eax = MAX(range->eax, entry->function);
}

/** kvm_cpuid_set_tsc() - leaf 0x15, time stamp counter: a crystal of 1 kHz, so that the ratio is the frequency */
void kvm_cpuid_set_tsc(struct kvm_cpuid2 *cpuid, uint32_t khz) {
        cpuid_put(cpuid,
                  &(struct kvm_cpuid_entry2){.function = 0x15, .eax = 1, .ebx = khz, .ecx = 1000});
}

static void set_extended_topology(struct kvm_cpuid2 *cpuid, const HvConfig *config, uint32_t leaf) {
        struct kvm_cpuid_entry2 level = {.function = leaf,
                                         .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX};

        cpuid_remove(cpuid, leaf);
        level.eax = thread_bits(config);
        level.ebx = config->threads_per_core;
        level.ecx = TOPOLOGY_LEVEL_SMT << 8;
        cpuid_add(cpuid, &level);

        level.index = 1;
        level.eax = package_bits(config);
        level.ebx = config->n_vcpus;
        level.ecx = (TOPOLOGY_LEVEL_CORE << 8) | 1;
        cpuid_add(cpuid, &level);

        level.index = 2;
        level.eax = 0;
        level.ebx = 0;
        level.ecx = 2;
        cpuid_add(cpuid, &level);
}

#define VENDOR_EBX_AMD 0x68747541u   /* "Auth" */
#define VENDOR_EBX_HYGON 0x6f677948u /* "Hygo" */

/*
 * AMD's threads are told by leaf 0x8000001E, which systems read only with TOPOEXT. It describes, and needs nothing of the
 * hardware, so that guests have it whether the host does or not. Level 1 and 2 belong to a core, level 3 to the package.
 */
static void set_amd_topology(struct kvm_cpuid2 *cpuid) {
        static const uint32_t caches[] = {0x121, 0x122, 0x143, 0x163}; /* data, code, unified */
        const struct kvm_cpuid_entry2 *vendor = kvm_cpuid_find(cpuid, 0, 0);
        struct kvm_cpuid_entry2 *extended = kvm_cpuid_find(cpuid, 0x80000001, 0);

        if (!vendor || !extended || extended->ecx & LEAF_80000001_ECX_TOPOEXT ||
            (vendor->ebx != VENDOR_EBX_AMD && vendor->ebx != VENDOR_EBX_HYGON))
                return;
        extended->ecx |= LEAF_80000001_ECX_TOPOEXT;
        cpuid_put(cpuid, &(struct kvm_cpuid_entry2){.function = 0x8000001e});
        cpuid_remove(cpuid, 0x8000001d);
        for (uint32_t i = 0; i <= ELEMENTSOF(caches); i++) {
                struct kvm_cpuid_entry2 cache = {.function = 0x8000001d,
                                                 .index = i,
                                                 .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX};

                if (i < ELEMENTSOF(caches)) {
                        cache.eax = caches[i];
                        cache.ebx = 7u << 22 | 63u; /* 8 ways, lines of 64 bytes */
                        cache.ecx = i < 2 ? 63u : i == 2 ? 1023u : 16383u; /* sets, less one */
                }
                cpuid_add(cpuid, &cache);
        }
}

/* Level 1 belongs to a core, level 2 to a cluster or core, level 3 to the package. */
static unsigned cache_bits(const HvConfig *config, unsigned level) {
        if (level == 2 && config->cluster_size > 0)
                return log2_ceil(config->cluster_size);
        return level < 3 ? thread_bits(config) : package_bits(config);
}

/* Leaves 4 and 0x8000001D share the layout of EAX. */
static void set_cache_sharing(struct kvm_cpuid_entry2 *entry, const HvConfig *config) {
        unsigned bits = cache_bits(config, CACHE_LEVEL(entry->eax));
        unsigned core_bits = package_bits(config) - thread_bits(config);

        if (CACHE_TYPE(entry->eax) == 0)
                return;
        entry->eax &= 0x3fffu;
        entry->eax |= ((1u << bits) - 1) << 14;
        if (entry->function == 4)
                entry->eax |= MIN((1u << core_bits) - 1, 63u) << 26;
}

/**
 * kvm_cpuid_set_topology() - describe one package with the cores and threads of @config
 *
 * The same on all vCPUs; kvm_cpuid_set_apic_id() does the rest.
 */
void kvm_cpuid_set_topology(struct kvm_cpuid2 *cpuid, const HvConfig *config) {
        struct kvm_cpuid_entry2 *entry = kvm_cpuid_find(cpuid, 0, 0);
        uint32_t max_basic = entry ? entry->eax : 0;
        bool smp = config->n_vcpus > 1;

        if (smp)
                set_amd_topology(cpuid);
        entry = kvm_cpuid_find(cpuid, 1, 0);
        if (entry) {
                entry->ebx &= ~0x00ff0000u;
                entry->ebx |= MIN(1u << package_bits(config), 255u) << 16;
                entry->edx = smp ? entry->edx | LEAF1_EDX_HTT : entry->edx & ~LEAF1_EDX_HTT;
        }
        for (unsigned i = 0; i < cpuid->nent; i++)
                if (cpuid->entries[i].function == 4 || cpuid->entries[i].function == 0x8000001d)
                        set_cache_sharing(&cpuid->entries[i], config);

        cpuid_remove(cpuid, 0x1f);
        if (max_basic >= 0xb)
                set_extended_topology(cpuid, config, 0xb);
        if (max_basic >= 0x1f)
                set_extended_topology(cpuid, config, 0x1f);

        entry = kvm_cpuid_find(cpuid, 0x80000001, 0);
        if (entry)
                entry->ecx = smp ? entry->ecx | LEAF_80000001_ECX_CMP_LEGACY
                                 : entry->ecx & ~LEAF_80000001_ECX_CMP_LEGACY;
        entry = kvm_cpuid_find(cpuid, 0x80000008, 0);
        if (entry) {
                entry->ecx &= ~0xf0ffu;
                entry->ecx |= (package_bits(config) << 12) | (config->n_vcpus - 1);
        }
}

/** kvm_cpuid_set_apic_id() - make @cpuid that of the vCPU with @apic_id */
void kvm_cpuid_set_apic_id(struct kvm_cpuid2 *cpuid, const HvConfig *config, uint32_t apic_id) {
        struct kvm_cpuid_entry2 *topoext = kvm_cpuid_find(cpuid, 0x80000001, 0);

        for (unsigned i = 0; i < cpuid->nent; i++) {
                struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

                switch (entry->function) {
                case 0x1:
                        entry->ebx = (entry->ebx & 0x00ffffffu) | (apic_id << 24);
                        break;
                case 0xb:
                case 0x1f:
                        entry->edx = apic_id;
                        break;
                case 0x8000001e:
                        if (!topoext || !(topoext->ecx & LEAF_80000001_ECX_TOPOEXT))
                                break;
                        entry->eax = apic_id;
                        entry->ebx = ((config->threads_per_core - 1) << 8) |
                                     ((apic_id >> thread_bits(config)) & 0xff);
                        entry->ecx = 0;
                        break;
                default:
                        break;
                }
        }
}

static uint32_t *entry_register(struct kvm_cpuid_entry2 *entry, CpuidRegister reg) {
        switch (reg) {
        case CPUID_EAX:
                return &entry->eax;
        case CPUID_EBX:
                return &entry->ebx;
        case CPUID_ECX:
                return &entry->ecx;
        case CPUID_EDX:
                break;
        }
        return &entry->edx;
}

/**
 * kvm_cpuid_change() - hide features of @cpuid, and make sure that others are there
 *
 * KVM shows all that it supports, so that nothing can be added but what is there already.
 *
 * Return: 0; -EOPNOTSUPP naming a feature that cannot be had.
 */
int kvm_cpuid_change(struct kvm_cpuid2 *cpuid, const CpuFeatureChange *change, TextError *reterr) {
        for (unsigned i = 0; i < CPU_FEATURES; i++) {
                const CpuFeatureInfo *info = &cpu_feature_infos[i];
                struct kvm_cpuid_entry2 *entry = kvm_cpuid_find(cpuid, info->leaf, info->subleaf);
                const uint32_t bit = UINT32_C(1) << info->bit;
                uint32_t *word = entry ? entry_register(entry, info->reg) : NULL;

                if (cpu_feature_set_has(&change->add, (CpuFeature) i) && (!word || !(*word & bit)))
                        return text_error_set(reterr, -EOPNOTSUPP,
                                              "this host's KVM does not offer guests '%s'",
                                              info->name);
                if (cpu_feature_set_has(&change->hide, (CpuFeature) i) && word)
                        *word &= ~bit;
        }
        return 0;
}

/**
 * kvm_cpuid_new() - the CPUID of vCPU 0
 * @ret: owned by the caller, release with free(); room for KVM_CPUID_ENTRIES_MAX entries
 *
 * Return: 0; -EOPNOTSUPP when guests shall be able to nest and cannot; other negative errno.
 */
int kvm_cpuid_new(int kvm_fd, const HvConfig *config, bool tsc_deadline, struct kvm_cpuid2 **ret) {
        _cleanup_(freep) struct kvm_cpuid2 *cpuid = calloc(1, cpuid_bytes(KVM_CPUID_ENTRIES_MAX));
        int r;

        if (!cpuid)
                return -ENOMEM;
        cpuid->nent = KVM_CPUID_ENTRIES_MAX;
        r = kvm_ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid);
        if (r < 0)
                return r;
        if (config->nested && !kvm_cpuid_can_nest(cpuid))
                return -EOPNOTSUPP;
        kvm_cpuid_filter(cpuid, config, tsc_deadline);
        kvm_cpuid_set_topology(cpuid, config);
        kvm_cpuid_set_apic_id(cpuid, config, 0);
        *ret = TAKE(cpuid);
        return 0;
}

/** kvm_cpuid_dup() - a copy to make the CPUID of another vCPU from. Return: owned by the caller, or NULL. */
struct kvm_cpuid2 *kvm_cpuid_dup(const struct kvm_cpuid2 *cpuid) {
        struct kvm_cpuid2 *copy = malloc(cpuid_bytes(KVM_CPUID_ENTRIES_MAX));

        if (copy)
                memcpy(copy, cpuid, cpuid_bytes(KVM_CPUID_ENTRIES_MAX));
        return copy;
}
