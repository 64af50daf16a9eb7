/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/boot/e820.h"
#include "vmm/mem/memmap.h"

static size_t build(uint64_t ram, E820Entry entries[static E820_ENTRIES_MAX]) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;

        if (guest_mem_new(ram, &mem) < 0)
                return 0;
        assert_int_equal(guest_mem_reserve(mem, MEMMAP_ECAM_BASE, MEMMAP_ECAM_SIZE), 0);
        return e820_build(mem, entries);
}

/* The type of the entry that @gpa is in, 0 for none. */
static unsigned type_of(const E820Entry *entries, size_t n, gpa_t gpa) {
        for (size_t i = 0; i < n; i++)
                if (gpa >= entries[i].gpa && gpa - entries[i].gpa < entries[i].size)
                        return entries[i].type;
        return 0;
}

static void test_entries_ascend_and_never_overlap(void **state) {
        static const uint64_t rams[] = {2 << 20, 256 << 20, UINT64_C(3) << 30, UINT64_C(6) << 30};

        for (size_t i = 0; i < ELEMENTSOF(rams); i++) {
                E820Entry entries[E820_ENTRIES_MAX];
                const size_t n = build(rams[i], entries);
                uint64_t ram = 0;

                assert_in_range(n, 5, E820_ENTRIES_MAX);
                for (size_t j = 0; j < n; j++) {
                        assert_int_not_equal(entries[j].size, 0);
                        if (j > 0)
                                assert_true(entries[j - 1].gpa + entries[j - 1].size <=
                                            entries[j].gpa);
                        if (entries[j].type == E820_RAM)
                                ram += entries[j].size;
                }
                /* All but what firmware keeps below 1 MiB. */
                assert_int_equal(ram, rams[i] - (MEMMAP_HIMEM_START - MEMMAP_EBDA_START));
        }
}

static void test_firmware_and_ecam_are_reserved(void **state) {
        static const gpa_t reserved[] = {MEMMAP_EBDA_START, MEMMAP_ACPI_BASE, MEMMAP_SMBIOS_BASE,
                                         MEMMAP_ECAM_BASE, MEMMAP_KVM_TSS_BASE};
        E820Entry entries[E820_ENTRIES_MAX];
        const size_t n = build(UINT64_C(6) << 30, entries);

        for (size_t i = 0; i < ELEMENTSOF(reserved); i++)
                assert_int_equal(type_of(entries, n, reserved[i]), E820_RESERVED);
        assert_int_equal(type_of(entries, n, MEMMAP_PCI32_BASE), 0);
        assert_int_equal(type_of(entries, n, 0xa0000), 0);
        assert_int_equal(type_of(entries, n, MEMMAP_HIGH_RAM_BASE), E820_RAM);
        assert_int_equal(type_of(entries, n, 0x8000), E820_RAM); /* for starting processors */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_entries_ascend_and_never_overlap),
                cmocka_unit_test(test_firmware_and_ecam_are_reserved),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
