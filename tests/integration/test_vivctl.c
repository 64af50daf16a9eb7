/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/str.h"
#include "tests/integration/fake_vivariumd.h"

/* vivctl against a service that does what VMs' names say, on a bus of the test's own. */
typedef struct Bus {
        pid_t daemon, service;
        char address[256]; /* as --address=… */
        char vivctl[PATH_MAX];
} Bus;

typedef struct Result {
        int status; /* exit status; 128 + n for signal n */
        char *out, *err;
} Result;

/* A vivctl that was started. */
typedef struct Running {
        pid_t pid;
        int out, err; /* read ends */
} Running;

static void result_deinit(Result *result) {
        free(result->out);
        free(result->err);
}

static int start_dbus_daemon(Bus *bus) {
        ssize_t n;
        int ends[2];

        assert_int_equal(pipe(ends), 0);
        bus->daemon = fork();
        if (bus->daemon == 0) {
                char print[32];

                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void) snprintf(print, sizeof(print), "--print-address=%d", ends[1]);
                execlp("dbus-daemon", "dbus-daemon", "--session", "--nofork", "--nopidfile", print,
                       (char *) NULL);
                _exit(127);
        }
        close(ends[1]);
        n = read(ends[0], bus->address + 10, sizeof(bus->address) - 11);
        close(ends[0]);
        if (n <= 1)
                return -1;
        memcpy(bus->address, "--address=", 10);
        bus->address[10 + n - 1] = '\0';
        return 0;
}

static int start_service(Bus *bus) {
        int ends[2];
        char byte;

        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        bus->service = fork();
        if (bus->service == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                _exit(fake_vivariumd_run(bus->address + 10, ends[1]) < 0 ? 1 : 0);
        }
        close(ends[1]);
        assert_int_equal(read(ends[0], &byte, 1), 1);
        close(ends[0]);
        return 0;
}

static int bus_up(void **state) {
        const char *build = getenv("VIVARIUM_BUILD");
        Bus *bus = calloc(1, sizeof(*bus));

        assert_non_null(bus);
        assert_non_null(build);
        (void) snprintf(bus->vivctl, sizeof(bus->vivctl), "%s/vivctl", build);
        *state = bus;
        return start_dbus_daemon(bus);
}

static int bus_and_service_up(void **state) {
        return bus_up(state) < 0 ? -1 : start_service(*state);
}

static int bus_down(void **state) {
        Bus *bus = *state;

        if (bus->service > 0) {
                kill(bus->service, SIGKILL);
                waitpid(bus->service, NULL, 0);
        }
        kill(bus->daemon, SIGKILL);
        waitpid(bus->daemon, NULL, 0);
        free(bus);
        return 0;
}

/* Starts vivctl on the test's bus; @in becomes its standard input unless negative. */
static Running start_vivctl(const Bus *bus, int in, const char *const *argv) {
        const char *args[32] = {bus->vivctl, bus->address};
        int out[2], err[2];
        Running running;

        for (size_t i = 0; argv[i]; i++)
                args[i + 2] = argv[i];
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        assert_int_equal(pipe2(err, O_CLOEXEC), 0);
        running = (Running){.pid = fork(), .out = out[0], .err = err[0]};
        if (running.pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (in < 0)
                        in = open("/dev/null", O_RDONLY);
                if (dup2(in, 0) < 0 || dup2(out[1], 1) < 0 || dup2(err[1], 2) < 0)
                        _exit(126);
                execv(args[0], (char *const *) (uintptr_t) args);
                _exit(127);
        }
        assert_true(running.pid > 0);
        close(out[1]);
        close(err[1]);
        return running;
}

/* Reads standard error until @text was seen. */
static void expect_soon(const Running *running, StrBuf *err, const char *text) {
        while (!err->data || !strstr(err->data, text)) {
                struct pollfd p = {.fd = running->err, .events = POLLIN};
                char chunk[512];
                ssize_t n;

                assert_int_equal(poll(&p, 1, 20000), 1);
                n = read(running->err, chunk, sizeof(chunk));
                if (n <= 0)
                        fail_msg("\"%s\" did not come, but: %s", text, err->data ? err->data : "");
                strbuf_append_bytes(err, chunk, (size_t) n);
        }
}

