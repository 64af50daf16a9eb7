/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/fake/vmm_swap_pages.h"

static int setup(void **state) {
        static SwapPages pages;

        swap_pages_init(&pages);
        *state = &pages;
        return 0;
}

static int teardown(void **state) {
        swap_pages_deinit(*state);
        return 0;
}

static uint64_t stage_all(SwapStore *store) {
        uint64_t n = 0;

        assert_int_equal(swap_store_stage(store, 0, SWAP_TEST_PAGES, &n), 0);
        return n;
}

static uint64_t write_all_out(SwapStore *store) {
        uint64_t n = 0;

        assert_int_equal(swap_store_write_out(store, 0, SWAP_TEST_PAGES, &n), 0);
        return n;
}

/* Brings one page back as the engine does. */
static SwapPlace bring(const SwapPages *pages, uint64_t page) {
        const uint8_t *bytes;
        SwapPlace from;
        uint64_t n;

        assert_int_equal(swap_store_fetch(pages->store, page, 1, &bytes, &n, &from), 0);
        assert_int_equal(n, 1);
        assert_int_equal(
                pwrite(pages->guest_fd, bytes, SWAP_PAGE_SIZE, (off_t) (page * SWAP_PAGE_SIZE)),
                SWAP_PAGE_SIZE);
        swap_store_arrived(pages->store, page, 1);
        return from;
}

static void test_what_is_staged_leaves_the_memfd_and_comes_back_as_it_was(void **state) {
        const SwapPages *pages = *state;

        swap_pages_write(pages, 3, 'a');
        swap_pages_write(pages, 4, 'b');
        swap_pages_write(pages, 1099, 'c');
        assert_int_equal(swap_store_resident(pages->store), 3);
        assert_int_equal(stage_all(pages->store), 3);
        assert_int_equal(swap_store_resident(pages->store), 0);
        assert_int_equal(swap_store_staged(pages->store), 3);

        assert_int_equal(bring(pages, 4), SWAP_STAGED);
        assert_int_equal(bring(pages, 1099), SWAP_STAGED);
        assert_int_equal(swap_store_staged(pages->store), 1);
        swap_pages_expect(pages, 4, 'b');
        swap_pages_expect(pages, 1099, 'c');
        swap_pages_expect(pages, 3, 0);
        assert_int_equal(bring(pages, 3), SWAP_STAGED);
        swap_pages_expect(pages, 3, 'a');
}

static void test_the_file_has_what_was_written_out(void **state) {
        const SwapPages *pages = *state;
        uint64_t staged;

        for (uint64_t page = 0; page < 200; page += 1 + page % 3)
                swap_pages_write(pages, page, (uint8_t) (page + 1));
        assert_int_equal(write_all_out(pages->store), 0);
        staged = stage_all(pages->store);
        assert_int_equal(write_all_out(pages->store), staged);
        assert_int_equal(swap_store_filed(pages->store), staged);
        assert_int_equal(swap_store_staged(pages->store), 0);
        for (uint64_t page = 0; page < 200; page += 1 + page % 3) {
                assert_int_equal(bring(pages, page), SWAP_FILED);
                swap_pages_expect(pages, page, (uint8_t) (page + 1));
        }
        assert_int_equal(swap_store_filed(pages->store), 0);
}

static void test_a_run_of_pages_at_one_place_is_fetched_at_once(void **state) {
        const SwapPages *pages = *state;
        const uint8_t *bytes;
        SwapPlace from;
        uint64_t n = 0;

        for (uint64_t page = 10; page < 20; page++)
                swap_pages_write(pages, page, 'r');
        assert_int_equal(stage_all(pages->store), 10);
        assert_int_equal(swap_store_write_out(pages->store, 15, 5, &n), 0);
        assert_int_equal(n, 5);
        assert_int_equal(swap_store_fetch(pages->store, 12, 64, &bytes, &n, &from), 0);
        assert_int_equal(n, 3);
        assert_int_equal(from, SWAP_STAGED);
        swap_store_turn_back(pages->store, 12, 3, from);
        assert_int_equal(swap_store_staged(pages->store), 5);
        assert_int_equal(swap_store_fetch(pages->store, 15, 2, &bytes, &n, &from), 0);
        assert_int_equal(n, 2);
        assert_int_equal(from, SWAP_FILED);
        swap_store_turn_back(pages->store, 15, 2, from);
        assert_int_equal(bring(pages, 12), SWAP_STAGED);
        assert_int_equal(bring(pages, 16), SWAP_FILED);
        swap_pages_expect(pages, 12, 'r');
        swap_pages_expect(pages, 16, 'r');
        assert_int_equal(swap_store_fetch(pages->store, 0, 64, &bytes, &n, &from), 0);
        assert_int_equal(n, 0);
}

