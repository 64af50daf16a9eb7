/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "config/vm_config.h"
#include "config/vmm_config.h"

static void assert_refused(const VmmConfig *config, const char *message) {
        _cleanup_(text_error_deinit) TextError error = {0};

        assert_int_equal(vmm_config_validate(config, &error), -EINVAL);
        assert_string_equal(error.message, message);
}

/* A config by hand, that no parser has seen. */
static void test_configs_made_by_hand_are_checked_too(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig c;

        vmm_config_init(&c);
        assert_refused(&c, "KERNEL or --bios is missing");
        c.kernel = strdup("k");
        assert_int_equal(vmm_config_validate(&c, NULL), 0);
        vmm_serial_init(&c.serials[c.n_serials++]);
        c.serials[0].num = 9;
        assert_refused(&c, "--serial: num: hardware=serial has ports 1 to 4, not 9");
        c.serials[0].hardware = VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE;
        assert_refused(&c, "--serial: num: hardware=virtio-console has ports 1 to 8, not 9");
        c.serials[0].num = 8;
        assert_int_equal(vmm_config_validate(&c, NULL), 0);
        c.serials[0].earlycon = true;
        assert_refused(&c, "--serial: earlycon needs hardware=serial");
        c.serials[0].earlycon = false;
        vmm_disk_init(&c.disks[c.n_disks++]);
        assert_refused(&c, "--block: path= is missing");
        c.disks[0].path = strdup("d");
        assert_int_equal(vmm_config_validate(&c, NULL), 0);
        c.kvm_device = strdup("/dev/kvm");
        assert_refused(&c, "--hypervisor: only kvm takes device=");
        c.hypervisor = VMM_HYPERVISOR_KVM;
        assert_int_equal(vmm_config_validate(&c, NULL), 0);
        c.name = strdup("");
        assert_refused(&c, "--name: expected 1 to 255 bytes");
}

static void test_more_devices_than_the_bus_has_slots_are_refused(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig c;

        vmm_config_init(&c);
        c.no_balloon = true;
        c.kernel = strdup("k");
        for (; c.n_disks < VMM_DISKS_MAX; c.n_disks++) {
                vmm_disk_init(&c.disks[c.n_disks]);
                c.disks[c.n_disks].path = strdup("d");
        }
        for (unsigned num = 1; num <= 6; num++) {
                vmm_serial_init(&c.serials[c.n_serials]);
                c.serials[c.n_serials].hardware = VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE;
                c.serials[c.n_serials++].num = num;
        }
        assert_int_equal(vmm_config_validate(&c, NULL), 0);
        vmm_serial_init(&c.serials[c.n_serials]);
        c.serials[c.n_serials].hardware = VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE;
        c.serials[c.n_serials++].num = 7;
        assert_refused(&c, "--block, --net, --serial, --vhost-user, --vhost-user-fs: 32 PCI "
                           "devices in all, the "
                           "bus takes 31");
        c.no_rng = true;
        assert_int_equal(vmm_config_validate(&c, NULL), 0);
}

static void test_devices_whose_rings_the_kernel_has_are_known(void **state) {
        static const struct {
                bool card, sockets, own_sockets, expected;
        } cases[] = {
                {.expected = false},
                {.card = true, .expected = true},
                {.sockets = true, .expected = true},
                {.sockets = true, .own_sockets = true, .expected = false},
                {.card = true, .sockets = true, .own_sockets = true, .expected = true},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(vmm_config_deinit) VmmConfig c;

                vmm_config_init(&c);
                for (; c.n_nets < 2; c.n_nets++)
                        vmm_net_init(&c.nets[c.n_nets]);
                c.nets[1].vhost = cases[i].card;
                c.vsock_cid = cases[i].sockets ? 3 : 0;
                c.vsock_socket_dir = cases[i].own_sockets ? strdup("d") : NULL;
                assert_int_equal(vmm_config_has_kernel_rings(&c), cases[i].expected);
        }
}

static void test_a_config_may_be_released_twice(void **state) {
        VmmConfig c;

        vmm_config_init(&c);
        c.kernel = strdup("k");
        assert_int_equal(strvec_add(&c.params, "x"), 0);
        vmm_config_deinit(&c);
        vmm_config_deinit(&c);
        assert_null(c.kernel);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_configs_made_by_hand_are_checked_too),
                cmocka_unit_test(test_more_devices_than_the_bus_has_slots_are_refused),
                cmocka_unit_test(test_devices_whose_rings_the_kernel_has_are_known),
                cmocka_unit_test(test_a_config_may_be_released_twice),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
