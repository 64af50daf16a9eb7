/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
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
#include "tests/integration/vivctl_process.h"

/* vivctl against a service that does what VMs' names say, on a bus of the test's own. */
typedef struct Bus {
        pid_t daemon, service;
        char address[256];
} Bus;

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
        n = read(ends[0], bus->address, sizeof(bus->address) - 1);
        close(ends[0]);
        if (n <= 1)
                return -1;
        bus->address[n - 1] = '\0'; /* where the line ends */
        return 0;
}

static int start_service(Bus *bus) {
        int ends[2];
        char byte;

        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        bus->service = fork();
        if (bus->service == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                _exit(fake_vivariumd_run(bus->address, ends[1]) < 0 ? 1 : 0);
        }
        close(ends[1]);
        assert_int_equal(read(ends[0], &byte, 1), 1);
        close(ends[0]);
        return 0;
}

static int bus_up(void **state) {
        Bus *bus = calloc(1, sizeof(*bus));

        assert_non_null(bus);
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

#define VIVCTL(bus, ...) VIVCTL_AT((bus)->address, __VA_ARGS__)
#define KERNEL "--kernel=/bin/sh"

static void test_run_shows_the_console_and_tells_why_the_vm_ended(void **state) {
        _cleanup_(vivctl_result_deinit) VivctlResult r =
                VIVCTL((const Bus *) *state, "run", KERNEL, "--name=die-3-SHUTDOWN");

        vivctl_expect(&r, 0, "hello from the guest\r\nno line end",
                      "VM \"die-3-SHUTDOWN\" created, CID 2048\n"
                      "VM \"die-3-SHUTDOWN\" runs\n"
                      "VM ended: SHUTDOWN after 1.50 s: the guest powered off\n"
                      "  VMM exit: status 33\n"
                      "VMM memory: 3.2 MiB at most, as sampled\n");
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
                _cleanup_(vivctl_result_deinit) VivctlResult r =
                        VIVCTL((const Bus *) *state, "run", KERNEL, "--name", cases[i].name);

                vivctl_expect(&r, cases[i].status, NULL, NULL);
                assert_non_null(strstr(r.err, strchr(cases[i].name + 4, '-') + 1));
                /* What went wrong is shown with the VMM's own last words. */
                assert_non_null(strstr(r.err, "VMM's messages: first line\n"
                                              "                last line\n"));
        }
}

static void test_with_json_standard_output_is_one_document(void **state) {
        _cleanup_(vivctl_result_deinit) VivctlResult r =
                VIVCTL((const Bus *) *state, "--json=short", "run", KERNEL, "--name=die-6-CRASH");

        vivctl_expect(
                &r, 16,
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
                _cleanup_(vivctl_result_deinit) VivctlResult r = VIVCTL(
                        (const Bus *) *state, "run", KERNEL, option, "--name=die-3-SHUTDOWN");

                vivctl_expect(&r, 0, "", NULL);
        }
        n = pread(fd, text, sizeof(text) - 1, 0);
        assert_true(n > 0);
        text[n] = '\0';
        assert_string_equal(text, "before\nhello from the guest\r\nno line endhello from the "
                                  "guest\r\nno line end");
        close(fd);
        assert_int_equal(unlink(path), 0);
}

static void test_a_slow_reader_gets_all_of_a_long_console(void **state) {
        const Bus *bus = *state;
        _cleanup_(strbuf_deinit) StrBuf err = {0};
        _cleanup_(vivctl_result_deinit) VivctlResult r = {0};
        Vivctl vivctl = vivctl_start(bus->address, -1,
                                     (const char *[]){"run", KERNEL, "--name=loud", NULL});

        /* Nobody reads the console until here; it is far longer than all pipes on its way. */
        vivctl_await(&vivctl, &err, "runs\n");
        r = vivctl_finish(&vivctl);
        assert_int_equal(r.status, 0);
        assert_int_equal(strlen(r.out), FAKE_LOUD_LINES * 8);
        for (unsigned i = 0; i < FAKE_LOUD_LINES; i++)
                assert_int_equal(atoi(r.out + (size_t) i * 8), i);
}

static void test_a_failed_start_is_told_once_with_its_record(void **state) {
        _cleanup_(vivctl_result_deinit) VivctlResult r =
                VIVCTL((const Bus *) *state, "run", KERNEL, "--name=fail");

        vivctl_expect(&r, 14, "",
                      "VM \"fail\" created, CID 2048\n"
                      "VM ended: START_FAILED after 1.50 s: the VM could not be started\n"
                      "      VMM exit: status 33\n"
                      "    VMM memory: 3.2 MiB at most, as sampled\n"
                      "VMM's messages: first line\n"
                      "                last line\n");
}

