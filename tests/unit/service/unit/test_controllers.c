/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <fcntl.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "service/unit/controllers.h"

/* A cgroup file system of files, with one cgroup, "vm". */
typedef struct Tree {
        char dir[40], cgroup[64], group[64], controllers[96];
} Tree;

static void put(const char *path, const char *text) {
        _cleanup_(fd_closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

static int setup(void **state) {
        Tree *tree = calloc(1, sizeof(*tree));

        assert_non_null(tree);
        (void) snprintf(tree->dir, sizeof(tree->dir), "/tmp/vivarium-controllers.XXXXXX");
        assert_non_null(mkdtemp(tree->dir));
        (void) snprintf(tree->cgroup, sizeof(tree->cgroup), "%s/cgroup", tree->dir);
        (void) snprintf(tree->group, sizeof(tree->group), "%s/vm", tree->dir);
        (void) snprintf(tree->controllers, sizeof(tree->controllers), "%s/cgroup.controllers",
                        tree->group);
        assert_int_equal(mkdir(tree->group, 0700), 0);
        put(tree->cgroup, "1:name=systemd:/x\n0::/vm\n");
        put(tree->controllers, "cpuset cpu memory pids\n");
        *state = tree;
        return 0;
}

static int teardown(void **state) {
        Tree *tree = *state;

        (void) unlink(tree->cgroup);
        (void) unlink(tree->controllers);
        (void) rmdir(tree->group);
        (void) rmdir(tree->dir);
        free(tree);
        return 0;
}

static int check(const Tree *tree, VmLimits limits, TextError *error) {
        return controllers_check_at(tree->cgroup, tree->dir, &limits, error);
}

static void test_limits_whose_controllers_are_there_pass(void **state) {
        const VmLimits limits = {.memory_max_mib = 64, .cpu_weight = 10, .tasks_max = 8};

        assert_int_equal(check(*state, limits, NULL), 0);
}

static void test_a_limit_without_its_controller_is_named(void **state) {
        _cleanup_(text_error_deinit) TextError error = {0};

        assert_int_equal(check(*state, (VmLimits){.io_weight = 10}, &error), -EOPNOTSUPP);
        assert_non_null(strstr(error.message, "limits.io_weight"));
        assert_non_null(strstr(error.message, "\"io\""));
}

static void test_a_controllers_name_is_no_part_of_another(void **state) {
        const Tree *tree = *state;

        put(tree->controllers, "cpuset memory2 pid\n");
        assert_int_equal(check(tree, (VmLimits){.cpu_quota_percent = 10}, NULL), -EOPNOTSUPP);
        assert_int_equal(check(tree, (VmLimits){.memory_high_mib = 64}, NULL), -EOPNOTSUPP);
        assert_int_equal(check(tree, (VmLimits){.tasks_max = 10}, NULL), -EOPNOTSUPP);
}

static void test_without_version_2_no_limit_passes(void **state) {
        const Tree *tree = *state;

        put(tree->cgroup, "3:memory:/vm\n1:name=systemd:/vm\n");
        assert_int_equal(check(tree, (VmLimits){.memory_max_mib = 64}, NULL), -EOPNOTSUPP);
        put(tree->cgroup, "0::/elsewhere\n");
        assert_int_equal(check(tree, (VmLimits){.memory_max_mib = 64}, NULL), -EOPNOTSUPP);
}

static void test_without_limits_nothing_is_read(void **state) {
        assert_int_equal(controllers_check_at("/nowhere", "/nowhere", &(VmLimits){0}, NULL), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_limits_whose_controllers_are_there_pass, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_a_limit_without_its_controller_is_named, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_a_controllers_name_is_no_part_of_another,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_without_version_2_no_limit_passes, setup,
                                                teardown),
                cmocka_unit_test(test_without_limits_nothing_is_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
