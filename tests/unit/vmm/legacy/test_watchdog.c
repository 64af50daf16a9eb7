/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/fake/vmm_chips_fake.h"
#include "tests/fake/vmm_clock_fake.h"
#include "vmm/legacy/devices.h"
#include "vmm/mem/memmap.h"

#define CONTROL (IOPORT_WATCHDOG + WATCHDOG_REG_CONTROL)
#define COUNTDOWN (IOPORT_WATCHDOG + WATCHDOG_REG_COUNTDOWN)
#define CURRENT (IOPORT_WATCHDOG + WATCHDOG_REG_CURRENT)
#define STATUS (IOPORT_WATCHDOG + WATCHDOG_REG_STATUS)
#define PERIOD_NSEC (WATCHDOG_PERIOD_MSEC * UINT64_C(1000000))

typedef struct Fixture {
        Bus *pio;
        GuestClock *clock;
        FakeHalt halt;
        Watchdog *watchdog;
} Fixture;

static int setup(void **state) {
        static Fixture f;

        f = (Fixture){.clock = fake_clock_new(NSEC_PER_SEC, 0)};
        assert_int_equal(bus_new("pio", &f.pio), 0);
        assert_int_equal(watchdog_new(f.pio, f.clock, fake_halt_sink(&f.halt), &f.watchdog), 0);
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        watchdog_free(f->watchdog);
        bus_free(f->pio);
        guest_clock_free(f->clock);
        return 0;
}

static void test_a_stopped_watchdog_never_fires(void **state) {
        Fixture *f = *state;

        assert_int_equal(bus_read(f->pio, CONTROL, 4), 0);
        bus_write(f->pio, COUNTDOWN, 4, 1);
        bus_write(f->pio, CURRENT, 4, 1);
        fake_clock_advance(f->clock, 3600 * NSEC_PER_SEC);
        assert_int_equal(f->halt.n, 0);
}

static void test_it_fires_when_the_countdown_ends(void **state) {
        Fixture *f = *state;

        bus_write(f->pio, COUNTDOWN, 4, 20);
        bus_write(f->pio, CONTROL, 4, 1);
        assert_int_equal(bus_read(f->pio, CONTROL, 4), 1);
        fake_clock_advance(f->clock, 20 * PERIOD_NSEC - 1);
        assert_int_equal(f->halt.n, 0);
        assert_int_equal(bus_read(f->pio, CURRENT, 4), 1);
        assert_int_equal(bus_read(f->pio, STATUS, 4), 0);
        fake_clock_advance(f->clock, 1);
        assert_int_equal(f->halt.n, 1);
        assert_int_equal(f->halt.reason, HALT_WATCHDOG);
        assert_int_equal(bus_read(f->pio, STATUS, 4), 1);
        bus_write(f->pio, STATUS, 4, 1);
        assert_int_equal(bus_read(f->pio, STATUS, 4), 0);
}

static void test_a_ping_starts_the_countdown_again(void **state) {
        Fixture *f = *state;

        bus_write(f->pio, COUNTDOWN, 4, 20);
        bus_write(f->pio, CONTROL, 4, 1);
        for (unsigned i = 0; i < 10; i++) {
                fake_clock_advance(f->clock, 19 * PERIOD_NSEC);
                bus_write(f->pio, CURRENT, 4, 1);
                assert_int_equal(bus_read(f->pio, CURRENT, 4), 20);
        }
        assert_int_equal(f->halt.n, 0);
        /* Starting it twice is no ping. */
        fake_clock_advance(f->clock, 19 * PERIOD_NSEC);
        bus_write(f->pio, CONTROL, 4, 1);
        fake_clock_advance(f->clock, PERIOD_NSEC);
        assert_int_equal(f->halt.n, 1);
}

static void test_it_can_be_stopped(void **state) {
        Fixture *f = *state;

        bus_write(f->pio, CONTROL, 4, 1);
        bus_write(f->pio, CONTROL, 4, 0);
        assert_int_equal(fake_clock_armed(f->clock), 0);
}

static void test_the_countdown_is_kept_within_its_limits(void **state) {
        Fixture *f = *state;

        bus_write(f->pio, COUNTDOWN, 4, 0);
        assert_int_equal(bus_read(f->pio, COUNTDOWN, 4), WATCHDOG_COUNT_MIN);
        bus_write(f->pio, COUNTDOWN, 4, UINT32_MAX);
        assert_int_equal(bus_read(f->pio, COUNTDOWN, 4), WATCHDOG_COUNT_MAX);
        bus_write(f->pio, COUNTDOWN, 1, 1);
        assert_int_equal(bus_read(f->pio, COUNTDOWN, 4), WATCHDOG_COUNT_MAX);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_a_stopped_watchdog_never_fires, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_it_fires_when_the_countdown_ends, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_a_ping_starts_the_countdown_again, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_it_can_be_stopped, setup, teardown),
                cmocka_unit_test_setup_teardown(test_the_countdown_is_kept_within_its_limits, setup,
                                                teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
