/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fake/vmm_chips_fake.h"
#include "vmm/legacy/devices.h"
#include "vmm/mem/memmap.h"

typedef struct Fixture {
        Bus *pio, *mmio;
        FakeHalt halt;
        FakeIrq irqs[GSI_COUNT];
        TestDevice *test;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        TestDeviceConfig config = {.n_vcpus = 3, .ram_bytes = 0x123456000};

        if (!f || bus_new("pio", &f->pio) < 0 || bus_new("mmio", &f->mmio) < 0)
                return -1;
        for (unsigned i = 0; i < GSI_COUNT; i++)
                if (i != GSI_PIT)
                        config.lines[i] = fake_irq_line(&f->irqs[i]);
        *state = f;
        return test_device_new(f->pio, f->mmio, &config, fake_halt_sink(&f->halt), &f->test);
}

static int teardown(void **state) {
        Fixture *f = *state;

        (void) test_device_free(f->test);
        (void) bus_free(f->pio);
        (void) bus_free(f->mmio);
        free(f);
        return 0;
}

static void test_the_exit_port_ends_the_machine_with_its_status(void **state) {
        Fixture *f = *state;

        bus_write(f->pio, IOPORT_TEST_EXIT, 4, 1);
        assert_int_equal(f->halt.reason, HALT_TEST_EXIT);
        assert_int_equal(test_device_status(f->test), 3);
        out8(f->pio, IOPORT_TEST_EXIT, 0);
        assert_int_equal(test_device_status(f->test), 1);
        bus_write(f->pio, IOPORT_TEST_EXIT, 4, 0xffffffff);
        assert_int_equal(test_device_status(f->test), 0xff);
}

static void test_ports_drive_interrupt_lines(void **state) {
        Fixture *f = *state;

        bus_write(f->pio, IOPORT_TEST_LINES + 14, 4, 1);
        assert_true(f->irqs[14].level);
        bus_write(f->pio, IOPORT_TEST_LINES + 14, 4, 0);
        assert_false(f->irqs[14].level);
        assert_int_equal(f->irqs[14].n_rises, 1);
        bus_write(f->pio, IOPORT_TEST_LINES + 23, 4, 1);
        assert_true(f->irqs[23].level);
        out8(f->pio, IOPORT_TEST_LINES + GSI_PIT, 1);   /* connected to nothing */
        out8(f->pio, IOPORT_TEST_LINES + GSI_COUNT, 1); /* no line */
}

static uint64_t fw_cfg(Fixture *f, uint16_t key) {
        uint64_t value = 0;

        bus_write(f->pio, IOPORT_TEST_FW_CFG, 2, key);
        for (unsigned i = 0; i < 8; i++)
                value |= (uint64_t) in8(f->pio, IOPORT_TEST_FW_CFG + 1) << (8 * i);
        return value;
}

static void test_firmware_configuration_tells_processors_and_memory(void **state) {
        Fixture *f = *state;

        assert_int_equal(fw_cfg(f, 0x05), 3);
        assert_int_equal(fw_cfg(f, 0x0f), 3);
        assert_true(fw_cfg(f, 0x03) == 0x123456000);
        assert_int_equal(in8(f->pio, IOPORT_TEST_FW_CFG + 1), 0);
        assert_int_equal(fw_cfg(f, 0xffff), 0);
}

static void test_ports_and_memory_keep_what_is_written(void **state) {
        Fixture *f = *state;

        bus_write(f->pio, IOPORT_TEST_IORAM, 4, 0x44332211);
        assert_int_equal(in8(f->pio, IOPORT_TEST_IORAM + 3), 0x44);
        assert_int_equal(bus_read(f->pio, IOPORT_TEST_IORAM + 1, 2), 0x3322);
        bus_write(f->mmio, MEMMAP_TEST_IOMEM_BASE + MEMMAP_TEST_IOMEM_SIZE - 8, 8, UINT64_MAX - 1);
        assert_true(bus_read(f->mmio, MEMMAP_TEST_IOMEM_BASE + MEMMAP_TEST_IOMEM_SIZE - 8, 8) ==
                    UINT64_MAX - 1);
        bus_write(f->pio, IOPORT_TEST_FLUSH, 4, 0x1000);
        assert_int_equal(f->halt.n, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_the_exit_port_ends_the_machine_with_its_status,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_ports_drive_interrupt_lines, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        test_firmware_configuration_tells_processors_and_memory, setup, teardown),
                cmocka_unit_test_setup_teardown(test_ports_and_memory_keep_what_is_written, setup,
                                                teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