static Result finish(const Running *running) {
        Result result = {0};
        int status;

        assert_int_equal(fd_read_bounded(running->out, 1 << 20, &result.out, NULL), 0);
        assert_int_equal(fd_read_bounded(running->err, 1 << 20, &result.err, NULL), 0);
        assert_int_equal(waitpid(running->pid, &status, 0), running->pid);
        result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        close(running->out);
        close(running->err);
        return result;
}

static Result run_vivctl(const Bus *bus, const char *const *argv) {
        Running running = start_vivctl(bus, -1, argv);

        return finish(&running);
}

#define VIVCTL(bus, ...) run_vivctl(bus, (const char *[]){__VA_ARGS__, NULL})
#define KERNEL "--kernel=/bin/sh"

static void expect(const Result *result, int status, const char *out, const char *err) {
        if (result->status != status || (out && strcmp(result->out, out) != 0) ||
            (err && strcmp(result->err, err) != 0))
                fail_msg("status %d, standard output:\n%s\nstandard error:\n%s", result->status,
                         result->out, result->err);
}

static void test_run_shows_the_console_and_tells_why_the_vm_ended(void **state) {
        _cleanup_(result_deinit) Result r = VIVCTL(*state, "run", KERNEL, "--name=die-3-SHUTDOWN");

        expect(&r, 0, "hello from the guest\r\nno line end",
               "VM \"die-3-SHUTDOWN\" created, CID 2048\n"
               "VM \"die-3-SHUTDOWN\" runs\n"
               "VM ended: SHUTDOWN after 1.50 s: the guest powered off\n"
               "  VMM exit: status 33\n"
               "VMM memory: 3.2 MiB at its peak\n");
}

static void test_the_exit_status_tells_reasons_apart(void **state) {
        static const struct {
                const char *name;
                int status;
        } cases[] = {
                {"die-0-INFRASTRUCTURE_ERROR", 10},
                {"die-5-REBOOT", 15},
                {"die-6-CRASH", 16},
                {"die-17-WATCHDOG_REBOOT", 27},
                {"die-100-GUEST_PANIC", 40},
                {"die-105-LOST", 45},
                {"die-777-SOMETHING_NEW", 60},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(result_deinit) Result r =
                        VIVCTL(*state, "run", KERNEL, "--name", cases[i].name);

                expect(&r, cases[i].status, NULL, NULL);
                assert_non_null(strstr(r.err, strchr(cases[i].name + 4, '-') + 1));
                /* What went wrong is shown with the VMM's own last words. */
                assert_non_null(strstr(r.err, "VMM's messages: first line\n"
                                              "                last line\n"));
        }
}

static void test_with_json_standard_output_is_one_document(void **state) {
        _cleanup_(result_deinit) Result r =
                VIVCTL(*state, "--json=short", "run", KERNEL, "--name=die-6-CRASH");

        expect(&r, 16,
               "{\"Name\":\"die-6-CRASH\",\"Cid\":2048,\"State\":\"dead\",\"MemoryBytes\":"
               "268435456,"
               "\"Detached\":false,\"DeathReason\":\"CRASH\",\"Path\":\"/org/vivarium/vm1/vm/0\","
               "\"DeathRecord\":{\"reason\":\"CRASH\",\"code\":6,\"exit-status\":33,"
               "\"run-time-usec\":1500000,\"rss-vmm-peak-bytes\":3355443,"
               "\"stderr-tail\":\"first line\\nlast line\\n\"}}\n",
               NULL);
        assert_non_null(strstr(r.err, "hello from the guest"));
        assert_non_null(strstr(r.err, "VM ended: CRASH"));
}

