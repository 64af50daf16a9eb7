/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "vmm/event/loop.h"

typedef struct Probe {
        Loop *loop;
        LoopSource *self, *other;
        unsigned n;
        bool exit_on_call, remove_self, remove_other;
        uint32_t last_events;
        unsigned *order, my_order;
} Probe;

static void probe_called(Probe *probe) {
        probe->n++;
        if (probe->order)
                probe->my_order = ++*probe->order;
        if (probe->remove_self)
                probe->self = loop_remove(probe->self);
        if (probe->remove_other)
                probe->other = loop_remove(probe->other);
        if (probe->exit_on_call)
                loop_exit(probe->loop);
}

static void on_fd(void *userdata, int fd, uint32_t events) {
        Probe *probe = userdata;

        probe->last_events = events;
        probe_called(probe);
}

static void on_timer(void *userdata) {
        probe_called(userdata);
}

static void test_a_ready_descriptor_is_reported(void **state) {
        _cleanup_(loop_freep) Loop *loop = NULL;
        _cleanup_(fd_closep) int fd = eventfd(1, EFD_CLOEXEC);
        Probe probe = {.exit_on_call = true};

        assert_int_equal(loop_new(&loop), 0);
        probe.loop = loop;
        assert_int_equal(loop_add_fd(loop, fd, EPOLLIN, on_fd, &probe, NULL), 0);
        assert_int_equal(loop_run(loop), 0);
        assert_int_equal(probe.n, 1);
        assert_int_equal(probe.last_events, EPOLLIN);
}

static void test_events_can_be_changed(void **state) {
        _cleanup_(loop_freep) Loop *loop = NULL;
        _cleanup_(fd_closep) int fd = eventfd(1, EFD_CLOEXEC);
        LoopSource *source = NULL;
        Probe probe = {.exit_on_call = true};

        assert_int_equal(loop_new(&loop), 0);
        probe.loop = loop;
        assert_int_equal(loop_add_fd(loop, fd, 0, on_fd, &probe, &source), 0);
        loop_exit(loop);
        assert_int_equal(loop_run(loop), 0);
        assert_int_equal(probe.n, 0);
        assert_int_equal(loop_set_events(source, EPOLLOUT), 0);
        assert_int_equal(loop_run(loop), 0);
        assert_int_equal(probe.last_events, EPOLLOUT);
}

static void test_timers_fire_once_in_order_of_their_due_times(void **state) {
        _cleanup_(loop_freep) Loop *loop = NULL;
        unsigned order = 0;
        Probe early = {.order = &order}, late = {.order = &order, .exit_on_call = true};
        uint64_t now = clock_monotonic_nsec();
        LoopSource *a, *b;

        assert_int_equal(loop_new(&loop), 0);
        late.loop = loop;
        assert_int_equal(loop_add_timer(loop, on_timer, &late, &b), 0);
        assert_int_equal(loop_add_timer(loop, on_timer, &early, &a), 0);
        assert_int_equal(loop_set_timer(a, 1), 0);
        assert_int_equal(loop_set_timer(b, now + 20000000), 0);
        assert_int_equal(loop_run(loop), 0);
        assert_int_equal(early.n, 1);
        assert_int_equal(late.n, 1);
        assert_int_equal(early.my_order, 1);
        assert_int_equal(late.my_order, 2);
        assert_true(clock_monotonic_nsec() >= now + 20000000);
}

static void test_a_disarmed_timer_stays_silent(void **state) {
        _cleanup_(loop_freep) Loop *loop = NULL;
        Probe silent = {0}, last = {.exit_on_call = true};
        LoopSource *a, *b;

        assert_int_equal(loop_new(&loop), 0);
        last.loop = loop;
        assert_int_equal(loop_add_timer(loop, on_timer, &silent, &a), 0);
        assert_int_equal(loop_add_timer(loop, on_timer, &last, &b), 0);
        assert_int_equal(loop_set_timer(a, 1), 0);
        assert_int_equal(loop_set_timer(b, 1), 0);
        assert_int_equal(loop_set_timer(a, 0), 0);
        assert_int_equal(loop_run(loop), 0);
        assert_int_equal(silent.n, 0);
}

static void test_a_source_may_remove_itself_and_one_that_is_ready_too(void **state) {
        _cleanup_(loop_freep) Loop *loop = NULL;
        _cleanup_(fd_closep) int fd_a = eventfd(1, EFD_CLOEXEC), fd_b = eventfd(1, EFD_CLOEXEC);
        Probe a = {.remove_self = true, .remove_other = true, .exit_on_call = true};
        Probe b = {.remove_self = true, .remove_other = true, .exit_on_call = true};

        assert_int_equal(loop_new(&loop), 0);
        a.loop = b.loop = loop;
        assert_int_equal(loop_add_fd(loop, fd_a, EPOLLIN, on_fd, &a, &a.self), 0);
        assert_int_equal(loop_add_fd(loop, fd_b, EPOLLIN, on_fd, &b, &b.self), 0);
        a.other = b.self;
        b.other = a.self;
        assert_int_equal(loop_run(loop), 0);
        assert_int_equal(a.n + b.n, 1);
        loop_exit(loop);
        assert_int_equal(loop_run(loop), 0);
        assert_int_equal(a.n + b.n, 1);
}

static void *exit_from_elsewhere(void *loop) {
        loop_exit(loop);
        return NULL;
}

static void test_exit_works_from_another_thread_and_before_run(void **state) {
        _cleanup_(loop_freep) Loop *loop = NULL;
        pthread_t thread;

        assert_int_equal(loop_new(&loop), 0);
        loop_exit(loop);
        assert_int_equal(loop_run(loop), 0);
        assert_int_equal(pthread_create(&thread, NULL, exit_from_elsewhere, loop), 0);
        assert_int_equal(loop_run(loop), 0);
        pthread_join(thread, NULL);
}

static void test_a_regular_file_is_refused(void **state) {
        _cleanup_(loop_freep) Loop *loop = NULL;
        _cleanup_(fd_closep) int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

        assert_int_equal(loop_new(&loop), 0);
        assert_int_equal(loop_add_fd(loop, fd, EPOLLIN, on_fd, NULL, NULL), -EPERM);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_ready_descriptor_is_reported),
                cmocka_unit_test(test_events_can_be_changed),
                cmocka_unit_test(test_timers_fire_once_in_order_of_their_due_times),
                cmocka_unit_test(test_a_disarmed_timer_stays_silent),
                cmocka_unit_test(test_a_source_may_remove_itself_and_one_that_is_ready_too),
                cmocka_unit_test(test_exit_works_from_another_thread_and_before_run),
                cmocka_unit_test(test_a_regular_file_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
