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

#define COMMAND_SIZE 128u
#define NAME_SIZE 56u
#define TABLES_GPA UINT64_C(0x7ff00040) /* where this test's firmware finds room */

enum { ALLOCATE = 1, ADD_POINTER = 2, ADD_CHECKSUM = 3 };

/* A firmware: copies the files, and does as the script says, and refuses what leads outside them. */
typedef struct Firmware {
        AcpiFiles files;
        uint8_t *tables, *rsdp;
        bool tables_placed, rsdp_placed;
} Firmware;

static int setup(void **state) {
        const BoardInfo board = {
                .n_vcpus = 3,
                .threads_per_core = 1,
                .firmware = true,
                .ecam_base = 0xb0000000,
                .ecam_size = 0x10000000,
                .com = {true},
                .rtc = true,
        };
        Firmware *f = calloc(1, sizeof(*f));

        if (!f || acpi_files_build(&board, &f->files) < 0)
                return -1;
        f->tables = malloc(f->files.tables.len);
        f->rsdp = malloc(f->files.rsdp.len);
        if (!f->tables || !f->rsdp)
                return -1;
        memcpy(f->tables, f->files.tables.data, f->files.tables.len);
        memcpy(f->rsdp, f->files.rsdp.data, f->files.rsdp.len);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Firmware *f = *state;

        acpi_files_deinit(&f->files);
        free(f->tables);
        free(f->rsdp);
        free(f);
        return 0;
}

static uint8_t *file_at(Firmware *f, const char *name, uint64_t offset, uint64_t len) {
        const bool tables = strcmp(name, ACPI_FILE_TABLES) == 0;
        const size_t size = tables ? f->files.tables.len : f->files.rsdp.len;

        if (!tables)
                assert_string_equal(name, ACPI_FILE_RSDP);
        assert_true(tables ? f->tables_placed : f->rsdp_placed);
        assert_true(offset <= size && len <= size - offset);
        return (tables ? f->tables : f->rsdp) + offset;
}

static void allocate(Firmware *f, const char *name, const uint8_t *rest) {
        const uint32_t align = le32_load(rest);
        const bool tables = strcmp(name, ACPI_FILE_TABLES) == 0;

        assert_true(align > 0 && (align & (align - 1)) == 0);
        assert_int_equal(rest[4], tables ? 1 : 2); /* anywhere, or where the anchor is looked for */
        assert_false(tables ? f->tables_placed : f->rsdp_placed);
        *(tables ? &f->tables_placed : &f->rsdp_placed) = true;
}

static void add_pointer(Firmware *f, const char *name, const uint8_t *rest) {
        const uint32_t offset = le32_load(rest + NAME_SIZE);
        const uint8_t size = rest[NAME_SIZE + 4];
        uint8_t *at = file_at(f, name, offset, size);

        assert_string_equal((const char *) rest, ACPI_FILE_TABLES);
        assert_true(size == 4 || size == 8);
        (void) file_at(f, ACPI_FILE_TABLES, size == 4 ? le32_load(at) : le64_load(at), 1);
        if (size == 4)
                le32_store(at, (uint32_t) (le32_load(at) + TABLES_GPA));
        else
                le64_store(at, le64_load(at) + TABLES_GPA);
}

static void add_checksum(Firmware *f, const char *name, const uint8_t *rest) {
        const uint32_t at = le32_load(rest), start = le32_load(rest + 4),
                       length = le32_load(rest + 8);
        const uint8_t *bytes = file_at(f, name, start, length);
        uint8_t sum = 0;

        assert_true(at >= start && at - start < length);
        assert_int_equal(*file_at(f, name, at, 1), 0);
        for (uint32_t i = 0; i < length; i++)
                sum = (uint8_t) (sum + bytes[i]);
        *file_at(f, name, at, 1) = (uint8_t) -sum;
}

static void follow(Firmware *f) {
        const uint8_t *script = (const uint8_t *) f->files.loader.data;

        assert_int_equal(f->files.loader.len % COMMAND_SIZE, 0);
        for (size_t i = 0; i < f->files.loader.len; i += COMMAND_SIZE) {
                const char *name = (const char *) script + i + 4;
                const uint8_t *rest = script + i + 4 + NAME_SIZE;

                assert_non_null(memchr(name, 0, NAME_SIZE));
                switch (le32_load(script + i)) {
                case ALLOCATE:
                        allocate(f, name, rest);
                        break;
                case ADD_POINTER:
                        add_pointer(f, name, rest);
                        break;
                case ADD_CHECKSUM:
                        add_checksum(f, name, rest);
                        break;
                default:
                        fail_msg("command %u", le32_load(script + i));
                }
        }
}

static uint8_t *checked_table(Firmware *f, uint64_t gpa, const char *signature) {
        uint8_t *table = file_at(f, ACPI_FILE_TABLES, gpa - TABLES_GPA, ACPI_HEADER_SIZE);

        (void) file_at(f, ACPI_FILE_TABLES, gpa - TABLES_GPA, le32_load(table + 4));
        if (signature)
                assert_memory_equal(table, signature, 4);
        assert_int_equal(acpi_checksum(table, le32_load(table + 4)), 0);
        return table;
}

/* Walks to the table of @signature as a system does; every table on the way is whole. */
static const uint8_t *find_table(Firmware *f, const char *signature) {
        const uint8_t *xsdt = checked_table(f, le64_load(f->rsdp + 24), "XSDT");

        for (unsigned at = ACPI_HEADER_SIZE; at < le32_load(xsdt + 4); at += 8) {
                const uint8_t *table = checked_table(f, le64_load(xsdt + at), NULL);

                if (memcmp(table, signature, 4) == 0)
                        return table;
        }
        fail_msg("there is no table %s", signature);
        return xsdt;
}

static void test_the_script_makes_tables_that_a_system_can_walk(void **state) {
        Firmware *f = *state;

        follow(f);
        assert_memory_equal(f->rsdp, "RSD PTR ", 8);
        assert_int_equal(acpi_checksum(f->rsdp, 20), 0);
        assert_int_equal(acpi_checksum(f->rsdp, ACPI_RSDP_SIZE), 0);
        (void) find_table(f, "APIC");
        (void) checked_table(f, le64_load(find_table(f, "FACP") + 140), "DSDT");
}

static void test_the_tables_say_where_the_firmware_put_ecam(void **state) {
        Firmware *f = *state;

        follow(f);
        assert_int_equal(le64_load(find_table(f, "MCFG") + 44), 0xb0000000);
}

static void test_pointers_and_sums_are_left_to_the_firmware(void **state) {
        Firmware *f = *state;

        assert_int_equal(f->rsdp[8], 0);
        assert_int_equal(f->rsdp[32], 0);
        assert_true(le64_load(f->rsdp + 24) < f->files.tables.len);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_the_script_makes_tables_that_a_system_can_walk),
                TEST(test_the_tables_say_where_the_firmware_put_ecam),
                TEST(test_pointers_and_sums_are_left_to_the_firmware),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
