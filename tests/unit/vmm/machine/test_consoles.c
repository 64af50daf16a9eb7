/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/machine/machine_internal.h"

static VmmSerial *add(VmmConfig *config, VmmSerialHardware hardware, unsigned num) {
        VmmSerial *serial = &config->serials[config->n_serials++];

        vmm_serial_init(serial);
        serial->hardware = hardware;
        serial->num = num;
        return serial;
}

/* In a machine whose consoles are on the bus in the order of their numbers, but for @first, which is before them. */
static const char *console_with_first(const VmmConfig *config, unsigned first) {
        static Machine machine;
        static char buf[16];

        for (unsigned i = 0; i < VMM_CONSOLES_MAX; i++)
                machine.console_slots[i] = 0;
        for (size_t i = 0; i < config->n_serials; i++)
                if (config->serials[i].hardware == VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE)
                        machine.console_slots[config->serials[i].num - 1] =
                                config->serials[i].num == first ? 1 : 4 + config->serials[i].num;
        return machine_console_name(&machine, config, buf, sizeof(buf));
}

static const char *console(const VmmConfig *config) {
        return console_with_first(config, 0);
}

static void test_without_any_console_com1_becomes_it(void **state) {
        VmmConfig config;

        vmm_config_init(&config);
        assert_string_equal(console(&config), "ttyS0");
        add(&config, VMM_SERIAL_HARDWARE_16550, 2);
        assert_string_equal(console(&config), "ttyS0");
        add(&config, VMM_SERIAL_HARDWARE_16550, 1);
        assert_null(console(&config));
        vmm_config_deinit(&config);
}

static void test_the_configured_console_is_named(void **state) {
        VmmConfig config;

        vmm_config_init(&config);
        add(&config, VMM_SERIAL_HARDWARE_16550, 3)->console = true;
        assert_string_equal(console(&config), "ttyS2");
        vmm_config_deinit(&config);
}

/* The guest counts the consoles that it finds, whatever numbers the command line gave them. */
static void test_hvc_numbers_count_present_consoles(void **state) {
        VmmConfig config;

        vmm_config_init(&config);
        add(&config, VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE, 4)->console = true;
        assert_string_equal(console(&config), "hvc0");
        add(&config, VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE, 1);
        add(&config, VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE, 7);
        assert_string_equal(console(&config), "hvc1");
        assert_string_equal(console_with_first(&config, 4), "hvc0");
        assert_string_equal(console_with_first(&config, 7), "hvc2");
        vmm_config_deinit(&config);
}

static void test_earlycon_names_the_port_of_a_serial_console_only(void **state) {
        VmmConfig config;
        char buf[32];

        vmm_config_init(&config);
        add(&config, VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE, 1)->earlycon = true;
        assert_null(machine_earlycon_name(&config, buf, sizeof(buf)));
        add(&config, VMM_SERIAL_HARDWARE_16550, 2)->earlycon = true;
        assert_string_equal(machine_earlycon_name(&config, buf, sizeof(buf)), "uart8250,io,0x2f8");
        vmm_config_deinit(&config);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_without_any_console_com1_becomes_it),
                cmocka_unit_test(test_the_configured_console_is_named),
                cmocka_unit_test(test_hvc_numbers_count_present_consoles),
                cmocka_unit_test(test_earlycon_names_the_port_of_a_serial_console_only),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
