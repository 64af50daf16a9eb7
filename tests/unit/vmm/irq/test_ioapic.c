/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "tests/fake/vmm_chips_fake.h"
#include "vmm/irq/ioapic.h"

#define LEVEL UINT64_C(0x8000)
#define MASKED UINT64_C(0x10000)
#define REMOTE_IRR UINT64_C(0x4000)
#define VECTOR 0x51u

typedef struct Fixture {
        FakePartition partition;
        Ioapic ioapic;
} Fixture;

static int setup(void **state) {
        static Fixture f;

        fake_partition_init(&f.partition);
        ioapic_init(&f.ioapic);
        f.ioapic.partition = &f.partition.base;
        *state = &f;
        return 0;
}

static void write_register(Fixture *f, unsigned index, uint32_t value) {
        ioapic_write(&f->ioapic, 0x00, index);
        ioapic_write(&f->ioapic, 0x10, value);
}

static uint32_t read_register(Fixture *f, unsigned index) {
        ioapic_write(&f->ioapic, 0x00, index);
        return ioapic_read(&f->ioapic, 0x10);
}

/* High half first, as kernels do, so that the pin is complete when it is unmasked. */
static void write_entry(Fixture *f, unsigned pin, uint64_t entry) {
        write_register(f, 0x11 + 2 * pin, (uint32_t) (entry >> 32));
        write_register(f, 0x10 + 2 * pin, (uint32_t) entry);
}

static void test_it_says_how_many_pins_it_has(void **state) {
        assert_int_equal(read_register(*state, 1), 0x00170020);
        write_register(*state, 0, 0xff000000);
        assert_int_equal(read_register(*state, 0), 0x0f000000);
        assert_int_equal(read_register(*state, 0x10), MASKED);
        assert_int_equal(read_register(*state, 0x40), 0);
        assert_int_equal(read_register(*state, 0x0f), 0);
}

static void test_an_edge_sends_the_entrys_message(void **state) {
        Fixture *f = *state;

        write_entry(f, 4, UINT64_C(3) << 56 | 0x0800 | VECTOR);
        ioapic_set_line(&f->ioapic, 4, true);
        assert_int_equal(f->partition.n_messages, 1);
        assert_true(f->partition.messages[0].address == (UINT64_C(0xfee00000) | 3 << 12 | 4));
        assert_int_equal(f->partition.messages[0].data, VECTOR);
        ioapic_set_line(&f->ioapic, 4, true);
        assert_int_equal(f->partition.n_messages, 1);
        ioapic_set_line(&f->ioapic, 4, false);
        ioapic_set_line(&f->ioapic, 4, true);
        assert_int_equal(f->partition.n_messages, 2);
}

static void test_a_masked_edge_is_lost(void **state) {
        Fixture *f = *state;

        write_entry(f, 4, MASKED | VECTOR);
        ioapic_set_line(&f->ioapic, 4, true);
        write_entry(f, 4, VECTOR);
        assert_int_equal(f->partition.n_messages, 0);
}

static void test_a_level_is_sent_once_until_its_eoi(void **state) {
        Fixture *f = *state;

        write_entry(f, 9, LEVEL | VECTOR);
        ioapic_set_line(&f->ioapic, 9, true);
        ioapic_set_line(&f->ioapic, 9, false);
        ioapic_set_line(&f->ioapic, 9, true);
        assert_int_equal(f->partition.n_messages, 1);
        assert_int_equal(f->partition.messages[0].data, 0xc000 | VECTOR);
        assert_true(read_register(f, 0x10 + 18) & REMOTE_IRR);

        ioapic_handle_eoi(&f->ioapic, VECTOR + 1);
        assert_int_equal(f->partition.n_messages, 1);
        ioapic_handle_eoi(&f->ioapic, VECTOR); /* still high: again */
        assert_int_equal(f->partition.n_messages, 2);
        ioapic_set_line(&f->ioapic, 9, false);
        ioapic_handle_eoi(&f->ioapic, VECTOR);
        assert_int_equal(f->partition.n_messages, 2);
        assert_false(read_register(f, 0x10 + 18) & REMOTE_IRR);
}

static void test_unmasking_a_high_level_sends_it(void **state) {
        Fixture *f = *state;

        write_entry(f, 9, MASKED | LEVEL | VECTOR);
        ioapic_set_line(&f->ioapic, 9, true);
        assert_int_equal(f->partition.n_messages, 0);
        write_entry(f, 9, LEVEL | VECTOR);
        assert_int_equal(f->partition.n_messages, 1);
}

