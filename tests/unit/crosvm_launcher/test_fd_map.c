/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "crosvm_launcher/fd_map.h"

#define FDS_MAX 512

/*
 * Every case runs in a child, which starts with descriptors 0 to 2 only and reports by its exit status: 0, or the line
 * of the check that failed.
 */
#define CHECK(condition)                                                                           \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        (void) dprintf(STDERR_FILENO, "line %d: %s\n", __LINE__, #condition);      \
                        _exit(1);                                                                  \
                }                                                                                  \
        } while (0)

static void run_in_child(void (*fn)(void)) {
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
                CHECK(fd_close_all_from(3) == 0);
                fn();
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

/* A file that can be told from all others, at descriptor @number. */
static ino_t file_at(int number) {
        struct stat st;
        int fd = memfd_create("test", MFD_CLOEXEC);

        CHECK(fd >= 0);
        if (fd != number) {
                CHECK(dup3(fd, number, O_CLOEXEC) == number);
                CHECK(close(fd) == 0);
        }
        CHECK(fstat(number, &st) == 0);
        return st.st_ino;
}

static ino_t inode_at(int number) {
        struct stat st;

        CHECK(fstat(number, &st) == 0);
        return st.st_ino;
}

/* Puts files at @sources, maps them in that order, and checks who is where afterwards. */
static void check_moves(const int *sources, size_t n) {
        ino_t inodes[FDS_MAX];
        FdMap map = {0};
        int target;

        CHECK(n <= FDS_MAX);
        for (size_t i = n; i-- > 0;) {
                /* A descriptor that creates the next one must not be in its way. */
                int high = fcntl(0, F_DUPFD_CLOEXEC, 3);

                CHECK(high >= 0 && close(high) == 0);
                inodes[i] = file_at(sources[i]);
        }
        for (size_t i = 0; i < n; i++) {
                CHECK(inode_at(sources[i]) == inodes[i]);
                CHECK(fd_map_add(&map, sources[i], &target) == 0);
                CHECK(target == FD_MAP_FIRST + (int) i);
        }
        CHECK(fd_map_apply(&map) == 0);
        for (size_t i = 0; i < n; i++) {
                CHECK(inode_at(FD_MAP_FIRST + (int) i) == inodes[i]);
                CHECK(fcntl(FD_MAP_FIRST + (int) i, F_GETFD) == 0);
        }
        CHECK(fd_close_all_from(fd_map_end(&map)) == 0);
        fd_map_deinit(&map);
}

static void already_in_place(void) {
        check_moves((const int[]){3, 4, 5}, 3);
}

static void moved_down_with_overlap(void) {
        check_moves((const int[]){5, 6, 7, 8, 9}, 5);
}

static void moved_up_with_overlap(void) {
        /* 3 goes to 7, 4 to 8, and so on, through others' places */
        check_moves((const int[]){20, 21, 22, 23, 3, 4, 5, 6}, 8);
}

static void swapped(void) {
        check_moves((const int[]){4, 3}, 2);
}

static void rotated(void) {
        check_moves((const int[]){4, 5, 6, 7, 3}, 5);
}

static void two_rings_and_a_chain(void) {
        check_moves((const int[]){4, 3, 6, 7, 5, 9, 10, 30}, 8);
}

static void four_hundred_reversed(void) {
        int sources[400];

        for (int i = 0; i < 400; i++)
                sources[i] = FD_MAP_FIRST + 399 - i;
        check_moves(sources, 400);
}

static void random_permutations(void) {
        uint32_t seed = 0x9e3779b9;
        int numbers[120];

        for (unsigned round = 0; round < 50; round++) {
                for (int i = 0; i < 120; i++)
                        numbers[i] = FD_MAP_FIRST + i;
                for (unsigned i = 119; i > 0; i--) {
                        unsigned j;
                        int swap;

                        seed = seed * 1664525 + 1013904223;
                        j = (seed >> 8) % (i + 1);
                        swap = numbers[i];
                        numbers[i] = numbers[j];
                        numbers[j] = swap;
                }
                check_moves(numbers, 60 + round); /* the rest are holes */
                CHECK(fd_close_all_from(3) == 0);
        }
}

/* A ring of all descriptors that the limit allows but one. */
static void one_spare_descriptor_is_enough(void) {
        struct rlimit limit;
        int sources[40];

        CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
        limit.rlim_cur = FD_MAP_FIRST + 41;
        for (int i = 0; i < 40; i++)
                sources[i] = FD_MAP_FIRST + (i + 1) % 40;
        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        check_moves(sources, 40);
}

static void a_closed_descriptor_moves_nothing(void) {
        ino_t a = file_at(5), b = file_at(3);
        FdMap map = {0};
        int target;

        CHECK(fd_map_add(&map, 77, &target) == -EBADF);
        CHECK(fd_map_add(&map, 5, &target) == 0);
        (void) file_at(6);
        CHECK(fd_map_add(&map, 6, &target) == 0);
        CHECK(close(6) == 0);
        CHECK(fd_map_apply(&map) == -EBADF);
        CHECK(inode_at(5) == a);
        CHECK(inode_at(3) == b);
        fd_map_deinit(&map);
}

static void the_same_descriptor_gets_one_number(void) {
        FdMap map = {0};
        int first, second, third;

        (void) file_at(10);
        (void) file_at(11);
        CHECK(fd_map_add(&map, 11, &first) == 0);
        CHECK(fd_map_add(&map, 10, &second) == 0);
        CHECK(fd_map_add(&map, 11, &third) == 0);
        CHECK(first == third && second == first + 1);
        CHECK(fd_map_end(&map) == 5);
        CHECK(fd_map_apply(&map) == 0);
        fd_map_deinit(&map);
}

static void standard_streams_can_be_sources(void) {
        FdMap map = {0};
        ino_t stream = file_at(1);
        int target;

        CHECK(fd_map_add(&map, 1, &target) == 0);
        CHECK(fd_map_apply(&map) == 0);
        CHECK(inode_at(3) == stream);
        CHECK(inode_at(1) == stream);
        fd_map_deinit(&map);
}

static void closing_spares_what_is_below(void) {
        ino_t kept = file_at(9);

        for (int i = 10; i < 300; i += 7)
                (void) file_at(i);
        CHECK(fd_close_all_from(10) == 0);
        CHECK(inode_at(9) == kept);
        for (int i = 10; i < 400; i++)
                CHECK(fcntl(i, F_GETFD) < 0 && errno == EBADF);
}

static void closing_by_proc_is_the_same(void) {
        ino_t kept = file_at(9);

        for (int i = 10; i < 300; i += 7)
                (void) file_at(i);
        CHECK(fd_close_all_from_by_proc(10) == 0);
        CHECK(inode_at(9) == kept);
        for (int i = 10; i < 400; i++)
                CHECK(fcntl(i, F_GETFD) < 0 && errno == EBADF);
}

#define CHILD_TEST(name)                                                                           \
        static void test_##name(void **state) {                                                    \
                run_in_child(name);                                                                \
        }

