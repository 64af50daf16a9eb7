/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/fake/vmm_swap_faults.h"
#include "tests/fake/vmm_swap_pages.h"
#include "vmm/swap/engine.h"

_Static_assert(SWAP_TEST_PAGES <= SWAP_FAKE_PAGES, "the fake knows each page");

typedef struct Bench {
        SwapPages pages;
        SwapFaultsFake faults;
        SwapEngine engine;
} Bench;

static int setup(void **state) {
        static Bench bench;

        bench = (Bench){0};
        swap_pages_init(&bench.pages);
        bench.faults.fd = bench.pages.guest_fd;
        bench.engine = (SwapEngine){
                .ops = &swap_faults_fake_ops,
                .faults = &bench.faults,
                .store = bench.pages.store,
                .state = SWAP_READY,
        };
        *state = &bench;
        return 0;
}

static int teardown(void **state) {
        swap_pages_deinit(&((Bench *) *state)->pages);
        return 0;
}

static void finish(SwapEngine *engine) {
        while (swap_engine_has_work(engine))
                assert_int_equal(swap_engine_step(engine), 0);
}

static void command(Bench *bench, SwapCommand command) {
        assert_int_equal(swap_engine_command(&bench->engine, command), 0);
        finish(&bench->engine);
}

/* Somebody touches @page, and has to wait if it is not there. */
static void touch(Bench *bench, uint64_t page) {
        swap_faults_fake_touch(&bench->faults, page);
        assert_int_equal(swap_engine_serve(&bench->engine), 0);
        assert_true(bench->faults.let_go[page]);
        assert_false(bench->faults.write_held[page]);
}

static void fill(Bench *bench) {
        for (uint64_t page = 0; page < SWAP_TEST_PAGES; page += 2)
                swap_pages_write(&bench->pages, page, (uint8_t) (page % 251 + 1));
}

static void expect_all(Bench *bench) {
        for (uint64_t page = 0; page < SWAP_TEST_PAGES; page += 2)
                swap_pages_expect(&bench->pages, page, (uint8_t) (page % 251 + 1));
}

static void test_memory_goes_all_the_way_and_comes_back(void **state) {
        Bench *bench = *state;
        const SwapEngine *engine = &bench->engine;

        fill(bench);
        command(bench, SWAP_ENABLE);
        assert_int_equal(engine->state, SWAP_PENDING);
        assert_int_equal(engine->transition.pages, SWAP_TEST_PAGES / 2);
        assert_int_equal(swap_store_resident(bench->pages.store), 0);
        command(bench, SWAP_TRIM);
        assert_int_equal(engine->state, SWAP_PENDING);
        assert_int_equal(engine->transition.pages, 0);
        command(bench, SWAP_OUT);
        assert_int_equal(engine->state, SWAP_ACTIVE);
        assert_int_equal(swap_store_filed(bench->pages.store), SWAP_TEST_PAGES / 2);
        command(bench, SWAP_DISABLE);
        assert_int_equal(engine->state, SWAP_READY);
        assert_false(bench->faults.following);
        assert_int_equal(engine->transition.pages, SWAP_TEST_PAGES / 2);
        expect_all(bench);
        for (uint64_t page = 0; page < SWAP_TEST_PAGES; page++)
                assert_false(bench->faults.write_held[page]);
}

static void test_what_is_touched_comes_from_where_it_is(void **state) {
        Bench *bench = *state;
        const SwapFaultCounts *counts = &bench->engine.counts;

        fill(bench);
        command(bench, SWAP_ENABLE);
        touch(bench, 10);
        assert_int_equal(counts->from_staging, 1);
        swap_pages_expect(&bench->pages, 10, 11);
        command(bench, SWAP_OUT);
        touch(bench, 12);
        assert_int_equal(counts->from_file, 1);
        swap_pages_expect(&bench->pages, 12, 13);
        touch(bench, 13); /* never had anything in it */
        assert_int_equal(counts->zeroed, 1);
        swap_pages_expect(&bench->pages, 13, 0);
        touch(bench, 12); /* a second thread that waited */
        assert_int_equal(counts->redundant, 1);
        assert_int_equal(bench->engine.state, SWAP_ACTIVE);
}

