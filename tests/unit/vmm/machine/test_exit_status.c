/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/machine/machine.h"

static void test_each_end_has_its_status(void **state) {
        assert_int_equal(machine_exit_status(HALT_STOP, true), 0);
        assert_int_equal(machine_exit_status(HALT_POWER_OFF, true), 0);
        assert_int_equal(machine_exit_status(HALT_RESET, true), 32);
        assert_int_equal(machine_exit_status(HALT_TRIPLE_FAULT, true), 33);
        assert_int_equal(machine_exit_status(HALT_ERROR, true), 33);
        assert_int_equal(machine_exit_status(HALT_GUEST_PANIC, true), 34);
        assert_int_equal(machine_exit_status(HALT_WATCHDOG, true), 36);
}

static void test_without_extended_status_every_end_is_success(void **state) {
        for (HaltReason reason = HALT_STOP; reason <= HALT_ERROR; reason++)
                assert_int_equal(machine_exit_status(reason, false), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_end_has_its_status),
                cmocka_unit_test(test_without_extended_status_every_end_is_success),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
