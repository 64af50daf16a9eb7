/* SPDX-License-Identifier: Apache-2.0 */
/* Registration against a machined that answers by script, and notes each call that it gets. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-id128.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "service/unit/machined.h"

#define UNKNOWN "org.freedesktop.machine1.NoMachineForPID"
#define EXISTS "org.freedesktop.machine1.MachineExists"
#define ID "0123456789abcdef0123456789abcdef"
#define LEADER 4711

/* The answer to one method: an error by name, or the reply. */
typedef struct Answer {
        const char *method, *error;
} Answer;

typedef struct Fake {
        sd_bus *ours, *theirs;
        Machined *machined;
        const Answer *answers; /* the next ones, ended by one without a method */
        char log[512];         /* "Method(argument) " for each call */
} Fake;

static void note(Fake *fake, sd_bus_message *call) {
        size_t n = strlen(fake->log);
        const char *text = "";
        uint32_t pid = 0;

        if (sd_bus_message_is_method_call(call, NULL, "GetMachineByPID"))
                assert_true(sd_bus_message_read(call, "u", &pid) > 0);
        else
                assert_true(sd_bus_message_read(call, "s", &text) > 0);
        (void) snprintf(fake->log + n, sizeof(fake->log) - n, pid ? "%s(%s%u) " : "%s(%s) ",
                        sd_bus_message_get_member(call), text, pid);
}

static int on_call(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Fake *fake = userdata;
        const Answer *answer = fake->answers;

        if (!sd_bus_message_is_method_call(call, "org.freedesktop.machine1.Manager", NULL))
                return 0;
        note(fake, call);
        if (sd_bus_message_is_method_call(call, NULL, "UnregisterMachine"))
                return 1;
        if (!answer->method || !str_eq(answer->method, sd_bus_message_get_member(call)))
                fail_msg("not in the script: %s", fake->log);
        fake->answers++;
        if (answer->error)
                assert_true(sd_bus_reply_method_errorf(call, answer->error, "by script") >= 0);
        else
                assert_true(sd_bus_reply_method_return(
                                    call, "o", "/org/freedesktop/machine1/machine/before_2d1") >=
                            0);
        return 1;
}

static sd_bus *new_end(int fd, bool server) {
        sd_id128_t id = SD_ID128_NULL;
        sd_bus *bus = NULL;

        assert_true(sd_bus_new(&bus) >= 0);
        assert_true(sd_bus_set_fd(bus, fd, fd) >= 0);
        if (server)
                assert_true(sd_bus_set_server(bus, 1, id) >= 0);
        assert_true(sd_bus_set_anonymous(bus, 1) >= 0);
        assert_true(sd_bus_start(bus) >= 0);
        return bus;
}

static int setup(void **state) {
        Fake *fake = calloc(1, sizeof(*fake));
        int fds[2];

        assert_non_null(fake);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
                         0);
        fake->ours = new_end(fds[0], false);
        fake->theirs = new_end(fds[1], true);
        assert_true(sd_bus_add_filter(fake->theirs, NULL, on_call, fake) >= 0);
        assert_int_equal(machined_new(fake->ours, &fake->machined), 0);
        *state = fake;
        return 0;
}

static int teardown(void **state) {
        Fake *fake = *state;

        (void) machined_free(fake->machined);
        (void) sd_bus_close_unref(fake->ours);
        (void) sd_bus_close_unref(fake->theirs);
        free(fake);
        return 0;
}

/* Both ends, until neither has anything to do. */
static void settle(const Fake *fake) {
        int ours, theirs;

        do {
                ours = sd_bus_process(fake->ours, NULL);
                theirs = sd_bus_process(fake->theirs, NULL);
                assert_true(ours >= 0 && theirs >= 0);
        } while (ours > 0 || theirs > 0);
}

static void begin(Fake *fake, const Answer *answers, MachinedEntry **ret) {
        const MachinedSpec spec = {.name = "web", .fallback = "vm-" ID, .id = ID, .leader = LEADER};

        fake->answers = answers;
        assert_int_equal(machined_register(fake->machined, &spec, ret), 0);
}

static void test_a_new_vm_is_registered_by_its_name(void **state) {
        static const Answer answers[] = {
                {"GetMachineByPID", UNKNOWN}, {"RegisterMachine", NULL}, {0}};
        MachinedEntry *entry;
        Fake *fake = *state;

        begin(fake, answers, &entry);
        settle(fake);
        assert_string_equal(fake->log, "GetMachineByPID(4711) RegisterMachine(web) ");
        assert_null(machined_unregister(entry));
        settle(fake);
        assert_string_equal(fake->log, "GetMachineByPID(4711) RegisterMachine(web) "
                                       "UnregisterMachine(web) ");
}

