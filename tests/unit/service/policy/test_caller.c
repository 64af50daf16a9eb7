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

#include "service/policy/caller.h"

static void test_root_and_the_daemon_s_user_may_manage(void **state) {
        assert_true(caller_may_manage(&(Caller){.uid = 0}, 1000));
        assert_true(caller_may_manage(&(Caller){.uid = 1000}, 1000));
        assert_false(caller_may_manage(&(Caller){.uid = 1001}, 1000));
        assert_false(caller_may_manage(&(Caller){.uid = 1000}, 0));
}

static void test_an_owner_may_touch_its_own_vm_only(void **state) {
        assert_true(caller_may_touch(&(Caller){.uid = 7}, 0, 7));
        assert_false(caller_may_touch(&(Caller){.uid = 7}, 0, 8));
        assert_true(caller_may_touch(&(Caller){.uid = 0}, 1000, 8));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_root_and_the_daemon_s_user_may_manage),
                cmocka_unit_test(test_an_owner_may_touch_its_own_vm_only),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
