/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <sys/eventfd.h>

#include "base/fd.h"

#include "tests/fake/vmm_chips_fake.h"
#include "tests/fake/vmm_clock_fake.h"
#include "vmm/legacy/devices.h"
#include "vmm/mem/memmap.h"

#define STATUS IOPORT_PM_BASE
#define ENABLE (IOPORT_PM_BASE + 2)
#define POWER_BUTTON 0x0100u
#define SLEEP_NOW 0x2000u

typedef struct Fixture {
        Bus *pio;
        GuestClock *clock;
        FakeIrq sci;
        FakeHalt halt;
        AcpiPm *pm;
} Fixture;

static int setup(void **state) {
        static Fixture f;

        f = (Fixture){.clock = fake_clock_new(77 * NSEC_PER_SEC, 0)};
        assert_int_equal(bus_new("pio", &f.pio), 0);
        assert_int_equal(
                acpi_pm_new(f.pio, f.clock, fake_irq_line(&f.sci), fake_halt_sink(&f.halt), &f.pm),
                0);
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        acpi_pm_free(f->pm);
        bus_free(f->pio);
        guest_clock_free(f->clock);
        return 0;
}

static void test_sleep_type_5_powers_off(void **state) {
        Fixture *f = *state;

        bus_write(f->pio, IOPORT_PM_CONTROL, 2, PM_SLEEP_TYPE_S5 << 10);
        assert_int_equal(f->halt.n, 0);
        bus_write(f->pio, IOPORT_PM_CONTROL, 2, PM_SLEEP_TYPE_S5 << 10 | SLEEP_NOW);
        assert_int_equal(f->halt.n, 1);
        assert_int_equal(f->halt.reason, HALT_POWER_OFF);
}

static void test_power_off_works_byte_by_byte(void **state) {
        Fixture *f = *state;

        out8(f->pio, IOPORT_PM_CONTROL, 0x01);
        out8(f->pio, IOPORT_PM_CONTROL + 1, PM_SLEEP_TYPE_S5 << 2 | SLEEP_NOW >> 8);
        assert_int_equal(f->halt.reason, HALT_POWER_OFF);
}

static void test_other_sleep_types_do_nothing(void **state) {
        Fixture *f = *state;

        for (unsigned type = 0; type < 8; type++)
                if (type != PM_SLEEP_TYPE_S5)
                        bus_write(f->pio, IOPORT_PM_CONTROL, 2, type << 10 | SLEEP_NOW);
        assert_int_equal(f->halt.n, 0);
}

static void test_acpi_is_always_enabled(void **state) {
        Fixture *f = *state;

        bus_write(f->pio, IOPORT_PM_CONTROL, 2, 0xffff & ~(7u << 10));
        assert_int_equal(bus_read(f->pio, IOPORT_PM_CONTROL, 2), 0x0003);
        assert_int_equal(bus_read(f->pio, IOPORT_PM_CONTROL + 1, 1), 0);
}

static void test_the_power_button_interrupts_only_if_enabled(void **state) {
        Fixture *f = *state;

        acpi_pm_press_power_button(f->pm);
        assert_false(f->sci.level);
        assert_int_equal(bus_read(f->pio, STATUS, 2), POWER_BUTTON);
        bus_write(f->pio, ENABLE, 2, POWER_BUTTON);
        assert_true(f->sci.level);
        bus_write(f->pio, STATUS, 2, 0x0001); /* clears another bit */
        assert_true(f->sci.level);
        bus_write(f->pio, STATUS, 2, POWER_BUTTON);
        assert_false(f->sci.level);
        assert_int_equal(bus_read(f->pio, STATUS, 4), POWER_BUTTON << 16);
}

static void test_general_purpose_events_share_the_interrupt(void **state) {
        Fixture *f = *state;

        acpi_pm_raise_gpe(f->pm, 9);
        assert_int_equal(bus_read(f->pio, IOPORT_PM_GPE0, 2), 1u << 9);
        out8(f->pio, IOPORT_PM_GPE0 + 3, 0x02);
        assert_true(f->sci.level);
        out8(f->pio, IOPORT_PM_GPE0 + 1, 0x02);
        assert_false(f->sci.level);
}

