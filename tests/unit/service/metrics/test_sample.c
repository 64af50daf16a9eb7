/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/metrics/sample.h"

#define BEFORE_GUEST_TIME                                                                          \
        " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 "  \
        "32 33 34 35 36 37 38 39 "

static void test_guest_time_is_field_43_or_14_whatever_the_name(void **state) {
        static const char *const names[] = {"vmm", "a b", "x) S 1 2", ")", "", "((("};

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                char text[512];
                usec_t usec = 0;

                (void) snprintf(text, sizeof(text), "77 (%s)" BEFORE_GUEST_TIME "250 0 1\n",
                                names[i]);
                assert_int_equal(sample_parse_stat(text, false, 100, &usec), 0);
                assert_int_equal(usec, 2500000);
                assert_int_equal(sample_parse_stat(text, /* software= */ true, 100, &usec), 0);
                assert_int_equal(usec, 110000);
        }
}

static void test_malformed_stat_is_refused(void **state) {
        static const char *const texts[] = {"",
                                            "77 (a",
                                            "77 (a)",
                                            "77 (a) S 1 2 3",
                                            "77 (a)" BEFORE_GUEST_TIME "-5 0",
                                            "77 (a)" BEFORE_GUEST_TIME "99999999999999999999 0"};
        usec_t usec = 7;

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                assert_int_equal(sample_parse_stat(texts[i], false, 100, &usec), -EBADMSG);
        assert_int_equal(usec, 7);
}

static void test_guest_memory_is_told_from_the_vmm_s_own(void **state) {
        uint64_t guest = 0, vmm = 0, peak = 0;

        assert_int_equal(sample_parse_status("Name:\tVmRSS: 9 kB\nVmHWM:\t   190 kB\nVmRSS:\t   "
                                             " 100 kB\nRssAnon:\t 5 kB\nRssShmem:\t      60 kB\n",
                                             &guest, &vmm, &peak),
                         0);
        assert_int_equal(guest, 60 * 1024);
        assert_int_equal(vmm, 40 * 1024);
        assert_int_equal(peak, 190 * 1024);
        /* They are not read at one instant. */
        assert_int_equal(sample_parse_status("\nVmHWM:\t45 kB\nVmRSS:\t50 kB\nRssShmem:\t60 kB\n",
                                             &guest, &vmm, &peak),
                         0);
        assert_int_equal(guest, 50 * 1024);
        assert_int_equal(vmm, 0);
        assert_int_equal(peak, 50 * 1024);
}

static void test_a_zombie_has_no_memory(void **state) {
        uint64_t guest = 1, vmm = 2, peak = 3;

        assert_int_equal(sample_parse_status("Name:\tx\nState:\tZ (zombie)\n", &guest, &vmm, &peak),
                         -EBADMSG);
        assert_int_equal(guest, 1);
        assert_int_equal(vmm, 2);
        assert_int_equal(peak, 3);
}

static void test_this_process_can_be_sampled(void **state) {
        Usage usage = {0};

        assert_int_equal(sample_usage(getpid(), false, &usage), 0);
        assert_true(usage.rss_vmm_bytes > 0);
        assert_int_equal(usage.rss_vmm_peak_bytes, usage.rss_vmm_bytes);
        assert_true(usage.rss_peak_bytes >= usage.rss_vmm_bytes + usage.rss_guest_bytes);
}

static void test_a_mark_is_faults_and_resident_pages(void **state) {
        SampleMark mark = {1, 2};

        assert_int_equal(sample_parse_mark("77 (x) S 1 2 3 4 5 6 7 8", &mark), -EBADMSG);
        assert_int_equal(mark.faults, 1);
        assert_int_equal(sample_parse_mark("77 (x)" BEFORE_GUEST_TIME "250 0 1\n", &mark), 0);
        assert_int_equal(mark.faults, 7 + 9); /* the numbers of the text begin with field 4 */
        assert_int_equal(mark.resident_pages, 21);
}

/* A child that stands still until it is killed, and then is reaped. */
static pid_t start_still_child(void) {
        pid_t pid = fork();
        int status = 0;

        assert_true(pid >= 0);
        if (pid == 0) {
                (void) raise(SIGSTOP);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        assert_true(WIFSTOPPED(status));
        return pid;
}

static void test_memory_is_looked_at_again_only_if_it_can_have_changed(void **state) {
        pid_t pid = start_still_child();
        Usage usage = {0};

        assert_int_equal(sample_usage(pid, false, &usage), 0);
        assert_true(usage.rss_vmm_bytes > 1);
        usage.rss_vmm_bytes = 1;
        assert_int_equal(sample_usage(pid, false, &usage), 0);
        assert_int_equal(usage.rss_vmm_bytes, 1);
        usage.mark.faults--;
        assert_int_equal(sample_usage(pid, false, &usage), 0);
        assert_true(usage.rss_vmm_bytes > 1);
        usage.rss_vmm_bytes = 1;
        usage.mark.resident_pages++;
        assert_int_equal(sample_usage(pid, false, &usage), 0);
        assert_true(usage.rss_vmm_bytes > 1);

        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_guest_time_is_field_43_or_14_whatever_the_name),
                cmocka_unit_test(test_malformed_stat_is_refused),
                cmocka_unit_test(test_guest_memory_is_told_from_the_vmm_s_own),
                cmocka_unit_test(test_a_zombie_has_no_memory),
                cmocka_unit_test(test_this_process_can_be_sampled),
                cmocka_unit_test(test_a_mark_is_faults_and_resident_pages),
                cmocka_unit_test(test_memory_is_looked_at_again_only_if_it_can_have_changed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
