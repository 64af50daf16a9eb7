/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>

#include "base/cleanup.h"
#include "service/vm/death.h"

static DeathReason decide(DeathFacts facts) {
        if (!facts.failure_text)
                facts.failure_text = "";
        return death_decide(&facts);
}

static void test_a_failed_start_is_told_from_one_that_was_called_off(void **state) {
        assert_int_equal(decide((DeathFacts){.exit = EXIT_NEVER_RAN}), DEATH_START_FAILED);
        assert_int_equal(decide((DeathFacts){.exit = EXIT_NEVER_RAN, .kill_sent = true}),
                         DEATH_KILLED);
}

static void test_an_unknown_end_is_not_guessed(void **state) {
        DeathFacts facts = {.exit = EXIT_WAIT_FAILED,
                            .failure_text = "MICRODROID_PAYLOAD_HAS_CHANGED"};

        assert_int_equal(decide(facts), DEATH_INFRASTRUCTURE_ERROR);
        facts.exit = EXIT_UNSEEN;
        assert_int_equal(decide(facts), DEATH_LOST);
}

static void test_the_guest_s_word_wins_over_any_end(void **state) {
        static const ExitKind ends[] = {EXIT_STATUS, EXIT_SIGNAL};

        for (size_t i = 0; i < ELEMENTSOF(ends); i++)
                assert_int_equal(
                        decide((DeathFacts){.exit = ends[i],
                                            .status = SIGKILL,
                                            .kill_sent = true,
                                            .failure_text = "MICRODROID_PAYLOAD_HAS_CHANGED"}),
                        DEATH_MICRODROID_PAYLOAD_HAS_CHANGED);
}

static void test_a_hang_up_counts_only_if_the_guest_was_silent(void **state) {
        DeathFacts facts = {
                .exit = EXIT_SIGNAL, .status = SIGKILL, .kill_sent = true, .payload_hangup = true};

        assert_int_equal(decide(facts), DEATH_HANGUP);
        facts.failure_text = "something";
        assert_int_equal(decide(facts), DEATH_KILLED);
        facts.failure_text = "HANGUP";
        facts.payload_hangup = false;
        assert_int_equal(decide(facts), DEATH_KILLED);
}

static void test_who_sent_sigkill_makes_the_difference(void **state) {
        DeathFacts facts = {.exit = EXIT_SIGNAL, .status = SIGKILL};

        assert_int_equal(decide(facts), DEATH_VMM_CRASH);
        facts.oom_kill = true;
        assert_int_equal(decide(facts), DEATH_OUT_OF_MEMORY);
        facts.kill_sent = true;
        assert_int_equal(decide(facts), DEATH_KILLED);
        /* It was to be killed, but crashed first. */
        facts.status = SIGSEGV;
        assert_int_equal(decide(facts), DEATH_VMM_CRASH);
        facts.status = SIGSYS;
        assert_int_equal(decide(facts), DEATH_VMM_SECCOMP);
}

static void test_the_forbidden_call_is_that_of_the_last_words(void **state) {
        static const struct {
                const char *log, *call;
        } cases[] = {
                {"", ""},
                {"' may not call ", ""},
                {"vivarium-vmm: seccomp: thread 'loop' may not call ptrace (101)\n", "ptrace"},
                {"thread 'a' may not call openat (257)\nthread 'b' may not call io_uring_setup",
                 "io_uring_setup"},
                {"' may not call \x1b[2J", ""},
                {"' may not call a_name_that_no_system_call_ever_had_nor_will", ""},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char call[DEATH_CALL_MAX];

                death_find_system_call(cases[i].log, strlen(cases[i].log), call);
                assert_string_equal(call, cases[i].call);
        }
}

static void test_an_exit_status_counts_even_if_a_kill_was_under_way(void **state) {
        assert_int_equal(decide((DeathFacts){.exit = EXIT_STATUS, .status = 0, .kill_sent = true}),
                         DEATH_SHUTDOWN);
}

static void test_names_and_numbers_are_the_documented_ones(void **state) {
        assert_string_equal(death_reason_to_string(17), "WATCHDOG_REBOOT");
        assert_string_equal(death_reason_to_string(104), "VMM_SECCOMP");
        assert_string_equal(death_reason_to_string(0), "INFRASTRUCTURE_ERROR");
        assert_string_equal(stop_requester_to_string(STOP_BY_DISCONNECT), "disconnect");
}

static void check_split(const char *raw, size_t len, const char *text, const char *info) {
        _cleanup_(freep) char *got_text = NULL, *got_info = NULL;

        assert_int_equal(death_split_failure(raw, len, &got_text, &got_info), 0);
        assert_string_equal(got_text, text);
        assert_string_equal(got_info, info);
}

static void test_failure_text_ends_at_the_first_bar_and_is_trimmed(void **state) {
        check_split(NULL, 0, "", "");
        check_split("A", 1, "A", "");
        check_split("A\r\n", 3, "A", "");
        check_split(" A | b | c \n", 12, "A", "b | c");
        check_split("|x", 2, "", "x");
        check_split("A|", 2, "A", "");
        check_split("\0A\0|\xff", 5, "A", "\xef\xbf\xbd");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_failed_start_is_told_from_one_that_was_called_off),
                cmocka_unit_test(test_an_unknown_end_is_not_guessed),
                cmocka_unit_test(test_the_guest_s_word_wins_over_any_end),
                cmocka_unit_test(test_a_hang_up_counts_only_if_the_guest_was_silent),
                cmocka_unit_test(test_who_sent_sigkill_makes_the_difference),
                cmocka_unit_test(test_the_forbidden_call_is_that_of_the_last_words),
                cmocka_unit_test(test_an_exit_status_counts_even_if_a_kill_was_under_way),
                cmocka_unit_test(test_names_and_numbers_are_the_documented_ones),
                cmocka_unit_test(test_failure_text_ends_at_the_first_bar_and_is_trimmed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