static void test_an_interrupt_kills_the_vm_and_waits_for_its_record(void **state) {
        static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
        _cleanup_(strbuf_deinit) StrBuf err = {0};

        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                _cleanup_(strbuf_deinit) StrBuf before = {0};
                _cleanup_(vivctl_result_deinit) VivctlResult r = {0};
                Vivctl running = vivctl_start(((const Bus *) *state)->address, -1,
                                              (const char *[]){"run", KERNEL, "--name=stay", NULL});

                vivctl_await(&running, &before, "runs\n");
                assert_int_equal(kill(running.pid, signals[i]), 0);
                r = vivctl_finish(&running);
                vivctl_expect(&r, 11, NULL, NULL);
                assert_non_null(strstr(r.err, "killing VM \"stay\""));
                assert_non_null(strstr(r.err, "VM ended: KILLED"));
        }
}

static void test_a_vm_that_cannot_be_killed_is_left_to_the_service(void **state) {
        _cleanup_(strbuf_deinit) StrBuf before = {0};
        _cleanup_(vivctl_result_deinit) VivctlResult r = {0};
        Vivctl running = vivctl_start(((const Bus *) *state)->address, -1,
                                      (const char *[]){"run", KERNEL, "--name=deaf", NULL});

        vivctl_await(&running, &before, "runs\n");
        assert_int_equal(kill(running.pid, SIGINT), 0);
        r = vivctl_finish(&running);
        vivctl_expect(&r, 130, NULL, NULL);
        assert_non_null(strstr(r.err, "cannot kill VM \"deaf\": VM deaf does not run"));
}

static void test_a_closed_standard_output_kills_the_vm(void **state) {
        _cleanup_(strbuf_deinit) StrBuf err = {0};
        Vivctl running = vivctl_start(((const Bus *) *state)->address, -1,
                                      (const char *[]){"run", KERNEL, "--name=stay", NULL});
        int status;

        close(running.out);
        vivctl_await(&running, &err, "VM ended: KILLED");
        assert_non_null(strstr(err.data, "standard output was closed"));
        assert_int_equal(waitpid(running.pid, &status, 0), running.pid);
        assert_int_equal(WEXITSTATUS(status), 11);
        close(running.err);
}

static void test_a_service_that_leaves_is_told(void **state) {
        _cleanup_(strbuf_deinit) StrBuf before = {0};
        _cleanup_(vivctl_result_deinit) VivctlResult r = {0};
        Vivctl running = vivctl_start(((const Bus *) *state)->address, -1,
                                      (const char *[]){"run", KERNEL, "--name=vanish", NULL});

        vivctl_await(&running, &before, "the service left the bus; VM \"vanish\" runs on\n");
        /* With nobody there to kill the VM, nobody is waited for. */
        assert_int_equal(kill(running.pid, SIGINT), 0);
        r = vivctl_finish(&running);
        vivctl_expect(&r, 130, NULL, NULL);
        assert_non_null(strstr(r.err, "cannot kill VM \"vanish\""));
}

static void test_errors_of_the_service_come_with_advice(void **state) {
        _cleanup_(vivctl_result_deinit) VivctlResult r =
                VIVCTL((const Bus *) *state, "run", KERNEL, "--name=taken");

        vivctl_expect(
                &r, 1, "",
                "vivctl: cannot create VM: a VM named \"taken\" exists\n"
                "Choose another name with --name, or remove the old VM with: vivctl kill NAME, "
                "vivctl release NAME\n");
}

