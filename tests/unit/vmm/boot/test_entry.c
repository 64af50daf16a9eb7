/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/boot/entry.h"
#include "vmm/mem/memmap.h"

/* Walks the page tables at @cr3 as the processor does. */
static uint64_t translate(const GuestMem *mem, uint64_t cr3, uint64_t address) {
        uint64_t table = cr3, entry = 0;

        for (unsigned shift = 39; shift >= 21; shift -= 9) {
                const uint64_t index = address >> shift & 511;

                assert_int_equal(guest_mem_read(mem, table + index * 8, &entry, 8), 0);
                assert_int_equal(entry & 3, 3);
                table = entry & ~UINT64_C(0xfff);
        }
        assert_int_equal(entry & 0x80, 0x80);
        return (table & ~UINT64_C(0x1fffff)) | (address & 0x1fffff);
}

static void test_the_first_4_gib_are_mapped_to_themselves(void **state) {
        static const uint64_t addresses[] = {0, 0x10000, 0x1000200, 0x40000000, 0xfffffffe};
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        BootEntry entry;

        assert_int_equal(guest_mem_new(2 << 20, &mem), 0);
        assert_int_equal(entry_prepare(mem, 0x1000000, &entry), 0);
        for (size_t i = 0; i < ELEMENTSOF(addresses); i++)
                assert_int_equal(translate(mem, entry.system_registers.cr3, addresses[i]),
                                 addresses[i]);
}

static void assert_segment_matches_gdt(const GuestMem *mem, const VcpuTableRegister *gdtr,
                                       const VcpuSegment *segment) {
        uint64_t descriptor;

        assert_in_range(segment->selector, 8, gdtr->limit - 7u);
        assert_int_equal(guest_mem_read(mem, gdtr->base + segment->selector, &descriptor, 8), 0);
        assert_int_equal(descriptor >> 40 & 0xf0ff, segment->attributes);
        assert_int_equal(descriptor & 0xffff, 0xffff);
        assert_int_equal(descriptor >> 48 & 0xf, 0xf);
}

static void test_segments_are_what_the_protocol_asks_for(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        const VcpuSystemRegisters *sregs;
        BootEntry entry;

        assert_int_equal(guest_mem_new(2 << 20, &mem), 0);
        assert_int_equal(entry_prepare(mem, 0x1000000, &entry), 0);
        sregs = &entry.system_registers;
        assert_int_equal(sregs->cs.selector, 0x10);
        assert_int_equal(sregs->ds.selector, 0x18);
        assert_segment_matches_gdt(mem, &sregs->gdtr, &sregs->cs);
        assert_segment_matches_gdt(mem, &sregs->gdtr, &sregs->ss);
        assert_segment_matches_gdt(mem, &sregs->gdtr, &sregs->tr);
        assert_int_equal(sregs->gdtr.limit, 6 * 8 - 1);
        assert_int_equal(sregs->idtr.limit, 0);
}

static void test_long_mode_is_on_and_interrupts_are_off(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        BootEntry entry;

        assert_int_equal(guest_mem_new(2 << 20, &mem), 0);
        assert_int_equal(entry_prepare(mem, 0x1000123, &entry), 0);
        assert_int_equal(entry.registers.rip, 0x1000123);
        assert_int_equal(entry.registers.rsi, MEMMAP_BOOT_PARAMS);
        assert_int_equal(entry.registers.rflags, 2);
        assert_int_equal(entry.system_registers.cr0 & 0x80000001, 0x80000001);
        assert_int_equal(entry.system_registers.cr4 & 0x20, 0x20);
        assert_int_equal(entry.system_registers.efer, 0x500);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_first_4_gib_are_mapped_to_themselves),
                cmocka_unit_test(test_segments_are_what_the_protocol_asks_for),
                cmocka_unit_test(test_long_mode_is_on_and_interrupts_are_off),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
