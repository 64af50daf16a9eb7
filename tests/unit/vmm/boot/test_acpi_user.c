/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/le.h"
#include "vmm/boot/acpi.h"

#define LEN 43u

/* A table of @len bytes with a checksum that fits. */
static void make(uint8_t *table, size_t len, const char *signature) {
        memset(table, 0x5a, len);
        memcpy(table, signature, 4);
        le32_store(table + 4, (uint32_t) len);
        table[9] = 0;
        table[9] = acpi_checksum(table, len);
}

static void test_a_table_is_taken_as_it_is(void **state) {
        uint8_t table[LEN];

        make(table, LEN, "SSDT");
        assert_int_equal(acpi_check_user_table(table, LEN, NULL), 0);
        make(table, ACPI_HEADER_SIZE, "OEM1");
        assert_int_equal(acpi_check_user_table(table, ACPI_HEADER_SIZE, NULL), 0);
}

static void test_what_is_no_table_is_refused(void **state) {
        uint8_t table[LEN];

        make(table, LEN, "SSDT");
        for (size_t len = 0; len < LEN; len++)
                assert_int_equal(acpi_check_user_table(table, len, NULL), -EINVAL);
        for (size_t i = 0; i < LEN; i++) {
                make(table, LEN, "SSDT");
                table[i] ^= 1;
                assert_int_equal(acpi_check_user_table(table, LEN, NULL), -EINVAL);
        }
        make(table, LEN, "ss\nt");
        assert_int_equal(acpi_check_user_table(table, LEN, NULL), -EINVAL);
}

static void test_the_boards_own_tables_are_not_doubled(void **state) {
        static const char own[][5] = {"RSDT", "XSDT", "FACP", "FACS",
                                      "DSDT", "APIC", "MCFG", "WDAT"};
        uint8_t table[LEN];

        for (size_t i = 0; i < ELEMENTSOF(own); i++) {
                make(table, LEN, own[i]);
                assert_int_equal(acpi_check_user_table(table, LEN, NULL), -EINVAL);
        }
}

static int load(const void *data, size_t len, AcpiUserTables *ret) {
        _cleanup_(fd_closep) int fd =
                memfd_create("table", 0); /* inherited, as a caller's would be */
        _cleanup_(strvec_deinit) StrVec paths = {0};

        assert_true(fd >= 0);
        assert_int_equal(write(fd, data, len), len);
        assert_int_equal(strvec_addf(&paths, "/proc/self/fd/%d", fd), 0);
        return acpi_user_tables_load(&paths, ret, NULL);
}

static void test_files_are_read_and_listed(void **state) {
        _cleanup_(acpi_user_tables_deinit) AcpiUserTables tables = {0};
        _cleanup_(acpi_image_deinit) AcpiImage with = {0}, without = {0};
        BoardInfo board = {.n_vcpus = 1};
        uint8_t table[LEN];

        make(table, LEN, "SSDT");
        assert_int_equal(load(table, LEN, &tables), 0);
        assert_int_equal(acpi_image_build(&board, 0, &without), 0);
        board.acpi_tables = &tables;
        assert_int_equal(acpi_image_build(&board, 0, &with), 0);
        assert_int_equal(with.n_tables, without.n_tables + 1);
        assert_non_null(memmem(with.bytes.data, with.bytes.len, table, LEN));
}

static void test_a_huge_file_is_refused(void **state) {
        _cleanup_(acpi_user_tables_deinit) AcpiUserTables tables = {0};
        static uint8_t huge[0x8001];

        make(huge, sizeof(huge), "SSDT");
        assert_int_equal(load(huge, sizeof(huge), &tables), -EFBIG);
        assert_int_equal(tables.n, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_table_is_taken_as_it_is),
                cmocka_unit_test(test_what_is_no_table_is_refused),
                cmocka_unit_test(test_the_boards_own_tables_are_not_doubled),
                cmocka_unit_test(test_files_are_read_and_listed),
                cmocka_unit_test(test_a_huge_file_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