static void test_verbs_work_on_vms_by_name_cid_and_path(void **state) {
        _cleanup_(vivctl_result_deinit) VivctlResult a =
                VIVCTL((const Bus *) *state, "create", KERNEL, "--name=stay");
        _cleanup_(vivctl_result_deinit) VivctlResult b = VIVCTL(
                (const Bus *) *state, "--json=short", "run", "--detach", KERNEL, "--name=two");
        _cleanup_(vivctl_result_deinit) VivctlResult list = VIVCTL((const Bus *) *state, "list");
        _cleanup_(vivctl_result_deinit) VivctlResult json =
                VIVCTL((const Bus *) *state, "--json=short", "list");
        _cleanup_(vivctl_result_deinit) VivctlResult start =
                VIVCTL((const Bus *) *state, "start", "stay");
        _cleanup_(vivctl_result_deinit) VivctlResult again =
                VIVCTL((const Bus *) *state, "start", "2048");
        _cleanup_(vivctl_result_deinit) VivctlResult killed =
                VIVCTL((const Bus *) *state, "kill", "2048", "/org/vivarium/vm1/vm/1");
        _cleanup_(vivctl_result_deinit) VivctlResult show =
                VIVCTL((const Bus *) *state, "show", "stay");
        _cleanup_(vivctl_result_deinit) VivctlResult released =
                VIVCTL((const Bus *) *state, "release", "two", "stay");
        _cleanup_(vivctl_result_deinit) VivctlResult empty = VIVCTL((const Bus *) *state, "list");

        vivctl_expect(&a, 0, "stay\n", "");
        vivctl_expect(&b, 0,
                      "{\"Name\":\"two\",\"Cid\":2049,\"Path\":\"/org/vivarium/vm1/vm/1\"}\n", "");
        vivctl_expect(&list, 0,
                      "NAME  CID STATE       PAYLOAD  HYPERVISOR OWNER\n"
                      "stay 2048 not-started starting kvm        root\n"
                      "two  2049 running     starting kvm        root\n"
                      "\n2 VMs listed.\n",
                      "");
        vivctl_expect(
                &json, 0,
                "[{\"Name\":\"stay\",\"Cid\":2048,\"State\":\"not-started\",\"PayloadState\":"
                "\"starting\",\"Hypervisor\":\"kvm\",\"Owner\":0,\"Path\":"
                "\"/org/vivarium/vm1/vm/0\"},{\"Name\":\"two\",\"Cid\":2049,\"State\":\"running\","
                "\"PayloadState\":\"starting\",\"Hypervisor\":\"kvm\",\"Owner\":0,\"Path\":"
                "\"/org/vivarium/vm1/vm/1\"}]\n",
                "");
        vivctl_expect(&start, 0, "", "");
        vivctl_expect(&again, 1, "",
                      "vivctl: cannot start VM \"2048\": VM stay was started already\n"
                      "A VM is started once; make another one with: vivctl create\n");
        vivctl_expect(&killed, 0, "", "");
        assert_int_equal(show.status, 0);
        assert_non_null(strstr(show.out, "          Name: stay\n"));
        assert_non_null(
                strstr(show.out, "      Ended by: KILLED after 1.50 s: killed by request\n"));
        assert_non_null(strstr(show.out, ", detached\n"));
        vivctl_expect(&released, 0, "", "");
        vivctl_expect(&empty, 0, "0 VMs listed.\n", "");
}

static void test_one_failure_does_not_keep_the_others_from_being_served(void **state) {
        _cleanup_(vivctl_result_deinit) VivctlResult a =
                VIVCTL((const Bus *) *state, "create", KERNEL, "--name=stay");
        _cleanup_(vivctl_result_deinit) VivctlResult r =
                VIVCTL((const Bus *) *state, "start", "staj", "stay", "9999");
        _cleanup_(vivctl_result_deinit) VivctlResult list =
                VIVCTL((const Bus *) *state, "--no-legend", "list");

        vivctl_expect(&a, 0, "stay\n", "");
        vivctl_expect(&r, 1, "",
                      "vivctl: no such VM: \"staj\"; did you mean \"stay\"?\n"
                      "vivctl: no such VM: \"9999\"\nSee what there is with: vivctl list\n");
        vivctl_expect(&list, 0, "stay 2048 running starting kvm root\n", "");
}

static void test_show_prints_all_of_a_dead_vm_as_json(void **state) {
        _cleanup_(vivctl_result_deinit) VivctlResult a =
                VIVCTL((const Bus *) *state, "create", KERNEL, "--name=die-6-CRASH");
        _cleanup_(vivctl_result_deinit) VivctlResult b =
                VIVCTL((const Bus *) *state, "start", "die-6-CRASH");
        _cleanup_(vivctl_result_deinit) VivctlResult r =
                VIVCTL((const Bus *) *state, "--json=short", "show", "2048");

        assert_int_equal(a.status + b.status, 0);
        vivctl_expect(
                &r, 0,
                "{\"Name\":\"die-6-CRASH\",\"Cid\":2048,\"State\":\"dead\",\"MemoryBytes\":"
                "268435456,"
                "\"Detached\":true,\"DeathReason\":\"CRASH\",\"Path\":\"/org/vivarium/vm1/vm/0\","
                "\"DeathRecord\":{\"reason\":\"CRASH\",\"code\":6,\"exit-status\":33,"
                "\"run-time-usec\":1500000,\"rss-vmm-peak-bytes\":3355443,"
                "\"stderr-tail\":\"first line\\nlast line\\n\"}}\n",
                "");
}