static void test_the_sleep_button_is_an_event_of_its_own(void **state) {
        Fixture *f = *state;

        bus_write(f->pio, ENABLE, 2, 0x0200);
        acpi_pm_press_sleep_button(f->pm);
        assert_true(f->sci.level);
        assert_int_equal(bus_read(f->pio, STATUS, 2), 0x0200);
}

static void test_who_raised_an_event_hears_when_the_guest_cleared_it(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        eventfd_t count;

        assert_int_equal(acpi_pm_raise_gpe_consume(f->pm, 3, fd_dup_cloexec(fd)), 0);
        out8(f->pio, IOPORT_PM_GPE0, 0xf7); /* others */
        assert_int_equal(eventfd_read(fd, &count), -1);
        out8(f->pio, IOPORT_PM_GPE0, 0x08);
        assert_int_equal(eventfd_read(fd, &count), 0);
        assert_int_equal(count, 1);
        assert_int_equal(acpi_pm_raise_gpe(f->pm, 3), 0);
        out8(f->pio, IOPORT_PM_GPE0, 0x08); /* once for each that asked */
        assert_int_equal(eventfd_read(fd, &count), -1);
        assert_int_equal(acpi_pm_raise_gpe(f->pm, ACPI_GPE_COUNT), -EINVAL);
}

static void test_the_timer_counts_at_its_frequency(void **state) {
        Fixture *f = *state;

        assert_int_equal(bus_read(f->pio, IOPORT_PM_TIMER, 4), 0);
        fake_clock_advance(f->clock, NSEC_PER_SEC);
        assert_int_equal(bus_read(f->pio, IOPORT_PM_TIMER, 4), 3579545);
        bus_write(f->pio, IOPORT_PM_TIMER, 4, 0);
        assert_int_equal(bus_read(f->pio, IOPORT_PM_TIMER, 4), 3579545);
        assert_int_equal(bus_read(f->pio, IOPORT_PM_TIMER + 1, 1), 3579545 >> 8 & 0xff);
        fake_clock_advance(f->clock, 1199 * NSEC_PER_SEC); /* beyond 32 bits */
        assert_int_equal(bus_read(f->pio, IOPORT_PM_TIMER, 4),
                         UINT64_C(3579545) * 1200 & 0xffffffff);
}

static void test_the_timers_carry_is_an_event(void **state) {
        Fixture *f = *state;

        assert_int_equal(fake_clock_armed(f->clock), 0);
        bus_write(f->pio, ENABLE, 2, 0x0001);
        fake_clock_advance(f->clock, 599 * NSEC_PER_SEC);
        assert_false(f->sci.level);
        fake_clock_advance(f->clock, 2 * NSEC_PER_SEC);
        assert_true(f->sci.level);
        bus_write(f->pio, STATUS, 2, 0x0001);
        assert_false(f->sci.level);
        fake_clock_advance(f->clock, 600 * NSEC_PER_SEC);
        assert_true(f->sci.level);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_sleep_type_5_powers_off, setup, teardown),
                cmocka_unit_test_setup_teardown(test_power_off_works_byte_by_byte, setup, teardown),
                cmocka_unit_test_setup_teardown(test_other_sleep_types_do_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_acpi_is_always_enabled, setup, teardown),
                cmocka_unit_test_setup_teardown(test_the_sleep_button_is_an_event_of_its_own, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(
                        test_who_raised_an_event_hears_when_the_guest_cleared_it, setup, teardown),
                cmocka_unit_test_setup_teardown(test_the_power_button_interrupts_only_if_enabled,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_general_purpose_events_share_the_interrupt,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_the_timer_counts_at_its_frequency, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_the_timers_carry_is_an_event, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
