/* SPDX-License-Identifier: Apache-2.0 */

/*
 * No disk, no descriptors, no processes, no journal: one call of the daemon, or of the VMM's keeper, fails
 * while a VM is created and started, or while it ends; in the next round the call after that. Each time there is a clear
 * error or the right end on record, never a lost VM or a wrong reason, and all is as before once the VM is released.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/str.h"
#include "dbus/names.h"
#include "tests/fake/faults.h"
#include "tests/integration/vm_client.h"

/* More calls of one kind than a start or a death makes. */
#define ROUNDS_MAX 20000

/* Primes, so that they do not go along with what repeats. A restart reads the history, which each round makes longer. */
#define MEMORY_STEP 23
#define RESTART_MEMORY_STEP 211

static char faults_path[64];
static Faults *faults;

typedef struct Kind {
        const char *name;
        FaultCall call;
        int error;
        bool launcher;
} Kind;

static const Kind kinds[] = {
        {"open: EMFILE", FAULT_OPEN, EMFILE, false},
        {"open: ENOSPC", FAULT_OPEN, ENOSPC, false},
        {"write: ENOSPC", FAULT_WRITE, ENOSPC, false},
        {"fsync: ENOSPC", FAULT_FSYNC, ENOSPC, false},
        {"rename: ENOSPC", FAULT_RENAME, ENOSPC, false},
        {"mkdir: ENOSPC", FAULT_MKDIR, ENOSPC, false},
        {"spawn: EAGAIN", FAULT_SPAWN, EAGAIN, false},
        {"memfd: EMFILE", FAULT_MEMFD, EMFILE, false},
        {"socket: EMFILE", FAULT_SOCKET, EMFILE, false},
        {"pipe: EMFILE", FAULT_PIPE, EMFILE, false},
        {"pidfd: EMFILE", FAULT_PIDFD, EMFILE, false},
        {"epoll: ENOSPC", FAULT_EPOLL, ENOSPC, false},
        {"dup: EMFILE", FAULT_DUP, EMFILE, false},
        {"journal: EAGAIN", FAULT_DATAGRAM, EAGAIN, false},
        {"memory: ENOMEM", FAULT_MEMORY, ENOMEM, false},
        {"keeper fork: EAGAIN", FAULT_SPAWN, EAGAIN, true},
        {"keeper open: EMFILE", FAULT_OPEN, EMFILE, true},
        {"keeper write: ENOSPC", FAULT_WRITE, ENOSPC, true},
};

static void arm(const Kind *kind, int n) {
        faults->call = (int) kind->call;
        faults->error = kind->error;
        faults->launcher = kind->launcher;
        faults->countdown = n;
        faults->hit = 0;
        faults->armed = 1;
}

/* Whether the call failed. */
static bool disarm(void) {
        faults->armed = 0;
        return faults->hit;
}

/* With the library in it. */
static void load_library(void) {
        char library[256];

        assert_int_equal(setenv("LD_PRELOAD",
                                host_program("tests/fake/faults.so", library, sizeof(library)),
                                true),
                         0);
}

static int setup(void **state) {
        int fd;

        (void) snprintf(faults_path, sizeof(faults_path), "/dev/shm/vivarium-faults.XXXXXX");
        fd = mkstemp(faults_path);
        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, sizeof(*faults)), 0);
        faults = mmap(NULL, sizeof(*faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_ptr_not_equal(faults, MAP_FAILED);
        (void) close(fd);
        assert_int_equal(setenv(FAULTS_ENVIRONMENT, faults_path, true), 0);
        load_library();
        assert_int_equal(bus_host_setup(state), 0);
        assert_int_equal(unsetenv("LD_PRELOAD"), 0);
        assert_int_equal(faults->loaded, 1);
        return 0;
}

static int teardown(void **state) {
        int r = bus_host_teardown(state);

        assert_int_equal(unsetenv(FAULTS_ENVIRONMENT), 0);
        (void) munmap(faults, sizeof(*faults));
        (void) unlink(faults_path);
        return r;
}

static void assert_normal_life(BusHost *host) {
        _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){.params = "exit:0"});
        Record record;

        vm_call_ok(host->bus, path, "Start");
        vm_wait_death(host, path, &record);
        assert_string_equal(record.reason, "SHUTDOWN");
        vm_call_ok(host->bus, path, "Release");
}

/* Of a daemon that was replaced meanwhile the number of descriptors is not known: 0. */
static void assert_nothing_is_left(BusHost *host, const Kind *kind, int n, const Holdings *before) {
        Holdings after;

        bus_host_settle(host);
        bus_host_forget_signals(host);
        after = daemon_holdings(host);
        if ((before->fds > 0 && after.fds != before->fds) || after.children != before->children ||
            after.files != before->files || manager_vm_count(host->bus) != 0)
                fail_msg("%s at call %d left %zu descriptors, %zu children, %zu files, %u VMs",
                         kind->name, n, after.fds - before->fds, after.children - before->children,
                         after.files - before->files, manager_vm_count(host->bus));
}

