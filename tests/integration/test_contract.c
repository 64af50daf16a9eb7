/* SPDX-License-Identifier: Apache-2.0 */
/* The service keeps to what dbus/ and the manual page say of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"
#include "dbus/names.h"
#include "tests/integration/vm_client.h"

#define MEMBERS_MAX 128u
#define LINE_MAX_BYTES 256u

/* The members of one interface, one line each, sorted: what two descriptions must agree in. */
typedef struct Members {
        char lines[MEMBERS_MAX][LINE_MAX_BYTES];
        size_t n;
} Members;

/* Value of an attribute of the element that starts at @tag; "" if it has none. */
static void attribute(const char *tag, const char *name, char *buf, size_t size) {
        char pattern[32];
        const char *end = strchr(tag, '>'), *p;

        buf[0] = '\0';
        (void) snprintf(pattern, sizeof(pattern), " %s=\"", name);
        p = strstr(tag, pattern);
        if (!p || !end || p > end)
                return;
        p += strlen(pattern);
        (void) snprintf(buf, size, "%.*s", (int) strcspn(p, "\""), p);
}

static int compare_lines(const void *a, const void *b) {
        return strcmp(a, b);
}

static bool is_tag(const char *p, const char *name) {
        return strncmp(p, name, strlen(name)) == 0 && strchr(" />", p[strlen(name)]);
}

static void append(char *line, const char *text) {
        size_t len = strlen(line);

        assert_true(len + strlen(text) < LINE_MAX_BYTES);
        memcpy(line + len, text, strlen(text) + 1);
}

static void append_tag(char *line, const char *tag, const char *const *names) {
        char value[96];

        for (; *names; names++) {
                attribute(tag, *names, value, sizeof(value));
                append(line, " ");
                append(line, value);
        }
}

/* One tag: opens a member, or adds to the one that is open. */
static void read_tag(Members *members, const char *p, char **line) {
        static const char *const member_names[] = {"name", "type", "access", NULL};
        static const char *const arg_names[] = {"type", "name", "direction", NULL};
        static const char *const annotation_names[] = {"name", "value", NULL};

        if (is_tag(p, "method") || is_tag(p, "signal") || is_tag(p, "property")) {
                assert_true(members->n < MEMBERS_MAX);
                *line = members->lines[members->n++];
                (void) snprintf(*line, LINE_MAX_BYTES, "%.*s", (int) strcspn(p, " "), p);
                append_tag(*line, p, member_names);
        } else if (*line && is_tag(p, "arg")) {
                append(*line, ";");
                append_tag(*line, p, arg_names);
        } else if (*line && is_tag(p, "annotation")) {
                append(*line, "!");
                append_tag(*line, p, annotation_names);
        }
}

/* What @xml says of @interface; owned by the caller. */
static Members *read_members(const char *xml, const char *interface) {
        Members *members = calloc(1, sizeof(*members));
        char head[96], *line = NULL;
        const char *p, *end;

        assert_non_null(members);
        (void) snprintf(head, sizeof(head), "<interface name=\"%s\">", interface);
        p = strstr(xml, head);
        assert_non_null(p);
        end = strstr(p, "</interface>");
        assert_non_null(end);
        for (p = strchr(p + 1, '<'); p && p < end; p = strchr(p + 1, '<')) {
                if (strncmp(p, "<!--", 4) == 0) {
                        p = strstr(p, "-->");
                        assert_non_null(p);
                        continue;
                }
                read_tag(members, p + 1, &line);
        }
        qsort(members->lines, members->n, sizeof(members->lines[0]), compare_lines);
        return members;
}

static char *read_file(const char *path) {
        _cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
        char *text = NULL;

        assert_true(fd >= 0);
        assert_int_equal(fd_read_bounded(fd, 1024 * 1024, &text, NULL), 0);
        return text;
}

static void expect_same(BusHost *host, const char *path, const char *interface, const char *file) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_(freep) char *written = read_file(file);
        _cleanup_(freep) Members *expected = NULL, *actual = NULL;
        const char *xml;

        assert_true(sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, path,
                                       "org.freedesktop.DBus.Introspectable", "Introspect", NULL,
                                       &reply, NULL) >= 0);
        assert_true(sd_bus_message_read(reply, "s", &xml) > 0);
        expected = read_members(written, interface);
        actual = read_members(xml, interface);
        assert_true(expected->n > 5);
        for (size_t i = 0; i < expected->n && i < actual->n; i++)
                assert_string_equal(actual->lines[i], expected->lines[i]);
        assert_int_equal(actual->n, expected->n);
}

