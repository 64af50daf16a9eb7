/* SPDX-License-Identifier: Apache-2.0 */
/* `vivctl events` and `vivctl top`: verbs that watch. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "tests/integration/bus_host.h"
#include "tests/integration/vivctl_process.h"

#define VIVCTL(state, ...) VIVCTL_AT(((const BusHost *) *(state))->address, __VA_ARGS__)
#define KERNEL "--kernel=/bin/sh"

static void do_well(void **state, const char *const *arguments) {
        const BusHost *host = *state;
        _cleanup_(vivctl_result_deinit) VivctlResult r = vivctl_run(host->address, arguments);

        vivctl_expect(&r, 0, NULL, "");
}

#define DO_WELL(state, ...) do_well(state, (const char *const[]){__VA_ARGS__, NULL})

/* Reads standard output until @text came. */
static void await_line(const Vivctl *vivctl, StrBuf *out, const char *text) {
        while (!out->data || !strstr(out->data, text)) {
                struct pollfd p = {.fd = vivctl->out, .events = POLLIN};
                char chunk[4096];
                ssize_t n;

                if (poll(&p, 1, HOST_TIMEOUT_USEC / 1000) != 1)
                        fail_msg("\"%s\" did not come, but: %s", text, out->data ? out->data : "");
                n = read(vivctl->out, chunk, sizeof(chunk));
                assert_true(n > 0);
                strbuf_append_bytes(out, chunk, (size_t) n);
        }
}

/* It watches once it has told of a VM. */
static Vivctl start_events(void **state, StrBuf *out, const char *const *arguments) {
        const BusHost *host = *state;
        Vivctl vivctl = vivctl_start(host->address, -1, arguments);
        uint64_t deadline = clock_monotonic_usec() + HOST_TIMEOUT_USEC;

        for (;;) {
                struct pollfd p = {.fd = vivctl.out, .events = POLLIN};

                DO_WELL(state, "create", "--name=probe", KERNEL);
                DO_WELL(state, "release", "probe");
                if (poll(&p, 1, 100) == 1)
                        break;
                assert_true(clock_monotonic_usec() < deadline);
        }
        await_line(&vivctl, out, "released");
        return vivctl;
}

static void stop_events(const Vivctl *vivctl) {
        _cleanup_(vivctl_result_deinit) VivctlResult r = {0};

        assert_int_equal(kill(vivctl->pid, SIGINT), 0);
        r = vivctl_finish(vivctl);
        vivctl_expect(&r, 130, NULL, "");
}

static void test_events_are_told_in_their_order(void **state) {
        BusHost *host = *state;
        _cleanup_(strbuf_deinit) StrBuf out = {0};
        Vivctl vivctl = start_events(state, &out, (const char *const[]){"events", NULL});
        static const char *const expected[] = {"web  created\n",    "web  started, process ",
                                               "service-stopped\n", "service-started\n",
                                               "web  died: KILLED", "web  released\n"};
        const char *at;

        DO_WELL(state, "run", "--detach", "--name=web", KERNEL, "--params=sleep");
        await_line(&vivctl, &out, "started, process ");
        bus_host_kill_daemon(host);
        bus_host_restart_daemon(host);
        await_line(&vivctl, &out, "service-started");
        DO_WELL(state, "kill", "web");
        DO_WELL(state, "release", "web");
        await_line(&vivctl, &out, "web  released\n");
        at = out.data;
        for (size_t i = 0; i < ELEMENTSOF(expected); i++) {
                at = strstr(at, expected[i]);
                if (!at)
                        fail_msg("no \"%s\" at its place in: %s", expected[i], out.data);
        }
        stop_events(&vivctl);
}

