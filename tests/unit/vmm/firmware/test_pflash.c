/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "vmm/firmware/flash.h"
#include "vmm/mem/memmap.h"

#define SIZE 16384u
#define BLOCK 4096u
#define BASE (MEMMAP_HIGH_RAM_BASE - SIZE)
#define READY 0x80u

typedef struct Fixture {
        int fd;
        char path[32];
        Bus *mmio;
        GuestMem *mem;
        Partition partition;
        Pflash *flash;
} Fixture;

static bool shown = true;

static int show_rom(Partition *partition, unsigned rom, bool show) {
        assert_int_equal(rom, 0);
        assert_int_not_equal(show, shown); /* each change is told once */
        shown = show;
        return 0;
}

static const PartitionOps partition_ops = {.show_rom = show_rom};

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        static uint8_t bytes[SIZE];

        memset(bytes, 0xff, sizeof(bytes));
        bytes[0] = 0x5a;
        shown = true;
        if (!f)
                return -1;
        f->fd = memfd_create("flash", MFD_ALLOW_SEALING);
        if (f->fd < 0 || pwrite(f->fd, bytes, sizeof(bytes), 0) != sizeof(bytes))
                return -1;
        f->partition.ops = &partition_ops;
        (void) snprintf(f->path, sizeof(f->path), "/proc/self/fd/%d", f->fd);
        if (f->fd < 0 || fd_set_cloexec(f->fd, false) < 0 || bus_new("mmio", &f->mmio) < 0 ||
            guest_mem_new(UINT64_C(2) << 20, &f->mem) < 0 ||
            pflash_new(f->path, BLOCK, MEMMAP_HIGH_RAM_BASE, f->mem, &f->flash, NULL) < 0 ||
            pflash_connect(f->flash, f->mmio, &f->partition) < 0)
                return -1;
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        (void) pflash_free(f->flash);
        (void) bus_free(f->mmio);
        (void) guest_mem_free(f->mem);
        (void) fd_close(f->fd);
        free(f);
        return 0;
}

static void put(Fixture *f, uint32_t at, uint8_t value) {
        bus_write(f->mmio, BASE + at, 1, value);
}

static uint8_t get(Fixture *f, uint32_t at) {
        return (uint8_t) bus_read(f->mmio, BASE + at, 1);
}

static uint8_t in_file(Fixture *f, uint32_t at) {
        uint8_t byte = 0;

        assert_int_equal(pread(f->fd, &byte, 1, at), 1);
        return byte;
}

static void test_the_guest_reads_memory_until_a_command_and_after_read_array(void **state) {
        Fixture *f = *state;

        assert_int_equal(f->mem->n_roms, 1);
        assert_int_equal(f->mem->roms[0].gpa, BASE);
        assert_int_equal(f->mem->roms[0].host[0], 0x5a);
        put(f, 0, 0x70);
        assert_false(shown);
        put(f, 0, 0xff);
        assert_true(shown);
}

/* OVMF: after "clear status" the chip reads as before, and its status as 0. */
static void test_firmware_recognises_the_chip(void **state) {
        Fixture *f = *state;

        put(f, 0, 0x50);
        assert_true(shown);
        put(f, 0, 0x70);
        assert_int_equal(get(f, 0), 0);
        put(f, 0, 0xff);
}

static void test_programming_clears_bits_and_erasing_sets_them_in_the_file_too(void **state) {
        Fixture *f = *state;

        put(f, BLOCK + 1, 0x10);
        put(f, BLOCK + 1, 0xf0);
        assert_int_equal(get(f, 0), READY);
        assert_int_equal(in_file(f, BLOCK + 1), 0xf0);
        put(f, BLOCK + 1, 0x40);
        put(f, BLOCK + 1, 0x3c);
        assert_int_equal(in_file(f, BLOCK + 1), 0x30);
        assert_int_equal(f->mem->roms[0].host[BLOCK + 1], 0x30);
        put(f, BLOCK + 77, 0x20);
        put(f, BLOCK + 77, 0xd0);
        assert_int_equal(get(f, 0), READY);
        assert_int_equal(in_file(f, BLOCK + 1), 0xff);
        assert_int_equal(in_file(f, 0), 0x5a);
        put(f, 0, 0xff);
}

