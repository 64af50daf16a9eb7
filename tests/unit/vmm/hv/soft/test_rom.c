/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tests/fake/vmm_tiny_guest.h"
#include "vmm/hv/soft/soft.h"
#include "vmm/mem/memmap.h"

#define STOP_PORT 0x10u
#define HIDE_PORT 0x11u
#define SHOW_PORT 0x12u
#define RESULT_PORT 0x13u
#define ROM_BYTE 0x5au
#define FLASH_STATUS 0x80u
#define WRITTEN 0x40u

/* With DS 0xffff, offset 0x10 is the first byte above 1 MiB. */
static const uint8_t code[] = {
        0xb8, 0xff,      0xff, 0x8e, 0xd8,        /* mov $0xffff, %ax; mov %ax, %ds */
        0xa0, 0x10,      0x00, 0xe6, HIDE_PORT,   /* mov 0x10, %al; out %al, $HIDE_PORT */
        0xa0, 0x10,      0x00, 0xe6, SHOW_PORT,   /* the same */
        0xb0, WRITTEN,   0xa2, 0x10, 0x00,        /* mov $WRITTEN, %al; mov %al, 0x10 */
        0xa0, 0x10,      0x00, 0xe6, RESULT_PORT, /* mov 0x10, %al; out */
        0xe6, STOP_PORT, 0xf4,                    /* out; hlt */
};

static uint8_t rom[MEMMAP_PAGE_SIZE] __attribute__((aligned(MEMMAP_PAGE_SIZE)));
static unsigned rom_index;

/* A flash chip: hides its memory on one port and shows it on another, from the vCPU's access. */
static void write_port(void *machine, uint16_t port, unsigned size, uint64_t value) {
        TinyGuest *guest = machine;
        unsigned n = atomic_fetch_add(&guest->n_events, 1);

        guest->events[n] = (TinyEvent){TINY_PIO_WRITE, port, value, size};
        if (port == STOP_PORT)
                atomic_store(&guest->stop, true);
        if (port == HIDE_PORT || port == SHOW_PORT)
                assert_int_equal(guest->partition->ops->show_rom(guest->partition, rom_index,
                                                                 port == SHOW_PORT),
                                 0);
}

/* A partition learns of ROM when it is built; RAM ends where this ROM begins. */
static void rebuild(TinyGuest *guest) {
        const HvConfig config = {.n_vcpus = 1, .threads_per_core = 1};
        ProtoPartition *proto;

        (void) guest->partition->ops->free(guest->partition);
        guest->partition = NULL;
        (void) guest_mem_free(guest->mem);
        guest->mem = NULL;
        assert_int_equal(guest_mem_new(MEMMAP_HIMEM_START, &guest->mem), 0);
        assert_int_equal(
                guest_mem_add_rom(guest->mem, MEMMAP_HIMEM_START, rom, sizeof(rom), &rom_index), 0);
        assert_int_equal(soft_hv_ops.proto_new(&config, &proto, NULL), 0);
        assert_int_equal(soft_hv_ops.proto_build(proto, guest->mem, &guest->partition, NULL), 0);
}

static uint64_t value_of(const TinyGuest *guest, unsigned kind, uint64_t address) {
        for (unsigned i = 0; i < guest->n_events; i++)
                if (guest->events[i].kind == kind && guest->events[i].address == address)
                        return guest->events[i].value;
        fail_msg("no access of kind %u to 0x%llx", kind, (unsigned long long) address);
        return 0;
}

static void test_reads_come_from_memory_unless_hidden_and_writes_go_to_the_bus(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = NULL;

        memset(rom, ROM_BYTE, sizeof(rom));
        assert_int_equal(tiny_guest_new(&soft_hv_ops, 1, &guest, NULL), 0);
        rebuild(guest);
        guest->io.pio_write = write_port;
        guest->read_value = FLASH_STATUS;
        assert_int_equal(tiny_guest_start(guest, code, sizeof(code)), 0);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);

        assert_int_equal(value_of(guest, TINY_PIO_WRITE, HIDE_PORT), ROM_BYTE);
        assert_int_equal(value_of(guest, TINY_PIO_WRITE, SHOW_PORT), FLASH_STATUS);
        assert_int_equal(value_of(guest, TINY_MMIO_READ, MEMMAP_HIMEM_START), FLASH_STATUS);
        assert_int_equal(value_of(guest, TINY_MMIO_WRITE, MEMMAP_HIMEM_START), WRITTEN);
        assert_int_equal(value_of(guest, TINY_PIO_WRITE, RESULT_PORT), ROM_BYTE);
        assert_int_equal(rom[0], ROM_BYTE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(
                        test_reads_come_from_memory_unless_hidden_and_writes_go_to_the_bus),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
