/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "dbus/client/record.h"

static Value *new_record(const char *reason, int code) {
        Value *record, *number;

        assert_int_equal(value_new(VALUE_OBJECT, &record), 0);
        assert_int_equal(value_add_string(record, "reason", reason), 0);
        assert_int_equal(value_new(VALUE_INT, &number), 0);
        number->integer = code;
        assert_int_equal(value_append_consume(record, "code", number), 0);
        return record;
}

static void expect_block(const Value *record, bool tails, const char *expected) {
        _cleanup_(strbuf_deinit) StrBuf out = {0};
        _cleanup_(block_deinit) Block block = {0};

        assert_int_equal(
                tails ? record_describe_tails(record, &block) : record_describe(record, &block), 0);
        block_print(&block, &out);
        assert_string_equal(out.data ? out.data : "", expected);
}

static void test_the_headline_names_reason_time_and_meaning(void **state) {
        _cleanup_(value_freep) Value *record = new_record("SHUTDOWN", 3);
        _cleanup_(strbuf_deinit) StrBuf out = {0};

        assert_int_equal(value_add_uint(record, "run-time-usec", 9810000), 0);
        record_headline(record, &out);
        assert_string_equal(out.data, "SHUTDOWN after 9.81 s: the guest powered off");
}

static void test_a_vmm_that_was_told_to_stop_is_not_a_guest_that_powered_off(void **state) {
        static const struct {
                const char *step, *headline;
        } cases[] = {{"power-button", "SHUTDOWN: the guest powered off"},
                     {"vmm-stop", "SHUTDOWN: its VMM was told to stop"},
                     {"sigterm", "SHUTDOWN: its VMM was told to stop"}};

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(value_freep) Value *record = new_record("SHUTDOWN", 3);
                _cleanup_(strbuf_deinit) StrBuf out = {0};

                assert_int_equal(value_add_string(record, "stop-step", cases[i].step), 0);
                record_headline(record, &out);
                assert_string_equal(out.data, cases[i].headline);
        }
}

static void test_a_reason_this_version_does_not_know_is_still_named(void **state) {
        _cleanup_(value_freep) Value *record = new_record("NEW\x1bREASON", 999);
        _cleanup_(strbuf_deinit) StrBuf out = {0};

        record_headline(record, &out);
        assert_string_equal(out.data, "NEW?REASON");
}

static void test_what_applies_is_described_and_nothing_else(void **state) {
        _cleanup_(value_freep) Value *record = new_record("GUEST_PANIC", 100);

        expect_block(record, false, "");
        assert_int_equal(value_add_uint(record, "exit-status", 34), 0);
        assert_int_equal(value_add_string(record, "failure-text", "OOPS"), 0);
        assert_int_equal(value_add_string(record, "failure-info", "line\n2"), 0);
        assert_int_equal(value_add_uint(record, "guest-cpu-usec", 1500000), 0);
        assert_int_equal(value_add_uint(record, "rss-vmm-peak-bytes", 3355443), 0);
        assert_int_equal(value_add_uint(record, "rss-peak-bytes", 33554432), 0);
        expect_block(record, false,
                     "       VMM exit: status 34\n"
                     "Guest's failure: OOPS\n"
                     "Guest's details: line?2\n"
                     "      Guest CPU: 1.50 s\n"
                     "         Memory: 32.0 MiB at its peak\n"
                     "     VMM memory: 3.2 MiB at most, as sampled\n");
}

static void test_a_signal_goes_before_an_exit_status(void **state) {
        _cleanup_(value_freep) Value *record = new_record("VMM_CRASH", 102);

        assert_int_equal(value_add_uint(record, "exit-signal", 11), 0);
        assert_int_equal(value_add_string(record, "stop-requested-by", "disconnect"), 0);
        expect_block(record, false,
                     "        VMM exit: SIGSEGV (11)\n"
                     "End asked for by: its creator, by leaving the bus\n");
}

static void test_who_asked_for_the_end_and_what_brought_it_are_told_in_words(void **state) {
        static const struct {
                const char *by, *step, *expected;
        } cases[] = {
                {"client", "power-button",
                 "End asked for by: user root, process 7\n"
                 "      Stopped by: the guest's power button\n"},
                {"drain", "sigkill",
                 "End asked for by: a drain of the host: user root, process 7\n"
                 "      Stopped by: SIGKILL, when its time was up\n"},
                {"oracle", "magic",
                 "End asked for by: oracle: user root, process 7\n"
                 "      Stopped by: magic\n"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(value_freep) Value *record = new_record("SHUTDOWN", 3);

                assert_int_equal(value_add_string(record, "stop-requested-by", cases[i].by), 0);
                assert_int_equal(value_add_uint(record, "stop-requested-uid", 0), 0);
                assert_int_equal(value_add_uint(record, "stop-requested-pid", 7), 0);
                assert_int_equal(value_add_string(record, "stop-step", cases[i].step), 0);
                expect_block(record, false, cases[i].expected);
        }
}

static void test_the_call_that_a_filter_forbade_is_named(void **state) {
        _cleanup_(value_freep) Value *record = new_record("VMM_SECCOMP", 104);

        assert_int_equal(value_add_uint(record, "exit-signal", 31), 0);
        assert_int_equal(value_add_string(record, "system-call", "ptrace"), 0);
        expect_block(record, false, "VMM exit: SIGSYS (31), system call ptrace\n");
}

static void test_only_the_last_lines_of_a_tail_are_shown(void **state) {
        _cleanup_(value_freep) Value *record = new_record("CRASH", 6);

        assert_int_equal(
                value_add_string(record, "console-tail", "1\n2\n3\r\n4\n5\n6\n7\n8\n9\n10\n11\n12"),
                0);
        assert_int_equal(value_add_string(record, "stderr-tail", "only\n"), 0);
        expect_block(record, true,
                     "VMM's messages: only\n"
                     "       Console: 3\n"
                     "                4\n"
                     "                5\n"
                     "                6\n"
                     "                7\n"
                     "                8\n"
                     "                9\n"
                     "                10\n"
                     "                11\n"
                     "                12\n");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_headline_names_reason_time_and_meaning),
                cmocka_unit_test(test_a_vmm_that_was_told_to_stop_is_not_a_guest_that_powered_off),
                cmocka_unit_test(test_a_reason_this_version_does_not_know_is_still_named),
                cmocka_unit_test(test_what_applies_is_described_and_nothing_else),
                cmocka_unit_test(test_a_signal_goes_before_an_exit_status),
                cmocka_unit_test(test_who_asked_for_the_end_and_what_brought_it_are_told_in_words),
                cmocka_unit_test(test_the_call_that_a_filter_forbade_is_named),
                cmocka_unit_test(test_only_the_last_lines_of_a_tail_are_shown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
