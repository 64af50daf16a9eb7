/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/bus/errors.h"
#include "service/conditions.h"

static void test_every_condition_has_a_name(void **state) {
        for (int condition = SERVICE_E_INVALID_CONFIG; condition <= SERVICE_E_DEVICE_TAKEN;
             condition++)
                assert_non_null(errors_name(condition));
        assert_null(errors_name(0));
        assert_null(errors_name(-EINVAL));
        assert_null(errors_name(SERVICE_E_DEVICE_TAKEN + 1));
}

static void test_conditions_and_errnos_become_errors_with_their_sentence(void **state) {
        sd_bus_error error = SD_BUS_ERROR_NULL;

        assert_true(errors_set(&error, SERVICE_E_NAME_TAKEN, "taken") < 0);
        assert_string_equal(error.name, "org.vivarium.vm1.Error.NameTaken");
        assert_string_equal(error.message, "taken");
        sd_bus_error_free(&error);
        assert_int_equal(errors_set(&error, -ENOMEM, NULL), -ENOMEM);
        assert_true(sd_bus_error_has_name(&error, SD_BUS_ERROR_NO_MEMORY));
        sd_bus_error_free(&error);
        assert_int_equal(errors_set(&error, -EIO, "read it"), -EIO);
        assert_string_equal(error.message, "read it");
        sd_bus_error_free(&error);
}

static void test_a_message_that_is_no_utf8_can_still_be_sent(void **state) {
        sd_bus_error error = SD_BUS_ERROR_NULL;

        assert_true(errors_set(&error, SERVICE_E_START_FAILED, "execute /tmp/\xff") < 0);
        assert_string_equal(error.message, "execute /tmp/\xef\xbf\xbd");
        sd_bus_error_free(&error);
        assert_int_equal(errors_set(&error, -EIO, "cut \xc3"), -EIO);
        assert_string_equal(error.message, "cut \xef\xbf\xbd");
        sd_bus_error_free(&error);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_condition_has_a_name),
                cmocka_unit_test(test_conditions_and_errnos_become_errors_with_their_sentence),
                cmocka_unit_test(test_a_message_that_is_no_utf8_can_still_be_sent),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
