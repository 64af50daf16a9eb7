/* SPDX-License-Identifier: Apache-2.0 */
/* vivctl with the real daemon and launcher, and a VMM that does what the kernel's parameters say. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/integration/bus_host.h"
#include "tests/integration/vivctl_process.h"

#define VIVCTL(state, ...) VIVCTL_AT(((const BusHost *) *(state))->address, __VA_ARGS__)
#define KERNEL "--kernel=/bin/sh"

static void test_run_shows_the_console_and_its_exit_status_is_the_reason(void **state) {
        static const struct {
                const char *params, *console, *said;
                int status;
        } cases[] = {
                {"--params=console:hello%20you exit:0", "hello you", "VM ended: SHUTDOWN", 0},
                {"--params=exit:1", "", "VM ended: START_FAILED", 14},
                {"--params=exit:32", "", "VM ended: REBOOT", 15},
                {"--params=console:oops exit:33", "oops", "VM ended: CRASH", 16},
                {"--params=exit:34", "", "VM ended: GUEST_PANIC", 40},
                {"--params=exit:35", "", "VM ended: VMM_INVALID_ARGS", 41},
                {"--params=exit:36", "", "VM ended: WATCHDOG_REBOOT", 27},
                {"--params=signal:11", "", "VMM exit: SIGSEGV (11)", 42},
                {"--params=failure:MICRODROID_PAYLOAD_HAS_CHANGED|more exit:0", "",
                 "Guest's details: more", 22},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(vivctl_result_deinit) VivctlResult r =
                        VIVCTL(state, "run", KERNEL, cases[i].params);

                vivctl_expect(&r, cases[i].status, cases[i].console, NULL);
                assert_non_null(strstr(r.err, cases[i].said));
        }
}

static void test_the_vmms_last_words_are_shown_when_it_fails(void **state) {
        _cleanup_(vivctl_result_deinit) VivctlResult bad =
                VIVCTL(state, "run", KERNEL, "--params=stderr:no%20such%20thing exit:1");
        _cleanup_(vivctl_result_deinit) VivctlResult good =
                VIVCTL(state, "run", KERNEL, "--params=stderr:no%20such%20thing exit:0");

        assert_non_null(strstr(bad.err, "VMM's messages: no such thing\n"));
        assert_null(strstr(good.err, "no such thing"));
}

static void test_an_interrupted_vm_is_killed_on_behalf_of_vivctl(void **state) {
        const BusHost *host = *state;
        _cleanup_(strbuf_deinit) StrBuf err = {0};
        _cleanup_(vivctl_result_deinit) VivctlResult r = {0};
        Vivctl vivctl = vivctl_start(host->address, -1,
                                     (const char *[]){"run", KERNEL, "--params=sleep", NULL});
        char expected[64];

        vivctl_await(&vivctl, &err, "runs\n");
        assert_int_equal(kill(vivctl.pid, SIGINT), 0);
        r = vivctl_finish(&vivctl);
        vivctl_expect(&r, 11, NULL, NULL);
        (void) snprintf(expected, sizeof(expected), "End asked for by: user root, process %d\n",
                        vivctl.pid);
        if (getuid() == 0)
                assert_non_null(strstr(r.err, expected));
}

static void test_stop_tells_by_which_means_it_ended(void **state) {
        _cleanup_(vivctl_result_deinit) VivctlResult run =
                VIVCTL(state, "run", "--detach", "--name=web", KERNEL, "--params=deaf sleep");
        _cleanup_(vivctl_result_deinit) VivctlResult bad =
                VIVCTL(state, "stop", "--timeout=soon", "web");
        _cleanup_(vivctl_result_deinit) VivctlResult resume = VIVCTL(state, "resume", "web");
        _cleanup_(vivctl_result_deinit) VivctlResult port = VIVCTL(state, "connect", "web", "x");
        _cleanup_(vivctl_result_deinit) VivctlResult much =
                VIVCTL(state, "balloon", "web", "100000");
        _cleanup_(vivctl_result_deinit) VivctlResult stop =
                VIVCTL(state, "stop", "--timeout=3600", "web", "nobody");
        _cleanup_(vivctl_result_deinit) VivctlResult show = VIVCTL(state, "show", "web");
        _cleanup_(vivctl_result_deinit) VivctlResult again = VIVCTL(state, "stop", "web");

        vivctl_expect(&run, 0, "web\n", NULL);
        assert_int_equal(bad.status, 2);
        assert_int_equal(port.status, 2);
        assert_non_null(strstr(bad.err, "--timeout: expected 0 to 86400 seconds"));
        assert_non_null(strstr(resume.err, "it is not suspended"));
        assert_non_null(strstr(port.err, "expected a port"));
        assert_non_null(strstr(much.err, "its guest has 256 MiB"));
        assert_int_equal(stop.status, 1);
        assert_non_null(strstr(stop.err, "nobody"));
        assert_null(strstr(stop.err, "web"));
        assert_non_null(strstr(show.out, "Stopped by: SIGTERM to the VMM\n"));
        assert_non_null(strstr(again.err, "not running"));
}

/* What systemd hears, "" for nothing. vivctl has ended. */
static void expect_heard(int sock, const char *text) {
        char message[512];
        ssize_t n = recv(sock, message, sizeof(message) - 1, MSG_DONTWAIT);

        message[n > 0 ? n : 0] = '\0';
        if (*text)
                assert_non_null(strstr(message, text));
        else
                assert_string_equal(message, "");
}

