/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/log.h"
#include "tests/fake/vmm_chips_fake.h"
#include "vmm/legacy/devices.h"
#include "vmm/mem/memmap.h"

static unsigned n_lines;

static void count_line(LogLevel level, const char *vm, const char *line) {
        n_lines++;
}

static int setup(void **state) {
        n_lines = 0;
        log_set_sink(count_line);
        return 0;
}

static int teardown(void **state) {
        log_set_sink(NULL);
        return 0;
}

static void test_it_offers_both_events(void **state) {
        _cleanup_(bus_freep) Bus *pio = NULL;
        _cleanup_(pvpanic_freep) Pvpanic *pvpanic = NULL;
        FakeHalt halt = {0};

        assert_int_equal(bus_new("pio", &pio), 0);
        assert_int_equal(pvpanic_new(pio, fake_halt_sink(&halt), &pvpanic), 0);
        assert_int_equal(in8(pio, IOPORT_PVPANIC), 0x03);
}

static void test_a_panic_stops_the_machine(void **state) {
        _cleanup_(bus_freep) Bus *pio = NULL;
        _cleanup_(pvpanic_freep) Pvpanic *pvpanic = NULL;
        FakeHalt halt = {0};

        assert_int_equal(bus_new("pio", &pio), 0);
        assert_int_equal(pvpanic_new(pio, fake_halt_sink(&halt), &pvpanic), 0);
        out8(pio, IOPORT_PVPANIC, 0x00);
        out8(pio, IOPORT_PVPANIC, 0xfc);
        assert_int_equal(halt.n, 0);
        out8(pio, IOPORT_PVPANIC, 0x01);
        assert_int_equal(halt.reason, HALT_GUEST_PANIC);
}

static void test_a_crash_kernel_is_let_go_on_and_logged_within_bounds(void **state) {
        _cleanup_(bus_freep) Bus *pio = NULL;
        _cleanup_(pvpanic_freep) Pvpanic *pvpanic = NULL;
        FakeHalt halt = {0};

        assert_int_equal(bus_new("pio", &pio), 0);
        assert_int_equal(pvpanic_new(pio, fake_halt_sink(&halt), &pvpanic), 0);
        for (unsigned i = 0; i < 1000; i++)
                out8(pio, IOPORT_PVPANIC, 0x02);
        assert_int_equal(halt.n, 0);
        assert_in_range(n_lines, 1, 10);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_it_offers_both_events, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_panic_stops_the_machine, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        test_a_crash_kernel_is_let_go_on_and_logged_within_bounds, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
