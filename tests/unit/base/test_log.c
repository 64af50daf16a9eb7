/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/log.h"

static struct {
        unsigned lines;
        LogLevel level;
        char vm[32], text[4096];
} seen;

static void remember(LogLevel level, const char *vm, const char *line) {
        seen.lines++;
        seen.level = level;
        (void) snprintf(seen.vm, sizeof(seen.vm), "%s", vm ? vm : "");
        (void) snprintf(seen.text, sizeof(seen.text), "%s", line);
}

static int start_remembering(void **state) {
        memset(&seen, 0, sizeof(seen));
        log_set_sink(remember);
        log_set_level(LOG_LEVEL_INFO);
        return 0;
}

static void test_lines_below_the_level_never_reach_the_sink(void **state) {
        log_debug("quiet");
        assert_int_equal(seen.lines, 0);
        log_set_level(LOG_LEVEL_DEBUG);
        log_debug("loud %d", 7);
        assert_int_equal(seen.lines, 1);
        assert_int_equal(seen.level, LOG_LEVEL_DEBUG);
        assert_string_equal(seen.text, "loud 7");
}

static void test_the_longest_rule_for_a_file_decides(void **state) {
        static const LogRule rules[] = {
                {"virtio", LOG_LEVEL_WARNING},
                {"virtio::blk", LOG_LEVEL_DEBUG},
                {"vmm::hv", LOG_LEVEL_OFF},
        };

        log_set_rules(rules, ELEMENTSOF(rules));
        assert_true(log_enabled_at("vmm/virtio/blk.c", LOG_LEVEL_DEBUG));
        assert_true(log_enabled_at("vmm/virtio/net.c", LOG_LEVEL_WARNING));
        assert_false(log_enabled_at("vmm/virtio/net.c", LOG_LEVEL_INFO));
        assert_false(log_enabled_at("vmm/hv/kvm/exit.c", LOG_LEVEL_ERROR));
        assert_true(log_enabled_at("vmm/virtiofs/a.c", LOG_LEVEL_INFO)); /* another module */
        assert_true(log_enabled_at("vmm/main.c", LOG_LEVEL_INFO));
        assert_false(log_enabled_at("vmm/main.c", LOG_LEVEL_DEBUG));
        log_set_rules(NULL, 0);
        assert_false(log_enabled_at("vmm/virtio/blk.c", LOG_LEVEL_DEBUG));
}

static void test_control_characters_of_outside_text_are_replaced(void **state) {
        log_line(LOG_LEVEL_ERROR, "vm1", "name %s", "a\nb\x1b[2J");
        assert_string_equal(seen.text, "name a?b?[2J");
        assert_string_equal(seen.vm, "vm1");
}

static void test_logging_keeps_errno_and_bounds_the_line(void **state) {
        static char longtext[5000];

        memset(longtext, 'x', sizeof(longtext) - 1);
        errno = ENOENT;
        log_info("%s", longtext);
        assert_int_equal(errno, ENOENT);
        assert_int_equal(strlen(seen.text), 2047);
}

static void test_level_names_read_back(void **state) {
        LogLevel level = LOG_LEVEL_ERROR;

        assert_int_equal(log_level_from_string("notice", &level), 0);
        assert_int_equal(level, LOG_LEVEL_NOTICE);
        assert_string_equal(log_level_to_string(level), "notice");
        assert_int_equal(log_level_from_string("loud", &level), -EINVAL);
        assert_int_equal(level, LOG_LEVEL_NOTICE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_lines_below_the_level_never_reach_the_sink,
                                       start_remembering),
                cmocka_unit_test_setup(test_the_longest_rule_for_a_file_decides, start_remembering),
                cmocka_unit_test_setup(test_control_characters_of_outside_text_are_replaced,
                                       start_remembering),
                cmocka_unit_test_setup(test_logging_keeps_errno_and_bounds_the_line,
                                       start_remembering),
                cmocka_unit_test_setup(test_level_names_read_back, start_remembering),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
