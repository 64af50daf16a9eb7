/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text_error.h"
#include "tests/fake/vmm_vfio_kernel.h"
#include "vmm/vfio/vfio_internal.h"

#define LINK(name) "devices/" FAKE_VFIO_ADDRESS "/" name

static int setup(void **state) {
        *state = fake_vfio_new();
        return 0;
}

static int teardown(void **state) {
        fake_vfio_free(*state);
        return 0;
}

static void expect_refused(const char *path, int error, const char *text) {
        _cleanup_(text_error_deinit) TextError why = {0};
        VfioHostFunction host;

        assert_int_equal(vfio_host_find(path, &host, &why), error);
        assert_non_null(strstr(text_error_message(&why, error), text));
}

static void test_a_function_that_vfio_has_is_found_through_any_link(void **state) {
        const FakeVfio *fake = *state;
        _cleanup_(text_error_deinit) TextError why = {0};
        VfioHostFunction host;
        char path[256];

        assert_int_equal(vfio_host_find(fake->path, &host, &why), 0);
        assert_string_equal(host.address, FAKE_VFIO_ADDRESS);
        assert_int_equal(host.group, FAKE_VFIO_GROUP);
        (void) snprintf(path, sizeof(path), "%s/groups/7/devices/" FAKE_VFIO_ADDRESS, fake->dir);
        assert_int_equal(vfio_host_find(path, &host, &why), 0);
        assert_string_equal(host.address, FAKE_VFIO_ADDRESS);
}

static void test_a_driver_of_the_host_is_named_with_what_to_do(void **state) {
        const FakeVfio *fake = *state;

        fake_vfio_link(fake, "../../nvme", LINK("driver"));
        expect_refused(fake->path, -EBUSY, "belongs to the host's driver nvme");
        expect_refused(fake->path, -EBUSY, "driverctl set-override " FAKE_VFIO_ADDRESS);
        fake_vfio_link(fake, NULL, LINK("driver"));
        expect_refused(fake->path, -ENODEV, "bound to no driver");
}

static void test_a_host_without_iommu_is_refused(void **state) {
        const FakeVfio *fake = *state;
        char path[256];
        int fd;

        (void) snprintf(path, sizeof(path), "%s/groups/7/name", fake->dir);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, "vfio-noiommu\n", 13), 13);
        (void) close(fd);
        expect_refused(fake->path, -EPERM, "noiommu");
        fake_vfio_link(fake, NULL, LINK("iommu_group"));
        expect_refused(fake->path, -ENODEV, "intel_iommu=on");
        fake_vfio_link(fake, "../../nvme", LINK("iommu_group"));
        expect_refused(fake->path, -ENODEV, "intel_iommu=on");
}

static void test_what_is_no_pci_function_is_refused(void **state) {
        const FakeVfio *fake = *state;

        expect_refused("/nowhere", -ENOENT, "No such file");
        expect_refused(fake->dir, -EINVAL, "no PCI function");
        fake_vfio_link(fake, "../../nvme", LINK("subsystem"));
        expect_refused(fake->path, -EINVAL, "no PCI function");
}

static void test_the_others_of_a_group_are_named(void **state) {
        const FakeVfio *fake = *state;
        char text[128], cut[19];

        vfio_host_describe_group(fake->path, text, sizeof(text));
        assert_string_equal(text, "");
        fake_vfio_link(fake, "../../nvme", LINK("driver"));
        vfio_host_describe_group(fake->path, text, sizeof(text));
        assert_string_equal(text, FAKE_VFIO_ADDRESS " (nvme)");
        vfio_host_describe_group(fake->path, cut, sizeof(cut));
        assert_string_equal(cut, FAKE_VFIO_ADDRESS " (nvme");
        vfio_host_describe_group("/nowhere", text, sizeof(text));
        assert_string_equal(text, "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(
                        test_a_function_that_vfio_has_is_found_through_any_link, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_driver_of_the_host_is_named_with_what_to_do,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_host_without_iommu_is_refused, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_what_is_no_pci_function_is_refused, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_the_others_of_a_group_are_named, setup,
                                                teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
