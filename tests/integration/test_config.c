/* SPDX-License-Identifier: Apache-2.0 */
/* What CreateVm and CheckConfig refuse, and that nothing remains of it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <json-c/json.h>

#include "base/fd.h"
#include "base/str.h"
#include "dbus/names.h"
#include "tests/integration/vm_client.h"

#define BAD_CONFIGS "tests/data/bad_configs.json"

static sd_bus_message *new_call(sd_bus *bus, const char *method) {
        sd_bus_message *call = NULL;

        assert_true(sd_bus_message_new_method_call(bus, &call, VIVARIUM_BUS_NAME,
                                                   VIVARIUM_MANAGER_PATH,
                                                   VIVARIUM_MANAGER_INTERFACE, method) >= 0);
        return call;
}

/* Sends the call, which must fail with that name and those words, and leave no VM. */
static void expect_refusal(sd_bus *bus, sd_bus_message *call, const char *name, const char *words) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        assert_true(sd_bus_call(bus, call, HOST_TIMEOUT_USEC, &error, NULL) < 0);
        if (!str_eq(error.name, name) || !strstr(error.message, words))
                fail_msg("expected %s with \"%s\", got %s: %s", name, words, error.name,
                         error.message);
        assert_int_equal(manager_vm_count(bus), 0);
}

static const char *member(struct json_object *object, const char *key) {
        return json_object_get_string(json_object_object_get(object, key));
}

static void test_every_malformed_config_is_refused_by_path_and_cause(void **state) {
        BusHost *host = *state;
        struct json_object *table = json_object_from_file(BAD_CONFIGS);
        Holdings before = daemon_holdings(host), after;
        size_t n;

        assert_non_null(table);
        n = json_object_array_length(table);
        assert_true(n >= 60);
        for (size_t i = 0; i < n; i++) {
                struct json_object *entry = json_object_array_get_idx(table, i);
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *create = NULL, *check = NULL;
                char words[256];

                (void) snprintf(words, sizeof(words), "%s: ", member(entry, "path"));
                create = new_call(host->bus, "CreateVm");
                assert_true(sd_bus_message_append(create, "sa{sh}a{sv}", member(entry, "config"), 0,
                                                  0) >= 0);
                expect_refusal(host->bus, create, VIVARIUM_ERROR_INVALID_CONFIG, words);
                check = new_call(host->bus, "CheckConfig");
                assert_true(sd_bus_message_append(check, "sa{sh}", member(entry, "config"), 0) >=
                            0);
                expect_refusal(host->bus, check, VIVARIUM_ERROR_INVALID_CONFIG,
                               member(entry, "words"));
        }
        (void) json_object_put(table);
        after = daemon_holdings(host);
        assert_same_holdings(&before, &after);
        assert_int_equal(bus_host_count_signals(host, "VmNew", NULL), 0);
}

static void test_a_config_that_is_too_long_is_refused(void **state) {
        BusHost *host = *state;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = new_call(host->bus, "CreateVm");
        size_t len = 300 * 1024;
        _cleanup_(freep) char *text = malloc(len + 1);

        assert_non_null(text);
        memset(text, ' ', len);
        text[len] = '\0';
        assert_true(sd_bus_message_append(call, "sa{sh}a{sv}", text, 0, 0) >= 0);
        expect_refusal(host->bus, call, VIVARIUM_ERROR_INVALID_CONFIG, "config");
}

typedef struct FdCase {
        const char *config, *name; /* of the descriptor that is passed */
        const char *words;
        int flags; /* to open a file with; -1: a pipe */
} FdCase;

