/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "vmm/firmware/fw_cfg.h"
#include "vmm/mem/memmap.h"

#define RAM (UINT64_C(2) << 20)
#define REQUEST 0x1000u
#define TARGET 0x2000u
#define PORT_DATA (IOPORT_FW_CFG + 1)
#define PORT_DMA (IOPORT_FW_CFG + 4)

#define DMA_ERROR 1u
#define DMA_READ 2u
#define DMA_SKIP 4u
#define DMA_SELECT 8u
#define DMA_WRITE 16u

typedef struct Fixture {
        Bus *pio;
        GuestMem *mem;
        FwCfg *fw;
        unsigned n_filled;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        if (!f || bus_new("pio", &f->pio) < 0 || guest_mem_new(RAM, &f->mem) < 0 ||
            fw_cfg_new(f->pio, f->mem, &f->fw) < 0)
                return -1;
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        (void) fw_cfg_free(f->fw);
        (void) bus_free(f->pio);
        (void) guest_mem_free(f->mem);
        free(f);
        return 0;
}

static void select_key(Fixture *f, uint16_t key) {
        bus_write(f->pio, IOPORT_FW_CFG, 2, key);
}

static uint64_t next_byte(Fixture *f) {
        return bus_read(f->pio, PORT_DATA, 1);
}

/* Return: the control word as the device left it. */
static uint32_t dma(Fixture *f, uint32_t control, uint32_t length, uint64_t address) {
        const struct {
                uint32_t control, length;
                uint64_t address;
        } request = {htobe32(control), htobe32(length), htobe64(address)};
        uint32_t after = 0;

        assert_int_equal(guest_mem_write(f->mem, REQUEST, &request, sizeof(request)), 0);
        bus_write(f->pio, PORT_DMA, 4, 0);
        bus_write(f->pio, PORT_DMA + 4, 4, htobe32(REQUEST));
        assert_int_equal(guest_mem_read(f->mem, REQUEST, &after, sizeof(after)), 0);
        return be32toh(after);
}

static void test_the_device_is_known_by_its_signatures(void **state) {
        Fixture *f = *state;

        select_key(f, FW_CFG_SIGNATURE);
        for (const char *c = "QEMU"; *c; c++)
                assert_int_equal(next_byte(f), *c);
        assert_int_equal(bus_read(f->pio, PORT_DMA, 4), 0x554d4551); /* "QEMU" */
        assert_int_equal(bus_read(f->pio, PORT_DMA + 4, 4), 0x47464320);
        select_key(f, FW_CFG_ID);
        assert_int_equal(next_byte(f), 3);
}

static void test_what_is_not_there_and_what_is_behind_the_end_reads_as_zeros(void **state) {
        Fixture *f = *state;
        uint8_t byte = 0xff;

        select_key(f, 0x7777);
        assert_int_equal(next_byte(f), 0);
        assert_int_equal(fw_cfg_add(f->fw, 0x30, "ab", 2), 0);
        select_key(f, 0x30);
        assert_int_equal(next_byte(f), 'a');
        assert_int_equal(next_byte(f), 'b');
        for (unsigned i = 0; i < 10; i++)
                assert_int_equal(next_byte(f), 0);
        assert_int_equal(guest_mem_write(f->mem, TARGET + 5, &byte, 1), 0);
        assert_int_equal(dma(f, 0x30u << 16 | DMA_SELECT | DMA_READ, 5, TARGET), 0);
        assert_memory_equal(guest_mem_ptr(f->mem, TARGET, 6), "ab\0\0\0\xff", 6);
}

static void test_the_directory_lists_files_with_size_and_key(void **state) {
        Fixture *f = *state;
        uint32_t word;
        uint16_t key;

        assert_int_equal(fw_cfg_add_file(f->fw, "opt/a", "12345", 5), 0);
        assert_int_equal(fw_cfg_add_file(f->fw, "opt/b", "6", 1), 0);
        assert_int_equal(
                dma(f, (uint32_t) FW_CFG_FILE_DIR << 16 | DMA_SELECT | DMA_READ, 132, TARGET), 0);
        assert_int_equal(guest_mem_read(f->mem, TARGET, &word, 4), 0);
        assert_int_equal(be32toh(word), 2);
        assert_int_equal(guest_mem_read(f->mem, TARGET + 4, &word, 4), 0);
        assert_int_equal(be32toh(word), 5);
        assert_string_equal(guest_mem_ptr(f->mem, TARGET + 12, 56), "opt/a");
        assert_int_equal(guest_mem_read(f->mem, TARGET + 8, &key, 2), 0);
        select_key(f, be16toh(key));
        assert_int_equal(next_byte(f), '1');
        assert_string_equal(guest_mem_ptr(f->mem, TARGET + 76, 56), "opt/b");
}

