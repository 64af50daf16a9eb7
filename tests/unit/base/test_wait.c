/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/wait.h"

#define TOUCHED_BYTES ((size_t) 64 << 20)

static pid_t fork_one_that_touches_memory(int by_signal) {
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0) {
                void *memory = mmap(NULL, TOUCHED_BYTES, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

                if (memory == MAP_FAILED)
                        _exit(99);
                memset(memory, 1, TOUCHED_BYTES);
                (void) munmap(memory, TOUCHED_BYTES);
                if (by_signal > 0)
                        (void) raise(by_signal);
                _exit(7);
        }
        return child;
}

static void test_a_zombie_tells_its_peak_and_is_still_there(void **state) {
        pid_t child = fork_one_that_touches_memory(0);
        uint64_t first = 0, second = 0;
        siginfo_t info = {0};

        assert_int_equal(wait_process(P_PID, (id_t) child, WEXITED | WNOWAIT, &info, &first), 0);
        assert_int_equal(info.si_pid, child);
        assert_int_equal(info.si_status, 7);
        assert_in_range(first, TOUCHED_BYTES, 16 * TOUCHED_BYTES);
        assert_int_equal(wait_process(P_PID, (id_t) child, WEXITED, &info, &second), 0);
        assert_int_equal(second, first);
        assert_int_equal(wait_process(P_PID, (id_t) child, WEXITED, &info, &second), -ECHILD);
}

static void test_one_that_was_killed_tells_it_too(void **state) {
        pid_t child = fork_one_that_touches_memory(SIGKILL);
        siginfo_t info = {0};
        uint64_t peak = 0;

        assert_int_equal(wait_process(P_PID, (id_t) child, WEXITED, &info, &peak), 0);
        assert_int_equal(info.si_code, CLD_KILLED);
        assert_in_range(peak, TOUCHED_BYTES, 16 * TOUCHED_BYTES);
}

static void test_nobody_has_ended(void **state) {
        siginfo_t info = {0};
        uint64_t peak = 1;
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0)
                for (;;)
                        (void) pause();
        assert_int_equal(wait_process(P_PID, (id_t) child, WEXITED | WNOHANG, &info, &peak), 0);
        assert_int_equal(info.si_pid, 0);
        assert_int_equal(peak, 0);
        (void) kill(child, SIGKILL);
        assert_int_equal(wait_process(P_PID, (id_t) child, WEXITED, &info, &peak), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_zombie_tells_its_peak_and_is_still_there),
                cmocka_unit_test(test_one_that_was_killed_tells_it_too),
                cmocka_unit_test(test_nobody_has_ended),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
