/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "vmm/boot/acpi.h"
#include "vmm/hv/hv.h"
#include "vmm/mem/memmap.h"

/* Reads the tables back as a guest does: from the anchor on, checking every sum. */
typedef struct Fixture {
        GuestMem *mem;
        BoardInfo board;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        if (!f || guest_mem_new(2 << 20, &f->mem) < 0)
                return -1;
        f->board = (BoardInfo){
                .n_vcpus = 2,
                .threads_per_core = 1,
                .pci64_base = UINT64_C(1) << 34,
                .pci64_size = UINT64_C(1) << 34,
                .com = {true, true, true, true},
                .rtc = true,
                .i8042 = true,
                .pvpanic = true,
                .watchdog = true,
        };
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        (void) guest_mem_free(f->mem);
        free(f);
        return 0;
}

static const uint8_t *at(const Fixture *f, uint64_t gpa, size_t len) {
        const uint8_t *p = guest_mem_ptr(f->mem, gpa, len);

        assert_non_null(p);
        assert_in_range(gpa, MEMMAP_ACPI_BASE, MEMMAP_ACPI_BASE + MEMMAP_ACPI_SIZE - len);
        return p;
}

static const uint8_t *checked_table(const Fixture *f, uint64_t gpa, const char *signature) {
        const uint8_t *table = at(f, gpa, ACPI_HEADER_SIZE);
        const uint32_t len = le32_load(table + 4);

        table = at(f, gpa, len);
        assert_int_equal(acpi_checksum(table, len), 0);
        if (signature)
                assert_memory_equal(table, signature, 4);
        return table;
}

/* NULL when the XSDT does not list it. */
static const uint8_t *find_table(const Fixture *f, const char *signature) {
        const uint8_t *rsdp = at(f, MEMMAP_ACPI_BASE, 36), *xsdt;

        assert_memory_equal(rsdp, "RSD PTR ", 8);
        assert_int_equal(acpi_checksum(rsdp, 20), 0);
        assert_int_equal(acpi_checksum(rsdp, 36), 0);
        assert_int_equal(rsdp[15], 2);
        xsdt = checked_table(f, le64_load(rsdp + 24), "XSDT");
        for (uint32_t i = ACPI_HEADER_SIZE; i < le32_load(xsdt + 4); i += 8) {
                const uint8_t *table = checked_table(f, le64_load(xsdt + i), NULL);

                if (memcmp(table, signature, 4) == 0)
                        return table;
        }
        return NULL;
}

static const uint8_t *find_dsdt(const Fixture *f) {
        const uint8_t *fadt = find_table(f, "FACP");

        assert_non_null(fadt);
        return checked_table(f, le64_load(fadt + 140), "DSDT");
}

static bool dsdt_has(const Fixture *f, const char *name) {
        const uint8_t *dsdt = find_dsdt(f);

        return memmem(dsdt, le32_load(dsdt + 4), name, 4) != NULL;
}

static void write_tables(Fixture *f) {
        gpa_t rsdp = 0;

        assert_int_equal(acpi_write(f->mem, &f->board, &rsdp), 0);
        assert_int_equal(rsdp, MEMMAP_ACPI_BASE);
}

static void test_every_table_is_listed_and_sums_to_zero(void **state) {
        Fixture *f = *state;

        write_tables(f);
        assert_non_null(find_table(f, "FACP"));
        assert_non_null(find_table(f, "APIC"));
        assert_non_null(find_table(f, "MCFG"));
        assert_non_null(find_table(f, "WDAT"));
        assert_non_null(find_dsdt(f));
}

static void test_the_fadt_agrees_with_the_port_map(void **state) {
        Fixture *f = *state;
        const uint8_t *fadt;

        write_tables(f);
        fadt = find_table(f, "FACP");
        assert_int_equal(le32_load(fadt + 4), 276);
        assert_int_equal(le16_load(fadt + 46), GSI_SCI);
        assert_int_equal(le32_load(fadt + 56), IOPORT_PM_BASE);
        assert_int_equal(le32_load(fadt + 64), IOPORT_PM_CONTROL);
        assert_int_equal(le32_load(fadt + 76), IOPORT_PM_TIMER);
        assert_int_equal(le32_load(fadt + 80), IOPORT_PM_GPE0);
        assert_int_equal(le64_load(fadt + 120), IOPORT_RESET_CONTROL);
        assert_int_equal(fadt[128], 6);
        assert_int_equal(le32_load(fadt + 40), le64_load(fadt + 140)); /* both DSDT fields */
        /* Each block says the same in its old field and in its address structure. */
        assert_int_equal(le64_load(fadt + 148 + 4), le32_load(fadt + 56));
        assert_int_equal(fadt[148 + 1], fadt[88] * 8);
        assert_int_equal(le64_load(fadt + 172 + 4), le32_load(fadt + 64));
        assert_int_equal(fadt[172 + 1], fadt[89] * 8);
        assert_int_equal(le64_load(fadt + 208 + 4), le32_load(fadt + 76));
        assert_int_equal(fadt[208 + 1], fadt[91] * 8);
        assert_int_equal(le64_load(fadt + 220 + 4), le32_load(fadt + 80));
        assert_int_equal(fadt[220 + 1], fadt[92] * 8);
}

