/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "vmm/irq/pic.h"

#define MASTER false
#define SLAVE true

/* As kernels do it: vectors 0x20-0x2f, everything unmasked. */
static void initialize(PicPair *pair) {
        static const uint8_t words[2][4] = {{0x11, 0x20, 0x04, 0x01}, {0x11, 0x28, 0x02, 0x01}};

        pic_init(pair);
        for (unsigned chip = 0; chip < 2; chip++) {
                pic_write(pair, chip, 0, words[chip][0]);
                for (unsigned i = 1; i < 4; i++)
                        pic_write(pair, chip, 1, words[chip][i]);
        }
}

static void pulse(PicPair *pair, unsigned pin) {
        pic_set_line(pair, pin, true);
        pic_set_line(pair, pin, false);
}

static void test_nothing_is_requested_before_initialization(void **state) {
        PicPair pair;

        pic_init(&pair);
        pulse(&pair, 4);
        assert_false(pic_output(&pair));
        assert_int_equal(pic_acknowledge(&pair), -1);
}

static void test_an_edge_is_latched_until_it_is_served(void **state) {
        PicPair pair;

        initialize(&pair);
        pulse(&pair, 4);
        assert_true(pic_output(&pair));
        assert_int_equal(pic_acknowledge(&pair), 0x24);
        assert_false(pic_output(&pair));
        assert_int_equal(pic_acknowledge(&pair), -1);
}

static void test_a_second_edge_waits_for_the_end_of_interrupt(void **state) {
        PicPair pair;

        initialize(&pair);
        pulse(&pair, 4);
        assert_int_equal(pic_acknowledge(&pair), 0x24);
        pulse(&pair, 4);
        pulse(&pair, 5);
        assert_false(pic_output(&pair));
        pic_write(&pair, MASTER, 0, 0x20);
        assert_int_equal(pic_acknowledge(&pair), 0x24);
}

static void test_a_better_input_interrupts_a_worse_one(void **state) {
        PicPair pair;

        initialize(&pair);
        pulse(&pair, 5);
        assert_int_equal(pic_acknowledge(&pair), 0x25);
        pulse(&pair, 1);
        assert_int_equal(pic_acknowledge(&pair), 0x21);
        /* A non-specific EOI ends the better one first. */
        pic_write(&pair, MASTER, 0, 0x0b);
        assert_int_equal(pic_read(&pair, MASTER, 0), 0x22);
        pic_write(&pair, MASTER, 0, 0x20);
        assert_int_equal(pic_read(&pair, MASTER, 0), 0x20);
}

static void test_the_slave_is_served_through_the_cascade(void **state) {
        PicPair pair;

        initialize(&pair);
        pulse(&pair, 8);
        assert_true(pic_output(&pair));
        assert_int_equal(pic_acknowledge(&pair), 0x28);
        pulse(&pair, 10);
        assert_false(pic_output(&pair)); /* both chips still have it in service */
        pic_write(&pair, SLAVE, 0, 0x20);
        pic_write(&pair, MASTER, 0, 0x62);
        assert_int_equal(pic_acknowledge(&pair), 0x2a);
}

static void test_special_fully_nested_mode_lets_the_slaves_better_input_through(void **state) {
        PicPair pair;

        initialize(&pair);
        pic_write(&pair, MASTER, 0, 0x11);
        pic_write(&pair, MASTER, 1, 0x20);
        pic_write(&pair, MASTER, 1, 0x04);
        pic_write(&pair, MASTER, 1, 0x11);
        pulse(&pair, 12);
        assert_int_equal(pic_acknowledge(&pair), 0x2c);
        pulse(&pair, 10);
        assert_int_equal(pic_acknowledge(&pair), 0x2a);
}

static void test_a_masked_input_waits(void **state) {
        PicPair pair;

        initialize(&pair);
        pic_write(&pair, MASTER, 1, 0x10);
        assert_int_equal(pic_read(&pair, MASTER, 1), 0x10);
        pulse(&pair, 4);
        assert_false(pic_output(&pair));
        assert_int_equal(pic_read(&pair, MASTER, 0), 0x10);
        pic_write(&pair, MASTER, 1, 0);
        assert_int_equal(pic_acknowledge(&pair), 0x24);
}

static void test_a_level_input_asks_again_until_it_falls(void **state) {
        PicPair pair;

        initialize(&pair);
        pic_write_elcr(&pair, 1, 0x02);
        pic_set_line(&pair, 9, true);
        assert_int_equal(pic_acknowledge(&pair), 0x29);
        pic_write(&pair, SLAVE, 0, 0x20);
        pic_write(&pair, MASTER, 0, 0x20);
        assert_int_equal(pic_acknowledge(&pair), 0x29);
        pic_set_line(&pair, 9, false);
        pic_write(&pair, SLAVE, 0, 0x20);
        pic_write(&pair, MASTER, 0, 0x20);
        assert_false(pic_output(&pair));
}