static void test_the_console_may_go_to_a_file_that_is_appended_to(void **state) {
        char path[] = "/tmp/vivctl-console-XXXXXX", option[64], text[128];
        int fd = mkstemp(path);
        ssize_t n;

        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, "before\n", 7), 0);
        (void) snprintf(option, sizeof(option), "--console=%s", path);
        for (unsigned i = 0; i < 2; i++) {
                _cleanup_(result_deinit) Result r =
                        VIVCTL(*state, "run", KERNEL, option, "--name=die-3-SHUTDOWN");

                expect(&r, 0, "", NULL);
        }
        n = pread(fd, text, sizeof(text) - 1, 0);
        assert_true(n > 0);
        text[n] = '\0';
        assert_string_equal(text, "before\nhello from the guest\r\nno line endhello from the "
                                  "guest\r\nno line end");
        close(fd);
        assert_int_equal(unlink(path), 0);
}

static void test_a_failed_start_is_told_once_with_its_record(void **state) {
        _cleanup_(result_deinit) Result r = VIVCTL(*state, "run", KERNEL, "--name=fail");

        expect(&r, 14, "",
               "VM \"fail\" created, CID 2048\n"
               "VM ended: START_FAILED after 1.50 s: the VM could not be started\n"
               "      VMM exit: status 33\n"
               "    VMM memory: 3.2 MiB at its peak\n"
               "VMM's messages: first line\n"
               "                last line\n");
}

static void test_an_interrupt_kills_the_vm_and_waits_for_its_record(void **state) {
        static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
        _cleanup_(strbuf_deinit) StrBuf err = {0};

        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                _cleanup_(strbuf_deinit) StrBuf before = {0};
                _cleanup_(result_deinit) Result r = {0};
                Running running = start_vivctl(
                        *state, -1, (const char *[]){"run", KERNEL, "--name=stay", NULL});

                expect_soon(&running, &before, "runs\n");
                assert_int_equal(kill(running.pid, signals[i]), 0);
                r = finish(&running);
                expect(&r, 11, NULL, NULL);
                assert_non_null(strstr(r.err, "killing VM \"stay\""));
                assert_non_null(strstr(r.err, "VM ended: KILLED"));
        }
}

static void test_a_vm_that_cannot_be_killed_is_left_to_the_service(void **state) {
        _cleanup_(strbuf_deinit) StrBuf before = {0};
        _cleanup_(result_deinit) Result r = {0};
        Running running =
                start_vivctl(*state, -1, (const char *[]){"run", KERNEL, "--name=deaf", NULL});

        expect_soon(&running, &before, "runs\n");
        assert_int_equal(kill(running.pid, SIGINT), 0);
        r = finish(&running);
        expect(&r, 130, NULL, NULL);
        assert_non_null(strstr(r.err, "cannot kill VM \"deaf\": VM deaf does not run"));
}

static void test_a_closed_standard_output_kills_the_vm(void **state) {
        _cleanup_(strbuf_deinit) StrBuf err = {0};
        Running running =
                start_vivctl(*state, -1, (const char *[]){"run", KERNEL, "--name=stay", NULL});
        int status;

        close(running.out);
        expect_soon(&running, &err, "VM ended: KILLED");
        assert_non_null(strstr(err.data, "standard output was closed"));
        assert_int_equal(waitpid(running.pid, &status, 0), running.pid);
        assert_int_equal(WEXITSTATUS(status), 11);
        close(running.err);
}

static void test_a_service_that_leaves_is_told(void **state) {
        _cleanup_(result_deinit) Result r = VIVCTL(*state, "run", KERNEL, "--name=vanish");

        expect(&r, 1, NULL, NULL);
        assert_non_null(strstr(r.err, "the service left the bus while VM \"vanish\" ran"));
}

static void test_errors_of_the_service_come_with_advice(void **state) {
        _cleanup_(result_deinit) Result r = VIVCTL(*state, "run", KERNEL, "--name=taken");

        expect(&r, 1, "",
               "vivctl: cannot create the VM: a VM named \"taken\" exists\n"
               "Choose another name with --name, or remove the old VM with: vivctl kill NAME, "
               "vivctl release NAME\n");
}

