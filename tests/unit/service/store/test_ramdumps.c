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
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"
#include "service/store/ramdumps.h"

#define BLOCK 4096u

typedef struct Folder {
        char dir[40], dumps[64];
} Folder;

static int setup(void **state) {
        Folder *folder = calloc(1, sizeof(*folder));

        assert_non_null(folder);
        (void) snprintf(folder->dir, sizeof(folder->dir), "/tmp/vivarium-ramdumps.XXXXXX");
        assert_non_null(mkdtemp(folder->dir));
        (void) snprintf(folder->dumps, sizeof(folder->dumps), "%s/ramdumps", folder->dir);
        *state = folder;
        return 0;
}

/* The id of VM number @n. */
static const char *id_of(unsigned n, char id[33]) {
        (void) snprintf(id, 33, "%032x", n);
        return id;
}

static void path_of(const Folder *folder, unsigned n, const char *suffix, char *path, size_t size) {
        char id[33];

        (void) snprintf(path, size, "%s/%s%s", folder->dumps, id_of(n, id), suffix);
}

static bool exists(const Folder *folder, unsigned n, const char *suffix) {
        char path[128];

        path_of(folder, n, suffix, path, sizeof(path));
        return access(path, F_OK) == 0;
}

static int teardown(void **state) {
        Folder *folder = *state;
        char path[128];

        for (unsigned n = 0; n < 10; n++) {
                path_of(folder, n, ".core", path, sizeof(path));
                (void) unlink(path);
                path_of(folder, n, ".part", path, sizeof(path));
                (void) unlink(path);
        }
        assert_int_equal(rmdir(folder->dumps), 0);
        assert_int_equal(rmdir(folder->dir), 0);
        free(folder);
        return 0;
}

static Ramdumps *open_folder(const Folder *folder, uint32_t count_max, uint64_t bytes_max) {
        const RamdumpLimits limits = {.count_max = count_max, .bytes_max = bytes_max};
        Ramdumps *dumps = NULL;

        assert_int_equal(ramdumps_new(folder->dir, &limits, &dumps), 0);
        return dumps;
}

/* A dump of @blocks blocks, as old as @n says: the higher, the newer. */
static void write_dump(const Folder *folder, Ramdumps *dumps, unsigned n, unsigned blocks) {
        char id[33], block[BLOCK] = {1};
        const struct timespec times[2] = {{.tv_sec = 1000 + n}, {.tv_sec = 1000 + n}};
        int fd = ramdumps_begin(dumps, id_of(n, id));

        assert_true(fd >= 0);
        for (unsigned i = 0; i < blocks; i++)
                assert_int_equal(fd_write_all(fd, block, sizeof(block)), 0);
        assert_int_equal(fsync(fd), 0);
        assert_int_equal(futimens(fd, times), 0);
        assert_int_equal(fd_close(fd), -EBADF);
}

static int end(Ramdumps *dumps, unsigned n, bool keep, char **ret_path) {
        char id[33];

        return ramdumps_end(dumps, id_of(n, id), keep, ret_path);
}

static void test_a_dump_that_was_written_is_kept_and_named(void **state) {
        const Folder *folder = *state;
        _cleanup_(ramdumps_freep) Ramdumps *dumps = open_folder(folder, 3, 1 << 20);
        _cleanup_(freep) char *path = NULL, *again = NULL;
        char expected[128], id[33];
        struct stat st;
        int fd;

        write_dump(folder, dumps, 1, 2);
        assert_int_equal(end(dumps, 1, true, &path), 0);
        path_of(folder, 1, ".core", expected, sizeof(expected));
        assert_string_equal(path, expected);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        fd = ramdumps_open(dumps, id_of(1, id));
        assert_true(fd >= 0);
        (void) fd_close(fd);
        /* the next daemon, when this one was killed before the end was on record */
        assert_int_equal(end(dumps, 1, true, &again), 0);
        assert_string_equal(again, expected);
}

