/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "vmm/irq/pit_channel.h"

static void program(PitChannel *channel, uint64_t now, uint8_t control, uint16_t count) {
        pit_channel_control(channel, control);
        pit_channel_write(channel, now, (uint8_t) count);
        pit_channel_write(channel, now, (uint8_t) (count >> 8));
}

static unsigned read_both(PitChannel *channel, uint64_t now) {
        unsigned low = pit_channel_read(channel, now);

        return low | (unsigned) pit_channel_read(channel, now) << 8;
}

static void test_mode_0_rises_once_when_the_count_is_reached(void **state) {
        PitChannel channel;
        uint64_t rise;

        pit_channel_init(&channel, true);
        program(&channel, 100, 0x30, 50);
        assert_false(pit_channel_output(&channel, 149));
        assert_true(pit_channel_output(&channel, 150));
        assert_true(pit_channel_next_rise(&channel, 100, &rise));
        assert_int_equal(rise, 150);
        assert_false(pit_channel_next_rise(&channel, 150, &rise));
        assert_int_equal(read_both(&channel, 110), 40);
        assert_int_equal(read_both(&channel, 151), 0xffff);
}

static void test_mode_0_stands_still_while_the_gate_is_low(void **state) {
        PitChannel channel;
        uint64_t rise;

        pit_channel_init(&channel, false);
        program(&channel, 0, 0xb0, 50);
        assert_false(pit_channel_output(&channel, 1000));
        assert_false(pit_channel_next_rise(&channel, 0, &rise));
        pit_channel_set_gate(&channel, 1000, true);
        assert_int_equal(read_both(&channel, 1020), 30);
        pit_channel_set_gate(&channel, 1020, false);
        assert_int_equal(read_both(&channel, 5000), 30);
        pit_channel_set_gate(&channel, 5000, true);
        assert_false(pit_channel_output(&channel, 5029));
        assert_true(pit_channel_output(&channel, 5030));
}

static void test_mode_0_stops_at_the_first_byte_of_a_new_count(void **state) {
        PitChannel channel;
        uint64_t rise;

        pit_channel_init(&channel, true);
        program(&channel, 0, 0x30, 50);
        pit_channel_write(&channel, 10, 20);
        assert_false(pit_channel_next_rise(&channel, 10, &rise));
        pit_channel_write(&channel, 12, 0);
        assert_true(pit_channel_next_rise(&channel, 12, &rise));
        assert_int_equal(rise, 32);
}

static void test_mode_1_starts_with_the_gate(void **state) {
        PitChannel channel;

        pit_channel_init(&channel, false);
        program(&channel, 0, 0xb2, 50);
        assert_true(pit_channel_output(&channel, 10));
        pit_channel_set_gate(&channel, 100, true);
        assert_false(pit_channel_output(&channel, 149));
        assert_true(pit_channel_output(&channel, 150));
        pit_channel_set_gate(&channel, 200, false);
        pit_channel_set_gate(&channel, 210, true);
        assert_false(pit_channel_output(&channel, 259));
}

static void test_mode_2_rises_once_a_period(void **state) {
        PitChannel channel;
        uint64_t rise;

        pit_channel_init(&channel, true);
        program(&channel, 1000, 0x34, 100);
        assert_true(pit_channel_output(&channel, 1098));
        assert_false(pit_channel_output(&channel, 1099));
        assert_true(pit_channel_output(&channel, 1100));
        assert_true(pit_channel_next_rise(&channel, 1000, &rise));
        assert_int_equal(rise, 1100);
        assert_true(pit_channel_next_rise(&channel, 1100, &rise));
        assert_int_equal(rise, 1200);
        assert_true(pit_channel_next_rise(&channel, 1450, &rise));
        assert_int_equal(rise, 1500);
        assert_int_equal(read_both(&channel, 1130), 70);
}