static void test_the_eoi_register_completes_a_vector(void **state) {
        Fixture *f = *state;

        write_entry(f, 9, LEVEL | VECTOR);
        ioapic_set_line(&f->ioapic, 9, true);
        ioapic_set_line(&f->ioapic, 9, false);
        ioapic_write(&f->ioapic, 0x40, VECTOR);
        assert_false(read_register(f, 0x10 + 18) & REMOTE_IRR);
}

static void test_turning_a_pin_to_edge_resets_remote_irr(void **state) {
        Fixture *f = *state;

        write_entry(f, 9, LEVEL | VECTOR);
        ioapic_set_line(&f->ioapic, 9, true);
        write_entry(f, 9, MASKED | VECTOR);
        write_entry(f, 9, MASKED | LEVEL | VECTOR);
        assert_false(read_register(f, 0x10 + 18) & REMOTE_IRR);
}

static void test_remote_irr_cannot_be_written(void **state) {
        Fixture *f = *state;

        write_entry(f, 9, LEVEL | REMOTE_IRR | VECTOR);
        assert_false(read_register(f, 0x10 + 18) & REMOTE_IRR);
        ioapic_set_line(&f->ioapic, 9, true);
        assert_int_equal(f->partition.n_messages, 1);
}

static void test_only_level_pins_become_routes_and_only_when_they_change(void **state) {
        Fixture *f = *state;

        write_entry(f, 4, VECTOR);
        assert_int_equal(f->partition.n_route_updates, 0);
        write_entry(f, 9, LEVEL | VECTOR);
        assert_true(f->partition.routed[9]);
        assert_int_equal(f->partition.routes[9].data, 0xc000 | VECTOR);
        write_entry(f, 9, LEVEL | VECTOR);
        assert_int_equal(f->partition.n_route_updates, 1);
        write_entry(f, 9, MASKED | LEVEL | VECTOR);
        assert_false(f->partition.routed[9]);
}

static void test_a_masked_pin_keeps_its_route_until_the_eoi(void **state) {
        Fixture *f = *state;

        write_entry(f, 9, LEVEL | VECTOR);
        ioapic_set_line(&f->ioapic, 9, true);
        write_entry(f, 9, MASKED | LEVEL | VECTOR);
        assert_true(f->partition.routed[9]);
        ioapic_handle_eoi(&f->ioapic, VECTOR);
        assert_false(f->partition.routed[9]);
        assert_int_equal(f->partition.n_messages, 1);
}

static void test_illegal_vectors_and_extint_go_nowhere(void **state) {
        Fixture *f = *state;

        write_entry(f, 4, 0x0f);
        ioapic_set_line(&f->ioapic, 4, true);
        write_entry(f, 5, 0x700 | VECTOR);
        ioapic_set_line(&f->ioapic, 5, true);
        write_entry(f, 9, LEVEL);
        ioapic_set_line(&f->ioapic, 9, true);
        assert_int_equal(f->partition.n_messages, 0);
        assert_int_equal(f->partition.n_route_updates, 0);
}

static void test_an_nmi_is_an_edge_even_if_it_says_level(void **state) {
        Fixture *f = *state;

        write_entry(f, 4, LEVEL | 0x400);
        ioapic_set_line(&f->ioapic, 4, true);
        assert_int_equal(f->partition.n_messages, 1);
        assert_int_equal(f->partition.messages[0].data, 0x400);
        assert_false(read_register(f, 0x10 + 8) & REMOTE_IRR);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_it_says_how_many_pins_it_has, setup),
                cmocka_unit_test_setup(test_an_edge_sends_the_entrys_message, setup),
                cmocka_unit_test_setup(test_a_masked_edge_is_lost, setup),
                cmocka_unit_test_setup(test_a_level_is_sent_once_until_its_eoi, setup),
                cmocka_unit_test_setup(test_unmasking_a_high_level_sends_it, setup),
                cmocka_unit_test_setup(test_the_eoi_register_completes_a_vector, setup),
                cmocka_unit_test_setup(test_turning_a_pin_to_edge_resets_remote_irr, setup),
                cmocka_unit_test_setup(test_remote_irr_cannot_be_written, setup),
                cmocka_unit_test_setup(test_only_level_pins_become_routes_and_only_when_they_change,
                                       setup),
                cmocka_unit_test_setup(test_a_masked_pin_keeps_its_route_until_the_eoi, setup),
                cmocka_unit_test_setup(test_illegal_vectors_and_extint_go_nowhere, setup),
                cmocka_unit_test_setup(test_an_nmi_is_an_edge_even_if_it_says_level, setup),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
