/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/fake/vmm_chips_fake.h"
#include "tests/fake/vmm_clock_fake.h"
#include "vmm/legacy/devices.h"
#include "vmm/legacy/rtc_time.h"
#include "vmm/mem/memmap.h"

#define MIB (UINT64_C(1) << 20)
#define START_SECONDS INT64_C(1709209845) /* Thu 2024-02-29 12:30:45 */
#define MSEC UINT64_C(1000000)

typedef struct Fixture {
        Bus *pio;
        GuestClock *clock;
        FakeIrq irq;
        Rtc *rtc;
} Fixture;

static int setup(void **state) {
        static Fixture f;

        f = (Fixture){
                .clock = fake_clock_new(NSEC_PER_SEC, (usec_t) START_SECONDS * 1000000 + 200000)};
        assert_int_equal(bus_new("pio", &f.pio), 0);
        assert_int_equal(
                rtc_new(f.pio, f.clock, fake_irq_line(&f.irq), 3072 * MIB, 5120 * MIB, &f.rtc), 0);
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        rtc_free(f->rtc);
        bus_free(f->pio);
        guest_clock_free(f->clock);
        return 0;
}

static uint8_t get(Fixture *f, uint8_t index) {
        out8(f->pio, IOPORT_RTC, index);
        return in8(f->pio, IOPORT_RTC + 1);
}

static void put(Fixture *f, uint8_t index, uint8_t value) {
        out8(f->pio, IOPORT_RTC, index);
        out8(f->pio, IOPORT_RTC + 1, value);
}

static void test_it_shows_the_wall_clock(void **state) {
        Fixture *f = *state;

        assert_int_equal(get(f, RTC_HOURS), 0x12);
        assert_int_equal(get(f, RTC_MINUTES), 0x30);
        assert_int_equal(get(f, RTC_SECONDS), 0x45);
        assert_int_equal(get(f, RTC_YEAR), 0x24);
        assert_int_equal(get(f, 0x80 | RTC_CENTURY), 0x20); /* bit 7 is the NMI mask */
        fake_clock_advance(f->clock, 20 * NSEC_PER_SEC);
        assert_int_equal(get(f, RTC_MINUTES), 0x31);
        assert_int_equal(get(f, RTC_SECONDS), 0x05);
        assert_int_equal(get(f, RTC_D), 0x80);
}

static void test_the_memory_size_is_where_a_bios_puts_it(void **state) {
        Fixture *f = *state;

        assert_int_equal(get(f, 0x15) | get(f, 0x16) << 8, 640);
        assert_int_equal(get(f, 0x17) | get(f, 0x18) << 8, 0xffff);
        assert_int_equal(get(f, 0x30) | get(f, 0x31) << 8, 0xffff);
        assert_int_equal(get(f, 0x34) | get(f, 0x35) << 8, (3072 - 16) * 16);
        assert_int_equal(get(f, 0x5b) | get(f, 0x5c) << 8 | get(f, 0x5d) << 16, 5120 * 16);
}

static void test_setting_the_clock_moves_it_by_an_offset(void **state) {
        Fixture *f = *state;

        put(f, RTC_B, 0x82); /* SET */
        put(f, RTC_HOURS, 0x23);
        put(f, RTC_MINUTES, 0x59);
        put(f, RTC_SECONDS, 0x59);
        fake_clock_advance(f->clock, 10 * NSEC_PER_SEC);
        assert_int_equal(get(f, RTC_SECONDS), 0x59);
        put(f, RTC_B, 0x02);
        assert_int_equal(get(f, RTC_SECONDS), 0x59);
        fake_clock_advance(f->clock, NSEC_PER_SEC);
        assert_int_equal(get(f, RTC_HOURS), 0x00);
        assert_int_equal(get(f, RTC_DAY_OF_MONTH), 0x01);
        assert_int_equal(get(f, RTC_MONTH), 0x03);
}

static void test_a_released_divider_ticks_after_half_a_second(void **state) {
        Fixture *f = *state;

        put(f, RTC_A, 0x76);
        put(f, RTC_SECONDS, 0x10);
        put(f, RTC_A, 0x26);
        fake_clock_advance(f->clock, 499 * MSEC);
        assert_int_equal(get(f, RTC_SECONDS), 0x10);
        fake_clock_advance(f->clock, 2 * MSEC);
        assert_int_equal(get(f, RTC_SECONDS), 0x11);
}

