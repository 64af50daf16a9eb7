/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/manager/id_pool.h"

static void test_numbers_go_up_wrap_once_and_are_not_reused_at_once(void **state) {
        IdPool pool = {0};
        uint32_t cid;

        assert_int_equal(id_pool_take(&pool, NULL, NULL, &cid), 0);
        assert_int_equal(cid, CID_MIN);
        id_pool_release(&pool, cid);
        assert_int_equal(id_pool_take(&pool, NULL, NULL, &cid), 0);
        assert_int_equal(cid, CID_MIN + 1);
        pool.last = CID_MAX;
        assert_int_equal(id_pool_take(&pool, NULL, NULL, &cid), 0);
        assert_int_equal(cid, CID_MIN);
        pool.last = CID_MAX;
        assert_int_equal(id_pool_take(&pool, NULL, NULL, &cid), 0);
        assert_int_equal(cid, CID_MIN + 2); /* the first two are taken */
}

static void test_an_exhausted_pool_says_so_and_recovers(void **state) {
        IdPool pool = {0};
        uint32_t cid = 7;

        for (uint32_t i = CID_MIN; i <= CID_MAX; i++)
                assert_int_equal(id_pool_take(&pool, NULL, NULL, &cid), 0);
        assert_int_equal(cid, CID_MAX);
        assert_int_equal(id_pool_take(&pool, NULL, NULL, &cid), ID_POOL_E_EXHAUSTED);
        id_pool_release(&pool, 40000);
        assert_int_equal(id_pool_take(&pool, NULL, NULL, &cid), 0);
        assert_int_equal(cid, 40000);
}

static bool is_even(void *userdata, uint32_t cid) {
        return cid % 2 == 0;
}

static bool never(void *userdata, uint32_t cid) {
        return false;
}

static void test_a_cid_that_others_hold_is_passed_over(void **state) {
        static IdPool pool;
        uint32_t cid;

        pool = (IdPool){.last = CID_MIN};
        assert_int_equal(id_pool_take(&pool, is_even, NULL, &cid), 0);
        assert_int_equal(cid, CID_MIN + 2);
        assert_int_equal(id_pool_take(&pool, NULL, NULL, &cid), 0);
        assert_int_equal(cid, CID_MIN + 3);
        assert_int_equal(id_pool_take(&pool, never, NULL, &cid), ID_POOL_E_EXHAUSTED);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_numbers_go_up_wrap_once_and_are_not_reused_at_once),
                cmocka_unit_test(test_an_exhausted_pool_says_so_and_recovers),
                cmocka_unit_test(test_a_cid_that_others_hold_is_passed_over),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
