/* SPDX-License-Identifier: Apache-2.0 */
/* Starts that fail: one record, a sentence, and nothing left behind. And many that do not, which leave nothing either. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "dbus/names.h"
#include "tests/integration/vm_client.h"

#define CYCLES 500u
/* What an allocator may keep back for later; the cycles together handle many times as much. */
#define RSS_SLACK_BYTES (1024u * 1024u)

/* Starts a VM whose launch must fail with @words in the sentence. */
static void expect_failed_start(BusHost *host, const char *words) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(freep) char *path = NULL, *vm_state = NULL, *reason = NULL;
        Holdings before, after;
        Record record;

        before = daemon_holdings(host);
        path = vm_create(host->bus, &(VmSpec){.name = "broken"});
        assert_true(vm_call(host->bus, path, "Start", &error) < 0);
        assert_string_equal(error.name, VIVARIUM_ERROR_START_FAILED);
        assert_non_null(strstr(error.message, "start VM \"broken\""));
        if (!strstr(error.message, words))
                fail_msg("no \"%s\" in \"%s\"", words, error.message);
        vm_wait_death(host, path, &record);
        assert_string_equal(record.reason, "START_FAILED");
        assert_int_equal(record.code, 4);
        assert_int_equal(record.exit_status, -1);
        assert_non_null(strstr(record.message, words));
        assert_int_equal(bus_host_count_signals(host, "Died", path), 1);
        vm_state = vm_get_string(host->bus, path, "State");
        assert_string_equal(vm_state, "failed");
        reason = vm_get_string(host->bus, path, "DeathReason");
        assert_string_equal(reason, "START_FAILED");
        vm_call_fails(host->bus, path, "Start", VIVARIUM_ERROR_ALREADY_STARTED);
        after = daemon_holdings(host);
        assert_same_holdings(&before, &after);
        vm_call_ok(host->bus, path, "Release");
}

static int setup_without_vmm(void **state) {
        return bus_host_setup_with(state, (const char *const[]){"--vmm=/nowhere/vmm", NULL});
}

static void test_a_vmm_that_is_not_there_is_named(void **state) {
        expect_failed_start(*state, "/nowhere/vmm");
}

static int setup_without_launcher(void **state) {
        return bus_host_setup_with(state,
                                   (const char *const[]){"--launcher=/nowhere/launch", NULL});
}

static void test_a_launcher_that_is_not_there_is_named(void **state) {
        expect_failed_start(*state, "/nowhere/launch");
}

static int setup_with_bad_launcher(void **state) {
        return bus_host_setup_with(state, (const char *const[]){"--launcher=/bin/false", NULL});
}

static void test_a_launcher_that_dies_silently_is_noticed(void **state) {
        expect_failed_start(*state, "without a word");
}

static void test_a_name_is_free_again_after_a_failed_start(void **state) {
        expect_failed_start(*state, "/nowhere/vmm");
        expect_failed_start(*state, "/nowhere/vmm");
}

static int setup_with_hanging_launcher(void **state) {
        char path[256], option[280];

        (void) snprintf(option, sizeof(option), "--launcher=%s",
                        host_program("tests/fake/fake_vmm", path, sizeof(path)));
        return bus_host_setup_with(state, (const char *const[]){option, NULL});
}

typedef struct Answer {
        bool arrived;
        char error[80]; /* name; "" for success */
} Answer;

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *got = sd_bus_message_get_error(reply);
        Answer *answer = userdata;

        answer->arrived = true;
        (void) snprintf(answer->error, sizeof(answer->error), "%s", got ? got->name : "");
        return 0;
}

static void start_without_waiting(sd_bus *bus, const char *path, Answer *answer) {
        assert_true(sd_bus_call_method_async(bus, NULL, VIVARIUM_BUS_NAME, path,
                                             VIVARIUM_VM_INTERFACE, "Start", on_answer, answer,
                                             NULL) >= 0);
}

