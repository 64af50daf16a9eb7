/* SPDX-License-Identifier: Apache-2.0 */
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

#include "base/cleanup.h"
#include "base/fd.h"
#include "service/monitor/oom.h"

/* A cgroup file system of files. */
typedef struct Tree {
        char dir[32], cgroup[64], events[64];
} Tree;

static void put(const char *path, const char *text) {
        _cleanup_(fd_closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

static int setup(void **state) {
        Tree *tree = calloc(1, sizeof(*tree));

        assert_non_null(tree);
        (void) snprintf(tree->dir, sizeof(tree->dir), "/tmp/vivarium-oom.XXXXXX");
        assert_non_null(mkdtemp(tree->dir));
        (void) snprintf(tree->cgroup, sizeof(tree->cgroup), "%s/cgroup", tree->dir);
        (void) snprintf(tree->events, sizeof(tree->events), "%s/memory.events", tree->dir);
        put(tree->events, "low 0\nhigh 0\nmax 3\noom 2\noom_kill 5\noom_group_kill 0\n");
        *state = tree;
        return 0;
}

static int teardown(void **state) {
        Tree *tree = *state;

        (void) unlink(tree->cgroup);
        (void) unlink(tree->events);
        (void) rmdir(tree->dir);
        free(tree);
        return 0;
}

static void test_each_kill_finds_one_victim(void **state) {
        const Tree *tree = *state;
        OomWatch watch;
        uint64_t first, second;

        put(tree->cgroup, "1:name=systemd:/x\n0::/\n");
        assert_int_equal(oom_watch_init(&watch, tree->cgroup, tree->dir), 0);
        first = oom_watch_count(&watch);
        assert_int_equal(first, 5);
        assert_false(oom_watch_attribute(&watch, first));
        put(tree->events, "oom 3\noom_kill 6\n");
        second = oom_watch_count(&watch);
        assert_false(oom_watch_attribute(&watch, second)); /* started after it */
        assert_true(oom_watch_attribute(&watch, first));
        assert_false(oom_watch_attribute(&watch, first));
        put(tree->events, "oom_kill 8\n");
        assert_true(oom_watch_attribute(&watch, second));
        assert_true(oom_watch_attribute(&watch, second));
        assert_false(oom_watch_attribute(&watch, second));
        oom_watch_deinit(&watch);
}

static void test_without_the_counter_nothing_is_attributed(void **state) {
        const Tree *tree = *state;
        OomWatch watch;

        put(tree->cgroup, "4:memory:/a\n");
        assert_int_equal(oom_watch_init(&watch, tree->cgroup, tree->dir), 0);
        assert_false(oom_watch_attribute(&watch, 0));
        oom_watch_deinit(&watch);
        put(tree->cgroup, "0::/gone\n");
        assert_int_equal(oom_watch_init(&watch, tree->cgroup, tree->dir), 0);
        assert_int_equal(oom_watch_count(&watch), 0);
        oom_watch_deinit(&watch);
        assert_int_equal(oom_watch_init(&watch, "/nowhere", tree->dir), 0);
        oom_watch_deinit(&watch);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_each_kill_finds_one_victim, setup, teardown),
                cmocka_unit_test_setup_teardown(test_without_the_counter_nothing_is_attributed,
                                                setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
