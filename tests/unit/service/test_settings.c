/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "service/settings.h"

#define HOST_MEMORY (UINT64_C(1000) << 20)

static int parse(const char *text, Settings *settings, const char *sentence) {
        _cleanup_(text_error_deinit) TextError error = {0};
        int r;

        assert_int_equal(settings_init(settings), 0);
        r = settings_parse(text, HOST_MEMORY, settings, &error);
        if (sentence)
                assert_string_equal(error.message, sentence);
        return r;
}

static void test_lines_set_what_they_name_and_nothing_else(void **state) {
        _cleanup_(settings_deinit) Settings settings = {0};
        Quota before;

        assert_int_equal(parse("", &settings, NULL), 0);
        before = settings.quota;
        assert_string_equal(settings.group, "vivarium");
        settings_deinit(&settings);
        assert_int_equal(
                parse("# comment\n\n  Group = kvm \r\n;x\nVmsPerUser=7\nFilesPerUser=infinity",
                      &settings, NULL),
                0);
        assert_string_equal(settings.group, "kvm");
        assert_int_equal(settings.quota.vms, 7);
        assert_true(settings.quota.files == QUOTA_UNLIMITED);
        assert_int_equal(settings.quota.records, before.records);
        assert_true(settings.quota.memory_bytes == before.memory_bytes);
}

static void test_memory_is_bytes_or_a_share_of_the_host(void **state) {
        _cleanup_(settings_deinit) Settings settings = {0};

        assert_int_equal(parse("MemoryPerUser=3G", &settings, NULL), 0);
        assert_true(settings.quota.memory_bytes == UINT64_C(3) << 30);
        settings_deinit(&settings);
        assert_int_equal(parse("MemoryPerUser=25%", &settings, NULL), 0);
        assert_true(settings.quota.memory_bytes == HOST_MEMORY / 4);
}

static void test_what_cannot_be_obeyed_is_refused_with_its_line(void **state) {
        static const char *const bad[][2] = {
                {"\nVmPerUser=1", "line 2: \"VmPerUser\" is not known"},
                {"Group", "line 1: \"Group\": expected KEY=VALUE"},
                {"VmsPerUser=-1", "line 1: VmsPerUser=-1: expected a number or \"infinity\""},
                {"VmsPerUser=10%", "line 1: VmsPerUser=10%: expected a number or \"infinity\""},
                {"VmsPerUser=", "line 1: VmsPerUser=: expected a number or \"infinity\""},
                {"MemoryPerUser=101%", "line 1: MemoryPerUser=101%: expected a number, one with K, "
                                       "M, G or T, a percentage or \"infinity\""},
                {"MemoryPerUser=99999999999T",
                 "line 1: MemoryPerUser=99999999999T: expected a number, one with K, M, G or T, a "
                 "percentage or \"infinity\""},
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(settings_deinit) Settings settings = {0};

                assert_int_equal(parse(bad[i][0], &settings, bad[i][1]), -EINVAL);
        }
}

static void test_a_file_that_is_not_there_changes_nothing(void **state) {
        _cleanup_(settings_deinit) Settings settings = {0};

        assert_int_equal(settings_init(&settings), 0);
        assert_int_equal(settings_load("/nonexistent/vivariumd.conf", &settings, NULL), 0);
        assert_string_equal(settings.group, "vivarium");
        assert_true(settings_load("/dev", &settings, NULL) < 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lines_set_what_they_name_and_nothing_else),
                cmocka_unit_test(test_memory_is_bytes_or_a_share_of_the_host),
                cmocka_unit_test(test_what_cannot_be_obeyed_is_refused_with_its_line),
                cmocka_unit_test(test_a_file_that_is_not_there_changes_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
