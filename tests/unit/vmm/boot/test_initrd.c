/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tests/fake/vmm_kernel_image.h"
#include "vmm/boot/initrd.h"

static int load(uint64_t ram, const LoadedKernel *kernel, size_t size, Initrd *ret,
                TextError *error) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        _cleanup_(freep) char *data = calloc(1, size);
        _cleanup_(image_file_deinit) ImageFile file = {0};
        int r;

        assert_non_null(data);
        data[0] = 'a';
        data[size - 1] = 'z';
        assert_int_equal(guest_mem_new(ram, &mem), 0);
        file = kernel_image_file(data, size);
        r = initrd_load(&file, mem, kernel, ret, error);
        if (r >= 0)
                assert_memory_equal(guest_mem_ptr(mem, ret->gpa, size), data, size);
        return r;
}

static void test_it_goes_to_the_top_of_low_ram(void **state) {
        const LoadedKernel kernel = {.end = 0x2000000, .initrd_addr_max = 0x7fffffff};
        Initrd initrd;

        assert_int_equal(load(64 << 20, &kernel, 5000, &initrd, NULL), 0);
        assert_int_equal(initrd.gpa, (64 << 20) - 8192);
        assert_int_equal(initrd.size, 5000);
}

static void test_it_stays_below_what_the_kernel_can_reach(void **state) {
        const LoadedKernel kernel = {.end = 0x2000000, .initrd_addr_max = 0x37ffffff};
        Initrd initrd;

        assert_int_equal(load(UINT64_C(6) << 30, &kernel, 4096, &initrd, NULL), 0);
        assert_int_equal(initrd.gpa, 0x37fff000);
}

static void test_it_fits_exactly_or_not_at_all(void **state) {
        const LoadedKernel kernel = {.end = 0x3ffe001, .initrd_addr_max = 0x7fffffff};
        const LoadedKernel beyond = {.end = 0x8000000, .initrd_addr_max = 0x7fffffff};
        _cleanup_(text_error_deinit) TextError error = {0};
        Initrd initrd;

        assert_int_equal(load(64 << 20, &kernel, 4096, &initrd, &error), 0);
        assert_int_equal(initrd.gpa, 0x3fff000);
        assert_int_equal(load(64 << 20, &kernel, 4097, &initrd, &error), -EFBIG);
        assert_non_null(strstr(error.message, "its 4097 bytes do not fit"));
        assert_int_equal(load(64 << 20, &beyond, 1, &initrd, NULL), -EFBIG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_it_goes_to_the_top_of_low_ram),
                cmocka_unit_test(test_it_stays_below_what_the_kernel_can_reach),
                cmocka_unit_test(test_it_fits_exactly_or_not_at_all),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