/* By an error, too: it may be this call that the memory is not there for. */
static bool answers(BusHost *host) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        bool nobody;

        (void) sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                  VIVARIUM_MANAGER_INTERFACE, "GetCapabilities", &error, NULL,
                                  NULL);
        nobody = sd_bus_error_has_name(&error, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
                 sd_bus_error_has_name(&error, SD_BUS_ERROR_NO_REPLY);
        sd_bus_error_free(&error);
        return !nobody;
}

/*
 * A daemon that has no memory for its bus is of no use to anybody and ends, for systemd to start the next one, which finds
 * the VMs as they are. Return: whether that was so.
 */
static bool replace_ended_daemon(BusHost *host) {
        int status;

        if (answers(host))
                return false;
        assert_int_equal(waitpid(host->daemon_pid, &status, 0), host->daemon_pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), EXIT_FAILURE);
        load_library();
        bus_host_restart_daemon(host);
        assert_int_equal(unsetenv("LD_PRELOAD"), 0);
        assert_true(answers(host));
        return true;
}

/* Of whose VM the client never heard the path. */
static void end_all(BusHost *host) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *path;

        assert_true(sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                       VIVARIUM_MANAGER_INTERFACE, "ListVms", NULL, &reply,
                                       NULL) >= 0);
        assert_true(sd_bus_message_enter_container(reply, 'a', "(susssuo)") >= 0);
        while (sd_bus_message_read(reply, "(susssuo)", NULL, NULL, NULL, NULL, NULL, NULL, &path) >
               0) {
                (void) vm_call(host->bus, path, "Kill", NULL);
                vm_call_ok(host->bus, path, "Release");
        }
}

/* The end of @path with @reason, told or at least on record. */
static void assert_end(BusHost *host, const Kind *kind, int n, const char *path,
                       const char *reason) {
        _cleanup_(freep) char *actual = vm_get_string(host->bus, path, "DeathReason");

        if (!str_eq(actual, reason))
                fail_msg("%s at call %d: the VM ended by %s instead of %s", kind->name, n, actual,
                         reason);
}

/* Whether the call was reached. */
static bool fail_a_start(BusHost *host, const Kind *kind, int n) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(freep) char *path = NULL, *state = NULL;
        Holdings before = daemon_holdings(host);
        bool hit;
        int r;

        arm(kind, n);
        r = vm_try_create(host->bus, &(VmSpec){.params = "sleep"}, &path, &error);
        if (r >= 0)
                r = vm_call(host->bus, path, "Start", &error);
        hit = disarm();
        if (r < 0 && (!error.message || !*error.message))
                fail_msg("%s at call %d: an error without words", kind->name, n);
        if (replace_ended_daemon(host)) {
                end_all(host);
                before.fds = 0;
                assert_nothing_is_left(host, kind, n, &before);
                return hit;
        }
        if (path) {
                state = vm_get_string(host->bus, path, "State");
                if (str_eq(state, "running")) {
                        vm_call_ok(host->bus, path, "Kill");
                        assert_end(host, kind, n, path, "KILLED");
                } else if (str_eq(state, "failed"))
                        assert_end(host, kind, n, path, "START_FAILED");
                else
                        assert_string_equal(state, "not-started");
                if (r >= 0)
                        assert_string_equal(state, "running");
                vm_call_ok(host->bus, path, "Release");
        }
        assert_nothing_is_left(host, kind, n, &before);
        return hit;
}

/* The stand-in says by its name that it will not die of the signal. */
static void wait_until_it_awaits(uint32_t pid) {
        uint64_t deadline = clock_monotonic_usec() + HOST_TIMEOUT_USEC;
        char path[64], name[16] = "";

        (void) snprintf(path, sizeof(path), "/proc/%u/comm", pid);
        while (!str_eq(name, "awaiting\n")) {
                _cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
                ssize_t len;

                assert_true(fd >= 0 && clock_monotonic_usec() < deadline);
                len = read(fd, name, sizeof(name) - 1);
                assert_true(len > 0);
                name[len] = '\0';
                (void) sched_yield();
        }
}

/* Died, of the daemon or of the one that had to replace it. Return: whether there is another one. */
static bool await_end(BusHost *host, const Kind *kind, int n, const char *path) {
        uint64_t deadline = clock_monotonic_usec() + HOST_TIMEOUT_USEC;
        bool replaced = false;

        while (bus_host_count_signals(host, "Died", path) == 0) {
                if (clock_monotonic_usec() >= deadline)
                        fail_msg("%s at call %d: nobody heard of the VM's end", kind->name, n);
                if (sd_bus_process(host->bus, NULL) == 0)
                        assert_true(sd_bus_wait(host->bus, 100 * 1000) >= 0);
                if (faults->hit && replace_ended_daemon(host))
                        replaced = true;
        }
        return replaced;
}

