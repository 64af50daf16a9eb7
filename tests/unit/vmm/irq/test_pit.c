/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/fake/vmm_chips_fake.h"
#include "tests/fake/vmm_clock_fake.h"
#include "vmm/irq/pit.h"
#include "vmm/mem/memmap.h"

#define MSEC UINT64_C(1000000)

typedef struct Fixture {
        Bus *pio;
        GuestClock *clock;
        FakeIrq irq;
        Pit *pit;
} Fixture;

static int setup(void **state) {
        static Fixture f;

        f = (Fixture){.clock = fake_clock_new(5 * NSEC_PER_SEC, 0)};
        assert_int_equal(bus_new("pio", &f.pio), 0);
        assert_int_equal(pit_new(f.pio, f.clock, fake_irq_line(&f.irq), &f.pit), 0);
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        pit_free(f->pit);
        bus_free(f->pio);
        guest_clock_free(f->clock);
        return 0;
}

static void program(Fixture *f, unsigned channel, uint8_t control, uint16_t count) {
        out8(f->pio, IOPORT_PIT + 3, control);
        out8(f->pio, (uint16_t) (IOPORT_PIT + channel), (uint8_t) count);
        out8(f->pio, (uint16_t) (IOPORT_PIT + channel), (uint8_t) (count >> 8));
}

static void test_channel_0_ticks_at_the_rate_that_was_programmed(void **state) {
        Fixture *f = *state;

        program(f, 0, 0x34, 11932); /* 100 Hz */
        fake_clock_advance(f->clock, 9 * MSEC);
        assert_int_equal(f->irq.n_rises, 0);
        fake_clock_advance(f->clock, 2 * MSEC);
        assert_int_equal(f->irq.n_rises, 1);
        assert_false(f->irq.level);
        fake_clock_advance(f->clock, NSEC_PER_SEC);
        assert_in_range(f->irq.n_rises, 100, 101);
}

static void test_a_one_shot_interrupts_once(void **state) {
        Fixture *f = *state;

        program(f, 0, 0x30, 1);
        fake_clock_advance(f->clock, NSEC_PER_SEC);
        assert_int_equal(f->irq.n_rises, 1);
        assert_int_equal(fake_clock_armed(f->clock), 0);
}

static void test_reprogramming_takes_the_pending_interrupt_away(void **state) {
        Fixture *f = *state;

        program(f, 0, 0x30, 11932);
        out8(f->pio, IOPORT_PIT + 3, 0x30);
        fake_clock_advance(f->clock, NSEC_PER_SEC);
        assert_int_equal(f->irq.n_rises, 0);
}

static void test_the_rate_of_interrupts_is_bounded(void **state) {
        Fixture *f = *state;

        program(f, 0, 0x34, 2); /* 600 kHz */
        fake_clock_advance(f->clock, 100 * MSEC);
        assert_in_range(f->irq.n_rises, 900, 1001);
}

/* What Linux does to calibrate its time stamp counter. */
static void test_channel_2_can_be_timed_through_port_61(void **state) {
        Fixture *f = *state;

        out8(f->pio, IOPORT_SYSTEM_CONTROL_B, 0x01);
        program(f, 2, 0xb0, 59659); /* 50 ms */
        assert_int_equal(in8(f->pio, IOPORT_SYSTEM_CONTROL_B) & 0x23, 0x01);
        fake_clock_advance(f->clock, 49 * MSEC);
        assert_int_equal(in8(f->pio, IOPORT_SYSTEM_CONTROL_B) & 0x20, 0);
        fake_clock_advance(f->clock, 2 * MSEC);
        assert_int_equal(in8(f->pio, IOPORT_SYSTEM_CONTROL_B) & 0x20, 0x20);
        assert_int_equal(f->irq.n_rises, 0);
}

static void test_the_refresh_bit_toggles(void **state) {
        Fixture *f = *state;
        unsigned toggles = 0;
        uint8_t before = in8(f->pio, IOPORT_SYSTEM_CONTROL_B) & 0x10;

        for (unsigned i = 0; i < 1000; i++) {
                uint8_t now;

                fake_clock_advance(f->clock, 1000);
                now = in8(f->pio, IOPORT_SYSTEM_CONTROL_B) & 0x10;
                toggles += now != before;
                before = now;
        }
        assert_in_range(toggles, 60, 70);
}

static void test_read_back_latches_several_channels_at_once(void **state) {
        Fixture *f = *state;

        program(f, 0, 0x34, 1000);
        out8(f->pio, IOPORT_SYSTEM_CONTROL_B, 0x01);
        program(f, 2, 0xb4, 2000);
        out8(f->pio, IOPORT_PIT + 3, 0xc0 | 0x0a); /* count and status of 0 and 2 */
        fake_clock_advance(f->clock, MSEC / 10);
        assert_int_equal(in8(f->pio, IOPORT_PIT), 0x80 | 0x34);
        assert_int_equal(bus_read(f->pio, IOPORT_PIT, 1), 1000 & 0xff);
        assert_int_equal(in8(f->pio, IOPORT_PIT), 1000 >> 8);
        assert_int_equal(in8(f->pio, IOPORT_PIT + 2), 0x80 | 0x34);
        assert_int_equal(in8(f->pio, IOPORT_PIT + 2), 2000 & 0xff);
        assert_int_equal(in8(f->pio, IOPORT_PIT + 3), 0xff);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(
                        test_channel_0_ticks_at_the_rate_that_was_programmed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_one_shot_interrupts_once, setup, teardown),
                cmocka_unit_test_setup_teardown(test_reprogramming_takes_the_pending_interrupt_away,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_the_rate_of_interrupts_is_bounded, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_channel_2_can_be_timed_through_port_61, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_the_refresh_bit_toggles, setup, teardown),
                cmocka_unit_test_setup_teardown(test_read_back_latches_several_channels_at_once,
                                                setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