static void test_introspection_is_what_the_files_say(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){0});

        expect_same(host, VIVARIUM_MANAGER_PATH, VIVARIUM_MANAGER_INTERFACE,
                    "dbus/org.vivarium.vm1.Manager.xml");
        expect_same(host, path, VIVARIUM_VM_INTERFACE, "dbus/org.vivarium.vm1.Vm.xml");
}

/* Second word of a line of members: the name. */
static void member_name(const char *line, char *buf, size_t size) {
        const char *p = strchr(line, ' ');

        assert_non_null(p);
        (void) snprintf(buf, size, "%.*s", (int) strcspn(p + 1, " "), p + 1);
}

static void test_the_manual_names_every_member_and_no_other(void **state) {
        static const struct {
                const char *file, *interface;
        } sources[] = {
                {"dbus/org.vivarium.vm1.Manager.xml", VIVARIUM_MANAGER_INTERFACE},
                {"dbus/org.vivarium.vm1.Vm.xml", VIVARIUM_VM_INTERFACE},
        };
        _cleanup_(freep) char *manual = read_file("docs/man/org.vivarium.vm1.5");
        size_t n_members = 0, n_entries = 0;

        for (size_t i = 0; i < ELEMENTSOF(sources); i++) {
                _cleanup_(freep) char *xml = read_file(sources[i].file);
                _cleanup_(freep) Members *members = read_members(xml, sources[i].interface);

                n_members += members->n;
                for (size_t j = 0; j < members->n; j++) {
                        char name[96], entry[128];

                        member_name(members->lines[j], name, sizeof(name));
                        (void) snprintf(entry, sizeof(entry), "\n.B %s\n", name);
                        if (!strstr(manual, entry))
                                fail_msg("%s is not in the manual", name);
                }
        }
        /* Every entry of the sections on interfaces is a member; ".\" member" marks them. */
        for (const char *p = manual; (p = strstr(p, "\n.\\\" member")); p++)
                n_entries++;
        assert_int_equal(n_entries, n_members);
}

static bool has_changed(sd_bus_message *signal, const char *property) {
        const char *interface, *name;
        bool found = false;

        assert_true(sd_bus_message_rewind(signal, true) >= 0);
        assert_true(sd_bus_message_read(signal, "s", &interface) > 0);
        assert_true(sd_bus_message_enter_container(signal, 'a', "{sv}") > 0);
        while (sd_bus_message_enter_container(signal, 'e', "sv") > 0) {
                assert_true(sd_bus_message_read(signal, "s", &name) > 0);
                found = found || str_eq(name, property);
                assert_true(sd_bus_message_skip(signal, "v") >= 0);
                assert_true(sd_bus_message_exit_container(signal) >= 0);
        }
        return found;
}

static void test_changes_are_told_together_and_before_the_death(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path = vm_create(host->bus, &(VmSpec){.params = "exit:0"});
        static const char *const last[] = {"State",      "Pid",         "DeathTimestamp",
                                           "ExitStatus", "DeathReason", "FailureText"};
        sd_bus_message *change = NULL;
        Record record;

        vm_call_ok(host->bus, path, "Start");
        vm_wait_death(host, path, &record);
        /* Running, perhaps a sample or two, dead: never one signal for each property. */
        assert_in_range(bus_host_count_signals(host, "PropertiesChanged", path), 1, 4);
        for (size_t i = 0; i < host->n_signals && !str_eq(host->signals[i].member, "Died"); i++)
                if (str_eq(host->signals[i].member, "PropertiesChanged") &&
                    str_eq(sd_bus_message_get_path(host->signals[i].message), path))
                        change = host->signals[i].message;
        assert_non_null(change);
        for (size_t i = 0; i < ELEMENTSOF(last); i++)
                assert_true(has_changed(change, last[i]));
}

static void test_the_record_stays_readable(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *path =
                vm_create(host->bus, &(VmSpec){.params = "console:bye exit:34"});
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        static Record told, kept; /* too large for a stack */

        vm_call_ok(host->bus, path, "Start");
        vm_wait_death(host, path, &told);
        assert_true(sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, path,
                                       "org.freedesktop.DBus.Properties", "Get", NULL, &reply, "ss",
                                       VIVARIUM_VM_INTERFACE, "DeathRecord") >= 0);
        assert_true(sd_bus_message_enter_container(reply, 'v', "a{sv}") > 0);
        record_read(reply, &kept);
        assert_string_equal(kept.reason, told.reason);
        assert_string_equal(kept.console, "bye");
        assert_int_equal(kept.run_time_usec, told.run_time_usec);
        assert_true(vm_get_number(host->bus, path, "DeathTimestamp") >=
                    vm_get_number(host->bus, path, "StartTimestamp"));
        assert_int_equal(vm_get_number(host->bus, path, "ExitStatus"), 34);
}

