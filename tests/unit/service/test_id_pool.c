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

#include "service/id_pool.h"

static void test_numbers_go_up_wrap_once_and_are_not_reused_at_once(void **state) {
        IdPool pool = {0};
        uint32_t cid;

        assert_int_equal(id_pool_take(&pool, &cid), 0);
        assert_int_equal(cid, CID_MIN);
        id_pool_release(&pool, cid);
        assert_int_equal(id_pool_take(&pool, &cid), 0);
        assert_int_equal(cid, CID_MIN + 1);
        pool.last = CID_MAX;
        assert_int_equal(id_pool_take(&pool, &cid), 0);
        assert_int_equal(cid, CID_MIN);
        pool.last = CID_MAX;
        assert_int_equal(id_pool_take(&pool, &cid), 0);
        assert_int_equal(cid, CID_MIN + 2); /* the first two are taken */
}

static void test_an_exhausted_pool_says_so_and_recovers(void **state) {
        IdPool pool = {0};
        uint32_t cid = 7;

        for (uint32_t i = CID_MIN; i <= CID_MAX; i++)
                assert_int_equal(id_pool_take(&pool, &cid), 0);
        assert_int_equal(cid, CID_MAX);
        assert_int_equal(id_pool_take(&pool, &cid), ID_POOL_E_EXHAUSTED);
        id_pool_release(&pool, 40000);
        assert_int_equal(id_pool_take(&pool, &cid), 0);
        assert_int_equal(cid, 40000);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_numbers_go_up_wrap_once_and_are_not_reused_at_once),
                cmocka_unit_test(test_an_exhausted_pool_says_so_and_recovers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
