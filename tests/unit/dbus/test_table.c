/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dbus/client/table.h"

static const TableColumn columns[] = {{"NAME", false}, {"CID", true}, {"OWNER", false}};

static void fill(Table *table) {
        assert_int_equal(table_add(table, "a"), 0);
        assert_int_equal(table_addf(table, "%d", 2048), 0);
        assert_int_equal(table_add(table, "root"), 0);
        assert_int_equal(table_add(table, "m\xc3\xa4hre\x1b"), 0);
        assert_int_equal(table_addf(table, "%d", 5), 0);
        assert_int_equal(table_add(table, ""), 0);
}

static void test_columns_are_aligned_below_their_titles(void **state) {
        _cleanup_(strbuf_deinit) StrBuf out = {0};
        _cleanup_(table_deinit) Table table;

        table_init(&table, columns, ELEMENTSOF(columns));
        fill(&table);
        assert_int_equal(table_rows(&table), 2);
        table_print(&table, true, &out);
        assert_string_equal(out.data, "NAME    CID OWNER\n"
                                      "a      2048 root\n"
                                      "m\xc3\xa4hre?    5 -\n");
}

static void test_without_legend_there_are_only_rows(void **state) {
        _cleanup_(strbuf_deinit) StrBuf out = {0};
        _cleanup_(table_deinit) Table table;

        table_init(&table, columns, ELEMENTSOF(columns));
        fill(&table);
        table_print(&table, false, &out);
        assert_string_equal(out.data, "a      2048 root\n"
                                      "m\xc3\xa4hre?    5 -\n");
}

static void test_colons_of_a_block_are_below_each_other(void **state) {
        _cleanup_(strbuf_deinit) StrBuf out = {0};
        _cleanup_(block_deinit) Block block = {0};

        assert_int_equal(block_add(&block, "Name", "a"), 0);
        assert_int_equal(block_addf(&block, "VMM exit", "status %d", 33), 0);
        assert_int_equal(block_add(&block, "", "more\tof it"), 0);
        assert_int_equal(block_add(&block, "Empty", ""), 0);
        block_print(&block, &out);
        assert_string_equal(out.data, "    Name: a\n"
                                      "VMM exit: status 33\n"
                                      "          more?of it\n"
                                      "   Empty: -\n");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_columns_are_aligned_below_their_titles),
                cmocka_unit_test(test_without_legend_there_are_only_rows),
                cmocka_unit_test(test_colons_of_a_block_are_below_each_other),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
