/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "config/crosvm_vfio_flags.h"

#define PATH "/sys/bus/pci/devices/0000:03:00.0"

static void test_a_function_is_a_path_and_maybe_an_address(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig config;
        _cleanup_(freep) char *text = NULL, *more = NULL;

        vmm_config_init(&config);
        assert_int_equal(crosvm_vfio_parse(&config, PATH, NULL), 0);
        assert_int_equal(crosvm_vfio_parse(&config, PATH ",iommu=off,guest-address=00:1e.0", NULL),
                         0);
        assert_int_equal(config.n_vfios, 2);
        assert_string_equal(config.vfios[0].path, PATH);
        assert_int_equal(config.vfios[0].pci_slot, 0);
        assert_int_equal(config.vfios[1].pci_slot, 30);
        assert_int_equal(vmm_config_pci_slots(&config), UINT32_C(1) << 30);
        assert_int_equal(crosvm_vfio_emit(&config.vfios[0], &text), 0);
        assert_string_equal(text, "path=" PATH);
        assert_int_equal(crosvm_vfio_emit(&config.vfios[1], &more), 0);
        assert_string_equal(more, "path=" PATH ",guest-address=00:1e.0");
}

static void test_there_are_so_many_and_no_more(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig config;
        _cleanup_(text_error_deinit) TextError why = {0};

        vmm_config_init(&config);
        for (unsigned i = 0; i < VMM_VFIOS_MAX; i++)
                assert_int_equal(crosvm_vfio_parse(&config, PATH, NULL), 0);
        assert_int_equal(crosvm_vfio_parse(&config, PATH, &why), -EINVAL);
        assert_non_null(strstr(why.message, "more than 8"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_function_is_a_path_and_maybe_an_address),
                cmocka_unit_test(test_there_are_so_many_and_no_more),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
