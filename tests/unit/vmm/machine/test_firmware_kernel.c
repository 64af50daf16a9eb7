/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <asm/bootparam.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "tests/fake/vmm_kernel_image.h"
#include "vmm/boot/kernel.h"
#include "vmm/firmware/kernel_rom.h"
#include "vmm/machine/machine_internal.h"
#include "vmm/mem/memmap.h"

#define INITRD_SIZE 5000u
#define FIRMWARE_RESERVED (UINT64_C(1) << 20)

typedef struct Fixture {
        Bus *pio;
        GuestMem *mem;
        FwCfg *fw;
        StrBuf image;
        int kernel_fd, initrd_fd;
        char kernel[64], initrd[64];
        TextError error;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        log_set_level(LOG_LEVEL_ERROR);
        if (!f || bus_new("pio", &f->pio) < 0 || guest_mem_new(KERNEL_IMAGE_RAM, &f->mem) < 0 ||
            fw_cfg_new(f->pio, f->mem, &f->fw) < 0)
                return -1;
        f->kernel_fd = f->initrd_fd = -EBADF;
        kernel_image_make(&f->image, UNPACK_FORMAT_GZIP);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        (void) fw_cfg_free(f->fw);
        (void) bus_free(f->pio);
        (void) guest_mem_free(f->mem);
        (void) fd_close(f->kernel_fd);
        (void) fd_close(f->initrd_fd);
        strbuf_deinit(&f->image);
        text_error_deinit(&f->error);
        free(f);
        return 0;
}

static struct setup_header *header(Fixture *f) {
        return (struct setup_header *) (void *) (f->image.data + SETUP_HEADER_OFFSET);
}

static int make_file(const void *data, size_t len, char path[static 64]) {
        const int fd = fd_memfd_from("file", data, len);

        assert_true(fd >= 0);
        assert_int_equal(fd_set_cloexec(fd, false), 0);
        snprintf(path, 64, "/proc/self/fd/%d", fd);
        return fd;
}

static void give_initrd(Fixture *f, size_t size) {
        void *bytes = calloc(1, size);

        assert_non_null(bytes);
        f->initrd_fd = make_file(bytes, size, f->initrd);
        free(bytes);
}

static int try_serve(Fixture *f) {
        const BootConfig boot = {
                .mem = f->mem,
                .kernel = f->kernel,
                .initrd = f->initrd_fd >= 0 ? f->initrd : NULL,
        };

        f->kernel_fd = make_file(f->image.data, f->image.len, f->kernel);
        return machine_serve_kernel(f->fw, &boot, &f->error);
}

static void serve(Fixture *f) {
        if (try_serve(f) < 0)
                fail_msg("%s", text_error_message(&f->error, -EIO));
}

static void read_item(Fixture *f, unsigned key, void *to, size_t len) {
        bus_write(f->pio, IOPORT_FW_CFG, 2, key);
        for (size_t i = 0; i < len; i++)
                ((uint8_t *) to)[i] = (uint8_t) bus_read(f->pio, IOPORT_FW_CFG + 1, 1);
}

static uint32_t read_number(Fixture *f, unsigned key) {
        uint32_t value = 0;

        read_item(f, key, &value, sizeof(value));
        return value;
}

static struct setup_header read_header(Fixture *f) {
        uint8_t setup[BZIMAGE_HEAD_SIZE];
        struct setup_header seen;

        read_item(f, FW_CFG_SETUP_DATA, setup, sizeof(setup));
        memcpy(&seen, setup + SETUP_HEADER_OFFSET, sizeof(seen));
        return seen;
}

/* The ROM is the only file here. */
static bool has_rom(Fixture *f) {
        uint8_t directory[12 + sizeof(KERNEL_ROM_FILE)];

        read_item(f, FW_CFG_FILE_DIR, directory, sizeof(directory));
        return directory[3] == 1 &&
               memcmp(directory + 12, KERNEL_ROM_FILE, sizeof(KERNEL_ROM_FILE)) == 0;
}

static void test_a_bios_is_told_where_the_parts_of_a_kernel_belong(void **state) {
        Fixture *f = *state;
        const uint32_t setup_size = (header(f)->setup_sects + 1u) * 512;
        uint32_t initrd;

        give_initrd(f, INITRD_SIZE);
        serve(f);
        initrd = read_number(f, FW_CFG_INITRD_ADDR);
        assert_true(has_rom(f));
        assert_int_equal(read_number(f, FW_CFG_SETUP_ADDR), KERNEL_ROM_SETUP);
        assert_int_equal(read_number(f, FW_CFG_SETUP_SIZE), setup_size);
        assert_int_equal(read_number(f, FW_CFG_CMDLINE_ADDR), KERNEL_ROM_CMDLINE);
        assert_int_equal(read_number(f, FW_CFG_KERNEL_ADDR), MEMMAP_HIMEM_START);
        assert_int_equal(read_number(f, FW_CFG_KERNEL_SIZE), f->image.len - setup_size);
        assert_int_equal(initrd % MEMMAP_PAGE_SIZE, 0);
        assert_in_range(initrd, KERNEL_IMAGE_TEXT + KERNEL_IMAGE_INIT_SIZE,
                        KERNEL_IMAGE_RAM - FIRMWARE_RESERVED - INITRD_SIZE);
}

