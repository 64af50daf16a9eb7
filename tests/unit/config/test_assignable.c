/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/str.h"
#include "config/assignable.h"

static void test_a_list_is_read_in_its_order(void **state) {
        _cleanup_(assignable_list_deinit) AssignableList list = {0};

        assert_int_equal(
                assignable_parse("{\"devices\":[{\"sysfs_path\":\"/sys/a\",\"kind\":\"x\"},"
                                 "{\"sysfs_path\":\"/sys/b\"}]}",
                                 &list, NULL),
                0);
        assert_int_equal(list.n, 2);
        assert_string_equal(list.items[0].path, "/sys/a");
        assert_string_equal(list.items[0].kind, "x");
        assert_string_equal(list.items[1].path, "/sys/b");
        assert_string_equal(list.items[1].kind, "");
}

static void test_an_empty_list_is_one(void **state) {
        _cleanup_(assignable_list_deinit) AssignableList list = {0};

        assert_int_equal(assignable_parse("{\"devices\":[]}", &list, NULL), 0);
        assert_int_equal(list.n, 0);
        assignable_list_deinit(&list);
        assert_int_equal(assignable_parse("{}", &list, NULL), 0);
        assert_int_equal(list.n, 0);
}

static void test_what_is_wrong_is_told_with_its_place(void **state) {
        static const struct {
                const char *json, *words;
        } cases[] = {
                {"", ""},
                {"[]", "expected an object"},
                {"{\"device\":[]}", "device"},
                {"{\"devices\":[{}]}", "devices[0]: \"sysfs_path\" is missing"},
                {"{\"devices\":[{\"sysfs_path\":\"sys/a\"}]}",
                 "devices[0].sysfs_path: expected a path"},
                {"{\"devices\":[{\"sysfs_path\":\"/a\",\"kind\":1}]}", "devices[0].kind"},
                {"{\"devices\":[{\"sysfs_path\":\"/a\",\"dtbo_label\":\"x\"}]}",
                 "devices[0].dtbo_label"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(text_error_deinit) TextError error = {0};
                AssignableList list;

                assert_int_equal(assignable_parse(cases[i].json, &list, &error), -EINVAL);
                if (!strstr(error.message, cases[i].words))
                        fail_msg("%s: %s", cases[i].json, error.message);
        }
}

static void test_a_list_has_an_end(void **state) {
        _cleanup_(strbuf_deinit) StrBuf text = {0};
        AssignableList list;

        strbuf_append(&text, "{\"devices\":[{\"sysfs_path\":\"/a\"}");
        for (unsigned i = 0; i < ASSIGNABLE_MAX; i++)
                strbuf_append(&text, ",{\"sysfs_path\":\"/a\"}");
        strbuf_append(&text, "]}");
        assert_int_equal(assignable_parse(text.data, &list, NULL), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_list_is_read_in_its_order),
                cmocka_unit_test(test_an_empty_list_is_one),
                cmocka_unit_test(test_what_is_wrong_is_told_with_its_place),
                cmocka_unit_test(test_a_list_has_an_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