static void test_touches_are_served_in_the_middle_of_work(void **state) {
        Bench *bench = *state;

        fill(bench);
        assert_int_equal(swap_engine_command(&bench->engine, SWAP_ENABLE), 0);
        assert_int_equal(swap_engine_step(&bench->engine), 0);
        assert_true(bench->engine.moving);
        touch(bench, 0);    /* has left */
        touch(bench, 1098); /* has not: somebody wanted to write to it */
        finish(&bench->engine);
        assert_int_equal(swap_engine_command(&bench->engine, SWAP_OUT), 0);
        assert_int_equal(swap_engine_step(&bench->engine), 0);
        touch(bench, 2);
        touch(bench, 1096);
        finish(&bench->engine);
        assert_int_equal(swap_engine_command(&bench->engine, SWAP_DISABLE), 0);
        assert_int_equal(swap_engine_step(&bench->engine), 0);
        touch(bench, 4);
        touch(bench, 1094);
        finish(&bench->engine);
        expect_all(bench);
}

static void test_a_command_takes_the_place_of_what_is_under_way(void **state) {
        Bench *bench = *state;
        SwapEngine *engine = &bench->engine;

        fill(bench);
        assert_int_equal(swap_engine_command(engine, SWAP_ENABLE), 0);
        assert_int_equal(swap_engine_step(engine), 0);
        assert_int_equal(swap_engine_command(engine, SWAP_OUT), -EBUSY);
        assert_int_equal(swap_engine_command(engine, SWAP_TRIM), -EBUSY);
        assert_int_equal(swap_engine_command(engine, SWAP_DISABLE), 0);
        assert_int_equal(swap_engine_step(engine), 0);
        assert_int_equal(swap_engine_command(engine, SWAP_ENABLE), 0);
        finish(engine);
        assert_int_equal(swap_store_resident(bench->pages.store), 0);
        command(bench, SWAP_OUT);
        assert_int_equal(swap_engine_command(engine, SWAP_TRIM), -EBUSY);
        command(bench, SWAP_DISABLE);
        expect_all(bench);
        assert_int_equal(swap_engine_command(engine, SWAP_OUT), -EBUSY);
}

static void test_what_the_guest_took_back_and_left_alone_is_not_written_twice(void **state) {
        Bench *bench = *state;

        fill(bench);
        command(bench, SWAP_ENABLE);
        command(bench, SWAP_OUT);
        touch(bench, 20);
        touch(bench, 22);
        swap_pages_write(&bench->pages, 22, 'n');
        command(bench, SWAP_ENABLE);
        command(bench, SWAP_TRIM);
        assert_int_equal(bench->engine.transition.pages, 1);
        command(bench, SWAP_OUT);
        assert_int_equal(bench->engine.transition.pages, 1);
        command(bench, SWAP_DISABLE);
        swap_pages_expect(&bench->pages, 22, 'n');
        swap_pages_expect(&bench->pages, 20, 21);
}

static void test_memory_that_cannot_be_followed_changes_nothing(void **state) {
        Bench *bench = *state;

        fill(bench);
        bench->faults.follow_error = -ENOMEM;
        assert_int_equal(swap_engine_command(&bench->engine, SWAP_ENABLE), -ENOMEM);
        assert_int_equal(bench->engine.state, SWAP_READY);
        assert_false(swap_engine_has_work(&bench->engine));
        expect_all(bench);
}

static void test_after_a_failure_every_page_can_still_be_had(void **state) {
        Bench *bench = *state;

        fill(bench);
        command(bench, SWAP_ENABLE);
        assert_int_equal(swap_engine_command(&bench->engine, SWAP_DISABLE), 0);
        bench->faults.place_error = -ENOMEM;
        assert_int_equal(swap_engine_step(&bench->engine), -ENOMEM);
        assert_int_equal(bench->engine.state, SWAP_FAILED);
        assert_int_equal(bench->engine.transition.pages, 0);
        assert_false(swap_engine_has_work(&bench->engine));
        touch(bench, 0);
        touch(bench, 2);
        command(bench, SWAP_DISABLE);
        assert_int_equal(bench->engine.state, SWAP_READY);
        expect_all(bench);
}

