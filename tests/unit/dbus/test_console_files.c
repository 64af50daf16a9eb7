/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dbus/client/console.h"
#include "dbus/client/reasons.h"
#include "dbus/client/verbs.h"

static char dir[] = "/tmp/vivctl-console-XXXXXX";

static int open_files(Console *console, bool live, bool json, TextError *error,
                      const char *const *argv) {
        _cleanup_(args_deinit) Args args = {0};
        int argc = 0;

        while (argv[argc])
                argc++;
        assert_int_equal(args_parse(argc, argv, verbs, &args, NULL), 0);
        console_init(console);
        return console_open_files(console, &args, live, json, error);
}

#define OPEN(console, live, json, error, ...)                                                      \
        open_files(console, live, json, error,                                                     \
                   (const char *[]){"vivctl", "run", ##__VA_ARGS__, NULL})

static void test_a_live_console_is_a_pipe_to_standard_output(void **state) {
        _cleanup_(console_deinit) Console console;

        assert_int_equal(OPEN(&console, true, false, NULL), 0);
        assert_int_equal(console.output, STDOUT_FILENO);
        assert_true(console.from_guest >= 0);
        assert_true(console.guest_out >= 0);
        assert_int_equal(write(console.guest_out, "x", 1), 1);
        assert_true(console.guest_log < 0);
        console_close_guest_ends(&console);
        assert_int_equal(console.guest_out, -EBADF);
}

static void test_json_takes_standard_output_unless_the_console_was_asked_there(void **state) {
        _cleanup_(console_deinit) Console implied;
        _cleanup_(console_deinit) Console asked;

        assert_int_equal(OPEN(&implied, true, true, NULL), 0);
        assert_int_equal(implied.output, STDERR_FILENO);
        assert_int_equal(OPEN(&asked, true, true, NULL, "--console=-"), 0);
        assert_int_equal(asked.output, STDOUT_FILENO);
}

static void test_a_vm_that_stays_has_no_console_here(void **state) {
        _cleanup_(console_deinit) Console console;

        assert_int_equal(OPEN(&console, false, false, NULL), 0);
        assert_true(console.from_guest < 0);
        assert_true(console.guest_out < 0);
        assert_true(console.guest_in < 0);
}

static void test_files_are_made_and_appended_to(void **state) {
        _cleanup_(console_deinit) Console console;
        char out[64], log[64];

        (void) snprintf(out, sizeof(out), "--console=%s/out", dir);
        (void) snprintf(log, sizeof(log), "--log=%s/log", dir);
        assert_int_equal(OPEN(&console, false, false, NULL, out, log, "--console-in=/dev/null"), 0);
        assert_int_equal(fcntl(console.guest_out, F_GETFL) & (O_ACCMODE | O_APPEND),
                         O_WRONLY | O_APPEND);
        assert_int_equal(fcntl(console.guest_log, F_GETFL) & (O_ACCMODE | O_APPEND),
                         O_WRONLY | O_APPEND);
        assert_int_equal(fcntl(console.guest_in, F_GETFL) & O_ACCMODE, O_RDONLY);
        assert_true(console.from_guest < 0);
        assert_int_equal(unlink(out + 10), 0);
        assert_int_equal(unlink(log + 6), 0);
}

static void expect_failure(int expected, const char *message, bool live, const char *option) {
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(console_deinit) Console console;

        assert_int_equal(OPEN(&console, live, false, &error, option), expected);
        assert_string_equal(error.message, message);
}

static void test_what_cannot_be_opened_is_named(void **state) {
        expect_failure(-ENOENT,
                       "--console: cannot open \"/no/dir\" for writing: No such file or directory",
                       true, "--console=/no/dir");
        expect_failure(-ENOENT, "--console-in: cannot open \"/no\": No such file or directory",
                       true, "--console-in=/no");
        expect_failure(-ENOENT,
                       "--log: cannot open \"/no/dir\" for writing: No such file or directory",
                       false, "--log=/no/dir");
}

static void test_streams_that_nobody_will_serve_are_usage_errors(void **state) {
        static const char stay[] =
                "--console=- and --console-in=- need vivctl to stay until the VM "
                "ends; give a file";

        expect_failure(EXIT_STATUS_USAGE, stay, false, "--console=-");
        expect_failure(EXIT_STATUS_USAGE, stay, false, "--console-in=-");
        expect_failure(EXIT_STATUS_USAGE, "--log=-: expected the path of a file", true, "--log=-");
}

static int make_dir(void **state) {
        return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
        return rmdir(dir);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_live_console_is_a_pipe_to_standard_output),
                cmocka_unit_test(
                        test_json_takes_standard_output_unless_the_console_was_asked_there),
                cmocka_unit_test(test_a_vm_that_stays_has_no_console_here),
                cmocka_unit_test(test_files_are_made_and_appended_to),
                cmocka_unit_test(test_what_cannot_be_opened_is_named),
                cmocka_unit_test(test_streams_that_nobody_will_serve_are_usage_errors),
        };

        return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
