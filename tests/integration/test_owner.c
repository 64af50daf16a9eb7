/* SPDX-License-Identifier: Apache-2.0 */
/* VMs that go from one connection to another, and from one user to another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "dbus/names.h"
#include "tests/integration/fake_polkit.h"
#include "tests/integration/vm_client.h"

#define TO_ALL UINT32_MAX

static const char *const allowed_to_all[] = {"manage", "use-custom", NULL};

/* Return: the token, owned by the caller. */
static char *offer(sd_bus *bus, const char *path, uint32_t to) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *token;
        char *copy;

        if (sd_bus_call_method(bus, VIVARIUM_BUS_NAME, path, VIVARIUM_VM_INTERFACE,
                               "OfferOwnership", &error, &reply, "u", to) < 0)
                fail_msg("OfferOwnership: %s: %s", error.name, error.message);
        assert_true(sd_bus_message_read(reply, "s", &token) > 0);
        assert_int_equal(strlen(token), 32);
        copy = strdup(token);
        assert_non_null(copy);
        return copy;
}

static int take(sd_bus *bus, const char *token, bool detach, const char *path,
                sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *taken;
        int r = sd_bus_call_method(bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                   VIVARIUM_MANAGER_INTERFACE, "TakeOwnership", error, &reply, "sb",
                                   token, (int) detach);

        if (r < 0)
                return r;
        assert_true(sd_bus_message_read(reply, "o", &taken) > 0);
        assert_string_equal(taken, path);
        return 0;
}

static void take_ok(sd_bus *bus, const char *token, bool detach, const char *path) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        if (take(bus, token, detach, path, &error) < 0)
                fail_msg("TakeOwnership: %s: %s", error.name, error.message);
}

static void take_fails(sd_bus *bus, const char *token, const char *name) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        assert_true(take(bus, token, false, NULL, &error) < 0);
        assert_string_equal(error.name, name);
        assert_true(strlen(error.message) > 0);
}

static void leave(sd_bus **bus) {
        *bus = sd_bus_flush_close_unref(*bus);
}

static void test_a_vm_lives_as_long_as_the_connection_that_took_it(void **state) {
        BusHost *host = *state;
        sd_bus *first, *second;
        _cleanup_(freep) char *path = NULL, *token = NULL;
        Record record;

        bus_host_connect(host, &first);
        bus_host_connect(host, &second);
        path = vm_create(first, &(VmSpec){.params = "sleep"});
        vm_call_ok(first, path, "Start");
        token = offer(first, path, TO_ALL);
        take_ok(second, token, false, path);
        leave(&first);
        bus_host_settle(host);
        assert_int_equal(vm_get_number(second, path, "OwnerPid"), (uint64_t) getpid());
        assert_int_equal(bus_host_count_signals(host, "Died", path), 0);
        leave(&second);
        vm_wait_death(host, path, &record);
        assert_string_equal(record.reason, "KILLED");
        assert_string_equal(record.by, "disconnect");
}

static void test_a_detached_vm_outlives_who_took_it(void **state) {
        BusHost *host = *state;
        sd_bus *first, *second;
        _cleanup_(freep) char *path = NULL, *token = NULL, *name = NULL;

        bus_host_connect(host, &first);
        bus_host_connect(host, &second);
        path = vm_create(first, &(VmSpec){.params = "sleep"});
        token = offer(first, path, TO_ALL);
        take_ok(second, token, true, path);
        leave(&first);
        leave(&second);
        bus_host_settle(host);
        assert_int_equal(vm_get_number(host->bus, path, "Detached"), 1);
        vm_call_ok(host->bus, path, "Start");
        /* Attached again, by who is there. */
        name = offer(host->bus, path, 0);
        take_ok(host->bus, name, false, path);
        assert_int_equal(vm_get_number(host->bus, path, "Detached"), 0);
}

static void test_a_user_gets_what_is_offered_to_it_and_nothing_else(void **state) {
        BusHost *host = *state;
        sd_bus *alice = bus_host_connect_as(host, ALICE), *bob = bus_host_connect_as(host, BOB);
        _cleanup_(freep) char *path = NULL, *old = NULL, *token = NULL;
        FakePolkit polkit;

        fake_polkit_start(host, &polkit);
        fake_polkit_allow(&polkit, allowed_to_all);
        path = vm_create(alice, &(VmSpec){.name = "web", .params = "sleep"});
        old = offer(alice, path, TO_ALL);
        token = offer(alice, path, BOB);
        take_fails(bob, old, VIVARIUM_ERROR_NO_SUCH_VM);
        take_fails(bob, "", VIVARIUM_ERROR_NO_SUCH_VM);
        take_fails(host->bus, token, VIVARIUM_ERROR_NO_SUCH_VM);
        vm_call_fails(bob, path, "Start", SD_BUS_ERROR_ACCESS_DENIED);
        take_ok(bob, token, false, path);
        take_fails(bob, token, VIVARIUM_ERROR_NO_SUCH_VM);
        assert_int_equal(vm_get_number(bob, path, "Owner"), BOB);
        vm_call_fails(alice, path, "Start", SD_BUS_ERROR_ACCESS_DENIED);
        vm_call_ok(bob, path, "Start");
        /* Whoever may have no VM gets none by this way either. */
        free(token);
        token = offer(bob, path, TO_ALL);
        fake_polkit_set(&polkit, "manage", FAKE_NO);
        take_fails(alice, token, SD_BUS_ERROR_ACCESS_DENIED);
        leave(&alice);
        leave(&bob);
        fake_polkit_stop(&polkit);
}

