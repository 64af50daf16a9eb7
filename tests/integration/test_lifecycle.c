/* SPDX-License-Identifier: Apache-2.0 */
/* VM objects from CreateVm to their removal, and who they belong to. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/str.h"
#include "dbus/names.h"
#include "tests/integration/vm_client.h"

static void assert_state(sd_bus *bus, const char *path, const char *expected) {
        _cleanup_(freep) char *state = vm_get_string(bus, path, "State");

        assert_string_equal(state, expected);
}

static void test_a_new_vm_is_announced_listed_and_found(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){.name = "web"});
        _cleanup_(freep) char *id = vm_get_string(host->bus, path, "Id");
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *list = NULL;
        const struct {
                const char *method, *type, *text;
                uint32_t number;
        } ways[] = {
                {"GetVm", "s", "web", 0}, {"GetVm", "s", id, 0}, {"GetVmByCid", "u", NULL, 2048}};
        const char *name, *vm_state, *payload, *hypervisor, *listed;
        uint32_t cid, uid;

        assert_non_null(bus_host_wait_signal(host, "VmNew", VIVARIUM_MANAGER_PATH));
        assert_non_null(bus_host_wait_signal(host, "InterfacesAdded", VIVARIUM_MANAGER_PATH));
        assert_true(sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                       VIVARIUM_MANAGER_INTERFACE, "ListVms", NULL, &list,
                                       NULL) >= 0);
        assert_true(sd_bus_message_enter_container(list, 'a', "(susssuo)") > 0);
        assert_true(sd_bus_message_read(list, "(susssuo)", &name, &cid, &vm_state, &payload,
                                        &hypervisor, &uid, &listed) > 0);
        assert_string_equal(name, "web");
        assert_int_equal(cid, 2048);
        assert_string_equal(vm_state, "not-started");
        assert_string_equal(payload, "starting");
        /* "auto" until the probe of this daemon's VMM is over, which says that there is KVM */
        assert_true(str_eq(hypervisor, "auto") || str_eq(hypervisor, "kvm"));
        assert_int_equal(uid, getuid());
        assert_string_equal(listed, path);
        assert_int_equal(sd_bus_message_at_end(list, false), 1);
        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
                const char *found;

                assert_true(sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                               VIVARIUM_MANAGER_INTERFACE, ways[i].method, NULL,
                                               &reply, ways[i].type,
                                               ways[i].text ? (uintptr_t) ways[i].text
                                                            : ways[i].number) >= 0);
                assert_true(sd_bus_message_read(reply, "o", &found) > 0);
                assert_string_equal(found, path);
        }
        assert_int_equal(manager_vm_count(host->bus), 1);
}

static void test_a_running_vm_is_found_by_the_pid_of_its_vmm(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){.params = "sleep"});
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *found;
        uint32_t pid;

        vm_call_ok(host->bus, path, "Start");
        pid = (uint32_t) vm_get_number(host->bus, path, "Pid");
        assert_true(sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                       VIVARIUM_MANAGER_INTERFACE, "GetVmByPid", NULL, &reply, "u",
                                       pid) >= 0);
        assert_true(sd_bus_message_read(reply, "o", &found) > 0);
        assert_string_equal(found, path);
        vm_call_ok(host->bus, path, "Kill");
        assert_true(sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                       VIVARIUM_MANAGER_INTERFACE, "GetVmByPid", &error, NULL, "u",
                                       pid) < 0);
        assert_string_equal(error.name, VIVARIUM_ERROR_NO_SUCH_VM);
}

static void test_a_vm_is_started_once_only(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){.params = "sleep"});

        vm_call_ok(host->bus, path, "Start");
        vm_call_fails(host->bus, path, "Start", VIVARIUM_ERROR_ALREADY_STARTED);
        assert_state(host->bus, path, "running");
        vm_call_ok(host->bus, path, "Kill");
        vm_call_fails(host->bus, path, "Start", VIVARIUM_ERROR_ALREADY_STARTED);
        assert_state(host->bus, path, "dead");
}