static void test_the_facs_is_aligned_and_bears_its_name(void **state) {
        Fixture *f = *state;
        uint32_t facs;

        write_tables(f);
        facs = le32_load(find_table(f, "FACP") + 36);
        assert_int_equal(facs % 64, 0);
        assert_memory_equal(at(f, facs, 64), "FACS", 4);
        assert_int_equal(le32_load(at(f, facs, 64) + 4), 64);
}

static void test_the_madt_has_one_enabled_apic_for_each_vcpu(void **state) {
        Fixture *f = *state;
        const uint8_t *madt;
        unsigned n_apics = 0, n_io = 0;

        f->board.n_vcpus = HV_VCPUS_MAX;
        write_tables(f);
        madt = find_table(f, "APIC");
        assert_int_equal(le32_load(madt + 36), MEMMAP_LAPIC_BASE);
        for (uint32_t i = 44; i < le32_load(madt + 4); i += madt[i + 1]) {
                assert_in_range(madt[i + 1], 6, 64);
                if (madt[i] == 0) {
                        assert_int_equal(madt[i + 2], n_apics);
                        assert_int_equal(madt[i + 3], n_apics);
                        assert_int_equal(le32_load(madt + i + 4), 1);
                        n_apics++;
                } else if (madt[i] == 1) {
                        assert_int_equal(le32_load(madt + i + 4), MEMMAP_IOAPIC_BASE);
                        n_io++;
                } else if (madt[i] == 2 && madt[i + 3] == GSI_SCI) {
                        assert_int_equal(le16_load(madt + i + 8), 0xd); /* level, active high */
                }
        }
        assert_int_equal(n_apics, HV_VCPUS_MAX);
        assert_int_equal(n_io, 1);
}

static void test_the_mcfg_covers_the_buses_of_the_map(void **state) {
        Fixture *f = *state;
        const uint8_t *mcfg;

        write_tables(f);
        mcfg = find_table(f, "MCFG");
        assert_int_equal(le64_load(mcfg + 44), MEMMAP_ECAM_BASE);
        assert_int_equal((mcfg[55] + 1) * UINT64_C(0x100000), MEMMAP_ECAM_SIZE);
}

static void test_what_the_board_lacks_is_not_declared(void **state) {
        Fixture *f = *state;

        write_tables(f);
        assert_true(dsdt_has(f, "COM4"));
        assert_true(dsdt_has(f, "RTC_"));
        assert_true(dsdt_has(f, "KBD_"));
        assert_true(dsdt_has(f, "PEVT"));
        assert_int_equal(le16_load(find_table(f, "FACP") + 109) & 0x22, 0x02);

        f->board = (BoardInfo){.n_vcpus = 1, .com = {true}};
        write_tables(f);
        assert_true(dsdt_has(f, "COM1"));
        assert_false(dsdt_has(f, "COM2"));
        assert_false(dsdt_has(f, "RTC_"));
        assert_false(dsdt_has(f, "KBD_"));
        assert_false(dsdt_has(f, "PEVT"));
        assert_null(find_table(f, "WDAT"));
        assert_int_equal(le16_load(find_table(f, "FACP") + 109) & 0x22, 0x20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_every_table_is_listed_and_sums_to_zero),
                TEST(test_the_fadt_agrees_with_the_port_map),
                TEST(test_the_facs_is_aligned_and_bears_its_name),
                TEST(test_the_madt_has_one_enabled_apic_for_each_vcpu),
                TEST(test_the_mcfg_covers_the_buses_of_the_map),
                TEST(test_what_the_board_lacks_is_not_declared),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