static void test_a_start_under_way_can_be_killed(void **state) {
        BusHost *host = *state;
        Holdings before = daemon_holdings(host), after;
        _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){0}), *vm_state = NULL;
        Answer answer = {0};
        Record record;

        start_without_waiting(host->bus, path, &answer);
        vm_call_fails(host->bus, path, "Start", VIVARIUM_ERROR_ALREADY_STARTED);
        vm_call_fails(host->bus, path, "Release", VIVARIUM_ERROR_INVALID_TRANSITION);
        vm_state = vm_get_string(host->bus, path, "State");
        assert_string_equal(vm_state, "not-started");
        assert_false(answer.arrived);
        vm_call_ok(host->bus, path, "Kill");
        bus_host_settle(host);
        assert_true(answer.arrived);
        assert_string_equal(answer.error, VIVARIUM_ERROR_START_FAILED);
        vm_wait_death(host, path, &record);
        assert_string_equal(record.reason, "KILLED");
        assert_string_equal(record.by, "client");
        after = daemon_holdings(host);
        assert_same_holdings(&before, &after);
}

static void test_a_start_under_way_ends_with_its_client(void **state) {
        BusHost *host = *state;
        Holdings before = daemon_holdings(host), after;
        _cleanup_(freep) char *path = NULL;
        sd_bus *other = NULL;
        Answer answer = {0};
        Record record;

        bus_host_connect(host, &other);
        path = vm_create(other, &(VmSpec){0});
        start_without_waiting(other, path, &answer);
        (void) sd_bus_flush_close_unref(other);
        vm_wait_death(host, path, &record);
        assert_string_equal(record.by, "disconnect");
        bus_host_settle(host);
        assert_int_equal(manager_vm_count(host->bus), 0);
        after = daemon_holdings(host);
        assert_same_holdings(&before, &after);
}

static void cycle(BusHost *host, unsigned i) {
        _cleanup_(freep) char *path = NULL;

        /* Some end by themselves meanwhile, some say a lot before that. */
        path = vm_create(host->bus, &(VmSpec){.params = i % 3 == 0   ? "sleep"
                                                        : i % 3 == 1 ? "flood:100000 sleep"
                                                                     : "console:hi sleep"});
        vm_call_ok(host->bus, path, "Start");
        vm_call_ok(host->bus, path, "Kill");
        vm_call_ok(host->bus, path, "Release");
        while (sd_bus_process(host->bus, NULL) > 0)
                ;
        bus_host_forget_signals(host);
}

static void test_many_cycles_leave_nothing(void **state) {
        BusHost *host = *state;
        Holdings before, after;

        /* The first ones fill caches: of the allocator, of the bus library, of the callers. */
        for (unsigned i = 0; i < 20; i++)
                cycle(host, i);
        bus_host_settle(host);
        before = daemon_holdings(host);
        for (unsigned i = 0; i < CYCLES; i++)
                cycle(host, i);
        bus_host_settle(host);
        after = daemon_holdings(host);
        assert_same_holdings(&before, &after);
        assert_int_equal(manager_vm_count(host->bus), 0);
        /* A sanitizer keeps what is freed, to recognise its use; it finds leaks in its own way. */
#ifndef __SANITIZE_ADDRESS__
        assert_true(after.rss_bytes <= before.rss_bytes + RSS_SLACK_BYTES);
#endif
}

#define TEST(f, setup) cmocka_unit_test_setup_teardown(f, setup, bus_host_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_vmm_that_is_not_there_is_named, setup_without_vmm),
                TEST(test_a_launcher_that_is_not_there_is_named, setup_without_launcher),
                TEST(test_a_launcher_that_dies_silently_is_noticed, setup_with_bad_launcher),
                TEST(test_a_name_is_free_again_after_a_failed_start, setup_without_vmm),
                TEST(test_a_start_under_way_can_be_killed, setup_with_hanging_launcher),
                TEST(test_a_start_under_way_ends_with_its_client, setup_with_hanging_launcher),
                TEST(test_many_cycles_leave_nothing, bus_host_setup),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