static void test_what_the_file_does_not_take_is_an_error_and_not_in_memory(void **state) {
        Fixture *f = *state;

        assert_int_equal(fcntl(f->fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
        put(f, 0, 0x10);
        put(f, 0, 0);
        assert_int_equal(get(f, 0), READY | 0x10);
        assert_int_equal(f->mem->roms[0].host[0], 0x5a);
        put(f, 0, 0x50);
        put(f, 0, 0x20);
        put(f, 0, 0xd0);
        assert_int_equal(get(f, 0), READY | 0x20);
        assert_int_equal(f->mem->roms[0].host[0], 0x5a);
        put(f, 0, 0xff);
}

static void test_an_erase_that_is_not_confirmed_is_an_error_and_does_nothing(void **state) {
        Fixture *f = *state;

        put(f, 0, 0x20);
        put(f, 0, 0xff);
        assert_int_equal(get(f, 0) & 0x30, 0x30);
        assert_int_equal(in_file(f, 0), 0x5a);
        put(f, 0, 0x50);
        put(f, 0, 0x70);
        assert_int_equal(get(f, 0), 0);
        put(f, 0, 0xff);
}

static void test_the_buffer_is_written_as_a_whole(void **state) {
        Fixture *f = *state;

        put(f, BLOCK, 0xe8);
        assert_int_equal(get(f, BLOCK), READY);
        put(f, BLOCK, 1); /* two bytes */
        put(f, BLOCK + 2, 0x11);
        put(f, BLOCK + 3, 0x22);
        assert_int_equal(in_file(f, BLOCK + 2), 0xff);
        put(f, BLOCK, 0xd0);
        assert_int_equal(in_file(f, BLOCK + 2), 0x11);
        assert_int_equal(in_file(f, BLOCK + 3), 0x22);
        put(f, 0, 0xff);
}

static void test_a_buffer_that_is_too_long_or_leaves_its_block_is_refused(void **state) {
        Fixture *f = *state;

        put(f, 0, 0xe8);
        put(f, 0, 0xff); /* 256 bytes */
        assert_int_equal(get(f, 0) & 0x30, 0x30);
        put(f, 0, 0x50);
        put(f, 0, 0xe8);
        put(f, 0, 0);
        put(f, BLOCK, 0);
        assert_int_equal(get(f, 0) & 0x30, 0x30);
        assert_int_equal(in_file(f, BLOCK), 0xff);
        put(f, 0, 0xff);
}

static void test_the_query_describes_the_chip(void **state) {
        Fixture *f = *state;

        put(f, 0x55, 0x98);
        assert_int_equal(get(f, 0x10), 'Q');
        assert_int_equal(get(f, 0x11), 'R');
        assert_int_equal(get(f, 0x12), 'Y');
        assert_int_equal(get(f, 0x13), 1);
        assert_int_equal(get(f, 0x27), 14); /* 2^14 bytes */
        assert_int_equal(get(f, 0x2d), SIZE / BLOCK - 1);
        assert_int_equal(get(f, 0x2f), BLOCK / 256);
        assert_int_equal(bus_read(f->mmio, BASE + 0x2d, 4), BLOCK / 256 << 16 | 3);
        put(f, 0, 0xff);
}

static void test_one_file_serves_one_chip(void **state) {
        Fixture *f = *state;
        char path[] = "/tmp/test_pflash.XXXXXX";
        const int fd = mkstemp(path);
        _cleanup_(pflash_freep) Pflash *first = NULL, *second = NULL;
        _cleanup_(text_error_deinit) TextError error = {0};

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, BLOCK), 0);
        assert_int_equal(pflash_new(path, BLOCK, BASE, f->mem, &first, &error), 0);
        assert_int_equal(pflash_new(path, BLOCK, BASE - BLOCK, f->mem, &second, &error), -EBUSY);
        assert_non_null(strstr(text_error_message(&error, 0), "in use by another process"));
        (void) unlink(path);
        (void) fd_close(fd);
}

static void test_files_that_are_no_flash_are_refused(void **state) {
        Fixture *f = *state;
        _cleanup_(pflash_freep) Pflash *other = NULL;

        (void) pflash_free(TAKE(f->flash));
        assert_int_equal(ftruncate(f->fd, BLOCK + 1), 0);
        assert_int_equal(pflash_new(f->path, BLOCK, BASE, f->mem, &other, NULL), -EINVAL);
        assert_int_equal(ftruncate(f->fd, 0), 0);
        assert_int_equal(pflash_new(f->path, BLOCK, BASE, f->mem, &other, NULL), -EINVAL);
        assert_int_equal(ftruncate(f->fd, FIRMWARE_SIZE_MAX + BLOCK), 0);
        assert_int_equal(pflash_new(f->path, BLOCK, BASE, f->mem, &other, NULL), -EINVAL);
        assert_int_equal(pflash_new("/dev/null", BLOCK, BASE, f->mem, &other, NULL), -EINVAL);
        assert_int_equal(pflash_new("/nonexistent", BLOCK, BASE, f->mem, &other, NULL), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_the_guest_reads_memory_until_a_command_and_after_read_array),
                TEST(test_firmware_recognises_the_chip),
                TEST(test_programming_clears_bits_and_erasing_sets_them_in_the_file_too),
                TEST(test_what_the_file_does_not_take_is_an_error_and_not_in_memory),
                TEST(test_an_erase_that_is_not_confirmed_is_an_error_and_does_nothing),
                TEST(test_the_buffer_is_written_as_a_whole),
                TEST(test_a_buffer_that_is_too_long_or_leaves_its_block_is_refused),
                TEST(test_the_query_describes_the_chip),
                TEST(test_one_file_serves_one_chip),
                TEST(test_files_that_are_no_flash_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