static void test_what_is_registered_already_is_never_registered_again(void **state) {
        static const Answer answers[] = {{"GetMachineByPID", NULL}, {0}};
        MachinedEntry *entry;
        Fake *fake = *state;

        begin(fake, answers, &entry);
        settle(fake);
        assert_null(machined_unregister(entry));
        settle(fake);
        assert_string_equal(fake->log, "GetMachineByPID(4711) UnregisterMachine(before-1) ");
}

static void test_a_name_that_is_taken_leads_to_the_fallback(void **state) {
        static const Answer answers[] = {{"GetMachineByPID", UNKNOWN},
                                         {"RegisterMachine", EXISTS},
                                         {"RegisterMachine", NULL},
                                         {0}};
        MachinedEntry *entry;
        Fake *fake = *state;

        begin(fake, answers, &entry);
        settle(fake);
        assert_null(machined_unregister(entry));
        settle(fake);
        assert_string_equal(fake->log, "GetMachineByPID(4711) RegisterMachine(web) "
                                       "RegisterMachine(vm-" ID ") UnregisterMachine(vm-" ID ") ");
}

/* A call that timed out may have had its effect: a second registration would have machined stop the scope. */
static void test_no_other_error_leads_on(void **state) {
        static const Answer silent_find[] = {{"GetMachineByPID", SD_BUS_ERROR_NO_REPLY}, {0}};
        static const Answer silent_register[] = {
                {"GetMachineByPID", UNKNOWN}, {"RegisterMachine", SD_BUS_ERROR_NO_REPLY}, {0}};
        MachinedEntry *entry;
        Fake *fake = *state;

        begin(fake, silent_find, &entry);
        settle(fake);
        assert_null(machined_unregister(entry));
        begin(fake, silent_register, &entry);
        settle(fake);
        assert_null(machined_unregister(entry));
        settle(fake);
        assert_string_equal(fake->log,
                            "GetMachineByPID(4711) GetMachineByPID(4711) RegisterMachine(web) ");
}

static void test_an_absent_machined_is_asked_once(void **state) {
        static const Answer answers[] = {{"GetMachineByPID", SD_BUS_ERROR_SERVICE_UNKNOWN}, {0}};
        MachinedEntry *first, *second;
        Fake *fake = *state;

        begin(fake, answers, &first);
        settle(fake);
        begin(fake, answers, &second);
        settle(fake);
        assert_null(second);
        assert_null(machined_unregister(first));
        assert_null(machined_unregister(second));
        assert_string_equal(fake->log, "GetMachineByPID(4711) ");
}

static void test_a_vm_that_ends_meanwhile_is_unregistered_afterwards(void **state) {
        static const Answer answers[] = {{"GetMachineByPID", NULL}, {0}};
        MachinedEntry *entry;
        Fake *fake = *state;

        begin(fake, answers, &entry);
        assert_null(machined_unregister(entry));
        assert_null(entry);
        settle(fake);
        assert_string_equal(fake->log, "GetMachineByPID(4711) UnregisterMachine(before-1) ");
}

static void test_a_vm_that_ends_before_it_is_registered_never_is(void **state) {
        static const Answer answers[] = {{"GetMachineByPID", UNKNOWN}, {0}};
        MachinedEntry *entry;
        Fake *fake = *state;

        begin(fake, answers, &entry);
        assert_null(machined_unregister(entry));
        settle(fake);
        assert_string_equal(fake->log, "GetMachineByPID(4711) ");
}

static void test_a_vm_that_goes_on_stays_registered(void **state) {
        static const Answer answers[] = {
                {"GetMachineByPID", UNKNOWN}, {"RegisterMachine", NULL}, {0}};
        MachinedEntry *entry;
        Fake *fake = *state;

        begin(fake, answers, &entry);
        settle(fake);
        assert_null(machined_leave(entry));
        settle(fake);
        assert_string_equal(fake->log, "GetMachineByPID(4711) RegisterMachine(web) ");
}

static void test_what_outlives_the_register_finds_its_place_empty(void **state) {
        static const Answer answers[] = {{"GetMachineByPID", UNKNOWN}, {0}};
        MachinedEntry *entry;
        Fake *fake = *state;

        begin(fake, answers, &entry);
        fake->machined = machined_free(fake->machined);
        assert_null(entry);
}

#define MACHINED_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                MACHINED_TEST(test_a_new_vm_is_registered_by_its_name),
                MACHINED_TEST(test_what_is_registered_already_is_never_registered_again),
                MACHINED_TEST(test_a_name_that_is_taken_leads_to_the_fallback),
                MACHINED_TEST(test_no_other_error_leads_on),
                MACHINED_TEST(test_an_absent_machined_is_asked_once),
                MACHINED_TEST(test_a_vm_that_ends_meanwhile_is_unregistered_afterwards),
                MACHINED_TEST(test_a_vm_that_ends_before_it_is_registered_never_is),
                MACHINED_TEST(test_a_vm_that_goes_on_stays_registered),
                MACHINED_TEST(test_what_outlives_the_register_finds_its_place_empty),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
