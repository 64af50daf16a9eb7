/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/integration/vm_client.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/str.h"
#include "dbus/names.h"

#define PROPERTIES "org.freedesktop.DBus.Properties"

static void append_options(sd_bus_message *call, const VmSpec *spec) {
        const struct {
                const char *name;
                int fd;
        } streams[] = {
                {"console", spec->console}, {"console-in", spec->console_in}, {"log", spec->log}};

        assert_true(sd_bus_message_open_container(call, 'a', "{sv}") >= 0);
        if (spec->name)
                assert_true(sd_bus_message_append(call, "{sv}", "name", "s", spec->name) >= 0);
        if (spec->hypervisor)
                assert_true(sd_bus_message_append(call, "{sv}", "hypervisor", "s",
                                                  spec->hypervisor) >= 0);
        if (spec->detach)
                assert_true(sd_bus_message_append(call, "{sv}", "detach", "b", true) >= 0);
        if (spec->boot_timeout_usec > 0)
                assert_true(sd_bus_message_append(call, "{sv}", "boot-timeout-usec", "t",
                                                  spec->boot_timeout_usec) >= 0);
        for (size_t i = 0; i < ELEMENTSOF(streams); i++)
                if (streams[i].fd > 0)
                        assert_true(sd_bus_message_append(call, "{sv}", streams[i].name, "h",
                                                          streams[i].fd) >= 0);
        assert_true(sd_bus_message_close_container(call) >= 0);
}

/** vm_new_create_call() - a call of CreateVm, not sent yet; the kernel is some file. Return: owned by the caller. */
sd_bus_message *vm_new_create_call(sd_bus *bus, const VmSpec *spec) {
        _cleanup_(fd_closep) int kernel = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        sd_bus_message *call = NULL;
        char config[2048];

        assert_true(kernel >= 0);
        (void) snprintf(config, sizeof(config), "{\"kernel\": \"fd:kernel\", \"params\": \"%s\"}",
                        spec->params ? spec->params : "");
        assert_true(sd_bus_message_new_method_call(bus, &call, VIVARIUM_BUS_NAME,
                                                   VIVARIUM_MANAGER_PATH,
                                                   VIVARIUM_MANAGER_INTERFACE, "CreateVm") >= 0);
        assert_true(sd_bus_message_append(call, "sa{sh}", spec->config ? spec->config : config, 1,
                                          "kernel", kernel) >= 0);
        append_options(call, spec);
        return call;
}

/** vm_try_create() - CreateVm. Return: 0 or negative errno with @error set. */
int vm_try_create(sd_bus *bus, const VmSpec *spec, char **ret_path, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = vm_new_create_call(bus, spec);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *path;
        int r;

        r = sd_bus_call(bus, call, HOST_TIMEOUT_USEC, error, &reply);
        if (r < 0)
                return r;
        assert_true(sd_bus_message_read(reply, "o", &path) >= 0);
        if (ret_path) {
                *ret_path = strdup(path);
                assert_non_null(*ret_path);
        }
        return 0;
}

/** vm_create() - path of a new VM; owned by the caller */
char *vm_create(sd_bus *bus, const VmSpec *spec) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        char *path = NULL;

        if (vm_try_create(bus, spec, &path, &error) < 0)
                fail_msg("CreateVm: %s: %s", error.name, error.message);
        return path;
}

/** vm_call() - a method without arguments. Return: as sd_bus_call_method(). */
int vm_call(sd_bus *bus, const char *path, const char *method, sd_bus_error *error) {
        return sd_bus_call_method(bus, VIVARIUM_BUS_NAME, path, VIVARIUM_VM_INTERFACE, method,
                                  error, NULL, NULL);
}

void vm_call_ok(sd_bus *bus, const char *path, const char *method) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        if (vm_call(bus, path, method, &error) < 0)
                fail_msg("%s: %s: %s", method, error.name, error.message);
}

void vm_call_fails(sd_bus *bus, const char *path, const char *method, const char *error_name) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        assert_true(vm_call(bus, path, method, &error) < 0);
        assert_string_equal(error.name, error_name);
        assert_true(strlen(error.message) > 0);
}

/** vm_get_string() - a property of type s; owned by the caller */
char *vm_get_string(sd_bus *bus, const char *path, const char *property) {
        char *value = NULL;

        assert_true(sd_bus_get_property_string(bus, VIVARIUM_BUS_NAME, path, VIVARIUM_VM_INTERFACE,
                                               property, NULL, &value) >= 0);
        return value;
}