static void test_the_log_level_is_changed_while_it_runs(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *level = NULL, *target = NULL;

        assert_true(sd_bus_set_property(host->bus, VIVARIUM_BUS_NAME, VIVARIUM_LOG_CONTROL_PATH,
                                        VIVARIUM_LOG_CONTROL_INTERFACE, "LogLevel", NULL, "s",
                                        "debug") >= 0);
        assert_true(sd_bus_get_property_string(
                            host->bus, VIVARIUM_BUS_NAME, VIVARIUM_LOG_CONTROL_PATH,
                            VIVARIUM_LOG_CONTROL_INTERFACE, "LogLevel", NULL, &level) >= 0);
        assert_string_equal(level, "debug");
        assert_true(sd_bus_set_property(host->bus, VIVARIUM_BUS_NAME, VIVARIUM_LOG_CONTROL_PATH,
                                        VIVARIUM_LOG_CONTROL_INTERFACE, "LogLevel", NULL, "s",
                                        "loud") < 0);
        assert_true(sd_bus_get_property_string(
                            host->bus, VIVARIUM_BUS_NAME, VIVARIUM_LOG_CONTROL_PATH,
                            VIVARIUM_LOG_CONTROL_INTERFACE, "LogTarget", NULL, &target) >= 0);
        assert_string_equal(target, "console");
}

static void test_busctl_shows_a_tree_with_all_vms(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *first = vm_create(host->bus, &(VmSpec){0});
        _cleanup_(freep) char *second = vm_create(host->bus, &(VmSpec){0});
        char command[256], out[4096] = {0};
        FILE *pipe;

        (void) snprintf(command, sizeof(command), "busctl --address=%s --list tree %s",
                        host->address, VIVARIUM_BUS_NAME);
        pipe = popen(command, "re");
        assert_non_null(pipe);
        assert_true(fread(out, 1, sizeof(out) - 1, pipe) > 0);
        assert_int_equal(pclose(pipe), 0);
        assert_non_null(strstr(out, first));
        assert_non_null(strstr(out, second));
        assert_non_null(strstr(out, VIVARIUM_LOG_CONTROL_PATH));
}

static void test_an_idle_daemon_takes_at_most_4_mebibytes(void **state) {
#ifdef __SANITIZE_ADDRESS__
        print_message("a sanitizer has memory of its own\n");
        skip();
#endif
        Holdings holdings = daemon_holdings(*state);

        assert_true(holdings.rss_bytes <= 4 * 1024 * 1024);
}

static int setup_with_vmm_that_cannot_probe(void **state) {
        return bus_host_setup_with(state, (const char *const[]){"--vmm=/bin/false", NULL});
}

/* Finds what GetCapabilities says of a hypervisor. */
static void read_hypervisor(sd_bus *bus, const char *name, int *ret_available, char *reason,
                            size_t size) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *key, *text;

        assert_true(sd_bus_call_method(bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                       VIVARIUM_MANAGER_INTERFACE, "GetCapabilities", NULL, &reply,
                                       NULL) >= 0);
        assert_true(sd_bus_message_enter_container(reply, 'a', "{sv}") > 0);
        assert_true(sd_bus_message_enter_container(reply, 'e', "sv") > 0);
        assert_true(sd_bus_message_read(reply, "s", &key) > 0);
        assert_string_equal(key, "hypervisors");
        assert_true(sd_bus_message_enter_container(reply, 'v', "a{sa{sv}}") > 0);
        assert_true(sd_bus_message_enter_container(reply, 'a', "{sa{sv}}") > 0);
        while (sd_bus_message_enter_container(reply, 'e', "sa{sv}") > 0) {
                assert_true(sd_bus_message_read(reply, "s", &key) > 0);
                if (str_eq(key, name)) {
                        assert_true(sd_bus_message_read(reply, "a{sv}", 2, &key, "b", ret_available,
                                                        &key, "s", &text) > 0);
                        (void) snprintf(reason, size, "%s", text);
                        return;
                }
                assert_true(sd_bus_message_skip(reply, "a{sv}") >= 0);
                assert_true(sd_bus_message_exit_container(reply) >= 0);
        }
        fail_msg("no hypervisor %s", name);
}

static void test_capabilities_are_what_the_vmm_found(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *standard = NULL;
        char reason[256];
        int available;

        read_hypervisor(host->bus, "kvm", &available, reason, sizeof(reason));
        assert_true(available);
        assert_string_equal(reason, "it is a fake");
        read_hypervisor(host->bus, "soft", &available, reason, sizeof(reason));
        assert_false(available);
        assert_string_equal(reason, "it is not even faked");
        assert_true(sd_bus_get_property_string(host->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                               VIVARIUM_MANAGER_INTERFACE, "DefaultHypervisor",
                                               NULL, &standard) >= 0);
        assert_string_equal(standard, "kvm");
}