static void test_a_unit_is_told_that_its_vm_runs_and_no_lie_if_it_does_not(void **state) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        _cleanup_(vivctl_result_deinit) VivctlResult runs = {0}, fails = {0};
        char directory[] = "/tmp/vivctl.XXXXXX";
        _cleanup_(fd_closep) int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        assert_true(sock >= 0);
        assert_non_null(mkdtemp(directory));
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", directory);
        assert_int_equal(bind(sock, (const struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
        runs = VIVCTL(state, "run", "--name=web", KERNEL, "--params=exit:0");
        expect_heard(sock, "READY=1\nSTATUS=VM \"web\" runs, CID ");
        fails = VIVCTL(state, "run", "--network=bridge", KERNEL, "--params=exit:0");
        expect_heard(sock, "");
        assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
        assert_int_equal(runs.status, 0);
        assert_int_equal(fails.status, 14);
        assert_int_equal(unlink(address.sun_path), 0);
        assert_int_equal(rmdir(directory), 0);
}

static void test_a_wrong_command_line_is_told_apart_from_a_refusal(void **state) {
        static const char *const wrong[][4] = {
                {"create", KERNEL, "--boot-timeout=soon"},
                {"history", "--max=all"},
                {"create-disk", "/nonexistent/disk", "1X"},
                {"drain", "--timeout=-1"},
                {"create-partition", "--type=odd", "/nonexistent/p", "1M"},
        };

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                const char *arguments[5] = {0};
                _cleanup_(vivctl_result_deinit) VivctlResult r = {0};

                memcpy(arguments, wrong[i], sizeof(wrong[i]));
                r = vivctl_run(((const BusHost *) *state)->address, arguments);
                vivctl_expect(&r, 2, "", NULL);
                assert_non_null(strstr(r.err, "expected"));
        }
}

static void test_a_vm_is_offered_and_taken(void **state) {
        _cleanup_(vivctl_result_deinit) VivctlResult run =
                VIVCTL(state, "run", "--detach", "--name=web", KERNEL, "--params=sleep");
        _cleanup_(vivctl_result_deinit) VivctlResult nobody =
                VIVCTL(state, "offer", "--to=no-such-user", "web");
        _cleanup_(vivctl_result_deinit) VivctlResult other =
                VIVCTL(state, "--json=short", "offer", "--to=daemon", "web");
        _cleanup_(vivctl_result_deinit) VivctlResult offer = VIVCTL(state, "offer", "web");
        _cleanup_(vivctl_result_deinit) VivctlResult wrong = VIVCTL(state, "take", "0");
        _cleanup_(vivctl_result_deinit) VivctlResult taken = {0};

        vivctl_expect(&run, 0, "web\n", "");
        assert_int_equal(nobody.status, 1);
        assert_non_null(strstr(nobody.err, "there is no user \"no-such-user\""));
        assert_non_null(strstr(other.out, "{\"Token\":\""));
        assert_int_equal(offer.status, 0);
        assert_int_equal(strlen(offer.out), 33);
        assert_int_equal(wrong.status, 1);
        assert_non_null(strstr(wrong.err, "none is offered to uid"));
        offer.out[32] = '\0';
        taken = VIVCTL(state, "take", offer.out);
        vivctl_expect(&taken, 0, "web\n", "");
}

static void test_a_detached_vm_is_seen_ended_and_forgotten(void **state) {
        _cleanup_(vivctl_result_deinit) VivctlResult run = VIVCTL(
                state, "run", "--detach", "--name=web", "--mem=64", KERNEL, "--params=sleep");
        _cleanup_(vivctl_result_deinit) VivctlResult list = VIVCTL(state, "--no-legend", "list");
        _cleanup_(vivctl_result_deinit) VivctlResult again = VIVCTL(state, "start", "web");
        _cleanup_(vivctl_result_deinit) VivctlResult taken =
                VIVCTL(state, "create", "--name=web", KERNEL);
        _cleanup_(vivctl_result_deinit) VivctlResult early = VIVCTL(state, "release", "web");
        _cleanup_(vivctl_result_deinit) VivctlResult running = VIVCTL(state, "show", "web");
        _cleanup_(vivctl_result_deinit) VivctlResult killed = VIVCTL(state, "kill", "web");
        _cleanup_(vivctl_result_deinit) VivctlResult dead = VIVCTL(state, "show", "web");
        _cleanup_(vivctl_result_deinit) VivctlResult json =
                VIVCTL(state, "--json=short", "show", "web");
        _cleanup_(vivctl_result_deinit) VivctlResult released = VIVCTL(state, "release", "web");
        _cleanup_(vivctl_result_deinit) VivctlResult gone = VIVCTL(state, "show", "web");

        vivctl_expect(&run, 0, "web\n", "");
        assert_int_equal(list.status, 0);
        assert_non_null(strstr(list.out, "web"));
        assert_non_null(strstr(list.out, " running "));
        assert_int_equal(again.status, 1);
        assert_non_null(strstr(again.err, "A VM is started once"));
        assert_int_equal(taken.status, 1);
        assert_non_null(strstr(taken.err, "vivctl release NAME"));
        assert_int_equal(early.status, 1);
        assert_int_equal(running.status, 0);
        assert_non_null(strstr(running.out, "VMM process: "));
        assert_non_null(strstr(running.out, "1 vCPU, 64.0 MiB\n"));
        vivctl_expect(&killed, 0, "", "");
        assert_int_equal(dead.status, 0);
        assert_non_null(strstr(dead.out, "Ended by: KILLED after "));
        assert_non_null(strstr(dead.out, "VMM exit: SIGKILL (9)\n"));
        assert_non_null(strstr(json.out, "\"DeathReason\":\"KILLED\",\"DeathReasonCode\":1,"));
        assert_non_null(strstr(json.out, "\"DeathRecord\":{"));
        vivctl_expect(&released, 0, "", "");
        assert_int_equal(gone.status, 1);
        assert_non_null(strstr(gone.err, "no such VM: \"web\""));
}

static void test_a_session_outlives_the_service(void **state) {
        BusHost *host = *state;
        _cleanup_(strbuf_deinit) StrBuf err = {0}, again = {0};
        _cleanup_(vivctl_result_deinit) VivctlResult r = {0};
        Vivctl vivctl = vivctl_start(
                host->address, -1,
                (const char *[]){"run", KERNEL, "--name=long", "--params=sleep", NULL});

        vivctl_await(&vivctl, &err, "runs\n");
        bus_host_kill_daemon(host);
        vivctl_await(&vivctl, &err, "runs on\n");
        bus_host_restart_daemon(host);
        vivctl_await(&vivctl, &again, "the service is back\n");
        {
                _cleanup_(vivctl_result_deinit) VivctlResult killed = VIVCTL(state, "kill", "long");

                vivctl_expect(&killed, 0, "", "");
        }
        r = vivctl_finish(&vivctl);
        vivctl_expect(&r, 11, NULL, NULL);
        assert_non_null(strstr(r.err, "VM ended: KILLED"));
}

static void test_a_death_is_in_the_history_when_the_vm_is_gone(void **state) {
        _cleanup_(vivctl_result_deinit) VivctlResult run =
                VIVCTL(state, "run", "--name=past", KERNEL, "--params=exit:34");
        _cleanup_(vivctl_result_deinit) VivctlResult show = VIVCTL(state, "show", "past");
        _cleanup_(vivctl_result_deinit) VivctlResult last = VIVCTL(state, "show", "--last", "past");
        _cleanup_(vivctl_result_deinit) VivctlResult none = VIVCTL(state, "show", "--last", "none");
        _cleanup_(vivctl_result_deinit) VivctlResult list = VIVCTL(state, "history");
        _cleanup_(vivctl_result_deinit) VivctlResult other = VIVCTL(state, "history", "none");
        _cleanup_(vivctl_result_deinit) VivctlResult json =
                VIVCTL(state, "--json=short", "history", "--max=1", "past");
        _cleanup_(vivctl_result_deinit) VivctlResult bad = VIVCTL(state, "history", "--max=many");

        vivctl_expect(&run, 40, NULL, NULL);
        assert_int_equal(show.status, 1);
        assert_int_equal(last.status, 0);
        assert_non_null(strstr(last.out, "Name: past\n"));
        assert_non_null(strstr(last.out, "Ended by: GUEST_PANIC after "));
        assert_int_equal(none.status, 1);
        assert_non_null(strstr(none.err, "no VM \"none\" is known to have ended"));
        assert_int_equal(list.status, 0);
        assert_non_null(strstr(list.out, "GUEST_PANIC"));
        assert_non_null(strstr(list.out, "\n1 death listed.\n"));
        vivctl_expect(&other, 0, "0 deaths listed.\n", "");
        assert_non_null(strstr(json.out, "\"reason\":\"GUEST_PANIC\""));
        assert_non_null(strstr(bad.err, "--max: expected a number, not \"many\""));
}

static void test_a_created_vm_waits_for_its_start(void **state) {
        _cleanup_(vivctl_result_deinit) VivctlResult create =
                VIVCTL(state, "create", "--name=later", KERNEL, "--params=sleep");
        _cleanup_(vivctl_result_deinit) VivctlResult list = VIVCTL(state, "--no-legend", "list");
        _cleanup_(vivctl_result_deinit) VivctlResult start = VIVCTL(state, "start", "later");
        _cleanup_(vivctl_result_deinit) VivctlResult killed = VIVCTL(state, "kill", "later");

        vivctl_expect(&create, 0, "later\n", "");
        assert_non_null(strstr(list.out, " not-started "));
        vivctl_expect(&start, 0, "", "");
        vivctl_expect(&killed, 0, "", "");
}

static void test_the_end_of_vivctl_is_the_end_of_its_vm(void **state) {
        BusHost *host = *state;
        _cleanup_(strbuf_deinit) StrBuf err = {0};
        _cleanup_(vivctl_result_deinit) VivctlResult r = {0};
        Vivctl vivctl = vivctl_start(host->address, -1,
                                     (const char *[]){"run", KERNEL, "--params=sleep", NULL});
        const char *reason;

        vivctl_await(&vivctl, &err, "runs\n");
        assert_int_equal(kill(vivctl.pid, SIGKILL), 0);
        r = vivctl_finish(&vivctl);
        assert_int_equal(r.status, 128 + SIGKILL);
        assert_true(sd_bus_message_read(bus_host_wait_signal(host, "Died", NULL), "s", &reason) >=
                    0);
        assert_string_equal(reason, "KILLED");
}

static void test_a_wrong_config_is_refused_by_its_json_path(void **state) {
        char path[] = "/tmp/vivctl-config-XXXXXX";
        static const char config[] = "{\"kernel\": \"/bin/sh\", \"memory_mib\": \"lots\"}";
        int fd = mkstemp(path);

        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, config, sizeof(config) - 1), 0);
        close(fd);
        {
                _cleanup_(vivctl_result_deinit) VivctlResult check =
                        VIVCTL(state, "check-config", path);
                _cleanup_(vivctl_result_deinit) VivctlResult run = VIVCTL(state, "run", path);
                _cleanup_(vivctl_result_deinit) VivctlResult list = VIVCTL(state, "list");

                assert_int_equal(check.status, 2);
                assert_non_null(strstr(check.err, "memory_mib: "));
                assert_non_null(strstr(check.err, path));
                /* Upon which vm@.service does not try again. */
                assert_int_equal(run.status, 2);
                assert_non_null(strstr(run.err, "memory_mib: "));
                vivctl_expect(&list, 0, "0 VMs listed.\n", "");
        }
        assert_int_equal(unlink(path), 0);
}