static void test_names_and_numbers_of_files_have_limits(void **state) {
        Fixture *f = *state;
        char name[FW_CFG_NAME_SIZE + 1];

        memset(name, 'n', sizeof(name));
        name[FW_CFG_NAME_SIZE] = '\0';
        assert_int_equal(fw_cfg_add_file(f->fw, name, "", 0), -EINVAL);
        assert_int_equal(fw_cfg_add_file(f->fw, "", "", 0), -EINVAL);
        assert_int_equal(fw_cfg_add_file(f->fw, name + 1, "", 0), 0);
        assert_int_equal(fw_cfg_add_file(f->fw, name + 1, "", 0), -EEXIST);
        for (unsigned i = 1; i < FW_CFG_FILES_MAX; i++) {
                (void) snprintf(name, sizeof(name), "f%u", i);
                assert_int_equal(fw_cfg_add_file(f->fw, name, "x", 1), 0);
        }
        assert_int_equal(fw_cfg_add_file(f->fw, "one more", "", 0), -ENOSPC);
}

static void test_dma_into_what_is_not_ram_fails_and_nothing_else(void **state) {
        static const struct {
                uint64_t address;
                uint32_t length;
        } bad[] = {
                {RAM - 1, 2}, {RAM, 1}, {UINT64_MAX, 1}, {UINT64_MAX - 3, 8}, {0, UINT32_MAX},
        };
        Fixture *f = *state;

        assert_int_equal(fw_cfg_add(f->fw, 0x30, "ab", 2), 0);
        select_key(f, 0x30);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(dma(f, DMA_READ, bad[i].length, bad[i].address), DMA_ERROR);
        assert_int_equal(next_byte(f), 'a');
        /* The request itself is not in RAM: there is nobody to tell. */
        bus_write(f->pio, PORT_DMA, 4, 0xffffffff);
        bus_write(f->pio, PORT_DMA + 4, 4, 0xffffffff);
        assert_int_equal(next_byte(f), 'b');
}

static void test_dma_skips_and_refuses_to_write(void **state) {
        Fixture *f = *state;

        assert_int_equal(fw_cfg_add(f->fw, 0x30, "abcd", 4), 0);
        assert_int_equal(dma(f, 0x30u << 16 | DMA_SELECT | DMA_SKIP, 2, 0), 0);
        assert_int_equal(dma(f, DMA_WRITE, 1, TARGET), DMA_ERROR);
        assert_int_equal(next_byte(f), 'c');
        assert_int_equal(dma(f, DMA_SKIP, UINT32_MAX, 0), 0);
        assert_int_equal(next_byte(f), 0);
        assert_int_equal(dma(f, DMA_SKIP, UINT32_MAX, 0), 0);
        assert_int_equal(next_byte(f), 0);
}

static void test_an_image_is_read_from_its_file(void **state) {
        Fixture *f = *state;
        const int fd = memfd_create("image", 0);
        const ImageFile image = {.fd = fd, .size = 10};

        assert_int_equal(pwrite(fd, "0123456789", 10, 0), 10);
        assert_int_equal(fw_cfg_add_image(f->fw, 0x30, &image, 2, 9), -EINVAL);
        assert_int_equal(fw_cfg_add_image(f->fw, 0x30, &image, 2, 5), 0);
        select_key(f, 0x30);
        assert_int_equal(next_byte(f), '2');
        assert_int_equal(dma(f, DMA_READ, 6, TARGET), 0);
        assert_memory_equal(guest_mem_ptr(f->mem, TARGET, 6), "3456\0\0", 6);
        assert_int_equal(ftruncate(fd, 3), 0);
        assert_int_equal(dma(f, 0x30u << 16 | DMA_SELECT | DMA_READ, 5, TARGET), 0);
        assert_memory_equal(guest_mem_ptr(f->mem, TARGET, 5), "\0\0\0\0\0", 5);
        (void) fd_close(fd);
}

static void fill(void *userdata, uint8_t *data, size_t size) {
        Fixture *f = userdata;

        f->n_filled++;
        memset(data, 'f', size);
}

static void test_a_late_file_is_filled_once_when_it_is_selected(void **state) {
        Fixture *f = *state;

        assert_int_equal(fw_cfg_add_file_late(f->fw, "late", 3, fill, f), 0);
        assert_int_equal(f->n_filled, 0);
        for (unsigned i = 0; i < 2; i++) {
                select_key(f, FW_CFG_FILE_FIRST);
                assert_int_equal(next_byte(f), 'f');
                assert_int_equal(f->n_filled, 1);
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_the_device_is_known_by_its_signatures),
                TEST(test_what_is_not_there_and_what_is_behind_the_end_reads_as_zeros),
                TEST(test_the_directory_lists_files_with_size_and_key),
                TEST(test_names_and_numbers_of_files_have_limits),
                TEST(test_dma_into_what_is_not_ram_fails_and_nothing_else),
                TEST(test_dma_skips_and_refuses_to_write),
                TEST(test_an_image_is_read_from_its_file),
                TEST(test_a_late_file_is_filled_once_when_it_is_selected),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
