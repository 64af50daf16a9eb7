/* SPDX-License-Identifier: Apache-2.0 */
/* What users other than root may do, as polkit or its absence has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "dbus/names.h"
#include "service/bus/gate.h"
#include "tests/integration/fake_polkit.h"
#include "tests/integration/vm_client.h"

/* A group of every Debian. */
#define GAMES 60u

static const char *const allowed_to_all[] = {"manage", "use-custom", NULL};

static void assert_refused(sd_bus *bus, const VmSpec *spec, const char *name, const char *words) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        char *path = NULL;

        assert_true(vm_try_create(bus, spec, &path, &error) < 0);
        assert_string_equal(error.name, name);
        if (!strstr(error.message, words))
                fail_msg("\"%s\" has no \"%s\"", error.message, words);
}

static uint32_t count_listed(sd_bus *bus) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        uint32_t n = 0;

        assert_true(sd_bus_call_method(bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                       VIVARIUM_MANAGER_INTERFACE, "ListVms", NULL, &reply,
                                       NULL) >= 0);
        assert_true(sd_bus_message_enter_container(reply, 'a', "(susssuo)") > 0);
        while (sd_bus_message_skip(reply, "(susssuo)") > 0)
                n++;
        return n;
}

static int get_vm(sd_bus *bus, const char *name, char *path, size_t size) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *found;
        int r = sd_bus_call_method(bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                   VIVARIUM_MANAGER_INTERFACE, "GetVm", NULL, &reply, "s", name);

        if (r < 0)
                return r;
        assert_true(sd_bus_message_read(reply, "o", &found) > 0);
        (void) snprintf(path, size, "%s", found);
        return 0;
}

static void test_polkit_decides_who_may_have_a_vm(void **state) {
        BusHost *host = *state;
        sd_bus *alice = bus_host_connect_as(host, ALICE);
        _cleanup_(freep) char *path = NULL;
        FakePolkit polkit;

        fake_polkit_start(host, &polkit);
        assert_refused(alice, &(VmSpec){0}, SD_BUS_ERROR_ACCESS_DENIED,
                       "uid 1 may not manage: polkit");
        fake_polkit_set(&polkit, "manage", FAKE_YES);
        assert_refused(alice, &(VmSpec){0}, SD_BUS_ERROR_ACCESS_DENIED, "may not use-custom");
        fake_polkit_set(&polkit, "use-custom", FAKE_YES);
        path = vm_create(alice, &(VmSpec){.params = "exit:0"});
        assert_int_equal(vm_get_number(alice, path, "Owner"), ALICE);
        /* What belongs to it is nobody's to ask about. */
        fake_polkit_set(&polkit, "manage", FAKE_NO);
        vm_call_ok(alice, path, "Start");
        assert_true(fake_polkit_count(&polkit, "details") >= fake_polkit_count(&polkit, "asked"));
        assert_int_equal(fake_polkit_count(&polkit, "interactive"), 0);
        (void) sd_bus_flush_close_unref(alice);
        fake_polkit_stop(&polkit);
}

static void test_debugging_takes_a_right_of_its_own(void **state) {
        BusHost *host = *state;
        sd_bus *alice = bus_host_connect_as(host, ALICE);
        const VmSpec debugged = {.config =
                                         "{\"kernel\": \"fd:kernel\", \"debug_level\": \"full\"}"};
        _cleanup_(freep) char *path = NULL;
        FakePolkit polkit;

        fake_polkit_start(host, &polkit);
        fake_polkit_allow(&polkit, allowed_to_all);
        assert_refused(alice, &debugged, SD_BUS_ERROR_ACCESS_DENIED, "may not debug");
        fake_polkit_set(&polkit, "debug", FAKE_YES);
        path = vm_create(alice, &debugged);
        (void) sd_bus_flush_close_unref(alice);
        fake_polkit_stop(&polkit);
}

