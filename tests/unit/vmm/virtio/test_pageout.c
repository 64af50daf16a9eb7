/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "vmm/virtio/pageout.h"

#define MIB (UINT64_C(1) << 20)

/* An engine that keeps what it is asked for until the test answers. */
typedef struct FakeEngine {
        Aio aio;
        Loop *loop; /* ends with each request */
        AioRequest *waiting;
        unsigned n_requests;
} FakeEngine;

static void fake_start(Aio *aio, AioRequest *req) {
        FakeEngine *engine = (FakeEngine *) aio;

        assert_null(engine->waiting);
        assert_int_equal(req->kind, AIO_PAGEOUT);
        assert_int_equal(req->n_iov, 1);
        engine->waiting = req;
        engine->n_requests++;
        loop_exit(engine->loop);
}

static const AioOps fake_ops = {.name = "fake", .start = fake_start};

typedef struct Fixture {
        FakeEngine engine;
        Pageout *pageout;
        uint8_t *host; /* an address; nobody looks behind it */
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        PageoutConfig config;

        assert_non_null(f);
        assert_int_equal(loop_new(&f->engine.loop), 0);
        f->engine.aio = (Aio){.ops = &fake_ops, .refs = 1};
        f->host = (uint8_t *) (uintptr_t) (64 * MIB);
        config = (PageoutConfig){
                .loop = f->engine.loop,
                .aio = &f->engine.aio,
                .host = f->host,
                .size_bytes = 38 * MIB,
                .interval_nsec = 1000,
        };
        assert_int_equal(pageout_new(&config, &f->pageout), 0);
        *state = f;
        return 0;
}

static void answer(Fixture *f, int64_t result) {
        AioRequest *req = f->engine.waiting;

        f->engine.waiting = NULL;
        req->done(req, result);
}

static int teardown(void **state) {
        Fixture *f = *state;

        if (f->engine.waiting)
                answer(f, -ECANCELED);
        assert_null(f->engine.waiting);
        assert_null(pageout_free(f->pageout));
        (void) loop_free(f->engine.loop);
        free(f);
        return 0;
}

static void assert_piece(const Fixture *f, uint64_t offset, uint64_t len) {
        assert_non_null(f->engine.waiting);
        assert_ptr_equal(f->engine.waiting->iov->iov_base, f->host + offset);
        assert_int_equal(f->engine.waiting->iov->iov_len, len);
}

static void test_all_of_it_goes_in_pieces_one_after_the_other_and_again(void **state) {
        Fixture *f = *state;

        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(loop_run(f->engine.loop), 0);
                assert_piece(f, 0, 16 * MIB);
                answer(f, 0);
                assert_piece(f, 16 * MIB, 16 * MIB);
                answer(f, 0);
                assert_piece(f, 32 * MIB, 6 * MIB);
                answer(f, 0);
                assert_null(f->engine.waiting);
        }
        assert_int_equal(f->engine.n_requests, 9);
}

static void test_a_host_that_refuses_is_asked_again_the_next_time(void **state) {
        Fixture *f = *state;

        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(loop_run(f->engine.loop), 0);
                assert_piece(f, 0, 16 * MIB);
                answer(f, -EINVAL);
                assert_null(f->engine.waiting);
        }
}

static void stop_loop(void *userdata) {
        loop_exit(userdata);
}

/* The engine allows one request at a time, and so tells of a second one. */
static void test_a_time_that_comes_too_early_is_left_out(void **state) {
        Fixture *f = *state;
        LoopSource *timer;

        assert_int_equal(loop_run(f->engine.loop), 0);
        assert_int_equal(loop_add_timer(f->engine.loop, stop_loop, f->engine.loop, &timer), 0);
        assert_int_equal(loop_set_timer(timer, clock_monotonic_nsec() + 1000000), 0);
        assert_int_equal(loop_run(f->engine.loop), 0);
        assert_int_equal(f->engine.n_requests, 1);
        assert_null(loop_remove(timer));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(
                        test_all_of_it_goes_in_pieces_one_after_the_other_and_again, setup,
                        teardown),
                cmocka_unit_test_setup_teardown(
                        test_a_host_that_refuses_is_asked_again_the_next_time, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_time_that_comes_too_early_is_left_out, setup,
                                                teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