static int setup_with_quota(void **state) {
        char path[64], option[80];
        const char *arguments[] = {option, NULL};
        FILE *file;
        int r;

        (void) snprintf(path, sizeof(path), "/tmp/vivariumd-test-%d.conf", (int) getpid());
        (void) snprintf(option, sizeof(option), "--config=%s", path);
        file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs("VmsPerUser=2\n", file) >= 0);
        assert_int_equal(fclose(file), 0);
        r = bus_host_setup_with(state, arguments);
        (void) unlink(path);
        return r;
}

static void test_a_vm_counts_for_its_new_owner_alone(void **state) {
        BusHost *host = *state;
        sd_bus *alice = bus_host_connect_as(host, ALICE), *bob = bus_host_connect_as(host, BOB);
        _cleanup_(freep) char *web = NULL, *mail = NULL, *his = NULL, *more = NULL, *token = NULL;
        FakePolkit polkit;

        fake_polkit_start(host, &polkit);
        fake_polkit_allow(&polkit, allowed_to_all);
        web = vm_create(alice, &(VmSpec){.name = "web"});
        mail = vm_create(alice, &(VmSpec){.name = "mail"});
        his = vm_create(bob, &(VmSpec){.name = "mail"});
        token = offer(alice, mail, BOB);
        take_fails(bob, token, VIVARIUM_ERROR_NAME_TAKEN);
        free(token);
        token = offer(alice, web, BOB);
        take_ok(bob, token, false, web);
        free(token);
        assert_true(vm_try_create(bob, &(VmSpec){0}, NULL, NULL) < 0);
        more = vm_create(alice, &(VmSpec){0});
        token = offer(alice, more, BOB);
        take_fails(bob, token, VIVARIUM_ERROR_QUOTA_EXCEEDED);
        leave(&alice);
        leave(&bob);
        fake_polkit_stop(&polkit);
}

static void test_an_owner_outlives_the_daemon_and_an_offer_does_not(void **state) {
        BusHost *host = *state;
        sd_bus *first, *second;
        _cleanup_(freep) char *path = NULL, *token = NULL, *lost = NULL;
        Record record;

        bus_host_connect(host, &first);
        bus_host_connect(host, &second);
        path = vm_create(first, &(VmSpec){.params = "sleep"});
        vm_call_ok(first, path, "Start");
        token = offer(first, path, TO_ALL);
        take_ok(second, token, false, path);
        lost = offer(second, path, TO_ALL);
        bus_host_kill_daemon(host);
        leave(&first);
        bus_host_restart_daemon(host);
        take_fails(host->bus, lost, VIVARIUM_ERROR_NO_SUCH_VM);
        assert_int_equal(vm_get_number(second, path, "OwnerPid"), (uint64_t) getpid());
        leave(&second);
        vm_wait_death(host, path, &record);
        assert_string_equal(record.by, "disconnect");
}

static void test_what_has_ended_is_not_given_away(void **state) {
        BusHost *host = *state;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){.params = "await exit:0"});
        _cleanup_(freep) char *token = NULL;
        Record record;

        vm_call_ok(host->bus, path, "Start");
        token = offer(host->bus, path, TO_ALL);
        vm_call_ok(host->bus, path, "Kill");
        vm_wait_death(host, path, &record);
        take_fails(host->bus, token, VIVARIUM_ERROR_NO_SUCH_VM);
        assert_true(sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, path, VIVARIUM_VM_INTERFACE,
                                       "OfferOwnership", &error, NULL, "u", TO_ALL) < 0);
        assert_string_equal(error.name, VIVARIUM_ERROR_INVALID_TRANSITION);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bus_host_setup, bus_host_teardown)
#define TEST_WITH_QUOTA(name)                                                                      \
        cmocka_unit_test_setup_teardown(name, setup_with_quota, bus_host_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_vm_lives_as_long_as_the_connection_that_took_it),
                TEST(test_a_detached_vm_outlives_who_took_it),
                TEST(test_an_owner_outlives_the_daemon_and_an_offer_does_not),
                TEST(test_what_has_ended_is_not_given_away),
                TEST(test_a_user_gets_what_is_offered_to_it_and_nothing_else),
                TEST_WITH_QUOTA(test_a_vm_counts_for_its_new_owner_alone),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