/** vm_get_number() - a property of type t, u, i or b */
uint64_t vm_get_number(sd_bus *bus, const char *path, const char *property) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const char *type;
        uint64_t wide = 0;
        int32_t narrow = 0;

        assert_true(sd_bus_call_method(bus, VIVARIUM_BUS_NAME, path, PROPERTIES, "Get", NULL,
                                       &reply, "ss", VIVARIUM_VM_INTERFACE, property) >= 0);
        assert_true(sd_bus_message_peek_type(reply, NULL, &type) > 0);
        assert_true(sd_bus_message_enter_container(reply, 'v', type) > 0);
        if (str_eq(type, "t")) {
                assert_true(sd_bus_message_read_basic(reply, 't', &wide) > 0);
                return wide;
        }
        assert_true(sd_bus_message_read_basic(reply, type[0], &narrow) > 0);
        return (uint64_t) (int64_t) narrow;
}

/** manager_vm_count() - property VmCount */
uint32_t manager_vm_count(sd_bus *bus) {
        uint32_t count;

        assert_true(sd_bus_get_property_trivial(bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                                VIVARIUM_MANAGER_INTERFACE, "VmCount", NULL, 'u',
                                                &count) >= 0);
        return count;
}

static void read_text(sd_bus_message *message, char *buf, size_t size) {
        const char *text;

        assert_true(sd_bus_message_read(message, "v", "s", &text) > 0);
        (void) snprintf(buf, size, "%s", text);
}

static size_t read_bytes(sd_bus_message *message, char *buf, size_t size) {
        const void *data;
        size_t len;

        assert_true(sd_bus_message_enter_container(message, 'v', "ay") > 0);
        assert_true(sd_bus_message_read_array(message, 'y', &data, &len) >= 0);
        assert_true(sd_bus_message_exit_container(message) >= 0);
        assert_true(len < size);
        memcpy(buf, len > 0 ? data : "", len);
        buf[len] = '\0';
        return len;
}

/* Whether @key is one of those that are read here, and then reads it. */
static bool read_entry(sd_bus_message *message, const char *key, Record *record) {
        const struct {
                const char *key;
                char *buf;
                size_t size;
        } texts[] = {{"reason", record->reason, sizeof(record->reason)},
                     {"system-call", record->system_call, sizeof(record->system_call)},
                     {"message", record->message, sizeof(record->message)},
                     {"failure-text", record->text, sizeof(record->text)},
                     {"failure-info", record->info, sizeof(record->info)},
                     {"stop-requested-by", record->by, sizeof(record->by)},
                     {"stop-step", record->step, sizeof(record->step)}};
        const struct {
                const char *key, *type;
                void *value;
        } numbers[] = {{"code", "i", &record->code},
                       {"exit-status", "i", &record->exit_status},
                       {"exit-signal", "i", &record->exit_signal},
                       {"failure-bytes", "t", &record->failure_bytes},
                       {"run-time-usec", "t", &record->run_time_usec},
                       {"rss-peak-bytes", "t", &record->rss_peak},
                       {"rss-guest-peak-bytes", "t", &record->rss_guest_peak},
                       {"rss-vmm-peak-bytes", "t", &record->rss_vmm_peak},
                       {"stop-requested-uid", "u", &record->by_uid},
                       {"stop-requested-pid", "u", &record->by_pid}};

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (str_eq(texts[i].key, key)) {
                        read_text(message, texts[i].buf, texts[i].size);
                        return true;
                }
        for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
                if (str_eq(numbers[i].key, key)) {
                        assert_true(sd_bus_message_read(message, "v", numbers[i].type,
                                                        numbers[i].value) > 0);
                        return true;
                }
        if (str_eq(key, "console-tail"))
                record->console_len = read_bytes(message, record->console, sizeof(record->console));
        else if (str_eq(key, "stderr-tail"))
                record->err_len = read_bytes(message, record->err, sizeof(record->err));
        else
                return false;
        return true;
}

/** record_read() - an a{sv} from @message, which stands before it */
void record_read(sd_bus_message *message, Record *ret) {
        *ret = (Record){.code = -1, .exit_status = -1, .exit_signal = -1};
        assert_true(sd_bus_message_enter_container(message, 'a', "{sv}") > 0);
        while (sd_bus_message_enter_container(message, 'e', "sv") > 0) {
                const char *key;

                assert_true(sd_bus_message_read_basic(message, 's', &key) > 0);
                if (!read_entry(message, key, ret))
                        assert_true(sd_bus_message_skip(message, "v") >= 0);
                assert_true(sd_bus_message_exit_container(message) >= 0);
        }
        assert_true(sd_bus_message_exit_container(message) >= 0);
}