static void test_descriptors_are_checked_against_the_config(void **state) {
        static const char initrd[] = "{\"kernel\": \"fd:k\", \"initrd\": \"fd:x\"}";
        static const char disk[] = "{\"kernel\": \"fd:k\", \"disks\": [{\"image\": \"fd:x\", "
                                   "\"writable\": true}]}";
        static const FdCase cases[] = {
                {initrd, "other", "initrd: no descriptor named \"x\"", O_RDONLY},
                {initrd, "x", "initrd: descriptor \"x\" is not open for reading", O_WRONLY},
                {initrd, "x", "initrd: descriptor \"x\" is not open for reading", O_PATH},
                {initrd, "x", "initrd: descriptor \"x\" is neither a regular file", -1},
                {disk, "x", "disks[0].image: descriptor \"x\" is not open for reading and writing",
                 O_RDONLY},
                {disk, "x", "disks[0].image: descriptor \"x\" is open with O_APPEND",
                 O_RDWR | O_APPEND},
        };
        _cleanup_(fd_closep) int kernel = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        BusHost *host = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *call =
                        new_call(host->bus, "CreateVm");
                char path[64];
                int fds[2] = {-EBADF, -EBADF}, fd;

                (void) snprintf(path, sizeof(path), "%s/file", host->dir);
                if (cases[i].flags < 0) {
                        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
                        fd = fds[0];
                } else {
                        fds[0] = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
                        fds[1] = fd = open(path, cases[i].flags | O_CLOEXEC);
                }
                assert_true(fd >= 0);
                assert_true(sd_bus_message_append(call, "sa{sh}a{sv}", cases[i].config, 2, "k",
                                                  kernel, cases[i].name, fd, 0) >= 0);
                expect_refusal(host->bus, call, VIVARIUM_ERROR_INVALID_CONFIG, cases[i].words);
                (void) fd_close(fds[0]);
                (void) fd_close(fds[1]);
                (void) unlink(path);
        }
}

static void test_a_descriptor_too_many_or_twice_is_refused(void **state) {
        BusHost *host = *state;
        _cleanup_(fd_closep) int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *more = new_call(host->bus, "CreateVm"),
                                                        *twice = new_call(host->bus, "CreateVm");

        assert_true(sd_bus_message_append(more, "sa{sh}a{sv}", "{\"kernel\": \"fd:k\"}", 2, "k", fd,
                                          "spare", fd, 0) >= 0);
        expect_refusal(host->bus, more, VIVARIUM_ERROR_INVALID_CONFIG,
                       "\"spare\" is not used by the config");
        assert_true(sd_bus_message_append(twice, "sa{sh}a{sv}", "{\"kernel\": \"fd:k\"}", 2, "k",
                                          fd, "k", fd, 0) >= 0);
        expect_refusal(host->bus, twice, VIVARIUM_ERROR_INVALID_CONFIG, "\"k\" is given twice");
}

static void test_options_are_refused_by_name(void **state) {
        static const struct {
                const char *option, *type, *text, *error, *words;
                uint64_t number;
        } cases[] = {
                {"colour", "s", "red", VIVARIUM_ERROR_INVALID_CONFIG, "\"colour\" is not known", 0},
                {"Name", "s", "x", VIVARIUM_ERROR_INVALID_CONFIG, "\"Name\" is not known", 0},
                {"boot-timeout-usec", "s", "x", VIVARIUM_ERROR_INVALID_CONFIG,
                 "\"boot-timeout-usec\": expected type t, got s", 0},
                {"dump-dt", "s", "x", VIVARIUM_ERROR_UNSUPPORTED, "\"dump-dt\"", 0},
                {"name", "t", NULL, VIVARIUM_ERROR_INVALID_CONFIG,
                 "\"name\": expected type s, got t", 1},
                {"detach", "s", "yes", VIVARIUM_ERROR_INVALID_CONFIG,
                 "\"detach\": expected type b, got s", 0},
                {"name", "s", "", VIVARIUM_ERROR_INVALID_CONFIG, "\"name\": expected 1 to 64", 0},
                {"name", "s", "a\nb", VIVARIUM_ERROR_INVALID_CONFIG, "\"name\": expected 1 to 64",
                 0},
                {"name", "s", "../etc", VIVARIUM_ERROR_INVALID_CONFIG, "\"name\": expected 1 to 64",
                 0},
                {"hypervisor", "s", "xen", VIVARIUM_ERROR_INVALID_CONFIG,
                 "\"auto\", \"kvm\" or \"soft\", got \"xen\"", 0},
                {"hypervisor", "s", "soft", VIVARIUM_ERROR_UNSUPPORTED, "it is not even faked", 0},
        };
        BusHost *host = *state;
        _cleanup_(fd_closep) int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *call =
                        new_call(host->bus, "CreateVm");

                assert_true(sd_bus_message_append(call, "sa{sh}", "{\"kernel\": \"fd:k\"}", 1, "k",
                                                  fd) >= 0);
                if (cases[i].text)
                        assert_true(sd_bus_message_append(call, "a{sv}", 1, cases[i].option,
                                                          cases[i].type, cases[i].text) >= 0);
                else
                        assert_true(sd_bus_message_append(call, "a{sv}", 1, cases[i].option,
                                                          cases[i].type, cases[i].number) >= 0);
                expect_refusal(host->bus, call, cases[i].error, cases[i].words);
        }
}