static void test_mode_3_is_a_square_wave_that_counts_by_two(void **state) {
        PitChannel channel;

        pit_channel_init(&channel, true);
        program(&channel, 0, 0x36, 0);
        assert_int_equal(channel.count, 0x10000);
        assert_true(pit_channel_output(&channel, 0x7fff));
        assert_false(pit_channel_output(&channel, 0x8000));
        assert_int_equal(read_both(&channel, 0x1000), 0xe000);
        assert_int_equal(read_both(&channel, 0x9000), 0xe000);
}

static void test_mode_4_strobes_once(void **state) {
        PitChannel channel;
        uint64_t rise;

        pit_channel_init(&channel, true);
        program(&channel, 0, 0x38, 10);
        assert_true(pit_channel_output(&channel, 9));
        assert_false(pit_channel_output(&channel, 10));
        assert_true(pit_channel_output(&channel, 11));
        assert_true(pit_channel_next_rise(&channel, 0, &rise));
        assert_int_equal(rise, 11);
        assert_false(pit_channel_next_rise(&channel, 11, &rise));
}

static void test_a_latched_count_stays_until_it_is_read(void **state) {
        PitChannel channel;

        pit_channel_init(&channel, true);
        program(&channel, 0, 0x34, 1000);
        pit_channel_latch_count(&channel, 100);
        pit_channel_latch_count(&channel, 200);
        assert_int_equal(read_both(&channel, 300), 900);
        assert_int_equal(read_both(&channel, 300), 700);
}

static void test_the_status_shows_mode_access_output_and_a_missing_count(void **state) {
        PitChannel channel;

        pit_channel_init(&channel, true);
        pit_channel_control(&channel, 0x34);
        pit_channel_latch_status(&channel, 0);
        assert_int_equal(pit_channel_read(&channel, 0), 0x80 | 0x40 | 0x34);
        pit_channel_write(&channel, 0, 100);
        pit_channel_write(&channel, 0, 0);
        pit_channel_latch_status(&channel, 99);
        pit_channel_latch_count(&channel, 99);
        assert_int_equal(pit_channel_read(&channel, 99), 0x34);
        assert_int_equal(read_both(&channel, 500), 1);
}

static void test_single_byte_access_moves_one_half(void **state) {
        PitChannel channel;

        pit_channel_init(&channel, true);
        pit_channel_control(&channel, 0x14);
        pit_channel_write(&channel, 0, 200);
        assert_int_equal(channel.count, 200);
        assert_int_equal(pit_channel_read(&channel, 50), 150);
        pit_channel_control(&channel, 0x24);
        pit_channel_write(&channel, 0, 2);
        assert_int_equal(channel.count, 512);
        assert_int_equal(pit_channel_read(&channel, 10), 1);
}

static void test_bcd_counts_in_decimal_digits(void **state) {
        PitChannel channel;

        pit_channel_init(&channel, true);
        program(&channel, 0, 0x31, 0x1000);
        assert_int_equal(channel.count, 1000);
        assert_int_equal(read_both(&channel, 1), 0x0999);
        program(&channel, 0, 0x31, 0);
        assert_int_equal(channel.count, 10000);
        assert_int_equal(read_both(&channel, 1), 0x9999);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_mode_0_rises_once_when_the_count_is_reached),
                cmocka_unit_test(test_mode_0_stands_still_while_the_gate_is_low),
                cmocka_unit_test(test_mode_0_stops_at_the_first_byte_of_a_new_count),
                cmocka_unit_test(test_mode_1_starts_with_the_gate),
                cmocka_unit_test(test_mode_2_rises_once_a_period),
                cmocka_unit_test(test_mode_3_is_a_square_wave_that_counts_by_two),
                cmocka_unit_test(test_mode_4_strobes_once),
                cmocka_unit_test(test_a_latched_count_stays_until_it_is_read),
                cmocka_unit_test(test_the_status_shows_mode_access_output_and_a_missing_count),
                cmocka_unit_test(test_single_byte_access_moves_one_half),
                cmocka_unit_test(test_bcd_counts_in_decimal_digits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