static void test_the_setup_header_is_filled_in_for_it_alone(void **state) {
        Fixture *f = *state;
        struct setup_header seen, expected = *header(f);

        give_initrd(f, INITRD_SIZE);
        serve(f);
        seen = read_header(f);
        expected.type_of_loader = 0xff;
        expected.loadflags |= CAN_USE_HEAP;
        expected.heap_end_ptr = 0xfe00;
        expected.cmd_line_ptr = KERNEL_ROM_CMDLINE;
        expected.ramdisk_image = read_number(f, FW_CFG_INITRD_ADDR);
        expected.ramdisk_size = INITRD_SIZE;
        assert_memory_equal(&seen, &expected, sizeof(seen));
}

static void test_without_an_initrd_the_header_has_none(void **state) {
        Fixture *f = *state;

        serve(f);
        assert_true(has_rom(f));
        assert_int_equal(read_number(f, FW_CFG_INITRD_SIZE), 0);
        assert_int_equal(read_header(f).ramdisk_size, 0);
}

static void test_an_initrd_is_not_above_what_the_kernel_allows(void **state) {
        Fixture *f = *state;

        header(f)->initrd_addr_max = KERNEL_IMAGE_RAM / 4 * 3 - 1;
        give_initrd(f, INITRD_SIZE);
        serve(f);
        assert_int_equal(read_number(f, FW_CFG_INITRD_ADDR), KERNEL_IMAGE_RAM / 4 * 3 - 8192);
}

/* Firmware that places the parts itself may still find room. */
static void assert_only_for_uefi(Fixture *f) {
        const struct setup_header original = *header(f);
        struct setup_header seen;

        serve(f);
        seen = read_header(f);
        assert_false(has_rom(f));
        assert_int_equal(read_number(f, FW_CFG_SETUP_ADDR), 0);
        assert_memory_equal(&seen, &original, sizeof(seen));
        assert_true(read_number(f, FW_CFG_KERNEL_SIZE) > 0);
}

static void test_an_initrd_without_room_in_low_memory_is_not_for_a_bios(void **state) {
        Fixture *f = *state;

        give_initrd(f, KERNEL_IMAGE_RAM - KERNEL_IMAGE_TEXT - KERNEL_IMAGE_INIT_SIZE);
        assert_only_for_uefi(f);
}

static void test_an_old_kernel_is_not_for_a_bios(void **state) {
        Fixture *f = *state;

        header(f)->version = 0x0205;
        assert_only_for_uefi(f);
}

static void test_a_kernel_that_loads_low_is_not_for_a_bios(void **state) {
        Fixture *f = *state;

        header(f)->loadflags = 0;
        assert_only_for_uefi(f);
}

static void test_setup_code_without_room_for_its_heap_is_not_for_a_bios(void **state) {
        Fixture *f = *state;
        static const uint8_t more[0x20000];

        strbuf_append_bytes(&f->image, more, sizeof(more));
        header(f)->setup_sects = 64;
        assert_only_for_uefi(f);
}

static void test_a_file_shorter_than_its_setup_code_is_truncated(void **state) {
        Fixture *f = *state;

        header(f)->setup_sects = 255;
        f->image.len = MIN(f->image.len, (size_t) 255 * 512);
        assert_int_equal(try_serve(f), -ENODATA);
        assert_non_null(strstr(f->error.message, f->kernel));
        assert_non_null(strstr(f->error.message, "truncated"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_bios_is_told_where_the_parts_of_a_kernel_belong),
                TEST(test_the_setup_header_is_filled_in_for_it_alone),
                TEST(test_without_an_initrd_the_header_has_none),
                TEST(test_an_initrd_is_not_above_what_the_kernel_allows),
                TEST(test_an_initrd_without_room_in_low_memory_is_not_for_a_bios),
                TEST(test_an_old_kernel_is_not_for_a_bios),
                TEST(test_a_kernel_that_loads_low_is_not_for_a_bios),
                TEST(test_setup_code_without_room_for_its_heap_is_not_for_a_bios),
                TEST(test_a_file_shorter_than_its_setup_code_is_truncated),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
