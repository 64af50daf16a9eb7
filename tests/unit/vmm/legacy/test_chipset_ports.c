/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/fake/vmm_chips_fake.h"
#include "vmm/legacy/devices.h"
#include "vmm/mem/memmap.h"

#define A20 0x02u
#define RESET 0x01u
#define SMI_ENABLE_APM 0x20u

typedef struct Fixture {
        Bus *pio;
        ChipsetPorts *ports;
        FakeHalt halt;
} Fixture;

static int setup(void **state) {
        static Fixture f;

        f = (Fixture){0};
        assert_int_equal(bus_new("pio", &f.pio), 0);
        assert_int_equal(chipset_ports_new(f.pio, fake_halt_sink(&f.halt), &f.ports), 0);
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        (void) bus_free(f->pio);
        (void) chipset_ports_free(f->ports);
        return 0;
}

static void test_the_a20_gate_is_open_and_its_bit_is_kept(void **state) {
        const Fixture *f = *state;

        assert_int_equal(in8(f->pio, IOPORT_SYSTEM_CONTROL_A), A20);
        out8(f->pio, IOPORT_SYSTEM_CONTROL_A, 0xfc);
        assert_int_equal(in8(f->pio, IOPORT_SYSTEM_CONTROL_A), 0);
        out8(f->pio, IOPORT_SYSTEM_CONTROL_A, A20);
        assert_int_equal(in8(f->pio, IOPORT_SYSTEM_CONTROL_A), A20);
        assert_int_equal(f->halt.n, 0);
}

static void test_a_rise_of_the_fast_reset_bit_resets_once(void **state) {
        const Fixture *f = *state;

        out8(f->pio, IOPORT_SYSTEM_CONTROL_A, A20 | RESET);
        assert_int_equal(f->halt.reason, HALT_RESET);
        out8(f->pio, IOPORT_SYSTEM_CONTROL_A, RESET);
        assert_int_equal(f->halt.n, 1);
        out8(f->pio, IOPORT_SYSTEM_CONTROL_A, 0);
        out8(f->pio, IOPORT_SYSTEM_CONTROL_A, RESET);
        assert_int_equal(f->halt.n, 2);
}

static void test_apm_keeps_command_and_status(void **state) {
        const Fixture *f = *state;

        out8(f->pio, IOPORT_APM, 0x12);
        out8(f->pio, IOPORT_APM + 1, 0x34);
        assert_int_equal(in8(f->pio, IOPORT_APM), 0x12);
        assert_int_equal(in8(f->pio, IOPORT_APM + 1), 0x34);
        assert_int_equal(bus_read(f->pio, IOPORT_APM, 2), 0x3412);
        bus_write(f->pio, IOPORT_APM, 2, 0xaabb);
        assert_int_equal(in8(f->pio, IOPORT_APM + 1), 0xaa);
}

static void test_system_management_is_said_to_be_taken_care_of(void **state) {
        const Fixture *f = *state;

        assert_int_equal(bus_read(f->pio, IOPORT_SMI_ENABLE, 4), SMI_ENABLE_APM);
        bus_write(f->pio, IOPORT_SMI_ENABLE, 4, 0);
        assert_int_equal(in8(f->pio, IOPORT_SMI_ENABLE), SMI_ENABLE_APM);
        assert_int_equal(in8(f->pio, IOPORT_SMI_ENABLE + 3), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_the_a20_gate_is_open_and_its_bit_is_kept),
                TEST(test_a_rise_of_the_fast_reset_bit_resets_once),
                TEST(test_apm_keeps_command_and_status),
                TEST(test_system_management_is_said_to_be_taken_care_of),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