static void test_a_password_is_asked_for_only_where_the_caller_allows_it(void **state) {
        BusHost *host = *state;
        sd_bus *alice = bus_host_connect_as(host, ALICE);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        FakePolkit polkit;

        fake_polkit_start(host, &polkit);
        fake_polkit_set(&polkit, "manage", FAKE_CHALLENGE);
        assert_refused(alice, &(VmSpec){0}, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                       "needs to authenticate");
        assert_int_equal(fake_polkit_count(&polkit, "interactive"), 0);
        call = vm_new_create_call(alice, &(VmSpec){0});
        assert_true(sd_bus_message_open_container(call, 'a', "{sv}") >= 0);
        assert_true(sd_bus_message_close_container(call) >= 0);
        assert_true(sd_bus_message_set_allow_interactive_authorization(call, true) >= 0);
        assert_true(sd_bus_call(alice, call, 0, NULL, NULL) < 0);
        assert_int_equal(fake_polkit_count(&polkit, "interactive"), 1);
        (void) sd_bus_flush_close_unref(alice);
        fake_polkit_stop(&polkit);
}

static void test_an_authority_that_makes_no_sense_grants_nothing(void **state) {
        BusHost *host = *state;
        sd_bus *alice = bus_host_connect_as(host, ALICE);
        FakePolkit polkit;

        fake_polkit_start(host, &polkit);
        fake_polkit_set(&polkit, "manage", FAKE_NONSENSE);
        assert_refused(alice, &(VmSpec){0}, SD_BUS_ERROR_ACCESS_DENIED, "polkit did not answer");
        (void) sd_bus_flush_close_unref(alice);
        fake_polkit_stop(&polkit);
}

static void send_create(sd_bus *bus) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call =
                vm_new_create_call(bus, &(VmSpec){0});

        assert_true(sd_bus_message_open_container(call, 'a', "{sv}") >= 0);
        assert_true(sd_bus_message_close_container(call) >= 0);
        assert_true(sd_bus_message_set_expect_reply(call, false) >= 0);
        assert_true(sd_bus_send(bus, call, NULL) >= 0);
        assert_true(sd_bus_flush(bus) >= 0);
}

static void test_who_leaves_takes_its_question_along(void **state) {
        BusHost *host = *state;
        sd_bus *alice = bus_host_connect_as(host, ALICE);
        Holdings before = daemon_holdings(host), after;
        FakePolkit polkit;

        fake_polkit_start(host, &polkit);
        fake_polkit_set(&polkit, "manage", FAKE_SILENCE);
        for (unsigned i = 0; i < 5; i++)
                send_create(alice);
        fake_polkit_wait(&polkit, "asked", 5);
        (void) sd_bus_flush_close_unref(alice);
        fake_polkit_wait(&polkit, "cancelled", 5);
        bus_host_settle(host);
        after = daemon_holdings(host);
        assert_same_holdings(&before, &after);
        assert_int_equal(manager_vm_count(host->bus), 0);
        fake_polkit_stop(&polkit);
}

static void test_one_user_keeps_only_so_many_calls_waiting(void **state) {
        BusHost *host = *state;
        sd_bus *alice = bus_host_connect_as(host, ALICE), *bob = bus_host_connect_as(host, BOB);
        FakePolkit polkit;

        fake_polkit_start(host, &polkit);
        fake_polkit_set(&polkit, "manage", FAKE_SILENCE);
        for (unsigned i = 0; i < GATE_PENDING_PER_UID_MAX; i++)
                send_create(alice);
        fake_polkit_wait(&polkit, "asked", GATE_PENDING_PER_UID_MAX);
        assert_refused(alice, &(VmSpec){0}, SD_BUS_ERROR_LIMITS_EXCEEDED, "too many calls");
        /* Others are not held up, nor is what needs no authority. */
        fake_polkit_set(&polkit, "manage", FAKE_NO);
        assert_refused(bob, &(VmSpec){0}, SD_BUS_ERROR_ACCESS_DENIED, "may not manage");
        assert_int_equal(count_listed(alice), 0);
        (void) sd_bus_flush_close_unref(alice);
        (void) sd_bus_flush_close_unref(bob);
        fake_polkit_stop(&polkit);
}

