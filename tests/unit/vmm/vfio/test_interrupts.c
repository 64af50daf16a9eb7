/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/le.h"
#include "base/text_error.h"
#include "tests/fake/vmm_vfio_guest.h"
#include "vmm/vfio/vfio_internal.h"

#define SLOT VFIO_GUEST_SLOT
#define BAR UINT64_C(0x4000100000)
#define TABLE (BAR + 0x2000)
#define PENDING (BAR + 0x3000)
#define WIRE (pci_slot_gsi(SLOT) - GSI_PCI_INTX_FIRST)
#define MSI 0x48u
#define MSIX 0xa0u

enum {
        INTX = VFIO_PCI_INTX_IRQ_INDEX,
        MESSAGES = VFIO_PCI_MSI_IRQ_INDEX,
        TABLED = VFIO_PCI_MSIX_IRQ_INDEX
};

static void set(const VfioGuest *f, unsigned offset, unsigned size, uint32_t value) {
        fake_config_write(f->fake->board, SLOT, offset, size, value);
}

static void add(VfioGuest *f) {
        vfio_guest_add(f);
        set(f, PCI_BAR0, 4, (uint32_t) BAR);
        set(f, PCI_BAR0 + 4, 4, (uint32_t) (BAR >> 32));
        set(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
}

static void set_vector(const VfioGuest *f, unsigned vector, uint32_t data, uint32_t masked) {
        bus_write(f->fake->board->mmio, TABLE + 16 * vector, 8, 0xfee00000);
        bus_write(f->fake->board->mmio, TABLE + 16 * vector + 8, 8, (uint64_t) masked << 32 | data);
}

/* ---- the wire ---- */

static void test_the_wire_is_up_until_the_guest_has_served_it(void **state) {
        VfioGuest *f = *state;

        add(f);
        fake_board_run(f->fake->board);
        assert_int_equal(f->fake->n_events[INTX], 1);
        fake_vfio_signal(f->fake, INTX, 0);
        assert_true(fake_wait_wire(f->fake->board, WIRE, true));
        assert_int_equal(fake_config_read(f->fake->board, SLOT, PCI_STATUS, 1), 0x18);
        assert_int_equal(f->fake->n_unmasks, 0);
        pci_root_handle_eoi(f->fake->board->root, pci_slot_gsi(SLOT) + 1); /* another's */
        assert_int_equal(f->fake->n_unmasks, 0);
        pci_root_handle_eoi(f->fake->board->root, pci_slot_gsi(SLOT));
        assert_true(fake_wait_wire(f->fake->board, WIRE, false));
        assert_int_equal(f->fake->n_unmasks, 1);
        pci_root_handle_eoi(f->fake->board->root, pci_slot_gsi(SLOT)); /* who shares it */
        assert_int_equal(f->fake->n_unmasks, 1);
}

static void test_a_guest_that_disables_the_wire_does_not_see_it(void **state) {
        VfioGuest *f = *state;

        add(f);
        fake_board_run(f->fake->board);
        set(f, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
        fake_vfio_signal(f->fake, INTX, 0);
        while (!(fake_config_read(f->fake->board, SLOT, PCI_STATUS, 1) & PCI_STATUS_INTX))
                ; /* the loop has seen it */
        assert_true(fake_wait_wire(f->fake->board, WIRE, false));
        set(f, PCI_COMMAND, 2, 0);
        assert_true(fake_wait_wire(f->fake->board, WIRE, true));
        pci_root_handle_eoi(f->fake->board->root, pci_slot_gsi(SLOT));
}

static void test_a_function_without_a_pin_has_no_wire(void **state) {
        VfioGuest *f = *state;

        f->fake->config[PCI_INTERRUPT_PIN] = 0;
        add(f);
        assert_int_equal(f->fake->n_events[INTX], 0);
}

/* ---- MSI ---- */

static void test_messages_take_the_place_of_the_wire(void **state) {
        VfioGuest *f = *state;

        add(f);
        set(f, MSI + 4, 4, 0xfee01000);
        set(f, MSI + 8, 4, 0);
        set(f, MSI + 12, 2, 0x10);
        set(f, MSI + 2, 2, 1);
        assert_int_equal(f->fake->n_events[INTX], 0);
        assert_int_equal(f->fake->n_events[MESSAGES], 1);
        fake_vfio_signal(f->fake, MESSAGES, 0);
        assert_int_equal(fake_msi_count(f->fake->board, 0x10), 1);
        set(f, MSI + 12, 2, 0x11); /* another processor's vector, while it is on */
        fake_vfio_signal(f->fake, MESSAGES, 0);
        assert_int_equal(fake_msi_count(f->fake->board, 0x11), 1);
        set(f, MSI + 2, 2, 0);
        assert_int_equal(f->fake->n_events[MESSAGES], 0);
        assert_int_equal(f->fake->n_events[INTX], 1);
        /* The kernel's own registers were left alone. */
        assert_int_equal(le16_load(f->fake->config + MSI + 2), 0x0184);
}

static void test_several_messages_differ_in_their_lowest_bits(void **state) {
        VfioGuest *f = *state;

        add(f);
        set(f, MSI + 4, 4, 0xfee01000);
        set(f, MSI + 12, 2, 0x16);
        set(f, MSI + 2, 2, 0x21); /* four */
        assert_int_equal(f->fake->n_events[MESSAGES], 4);
        for (unsigned i = 0; i < 4; i++) {
                fake_vfio_signal(f->fake, MESSAGES, i);
                assert_int_equal(fake_msi_count(f->fake->board, 0x14 + i), 1);
        }
        set(f, MSI + 2, 2, 0x71); /* as many as nobody has */
        assert_int_equal(f->fake->n_events[MESSAGES], 4);
        set(f, MSI + 2, 2, 0x01);
        assert_int_equal(f->fake->n_events[MESSAGES], 1);
}

static void test_masks_of_messages_are_not_shown(void **state) {
        VfioGuest *f = *state;

        add(f);
        assert_int_equal(fake_config_read(f->fake->board, SLOT, MSI + 2, 2), 0x0084);
        set(f, MSI + 16, 4, UINT32_MAX);
        assert_int_equal(fake_config_read(f->fake->board, SLOT, MSI + 16, 4), 0);
}

/* ---- MSI-X ---- */

static void test_each_vector_of_the_table_has_its_own_message(void **state) {
        VfioGuest *f = *state;

        add(f);
        set(f, MSIX + 2, 2, 0xc000); /* as kernels do: on, masked, then the table */
        assert_int_equal(f->fake->n_events[INTX], 0);
        assert_int_equal(f->fake->n_events[TABLED], 4);
        set_vector(f, 0, 0x20, 0);
        set_vector(f, 3, 0x23, 0);
        set(f, MSIX + 2, 2, 0x8000);
        fake_vfio_signal(f->fake, TABLED, 3);
        fake_vfio_signal(f->fake, TABLED, 0);
        assert_int_equal(fake_msi_count(f->fake->board, 0x20), 1);
        assert_int_equal(fake_msi_count(f->fake->board, 0x23), 1);
        set(f, MSIX + 2, 2, 0);
        assert_int_equal(f->fake->n_events[TABLED], 0);
        assert_int_equal(f->fake->n_events[INTX], 1);
}

static void test_a_masked_vector_waits_and_says_so(void **state) {
        VfioGuest *f = *state;

        add(f);
        set(f, MSIX + 2, 2, 0x8000);
        set_vector(f, 1, 0x21, 0);
        set_vector(f, 1, 0x21, 1);
        fake_vfio_signal(f->fake, TABLED, 1);
        assert_int_equal(fake_msi_count(f->fake->board, 0x21), 0);
        assert_int_equal(bus_read(f->fake->board->mmio, PENDING, 8), 2);
        set_vector(f, 1, 0x22, 0);
        assert_int_equal(fake_msi_count(f->fake->board, 0x22), 1);
        assert_int_equal(bus_read(f->fake->board->mmio, PENDING, 8), 0);
}

static void test_a_host_that_is_short_of_vectors_gives_those_it_has(void **state) {
        VfioGuest *f = *state;

        f->fake->vectors_max = 2;
        add(f);
        set(f, MSIX + 2, 2, 0x8000);
        assert_int_equal(f->fake->n_events[TABLED], 2);
        set(f, PCI_COMMAND, 2, 0); /* nothing to do with it: not asked again */
        assert_int_equal(f->fake->n_events[TABLED], 2);
}

static void test_a_table_is_as_long_as_we_serve(void **state) {
        VfioGuest *f = *state;

        le16_store(f->fake->config + MSIX + 2, 2047);
        le32_store(f->fake->config + MSIX + 4, 0);
        f->fake->bar_sizes[0] = 0x10000;
        le32_store(f->fake->config + MSIX + 8, 0x8000);
        f->fake->n_irqs[TABLED] = 40; /* the kernel knows better */
        add(f);
        assert_int_equal(fake_config_read(f->fake->board, SLOT, MSIX + 2, 2), 39);
        set(f, MSIX + 2, 2, 0x8000);
        assert_int_equal(f->fake->n_events[TABLED], 40);
}

static void test_a_hypervisor_without_routes_left_is_told_at_once(void **state) {
        VfioGuest *f = *state;
        _cleanup_(text_error_deinit) TextError why = {0};

        f->fake->board->refuse_routes = true;
        assert_int_equal(vfio_guest_try_add(f, &why), -ENOSPC);
        assert_non_null(strstr(why.message, "no routes left"));
        assert_int_equal(f->fake->n_events[INTX], 0);
}

/* ---- a hypervisor that is a part of the VMM ---- */

static void test_messages_go_through_the_loop(void **state) {
        VfioGuest *f = *state;

        add(f);
        fake_board_run(f->fake->board);
        set(f, MSI + 4, 4, 0xfee01000);
        set(f, MSI + 12, 2, 0x16);
        set(f, MSI + 2, 2, 0x21); /* four */
        for (unsigned i = 0; i < 4; i++) {
                fake_vfio_signal(f->fake, MESSAGES, i);
                assert_true(fake_wait_msi(f->fake->board, 0x14 + i, 1));
        }
        set(f, MSI + 12, 2, 0x30);
        fake_vfio_signal(f->fake, MESSAGES, 3);
        assert_true(fake_wait_msi(f->fake->board, 0x33, 1));
}

static void test_vectors_of_the_table_go_through_the_loop(void **state) {
        VfioGuest *f = *state;

        add(f);
        fake_board_run(f->fake->board);
        set(f, MSIX + 2, 2, 0x8000);
        set_vector(f, 3, 0x23, 0);
        fake_vfio_signal(f->fake, TABLED, 3);
        assert_true(fake_wait_msi(f->fake->board, 0x23, 1));
        set_vector(f, 1, 0x21, 1);
        fake_vfio_signal(f->fake, TABLED, 1);
        while (bus_read(f->fake->board->mmio, PENDING, 8) != 2)
                ; /* the loop has seen it */
        set_vector(f, 1, 0x22, 0);
        assert_true(fake_wait_msi(f->fake->board, 0x22, 1));
        assert_int_equal(fake_msi_count(f->fake->board, 0x21), 0);
        assert_int_equal(bus_read(f->fake->board->mmio, PENDING, 8), 0);
}

#define INSIDE(name)                                                                               \
        cmocka_unit_test_setup_teardown(name, vfio_guest_setup_inside, vfio_guest_teardown)
#define CASE(name) cmocka_unit_test_setup_teardown(name, vfio_guest_setup, vfio_guest_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                CASE(test_the_wire_is_up_until_the_guest_has_served_it),
                CASE(test_a_guest_that_disables_the_wire_does_not_see_it),
                CASE(test_a_function_without_a_pin_has_no_wire),
                CASE(test_messages_take_the_place_of_the_wire),
                CASE(test_several_messages_differ_in_their_lowest_bits),
                CASE(test_masks_of_messages_are_not_shown),
                CASE(test_each_vector_of_the_table_has_its_own_message),
                CASE(test_a_masked_vector_waits_and_says_so),
                CASE(test_a_host_that_is_short_of_vectors_gives_those_it_has),
                CASE(test_a_table_is_as_long_as_we_serve),
                CASE(test_a_hypervisor_without_routes_left_is_told_at_once),
                INSIDE(test_the_wire_is_up_until_the_guest_has_served_it),
                INSIDE(test_messages_go_through_the_loop),
                INSIDE(test_vectors_of_the_table_go_through_the_loop),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
