/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/mem/guest_mem.h"

#define PAGE UINT64_C(4096)

/* A mover that has pages 4 and 5. */
typedef struct Mover {
        uint64_t forgotten[4][2];
        unsigned n;
} Mover;

static void forget(void *userdata, uint64_t offset, uint64_t len) {
        Mover *mover = userdata;

        mover->forgotten[mover->n][0] = offset;
        mover->forgotten[mover->n++][1] = len;
}

static bool next_away(void *userdata, uint64_t offset, uint64_t *ret_from, uint64_t *ret_to) {
        *ret_from = MAX(offset, 4 * PAGE);
        *ret_to = 6 * PAGE;
        return offset < 6 * PAGE;
}

static int setup(void **state) {
        return guest_mem_new(256 * PAGE, (GuestMem **) state);
}

static int teardown(void **state) {
        (void) guest_mem_free(*state);
        return 0;
}

static void expect(const GuestMem *mem, uint64_t at, uint64_t from, uint64_t to) {
        uint64_t found_from = 0, found_to = 0;

        assert_int_equal(guest_mem_next_data(mem, at, &found_from, &found_to), 1);
        assert_int_equal(found_from, from);
        assert_int_equal(found_to, to);
}

static void test_contents_are_where_the_memfd_has_them(void **state) {
        const GuestMem *mem = *state;
        uint64_t from, to;

        assert_int_equal(guest_mem_next_data(mem, 0, &from, &to), 0);
        mem->base[2 * PAGE] = 1;
        mem->base[3 * PAGE] = 1;
        mem->base[255 * PAGE] = 1;
        expect(mem, 0, 2 * PAGE, 4 * PAGE);
        expect(mem, 4 * PAGE, 255 * PAGE, 256 * PAGE);
        assert_int_equal(guest_mem_next_data(mem, 256 * PAGE, &from, &to), 0);
}

static void test_pages_that_are_away_are_contents_too(void **state) {
        GuestMem *mem = *state;
        uint64_t from, to;

        guest_mem_set_mover(mem, &(GuestMemMover){.next_away = next_away});
        expect(mem, 0, 4 * PAGE, 6 * PAGE);
        mem->base[3 * PAGE] = 1;
        mem->base[9 * PAGE] = 1;
        expect(mem, 0, 3 * PAGE, 4 * PAGE);
        expect(mem, 4 * PAGE, 4 * PAGE, 6 * PAGE);
        expect(mem, 6 * PAGE, 9 * PAGE, 10 * PAGE);
        assert_int_equal(guest_mem_next_data(mem, 10 * PAGE, &from, &to), 0);
}

static void test_a_mover_is_told_of_free_pages_before_and_after_they_go(void **state) {
        GuestMem *mem = *state;
        Mover mover = {0};

        guest_mem_set_mover(mem, &(GuestMemMover){.forget = forget, .userdata = &mover});
        guest_mem_release(mem, 6 * PAGE, 2 * PAGE);
        assert_int_equal(mover.n, 2);
        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(mover.forgotten[i][0], 6 * PAGE);
                assert_int_equal(mover.forgotten[i][1], 2 * PAGE);
        }
        guest_mem_release(mem, 255 * PAGE, 2 * PAGE); /* beyond the end: left alone */
        assert_int_equal(mover.n, 2);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_contents_are_where_the_memfd_has_them),
                TEST(test_pages_that_are_away_are_contents_too),
                TEST(test_a_mover_is_told_of_free_pages_before_and_after_they_go),
        };
#undef TEST

        return cmocka_run_group_tests(tests, NULL, NULL);
}
