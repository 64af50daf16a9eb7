/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/le.h"
#include "vmm/boot/acpi.h"
#include "vmm/mem/memmap.h"

static void test_every_entry_is_a_register_of_the_watchdog(void **state) {
        _cleanup_(strbuf_deinit) StrBuf table = {0};
        const uint8_t *p;
        uint32_t n;

        acpi_build_wdat(&table);
        assert_false(table.failed);
        p = (const uint8_t *) table.data;
        assert_int_equal(acpi_checksum(p, table.len), 0);
        assert_int_equal(le32_load(p + 36), 32);
        assert_int_equal(le16_load(p + 40), 0xff); /* drivers compare with this value */
        assert_int_equal(le32_load(p + 48), WATCHDOG_PERIOD_MSEC);
        assert_int_equal(le32_load(p + 52), WATCHDOG_COUNT_MAX);
        assert_int_equal(le32_load(p + 56), WATCHDOG_COUNT_MIN);
        n = le32_load(p + 64);
        assert_int_equal(table.len, 68 + n * 24);
        for (uint32_t i = 0; i < n; i++) {
                const uint8_t *entry = p + 68 + i * 24;

                assert_int_equal(entry[4], 1); /* a port, of 32 bits */
                assert_int_equal(entry[7], 3);
                assert_in_range(le64_load(entry + 8), IOPORT_WATCHDOG,
                                IOPORT_WATCHDOG + WATCHDOG_REGS_SIZE - 4);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_entry_is_a_register_of_the_watchdog),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