static void test_a_good_config_comes_back_with_its_defaults(void **state) {
        _cleanup_(vivctl_result_deinit) VivctlResult r =
                VIVCTL(state, "--json=short", "check-config", KERNEL, "--cpus=2");

        assert_int_equal(r.status, 0);
        assert_non_null(strstr(r.out, "\"kernel\":\"fd:kernel\""));
        assert_non_null(strstr(r.out, "\"cpus\":2"));
        assert_non_null(strstr(r.out, "\"memory_mib\":256"));
}

static void test_capabilities_name_every_hypervisor(void **state) {
        _cleanup_(vivctl_result_deinit) VivctlResult r = VIVCTL(state, "capabilities");

        assert_int_equal(r.status, 0);
        assert_non_null(strstr(r.out, "Hypervisor kvm: "));
        assert_non_null(strstr(r.out, "Hypervisor soft: "));
        assert_non_null(strstr(r.out, "CPUs: "));
}

static void test_capabilities_are_probed_again_when_asked(void **state) {
        _cleanup_(vivctl_result_deinit) VivctlResult r = VIVCTL(state, "capabilities", "--probe");

        assert_int_equal(r.status, 0);
        assert_non_null(strstr(r.out, "Hypervisor kvm: "));
}

/* More than a bus passes with one message. */
static void test_too_many_files_for_the_bus_are_named_as_the_cause(void **state) {
        const BusHost *host = *state;
        const char *arguments[20] = {"create", KERNEL};
        _cleanup_(vivctl_result_deinit) VivctlResult r = {0};

        for (size_t i = 2; i + 1 < ELEMENTSOF(arguments); i++)
                arguments[i] = "--disk=/proc/self/exe:ro";
        r = vivctl_run(host->address, arguments);
        assert_int_equal(r.status, 1);
        assert_non_null(strstr(r.err, "cannot create VM: the bus closed the connection when "
                                      "it got 18 files\n"));
        assert_non_null(strstr(r.err, "max_message_unix_fds"));
}