static void test_a_probe_that_fails_is_the_reason(void **state) {
        BusHost *host = *state;
        char reason[256];
        int available;

        read_hypervisor(host->bus, "kvm", &available, reason, sizeof(reason));
        assert_false(available);
        assert_string_equal(reason, "the VMM's probe ended with exit status 1");
}

/* Of a foreign one nothing else is asked than whether it is there, for it has no probe. */
static int setup_with_crosvm_that_is_missing(void **state) {
        return bus_host_setup_with(state, (const char *const[]){"--vmm=/nonexistent/crosvm",
                                                                "--vmm-dialect=crosvm", NULL});
}

static void test_a_crosvm_that_is_missing_has_no_hypervisor(void **state) {
        BusHost *host = *state;
        char reason[256];
        int available;

        read_hypervisor(host->bus, "kvm", &available, reason, sizeof(reason));
        assert_false(available);
        assert_string_equal(reason, "execute /nonexistent/crosvm: No such file or directory");
}

static char changing_vmm[] = "/tmp/vivarium-changing-vmm-XXXXXX";

/* Finds KVM from the second probe on: as a VMM does when its module is loaded after the daemon's start. */
static int setup_with_host_that_changes(void **state) {
        char argument[sizeof(changing_vmm) + 16];
        FILE *script;
        int fd;

        memcpy(changing_vmm + sizeof(changing_vmm) - 7, "XXXXXX", 6);
        fd = mkstemp(changing_vmm);
        if (fd < 0 || fchmod(fd, 0700) < 0)
                return -1;
        script = fdopen(fd, "w");
        if (!script)
                return -1;
        (void) fprintf(script, "#!/bin/sh\n"
                               "if [ -e $0.loaded ]; then echo kvm yes now it is loaded; else\n"
                               "echo kvm no it is not loaded; : >$0.loaded; fi\n"
                               "echo soft yes always\n");
        if (fclose(script) != 0)
                return -1;
        (void) snprintf(argument, sizeof(argument), "--vmm=%s", changing_vmm);
        return bus_host_setup_with(state, (const char *const[]){argument, NULL});
}

static int teardown_with_host_that_changes(void **state) {
        char loaded[sizeof(changing_vmm) + 16];

        (void) snprintf(loaded, sizeof(loaded), "%s.loaded", changing_vmm);
        (void) unlink(loaded);
        (void) unlink(changing_vmm);
        return bus_host_teardown(state);
}

static void test_the_probe_is_repeated_on_demand_only(void **state) {
        BusHost *host = *state;
        _cleanup_(freep) char *before = NULL, *after = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        char reason[256];
        int available;

        for (unsigned i = 0; i < 2; i++) {
                read_hypervisor(host->bus, "kvm", &available, reason, sizeof(reason));
                assert_false(available);
                assert_string_equal(reason, "it is not loaded");
        }
        assert_true(sd_bus_get_property_string(host->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                               VIVARIUM_MANAGER_INTERFACE, "DefaultHypervisor",
                                               NULL, &before) >= 0);
        assert_string_equal(before, "soft");
        assert_true(sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                       VIVARIUM_MANAGER_INTERFACE, "ProbeCapabilities", NULL,
                                       &reply, NULL) >= 0);
        assert_true(sd_bus_message_has_signature(reply, "a{sv}"));
        read_hypervisor(host->bus, "kvm", &available, reason, sizeof(reason));
        assert_true(available);
        assert_string_equal(reason, "now it is loaded");
        assert_true(sd_bus_get_property_string(host->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                               VIVARIUM_MANAGER_INTERFACE, "DefaultHypervisor",
                                               NULL, &after) >= 0);
        assert_string_equal(after, "kvm");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bus_host_setup, bus_host_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_introspection_is_what_the_files_say),
                cmocka_unit_test(test_the_manual_names_every_member_and_no_other),
                TEST(test_changes_are_told_together_and_before_the_death),
                TEST(test_the_record_stays_readable),
                TEST(test_the_log_level_is_changed_while_it_runs),
                TEST(test_busctl_shows_a_tree_with_all_vms),
                TEST(test_capabilities_are_what_the_vmm_found),
                cmocka_unit_test_setup_teardown(test_a_probe_that_fails_is_the_reason,
                                                setup_with_vmm_that_cannot_probe,
                                                bus_host_teardown),
                cmocka_unit_test_setup_teardown(test_a_crosvm_that_is_missing_has_no_hypervisor,
                                                setup_with_crosvm_that_is_missing,
                                                bus_host_teardown),
                cmocka_unit_test_setup_teardown(test_the_probe_is_repeated_on_demand_only,
                                                setup_with_host_that_changes,
                                                teardown_with_host_that_changes),
                TEST(test_an_idle_daemon_takes_at_most_4_mebibytes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