/* The words that Died does not tell; an object that is gone has none to give. */
static void read_whole_record(BusHost *host, const char *path, Record *record) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

        if (sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, path,
                               "org.freedesktop.DBus.Properties", "Get", NULL, &reply, "ss",
                               VIVARIUM_VM_INTERFACE, "DeathRecord") < 0)
                return;
        assert_true(sd_bus_message_enter_container(reply, 'v', "a{sv}") > 0);
        record_read(reply, record);
}

/** vm_wait_death() - wait for Died of @path; its arguments and the record agree */
void vm_wait_death(BusHost *host, const char *path, Record *ret) {
        sd_bus_message *died = bus_host_wait_signal(host, "Died", path);
        const char *reason;
        int32_t code;

        assert_true(sd_bus_message_read(died, "si", &reason, &code) > 0);
        record_read(died, ret);
        assert_string_equal(ret->text, "");
        assert_int_equal(ret->console_len, 0);
        assert_string_equal(ret->reason, reason);
        assert_int_equal(ret->code, code);
        read_whole_record(host, path, ret);
        assert_string_equal(ret->reason, reason);
        assert_int_equal(ret->code, code);
}

static size_t count_entries(const char *path) {
        DIR *dir = opendir(path);
        size_t n = 0;

        if (!dir)
                return 0;
        while (readdir(dir))
                n++;
        (void) closedir(dir);
        return n - 2;
}

static size_t count_words(const char *path) {
        _cleanup_(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
        _cleanup_(freep) char *text = NULL;
        size_t n = 0;

        assert_true(fd >= 0);
        assert_int_equal(fd_read_bounded(fd, 65536, &text, NULL), 0);
        for (const char *p = text; *p; p++)
                n += *p == ' ';
        return n;
}

/* Whether all threads but the first, which is the loop, wait for something to do: what works on a file runs, or is in D. */
static bool helpers_sleep(const BusHost *host) {
        const struct dirent *entry;
        bool sleep = true;
        char path[96];
        DIR *dir;

        (void) snprintf(path, sizeof(path), "/proc/%d/task", host->daemon_pid);
        dir = opendir(path);
        assert_non_null(dir);
        while ((entry = readdir(dir))) {
                _cleanup_(fd_closep) int fd = -EBADF;
                char text[512] = {0};

                if (entry->d_name[0] == '.' || atoi(entry->d_name) == host->daemon_pid)
                        continue;
                (void) snprintf(path, sizeof(path), "/proc/%d/task/%.16s/stat", host->daemon_pid,
                                entry->d_name);
                fd = open(path, O_RDONLY | O_CLOEXEC);
                if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
                        sleep &= strstr(text, ") S ") != NULL;
        }
        (void) closedir(dir);
        return sleep;
}

/* What a helper has done, the loop is told, and may give it more to do. */
static void wait_for_helpers(const BusHost *host) {
        uint64_t deadline = clock_monotonic_usec() + HOST_TIMEOUT_USEC;

        for (unsigned i = 0; i < 3; i++) {
                assert_true(sd_bus_call_method(host->bus, VIVARIUM_BUS_NAME, VIVARIUM_MANAGER_PATH,
                                               "org.freedesktop.DBus.Peer", "Ping", NULL, NULL,
                                               NULL) >= 0);
                while (!helpers_sleep(host))
                        assert_true(clock_monotonic_usec() < deadline);
        }
}

/** daemon_holdings() - descriptors, children, files and memory of the daemon at this moment, between two jobs of its worker */
Holdings daemon_holdings(const BusHost *host) {
        char path[96];
        Holdings holdings = {0};
        unsigned long pages = 0;
        FILE *file;

        wait_for_helpers(host);
        (void) snprintf(path, sizeof(path), "/proc/%d/fd", host->daemon_pid);
        holdings.fds = count_entries(path);
        (void) snprintf(path, sizeof(path), "/proc/%d/task/%d/children", host->daemon_pid,
                        host->daemon_pid);
        holdings.children = count_words(path);
        (void) snprintf(path, sizeof(path), "%s/vm", host->runtime);
        holdings.files = count_entries(path);
        (void) snprintf(path, sizeof(path), "/proc/%d/statm", host->daemon_pid);
        file = fopen(path, "re");
        assert_non_null(file);
        assert_int_equal(fscanf(file, "%*u %lu", &pages), 1);
        (void) fclose(file);
        holdings.rss_bytes = (uint64_t) pages * (uint64_t) sysconf(_SC_PAGESIZE);
        return holdings;
}

/** assert_same_holdings() - all but memory, which the allocator may keep */
void assert_same_holdings(const Holdings *before, const Holdings *after) {
        assert_int_equal(after->fds, before->fds);
        assert_int_equal(after->children, before->children);
        assert_int_equal(after->files, before->files);
}