static void test_changing_the_form_keeps_the_time(void **state) {
        Fixture *f = *state;

        put(f, RTC_B, 0x06); /* binary */
        assert_int_equal(get(f, RTC_SECONDS), 45);
        put(f, RTC_B, 0x00); /* 12 hours, BCD */
        assert_int_equal(get(f, RTC_HOURS), 0x92);
        assert_int_equal(get(f, RTC_SECONDS), 0x45);
}

static void test_update_in_progress_is_set_just_before_the_second(void **state) {
        Fixture *f = *state;

        assert_false(get(f, RTC_A) & 0x80);
        fake_clock_advance(f->clock, 800 * MSEC - 200000);
        assert_true(get(f, RTC_A) & 0x80);
        fake_clock_advance(f->clock, 200000);
        assert_false(get(f, RTC_A) & 0x80);
}

static void test_an_alarm_interrupts_until_register_c_is_read(void **state) {
        Fixture *f = *state;

        put(f, RTC_HOURS_ALARM, 0x12);
        put(f, RTC_MINUTES_ALARM, 0x31);
        put(f, RTC_SECONDS_ALARM, 0x00);
        (void) get(f, RTC_C);
        put(f, RTC_B, 0x22);
        fake_clock_advance(f->clock, 14 * NSEC_PER_SEC);
        assert_false(f->irq.level);
        fake_clock_advance(f->clock, NSEC_PER_SEC);
        assert_true(f->irq.level);
        assert_int_equal(get(f, RTC_C) & 0xa0, 0xa0);
        assert_false(f->irq.level);
        fake_clock_advance(f->clock, 3600 * NSEC_PER_SEC);
        assert_int_equal(f->irq.n_rises, 1);
        fake_clock_advance(f->clock, 23 * 3600 * NSEC_PER_SEC);
        assert_int_equal(f->irq.n_rises, 2);
}

static void test_update_interrupts_come_each_second_that_is_taken_note_of(void **state) {
        Fixture *f = *state;

        (void) get(f, RTC_C);
        put(f, RTC_B, 0x12);
        fake_clock_advance(f->clock, 800 * MSEC);
        assert_int_equal(f->irq.n_rises, 1);
        fake_clock_advance(f->clock, 10 * NSEC_PER_SEC);
        assert_int_equal(f->irq.n_rises, 1);
        assert_int_equal(fake_clock_armed(f->clock), 0);
        assert_int_equal(get(f, RTC_C), 0xd0);
        fake_clock_advance(f->clock, NSEC_PER_SEC);
        assert_int_equal(f->irq.n_rises, 2);
}

static void test_periodic_interrupts_follow_the_rate(void **state) {
        Fixture *f = *state;
        unsigned n = 0;

        put(f, RTC_A, 0x2a); /* 64 Hz */
        (void) get(f, RTC_C);
        put(f, RTC_B, 0x42);
        for (unsigned i = 0; i < 1000; i++) {
                fake_clock_advance(f->clock, MSEC);
                if (f->irq.level) {
                        n++;
                        assert_int_equal(get(f, RTC_C) & 0xc0, 0xc0);
                }
        }
        assert_in_range(n, 62, 65);
}

static void test_flags_are_set_without_interrupts_too(void **state) {
        Fixture *f = *state;

        (void) get(f, RTC_C);
        fake_clock_advance(f->clock, NSEC_PER_SEC);
        assert_int_equal(get(f, RTC_C), 0x50);
        assert_int_equal(f->irq.n_rises, 0);
        assert_int_equal(fake_clock_armed(f->clock), 0);
}

static void test_other_registers_are_memory(void **state) {
        Fixture *f = *state;

        put(f, 0x7f, 0xa5);
        assert_int_equal(get(f, 0x7f), 0xa5);
        put(f, RTC_D, 0);
        assert_int_equal(get(f, RTC_D), 0x80);
        assert_int_equal(in8(f->pio, IOPORT_RTC), 0xff);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_it_shows_the_wall_clock, setup, teardown),
                cmocka_unit_test_setup_teardown(test_the_memory_size_is_where_a_bios_puts_it, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_setting_the_clock_moves_it_by_an_offset, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_a_released_divider_ticks_after_half_a_second,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_changing_the_form_keeps_the_time, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(
                        test_update_in_progress_is_set_just_before_the_second, setup, teardown),
                cmocka_unit_test_setup_teardown(test_an_alarm_interrupts_until_register_c_is_read,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(
                        test_update_interrupts_come_each_second_that_is_taken_note_of, setup,
                        teardown),
                cmocka_unit_test_setup_teardown(test_periodic_interrupts_follow_the_rate, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_flags_are_set_without_interrupts_too, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_other_registers_are_memory, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