static void test_a_vm_is_its_owner_s(void **state) {
        BusHost *host = *state;
        sd_bus *alice = bus_host_connect_as(host, ALICE), *bob = bus_host_connect_as(host, BOB);
        _cleanup_(freep) char *path = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        static const char *const methods[] = {"Start", "Kill", "Release", "Suspend", "Resume"};
        FakePolkit polkit;

        fake_polkit_start(host, &polkit);
        fake_polkit_allow(&polkit, allowed_to_all);
        path = vm_create(alice, &(VmSpec){.name = "web"});
        for (size_t i = 0; i < ELEMENTSOF(methods); i++)
                vm_call_fails(bob, path, methods[i], SD_BUS_ERROR_ACCESS_DENIED);
        assert_true(sd_bus_get_property_string(bob, VIVARIUM_BUS_NAME, path, VIVARIUM_VM_INTERFACE,
                                               "Name", &error, &(char *){NULL}) < 0);
        assert_string_equal(error.name, SD_BUS_ERROR_ACCESS_DENIED);
        assert_int_equal(count_listed(bob), 0);
        assert_int_equal(count_listed(alice), 1);
        assert_int_equal(count_listed(host->bus), 1);
        fake_polkit_set(&polkit, "inspect", FAKE_YES);
        assert_int_equal(count_listed(bob), 1);
        assert_int_equal(vm_get_number(bob, path, "Owner"), ALICE);
        vm_call_fails(bob, path, "Kill", SD_BUS_ERROR_ACCESS_DENIED);
        fake_polkit_set(&polkit, "administer", FAKE_YES);
        vm_call_ok(bob, path, "Release");
        (void) sd_bus_flush_close_unref(alice);
        (void) sd_bus_flush_close_unref(bob);
        fake_polkit_stop(&polkit);
}

static void test_two_owners_may_use_one_name(void **state) {
        BusHost *host = *state;
        sd_bus *alice = bus_host_connect_as(host, ALICE), *bob = bus_host_connect_as(host, BOB);
        _cleanup_(freep) char *hers = NULL, *his = NULL;
        char found[128];
        FakePolkit polkit;

        fake_polkit_start(host, &polkit);
        fake_polkit_allow(&polkit, allowed_to_all);
        hers = vm_create(alice, &(VmSpec){.name = "web"});
        assert_int_equal(get_vm(host->bus, "web", found, sizeof(found)), 0);
        assert_string_equal(found, hers);
        his = vm_create(bob, &(VmSpec){.name = "web"});
        assert_refused(bob, &(VmSpec){.name = "web"}, VIVARIUM_ERROR_NAME_TAKEN, "web");
        assert_int_equal(get_vm(alice, "web", found, sizeof(found)), 0);
        assert_string_equal(found, hers);
        assert_int_equal(get_vm(bob, "web", found, sizeof(found)), 0);
        assert_string_equal(found, his);
        assert_true(get_vm(host->bus, "web", found, sizeof(found)) < 0);
        assert_int_equal(get_vm(host->bus, "2/web", found, sizeof(found)), 0);
        assert_string_equal(found, his);
        assert_true(get_vm(alice, "2/web", found, sizeof(found)) < 0);
        (void) sd_bus_flush_close_unref(alice);
        (void) sd_bus_flush_close_unref(bob);
        fake_polkit_stop(&polkit);
}

/* In a process of its own, so that the kernel knows it by these ids. Return: its exit status; 0 if a VM was made. */
static int create_in_process(const BusHost *host, uid_t uid, gid_t group) {
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
                sd_bus *bus;
                char *path;

                if (setgroups(1, &group) < 0 || setresgid(uid, uid, uid) < 0 ||
                    setresuid(uid, uid, uid) < 0)
                        _exit(99);
                bus_host_connect(host, &bus);
                _exit(vm_try_create(bus, &(VmSpec){0}, &path, &error) >= 0        ? 0
                      : sd_bus_error_has_name(&error, SD_BUS_ERROR_ACCESS_DENIED) ? 1
                                                                                  : 2);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static void test_without_polkit_a_group_may_have_vms(void **state) {
        BusHost *host = *state;

        assert_int_equal(create_in_process(host, ALICE, GAMES), 0);
        assert_int_equal(create_in_process(host, ALICE, GAMES + 1), 1);
}

static int write_config(const char *text, char *path, size_t size) {
        FILE *file;

        (void) snprintf(path, size, "/tmp/vivariumd-test-%d.conf", (int) getpid());
        file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs(text, file) >= 0);
        assert_int_equal(fclose(file), 0);
        return 0;
}

