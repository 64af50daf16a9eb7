/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The software processor as its guest sees it: code. The input is
 *
 *   mode  flags  registers (8 bytes each for 6)  page table entries (10 bytes each)  code...
 *
 * and runs in real, 32-bit or 64-bit mode, at privilege 0 or 3, on page tables that map RAM, a device and nothing, but for
 * the entries that the input has of its own (a slot of 2 bytes, a value of 8; mode / 4 of them); the code is also behind every interrupt gate, so that exceptions are delivered. It ends after a number of accesses to
 * devices, when it shuts down, or when a thread beside says that it took long enough. Wrong is what the sanitizers say,
 * a crash, or a run that a stop does not end.
 */

#include "base/cleanup.h"
#include "base/le.h"
#include "tests/fake/vmm_cpu_fuzz.h"
#include "vmm/hv/state.h"

#define HEADER_BYTES 50u
#define ENTRY_BYTES 10u
#define ENTRIES_MAX 15u
#define TABLE_SLOTS 2048u
#define EXITS_MAX 64u

#define GDT 0x0800u
#define IDT 0x2000u
#define TABLES 0x4000u /* four levels, a page each */
#define TSS 0x9000u
#define CODE 0x10000u
#define CODE_MAX 0x3000u
#define STACK 0x20000u
#define DEVICE 0xfed00000u

#define CR0_PE 0x1u
#define CR0_NE 0x20u
#define CR0_PG 0x80000000u
#define CR4_PAE 0x20u
#define CR4_OSFXSR 0x200u
#define CR4_OSXMMEXCPT 0x400u
#define EFER_SCE 0x1u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u
#define EFER_NX 0x800u

enum { MODE_REAL, MODE_PROTECTED, MODE_PAGED, MODE_LONG, MODES };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- what the guest stands on ---- */

/* Null, code 64, data, code 32, user data, user code 64, and a TSS of two entries. */
static void put_gdt(FuzzedCpu *cpu) {
        static const uint64_t entries[] = {
                0,
                0x00af9b000000ffff,
                0x00cf93000000ffff,
                0x00cf9b000000ffff,
                0x00cff3000000ffff,
                0x00affb000000ffff,
                0x00cffb000000ffff,
                0x00008b0000000000 | (uint64_t) TSS << 16 | 0x67,
                0,
        };

        for (unsigned i = 0; i < ELEMENTSOF(entries); i++)
                fuzzed_cpu_put64(cpu, GDT + 8 * i, entries[i]);
        fuzzed_cpu_put64(cpu, TSS + 4, STACK);
}

/* All interrupts lead into the code, each a little further in. */
static void put_idt(FuzzedCpu *cpu, unsigned mode) {
        for (unsigned i = 0; i < 256; i++) {
                uint64_t target = CODE + i;

                if (mode == MODE_REAL)
                        fuzzed_cpu_put64(cpu, 4u * i, (CODE >> 4 << 16 | i) & UINT32_MAX);
                else if (mode == MODE_LONG)
                        fuzzed_cpu_put64(cpu, IDT + 16 * i,
                                         (target & 0xffff) | 1u << 19 | UINT64_C(0xee00) << 32 |
                                                 (target >> 16) << 48);
                else
                        fuzzed_cpu_put64(cpu, IDT + 8 * i,
                                         (target & 0xffff) | 3u << 19 | UINT64_C(0xee00) << 32 |
                                                 (target >> 16) << 48);
        }
}

/* The first 2 MiB as they are, for users too, in pages of 4 KiB; behind them a device and a hole. */
static void put_tables(FuzzedCpu *cpu, unsigned mode) {
        const uint64_t level4 = TABLES, level3 = TABLES + 0x1000, level2 = TABLES + 0x2000,
                       level1 = TABLES + 0x3000;
        const uint64_t rights = mode == MODE_LONG ? 7 : 1;

        fuzzed_cpu_put64(cpu, level4, level3 | 7);
        fuzzed_cpu_put64(cpu, level4 + 8 * 511, level3 | 7);
        fuzzed_cpu_put64(cpu, level3, level2 | rights);
        fuzzed_cpu_put64(cpu, level3 + 8 * 3, level2 | rights);
        fuzzed_cpu_put64(cpu, level2, level1 | 7);
        fuzzed_cpu_put64(cpu, level2 + 8, 0x200000 | 0x87); /* no RAM */
        fuzzed_cpu_put64(cpu, level2 + 16, (DEVICE & ~0x1fffffu) | 0x87);
        for (unsigned i = 0; i < 512; i++)
                fuzzed_cpu_put64(cpu, level1 + 8 * i, (uint64_t) i << 12 | 7);
        fuzzed_cpu_put64(cpu, level1 + 8 * 0x31, 0x31000 | 5); /* read only */
        fuzzed_cpu_put64(cpu, level1 + 8 * 0x32, 0);           /* absent */
        fuzzed_cpu_put64(cpu, level1 + 8 * 0x33, DEVICE | 7);  /* a device in between */
}