static void test_trimming_drops_zeros_and_what_the_file_has_already(void **state) {
        const SwapPages *pages = *state;
        const uint8_t zeros[SWAP_PAGE_SIZE] = {0};
        uint64_t dropped = 0;

        swap_pages_write(pages, 1, 's'); /* stays as it is */
        swap_pages_write(pages, 2, 'c'); /* changes */
        assert_int_equal(stage_all(pages->store), 2);
        assert_int_equal(write_all_out(pages->store), 2);
        (void) bring(pages, 1);
        (void) bring(pages, 2);
        swap_pages_write(pages, 2, 'd');
        assert_int_equal(pwrite(pages->guest_fd, zeros, sizeof(zeros), 7 * SWAP_PAGE_SIZE),
                         sizeof(zeros));
        assert_int_equal(stage_all(pages->store), 3);
        assert_int_equal(swap_store_trim(pages->store, 0, SWAP_TEST_PAGES, &dropped), 0);
        assert_int_equal(dropped, 2);
        assert_int_equal(swap_store_place(pages->store, 7), SWAP_GUEST);
        assert_int_equal(swap_store_staged(pages->store), 1);
        assert_int_equal(swap_store_filed(pages->store), 1);
        assert_int_equal(bring(pages, 1), SWAP_FILED);
        assert_int_equal(bring(pages, 2), SWAP_STAGED);
        swap_pages_expect(pages, 1, 's');
        swap_pages_expect(pages, 2, 'd');
        swap_pages_expect(pages, 7, 0);
}

static void test_a_page_that_was_forgotten_does_not_come_back(void **state) {
        const SwapPages *pages = *state;
        const uint8_t *bytes;
        SwapPlace from;
        uint64_t n;

        swap_pages_write(pages, 5, 'x');
        swap_pages_write(pages, 6, 'y');
        assert_int_equal(stage_all(pages->store), 2);
        assert_int_equal(swap_store_write_out(pages->store, 6, 1, &n), 0);
        swap_store_forget(pages->store, 5 * SWAP_PAGE_SIZE, 2 * SWAP_PAGE_SIZE);
        assert_int_equal(swap_store_staged(pages->store) + swap_store_filed(pages->store), 0);
        assert_int_equal(swap_store_place(pages->store, 5), SWAP_GUEST);
        assert_int_equal(swap_store_place(pages->store, 6), SWAP_GUEST);
        assert_int_equal(swap_store_fetch(pages->store, 5, 2, &bytes, &n, &from), 0);
        assert_int_equal(n, 0);

        /* What the guest puts there next is what counts. */
        swap_pages_write(pages, 6, 'z');
        assert_int_equal(stage_all(pages->store), 1);
        n = 0;
        assert_int_equal(swap_store_trim(pages->store, 0, SWAP_TEST_PAGES, &n), 0);
        assert_int_equal(n, 0);
        (void) bring(pages, 6);
        swap_pages_expect(pages, 6, 'z');
}

static void test_a_page_that_is_forgotten_on_its_way_reads_as_zeros(void **state) {
        const SwapPages *pages = *state;
        const uint8_t *bytes;
        SwapPlace from;
        uint64_t n;

        swap_pages_write(pages, 8, 'w');
        assert_int_equal(stage_all(pages->store), 1);
        assert_int_equal(swap_store_fetch(pages->store, 8, 1, &bytes, &n, &from), 0);
        swap_store_forget(pages->store, 8 * SWAP_PAGE_SIZE, SWAP_PAGE_SIZE);
        swap_pages_write(pages, 8, 'w'); /* it is put there all the same */
        swap_store_arrived(pages->store, 8, 1);
        assert_false(swap_pages_has(pages->guest_fd, 8));
        assert_int_equal(swap_store_place(pages->store, 8), SWAP_GUEST);
        assert_int_equal(swap_store_staged(pages->store), 0);
}

static void test_a_file_that_cannot_be_written_leaves_pages_in_staging_memory(void **state) {
        const SwapPages *pages = *state;
        uint64_t n = 0;
        SwapStore *full;

        swap_pages_write(pages, 2, 'f');
        assert_int_equal(swap_store_new_consume(pages->guest_fd, SWAP_TEST_PAGES * SWAP_PAGE_SIZE,
                                                open("/dev/full", O_RDWR | O_CLOEXEC), &full),
                         0);
        assert_int_equal(stage_all(full), 1);
        assert_int_equal(swap_store_write_out(full, 0, SWAP_TEST_PAGES, &n), -ENOSPC);
        assert_int_equal(n, 0);
        assert_int_equal(swap_store_staged(full), 1);
        assert_int_equal(swap_store_place(full, 2), SWAP_STAGED);
        (void) swap_store_free(full);
}

static void test_a_file_that_was_cut_off_is_an_error_and_no_zeros(void **state) {
        const SwapPages *pages = *state;
        const uint8_t *bytes;
        SwapPlace from;
        uint64_t n;

        swap_pages_write(pages, 2, 'f');
        assert_int_equal(stage_all(pages->store), 1);
        assert_int_equal(write_all_out(pages->store), 1);
        assert_int_equal(ftruncate(pages->file_fd, 0), 0);
        assert_int_equal(swap_store_fetch(pages->store, 2, 1, &bytes, &n, &from), -EIO);
        assert_int_equal(swap_store_place(pages->store, 2), SWAP_FILED);
}

