/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/balloon_message.h"

static BalloonCommand parse(const char *json) {
        _cleanup_(text_error_deinit) TextError error = {0};
        BalloonCommand command;
        int r = balloon_command_parse(json, &command, &error);

        if (r < 0)
                fail_msg("%s: %s", json, text_error_message(&error, r));
        return command;
}

static void test_commands_are_crosvms(void **state) {
        BalloonCommand command =
                parse("{\"Adjust\":{\"num_bytes\":1048576,\"allow_failure\":true}}");

        assert_int_equal(command.kind, BALLOON_ADJUST);
        assert_int_equal(command.bytes, 1048576);
        assert_true(command.allow_failure);
        assert_int_equal(parse("\"Stats\"").kind, BALLOON_STATS);
        assert_int_equal(parse("\"WorkingSet\"").kind, BALLOON_WORKING_SET);
        command = parse("{\"WorkingSetConfig\":{\"bins\":[1,2,3],\"refresh_threshold\":1,"
                        "\"report_threshold\":2}}");
        assert_int_equal(command.kind, BALLOON_WORKING_SET_CONFIG);
}

static void test_anything_else_is_refused_by_what_is_wrong(void **state) {
        static const struct {
                const char *json, *sentence;
        } cases[] = {
                {"", "ends early"},
                {"null", "expected"},
                {"7", "expected"},
                {"{}", "expected one command"},
                {"\"Adjust\"", "expected"},
                {"\"Ready\"", "expected"},
                {"{\"Stats\":null}", "Stats"},
                {"{\"Adjust\":{\"num_bytes\":1}}", "\"allow_failure\" is missing"},
                {"{\"Adjust\":{\"allow_failure\":true}}", "\"num_bytes\" is missing"},
                {"{\"Adjust\":{\"num_bytes\":-1,\"allow_failure\":true}}", "num_bytes"},
                {"{\"Adjust\":{\"num_bytes\":1,\"allow_failure\":1}}", "allow_failure"},
                {"{\"Adjust\":{\"num_bytes\":1,\"allow_failure\":true,\"more\":1}}", "more"},
                {"{\"Adjust\":{\"num_bytes\":1,\"allow_failure\":true},"
                 "\"WorkingSetConfig\":{\"bins\":[],\"refresh_threshold\":1,"
                 "\"report_threshold\":2}}",
                 "expected one command"},
                {"{\"WorkingSetConfig\":{\"bins\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"
                 "\"refresh_threshold\":1,\"report_threshold\":2}}",
                 "bins"},
                {"{\"WorkingSetConfig\":{\"bins\":[4294967296],\"refresh_threshold\":1,"
                 "\"report_threshold\":2}}",
                 "bins"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(text_error_deinit) TextError error = {0};
                BalloonCommand command;
                int r = balloon_command_parse(cases[i].json, &command, &error);

                assert_int_equal(r, -EINVAL);
                if (!strstr(text_error_message(&error, r), cases[i].sentence))
                        fail_msg("%s: expected \"%s\", not \"%s\"", cases[i].json,
                                 cases[i].sentence, text_error_message(&error, r));
        }
}

static void test_results_are_crosvms(void **state) {
        static const struct {
                BalloonResult result;
                const char *json;
        } cases[] = {
                {{.kind = BALLOON_READY}, "\"Ready\""},
                {{.kind = BALLOON_NOT_READY}, "\"NotReady\""},
                {{.kind = BALLOON_ADJUSTED, .bytes = 4096}, "{\"Adjusted\":{\"num_bytes\":4096}}"},
                {{.kind = BALLOON_HAS_STATS,
                  .stats = {.swap_in = 1, .free_memory = CONTROL_UNKNOWN, .balloon_actual = 8192}},
                 "{\"Stats\":{\"stats\":{\"swap_in\":1,\"swap_out\":0,\"major_faults\":0,"
                 "\"minor_faults\":0,\"free_memory\":null,\"total_memory\":0,"
                 "\"available_memory\":0,\"disk_caches\":0,\"hugetlb_allocations\":0,"
                 "\"hugetlb_failures\":0,\"shared_memory\":0,\"unevictable_memory\":0},"
                 "\"balloon_actual\":8192}}"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(freep) char *json = NULL;

                assert_int_equal(balloon_result_format(&cases[i].result, &json), 0);
                assert_string_equal(json, cases[i].json);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_commands_are_crosvms),
                cmocka_unit_test(test_anything_else_is_refused_by_what_is_wrong),
                cmocka_unit_test(test_results_are_crosvms),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