static void test_inputs_that_must_be_edges_stay_edges(void **state) {
        PicPair pair;

        initialize(&pair);
        assert_int_equal(pic_read_elcr(&pair, 1), 0x02); /* the SCI, as firmware leaves it */
        pic_write_elcr(&pair, 0, 0xff);
        pic_write_elcr(&pair, 1, 0xff);
        assert_int_equal(pic_read_elcr(&pair, 0), 0xf8);
        assert_int_equal(pic_read_elcr(&pair, 1), 0xde);
}

static void test_automatic_eoi_leaves_nothing_in_service(void **state) {
        PicPair pair;

        initialize(&pair);
        pic_write(&pair, MASTER, 0, 0x11);
        pic_write(&pair, MASTER, 1, 0x20);
        pic_write(&pair, MASTER, 1, 0x04);
        pic_write(&pair, MASTER, 1, 0x03);
        pulse(&pair, 4);
        assert_int_equal(pic_acknowledge(&pair), 0x24);
        pulse(&pair, 4);
        assert_int_equal(pic_acknowledge(&pair), 0x24);
}

static void test_priorities_rotate(void **state) {
        PicPair pair;

        initialize(&pair);
        pic_write(&pair, MASTER, 0, 0xc3); /* input 3 is last now, 4 first */
        pulse(&pair, 3);
        pulse(&pair, 4);
        assert_int_equal(pic_acknowledge(&pair), 0x24);
        pic_write(&pair, MASTER, 0, 0xa0); /* rotate on EOI: 4 becomes last */
        pulse(&pair, 4);
        pulse(&pair, 5);
        assert_int_equal(pic_acknowledge(&pair), 0x25);
        pic_write(&pair, MASTER, 0, 0x65);
        assert_int_equal(pic_acknowledge(&pair), 0x23);
}

static void test_special_mask_mode_lets_worse_inputs_through(void **state) {
        PicPair pair;

        initialize(&pair);
        pulse(&pair, 1);
        assert_int_equal(pic_acknowledge(&pair), 0x21);
        pic_write(&pair, MASTER, 1, 0x02);
        pulse(&pair, 5);
        assert_false(pic_output(&pair));
        pic_write(&pair, MASTER, 0, 0x68);
        assert_int_equal(pic_acknowledge(&pair), 0x25);
}

static void test_a_poll_takes_the_place_of_an_acknowledge(void **state) {
        PicPair pair;

        initialize(&pair);
        pulse(&pair, 6);
        pic_write(&pair, MASTER, 0, 0x0c);
        assert_int_equal(pic_read(&pair, MASTER, 0), 0x86);
        assert_false(pic_output(&pair));
        pic_write(&pair, MASTER, 0, 0x0c);
        assert_int_equal(pic_read(&pair, MASTER, 0), 0x00);
        assert_int_equal(pic_read(&pair, MASTER, 0), 0x00); /* IRR again */
}

static void test_initialization_forgets_edges_and_the_mask(void **state) {
        PicPair pair;

        initialize(&pair);
        pic_write(&pair, MASTER, 1, 0xff);
        pulse(&pair, 4);
        pic_write(&pair, MASTER, 0, 0x11);
        assert_int_equal(pic_read(&pair, MASTER, 1), 0);
        assert_false(pic_output(&pair));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nothing_is_requested_before_initialization),
                cmocka_unit_test(test_an_edge_is_latched_until_it_is_served),
                cmocka_unit_test(test_a_second_edge_waits_for_the_end_of_interrupt),
                cmocka_unit_test(test_a_better_input_interrupts_a_worse_one),
                cmocka_unit_test(test_the_slave_is_served_through_the_cascade),
                cmocka_unit_test(
                        test_special_fully_nested_mode_lets_the_slaves_better_input_through),
                cmocka_unit_test(test_a_masked_input_waits),
                cmocka_unit_test(test_a_level_input_asks_again_until_it_falls),
                cmocka_unit_test(test_inputs_that_must_be_edges_stay_edges),
                cmocka_unit_test(test_automatic_eoi_leaves_nothing_in_service),
                cmocka_unit_test(test_priorities_rotate),
                cmocka_unit_test(test_special_mask_mode_lets_worse_inputs_through),
                cmocka_unit_test(test_a_poll_takes_the_place_of_an_acknowledge),
                cmocka_unit_test(test_initialization_forgets_edges_and_the_mask),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
