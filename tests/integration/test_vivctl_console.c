/* SPDX-License-Identifier: Apache-2.0 */
/* `vivctl console` and `vivctl log` as a user has them: in a terminal, with guests of the service's. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "tests/integration/bus_host.h"
#include "tests/integration/vivctl_process.h"

#define VIVCTL(state, ...) VIVCTL_AT(((const BusHost *) *(state))->address, __VA_ARGS__)
#define KERNEL "--kernel=/bin/sh"
#define ESCAPE "\x1d\x1d\x1d"

/* vivctl in a terminal of ours. */
typedef struct User {
        pid_t pid;
        int terminal,
                slave; /* both sides; the other one is held open, so that its state can be read */
        StrBuf seen;
        struct termios before;
} User;

static void user_init(User *user, const BusHost *host, const char *const *arguments) {
        char program[256], option[300];
        const char *argv[16] = {program, option};
        size_t n = 2;

        (void) host_program("vivctl", program, sizeof(program));
        (void) snprintf(option, sizeof(option), "--address=%s", host->address);
        while (*arguments)
                argv[n++] = *arguments++;
        *user = (User){.terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
        assert_true(user->terminal >= 0);
        assert_int_equal(grantpt(user->terminal), 0);
        assert_int_equal(unlockpt(user->terminal), 0);
        user->slave = open(ptsname(user->terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
        assert_true(user->slave >= 0);
        assert_int_equal(tcgetattr(user->slave, &user->before), 0);
        user->pid = fork();
        if (user->pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (dup2(user->slave, 0) < 0 || dup2(user->slave, 1) < 0 ||
                    dup2(user->slave, 2) < 0)
                        _exit(126);
                execv(program, (char *const *) (uintptr_t) argv);
                _exit(127);
        }
        assert_true(user->pid > 0);
}

/* Reads until @text was seen, @n times. */
static void user_awaits(User *user, const char *text, unsigned n) {
        for (;;) {
                struct pollfd p = {.fd = user->terminal, .events = POLLIN};
                const char *at = user->seen.data ? user->seen.data : "";
                unsigned found = 0;
                char chunk[1024];
                ssize_t len;

                for (; (at = strstr(at, text)); at += strlen(text))
                        found++;
                if (found >= n)
                        return;
                if (poll(&p, 1, HOST_TIMEOUT_USEC / 1000) <= 0)
                        fail_msg("\"%s\" did not come, but: %s", text,
                                 user->seen.data ? user->seen.data : "");
                len = read(user->terminal, chunk, sizeof(chunk));
                assert_true(len > 0);
                strbuf_append_bytes(&user->seen, chunk, (size_t) len);
        }
}

static void user_types(const User *user, const char *keys) {
        assert_int_equal(fd_write_all(user->terminal, keys, strlen(keys)), 0);
}

/* Its end, with the terminal as it was. Return: exit status. */
static int user_ends(User *user) {
        struct termios after;
        int status;

        assert_int_equal(waitpid(user->pid, &status, 0), user->pid);
        assert_int_equal(tcgetattr(user->slave, &after), 0);
        assert_int_equal(after.c_lflag, user->before.c_lflag);
        assert_int_equal(after.c_iflag, user->before.c_iflag);
        assert_int_equal(after.c_oflag, user->before.c_oflag);
        assert_true(WIFEXITED(status));
        (void) close(user->terminal);
        (void) close(user->slave);
        return WEXITSTATUS(status);
}

static void user_deinit(User *user) {
        strbuf_deinit(&user->seen);
}

#define USER(user, host, ...) user_init(user, host, (const char *const[]){__VA_ARGS__, NULL})

static void run_detached(void **state, const char *name, const char *params) {
        char option[64], words[4096];
        _cleanup_(vivctl_result_deinit) VivctlResult r = {0};

        (void) snprintf(option, sizeof(option), "--name=%s", name);
        (void) snprintf(words, sizeof(words), "--params=%s", params);
        r = VIVCTL(state, "run", "--detach", option, KERNEL, words);
        vivctl_expect(&r, 0, NULL, "");
}

static void expect_state(void **state, const char *name, const char *expected) {
        _cleanup_(vivctl_result_deinit) VivctlResult show = VIVCTL(state, "show", name);

        if (!strstr(show.out, expected))
                fail_msg("no \"%s\" in: %s%s", expected, show.out, show.err);
}

static void test_keys_pass_and_the_escape_key_leaves_the_vm_running(void **state) {
        _cleanup_(user_deinit) User user;

        run_detached(state, "web", "console:hello%0a echo sleep");
        USER(&user, *state, "console", "web");
        user_awaits(&user, "press Ctrl-] three times", 1);
        user_awaits(&user, "hello", 1);
        user_types(&user, "abc\x03"); /* Ctrl-C is the guest's */
        user_awaits(&user, "abc\x03", 1);
        user_types(&user, ESCAPE);
        user_awaits(&user, "left the console of VM \"web\", which runs on", 1);
        assert_int_equal(user_ends(&user), 0);
        expect_state(state, "web", "State: running");
}

static void test_every_signal_puts_the_terminal_back(void **state) {
        static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};

        run_detached(state, "web", "console:hello sleep");
        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                _cleanup_(user_deinit) User user;

                USER(&user, *state, "console"); /* the only one there is */
                user_awaits(&user, "hello", 1);
                assert_int_equal(kill(user.pid, signals[i]), 0);
                assert_int_equal(user_ends(&user), 130);
        }
        expect_state(state, "web", "State: running");
}

static void test_the_end_of_the_vm_is_told_with_its_status(void **state) {
        _cleanup_(user_deinit) User user;

        run_detached(state, "web", "echo console:goodbye exit:34");
        USER(&user, *state, "console", "web");
        user_awaits(&user, "Connected to", 1);
        user_types(&user, "q");
        user_awaits(&user, "qgoodbye", 1);
        user_awaits(&user, "VM \"web\" ended: GUEST_PANIC", 1);
        assert_int_equal(user_ends(&user), 40);
}

static void test_a_session_outlives_the_service_and_shows_nothing_twice(void **state) {
        BusHost *host = *state;
        _cleanup_(user_deinit) User user;
        const char *first;

        run_detached(state, "web", "console:unique%20words%0a echo sleep");
        USER(&user, host, "console", "web");
        user_awaits(&user, "unique words", 1);
        user_types(&user, "one");
        user_awaits(&user, "one", 1);
        bus_host_kill_daemon(host);
        user_awaits(&user, "the service left the bus", 1);
        bus_host_restart_daemon(host);
        user_awaits(&user, "runs on", 1);
        user_types(&user, "two");
        user_awaits(&user, "two", 1);
        user_types(&user, ESCAPE);
        user_awaits(&user, "left the console", 1);
        first = strstr(user.seen.data, "unique words");
        assert_non_null(first);
        assert_null(strstr(first + 1, "unique words"));
        assert_int_equal(user_ends(&user), 0);
}

static void test_a_script_on_standard_input_reaches_the_guest_whole(void **state) {
        char path[] = "/tmp/vivctl-keys-XXXXXX", keys[3001];
        const BusHost *host = *state;
        _cleanup_(vivctl_result_deinit) VivctlResult r = {0};
        int file = mkstemp(path);
        Vivctl vivctl;

        assert_true(file >= 0);
        for (size_t i = 0; i < sizeof(keys) - 1; i++)
                keys[i] = (char) ('a' + i % 16);
        keys[sizeof(keys) - 2] = 'q';
        keys[sizeof(keys) - 1] = '\0';
        assert_int_equal(fd_write_all(file, keys, sizeof(keys) - 1), 0);
        assert_int_equal(lseek(file, 0, SEEK_SET), 0);
        run_detached(state, "web", "echo exit:0");
        vivctl = vivctl_start(host->address, file, (const char *const[]){"console", "web", NULL});
        r = vivctl_finish(&vivctl);
        vivctl_expect(&r, 0, keys, "vivctl: VM \"web\" ended: SHUTDOWN\n");
        assert_int_equal(unlink(path), 0);
        (void) close(file);
}

static void test_the_log_is_printed_and_followed(void **state) {
        const BusHost *host = *state;
        _cleanup_(strbuf_deinit) StrBuf err = {0};
        Vivctl vivctl;

        run_detached(state, "web", "log:first%0a await log:second%0a exit:0");
        for (;;) {
                _cleanup_(vivctl_result_deinit) VivctlResult r = VIVCTL(state, "log", "web");

                if (*r.out == '\0' && r.status == 0)
                        continue; /* it has not written yet */
                vivctl_expect(&r, 0, "first\n", "");
                break;
        }
        vivctl = vivctl_start(host->address, -1, (const char *const[]){"log", "-f", "web", NULL});
        {
                _cleanup_(vivctl_result_deinit) VivctlResult r = {0};
                _cleanup_(vivctl_result_deinit) VivctlResult json =
                        VIVCTL(state, "--json=short", "show", "web");
                const char *pid = strstr(json.out, "\"Pid\":");
                char text[8];

                assert_non_null(pid);
                assert_int_equal(read(vivctl.out, text, 6), 6);
                assert_int_equal(kill((pid_t) strtol(pid + 6, NULL, 10), SIGUSR1), 0);
                r = vivctl_finish(&vivctl);
                vivctl_expect(&r, 0, "second\n", "vivctl: VM \"web\" ended: SHUTDOWN\n");
        }
}

static void test_mistakes_say_what_to_do_next(void **state) {
        _cleanup_(vivctl_result_deinit) VivctlResult none = VIVCTL(state, "console");
        _cleanup_(vivctl_result_deinit) VivctlResult unknown = VIVCTL(state, "console", "web");
        _cleanup_(vivctl_result_deinit) VivctlResult created =
                VIVCTL(state, "create", "--name=web", KERNEL);
        _cleanup_(vivctl_result_deinit) VivctlResult early = VIVCTL(state, "console", "web");

        vivctl_expect(&none, 1, "", "vivctl: 0 VMs run\nStart one with: vivctl start NAME\n");
        assert_int_equal(unknown.status, 1);
        assert_non_null(strstr(unknown.err, "no such VM: \"web\""));
        vivctl_expect(&created, 0, "web\n", "");
        assert_int_equal(early.status, 1);
        assert_non_null(strstr(early.err, "it is not-started, not running\n"
                                          "See its state with: vivctl show NAME"));
}

static void test_a_run_in_the_foreground_can_leave_its_console_to_the_service(void **state) {
        const BusHost *host = *state;
        _cleanup_(strbuf_deinit) StrBuf err = {0};
        _cleanup_(vivctl_result_deinit) VivctlResult r = {0};
        _cleanup_(user_deinit) User user;
        Vivctl vivctl =
                vivctl_start(host->address, -1,
                             (const char *const[]){"run", "--console=service", "--name=web", KERNEL,
                                                   "--params=console:hello echo", NULL});

        vivctl_await(&vivctl, &err, "runs\n");
        USER(&user, host, "console", "web");
        user_awaits(&user, "hello", 1);
        user_types(&user, "q");
        user_awaits(&user, "hello", 1);
        r = vivctl_finish(&vivctl);
        vivctl_expect(&r, 0, "", NULL);
        assert_non_null(strstr(r.err, "VM ended: SHUTDOWN"));
        user_awaits(&user, "VM \"web\" ended: SHUTDOWN", 1);
        assert_int_equal(user_ends(&user), 0);
}

static int setup_with_the_real_vmm(void **state) {
        char vmm[256], option[300];

        (void) snprintf(option, sizeof(option), "--vmm=%s",
                        host_program("vivarium-vmm", vmm, sizeof(vmm)));
        return bus_host_setup_with(state, (const char *const[]){option, NULL});
}

static void test_a_real_guest_is_talked_to(void **state) {
        const char *guest = getenv("VIVARIUM_GUEST");
        char kernel[PATH_MAX], initrd[PATH_MAX];
        _cleanup_(vivctl_result_deinit) VivctlResult run = {0};
        _cleanup_(user_deinit) User user;

        if (!guest) {
                print_message("no guest in $VIVARIUM_GUEST, skipping\n");
                skip();
        }
        (void) snprintf(kernel, sizeof(kernel), "--kernel=%s/vmlinuz", guest);
        (void) snprintf(initrd, sizeof(initrd), "--initrd=%s/initrd.img", guest);
        run = VIVCTL(state, "run", "--detach", "--name=web", "--hypervisor=soft",
                     "--boot-timeout=0", kernel, initrd,
                     "--params=console=hvc0 vivarium.test=write:hvc2,echo:heard,poweroff");
        vivctl_expect(&run, 0, "web\n", "");
        USER(&user, *state, "console", "web");
        user_awaits(&user, "init reached", 1);
        user_awaits(&user, "step write", 1);
        {
                _cleanup_(vivctl_result_deinit) VivctlResult log = VIVCTL(state, "log", "web");

                assert_int_equal(log.status, 0);
                assert_true(strlen(log.out) > 0);
        }
        user_types(&user, "a line for the guest\r");
        user_awaits(&user, "heard a line for the guest", 1);
        user_awaits(&user, "VM \"web\" ended: SHUTDOWN", 1);
        assert_int_equal(user_ends(&user), 0);
        expect_state(state, "web", "Ended by: SHUTDOWN");
}

static void write_debug_config(const char *path, const char *guest) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_true(dprintf(fd,
                            "{\"kernel\": \"%s/vmlinuz\", \"params\": \"\","
                            " \"debug_level\": \"full\", \"gdb_port\": 1}\n",
                            guest) > 0);
        (void) close(fd);
}

