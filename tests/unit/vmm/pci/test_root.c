/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/fake/vmm_virtio_driver.h"
#include "vmm/pci/pci.h"

/* A function with two memory BARs and one for I/O, which remembers the last access. */
typedef struct TestDevice {
        PciDevice pci;
        unsigned bar, size, n_moves;
        uint64_t offset, value;
} TestDevice;

static uint64_t device_read(PciDevice *pci, unsigned bar, uint64_t offset, unsigned size) {
        TestDevice *dev = (TestDevice *) pci;

        dev->bar = bar;
        dev->offset = offset;
        dev->size = size;
        return UINT64_C(0x1122334455667788);
}

static void device_write(PciDevice *pci, unsigned bar, uint64_t offset, unsigned size,
                         uint64_t value) {
        TestDevice *dev = (TestDevice *) pci;

        dev->bar = bar;
        dev->offset = offset;
        dev->size = size;
        dev->value = value;
}

static void device_moved(PciDevice *pci, unsigned bar) {
        ((TestDevice *) pci)->n_moves++;
}

static PciDevice *device_free(PciDevice *pci) {
        pci_device_deinit(pci);
        free(pci);
        return NULL;
}

static const PciDeviceOps device_ops = {
        .name = "test",
        .bar_read = device_read,
        .bar_write = device_write,
        .bar_moved = device_moved,
        .free = device_free,
};

static TestDevice *add_device(FakeBoard *board, unsigned slot) {
        TestDevice *dev = calloc(1, sizeof(*dev));
        const PciIds ids = {.vendor = 0x1234,
                            .device = 0x5678,
                            .class_code = 0xff0102,
                            .revision = 3,
                            .intx = true};

        assert_non_null(dev);
        pci_device_init(&dev->pci, &device_ops, &ids);
        assert_int_equal(pci_device_add_bar(&dev->pci, 0, PCI_BAR_MEM64, 0x4000), 0);
        assert_int_equal(pci_device_add_bar(&dev->pci, 2, PCI_BAR_MEM32, 0x1000), 0);
        assert_int_equal(pci_device_add_bar(&dev->pci, 3, PCI_BAR_IO, 0x20), 0);
        assert_int_equal(pci_root_add(board->root, &dev->pci, slot), 0);
        return dev;
}

static int setup(void **state) {
        *state = fake_board_new(0);
        return 0;
}

static int teardown(void **state) {
        fake_board_free(*state);
        return 0;
}

static void test_ecam_shows_bridge_devices_and_empty_slots(void **state) {
        FakeBoard *board = *state;

        add_device(board, 4);
        assert_int_equal(fake_config_read(board, 0, PCI_CLASS + 1, 2), 0x0600);
        assert_int_equal(fake_config_read(board, 4, PCI_VENDOR_ID, 4), 0x56781234);
        assert_int_equal(fake_config_read(board, 4, PCI_REVISION, 4), 0xff010203);
        assert_int_equal(fake_config_read(board, 4, PCI_DEVICE_ID, 1), 0x78);
        assert_int_equal(fake_config_read(board, 4, PCI_INTERRUPT_LINE, 2), 0x0100 + 20);
        assert_int_equal(fake_config_read(board, 5, PCI_VENDOR_ID, 4), 0xffffffff);
        /* Firmware's chipset is for firmware alone. */
        assert_int_equal(fake_config_read(board, PCI_SLOT_LPC, PCI_VENDOR_ID, 4), 0xffffffff);
        /* Past conventional configuration space, and the second function. */
        assert_int_equal(fake_config_read(board, 4, 0x100, 4), 0xffffffff);
        assert_int_equal(fake_config_read(board, 4, 0x1000, 2), 0xffff);
        assert_int_equal(bus_read(board->mmio, MEMMAP_ECAM_BASE + (4 << 15), 8), UINT64_MAX);
}

static void test_ports_reach_the_same_configuration_space(void **state) {
        FakeBoard *board = *state;

        add_device(board, 4);
        bus_write(board->pio, 0xcf8, 4, 0x80002000);
        assert_int_equal(bus_read(board->pio, 0xcf8, 4), 0x80002000);
        assert_int_equal(bus_read(board->pio, 0xcfc, 4), 0x56781234);
        assert_int_equal(bus_read(board->pio, 0xcfe, 2), 0x5678);
        bus_write(board->pio, 0xcf8, 4, 0x8000200c);
        bus_write(board->pio, 0xcfd, 1, 0x40);
        assert_int_equal(fake_config_read(board, 4, PCI_CACHE_LINE_SIZE, 2), 0x4000);
        /* Disabled, another bus, a function, and narrow accesses to the address. */
        bus_write(board->pio, 0xcf8, 4, 0x00002000);
        assert_int_equal(bus_read(board->pio, 0xcfc, 4), 0xffffffff);
        bus_write(board->pio, 0xcf8, 4, 0x80012000);
        assert_int_equal(bus_read(board->pio, 0xcfc, 4), 0xffffffff);
        bus_write(board->pio, 0xcf8, 4, 0x80002100);
        assert_int_equal(bus_read(board->pio, 0xcfc, 4), 0xffffffff);
        bus_write(board->pio, 0xcfb, 1, 1);
        assert_int_equal(bus_read(board->pio, 0xcf8, 4), 0x80002100);
}

