/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "vmm/boot/acpi.h"
#include "vmm/boot/smbios.h"
#include "vmm/mem/memmap.h"

/* The first structure of @type, found as a guest finds it; NULL when there is none before the end. */
static const uint8_t *find(const GuestMem *mem, uint8_t type, const char **ret_strings) {
        const uint8_t *entry = guest_mem_ptr(mem, MEMMAP_SMBIOS_BASE, 24), *p, *end;

        assert_memory_equal(entry, "_SM3_", 5);
        assert_int_equal(entry[6], 24);
        assert_int_equal(acpi_checksum(entry, 24), 0);
        p = guest_mem_ptr(mem, le64_load(entry + 16), le32_load(entry + 12));
        assert_non_null(p);
        end = p + le32_load(entry + 12);
        while (p < end) {
                const char *strings = (const char *) p + p[1];

                if (p[0] == type) {
                        if (ret_strings)
                                *ret_strings = strings;
                        return p;
                }
                assert_int_not_equal(p[0], 127);
                while (strings[0] != '\0' || strings[1] != '\0')
                        strings++;
                p = (const uint8_t *) strings + 2;
        }
        return NULL;
}

static bool ends_with_127(const GuestMem *mem) {
        const uint8_t *end = find(mem, 127, NULL);

        return end && end[1] == 4;
}

static const VmmSmbios smbios = {
        .uuid = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd,
                 0xee, 0xff},
};
static const BoardInfo board = {
        .n_vcpus = 4,
        .threads_per_core = 2,
        .smbios = &smbios,
};

static void test_the_machine_names_itself(void **state) {
        static const uint8_t uuid[] = {0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66,
                                       0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        const char *strings;
        const uint8_t *p;

        assert_int_equal(guest_mem_new(64 << 20, &mem), 0);
        assert_int_equal(smbios_write(mem, &board), 0);
        p = find(mem, 1, &strings);
        assert_non_null(p);
        assert_string_equal(strings, "Vivarium");
        assert_string_equal(strings + strlen(strings) + 1, "Virtual Machine");
        assert_memory_equal(p + 8, uuid, 16);
        assert_non_null(find(mem, 0, NULL));
        assert_non_null(find(mem, 3, NULL));
        assert_true(ends_with_127(mem));
}

static void test_processors_and_memory_are_counted(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        const uint8_t *p;

        assert_int_equal(guest_mem_new(UINT64_C(6) << 30, &mem), 0);
        assert_int_equal(smbios_write(mem, &board), 0);
        p = find(mem, 4, NULL);
        assert_int_equal(p[0x23], 2); /* cores */
        assert_int_equal(p[0x25], 4); /* threads */
        p = find(mem, 17, NULL);
        assert_int_equal(le16_load(p + 0x0c), 6144); /* MiB */
        p = find(mem, 19, NULL);
        assert_int_equal(le32_load(p + 8), (UINT32_C(3) << 20) - 1); /* last KiB below the hole */
}

static void test_memory_beyond_32_gib_uses_the_wide_fields(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        const uint8_t *p;

        if (guest_mem_new(UINT64_C(48) << 30, &mem) < 0)
                skip(); /* address space of the test is limited */
        assert_int_equal(smbios_write(mem, &board), 0);
        p = find(mem, 17, NULL);
        assert_int_equal(le16_load(p + 0x0c), 0x7fff);
        assert_int_equal(le32_load(p + 0x1c), 48 << 10);
}

static void test_oem_strings_are_told_in_order(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        _cleanup_(strvec_deinit) StrVec strings = {0};
        BoardInfo with = board;
        const char *text;

        assert_int_equal(guest_mem_new(64 << 20, &mem), 0);
        assert_int_equal(smbios_write(mem, &with), 0);
        assert_true(ends_with_127(mem));

        assert_int_equal(strvec_add(&strings, "io.systemd.credential:a=b"), 0);
        assert_int_equal(strvec_add(&strings, "second"), 0);
        with.oem_strings = &strings;
        assert_int_equal(smbios_write(mem, &with), 0);
        assert_int_equal(find(mem, 11, &text)[4], 2);
        assert_string_equal(text, "io.systemd.credential:a=b");
        assert_string_equal(text + strlen(text) + 1, "second");
}

static void test_oem_strings_have_limits(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        _cleanup_(strvec_deinit) StrVec many = {0}, large = {0}, empty = {0};
        _cleanup_(freep) char *text = malloc(70000);
        BoardInfo with = board;

        assert_non_null(text);
        assert_int_equal(guest_mem_new(64 << 20, &mem), 0);
        for (unsigned i = 0; i < 255; i++)
                assert_int_equal(strvec_add(&many, "x"), 0);
        with.oem_strings = &many;
        assert_int_equal(smbios_write(mem, &with), 0);
        assert_int_equal(strvec_add(&many, "x"), 0);
        assert_int_equal(smbios_write(mem, &with), -ENOSPC);

        memset(text, 'x', 69999);
        text[69999] = '\0';
        assert_int_equal(strvec_add(&large, text), 0);
        with.oem_strings = &large;
        assert_int_equal(smbios_write(mem, &with), -ENOSPC);

        assert_int_equal(strvec_add(&empty, ""), 0);
        with.oem_strings = &empty;
        assert_int_equal(smbios_write(mem, &with), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_machine_names_itself),
                cmocka_unit_test(test_processors_and_memory_are_counted),
                cmocka_unit_test(test_memory_beyond_32_gib_uses_the_wide_fields),
                cmocka_unit_test(test_oem_strings_are_told_in_order),
                cmocka_unit_test(test_oem_strings_have_limits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