static void test_only_a_running_vm_is_killed_and_only_an_idle_one_released(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){.params = "sleep"});

        vm_call_fails(host->bus, path, "Kill", VIVARIUM_ERROR_NOT_RUNNING);
        vm_call_ok(host->bus, path, "Start");
        vm_call_fails(host->bus, path, "Release", VIVARIUM_ERROR_INVALID_TRANSITION);
        vm_call_ok(host->bus, path, "Kill");
        vm_call_fails(host->bus, path, "Kill", VIVARIUM_ERROR_NOT_RUNNING);
        vm_call_ok(host->bus, path, "Release");
        assert_non_null(bus_host_wait_signal(host, "VmRemoved", VIVARIUM_MANAGER_PATH));
        assert_non_null(bus_host_wait_signal(host, "InterfacesRemoved", VIVARIUM_MANAGER_PATH));
        vm_call_fails(host->bus, path, "Kill", VIVARIUM_ERROR_NO_SUCH_VM);
        assert_int_equal(manager_vm_count(host->bus), 0);
}

static void test_a_vm_that_was_not_started_can_be_given_up(void **state) {
        BusHost *host = *state;
        Holdings before = daemon_holdings(host), after;
        _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){0});

        after = daemon_holdings(host);
        assert_int_equal(after.files, before.files + 1);
        assert_true(after.fds > before.fds);
        vm_call_ok(host->bus, path, "Release");
        bus_host_settle(host);
        after = daemon_holdings(host);
        assert_same_holdings(&before, &after);
        assert_int_equal(bus_host_count_signals(host, "Died", NULL), 0);
}

static void test_a_name_belongs_to_one_living_vm(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *first =
                vm_create(host->bus, &(VmSpec){.name = "one", .params = "exit:0"});
        _cleanup_(freep) char *second = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        Record record;

        assert_true(vm_try_create(host->bus, &(VmSpec){.name = "one"}, NULL, &error) < 0);
        assert_string_equal(error.name, VIVARIUM_ERROR_NAME_TAKEN);
        assert_non_null(strstr(error.message, "\"one\""));
        vm_call_ok(host->bus, first, "Start");
        vm_wait_death(host, first, &record);
        second = vm_create(host->bus, &(VmSpec){.name = "one"});
        assert_string_not_equal(first, second);
}

static void test_a_vm_called_after_its_cid_keeps_that_name_for_itself(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *first = vm_create(host->bus, &(VmSpec){.name = "vm-2049"});
        _cleanup_(freep) char *second = vm_create(host->bus, &(VmSpec){0});
        _cleanup_(freep) char *name = vm_get_string(host->bus, second, "Name");

        assert_non_null(first);
        assert_string_equal(name, "vm-2050");
        assert_int_equal(vm_get_number(host->bus, second, "Cid"), 2050);
}

static void test_cids_are_not_used_again_soon(void **state) {
        BusHost *host = *state;

        for (uint32_t cid = 2048; cid < 2053; cid++) {
                _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){0});

                assert_int_equal(vm_get_number(host->bus, path, "Cid"), cid);
                vm_call_ok(host->bus, path, "Release");
        }
}

static int setup_with_limits(void **state) {
        return bus_host_setup_with(state,
                                   (const char *const[]){"--max-vms=3", "--history=2", NULL});
}

static void test_no_more_vms_than_the_limit_live(void **state) {
        BusHost *host = *state;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        char *paths[3];

        for (size_t i = 0; i < ELEMENTSOF(paths); i++)
                paths[i] = vm_create(host->bus, &(VmSpec){.params = "sleep"});
        assert_true(vm_try_create(host->bus, &(VmSpec){0}, NULL, &error) < 0);
        assert_string_equal(error.name, VIVARIUM_ERROR_QUOTA_EXCEEDED);
        vm_call_ok(host->bus, paths[1], "Start");
        vm_call_ok(host->bus, paths[1], "Kill");
        free(paths[1]);
        paths[1] = vm_create(host->bus, &(VmSpec){0});
        for (size_t i = 0; i < ELEMENTSOF(paths); i++)
                free(paths[i]);
}

/* A message whose descriptors do not fit any more would cost the daemon its connection, and every VM its life. */
static void test_vms_leave_descriptors_for_the_next_message(void **state) {
        const struct rlimit limit = {64, 64};
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(fd_closep) int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        BusHost *host = *state;
        const VmSpec spec = {.console = fd, .console_in = fd, .log = fd};
        _cleanup_(freep) char *last = NULL, *path = NULL;
        unsigned n = 0;

        assert_int_equal(prlimit(host->daemon_pid, RLIMIT_NOFILE, &limit, NULL), 0);
        while (vm_try_create(host->bus, &spec, &path, &error) >= 0) {
                free(last);
                last = TAKE(path);
                assert_true(++n < limit.rlim_cur);
        }
        assert_string_equal(error.name, VIVARIUM_ERROR_QUOTA_EXCEEDED);
        assert_true(n >= 2);
        for (unsigned i = 0; i < 10; i++)
                assert_true(vm_try_create(host->bus, &spec, NULL, NULL) < 0);
        assert_int_equal(manager_vm_count(host->bus), n);
        vm_call_ok(host->bus, last, "Release");
        bus_host_settle(host);
        path = vm_create(host->bus, &spec);
}