#define WITH_DAEMON(f) cmocka_unit_test_setup_teardown(f, bus_host_setup, bus_host_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                WITH_DAEMON(test_run_shows_the_console_and_its_exit_status_is_the_reason),
                WITH_DAEMON(test_the_vmms_last_words_are_shown_when_it_fails),
                WITH_DAEMON(test_an_interrupted_vm_is_killed_on_behalf_of_vivctl),
                WITH_DAEMON(test_stop_tells_by_which_means_it_ended),
                WITH_DAEMON(test_a_unit_is_told_that_its_vm_runs_and_no_lie_if_it_does_not),
                WITH_DAEMON(test_a_wrong_command_line_is_told_apart_from_a_refusal),
                WITH_DAEMON(test_a_vm_is_offered_and_taken),
                WITH_DAEMON(test_a_detached_vm_is_seen_ended_and_forgotten),
                WITH_DAEMON(test_a_session_outlives_the_service),
                WITH_DAEMON(test_a_death_is_in_the_history_when_the_vm_is_gone),
                WITH_DAEMON(test_a_created_vm_waits_for_its_start),
                WITH_DAEMON(test_the_end_of_vivctl_is_the_end_of_its_vm),
                WITH_DAEMON(test_a_wrong_config_is_refused_by_its_json_path),
                WITH_DAEMON(test_a_good_config_comes_back_with_its_defaults),
                WITH_DAEMON(test_capabilities_name_every_hypervisor),
                WITH_DAEMON(test_capabilities_are_probed_again_when_asked),
                WITH_DAEMON(test_too_many_files_for_the_bus_are_named_as_the_cause),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