static void test_read_only_bits_survive_any_write(void **state) {
        FakeBoard *board = *state;
        TestDevice *dev = add_device(board, 1);

        for (unsigned offset = 0; offset < PCI_CONFIG_SIZE; offset += 4)
                fake_config_write(board, 1, offset, 4, 0xffffffff);
        assert_int_equal(fake_config_read(board, 1, PCI_VENDOR_ID, 4), 0x56781234);
        assert_int_equal(fake_config_read(board, 1, PCI_REVISION, 4), 0xff010203);
        assert_int_equal(fake_config_read(board, 1, PCI_HEADER_TYPE, 1), 0);
        assert_int_equal(fake_config_read(board, 1, PCI_STATUS, 2), 0);
        assert_int_equal(fake_config_read(board, 1, 0x40, 4), 0);
        assert_int_equal(dev->pci.config[PCI_INTERRUPT_PIN], 1);
}

static void test_bars_are_sized_by_writing_ones(void **state) {
        FakeBoard *board = *state;

        add_device(board, 1);
        fake_config_write(board, 1, 0x10, 4, 0xffffffff);
        fake_config_write(board, 1, 0x14, 4, 0xffffffff);
        fake_config_write(board, 1, 0x18, 4, 0xffffffff);
        fake_config_write(board, 1, 0x1c, 4, 0xffffffff);
        assert_int_equal(fake_config_read(board, 1, 0x10, 4), 0xffffc004);
        assert_int_equal(fake_config_read(board, 1, 0x14, 4), 0xffffffff);
        assert_int_equal(fake_config_read(board, 1, 0x18, 4), 0xfffff000);
        assert_int_equal(fake_config_read(board, 1, 0x1c, 4), 0xffffffe1);
        assert_int_equal(fake_config_read(board, 1, 0x20, 4), 0);
}