static void test_a_page_that_cannot_be_read_is_an_error_and_nobody_goes_on(void **state) {
        Bench *bench = *state;

        fill(bench);
        command(bench, SWAP_ENABLE);
        command(bench, SWAP_OUT);
        assert_int_equal(ftruncate(bench->pages.file_fd, 0), 0);
        swap_faults_fake_touch(&bench->faults, 30);
        assert_int_equal(swap_engine_serve(&bench->engine), -EIO);
        assert_false(bench->faults.let_go[30]);
        assert_false(swap_pages_has(bench->pages.guest_fd, 30));
}

static void forget_40(void *userdata) {
        Bench *bench = userdata;

        swap_store_forget(bench->pages.store, 40 * SWAP_PAGE_SIZE, SWAP_PAGE_SIZE);
}

static void test_a_page_that_is_freed_while_it_comes_back_reads_as_zeros(void **state) {
        Bench *bench = *state;

        fill(bench);
        command(bench, SWAP_ENABLE);
        bench->faults.before_place = forget_40;
        bench->faults.userdata = bench;
        touch(bench, 40);
        bench->faults.before_place = NULL;
        assert_false(swap_pages_has(bench->pages.guest_fd, 40));
        touch(bench, 40); /* again: that one let it go on to a hole */
        swap_pages_expect(&bench->pages, 40, 0);
}

static void test_a_touch_from_before_the_end_is_ignored_after_it(void **state) {
        Bench *bench = *state;

        fill(bench);
        command(bench, SWAP_ENABLE);
        command(bench, SWAP_DISABLE);
        swap_faults_fake_touch(&bench->faults, 2);
        assert_int_equal(swap_engine_serve(&bench->engine), 0);
        assert_int_equal(bench->faults.n_waiting, 0);
        expect_all(bench);
}

static uint64_t file_bytes(const Bench *bench) {
        struct stat st;

        assert_int_equal(fstat(bench->pages.file_fd, &st), 0);
        return (uint64_t) st.st_size;
}

static void test_the_file_is_emptied_at_once_or_over_time(void **state) {
        Bench *bench = *state;
        SwapEngine *engine = &bench->engine;
        const uint64_t large = UINT64_C(200) << 20; /* as if there were more pages */

        fill(bench);
        command(bench, SWAP_ENABLE);
        command(bench, SWAP_OUT);
        assert_true(file_bytes(bench) > 0);
        command(bench, SWAP_DISABLE);
        assert_int_equal(file_bytes(bench), 0);
        assert_false(engine->cleaning);

        command(bench, SWAP_ENABLE);
        command(bench, SWAP_OUT);
        assert_int_equal(ftruncate(bench->pages.file_fd, (off_t) large), 0);
        command(bench, SWAP_DISABLE_SLOWLY);
        assert_true(engine->cleaning);
        assert_int_equal(file_bytes(bench), large - (UINT64_C(64) << 20));
        swap_engine_clean(engine, engine->clean_due_nsec - 1);
        assert_int_equal(file_bytes(bench), large - (UINT64_C(64) << 20));
        swap_engine_clean(engine, engine->clean_due_nsec);
        assert_int_equal(file_bytes(bench), large - (UINT64_C(128) << 20));
        command(bench, SWAP_DISABLE);
        assert_int_equal(file_bytes(bench), 0);
        assert_false(engine->cleaning);
        expect_all(bench);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_memory_goes_all_the_way_and_comes_back),
                TEST(test_what_is_touched_comes_from_where_it_is),
                TEST(test_touches_are_served_in_the_middle_of_work),
                TEST(test_a_command_takes_the_place_of_what_is_under_way),
                TEST(test_what_the_guest_took_back_and_left_alone_is_not_written_twice),
                TEST(test_memory_that_cannot_be_followed_changes_nothing),
                TEST(test_after_a_failure_every_page_can_still_be_had),
                TEST(test_a_page_that_cannot_be_read_is_an_error_and_nobody_goes_on),
                TEST(test_a_page_that_is_freed_while_it_comes_back_reads_as_zeros),
                TEST(test_a_touch_from_before_the_end_is_ignored_after_it),
                TEST(test_the_file_is_emptied_at_once_or_over_time),
        };
#undef TEST

        return cmocka_run_group_tests(tests, NULL, NULL);
}