static bool fail_a_death(BusHost *host, const Kind *kind, int n) {
        Holdings before = daemon_holdings(host);
        _cleanup_(freep) char *path =
                vm_create(host->bus, &(VmSpec){.params = "failure:oops%0a await exit:34"});
        bool hit, replaced;
        uint32_t pid;

        vm_call_ok(host->bus, path, "Start");
        pid = (uint32_t) vm_get_number(host->bus, path, "Pid");
        wait_until_it_awaits(pid);
        arm(kind, n);
        assert_int_equal(kill((pid_t) pid, SIGUSR1), 0);
        replaced = await_end(host, kind, n, path);
        hit = disarm();
        replaced = replace_ended_daemon(host) || replaced;
        /* Blocks for the keeper's last line were set aside; when it cannot be written even so, nobody saw the end. */
        assert_end(host, kind, n, path,
                   hit && kind->launcher && kind->call == FAULT_WRITE ? "LOST" : "GUEST_PANIC");
        bus_host_settle(host);
        if (replaced) /* told twice is better than never */
                before.fds = 0;
        else
                assert_int_equal(bus_host_count_signals(host, "Died", path), 1);
        vm_call_ok(host->bus, path, "Release");
        assert_nothing_is_left(host, kind, n, &before);
        return hit;
}

/* A daemon that cannot take over the VMs ends, and costs them nothing: the next one does. */
static bool fail_a_restart(BusHost *host, const Kind *kind, int n) {
        Holdings before = daemon_holdings(host);
        _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){.params = "sleep"});
        _cleanup_(freep) char *state = NULL;
        uint64_t pid;
        bool hit;

        vm_call_ok(host->bus, path, "Start");
        pid = vm_get_number(host->bus, path, "Pid");
        bus_host_kill_daemon(host);
        load_library();
        arm(kind, n);
        (void) bus_host_try_restart_daemon(host);
        assert_int_equal(unsetenv("LD_PRELOAD"), 0);
        (void) replace_ended_daemon(host);
        hit = disarm();
        state = vm_get_string(host->bus, path, "State");
        if (!str_eq(state, "running") || vm_get_number(host->bus, path, "Pid") != pid)
                fail_msg("%s at call %d of a restart: the VM is %s", kind->name, n, state);
        vm_call_ok(host->bus, path, "Kill");
        vm_call_ok(host->bus, path, "Release");
        before.fds = 0;
        assert_nothing_is_left(host, kind, n, &before);
        return hit;
}

/* There are thousands of allocations, of which some are tried each time, and all on demand. */
static int step_of(const Kind *kind, int memory_step) {
        return kind->call == FAULT_MEMORY && !getenv("VIVARIUM_FULL") ? memory_step : 1;
}

static void test_a_restart_without_descriptors_or_memory_costs_no_vm(void **state) {
        static const Kind want[] = {{"open: EMFILE", FAULT_OPEN, EMFILE, false},
                                    {"pipe: EMFILE", FAULT_PIPE, EMFILE, false},
                                    {"pidfd: EMFILE", FAULT_PIDFD, EMFILE, false},
                                    {"memory: ENOMEM", FAULT_MEMORY, ENOMEM, false}};

        for (size_t i = 0; i < ELEMENTSOF(want); i++) {
                int n = 1;

                while (n < ROUNDS_MAX && fail_a_restart(*state, &want[i], n))
                        n += step_of(&want[i], RESTART_MEMORY_STEP);
                assert_true(n < ROUNDS_MAX);
                print_message("restart: %s: %d calls\n", want[i].name, n - 1);
        }
}

static void fail_each(void **state, bool (*round)(BusHost *, const Kind *, int)) {
        BusHost *host = *state;

        for (unsigned i = 0; i < 20; i++)
                assert_normal_life(host); /* fills caches, of which some keep descriptors */
        for (size_t i = getenv("KIND") ? (size_t) atoi(getenv("KIND")) : 0; i < ELEMENTSOF(kinds);
             i++) {
                int n = 1;

                while (n < ROUNDS_MAX && round(host, &kinds[i], n))
                        n += step_of(&kinds[i], MEMORY_STEP);
                assert_true(n < ROUNDS_MAX);
                print_message("%s: %d calls\n", kinds[i].name, n - 1);
                assert_normal_life(host);
        }
}

static void test_each_call_of_a_start_may_fail(void **state) {
        fail_each(state, fail_a_start);
}

static void test_each_call_of_a_death_may_fail(void **state) {
        fail_each(state, fail_a_death);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_each_call_of_a_start_may_fail),
                TEST(test_each_call_of_a_death_may_fail),
                TEST(test_a_restart_without_descriptors_or_memory_costs_no_vm),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
