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

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"
#include "dbus/names.h"
#include "tests/integration/vm_client.h"

/* The project's promise for each VM. */
#define SERIES_MAX 40u
#define SERIES_BYTES_MAX 4096u

#define LONGEST_NAME "n23456789012345678901234567890123456789012345678901234567890abcd"

static char *get_metrics(sd_bus *bus, const char *format) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *text;
        char *copy;

        assert_true(sd_bus_call_method(bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                       VIVARIUM_MANAGER_INTERFACE, "GetMetrics", NULL, &reply, "s",
                                       format) >= 0);
        assert_true(sd_bus_message_read(reply, "s", &text) > 0);
        copy = strdup(text);
        assert_non_null(copy);
        return copy;
}

static void assert_has_line(const char *text, const char *line) {
        _cleanup_(freep) char *whole = NULL;

        assert_true(asprintf(&whole, "\n%s\n", line) > 0);
        if (!strstr(text, whole))
                fail_msg("no line \"%s\" in:\n%s", line, text);
}

/* Lines and bytes that name @vm. */
static void measure(const char *text, const char *vm, size_t *ret_lines, size_t *ret_bytes) {
        *ret_lines = *ret_bytes = 0;
        while (*text) {
                size_t len = strcspn(text, "\n") + 1;
                const char *found = strstr(text, vm);

                if (found && found < text + len) {
                        *ret_lines += 1;
                        *ret_bytes += len;
                }
                text += len;
        }
}

static void test_lives_and_deaths_are_counted(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *one =
                vm_create(host->bus, &(VmSpec){.name = "one", .params = "sleep"});
        _cleanup_(freep) char *before = get_metrics(host->bus, "prometheus");
        _cleanup_(freep) char *running = NULL, *after = NULL;
        Record record;

        assert_has_line(before, "vivarium_vm_creations_total{result=\"created\"} 1");
        assert_has_line(before, "vivarium_vm_up{vm=\"one\",uid=\"0\"} 0");
        assert_has_line(before, "vivarium_vms{state=\"not-started\"} 1");
        vm_call_ok(host->bus, one, "Start");
        running = get_metrics(host->bus, "prometheus");
        assert_has_line(running, "vivarium_vm_up{vm=\"one\",uid=\"0\"} 1");
        assert_has_line(running,
                        "vivarium_vm_state{vm=\"one\",uid=\"0\",vivarium_vm_state=\"running\"} 1");
        vm_call_ok(host->bus, one, "Kill");
        vm_wait_death(host, one, &record);
        after = get_metrics(host->bus, "prometheus");
        assert_null(strstr(after, "vm=\"one\""));
        assert_has_line(after, "vivarium_vm_deaths_total{reason=\"KILLED\"} 1");
        assert_has_line(after, "vivarium_vm_run_seconds_count 1");
        assert_has_line(after, "vivarium_vms{state=\"dead\"} 1");
}

static void test_a_refusal_is_counted(void **state) {
        BusHost *host = *state;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(freep) char *path = NULL, *text = NULL;

        assert_true(vm_try_create(host->bus, &(VmSpec){.config = "{\"nonsense\": 1}"}, &path,
                                  &error) < 0);
        text = get_metrics(host->bus, "openmetrics");
        assert_has_line(text, "vivarium_vm_creations_total{result=\"refused\"} 1");
        assert_string_equal(text + strlen(text) - 6, "# EOF\n");
}

static void test_a_vm_costs_at_most_40_series_and_4_kibibytes(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){.name = LONGEST_NAME});
        _cleanup_(freep) char *text = get_metrics(host->bus, "prometheus");
        size_t lines, bytes;

        assert_int_equal(strlen(LONGEST_NAME), 64);
        measure(text, LONGEST_NAME, &lines, &bytes);
        assert_in_range(lines, 10, SERIES_MAX);
        assert_in_range(bytes, 100, SERIES_BYTES_MAX);
}

static void test_an_unknown_format_is_refused_by_name(void **state) {
        BusHost *host = *state;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        assert_true(sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                       VIVARIUM_MANAGER_INTERFACE, "GetMetrics", &error, NULL, "s",
                                       "xml") < 0);
        assert_string_equal(error.name, VIVARIUM_ERROR_UNSUPPORTED);
        assert_non_null(strstr(error.message, "\"xml\""));
}

/* Every "vivarium_..." and "process_..." name in the dashboard is one that is served. */
static void test_the_dashboard_asks_for_nothing_that_is_not_there(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){.name = "one"});
        _cleanup_(freep) char *text = get_metrics(host->bus, "prometheus");
        _cleanup_(fd_closep) int fd = open("docs/grafana-dashboard.json", O_RDONLY | O_CLOEXEC);
        _cleanup_(freep) char *dashboard = NULL;
        unsigned n = 0;

        assert_true(fd >= 0);
        assert_int_equal(fd_read_bounded(fd, 1 << 20, &dashboard, NULL), 0);
        for (const char *p = dashboard; (p = strstr(p, "vivarium_"));) {
                size_t len = strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789_");
                char name[80], plain[82], labelled[82];

                assert_true(len < sizeof(name));
                (void) snprintf(name, sizeof(name), "%.*s", (int) len, p);
                (void) snprintf(plain, sizeof(plain), "\n%s ", name);
                (void) snprintf(labelled, sizeof(labelled), "\n%s{", name);
                if (!strstr(text, plain) && !strstr(text, labelled))
                        fail_msg("the dashboard asks for %s", name);
                p += len;
                n++;
        }
        assert_true(n >= 8);
}

/* What Prometheus itself thinks of it, where it is installed. */
static void test_promtool_finds_no_fault(void **state) {
        BusHost *host = *state;
        char *const arguments[] = {(char *) (uintptr_t) "promtool", (char *) (uintptr_t) "check",
                                   (char *) (uintptr_t) "metrics", NULL};
        _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){.name = "one"});
        _cleanup_(freep) char *text = get_metrics(host->bus, "prometheus");
        posix_spawn_file_actions_t actions;
        int pipe_fds[2], status, r;
        pid_t pid;

        assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
        assert_int_equal(fcntl(pipe_fds[1], F_SETPIPE_SZ, 1 << 16), 1 << 16);
        assert_int_equal(write(pipe_fds[1], text, strlen(text)), (ssize_t) strlen(text));
        assert_int_equal(close(pipe_fds[1]), 0);
        assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
        assert_int_equal(posix_spawn_file_actions_adddup2(&actions, pipe_fds[0], 0), 0);
        r = posix_spawnp(&pid, "promtool", &actions, NULL, arguments, environ);
        (void) posix_spawn_file_actions_destroy(&actions);
        (void) close(pipe_fds[0]);
        if (r == ENOENT) {
                print_message("[  SKIPPED ] promtool is not installed (package prometheus)\n");
                skip();
        }
        assert_int_equal(r, 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bus_host_setup, bus_host_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_lives_and_deaths_are_counted),
                TEST(test_a_refusal_is_counted),
                TEST(test_a_vm_costs_at_most_40_series_and_4_kibibytes),
                TEST(test_an_unknown_format_is_refused_by_name),
                TEST(test_the_dashboard_asks_for_nothing_that_is_not_there),
                TEST(test_promtool_finds_no_fault),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
