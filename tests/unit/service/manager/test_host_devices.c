/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/str.h"
#include "config/assignable.h"
#include "service/manager/host_devices.h"

/*
 * A folder with the list and a sysfs of a host: two PCI functions, one of them with a driver; a function of another
 * subsystem; and things in the places of devices that are none.
 */

#define PCI "/devices/pci0000:00/"

typedef struct Host {
        char dir[32], sysfs[64], list[64];
        HostDevices devices;
        TextError error;
} Host;

static const char *at(const Host *host, const char *path) {
        static char text[4][256];
        static unsigned turn;
        char *p = text[turn++ % ELEMENTSOF(text)];

        (void) snprintf(p, sizeof(*text), "%s%s", host->sysfs, path);
        return p;
}

static void make_dirs(const Host *host, const char *const *dirs, size_t n) {
        for (size_t i = 0; i < n; i++)
                assert_int_equal(mkdir(at(host, dirs[i]), 0700), 0);
}

static void write_file(const char *path, const char *text, size_t len) {
        _cleanup_(fd_closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, text, len), 0);
}

static int setup(void **state) {
        static const char *const dirs[] = {"",
                                           "/bus",
                                           "/bus/pci",
                                           "/bus/pci/devices",
                                           "/devices",
                                           "/devices/pci0000:00",
                                           PCI "0000:00:04.0",
                                           PCI "0000:00:05.0",
                                           PCI "0000:00:06.0",
                                           PCI "0000:00:07.0",
                                           PCI "0000:00:04.0/0000:00:04.0:pcie001",
                                           "/elsewhere",
                                           "/elsewhere/0000:00:08.0"};
        static const char *const links[][2] = {
                {"../../../bus/pci", PCI "0000:00:04.0/subsystem"},
                {"../../../bus/pci", PCI "0000:00:05.0/subsystem"},
                {"../../../bus/platform", PCI "0000:00:06.0/subsystem"},
                {"../../../../bus/pci", PCI "0000:00:04.0/0000:00:04.0:pcie001/subsystem"},
                {"../../bus/pci", "/elsewhere/0000:00:08.0/subsystem"},
                {"../../../bus/pci/drivers/vfio-pci", PCI "0000:00:05.0/driver"},
                {"../../.." PCI "0000:00:04.0", "/bus/pci/devices/0000:00:04.0"},
                {"../../.." PCI "0000:00:05.0", "/bus/pci/devices/0000:00:05.0"},
                {"../../.." PCI "0000:00:09.0", "/bus/pci/devices/0000:00:09.0"},
                {"loop", "/bus/pci/devices/loop"},
        };
        Host *host = calloc(1, sizeof(*host));

        assert_non_null(host);
        (void) snprintf(host->dir, sizeof(host->dir), "/tmp/vivarium-devices.XXXXXX");
        assert_non_null(mkdtemp(host->dir));
        (void) snprintf(host->sysfs, sizeof(host->sysfs), "%s/sys", host->dir);
        (void) snprintf(host->list, sizeof(host->list), "%s/list.json", host->dir);
        make_dirs(host, dirs, ELEMENTSOF(dirs));
        for (size_t i = 0; i < ELEMENTSOF(links); i++)
                assert_int_equal(symlink(links[i][0], at(host, links[i][1])), 0);
        *state = host;
        return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

static int teardown(void **state) {
        Host *host = *state;

        host_devices_deinit(&host->devices);
        text_error_deinit(&host->error);
        assert_int_equal(nftw(host->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
        free(host);
        return 0;
}

static int load_text(Host *host, const char *text, size_t len) {
        host_devices_deinit(&host->devices);
        write_file(host->list, text, len);
        return host_devices_load(host->list, host->sysfs, &host->devices, &host->error);
}

/* Loads a list of paths in sysfs. */
static void load_paths(Host *host, const char *const *paths, size_t n) {
        char text[4096];
        size_t len = (size_t) snprintf(text, sizeof(text), "{\"devices\": [");

        for (size_t i = 0; i < n; i++)
                len += (size_t) snprintf(text + len, sizeof(text) - len,
                                         "%s{\"sysfs_path\": \"%s%s\", \"kind\": \"kind %zu\"}",
                                         i > 0 ? ", " : "", host->sysfs, paths[i], i);
        len += (size_t) snprintf(text + len, sizeof(text) - len, "]}");
        assert_true(len < sizeof(text));
        assert_int_equal(load_text(host, text, len), 0);
}

#define LOAD(host, ...)                                                                            \
        load_paths(host, (const char *const[]){__VA_ARGS__},                                       \
                   ELEMENTSOF(((const char *const[]){__VA_ARGS__})))

static void test_a_function_is_known_by_its_address_and_driver(void **state) {
        Host *host = *state;
        const HostDevice *device;

        LOAD(host, "/bus/pci/devices/0000:00:05.0", PCI "0000:00:04.0");
        assert_int_equal(host->devices.n, 2);
        device = &host->devices.items[0];
        assert_string_equal(device->address, "0000:00:05.0");
        assert_string_equal(device->listed, at(host, "/bus/pci/devices/0000:00:05.0"));
        assert_string_equal(device->path, at(host, "/bus/pci/devices/0000:00:05.0"));
        assert_string_equal(device->kind, "kind 0");
        assert_string_equal(device->driver, "vfio-pci");
        device = &host->devices.items[1];
        assert_string_equal(device->address, "0000:00:04.0");
        assert_string_equal(device->listed, at(host, PCI "0000:00:04.0"));
        assert_string_equal(device->path, at(host, "/bus/pci/devices/0000:00:04.0"));
        assert_string_equal(device->kind, "kind 1");
        assert_string_equal(device->driver, "");
}

static void test_what_is_listed_twice_counts_once_by_whatever_way(void **state) {
        Host *host = *state;

        LOAD(host, PCI "0000:00:04.0", PCI "0000:00:04.0", "/bus/pci/devices/0000:00:04.0",
             PCI "./0000:00:05.0/../0000:00:04.0/", "/bus/pci/devices/0000:00:05.0");
        assert_int_equal(host->devices.n, 2);
        assert_string_equal(host->devices.items[0].kind, "kind 0");
        assert_string_equal(host->devices.items[1].address, "0000:00:05.0");
}

static void test_what_is_not_there_is_left_out(void **state) {
        Host *host = *state;

        /* nowhere; a link that dangles, and one that is its own end; below a file */
        LOAD(host, PCI "0000:00:1f.0", "/bus/pci/devices/0000:00:09.0", "/bus/pci/devices/loop",
             "/../list.json/0000:00:04.0", PCI "0000:00:04.0");
        assert_int_equal(host->devices.n, 1);
        assert_string_equal(host->devices.items[0].address, "0000:00:04.0");
}

static void test_what_is_no_pci_function_is_left_out(void **state) {
        Host *host = *state;

        /* of another subsystem; of none; a port's service; the bus; where no devices are; out of sysfs */
        LOAD(host, PCI "0000:00:06.0", PCI "0000:00:07.0", PCI "0000:00:04.0/0000:00:04.0:pcie001",
             "/devices/pci0000:00", "/elsewhere/0000:00:08.0", "/bus/pci/devices", "", "/..",
             "/../../../etc/passwd");
        assert_int_equal(host->devices.n, 0);
}

/* Its name begins as that of sysfs does. */
static void test_a_neighbour_of_sysfs_is_none_of_it(void **state) {
        static const char *const dirs[] = {"2", "2/devices", "2/devices/0000:00:04.0"};
        Host *host = *state;

        make_dirs(host, dirs, ELEMENTSOF(dirs));
        assert_int_equal(symlink("../../bus/pci", at(host, "2/devices/0000:00:04.0/subsystem")), 0);
        LOAD(host, "2/devices/0000:00:04.0");
        assert_int_equal(host->devices.n, 0);
        assert_int_equal(symlink("../../sys2/devices/0000:00:04.0", at(host, "/devices/out")), 0);
        LOAD(host, "/devices/out");
        assert_int_equal(host->devices.n, 0);
}

static void test_sysfs_may_be_a_link_itself(void **state) {
        Host *host = *state;
        char link[64];

        (void) snprintf(link, sizeof(link), "%s/link", host->dir);
        assert_int_equal(symlink("sys", link), 0);
        (void) snprintf(host->sysfs, sizeof(host->sysfs), "%s", link);
        LOAD(host, PCI "0000:00:04.0");
        assert_int_equal(host->devices.n, 1);
        assert_string_equal(host->devices.items[0].path, at(host, "/bus/pci/devices/0000:00:04.0"));
}

static void test_clients_name_a_device_as_it_is_listed_or_by_its_address_only(void **state) {
        Host *host = *state;
        const HostDevice *device;

        LOAD(host, PCI "0000:00:05.0/../0000:00:04.0");
        assert_int_equal(host->devices.n, 1);
        device = &host->devices.items[0];
        assert_ptr_equal(
                host_devices_find(&host->devices, at(host, PCI "0000:00:05.0/../0000:00:04.0")),
                device);
        assert_ptr_equal(
                host_devices_find(&host->devices, at(host, "/bus/pci/devices/0000:00:04.0")),
                device);
        /* Paths that lead there as well, or to what is not listed. */
        assert_null(host_devices_find(&host->devices, at(host, PCI "0000:00:04.0")));
        assert_null(host_devices_find(&host->devices, at(host, "/bus/pci/devices/0000:00:04.0/")));
        assert_null(host_devices_find(&host->devices, at(host, "/bus/pci/devices/0000:00:05.0")));
        assert_null(host_devices_find(&host->devices, "0000:00:04.0"));
        assert_null(host_devices_find(&host->devices, ""));
}

static void test_without_the_file_there_are_none(void **state) {
        Host *host = *state;
        char below[96];

        assert_int_equal(host_devices_load(host->list, host->sysfs, &host->devices, &host->error),
                         0);
        assert_int_equal(host->devices.n, 0);
        host_devices_deinit(&host->devices);
        write_file(host->list, "", 0);
        (void) snprintf(below, sizeof(below), "%s/list.json", host->list);
        assert_int_equal(host_devices_load(below, host->sysfs, &host->devices, &host->error), 0);
        assert_int_equal(host->devices.n, 0);
        assert_null(host_devices_find(&host->devices, "/sys"));
}

static void test_a_wrong_file_is_told_by_its_name(void **state) {
        static const char *const wrong[] = {
                "",
                "{",
                "[]",
                "{\"devices\": 1}",
                "{\"devices\": [{\"sysfs_path\": \"a\"}]}",
                "{\"devices\": []} x",
        };
        Host *host = *state;

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                assert_int_equal(load_text(host, wrong[i], strlen(wrong[i])), -EINVAL);
                assert_non_null(str_after_prefix(host->error.message, host->list));
                assert_int_equal(host->devices.n, 0);
                text_error_deinit(&host->error);
        }
}

static void test_a_file_that_is_too_large_or_none_is_refused(void **state) {
        static char blank[ASSIGNABLE_JSON_MAX + 1];
        Host *host = *state;

        memset(blank, ' ', sizeof(blank));
        memcpy(blank, "{}", 2);
        assert_int_equal(load_text(host, blank, sizeof(blank)), -EFBIG);
        assert_non_null(str_after_prefix(host->error.message, host->list));
        text_error_deinit(&host->error);
        assert_int_equal(host_devices_load(host->dir, host->sysfs, &host->devices, &host->error),
                         -EISDIR);
        assert_non_null(str_after_prefix(host->error.message, host->dir));
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_a_function_is_known_by_its_address_and_driver),
                TEST(test_what_is_listed_twice_counts_once_by_whatever_way),
                TEST(test_what_is_not_there_is_left_out),
                TEST(test_what_is_no_pci_function_is_left_out),
                TEST(test_a_neighbour_of_sysfs_is_none_of_it),
                TEST(test_sysfs_may_be_a_link_itself),
                TEST(test_clients_name_a_device_as_it_is_listed_or_by_its_address_only),
                TEST(test_without_the_file_there_are_none),
                TEST(test_a_wrong_file_is_told_by_its_name),
                TEST(test_a_file_that_is_too_large_or_none_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