CHILD_TEST(already_in_place)
CHILD_TEST(moved_down_with_overlap)
CHILD_TEST(moved_up_with_overlap)
CHILD_TEST(swapped)
CHILD_TEST(rotated)
CHILD_TEST(two_rings_and_a_chain)
CHILD_TEST(four_hundred_reversed)
CHILD_TEST(random_permutations)
CHILD_TEST(one_spare_descriptor_is_enough)
CHILD_TEST(a_closed_descriptor_moves_nothing)
CHILD_TEST(the_same_descriptor_gets_one_number)
CHILD_TEST(standard_streams_can_be_sources)
CHILD_TEST(closing_spares_what_is_below)
CHILD_TEST(closing_by_proc_is_the_same)

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_already_in_place),
                cmocka_unit_test(test_moved_down_with_overlap),
                cmocka_unit_test(test_moved_up_with_overlap),
                cmocka_unit_test(test_swapped),
                cmocka_unit_test(test_rotated),
                cmocka_unit_test(test_two_rings_and_a_chain),
                cmocka_unit_test(test_four_hundred_reversed),
                cmocka_unit_test(test_random_permutations),
                cmocka_unit_test(test_one_spare_descriptor_is_enough),
                cmocka_unit_test(test_a_closed_descriptor_moves_nothing),
                cmocka_unit_test(test_the_same_descriptor_gets_one_number),
                cmocka_unit_test(test_standard_streams_can_be_sources),
                cmocka_unit_test(test_closing_spares_what_is_below),
                cmocka_unit_test(test_closing_by_proc_is_the_same),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