static void test_a_debugger_finds_a_real_guest_at_its_first_instruction(void **state) {
        const char *guest = getenv("VIVARIUM_GUEST");
        char config[] = "/tmp/vivctl-gdb-XXXXXX";
        int file;

        if (!guest || access("/usr/bin/gdb", X_OK) < 0) {
                print_message("no guest in $VIVARIUM_GUEST or no gdb, skipping\n");
                skip();
        }
        file = mkstemp(config);
        assert_true(file >= 0);
        (void) close(file);
        write_debug_config(config, guest);
        {
                _cleanup_(vivctl_result_deinit) VivctlResult run =
                        VIVCTL(state, "run", "--detach", "--name=web", "--hypervisor=soft", config);
                _cleanup_(vivctl_result_deinit) VivctlResult gdb =
                        VIVCTL(state, "gdb", "web", "--", "-nx", "-batch", "-ex", "info threads",
                               "-ex", "kill");
                _cleanup_(vivctl_result_deinit) VivctlResult plain =
                        VIVCTL(state, "create", "--name=plain", KERNEL);
                _cleanup_(vivctl_result_deinit) VivctlResult none =
                        VIVCTL(state, "gdb", "--stdio", "plain");

                vivctl_expect(&run, 0, "web\n", "");
                if (!strstr(gdb.out, "Thread 1 (vCPU 0) 0x0000000001000000"))
                        fail_msg("gdb said: %s%s", gdb.out, gdb.err);
                vivctl_expect(&plain, 0, "plain\n", "");
                assert_int_equal(none.status, 1);
                assert_non_null(strstr(none.err, "it is not-started, not running"));
        }
        assert_int_equal(unlink(config), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bus_host_setup, bus_host_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_keys_pass_and_the_escape_key_leaves_the_vm_running),
                TEST(test_every_signal_puts_the_terminal_back),
                TEST(test_the_end_of_the_vm_is_told_with_its_status),
                TEST(test_a_session_outlives_the_service_and_shows_nothing_twice),
                TEST(test_a_script_on_standard_input_reaches_the_guest_whole),
                TEST(test_the_log_is_printed_and_followed),
                TEST(test_mistakes_say_what_to_do_next),
                TEST(test_a_run_in_the_foreground_can_leave_its_console_to_the_service),
                cmocka_unit_test_setup_teardown(test_a_real_guest_is_talked_to,
                                                setup_with_the_real_vmm, bus_host_teardown),
                cmocka_unit_test_setup_teardown(
                        test_a_debugger_finds_a_real_guest_at_its_first_instruction,
                        setup_with_the_real_vmm, bus_host_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