static void test_events_end_with_their_reader_though_nothing_happens(void **state) {
        _cleanup_(strbuf_deinit) StrBuf out = {0};
        Vivctl vivctl = start_events(state, &out, (const char *const[]){"events", "probe", NULL});
        struct pollfd p = {.fd = vivctl.err, .events = POLLIN};
        char byte;
        int status;

        (void) fd_close(vivctl.out);
        assert_int_equal(poll(&p, 1, HOST_TIMEOUT_USEC / 1000), 1);
        assert_int_equal(read(vivctl.err, &byte, 1), 0);
        assert_int_equal(waitpid(vivctl.pid, &status, 0), vivctl.pid);
        assert_int_equal(status, 0);
        (void) fd_close(vivctl.err);
}

static void test_events_can_be_json_lines_of_chosen_vms(void **state) {
        _cleanup_(strbuf_deinit) StrBuf out = {0};
        Vivctl vivctl = start_events(
                state, &out, (const char *const[]){"--json=short", "events", "web", "probe", NULL});
        DO_WELL(state, "run", "--detach", "--name=other", KERNEL, "--params=exit:34");
        DO_WELL(state, "run", "--detach", "--name=web", KERNEL, "--params=exit:33");
        await_line(&vivctl, &out,
                   "{\"Event\":\"died\",\"Reason\":\"CRASH\",\"Code\":6,\"DeathRecord\":{");
        await_line(&vivctl, &out, "\"Name\":\"web\",\"Path\":\"/org/vivarium/vm1/vm/");
        assert_null(strstr(out.data, "other"));
        stop_events(&vivctl);
}

static void test_top_shows_what_runs(void **state) {
        _cleanup_(vivctl_result_deinit) VivctlResult none = {0}, one = {0}, two = {0}, json = {0},
                                                     bad = {0}, touched = {0};
        uint64_t deadline = clock_monotonic_usec() + HOST_TIMEOUT_USEC;

        none = VIVCTL(state, "top");
        vivctl_expect(&none, 0, "0 VMs, 0.0 %CPU, guests 0 B, VMMs 0 B\n", "");
        DO_WELL(state, "run", "--detach", "--name=web", "--mem=64", KERNEL,
                "--params=touch:16777216 sleep");
        DO_WELL(state, "run", "--detach", "--name=other", KERNEL, "--params=sleep");
        DO_WELL(state, "create", "--name=idle", KERNEL);
        one = VIVCTL(state, "--no-legend", "top", "--order=name");
        assert_int_equal(one.status, 0);
        assert_int_equal(strncmp(one.out, "other ", 6), 0);
        assert_non_null(strstr(one.out, "\nweb "));
        assert_null(strstr(one.out, "idle"));
        /* A look has the VMs read anew, for the next one; until the memory is in use. */
        do {
                vivctl_result_deinit(&touched);
                touched = VIVCTL(state, "--no-legend", "top");
                assert_true(clock_monotonic_usec() < deadline);
        } while (!strstr(touched.out, " 16.0 MiB  64.0 MiB "));
        two = VIVCTL(state, "top", "--batch", "--iterations=4", "--order=memory");
        assert_int_equal(two.status, 0);
        assert_non_null(strstr(two.out, "NAME "));
        assert_non_null(strstr(two.out, "\n\n2 VMs, "));
        assert_non_null(strstr(two.out, " 16.0 MiB  64.0 MiB "));
        json = VIVCTL(state, "--json=short", "top");
        assert_int_equal(json.status, 0);
        assert_int_equal(strncmp(json.out, "[{\"Name\":", 9), 0);
        assert_non_null(strstr(json.out, "\"MemoryBytes\":67108864,"));
        bad = VIVCTL(state, "top", "--order=colour");
        vivctl_expect(&bad, 2, "",
                      "vivctl: --order: expected cpu, memory or name, not \"colour\"\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bus_host_setup, bus_host_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_events_are_told_in_their_order),
                TEST(test_events_end_with_their_reader_though_nothing_happens),
                TEST(test_events_can_be_json_lines_of_chosen_vms),
                TEST(test_top_shows_what_runs),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