static void test_the_oldest_dead_vm_leaves_a_full_history(void **state) {
        BusHost *host = *state;
        char *paths[3];
        Record record;

        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                paths[i] = vm_create(host->bus, &(VmSpec){.params = "exit:0"});
                vm_call_ok(host->bus, paths[i], "Start");
                vm_wait_death(host, paths[i], &record);
        }
        bus_host_settle(host);
        assert_int_equal(manager_vm_count(host->bus), 2);
        vm_call_fails(host->bus, paths[0], "Kill", VIVARIUM_ERROR_NO_SUCH_VM);
        assert_state(host->bus, paths[1], "dead");
        assert_state(host->bus, paths[2], "dead");
        for (size_t i = 0; i < ELEMENTSOF(paths); i++)
                free(paths[i]);
}

static void test_a_vm_ends_with_the_connection_of_its_creator(void **state) {
        BusHost *host = *state;
        Holdings before, after;
        _cleanup_(freep) char *running = NULL, *idle = NULL, *dead = NULL;
        sd_bus *other = NULL;
        Record record;

        bus_host_settle(host);
        before = daemon_holdings(host);
        bus_host_connect(host, &other);
        running = vm_create(other, &(VmSpec){.params = "sleep"});
        idle = vm_create(other, &(VmSpec){.params = "sleep"});
        assert_non_null(idle);
        dead = vm_create(other, &(VmSpec){.params = "exit:0"});
        vm_call_ok(other, running, "Start");
        vm_call_ok(other, dead, "Start");
        vm_wait_death(host, dead, &record);
        (void) sd_bus_flush_close_unref(other);
        vm_wait_death(host, running, &record);
        assert_string_equal(record.reason, "KILLED");
        assert_string_equal(record.by, "disconnect");
        /* Its properties changed for the last time before that: when it ran, at each sample, the end. */
        assert_true(bus_host_count_signals(host, "PropertiesChanged", running) >= 2);
        bus_host_settle(host);
        assert_int_equal(manager_vm_count(host->bus), 0);
        assert_int_equal(bus_host_count_signals(host, "VmRemoved", NULL), 3);
        after = daemon_holdings(host);
        assert_same_holdings(&before, &after);
}

static void test_a_detached_vm_outlives_its_creator(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = NULL, *witness = NULL;
        sd_bus *other = NULL;
        Record record;

        bus_host_connect(host, &other);
        path = vm_create(other, &(VmSpec){.params = "sleep", .detach = true});
        witness = vm_create(other, &(VmSpec){.params = "sleep"});
        vm_call_ok(other, path, "Start");
        vm_call_ok(other, witness, "Start");
        (void) sd_bus_flush_close_unref(other);
        /* Once the one is gone, the other would be, too. */
        vm_wait_death(host, witness, &record);
        bus_host_settle(host);
        assert_state(host->bus, path, "running");
        assert_int_equal(vm_get_number(host->bus, path, "Detached"), 1);
        vm_call_ok(host->bus, path, "Kill");
        assert_state(host->bus, path, "dead");
        vm_call_ok(host->bus, path, "Release");
}

