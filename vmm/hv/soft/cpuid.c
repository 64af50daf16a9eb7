/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processor model. It is chosen so that a stock kernel does the least needless work honestly: the family is one
 * that does not speculate, so that no mitigation is due; time comes from kvmclock and an invariant TSC; the APIC timer
 * has a deadline mode; SERIALIZE replaces the IRET that self-modifying kernels would serialize with.
 */
#include "vmm/hv/soft/access.h"

#define TSC_HZ 1000000000u

/* SSSE3 and later pass through from the host, because its units execute them. */
static void host_features(uint32_t *ecx) {
        uint32_t eax = 1, ebx, c = 0, edx;

        __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(c), "=d"(edx));
        *ecx = c & (1u << 0 | 1u << 9 | 1u << 19 | 1u << 20 | 1u << 23 | 1u << 1 |
                    1u << 25); /* SSE3 SSSE3 SSE4.1 SSE4.2 POPCNT PCLMUL AES */
}

/**
 * soft_cpuid() - one leaf of the model
 * @index:     of the processor, its APIC id
 * @n_vcpus:   for the topology leaves
 * @apic_base: the APIC base MSR: a disabled APIC is not shown
 */
void soft_cpuid(unsigned index, unsigned n_vcpus, uint32_t function, uint32_t sub,
                uint64_t apic_base, uint64_t cr4, CpuidEntry *ret) {
        CpuidEntry e = {.function = function, .index = sub};
        uint32_t host = 0;

        (void) cr4;
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
                host_features(&host);
                e.eax = 0x000106ca; /* family 6, model 0x1c, stepping 10 */
                e.ebx = index << 24 | (n_vcpus > 255 ? 255 : n_vcpus) << 16 | 8 << 8;
                e.ecx = host | 1u << 13 | 1u << 21 | 1u << 22 | 1u << 24 | 1u << 30 | 1u << 31;
                e.edx = 1u << 0 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 8 | 1u << 9 |
                        1u << 11 | 1u << 13 | 1u << 15 | 1u << 16 | 1u << 19 | 1u << 23 | 1u << 24 |
                        1u << 25 | 1u << 26 | (n_vcpus > 1 ? 1u << 28 : 0);
                if (!(apic_base & 0x800)) {
                        e.edx &= ~(1u << 9);
                        e.ecx &= ~(1u << 21);
                }
                break;
        case 6:
                e.eax = 1u << 2; /* the APIC timer never stops */
                break;
        case 7:
                if (sub == 0) {
                        e.ebx = 1u << 0 | 1u << 9; /* FSGSBASE, ERMS */
                        e.edx = 1u << 14;          /* SERIALIZE */
                }
                break;
        case 0xb:
                if (sub == 0) {
                        e.eax = 0;
                        e.ebx = 1;
                        e.ecx = 1 << 8;
                } else if (sub == 1) {
                        e.eax = 8;
                        e.ebx = n_vcpus;
                        e.ecx = 2 << 8 | 1;
                } else {
                        e.ecx = sub;
                }
                e.edx = index;
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
                e.eax = 1u << 1 | 1u << 3 | 1u << 24; /* no I/O delay, kvmclock, stable */
                break;
        case 0x80000000:
                e.eax = 0x80000008;
                break;
        case 0x80000001:
                e.ecx = 1;                                         /* LAHF in 64-bit mode */
                e.edx = 1u << 11 | 1u << 20 | 1u << 27 | 1u << 29; /* SYSCALL NX RDTSCP LM */
                break;
        case 0x80000002:
                e.eax = 0x69766956; /* "Vivarium software CPU" */
                e.ebx = 0x75697261;
                e.ecx = 0x6f73206d;
                e.edx = 0x61777466;
                break;
        case 0x80000003:
                e.eax = 0x43206572;
                e.ebx = 0x00005550;
                break;
        case 0x80000007:
                e.edx = 1u << 8;
                break;
        case 0x80000008:
                e.eax = 48 << 8 | 40;
                break;
        default:
                break;
        }
        *ret = e;
}