static void test_ranges_that_are_away_are_told_in_order(void **state) {
        const SwapPages *pages = *state;
        uint64_t from, to;

        assert_false(swap_store_next_away(pages->store, 0, &from, &to));
        for (uint64_t page = 4; page < 8; page++)
                swap_pages_write(pages, page, 'n');
        swap_pages_write(pages, 1099, 'n');
        (void) stage_all(pages->store);
        (void) bring(pages, 6);
        assert_true(swap_store_next_away(pages->store, 0, &from, &to));
        assert_int_equal(from, 4 * SWAP_PAGE_SIZE);
        assert_int_equal(to, 6 * SWAP_PAGE_SIZE);
        assert_true(swap_store_next_away(pages->store, to, &from, &to));
        assert_int_equal(from, 7 * SWAP_PAGE_SIZE);
        assert_true(swap_store_next_away(pages->store, to, &from, &to));
        assert_int_equal(to, SWAP_TEST_PAGES * SWAP_PAGE_SIZE);
        assert_false(swap_store_next_away(pages->store, to, &from, &to));
}

static void test_the_file_is_given_back_in_parts_or_at_once(void **state) {
        const SwapPages *pages = *state;
        struct stat st;

        assert_false(swap_store_shrink_file(pages->store, 1));
        swap_pages_write(pages, 0, 'p');
        swap_pages_write(pages, 1000, 'p');
        (void) stage_all(pages->store);
        (void) write_all_out(pages->store);
        (void) bring(pages, 0);
        (void) bring(pages, 1000);
        swap_store_reset(pages->store);
        assert_true(swap_store_shrink_file(pages->store, 500 * SWAP_PAGE_SIZE));
        assert_int_equal(fstat(pages->file_fd, &st), 0);
        assert_int_equal(st.st_size, 501 * SWAP_PAGE_SIZE);
        assert_false(swap_store_shrink_file(pages->store, UINT64_MAX));
        assert_int_equal(fstat(pages->file_fd, &st), 0);
        assert_int_equal(st.st_size, 0);
}

/* ---- two threads ---- */

#define ROUNDS 300u
#define SHARED_PAGES 64u

static void *forget_much(void *userdata) {
        SwapStore *store = userdata;

        for (unsigned i = 0; i < ROUNDS; i++)
                swap_store_forget(store, (i % SHARED_PAGES) * SWAP_PAGE_SIZE, SWAP_PAGE_SIZE);
        return NULL;
}

/* The pages from SHARED_PAGES on are never forgotten, and must never lose what they have. */
static void test_forgetting_beside_the_mover_hurts_no_other_page(void **state) {
        const SwapPages *pages = *state;
        pthread_t other;
        uint64_t n = 0;

        for (uint64_t page = 0; page < 2u * SHARED_PAGES; page++)
                swap_pages_write(pages, page, 'k');
        assert_int_equal(pthread_create(&other, NULL, forget_much, pages->store), 0);
        for (unsigned i = 0; i < ROUNDS; i++) {
                uint64_t page = i % (2u * SHARED_PAGES);
                const uint8_t *bytes;
                SwapPlace from;

                (void) stage_all(pages->store);
                if (i % 3 == 0)
                        (void) write_all_out(pages->store);
                if (i % 3 == 1)
                        (void) swap_store_trim(pages->store, 0, SWAP_TEST_PAGES, &n);
                assert_int_equal(swap_store_fetch(pages->store, page, 1, &bytes, &n, &from), 0);
                if (n == 0)
                        continue;
                assert_int_equal(pwrite(pages->guest_fd, bytes, SWAP_PAGE_SIZE,
                                        (off_t) (page * SWAP_PAGE_SIZE)),
                                 SWAP_PAGE_SIZE);
                swap_store_arrived(pages->store, page, 1);
        }
        assert_int_equal(pthread_join(other, NULL), 0);
        (void) stage_all(pages->store);
        for (uint64_t page = SHARED_PAGES; page < 2u * SHARED_PAGES; page++) {
                (void) bring(pages, page);
                swap_pages_expect(pages, page, 'k');
        }
        swap_store_forget(pages->store, 0, SHARED_PAGES * SWAP_PAGE_SIZE);
        assert_int_equal(swap_store_staged(pages->store), 0);
        assert_int_equal(swap_store_filed(pages->store), 0);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_what_is_staged_leaves_the_memfd_and_comes_back_as_it_was),
                TEST(test_the_file_has_what_was_written_out),
                TEST(test_a_run_of_pages_at_one_place_is_fetched_at_once),
                TEST(test_trimming_drops_zeros_and_what_the_file_has_already),
                TEST(test_a_page_that_was_forgotten_does_not_come_back),
                TEST(test_a_page_that_is_forgotten_on_its_way_reads_as_zeros),
                TEST(test_a_file_that_cannot_be_written_leaves_pages_in_staging_memory),
                TEST(test_a_file_that_was_cut_off_is_an_error_and_no_zeros),
                TEST(test_ranges_that_are_away_are_told_in_order),
                TEST(test_the_file_is_given_back_in_parts_or_at_once),
                TEST(test_forgetting_beside_the_mover_hurts_no_other_page),
        };
#undef TEST

        return cmocka_run_group_tests(tests, NULL, NULL);
}