static void test_capabilities_say_what_is_missing_and_why(void **state) {
        _cleanup_(vivctl_result_deinit) VivctlResult text =
                VIVCTL((const Bus *) *state, "capabilities");
        _cleanup_(vivctl_result_deinit) VivctlResult json =
                VIVCTL((const Bus *) *state, "capabilities", "--json=short");

        vivctl_expect(&text, 0,
                      " Hypervisor kvm: available\n"
                      "Hypervisor soft: not available: not in this version\n"
                      "           CPUs: 4\n"
                      "        Devices: disk, console\n",
                      "");
        vivctl_expect(&json, 0,
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
                _cleanup_(vivctl_result_deinit) VivctlResult good =
                        VIVCTL((const Bus *) *state, "check-config", KERNEL, "--mem=64");
                _cleanup_(vivctl_result_deinit) VivctlResult brief = VIVCTL(
                        (const Bus *) *state, "check-config", KERNEL, "--mem=64", "--json=short");
                _cleanup_(vivctl_result_deinit) VivctlResult bad =
                        VIVCTL((const Bus *) *state, "check-config", path);

                vivctl_expect(&good, 0,
                              "{\n  \"kernel\": \"fd:kernel\",\n  \"memory_mib\": 64\n}\n", "");
                vivctl_expect(&brief, 0, "{\"kernel\":\"fd:kernel\",\"memory_mib\":64}\n", "");
                (void) snprintf(message, sizeof(message),
                                "vivctl: %s: wrong: unknown key\nKeys and values are described in "
                                "vm-config(5).\n",
                                path);
                vivctl_expect(&bad, 2, "", message);
        }
        assert_int_equal(unlink(path), 0);
}

static void test_keys_go_to_the_guest_and_the_escape_key_kills_it(void **state) {
        _cleanup_(strbuf_deinit) StrBuf err = {0};
        _cleanup_(vivctl_result_deinit) VivctlResult r = {0};
        struct termios before = {0}, after = {0};
        int leader, terminal;
        Vivctl running;

        assert_int_equal(openpty(&leader, &terminal, NULL, NULL, NULL), 0);
        assert_int_equal(tcgetattr(terminal, &before), 0);
        running = vivctl_start(
                ((const Bus *) *state)->address, terminal,
                (const char *[]){"run", KERNEL, "--name=stay", "--console-in=-", NULL});
        vivctl_await(&running, &err, "runs\n");
        assert_non_null(strstr(err.data, "press Ctrl-] three times"));
        /* Raw mode: Ctrl-C is one more key. */
        assert_int_equal(fd_write_all(leader, "ls\r\x03\x1d\x1d\x1d", 7), 0);
        r = vivctl_finish(&running);
        vivctl_expect(&r, 11, NULL, NULL);
        assert_non_null(strstr(r.err, "escape key: killing VM \"stay\""));
        assert_int_equal(tcgetattr(terminal, &after), 0);
        assert_memory_equal(&before, &after, sizeof(before));
        close(leader);
        close(terminal);
}

/* An ssh that needs no network: it runs what it is told here, or fails as for a host that does not answer. */
static void put_ssh(const char *dir, const char *address) {
        char path[64], script[512];
        int fd;

        (void) snprintf(path, sizeof(path), "%s/ssh", dir);
        (void) snprintf(script, sizeof(script),
                        "#!/bin/sh\n[ \"$3\" = here ] || exit 255\n"
                        "exec systemd-stdio-bridge --bus-path='%s'\n",
                        address);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, script, strlen(script)), 0);
        close(fd);
}

static void test_another_host_is_reached_by_ssh_but_takes_no_files(void **state) {
        char dir[] = "/tmp/vivctl-ssh-XXXXXX", path[256], ssh[64];
        const Bus *bus = *state;

        assert_non_null(mkdtemp(dir));
        put_ssh(dir, bus->address);
        (void) snprintf(path, sizeof(path), "%s:%s", dir, getenv("PATH"));
        assert_int_equal(setenv("PATH", path, 1), 0);
        {
                _cleanup_(vivctl_result_deinit) VivctlResult a = VIVCTL(bus, "create", KERNEL);
                _cleanup_(vivctl_result_deinit) VivctlResult list =
                        VIVCTL_AT(NULL, "-Hhere", "--no-legend", "list");
                _cleanup_(vivctl_result_deinit) VivctlResult run =
                        VIVCTL_AT(NULL, "--host=here", "run", KERNEL);
                _cleanup_(vivctl_result_deinit) VivctlResult away =
                        VIVCTL_AT(NULL, "--host=away", "list");

                vivctl_expect(&a, 0, "unnamed\n", "");
                /* Users are numbers: names are the other host's. */
                vivctl_expect(&list, 0, "unnamed 2048 not-started starting kvm 0\n", "");
                assert_int_equal(run.status, 1);
                assert_non_null(strstr(run.err, "files cannot be passed over this connection"));
                assert_int_equal(away.status, 1);
                assert_non_null(strstr(away.err, "cannot connect to the bus of away: "));
        }
        assert_int_equal(setenv("PATH", path + strlen(dir) + 1, 1), 0);
        (void) snprintf(ssh, sizeof(ssh), "%s/ssh", dir);
        assert_int_equal(unlink(ssh), 0);
        assert_int_equal(rmdir(dir), 0);
}