static void test_a_console_must_be_open_the_right_way(void **state) {
        BusHost *host = *state;
        _cleanup_(fd_closep) int null_in = open("/dev/null", O_RDONLY | O_CLOEXEC);
        _cleanup_(fd_closep) int null_out = open("/dev/null", O_WRONLY | O_CLOEXEC);
        const struct {
                VmSpec spec;
                const char *words;
        } cases[] = {
                {{.console = null_in}, "\"console\": the descriptor is not open for writing"},
                {{.log = null_in}, "\"log\": the descriptor is not open for writing"},
                {{.console_in = null_out},
                 "\"console-in\": the descriptor is not open for reading"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

                assert_true(vm_try_create(host->bus, &cases[i].spec, NULL, &error) < 0);
                assert_string_equal(error.name, VIVARIUM_ERROR_INVALID_CONFIG);
                assert_non_null(strstr(error.message, cases[i].words));
        }
        assert_int_equal(manager_vm_count(host->bus), 0);
}

static void test_a_good_config_is_given_back_with_its_defaults(void **state) {
        BusHost *host = *state;
        _cleanup_(fd_closep) int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = new_call(host->bus, "CheckConfig"),
                                                        *reply = NULL;
        struct json_object *json;
        const char *text;

        assert_true(sd_bus_message_append(call, "sa{sh}", "{\"kernel\": \"fd:k\"}", 1, "k", fd) >=
                    0);
        assert_true(sd_bus_call(host->bus, call, HOST_TIMEOUT_USEC, NULL, &reply) >= 0);
        assert_true(sd_bus_message_read(reply, "s", &text) > 0);
        json = json_tokener_parse(text);
        assert_non_null(json);
        assert_string_equal(member(json, "kernel"), "fd:k");
        assert_int_equal(json_object_get_int(json_object_object_get(json, "memory_mib")), 256);
        (void) json_object_put(json);
        assert_int_equal(manager_vm_count(host->bus), 0);
}

/* There is no systemd on this bus, and so nobody to hold a VM to them. */
static void test_limits_that_nobody_enforces_are_refused(void **state) {
        static const VmSpec spec = {
                .config = "{\"kernel\": \"fd:kernel\", \"limits\": {\"memory_max_mib\": 400}}"};
        BusHost *host = *state;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call =
                vm_new_create_call(host->bus, &spec);

        expect_refusal(host->bus, call, VIVARIUM_ERROR_UNSUPPORTED, "limits");
}

static void test_an_instance_id_is_64_bytes_of_chance(void **state) {
        BusHost *host = *state;
        uint8_t ids[2][64];

        for (size_t i = 0; i < 2; i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
                const void *data;
                size_t len;

                assert_true(sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                               VIVARIUM_MANAGER_INTERFACE, "AllocateInstanceId",
                                               NULL, &reply, NULL) >= 0);
                assert_true(sd_bus_message_read_array(reply, 'y', &data, &len) > 0);
                assert_int_equal(len, 64);
                memcpy(ids[i], data, len);
        }
        assert_memory_not_equal(ids[0], ids[1], 64);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bus_host_setup, bus_host_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_every_malformed_config_is_refused_by_path_and_cause),
                TEST(test_a_config_that_is_too_long_is_refused),
                TEST(test_descriptors_are_checked_against_the_config),
                TEST(test_a_descriptor_too_many_or_twice_is_refused),
                TEST(test_options_are_refused_by_name),
                TEST(test_a_console_must_be_open_the_right_way),
                TEST(test_a_good_config_is_given_back_with_its_defaults),
                TEST(test_limits_that_nobody_enforces_are_refused),
                TEST(test_an_instance_id_is_64_bytes_of_chance),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