static int setup_with_config(void **state) {
        char path[64], option[80];
        const char *arguments[] = {option, NULL};
        int r;

        (void) write_config("Group=games\nVmsPerUser=3\nMemoryPerUser=700M\nRecordsPerUser=2\n",
                            path, sizeof(path));
        (void) snprintf(option, sizeof(option), "--config=%s", path);
        r = bus_host_setup_with(state, arguments);
        (void) unlink(path);
        return r;
}

static void test_quotas_bound_each_user_and_not_root(void **state) {
        BusHost *host = *state;
        sd_bus *alice = bus_host_connect_as(host, ALICE), *bob = bus_host_connect_as(host, BOB);
        const VmSpec large = {.config = "{\"kernel\": \"fd:kernel\", \"memory_mib\": 400}"};
        char *paths[6] = {NULL};
        FakePolkit polkit;

        fake_polkit_start(host, &polkit);
        fake_polkit_allow(&polkit, allowed_to_all);
        paths[0] = vm_create(alice, &large);
        assert_refused(alice, &large, VIVARIUM_ERROR_QUOTA_EXCEEDED, "MemoryPerUser=");
        paths[1] = vm_create(alice, &(VmSpec){0});
        assert_refused(alice, &(VmSpec){0}, VIVARIUM_ERROR_QUOTA_EXCEEDED, "656 MiB");
        vm_call_ok(alice, paths[0], "Release");
        paths[2] = vm_create(alice, &(VmSpec){0});
        paths[3] = vm_create(bob, &large);
        for (unsigned i = 4; i < 6; i++)
                paths[i] = vm_create(host->bus, &large);
        for (unsigned i = 0; i < 6; i++)
                free(paths[i]);
        (void) sd_bus_flush_close_unref(alice);
        (void) sd_bus_flush_close_unref(bob);
        fake_polkit_stop(&polkit);
}

static void test_the_records_of_one_user_push_out_nobody_else_s(void **state) {
        BusHost *host = *state;
        sd_bus *alice = bus_host_connect_as(host, ALICE);
        _cleanup_(freep) char *of_root = vm_create(host->bus, &(VmSpec){.params = "exit:0"});
        FakePolkit polkit;

        fake_polkit_start(host, &polkit);
        fake_polkit_allow(&polkit, allowed_to_all);
        vm_call_ok(host->bus, of_root, "Start");
        assert_non_null(bus_host_wait_signal(host, "Died", of_root));
        for (unsigned i = 0; i < 4; i++) {
                _cleanup_(freep) char *path = vm_create(alice, &(VmSpec){.params = "exit:0"});

                vm_call_ok(alice, path, "Start");
                assert_non_null(bus_host_wait_signal(host, "Died", path));
                bus_host_settle(host);
        }
        assert_int_equal(count_listed(alice), 2);
        assert_int_equal(count_listed(host->bus), 3);
        (void) sd_bus_flush_close_unref(alice);
        fake_polkit_stop(&polkit);
}

int main(void) {
        const struct CMUnitTest tests[] = {
#define IN_HOST(test) cmocka_unit_test_setup_teardown(test, bus_host_setup, bus_host_teardown)
#define WITH_CONFIG(test)                                                                          \
        cmocka_unit_test_setup_teardown(test, setup_with_config, bus_host_teardown)
                IN_HOST(test_polkit_decides_who_may_have_a_vm),
                IN_HOST(test_debugging_takes_a_right_of_its_own),
                IN_HOST(test_a_password_is_asked_for_only_where_the_caller_allows_it),
                IN_HOST(test_an_authority_that_makes_no_sense_grants_nothing),
                IN_HOST(test_who_leaves_takes_its_question_along),
                IN_HOST(test_one_user_keeps_only_so_many_calls_waiting),
                IN_HOST(test_a_vm_is_its_owner_s),
                IN_HOST(test_two_owners_may_use_one_name),
                WITH_CONFIG(test_without_polkit_a_group_may_have_vms),
                WITH_CONFIG(test_quotas_bound_each_user_and_not_root),
                WITH_CONFIG(test_the_records_of_one_user_push_out_nobody_else_s),
        };

        if (geteuid() != 0) {
                print_message("trust: connections of other users need root, skipping\n");
                return 0;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