static void test_without_a_service_the_way_to_one_is_told(void **state) {
        const Bus *bus = *state;
        _cleanup_(vivctl_result_deinit) VivctlResult r = VIVCTL(bus, "list");
        char expected[512];

        vivctl_expect(&r, 1, "", NULL);
        (void) snprintf(expected, sizeof(expected),
                        "Start one with: vivariumd --bus-address='%s'\n", bus->address);
        assert_non_null(strstr(r.err, "the service (org.vivarium.vm1) is not running"));
        assert_non_null(strstr(r.err, expected));
}

static void test_usage_errors_have_a_status_of_their_own(void **state) {
        _cleanup_(vivctl_result_deinit) VivctlResult a =
                VIVCTL((const Bus *) *state, "run", KERNEL, "--mem=lots");
        _cleanup_(vivctl_result_deinit) VivctlResult b =
                VIVCTL((const Bus *) *state, "list", "--json=yaml");
        _cleanup_(vivctl_result_deinit) VivctlResult c =
                VIVCTL((const Bus *) *state, "list", "--user");
        _cleanup_(vivctl_result_deinit) VivctlResult d =
                VIVCTL((const Bus *) *state, "create", KERNEL, "--console=-");
        _cleanup_(vivctl_result_deinit) VivctlResult e =
                VIVCTL((const Bus *) *state, "--no-legend");

        vivctl_expect(&a, 2, "", "vivctl: --mem=lots: expected a number\n");
        vivctl_expect(&b, 2, "", "vivctl: --json=yaml: expected short, pretty or off\n");
        vivctl_expect(
                &c, 2, "",
                "vivctl: --system, --user, --address and --host name different services; give one "
                "of them\n");
        vivctl_expect(&d, 2, "",
                      "vivctl: --console=- and --console-in=- need vivctl to stay until the VM "
                      "ends; give "
                      "a file\n");
        vivctl_expect(&e, 2, "", NULL);
        assert_non_null(strstr(e.err, "Verbs:"));
}

static void test_help_and_version_need_no_bus(void **state) {
        static const char nowhere[] = "unix:path=/nowhere";
        _cleanup_(vivctl_result_deinit) VivctlResult help = VIVCTL_AT(nowhere, "run", "--help");
        _cleanup_(vivctl_result_deinit) VivctlResult version = VIVCTL_AT(nowhere, "--version");
        _cleanup_(vivctl_result_deinit) VivctlResult list = VIVCTL_AT(nowhere, "list");

        assert_int_equal(help.status, 0);
        assert_non_null(strstr(help.out, "--detach"));
        vivctl_expect(&version, 0, "vivctl " VIVARIUM_VERSION "\n", "");
        vivctl_expect(&list, 1, "",
                      "vivctl: cannot connect to the bus at \"unix:path=/nowhere\": No such file "
                      "or directory\n");
}

#define WITH_SERVICE(f) cmocka_unit_test_setup_teardown(f, bus_and_service_up, bus_down)
#define WITHOUT_SERVICE(f) cmocka_unit_test_setup_teardown(f, bus_up, bus_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                WITH_SERVICE(test_run_shows_the_console_and_tells_why_the_vm_ended),
                WITH_SERVICE(test_the_exit_status_tells_reasons_apart),
                WITH_SERVICE(test_with_json_standard_output_is_one_document),
                WITH_SERVICE(test_the_console_may_go_to_a_file_that_is_appended_to),
                WITH_SERVICE(test_a_slow_reader_gets_all_of_a_long_console),
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
                WITH_SERVICE(test_another_host_is_reached_by_ssh_but_takes_no_files),
                WITHOUT_SERVICE(test_without_a_service_the_way_to_one_is_told),
                WITHOUT_SERVICE(test_usage_errors_have_a_status_of_their_own),
                WITHOUT_SERVICE(test_help_and_version_need_no_bus),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
