/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/fake/vmm_chips_fake.h"
#include "vmm/legacy/devices.h"
#include "vmm/mem/memmap.h"

static void test_a_rise_of_the_reset_bit_resets(void **state) {
        _cleanup_(bus_freep) Bus *pio = NULL;
        _cleanup_(reset_control_freep) ResetControl *reset = NULL;
        FakeHalt halt = {0};

        assert_int_equal(bus_new("pio", &pio), 0);
        assert_int_equal(reset_control_new(pio, fake_halt_sink(&halt), &reset), 0);
        out8(pio, IOPORT_RESET_CONTROL, 0x02);
        assert_int_equal(in8(pio, IOPORT_RESET_CONTROL), 0x02);
        assert_int_equal(halt.n, 0);
        out8(pio, IOPORT_RESET_CONTROL, 0x06);
        assert_int_equal(halt.reason, HALT_RESET);
        out8(pio, IOPORT_RESET_CONTROL, 0xfe);
        assert_int_equal(halt.n, 1);
        assert_int_equal(in8(pio, IOPORT_RESET_CONTROL), 0x0e);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_rise_of_the_reset_bit_resets),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
