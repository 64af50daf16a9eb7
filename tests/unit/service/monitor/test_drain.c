/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "service/monitor/drain.h"

static void write_bytes(int fd, char first, size_t n) {
        for (size_t i = 0; i < n; i++) {
                char c = (char) (first + (char) (i % 26));

                assert_int_equal(write(fd, &c, 1), 1);
        }
}

static void test_the_head_is_kept_and_all_is_counted(void **state) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(drain_freep) Drain *drain = NULL;
        _cleanup_(fd_closep) int fd = -EBADF;
        _cleanup_(freep) char *text = NULL;
        size_t len;

        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(drain_new(event,
                                   &(DrainSpec){.keep = DRAIN_KEEP_HEAD,
                                                .keep_bytes = 5,
                                                .file = -EBADF,
                                                .eof = NULL,
                                                .userdata = NULL},
                                   &drain, &fd),
                         0);
        write_bytes(fd, 'a', 3);
        assert_false(drain_now(drain));
        write_bytes(fd, 'k', 20);
        fd = fd_close(fd);
        assert_true(drain_now(drain));
        assert_int_equal(drain_total(drain), 23);
        assert_int_equal(drain_copy(drain, SIZE_MAX, &text, &len), 0);
        assert_int_equal(len, 5);
        assert_string_equal(text, "abckl");
}

static void test_the_tail_is_kept_in_order_however_it_arrives(void **state) {
        for (size_t step = 1; step < 20; step++) {
                _cleanup_(sd_event_unrefp) sd_event *event = NULL;
                _cleanup_(drain_freep) Drain *drain = NULL;
                _cleanup_(fd_closep) int fd = -EBADF;
                _cleanup_(freep) char *text = NULL;
                size_t len;

                assert_true(sd_event_new(&event) >= 0);
                assert_int_equal(drain_new(event,
                                           &(DrainSpec){.keep = DRAIN_KEEP_TAIL,
                                                        .keep_bytes = 7,
                                                        .file = -EBADF,
                                                        .eof = NULL,
                                                        .userdata = NULL},
                                           &drain, &fd),
                                 0);
                for (size_t i = 0; i < 26; i += step) {
                        for (size_t j = i; j < i + step && j < 26; j++)
                                write_bytes(fd, (char) ('a' + (char) j), 1);
                        assert_false(drain_now(drain));
                }
                assert_int_equal(drain_copy(drain, SIZE_MAX, &text, &len), 0);
                assert_string_equal(text, "tuvwxyz");
        }
}

static void on_eof(void *userdata) {
        *(unsigned *) userdata += 1;
}

static void test_the_end_is_told_once_from_the_loop(void **state) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(drain_freep) Drain *drain = NULL;
        unsigned n = 0;
        int fd;

        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(drain_new(event,
                                   &(DrainSpec){.keep = DRAIN_KEEP_HEAD,
                                                .keep_bytes = 10,
                                                .file = -EBADF,
                                                .eof = on_eof,
                                                .userdata = &n},
                                   &drain, &fd),
                         0);
        write_bytes(fd, 'a', 2);
        assert_true(sd_event_run(event, 0) > 0);
        assert_int_equal(n, 0);
        (void) fd_close(fd);
        assert_true(sd_event_run(event, 0) > 0);
        assert_int_equal(n, 1);
        assert_int_equal(sd_event_run(event, 0), 0);
}

static void test_one_turn_reads_a_bounded_part_of_a_flood(void **state) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(drain_freep) Drain *drain = NULL;
        _cleanup_(fd_closep) int fd = -EBADF;
        static char flood[512 * 1024];

        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(drain_new(event,
                                   &(DrainSpec){.keep = DRAIN_KEEP_TAIL,
                                                .keep_bytes = 10,
                                                .file = -EBADF,
                                                .eof = NULL,
                                                .userdata = NULL},
                                   &drain, &fd),
                         0);
        if (fcntl(fd, F_SETPIPE_SZ, sizeof(flood)) < 0) {
                print_message("pipes cannot be enlarged here\n");
                skip();
        }
        assert_int_equal(write(fd, flood, sizeof(flood)), sizeof(flood));
        assert_true(sd_event_run(event, 0) > 0);
        assert_in_range(drain_total(drain), 1, 64 * 1024);
        assert_false(drain_now(drain));
        assert_int_equal(drain_total(drain), sizeof(flood));
}

static void test_what_is_kept_outlives_the_reader(void **state) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(fd_closep) int file = memfd_create("kept", MFD_CLOEXEC), fd = -EBADF;
        const DrainSpec spec = {.keep = DRAIN_KEEP_TAIL, .keep_bytes = 7, .file = file};
        _cleanup_(freep) char *text = NULL;
        Drain *drain = NULL;
        int again;
        size_t len;

        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(drain_new(event, &spec, &drain, &fd), 0);
        write_bytes(fd, 'a', 26);
        (void) drain_now(drain);
        again = fd_dup_cloexec(drain_fd(drain));
        (void) drain_free(drain);
        write_bytes(fd, 'a', 3);
        drain = NULL;
        assert_int_equal(drain_attach(event, &spec, again, &drain), 0);
        (void) drain_now(drain);
        assert_int_equal(drain_copy(drain, SIZE_MAX, &text, &len), 0);
        assert_string_equal(text, "wxyzabc");
        (void) drain_free(drain);
}

static void test_a_file_without_room_does_not_stop_the_reading(void **state) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(drain_freep) Drain *drain = NULL;
        _cleanup_(fd_closep) int full = open("/dev/full", O_WRONLY | O_CLOEXEC), fd = -EBADF;

        assert_true(sd_event_new(&event) >= 0);
        assert_int_equal(
                drain_new(event,
                          &(DrainSpec){.keep = DRAIN_KEEP_HEAD, .keep_bytes = 100, .file = full},
                          &drain, &fd),
                0);
        write_bytes(fd, 'a', 50);
        fd = fd_close(fd);
        assert_true(drain_now(drain));
        assert_int_equal(drain_total(drain), 50);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_head_is_kept_and_all_is_counted),
                cmocka_unit_test(test_the_tail_is_kept_in_order_however_it_arrives),
                cmocka_unit_test(test_the_end_is_told_once_from_the_loop),
                cmocka_unit_test(test_one_turn_reads_a_bounded_part_of_a_flood),
                cmocka_unit_test(test_what_is_kept_outlives_the_reader),
                cmocka_unit_test(test_a_file_without_room_does_not_stop_the_reading),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
