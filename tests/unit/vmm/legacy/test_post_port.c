/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>

#include "tests/fake/vmm_chips_fake.h"
#include "vmm/legacy/devices.h"
#include "vmm/mem/memmap.h"

static void test_the_port_is_claimed_and_reads_as_ones(void **state) {
        _cleanup_(bus_freep) Bus *pio = NULL;

        assert_int_equal(bus_new("pio", &pio), 0);
        assert_int_equal(post_port_add(pio), 0);
        out8(pio, IOPORT_DEBUG_POST, 0x42);
        assert_int_equal(in8(pio, IOPORT_DEBUG_POST), 0xff);
        assert_int_equal(post_port_add(pio), -EEXIST);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_port_is_claimed_and_reads_as_ones),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