static void test_a_dump_that_is_empty_or_not_whole_goes(void **state) {
        const Folder *folder = *state;
        _cleanup_(ramdumps_freep) Ramdumps *dumps = open_folder(folder, 3, 1 << 20);
        char *path, id[33];

        write_dump(folder, dumps, 1, 0);
        assert_int_equal(end(dumps, 1, true, &path), 0);
        assert_null(path);
        write_dump(folder, dumps, 2, 2);
        assert_int_equal(end(dumps, 2, false, &path), 0);
        assert_null(path);
        assert_int_equal(end(dumps, 3, true, &path), 0);
        assert_null(path);
        assert_int_equal(ramdumps_open(dumps, id_of(2, id)), -ENOENT);
        for (unsigned n = 1; n <= 3; n++)
                assert_false(exists(folder, n, ".part") || exists(folder, n, ".core"));
}

static void test_the_oldest_goes_when_there_are_too_many(void **state) {
        const Folder *folder = *state;
        _cleanup_(ramdumps_freep) Ramdumps *dumps = open_folder(folder, 2, 1 << 20);

        for (unsigned n = 1; n <= 3; n++) {
                _cleanup_(freep) char *path = NULL;

                write_dump(folder, dumps, n, 1);
                assert_int_equal(end(dumps, n, true, &path), 0);
                assert_non_null(path);
        }
        assert_false(exists(folder, 1, ".core"));
        assert_true(exists(folder, 2, ".core") && exists(folder, 3, ".core"));
}

static void test_the_oldest_go_when_there_are_too_many_bytes(void **state) {
        const Folder *folder = *state;
        _cleanup_(ramdumps_freep) Ramdumps *dumps = open_folder(folder, 9, 5 * BLOCK);

        for (unsigned n = 1; n <= 3; n++) {
                _cleanup_(freep) char *path = NULL;

                write_dump(folder, dumps, n, n);
                assert_int_equal(end(dumps, n, true, &path), 0);
        }
        assert_false(exists(folder, 1, ".core"));
        assert_true(exists(folder, 2, ".core") && exists(folder, 3, ".core"));
}

static void test_one_that_is_too_large_alone_is_dropped(void **state) {
        const Folder *folder = *state;
        _cleanup_(ramdumps_freep) Ramdumps *dumps = open_folder(folder, 9, 2 * BLOCK);
        char *path;

        write_dump(folder, dumps, 1, 3);
        assert_int_equal(end(dumps, 1, true, &path), -ENOSPC);
        assert_null(path);
        assert_false(exists(folder, 1, ".core"));
}

static bool is_even(void *userdata, const char *id) {
        return strchr("02468ace", id[31]) != NULL;
}

static void test_what_was_begun_for_nobody_goes_and_living_ones_stay(void **state) {
        const Folder *folder = *state;
        _cleanup_(ramdumps_freep) Ramdumps *dumps = open_folder(folder, 1, 1 << 20);
        _cleanup_(freep) char *path = NULL;

        for (unsigned n = 1; n <= 5; n++)
                write_dump(folder, dumps, n, 1);
        assert_int_equal(end(dumps, 5, true, &path), 0);
        ramdumps_drop_partial(dumps, is_even, NULL);
        assert_false(exists(folder, 1, ".part") || exists(folder, 3, ".part"));
        assert_true(exists(folder, 2, ".part") && exists(folder, 4, ".part"));
        assert_true(exists(folder, 5, ".core"));
}

#define RAMDUMP_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                RAMDUMP_TEST(test_a_dump_that_was_written_is_kept_and_named),
                RAMDUMP_TEST(test_a_dump_that_is_empty_or_not_whole_goes),
                RAMDUMP_TEST(test_the_oldest_goes_when_there_are_too_many),
                RAMDUMP_TEST(test_the_oldest_go_when_there_are_too_many_bytes),
                RAMDUMP_TEST(test_one_that_is_too_large_alone_is_dropped),
                RAMDUMP_TEST(test_what_was_begun_for_nobody_goes_and_living_ones_stay),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
