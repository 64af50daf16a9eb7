/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/fake/vmm_chips_fake.h"
#include "vmm/legacy/devices.h"
#include "vmm/mem/memmap.h"

typedef struct Fixture {
        Bus *pio;
        FakeIrq irq;
        FakeHalt halt;
        I8042 *kbc;
} Fixture;

static int setup(void **state) {
        static Fixture f;

        f = (Fixture){0};
        assert_int_equal(bus_new("pio", &f.pio), 0);
        assert_int_equal(i8042_new(f.pio, fake_irq_line(&f.irq), fake_halt_sink(&f.halt), &f.kbc),
                         0);
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        i8042_free(f->kbc);
        bus_free(f->pio);
        return 0;
}

static void command(Fixture *f, uint8_t value) {
        out8(f->pio, IOPORT_I8042_COMMAND, value);
}

static void data(Fixture *f, uint8_t value) {
        out8(f->pio, IOPORT_I8042_DATA, value);
}

static uint8_t status(Fixture *f) {
        return in8(f->pio, IOPORT_I8042_COMMAND);
}

static uint8_t answer(Fixture *f) {
        assert_true(status(f) & 0x01);
        return in8(f->pio, IOPORT_I8042_DATA);
}

static void test_command_fe_resets_the_machine(void **state) {
        Fixture *f = *state;

        assert_int_equal(status(f) & 0x02, 0); /* what a kernel waits for before it writes */
        command(f, 0xff);
        assert_int_equal(f->halt.n, 0);
        command(f, 0xfe);
        assert_int_equal(f->halt.n, 1);
        assert_int_equal(f->halt.reason, HALT_RESET);
}

static void test_the_output_port_resets_the_machine_too(void **state) {
        Fixture *f = *state;

        command(f, 0xd0);
        assert_int_equal(answer(f), 0x03);
        command(f, 0xd1);
        data(f, 0x03);
        assert_int_equal(f->halt.n, 0);
        command(f, 0xd1);
        data(f, 0x02);
        assert_int_equal(f->halt.reason, HALT_RESET);
}

static void test_the_self_test_passes(void **state) {
        Fixture *f = *state;

        assert_false(status(f) & 0x04);
        command(f, 0xaa);
        assert_int_equal(answer(f), 0x55);
        assert_true(status(f) & 0x04);
        assert_false(status(f) & 0x01);
        command(f, 0xab);
        assert_int_equal(answer(f), 0x00);
}

static void test_the_command_byte_is_kept(void **state) {
        Fixture *f = *state;

        command(f, 0x60);
        data(f, 0x74);
        command(f, 0x20);
        assert_int_equal(answer(f), 0x74);
        command(f, 0xae);
        command(f, 0xa8);
        command(f, 0x20);
        assert_int_equal(answer(f), 0x44);
        command(f, 0xad);
        command(f, 0xa7);
        command(f, 0x20);
        assert_int_equal(answer(f), 0x74);
}

static void test_a_byte_for_the_missing_keyboard_times_out_with_an_interrupt(void **state) {
        Fixture *f = *state;

        command(f, 0x60);
        data(f, 0x45);
        assert_false(f->irq.level);
        data(f, 0xf2);
        assert_true(f->irq.level);
        assert_int_equal(status(f) & 0x41, 0x41);
        assert_int_equal(answer(f), 0xfe);
        assert_false(f->irq.level);
        assert_int_equal(status(f) & 0x41, 0);
}

static void test_there_is_no_mouse_port(void **state) {
        Fixture *f = *state;

        command(f, 0xd3);
        data(f, 0x5a);
        assert_false(status(f) & 0x20);
        assert_int_equal(answer(f), 0x5a);
        command(f, 0xa9);
        assert_int_equal(answer(f), 0x02);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_command_fe_resets_the_machine, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_the_output_port_resets_the_machine_too, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_the_self_test_passes, setup, teardown),
                cmocka_unit_test_setup_teardown(test_the_command_byte_is_kept, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        test_a_byte_for_the_missing_keyboard_times_out_with_an_interrupt, setup,
                        teardown),
                cmocka_unit_test_setup_teardown(test_there_is_no_mouse_port, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
