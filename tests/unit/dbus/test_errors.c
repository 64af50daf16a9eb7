/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "dbus/client/errors.h"
#include "dbus/names.h"

static void expect_call_error(const Client *client, const char *name, const char *message,
                              const char *expected) {
        sd_bus_error error = SD_BUS_ERROR_MAKE_CONST(name, message);
        _cleanup_(text_error_deinit) TextError text = {0};

        assert_int_equal(client_call_error(client, &error, -EIO, "cannot start VM \"a\"", &text),
                         -EIO);
        assert_string_equal(text.message, expected);
}

static void test_an_error_of_the_service_is_told_with_what_to_do(void **state) {
        const Client client = {.bus_kind = BUS_SYSTEM};

        expect_call_error(&client, VIVARIUM_ERROR_UNSUPPORTED, "no KVM here",
                          "cannot start VM \"a\": no KVM here\n"
                          "See what this host can do with: vivctl capabilities");
        expect_call_error(&client, "org.freedesktop.DBus.Error.AccessDenied", "not yours",
                          "cannot start VM \"a\": not yours\nRun vivctl as root, ask the "
                          "administrator to add you to the group vivarium, or have VMs of your "
                          "own with: vivctl --user");
}

static void test_what_was_tried_is_said_once(void **state) {
        const Client client = {.bus_kind = BUS_SYSTEM};

        expect_call_error(&client, "com.example.Odd", "start VM \"a\": it is odd",
                          "cannot start VM \"a\": it is odd");
        expect_call_error(&client, VIVARIUM_ERROR_DRAINING,
                          "start VM \"a\": this host is being drained",
                          "cannot start VM \"a\": this host is being drained\n"
                          "Who may drain the host ends that with: vivctl drain --cancel");
        expect_call_error(&client, "com.example.Odd", "start VM \"b\": it is odd",
                          "cannot start VM \"a\": start VM \"b\": it is odd");
}

static void test_an_unknown_error_is_told_as_it_is(void **state) {
        const Client client = {.bus_kind = BUS_SYSTEM};

        expect_call_error(&client, "com.example.Odd", "odd", "cannot start VM \"a\": odd");
        expect_call_error(&client, "com.example.Odd", NULL,
                          "cannot start VM \"a\": com.example.Odd");
}

static void test_an_absent_service_is_told_with_how_to_get_one(void **state) {
        static const struct {
                Client client;
                const char *advice;
        } cases[] = {
                {{.bus_kind = BUS_SYSTEM}, "See why with: systemctl status vivariumd"},
                {{.bus_kind = BUS_USER},
                 "See why with: systemctl --user status vivariumd, or start one with: vivariumd "
                 "--user"},
                {{.bus_kind = BUS_ADDRESS, .bus_target = "unix:path=/b"},
                 "Start one with: vivariumd --bus-address='unix:path=/b'"},
                {{.bus_kind = BUS_REMOTE, .bus_target = "me@there"},
                 "See why with: ssh me@there systemctl status vivariumd"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(strbuf_deinit) StrBuf expected = {0};

                strbuf_printf(&expected,
                              "the service (org.vivarium.vm1) is not running and the bus could not "
                              "start it: gone\n%s",
                              cases[i].advice);
                expect_call_error(&cases[i].client, "org.freedesktop.DBus.Error.ServiceUnknown",
                                  "gone", expected.data);
                expect_call_error(&cases[i].client, "org.freedesktop.DBus.Error.Spawn.ChildExited",
                                  "gone", expected.data);
        }
}

static void test_a_connection_that_breaks_is_told_as_one_that_was_not_made(void **state) {
        static const int errors[] = {-ENOTCONN, -ECONNRESET, -EPIPE};
        const Client client = {.bus_kind = BUS_REMOTE, .bus_target = "there"};

        for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
                _cleanup_(text_error_deinit) TextError text = {0};
                sd_bus_error error = SD_BUS_ERROR_NULL;

                assert_int_equal(client_call_error(&client, &error, errors[i], "act", &text),
                                 errors[i]);
                assert_memory_equal(text.message, "cannot connect to the bus of there: ", 36);
        }
}

static void test_each_bus_that_cannot_be_reached_is_named(void **state) {
        static const struct {
                Client client;
                const char *start;
        } cases[] = {
                {{.bus_kind = BUS_SYSTEM}, "cannot connect to the system bus: No such file"},
                {{.bus_kind = BUS_USER}, "cannot connect to the bus of the user session: No such"},
                {{.bus_kind = BUS_ADDRESS, .bus_target = "x:"},
                 "cannot connect to the bus at \"x:\": No such file"},
                {{.bus_kind = BUS_REMOTE, .bus_target = "h"},
                 "cannot connect to the bus of h: No such file"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(text_error_deinit) TextError text = {0};

                assert_int_equal(client_connect_error(&cases[i].client, -ENOENT, &text), -ENOENT);
                assert_memory_equal(text.message, cases[i].start, strlen(cases[i].start));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_an_error_of_the_service_is_told_with_what_to_do),
                cmocka_unit_test(test_what_was_tried_is_said_once),
                cmocka_unit_test(test_an_unknown_error_is_told_as_it_is),
                cmocka_unit_test(test_an_absent_service_is_told_with_how_to_get_one),
                cmocka_unit_test(test_a_connection_that_breaks_is_told_as_one_that_was_not_made),
                cmocka_unit_test(test_each_bus_that_cannot_be_reached_is_named),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