static void test_bars_are_placed_apart_and_decode_once_enabled(void **state) {
        FakeBoard *board = *state;
        TestDevice *a = add_device(board, 1), *b = add_device(board, 2);
        uint64_t at = fake_config_read(board, 2, 0x18, 4) & ~0xfu;

        assert_true(at >= MEMMAP_PCI32_BASE);
        assert_int_equal(fake_config_read(board, 1, 0x14, 4), FAKE_MEM64_BASE >> 32);
        assert_int_not_equal(at, fake_config_read(board, 1, 0x18, 4) & ~0xfu);
        assert_int_equal(bus_read(board->mmio, at + 8, 4), 0xffffffff);

        fake_config_write(board, 2, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
        assert_int_equal(bus_read(board->mmio, at + 8, 4), 0x55667788);
        assert_int_equal(b->bar, 2);
        assert_int_equal(b->offset, 8);
        assert_int_equal(a->size, 0);
        /* I/O was not enabled; an access across the end belongs to nobody. */
        assert_int_equal(
                bus_read(board->pio, (uint16_t) (fake_config_read(board, 2, 0x1c, 4) & ~3u), 1),
                0xff);
        b->size = 0;
        assert_int_equal(bus_read(board->mmio, at + 0xffe, 4), 0xffffffff);
        assert_int_equal(b->size, 0);
}

static void test_a_moved_bar_answers_only_at_its_new_place(void **state) {
        FakeBoard *board = *state;
        TestDevice *dev = add_device(board, 1);
        uint64_t old = FAKE_MEM64_BASE, new = FAKE_MEM64_BASE + 0x10000000;

        fake_config_write(board, 1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
        assert_int_equal(dev->n_moves, 3);
        bus_write(board->mmio, old + 0x10, 8, 77);
        assert_int_equal(dev->value, 77);
        fake_config_write(board, 1, 0x10, 4, (uint32_t) new);
        assert_int_equal(bus_read(board->mmio, old, 4), 0xffffffff);
        bus_write(board->mmio, new + 0x3ff8, 8, 78);
        assert_int_equal(dev->value, 78);
        assert_int_equal(dev->offset, 0x3ff8);
        /* Outside every window it is nowhere, and it comes back. */
        fake_config_write(board, 1, 0x14, 4, 0);
        assert_false(dev->pci.bars[0].mapped);
        fake_config_write(board, 1, 0x14, 4, (uint32_t) (new >> 32));
        assert_int_equal(bus_read(board->mmio, new, 2), 0x7788);
        fake_config_write(board, 1, PCI_COMMAND, 2, 0);
        assert_int_equal(bus_read(board->mmio, new, 2), 0xffff);
}

static void test_interrupt_wires_are_shared_and_maskable(void **state) {
        FakeBoard *board = *state;
        TestDevice *a = add_device(board, 1), *b = add_device(board, 1 + GSI_PCI_INTX_COUNT);

        pci_device_set_intx(&a->pci, true);
        pci_device_set_intx(&b->pci, true);
        assert_true(board->wires[1]);
        assert_int_equal(board->n_edges, 1);
        pci_device_set_intx(&a->pci, false);
        assert_true(board->wires[1]);
        assert_int_equal(fake_config_read(board, 9, PCI_STATUS, 2) & PCI_STATUS_INTX,
                         PCI_STATUS_INTX);
        fake_config_write(board, 9, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
        assert_false(board->wires[1]);
        fake_config_write(board, 9, PCI_COMMAND, 2, 0);
        assert_true(board->wires[1]);
        pci_device_set_intx(&b->pci, false);
        assert_false(board->wires[1]);
}

static void test_slots_and_windows_can_be_full(void **state) {
        FakeBoard *board = *state;
        TestDevice *dev;

        add_device(board, 1);
        dev = calloc(1, sizeof(*dev));
        assert_non_null(dev);
        pci_device_init(&dev->pci, &device_ops, &(PciIds){.vendor = 1});
        assert_int_equal(pci_root_add(board->root, &dev->pci, 1), -EBUSY);
        assert_int_equal(pci_root_add(board->root, &dev->pci, PCI_SLOTS), -EINVAL);
        assert_int_equal(pci_device_add_bar(&dev->pci, 0, PCI_BAR_MEM32, 0x1800), -EINVAL);
        assert_int_equal(pci_device_add_bar(&dev->pci, 5, PCI_BAR_MEM64, 0x1000), -EINVAL);
        assert_int_equal(pci_device_add_bar(&dev->pci, 6, PCI_BAR_MEM32, 0x1000), -EINVAL);
        assert_int_equal(pci_device_add_bar(&dev->pci, 0, PCI_BAR_MEM32, 0x20000000), 0);
        assert_int_equal(pci_root_add(board->root, &dev->pci, 2), -ENOSPC);
        device_free(&dev->pci);
}

static void test_capabilities_are_linked_in_order_until_space_ends(void **state) {
        TestDevice dev = {0};
        uint8_t body[60] = {0xaa, 0xbb, 0xcc};
        unsigned first, second, offset;

        pci_device_init(&dev.pci, &device_ops, &(PciIds){.vendor = 1});
        assert_int_equal(dev.pci.config[PCI_CAPABILITIES], 0);
        assert_int_equal(pci_device_add_capability(&dev.pci, 9, body, 3, &first), 0);
        assert_int_equal(pci_device_add_capability(&dev.pci, 17, body, 10, &second), 0);
        assert_int_equal(first, 0x40);
        assert_int_equal(second, 0x48);
        assert_int_equal(dev.pci.config[PCI_CAPABILITIES], 0x40);
        assert_int_equal(dev.pci.config[0x41], 0x48);
        assert_int_equal(dev.pci.config[0x49], 0);
        assert_int_equal(dev.pci.config[0x42], 0xaa);
        assert_int_equal(pci_device_add_capability(&dev.pci, 9, body, 60, &offset), 0);
        assert_int_equal(pci_device_add_capability(&dev.pci, 9, body, 60, &offset), 0);
        assert_int_equal(pci_device_add_capability(&dev.pci, 9, body, 60, &offset), -ENOSPC);
        pci_device_deinit(&dev.pci);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_ecam_shows_bridge_devices_and_empty_slots,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_ports_reach_the_same_configuration_space,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_read_only_bits_survive_any_write, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_bars_are_sized_by_writing_ones, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_bars_are_placed_apart_and_decode_once_enabled,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_moved_bar_answers_only_at_its_new_place,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_interrupt_wires_are_shared_and_maskable, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_slots_and_windows_can_be_full, setup,
                                                teardown),
                cmocka_unit_test(test_capabilities_are_linked_in_order_until_space_ends),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
