/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "config/cpu_set.h"

static void test_lists_are_read_and_written_in_their_shortest_form(void **state) {
        static const struct {
                const char *text, *shortest;
                unsigned n;
        } lists[] = {
                {"0", "0", 1},
                {"3,1,2", "1-3", 3},
                {"0-1,4", "0-1,4", 3},
                {"0,0,0-2", "0-2", 3},
                {"62-65,1023", "62-65,1023", 5},
        };

        for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
                _cleanup_(strbuf_deinit) StrBuf buf = {0};
                _cleanup_(freep) char *text = NULL;
                CpuSet set;

                assert_int_equal(cpu_set_parse(lists[i].text, &set, NULL), 0);
                assert_int_equal(cpu_set_count(&set), lists[i].n);
                cpu_set_append(&set, &buf);
                assert_int_equal(strbuf_finish(&buf, &text), 0);
                assert_string_equal(text, lists[i].shortest);
        }
}

static void test_anything_else_is_refused_and_leaves_the_set_alone(void **state) {
        static const char *const bad[] = {
                "",
                ",",
                "0,",
                ",0",
                "1-",
                "-1",
                "2-1",
                "a",
                "0 ",
                " 0",
                "1024",
                "0x1",
                "0-1-2",
                "+1",
                "0;1",
                "0-1024",
                "99999999999999999999",
                "4294967296",
        };
        CpuSet set = {{7}};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(text_error_deinit) TextError error = {0};

                assert_int_equal(cpu_set_parse(bad[i], &set, &error), -EINVAL);
                assert_non_null(strstr(error.message, "expected processors"));
                assert_int_equal(set.words[0], 7);
        }
}

static void test_the_members_are_found_in_order(void **state) {
        CpuSet set = {0};

        assert_int_equal(cpu_set_next(&set, 0), CPU_SET_MAX);
        cpu_set_put(&set, 64);
        cpu_set_put(&set, CPU_SET_MAX - 1);
        assert_int_equal(cpu_set_next(&set, 0), 64);
        assert_int_equal(cpu_set_next(&set, 65), CPU_SET_MAX - 1);
        assert_int_equal(cpu_set_next(&set, CPU_SET_MAX), CPU_SET_MAX);
        assert_false(cpu_set_has(&set, CPU_SET_MAX + 64));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lists_are_read_and_written_in_their_shortest_form),
                cmocka_unit_test(test_anything_else_is_refused_and_leaves_the_set_alone),
                cmocka_unit_test(test_the_members_are_found_in_order),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