static void test_verbs_work_on_vms_by_name_cid_and_path(void **state) {
        _cleanup_(result_deinit) Result a = VIVCTL(*state, "create", KERNEL, "--name=stay");
        _cleanup_(result_deinit) Result b =
                VIVCTL(*state, "--json=short", "run", "--detach", KERNEL, "--name=two");
        _cleanup_(result_deinit) Result list = VIVCTL(*state, "list");
        _cleanup_(result_deinit) Result json = VIVCTL(*state, "--json=short", "list");
        _cleanup_(result_deinit) Result start = VIVCTL(*state, "start", "stay");
        _cleanup_(result_deinit) Result again = VIVCTL(*state, "start", "2048");
        _cleanup_(result_deinit) Result killed =
                VIVCTL(*state, "kill", "2048", "/org/vivarium/vm1/vm/1");
        _cleanup_(result_deinit) Result show = VIVCTL(*state, "show", "stay");
        _cleanup_(result_deinit) Result released = VIVCTL(*state, "release", "two", "stay");
        _cleanup_(result_deinit) Result empty = VIVCTL(*state, "list");

        expect(&a, 0, "stay\n", "");
        expect(&b, 0, "{\"Name\":\"two\",\"Cid\":2049,\"Path\":\"/org/vivarium/vm1/vm/1\"}\n", "");
        expect(&list, 0,
               "NAME  CID STATE       PAYLOAD  HYPERVISOR OWNER\n"
               "stay 2048 not-started starting kvm        root\n"
               "two  2049 running     starting kvm        root\n"
               "\n2 VMs listed.\n",
               "");
        expect(&json, 0,
               "[{\"Name\":\"stay\",\"Cid\":2048,\"State\":\"not-started\",\"PayloadState\":"
               "\"starting\",\"Hypervisor\":\"kvm\",\"Owner\":0,\"Path\":"
               "\"/org/vivarium/vm1/vm/0\"},{\"Name\":\"two\",\"Cid\":2049,\"State\":\"running\","
               "\"PayloadState\":\"starting\",\"Hypervisor\":\"kvm\",\"Owner\":0,\"Path\":"
               "\"/org/vivarium/vm1/vm/1\"}]\n",
               "");
        expect(&start, 0, "", "");
        expect(&again, 1, "",
               "vivctl: cannot start VM \"2048\": VM stay was started already\n"
               "A VM is started once; make another one with: vivctl create\n");
        expect(&killed, 0, "", "");
        assert_int_equal(show.status, 0);
        assert_non_null(strstr(show.out, "          Name: stay\n"));
        assert_non_null(
                strstr(show.out, "      Ended by: KILLED after 1.50 s: killed by request\n"));
        assert_non_null(strstr(show.out, ", detached\n"));
        expect(&released, 0, "", "");
        expect(&empty, 0, "0 VMs listed.\n", "");
}

static void test_one_failure_does_not_keep_the_others_from_being_served(void **state) {
        _cleanup_(result_deinit) Result a = VIVCTL(*state, "create", KERNEL, "--name=stay");
        _cleanup_(result_deinit) Result r = VIVCTL(*state, "start", "staj", "stay", "9999");
        _cleanup_(result_deinit) Result list = VIVCTL(*state, "--no-legend", "list");

        expect(&a, 0, "stay\n", "");
        expect(&r, 1, "",
               "vivctl: no such VM: \"staj\"; did you mean \"stay\"?\n"
               "vivctl: no such VM: \"9999\"\nSee what there is with: vivctl list\n");
        expect(&list, 0, "stay 2048 running starting kvm root\n", "");
}

static void test_show_prints_all_of_a_dead_vm_as_json(void **state) {
        _cleanup_(result_deinit) Result a = VIVCTL(*state, "create", KERNEL, "--name=die-6-CRASH");
        _cleanup_(result_deinit) Result b = VIVCTL(*state, "start", "die-6-CRASH");
        _cleanup_(result_deinit) Result r = VIVCTL(*state, "--json=short", "show", "2048");

        assert_int_equal(a.status + b.status, 0);
        expect(&r, 0,
               "{\"Name\":\"die-6-CRASH\",\"Cid\":2048,\"State\":\"dead\",\"MemoryBytes\":"
               "268435456,"
               "\"Detached\":true,\"DeathReason\":\"CRASH\",\"Path\":\"/org/vivarium/vm1/vm/0\","
               "\"DeathRecord\":{\"reason\":\"CRASH\",\"code\":6,\"exit-status\":33,"
               "\"run-time-usec\":1500000,\"rss-vmm-peak-bytes\":3355443,"
               "\"stderr-tail\":\"first line\\nlast line\\n\"}}\n",
               "");
}

