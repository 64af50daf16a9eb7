/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Can KVM run a stock kernel here? Some hosts offer a /dev/kvm that opens and creates VMs but interprets the guest
 * instruction by instruction, and fails at the first instruction that its interpreter lacks. So a tiny guest in 64-bit
 * mode executes what every kernel does and what no interpreter of KVM's knows: XSAVE, SSE, LOCK CMPXCHG16B.
 */

#include <errno.h>
#include <string.h>

#include "base/le.h"
#include "base/log.h"
#include "vmm/hv/kvm/kvm.h"
#include "vmm/hv/kvm/kvm_internal.h"

#define PROBE_MEMORY UINT64_C(0x200000)
#define PROBE_CODE 0x1000u
#define PROBE_PAGE_TABLES 0x2000u
#define PROBE_PORT 0x10u
#define PROBE_ANSWER 0x12345678u

#define CPUID_1_ECX_XSAVE (1u << 26)
#define CR0_PE 0x1u
#define CR0_MP 0x2u
#define CR0_ET 0x10u
#define CR0_PG 0x80000000u
#define CR4_PAE 0x20u
#define CR4_OSFXSR 0x200u
#define CR4_OSXMMEXCPT 0x400u
#define CR4_OSXSAVE 0x40000u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u
#define PTE_PRESENT_WRITABLE 0x3u
#define PTE_LARGE 0x80u

static const uint8_t probe_xsave_code[] = {
        0x31, 0xc9,                   /* xor ecx, ecx */
        0x31, 0xd2,                   /* xor edx, edx */
        0xb8, 0x03, 0x00, 0x00, 0x00, /* mov eax, 3 (x87 and SSE) */
        0x0f, 0x01, 0xd1,             /* xsetbv */
        0xbe, 0x00, 0x60, 0x00, 0x00, /* mov esi, 0x6000 */
        0x0f, 0xae, 0x26,             /* xsave [rsi] */
        0x0f, 0xae, 0x2e,             /* xrstor [rsi] */
};

static const uint8_t probe_code[] = {
        0xbf, 0x00,       0x50, 0x00, 0x00, /* mov edi, 0x5000 */
        0x31, 0xc0,                         /* xor eax, eax */
        0x31, 0xd2,                         /* xor edx, edx */
        0xbb, 0x78,       0x56, 0x34, 0x12, /* mov ebx, PROBE_ANSWER */
        0xb9, 0x01,       0x00, 0x00, 0x00, /* mov ecx, 1 */
        0xf0, 0x48,       0x0f, 0xc7, 0x0f, /* lock cmpxchg16b [rdi] */
        0x0f, 0x10,       0x07,             /* movups xmm0, [rdi] */
        0x66, 0x0f,       0xef, 0xc9,       /* pxor xmm1, xmm1 */
        0x66, 0x0f,       0xef, 0xc1,       /* pxor xmm0, xmm1 */
        0x66, 0x0f,       0x7e, 0xc0,       /* movd eax, xmm0 */
        0xe7, PROBE_PORT,                   /* out PROBE_PORT, eax */
        0xf4,                               /* hlt */
        0xeb, 0xfd,                         /* jmp back to hlt */
};

typedef struct Probe {
        atomic_bool stop;
        uint64_t answer;
} Probe;

static uint64_t probe_mmio_read(void *machine, gpa_t gpa, unsigned size) {
        return UINT64_MAX;
}

static void probe_mmio_write(void *machine, gpa_t gpa, unsigned size, uint64_t value) {
}

static uint64_t probe_pio_read(void *machine, uint16_t port, unsigned size) {
        return UINT64_MAX;
}

static void probe_pio_write(void *machine, uint16_t port, unsigned size, uint64_t value) {
        Probe *probe = machine;

        probe->answer = value;
        atomic_store(&probe->stop, true);
}

static int probe_acknowledge_pic(void *machine) {
        return -1;
}

static void probe_handle_eoi(void *machine, uint8_t vector) {
}

