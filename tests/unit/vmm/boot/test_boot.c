/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "tests/fake/vmm_kernel_image.h"
#include "vmm/boot/boot.h"
#include "vmm/mem/memmap.h"

/* A file that exists as a descriptor only, under the path that names it. */
typedef struct NamedFd {
        int fd;
        char path[32];
} NamedFd;

static void named_fd_init(NamedFd *named, const void *data, size_t len) {
        named->fd = fd_memfd_from("image", data, len);
        assert_in_range(named->fd, 0, 1 << 20);
        assert_int_equal(fd_set_cloexec(named->fd, false), 0); /* as an inherited one */
        (void) snprintf(named->path, sizeof(named->path), "/proc/self/fd/%d", named->fd);
}

static void named_fd_deinit(NamedFd *named) {
        (void) fd_close(named->fd);
}

static BootConfig config_for(const GuestMem *mem, const char *kernel, const char *initrd) {
        return (BootConfig){
                .mem = mem,
                .board = {.n_vcpus = 1, .threads_per_core = 1, .com = {true}},
                .kernel = kernel,
                .initrd = initrd,
                .console = "ttyS0",
        };
}

static void test_a_whole_boot_is_laid_out(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        _cleanup_(strbuf_deinit) StrBuf image = {0};
        _cleanup_(named_fd_deinit) NamedFd kernel, initrd;
        BootConfig config;
        BootEntry entry;

        assert_int_equal(guest_mem_new(KERNEL_IMAGE_RAM, &mem), 0);
        kernel_image_make(&image, UNPACK_FORMAT_ZSTD);
        named_fd_init(&kernel, image.data, image.len);
        named_fd_init(&initrd, "070701", 6);
        config = config_for(mem, kernel.path, initrd.path);
        assert_int_equal(boot_load(&config, &entry, NULL), 0);
        assert_int_equal(entry.registers.rip, KERNEL_IMAGE_TEXT);
        assert_memory_equal(guest_mem_ptr(mem, KERNEL_IMAGE_RAM - 4096, 6), "070701", 6);
        assert_string_equal(guest_mem_ptr(mem, MEMMAP_BOOT_CMDLINE, 64), "panic=-1 console=ttyS0");
        assert_memory_equal(guest_mem_ptr(mem, MEMMAP_ACPI_BASE, 8), "RSD PTR ", 8);
        assert_memory_equal(guest_mem_ptr(mem, MEMMAP_SMBIOS_BASE, 5), "_SM3_", 5);
}

static void assert_refused(const BootConfig *config, int r, const char *words) {
        _cleanup_(text_error_deinit) TextError error = {0};
        BootEntry entry;

        assert_int_equal(boot_load(config, &entry, &error), r);
        assert_non_null(error.message);
        if (!strstr(error.message, words))
                fail_msg("\"%s\" does not say \"%s\"", error.message, words);
        assert_null(strchr(error.message, '\n'));
}

static void test_errors_name_the_file_and_the_cause(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        _cleanup_(strbuf_deinit) StrBuf image = {0};
        _cleanup_(named_fd_deinit) NamedFd kernel, text, empty;
        BootConfig config;

        assert_int_equal(guest_mem_new(KERNEL_IMAGE_RAM, &mem), 0);
        kernel_image_make(&image, UNPACK_FORMAT_UNKNOWN);
        named_fd_init(&kernel, image.data, image.len);
        named_fd_init(&text, "#!/bin/sh\n", 10);
        named_fd_init(&empty, "", 0);

        config = config_for(mem, "/nonexistent", NULL);
        assert_refused(&config, -ENOENT, "loading kernel /nonexistent: No such file or directory");
        config = config_for(mem, "/", NULL);
        assert_refused(&config, -EISDIR, "loading kernel /: Is a directory");
        config = config_for(mem, text.path, NULL);
        assert_refused(&config, -ENOEXEC, "(/memfd:image (deleted)): it is too short to be");
        config = config_for(mem, empty.path, NULL);
        assert_refused(&config, -ENODATA, "the file is empty");
        config = config_for(mem, kernel.path, "/nonexistent");
        assert_refused(&config, -ENOENT, "loading initrd /nonexistent: No such file");
        config = config_for(mem, kernel.path, empty.path);
        assert_refused(&config, -ENODATA, "loading initrd");
}

static void test_a_real_kernel_is_unpacked(void **state) {
        const char *path = getenv("VIVARIUM_TEST_KERNEL");
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        _cleanup_(text_error_deinit) TextError error = {0};
        BootConfig config;
        BootEntry entry;
        int r;

        if (!path || *path == '\0') {
                print_message("VIVARIUM_TEST_KERNEL names no kernel\n");
                skip();
        }
        assert_int_equal(guest_mem_new(256 << 20, &mem), 0);
        config = config_for(mem, path, NULL);
        r = boot_load(&config, &entry, &error);
        if (r < 0)
                fail_msg("%s", text_error_message(&error, r));
        /* Linux' 64-bit entry point is where its text starts, on a page boundary; the stub's is not. */
        assert_int_equal(entry.registers.rip % 4096, 0);
        assert_non_null(memmem(guest_mem_ptr(mem, entry.registers.rip, 64 << 20), 64 << 20,
                               "Linux version ", 14));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_whole_boot_is_laid_out),
                cmocka_unit_test(test_errors_name_the_file_and_the_cause),
                cmocka_unit_test(test_a_real_kernel_is_unpacked),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
