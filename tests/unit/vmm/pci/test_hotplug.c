/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "vmm/pci/hotplug.h"

#define PLUGGED (IOPORT_PCI_HOTPLUG + PCI_HOTPLUG_PLUGGED)
#define WANTED (IOPORT_PCI_HOTPLUG + PCI_HOTPLUG_WANTED)
#define EJECT (IOPORT_PCI_HOTPLUG + PCI_HOTPLUG_EJECT)

typedef struct Fixture {
        Bus *mmio, *pio;
        Loop *loop;
        PciRoot *root;
        PciHotplug *hotplug;
        uint32_t ejected;
} Fixture;

static unsigned n_freed;

static PciDevice *device_free(PciDevice *dev) {
        n_freed++;
        pci_device_deinit(dev);
        free(dev);
        return NULL;
}

static const PciDeviceOps device_ops = {.name = "test", .free = device_free};

static PciDevice *device_new(void) {
        PciDevice *dev = calloc(1, sizeof(*dev));

        assert_non_null(dev);
        pci_device_init(dev, &device_ops, &(PciIds){.vendor = 0x1234, .device = 1, .intx = true});
        assert_int_equal(pci_device_add_bar(dev, 0, PCI_BAR_MEM32, 0x1000), 0);
        return dev;
}

static void on_ejected(void *userdata, unsigned slot) {
        Fixture *f = userdata;

        f->ejected |= 1u << slot;
        pci_root_unplug(f->root, slot);
}

static void turn(Fixture *f) {
        loop_exit(f->loop);
        assert_int_equal(loop_run(f->loop), 0);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        PciRootConfig config = {0};

        assert_non_null(f);
        n_freed = 0;
        assert_int_equal(bus_new("mmio", &f->mmio), 0);
        assert_int_equal(bus_new("pio", &f->pio), 0);
        assert_int_equal(loop_new(&f->loop), 0);
        config.mmio = f->mmio;
        config.pio = f->pio;
        assert_int_equal(pci_root_new(&config, &f->root), 0);
        assert_int_equal(pci_hotplug_new(f->root, f->pio, f->loop, on_ejected, f, &f->hotplug), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        pci_hotplug_free(f->hotplug);
        pci_root_free(f->root);
        loop_free(f->loop);
        bus_free(f->pio);
        bus_free(f->mmio);
        free(f);
        return 0;
}

static uint32_t vendor_of(Fixture *f, unsigned slot) {
        return (uint32_t) bus_read(f->mmio, MEMMAP_ECAM_BASE + (slot << 15), 4) & 0xffff;
}

static void test_masks_are_cleared_by_reading_them(void **state) {
        Fixture *f = *state;

        pci_hotplug_announce(f->hotplug, 3);
        pci_hotplug_announce(f->hotplug, 31);
        pci_hotplug_request(f->hotplug, 4);
        assert_int_equal(bus_read(f->pio, PLUGGED, 4), 1u << 3 | 1u << 31);
        assert_int_equal(bus_read(f->pio, PLUGGED, 4), 0);
        assert_int_equal(bus_read(f->pio, WANTED, 4), 1u << 4);
        assert_int_equal(bus_read(f->pio, WANTED, 4), 0);
        assert_int_equal(bus_read(f->pio, EJECT, 4), 0);
        pci_hotplug_announce(f->hotplug, 3);
        (void) bus_read(f->pio, PLUGGED, 1); /* not the register's width: nothing is lost */
        assert_int_equal(bus_read(f->pio, PLUGGED, 4), 1u << 3);
}

static void test_a_plugged_function_is_found_and_gone_at_once_when_ejected(void **state) {
        Fixture *f = *state;

        assert_int_equal(pci_root_free_slot(f->root), 1);
        assert_int_equal(pci_root_plug(f->root, device_new(), 1), 0);
        pci_hotplug_set_removable(f->hotplug, 1, true);
        assert_int_equal(vendor_of(f, 1), 0x1234);
        assert_int_equal(pci_root_free_slot(f->root), 2);

        bus_write(f->pio, EJECT, 4, 1u << 1);
        assert_int_equal(vendor_of(f, 1), 0xffff);
        assert_int_equal(n_freed, 0); /* accesses under way may still arrive */
        assert_int_equal(pci_root_free_slot(f->root), 2);
        assert_false(pci_hotplug_is_removable(f->hotplug, 1));
        turn(f);
        assert_int_equal(n_freed, 1);
        assert_int_equal(f->ejected, 1u << 1);
        assert_int_equal(pci_root_free_slot(f->root), 1);
        assert_int_equal(pci_root_plug(f->root, device_new(), 1), 0);
}

static void test_a_guest_ejects_nothing_but_what_may_be_removed(void **state) {
        Fixture *f = *state;

        assert_int_equal(pci_root_add(f->root, device_new(), 5), 0);
        bus_write(f->pio, EJECT, 4, UINT32_MAX); /* the bridge and empty slots among them */
        bus_write(f->pio, EJECT, 1, 0xff);
        bus_write(f->pio, PLUGGED, 4, UINT32_MAX);
        turn(f);
        assert_int_equal(f->ejected, 0);
        assert_int_equal(vendor_of(f, 5), 0x1234);
        assert_int_equal(bus_read(f->pio, PLUGGED, 4), 0);
        pci_hotplug_set_removable(f->hotplug, 5, true);
        bus_write(f->pio, EJECT, 4, 1u << 5);
        bus_write(f->pio, EJECT, 4, 1u << 5);
        turn(f);
        assert_int_equal(f->ejected, 1u << 5);
        assert_int_equal(n_freed, 1);
}

static void test_what_was_ejected_last_is_released_with_the_bus(void **state) {
        Fixture *f = *state;

        assert_int_equal(pci_root_add(f->root, device_new(), 5), 0);
        pci_hotplug_set_removable(f->hotplug, 5, true);
        bus_write(f->pio, EJECT, 4, 1u << 5); /* and the loop never runs again */
}

static void test_bad_and_used_slots_are_refused(void **state) {
        Fixture *f = *state;
        PciDevice *dev = device_new();

        assert_int_equal(pci_root_plug(f->root, dev, 0), -EINVAL);
        assert_int_equal(pci_root_plug(f->root, dev, PCI_SLOTS), -EINVAL);
        for (unsigned i = 1; i < PCI_SLOTS; i++)
                assert_int_equal(pci_root_plug(f->root, device_new(), i), 0);
        assert_int_equal(pci_root_free_slot(f->root), 0);
        assert_int_equal(pci_root_plug(f->root, dev, 7), -EBUSY);
        device_free(dev);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_masks_are_cleared_by_reading_them),
                TEST(test_a_plugged_function_is_found_and_gone_at_once_when_ejected),
                TEST(test_a_guest_ejects_nothing_but_what_may_be_removed),
                TEST(test_what_was_ejected_last_is_released_with_the_bus),
                TEST(test_bad_and_used_slots_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