static void probe_write_memory(const GuestMem *mem, bool xsave) {
        uint8_t *code = mem->base + PROBE_CODE, *tables = mem->base + PROBE_PAGE_TABLES;

        if (xsave) {
                memcpy(code, probe_xsave_code, sizeof(probe_xsave_code));
                code += sizeof(probe_xsave_code);
        }
        memcpy(code, probe_code, sizeof(probe_code));
        le64_store(tables, (PROBE_PAGE_TABLES + 0x1000) | PTE_PRESENT_WRITABLE);
        le64_store(tables + 0x1000, (PROBE_PAGE_TABLES + 0x2000) | PTE_PRESENT_WRITABLE);
        le64_store(tables + 0x2000, PTE_PRESENT_WRITABLE | PTE_LARGE);
}

static int probe_set_state(Vcpu *vcpu, bool xsave) {
        const VcpuSegment data = {
                .limit = UINT32_MAX,
                .selector = 0x10,
                .attributes =
                        VCPU_SEGMENT_G | VCPU_SEGMENT_DB | VCPU_SEGMENT_P | VCPU_SEGMENT_S | 0x3,
        };
        VcpuSystemRegisters system;
        VcpuRegisters registers;
        int r;

        vcpu_system_registers_at_reset(&vcpu->reset_info, &system);
        system.ds = system.es = system.fs = system.gs = system.ss = data;
        system.cs = data;
        system.cs.selector = 0x8;
        system.cs.attributes =
                VCPU_SEGMENT_G | VCPU_SEGMENT_L | VCPU_SEGMENT_P | VCPU_SEGMENT_S | 0xb;
        system.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_PG;
        system.cr3 = PROBE_PAGE_TABLES;
        system.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | (xsave ? CR4_OSXSAVE : 0);
        system.efer = EFER_LME | EFER_LMA;
        r = vcpu->ops->set_state(vcpu, VCPU_STATE_SYSTEM_REGISTERS, &system);
        if (r < 0)
                return r;
        vcpu_registers_at_reset(&vcpu->reset_info, &registers);
        registers.rip = PROBE_CODE;
        return vcpu->ops->set_state(vcpu, VCPU_STATE_REGISTERS, &registers);
}

static int probe_run(Vcpu *vcpu, TextError *reterr) {
        Probe probe = {0};
        const CpuIo io = {
                .machine = &probe,
                .mmio_read = probe_mmio_read,
                .mmio_write = probe_mmio_write,
                .pio_read = probe_pio_read,
                .pio_write = probe_pio_write,
                .acknowledge_pic = probe_acknowledge_pic,
                .handle_eoi = probe_handle_eoi,
        };
        HaltReason reason = vcpu->ops->run(vcpu, &io, &probe.stop);

        if (reason == HALT_STOP && probe.answer == PROBE_ANSWER)
                return 0;
        log_debug("the probe guest failed: %s", reason == HALT_STOP ? "wrong result" : vcpu->error);
        return text_error_set(
                reterr, -EOPNOTSUPP,
                "/dev/kvm cannot run an unmodified kernel; a probe guest %s, as happens "
                "where no hardware virtualization is behind it",
                reason == HALT_STOP ? "computed a wrong result"
                                    : "could not execute its instructions");
}

/** kvm_probe() - HvOps.probe. Return: 0, or negative errno with a sentence saying why KVM cannot be used. */
int kvm_probe(const char *device, TextError *reterr) {
        const HvConfig config = {.n_vcpus = 1, .threads_per_core = 1, .device = device};
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        _cleanup_(proto_partition_freep) ProtoPartition *proto = NULL;
        _cleanup_(partition_freep) Partition *partition = NULL;
        _cleanup_(vcpu_freep) Vcpu *vcpu = NULL;
        CpuidEntry leaf1;
        bool xsave;
        int r;

        r = guest_mem_new(PROBE_MEMORY, &mem);
        if (r < 0)
                return r;
        r = kvm_hv_ops.proto_new(&config, &proto, reterr);
        if (r < 0)
                return r;
        kvm_hv_ops.proto_cpuid(proto, 1, 0, &leaf1);
        xsave = leaf1.ecx & CPUID_1_ECX_XSAVE;
        r = kvm_hv_ops.proto_build(proto, mem, &partition, reterr);
        if (r < 0)
                return r;
        TAKE(proto);
        r = partition->ops->vcpu_bind(partition, 0, &vcpu);
        if (r >= 0)
                r = probe_set_state(vcpu, xsave);
        if (r < 0)
                return text_error_set(reterr, r, "KVM refuses the state of a probe guest: %s",
                                      strerror(-r));
        probe_write_memory(mem, xsave);
        return probe_run(vcpu, reterr);
}