/* Runs @fn as nobody on a connection of its own. Return: its exit status. */
static int as_nobody(const BusHost *host, void (*fn)(sd_bus *bus, const char *path),
                     const char *path) {
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                sd_bus *bus = NULL;

                if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
                        _exit(90);
                if (sd_bus_new(&bus) < 0 || sd_bus_set_address(bus, host->address) < 0 ||
                    sd_bus_set_bus_client(bus, true) < 0 || sd_bus_start(bus) < 0)
                        _exit(91);
                fn(bus, path);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect_denied(int r, const sd_bus_error *error, int status) {
        if (r >= 0 || !sd_bus_error_has_name(error, SD_BUS_ERROR_ACCESS_DENIED))
                _exit(status);
}

static void try_all_as_nobody(sd_bus *bus, const char *path) {
        static const char *const methods[] = {"Start", "Kill", "Release"};
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;
        char *value = NULL;
        int r;

        r = sd_bus_call_method(bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                               VIVARIUM_MANAGER_INTERFACE, "CreateVm", &error, NULL, "sa{sh}a{sv}",
                               "{}", 0, 0);
        expect_denied(r, &error, 1);
        for (size_t i = 0; i < ELEMENTSOF(methods); i++) {
                sd_bus_error_free(&error);
                r = vm_call(bus, path, methods[i], &error);
                expect_denied(r, &error, 2 + (int) i);
        }
        sd_bus_error_free(&error);
        r = sd_bus_get_property_string(bus, VIVARIUM_BUS_NAME, path, VIVARIUM_VM_INTERFACE, "Name",
                                       &error, &value);
        expect_denied(r, &error, 5);
        /* What one may not touch, one does not see. */
        if (sd_bus_call_method(bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                               VIVARIUM_MANAGER_INTERFACE, "ListVms", NULL, &reply, NULL) < 0 ||
            sd_bus_message_enter_container(reply, 'a', "(susssuo)") < 0 ||
            sd_bus_message_at_end(reply, false) != 1)
                _exit(6);
        sd_bus_error_free(&error);
        r = sd_bus_call_method(bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                               VIVARIUM_MANAGER_INTERFACE, "GetVmByCid", &error, NULL, "u", 2048);
        if (r >= 0 || !sd_bus_error_has_name(&error, VIVARIUM_ERROR_NO_SUCH_VM))
                _exit(7);
        if (sd_bus_call_method(bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                               "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", NULL,
                               &reply, NULL) < 0 ||
            sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}") < 0)
                _exit(8);
        while (sd_bus_message_enter_container(reply, 'e', "oa{sa{sv}}") > 0) {
                const char *object;

                if (sd_bus_message_read(reply, "o", &object) < 0 || str_eq(object, path))
                        _exit(9);
                (void) sd_bus_message_skip(reply, "a{sa{sv}}");
                (void) sd_bus_message_exit_container(reply);
        }
}

static void test_another_user_may_do_and_see_nothing(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = NULL;

        if (getuid() != 0) {
                print_message("needs root to become somebody else\n");
                skip();
        }
        path = vm_create(host->bus, &(VmSpec){.params = "sleep"});
        assert_int_equal(as_nobody(host, try_all_as_nobody, path), 0);
        assert_state(host->bus, path, "not-started");
}

static void assert_no_dump_to(BusHost *host, const char *path, const char *file, int flags) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(fd_closep) int fd = open(file, flags | O_CLOEXEC);

        assert_true(fd >= 0);
        assert_true(sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, path, VIVARIUM_VM_INTERFACE,
                                       "DumpMemory", &error, NULL, "h", fd) < 0);
        assert_string_equal(error.name, VIVARIUM_ERROR_INVALID_CONFIG);
        assert_non_null(strstr(error.message, "must be a regular one"));
}

static void test_memory_is_dumped_to_files_that_can_be_written_at_any_place(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){.params = "sleep"});
        char file[64];

        (void) snprintf(file, sizeof(file), "%s/bus.conf", host->dir);
        vm_call_ok(host->bus, path, "Start");
        assert_no_dump_to(host, path, file, O_RDONLY);
        assert_no_dump_to(host, path, file, O_WRONLY | O_APPEND);
        assert_no_dump_to(host, path, file, O_PATH);
        assert_no_dump_to(host, path, "/dev/null", O_WRONLY);
        vm_call_ok(host->bus, path, "Kill");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bus_host_setup, bus_host_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_memory_is_dumped_to_files_that_can_be_written_at_any_place),
                TEST(test_a_new_vm_is_announced_listed_and_found),
                TEST(test_a_running_vm_is_found_by_the_pid_of_its_vmm),
                TEST(test_a_vm_is_started_once_only),
                TEST(test_only_a_running_vm_is_killed_and_only_an_idle_one_released),
                TEST(test_a_vm_that_was_not_started_can_be_given_up),
                TEST(test_a_name_belongs_to_one_living_vm),
                TEST(test_a_vm_called_after_its_cid_keeps_that_name_for_itself),
                TEST(test_cids_are_not_used_again_soon),
                TEST(test_vms_leave_descriptors_for_the_next_message),
                cmocka_unit_test_setup_teardown(test_no_more_vms_than_the_limit_live,
                                                setup_with_limits, bus_host_teardown),
                cmocka_unit_test_setup_teardown(test_the_oldest_dead_vm_leaves_a_full_history,
                                                setup_with_limits, bus_host_teardown),
                TEST(test_a_vm_ends_with_the_connection_of_its_creator),
                TEST(test_a_detached_vm_outlives_its_creator),
                TEST(test_another_user_may_do_and_see_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
