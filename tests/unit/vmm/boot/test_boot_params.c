/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <asm/bootparam.h>
#include <string.h>

#include "vmm/boot/boot_params.h"
#include "vmm/boot/e820.h"
#include "vmm/mem/memmap.h"

typedef struct Written {
        GuestMem *mem;
        struct boot_params params;
} Written;

static void written_deinit(Written *written) {
        (void) guest_mem_free(written->mem);
}

static void write_params(Written *written, const LoadedKernel *kernel, const Initrd *initrd) {
        const BootParamsConfig config = {
                .kernel = kernel, .initrd = initrd, .cmdline = "panic=-1 x", .rsdp = 0xe0000};

        assert_int_equal(guest_mem_new(256 << 20, &written->mem), 0);
        assert_int_equal(boot_params_write(written->mem, &config), 0);
        assert_int_equal(guest_mem_read(written->mem, MEMMAP_BOOT_PARAMS, &written->params,
                                        sizeof(written->params)),
                         0);
}

static void test_a_vmlinux_gets_a_header_made_for_it(void **state) {
        _cleanup_(written_deinit) Written written = {0};
        const LoadedKernel kernel = {.cmdline_max = 2047, .initrd_addr_max = 0x7fffffff};
        const Initrd none = {0};
        char line[16];

        write_params(&written, &kernel, &none);
        assert_int_equal(written.params.hdr.boot_flag, 0xaa55);
        assert_int_equal(written.params.hdr.header, 0x53726448);
        assert_int_equal(written.params.hdr.type_of_loader, 0xff);
        assert_int_equal(written.params.hdr.ramdisk_size, 0);
        assert_int_equal(written.params.acpi_rsdp_addr, 0xe0000);
        assert_int_equal(
                guest_mem_read(written.mem, written.params.hdr.cmd_line_ptr, line, sizeof(line)),
                0);
        assert_string_equal(line, "panic=-1 x");
}

static void test_a_bzimage_keeps_its_own_header(void **state) {
        _cleanup_(written_deinit) Written written = {0};
        const Initrd initrd = {.gpa = 0x5000000, .size = 0x1234};
        LoadedKernel kernel = {.setup_header_size = 0x7b};

        kernel.setup_header[0] = 39;
        kernel.setup_header[0x206 - SETUP_HEADER_OFFSET] = 0x0f;
        kernel.setup_header[0x207 - SETUP_HEADER_OFFSET] = 0x02;
        kernel.setup_header[0x26b - SETUP_HEADER_OFFSET] = 0x77;
        write_params(&written, &kernel, &initrd);
        assert_int_equal(written.params.hdr.setup_sects, 39);
        assert_int_equal(written.params.hdr.version, 0x020f);
        assert_int_equal(((const uint8_t *) &written.params)[0x26b], 0x77);
        assert_int_equal(written.params.hdr.type_of_loader, 0xff);
        assert_int_equal(written.params.hdr.ramdisk_image, 0x5000000);
        assert_int_equal(written.params.hdr.ramdisk_size, 0x1234);
}

static void test_the_memory_map_is_passed(void **state) {
        _cleanup_(written_deinit) Written written = {0};
        const LoadedKernel kernel = {0};
        const Initrd none = {0};
        E820Entry entries[E820_ENTRIES_MAX];
        size_t n;

        write_params(&written, &kernel, &none);
        n = e820_build(written.mem, entries);
        assert_int_equal(written.params.e820_entries, n);
        for (size_t i = 0; i < n; i++) {
                assert_int_equal(written.params.e820_table[i].addr, entries[i].gpa);
                assert_int_equal(written.params.e820_table[i].size, entries[i].size);
                assert_int_equal(written.params.e820_table[i].type, entries[i].type);
        }
}

static void test_each_guest_gets_a_seed_of_its_own(void **state) {
        _cleanup_(written_deinit) Written a = {0}, b = {0};
        const LoadedKernel kernel = {0};
        const Initrd none = {0};
        struct setup_data data;
        uint8_t seed_a[32], seed_b[32];

        write_params(&a, &kernel, &none);
        write_params(&b, &kernel, &none);
        assert_int_equal(guest_mem_read(a.mem, a.params.hdr.setup_data, &data, sizeof(data)), 0);
        assert_int_equal(data.next, 0);
        assert_int_equal(data.type, 9);
        assert_in_range(data.len, 32, 256);
        assert_int_equal(guest_mem_read(a.mem, a.params.hdr.setup_data + 16, seed_a, 32), 0);
        assert_int_equal(guest_mem_read(b.mem, b.params.hdr.setup_data + 16, seed_b, 32), 0);
        assert_memory_not_equal(seed_a, seed_b, 32);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_vmlinux_gets_a_header_made_for_it),
                cmocka_unit_test(test_a_bzimage_keeps_its_own_header),
                cmocka_unit_test(test_the_memory_map_is_passed),
                cmocka_unit_test(test_each_guest_gets_a_seed_of_its_own),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