static void test_capabilities_say_what_is_missing_and_why(void **state) {
        _cleanup_(result_deinit) Result text = VIVCTL(*state, "capabilities");
        _cleanup_(result_deinit) Result json = VIVCTL(*state, "capabilities", "--json=short");

        expect(&text, 0,
               " Hypervisor kvm: available\n"
               "Hypervisor soft: not available: not in this version\n"
               "           CPUs: 4\n"
               "        Devices: disk, console\n",
               "");
        expect(&json, 0,
               "{\"hypervisors\":{\"kvm\":{\"available\":true,\"reason\":\"\"},\"soft\":"
               "{\"available\":false,\"reason\":\"not in this version\"}},\"cpus\":4,"
               "\"devices\":[\"disk\",\"console\"]}\n",
               "");
}

static void test_check_config_prints_what_the_service_made_of_it(void **state) {
        char path[] = "/tmp/vivctl-config-XXXXXX", message[128];
        int fd = mkstemp(path);

        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, "{\"wrong\": 1}", 12), 0);
        close(fd);
        {
                _cleanup_(result_deinit) Result good =
                        VIVCTL(*state, "check-config", KERNEL, "--mem=64");
                _cleanup_(result_deinit) Result brief =
                        VIVCTL(*state, "check-config", KERNEL, "--mem=64", "--json=short");
                _cleanup_(result_deinit) Result bad = VIVCTL(*state, "check-config", path);

                expect(&good, 0, "{\n  \"kernel\": \"fd:kernel\",\n  \"memory_mib\": 64\n}\n", "");
                expect(&brief, 0, "{\"kernel\":\"fd:kernel\",\"memory_mib\":64}\n", "");
                (void) snprintf(message, sizeof(message),
                                "vivctl: %s: wrong: unknown key\nKeys and values are described in "
                                "vm-config(5).\n",
                                path);
                expect(&bad, 1, "", message);
        }
        assert_int_equal(unlink(path), 0);
}

static void test_keys_go_to_the_guest_and_the_escape_key_kills_it(void **state) {
        _cleanup_(strbuf_deinit) StrBuf err = {0};
        _cleanup_(result_deinit) Result r = {0};
        struct termios before = {0}, after = {0};
        int leader, terminal;
        Running running;

        assert_int_equal(openpty(&leader, &terminal, NULL, NULL, NULL), 0);
        assert_int_equal(tcgetattr(terminal, &before), 0);
        running = start_vivctl(
                *state, terminal,
                (const char *[]){"run", KERNEL, "--name=stay", "--console-in=-", NULL});
        expect_soon(&running, &err, "runs\n");
        assert_non_null(strstr(err.data, "press Ctrl-] three times"));
        /* Raw mode: Ctrl-C is one more key. */
        assert_int_equal(fd_write_all(leader, "ls\r\x03\x1d\x1d\x1d", 7), 0);
        r = finish(&running);
        expect(&r, 11, NULL, NULL);
        assert_non_null(strstr(r.err, "escape key: killing VM \"stay\""));
        assert_int_equal(tcgetattr(terminal, &after), 0);
        assert_memory_equal(&before, &after, sizeof(before));
        close(leader);
        close(terminal);
}

static void test_without_a_service_the_way_to_one_is_told(void **state) {
        const Bus *bus = *state;
        _cleanup_(result_deinit) Result r = VIVCTL(bus, "list");
        char expected[512];

        expect(&r, 1, "", NULL);
        (void) snprintf(expected, sizeof(expected),
                        "Start one with: vivariumd --bus-address='%s'\n", bus->address + 10);
        assert_non_null(strstr(r.err, "the service (org.vivarium.vm1) is not running"));
        assert_non_null(strstr(r.err, expected));
}

