/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/block/aio.h"

/* Name of what is made for @engine, or NULL. */
static const char *made_for(AioEngine engine) {
        _cleanup_(loop_freep) Loop *loop = NULL;
        _cleanup_(aio_unrefp) Aio *aio = NULL;

        assert_int_equal(loop_new(&loop), 0);
        return aio_new(engine, loop, &aio) < 0 ? NULL : aio->ops->name;
}

static void test_threads_are_had_when_they_are_asked_for(void **state) {
        assert_string_equal(made_for(AIO_ENGINE_WORKERS), "threads");
}

static void test_nothing_stands_in_for_io_uring(void **state) {
        const char *name = made_for(AIO_ENGINE_URING);

        assert_string_equal(name ?: "io_uring", "io_uring");
        assert_string_equal(made_for(AIO_ENGINE_ANY), name ?: "threads");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_threads_are_had_when_they_are_asked_for),
                cmocka_unit_test(test_nothing_stands_in_for_io_uring),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