/* Entries of any level by the input. Return: how many bytes of it they took. */
static size_t put_entries(FuzzedCpu *cpu, unsigned n, const uint8_t *data, size_t size) {
        size_t at = 0;

        for (unsigned i = 0; i < n && size - at >= ENTRY_BYTES; i++, at += ENTRY_BYTES)
                fuzzed_cpu_put64(cpu, TABLES + 8 * (le16_load(data + at) % TABLE_SLOTS),
                                 le64_load(data + at + 2));
        return at;
}

static VcpuSegment segment(uint16_t selector, uint16_t attributes, uint64_t base) {
        return (VcpuSegment){
                .base = base, .limit = 0xffffffff, .selector = selector, .attributes = attributes};
}

static void set_system(Vcpu *vcpu, unsigned mode, bool user) {
        const uint16_t dpl = user ? 0x60 : 0;
        VcpuSystemRegisters s;

        vcpu_system_registers_at_reset(&vcpu->reset_info, &s);
        s.cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
        if (mode == MODE_REAL) {
                s.cs.base = CODE;
                s.cs.selector = CODE >> 4;
        } else {
                const bool is64 = mode == MODE_LONG;

                s.cs = segment(is64 ? (user ? 0x2b : 8) : (user ? 0x33 : 0x18),
                               (uint16_t) ((is64 ? 0xa09b : 0xc09b) | dpl), 0);
                s.ds = s.es = s.fs = s.gs = s.ss =
                        segment(user ? 0x23 : 0x10, (uint16_t) (0xc093 | dpl), 0);
                s.tr = (VcpuSegment){
                        .base = TSS, .limit = 0x67, .selector = 0x38, .attributes = 0x8b};
                s.gdtr.base = GDT;
                s.gdtr.limit = 0x47;
                s.idtr.base = IDT;
                s.idtr.limit = is64 ? 0xfff : 0x7ff;
                s.cr0 = CR0_PE | CR0_NE;
        }
        if (mode >= MODE_PAGED) {
                s.cr0 |= CR0_PG;
                s.cr4 |= CR4_PAE;
                s.cr3 = mode == MODE_LONG ? TABLES : TABLES + 0x1000;
                s.efer = EFER_SCE | EFER_NX;
        }
        if (mode == MODE_LONG)
                s.efer |= EFER_LME | EFER_LMA;
        (void) vcpu->ops->set_state(vcpu, VCPU_STATE_SYSTEM_REGISTERS, &s);
}

static void set_registers(Vcpu *vcpu, unsigned mode, const uint8_t *values) {
        VcpuRegisters r;

        vcpu_registers_at_reset(&vcpu->reset_info, &r);
        r.rax = le64_load(values);
        r.rbx = le64_load(values + 8);
        r.rcx = le64_load(values + 16);
        r.rdx = le64_load(values + 24);
        r.rsi = le64_load(values + 32);
        r.rdi = le64_load(values + 40);
        r.rbp = STACK - 64;
        r.rsp = mode == MODE_REAL ? 0x8000 : STACK;
        r.rip = mode == MODE_REAL ? 0 : CODE;
        (void) vcpu->ops->set_state(vcpu, VCPU_STATE_REGISTERS, &r);
}

/* ---- one input ---- */

static void load(FuzzedCpu *cpu, unsigned mode, unsigned n_entries, const uint8_t *data,
                 size_t size) {
        size_t used;

        put_gdt(cpu);
        put_tables(cpu, mode);
        put_idt(cpu, mode);
        used = put_entries(cpu, n_entries, data, size);
        (void) guest_mem_write(cpu->mem, CODE, data + used, MIN(size - used, (size_t) CODE_MAX));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        unsigned mode;
        FuzzedCpu cpu;

        if (size < HEADER_BYTES)
                return 0;
        mode = data[0] % MODES;
        fuzzed_cpu_init(&cpu);
        load(&cpu, mode, data[0] / MODES % (ENTRIES_MAX + 1), data + HEADER_BYTES,
             size - HEADER_BYTES);
        set_system(cpu.vcpu, mode, mode != MODE_REAL && (data[1] & 1));
        set_registers(cpu.vcpu, mode, data + 2);
        fuzzed_cpu_run(&cpu, EXITS_MAX);
        fuzzed_cpu_deinit(&cpu);
        return 0;
}