static void test_usage_errors_have_a_status_of_their_own(void **state) {
        _cleanup_(result_deinit) Result a = VIVCTL(*state, "run", KERNEL, "--mem=lots");
        _cleanup_(result_deinit) Result b = VIVCTL(*state, "list", "--json=yaml");
        _cleanup_(result_deinit) Result c = VIVCTL(*state, "list", "--user");
        _cleanup_(result_deinit) Result d = VIVCTL(*state, "create", KERNEL, "--console=-");
        _cleanup_(result_deinit) Result e = VIVCTL(*state, "--no-legend");

        expect(&a, 2, "", "vivctl: --mem=lots: expected a number\n");
        expect(&b, 2, "", "vivctl: --json=yaml: expected short, pretty or off\n");
        expect(&c, 2, "",
               "vivctl: --system, --user, --address and --host name different services; give one "
               "of them\n");
        expect(&d, 2, "",
               "vivctl: --console=- and --console-in=- need vivctl to stay until the VM ends; give "
               "a file\n");
        expect(&e, 2, "", NULL);
        assert_non_null(strstr(e.err, "Verbs:"));
}

static void test_help_and_version_need_no_bus(void **state) {
        static const Bus nowhere = {.address = "--address=unix:path=/nowhere"};
        const Bus *bus = *state;
        Bus here = nowhere;

        memcpy(here.vivctl, bus->vivctl, sizeof(here.vivctl));
        {
                _cleanup_(result_deinit) Result help = VIVCTL(&here, "run", "--help");
                _cleanup_(result_deinit) Result version = VIVCTL(&here, "--version");
                _cleanup_(result_deinit) Result list = VIVCTL(&here, "list");

                assert_int_equal(help.status, 0);
                assert_non_null(strstr(help.out, "--detach"));
                expect(&version, 0, "vivctl " VIVARIUM_VERSION "\n", "");
                expect(&list, 1, "",
                       "vivctl: cannot connect to the bus at \"unix:path=/nowhere\": No such file "
                       "or directory\n");
        }
}

#define WITH_SERVICE(f) cmocka_unit_test_setup_teardown(f, bus_and_service_up, bus_down)
#define WITHOUT_SERVICE(f) cmocka_unit_test_setup_teardown(f, bus_up, bus_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                WITH_SERVICE(test_run_shows_the_console_and_tells_why_the_vm_ended),
                WITH_SERVICE(test_the_exit_status_tells_reasons_apart),
                WITH_SERVICE(test_with_json_standard_output_is_one_document),
                WITH_SERVICE(test_the_console_may_go_to_a_file_that_is_appended_to),
                WITH_SERVICE(test_a_failed_start_is_told_once_with_its_record),
                WITH_SERVICE(test_an_interrupt_kills_the_vm_and_waits_for_its_record),
                WITH_SERVICE(test_a_vm_that_cannot_be_killed_is_left_to_the_service),
                WITH_SERVICE(test_a_closed_standard_output_kills_the_vm),
                WITH_SERVICE(test_a_service_that_leaves_is_told),
                WITH_SERVICE(test_errors_of_the_service_come_with_advice),
                WITH_SERVICE(test_verbs_work_on_vms_by_name_cid_and_path),
                WITH_SERVICE(test_one_failure_does_not_keep_the_others_from_being_served),
                WITH_SERVICE(test_show_prints_all_of_a_dead_vm_as_json),
                WITH_SERVICE(test_capabilities_say_what_is_missing_and_why),
                WITH_SERVICE(test_check_config_prints_what_the_service_made_of_it),
                WITH_SERVICE(test_keys_go_to_the_guest_and_the_escape_key_kills_it),
                WITHOUT_SERVICE(test_without_a_service_the_way_to_one_is_told),
                WITHOUT_SERVICE(test_usage_errors_have_a_status_of_their_own),
                WITHOUT_SERVICE(test_help_and_version_need_no_bus),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
