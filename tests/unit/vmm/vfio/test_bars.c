/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/le.h"
#include "tests/fake/vmm_vfio_guest.h"
#include "vmm/vfio/vfio_internal.h"

#define SLOT VFIO_GUEST_SLOT
#define BAR UINT64_C(0x4000100000)
#define TABLE 0x2000u
#define PENDING 0x3000u

static void set(const VfioGuest *f, unsigned offset, unsigned size, uint32_t value) {
        fake_config_write(f->fake->board, SLOT, offset, size, value);
}

static void move(const VfioGuest *f, uint64_t address) {
        set(f, PCI_COMMAND, 2, 0);
        set(f, PCI_BAR0, 4, (uint32_t) address);
        set(f, PCI_BAR0 + 4, 4, (uint32_t) (address >> 32));
        set(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
}

/* With its memory at BAR. */
static void add(VfioGuest *f) {
        vfio_guest_add(f);
        move(f, BAR);
}

static uint64_t get(const VfioGuest *f, uint64_t offset, unsigned size) {
        return bus_read(f->fake->board->mmio, BAR + offset, size);
}

static void put(const VfioGuest *f, uint64_t offset, unsigned size, uint64_t value) {
        bus_write(f->fake->board->mmio, BAR + offset, size, value);
}

static void expect_mapped(const VfioGuest *f, uint64_t gpa, uint64_t size) {
        const FakeVfioMapping *mapping = fake_vfio_mapping_at(f->fake, gpa);

        assert_non_null(mapping);
        assert_int_equal(mapping->size, size);
}

static void test_the_guest_has_it_as_memory_but_for_the_pages_of_msix(void **state) {
        VfioGuest *f = *state;

        add(f);
        expect_mapped(f, BAR, 0x2000);
        assert_int_equal(f->fake->n_mapped, 1);
        move(f, BAR + 0x100000);
        assert_null(fake_vfio_mapping_at(f->fake, BAR));
        expect_mapped(f, BAR + 0x100000, 0x2000);
        set(f, PCI_COMMAND, 2, 0);
        assert_null(fake_vfio_mapping_at(f->fake, BAR + 0x100000));
}

static void test_pending_bits_before_the_table_leave_holes_as_well(void **state) {
        VfioGuest *f = *state;

        le32_store(f->fake->config + 0xa4, 0x3008);
        le32_store(f->fake->config + 0xa8, 0x1000);
        add(f);
        expect_mapped(f, BAR, 0x1000);
        expect_mapped(f, BAR + 0x2000, 0x1000);
        assert_int_equal(f->fake->n_mapped, 2);
}

static void test_a_bar_without_msix_is_mapped_as_a_whole(void **state) {
        VfioGuest *f = *state;

        f->fake->n_irqs[VFIO_PCI_MSIX_IRQ_INDEX] = 0;
        add(f);
        expect_mapped(f, BAR, 0x4000);
}

static void test_only_the_areas_that_the_kernel_lists_are_mapped(void **state) {
        VfioGuest *f = *state;

        f->fake->n_irqs[VFIO_PCI_MSIX_IRQ_INDEX] = 0;
        f->fake->n_sparse = 3;
        f->fake->sparse[0] = (FakeVfioArea){0x1000, 0x1000};
        f->fake->sparse[1] = (FakeVfioArea){0x1000, 0x1000}; /* again */
        f->fake->sparse[2] = (FakeVfioArea){0x3000, 0x1000};
        add(f);
        assert_int_equal(f->fake->n_mapped, 2);
        expect_mapped(f, BAR + 0x1000, 0x1000);
        expect_mapped(f, BAR + 0x3000, 0x1000);
}

static void test_areas_that_cannot_be_are_not_mapped(void **state) {
        VfioGuest *f = *state;

        f->fake->n_sparse = 4;
        f->fake->sparse[0] = (FakeVfioArea){0x800, 0x1000};             /* no page */
        f->fake->sparse[1] = (FakeVfioArea){0x0, 0x5000};               /* too much */
        f->fake->sparse[2] = (FakeVfioArea){UINT64_C(-0x1000), 0x2000}; /* wraps */
        f->fake->sparse[3] = (FakeVfioArea){0x1000, 0};
        add(f);
        assert_int_equal(f->fake->n_mapped, 0);
}

static void test_a_list_that_does_not_end_is_left(void **state) {
        VfioGuest *f = *state;

        f->fake->n_sparse = 1;
        f->fake->sparse_loops = true;
        add(f);
        expect_mapped(f, BAR, 0x2000); /* as without one */
}

static void test_what_is_not_mapped_goes_through_the_kernel(void **state) {
        VfioGuest *f = *state;

        f->fake->refuse_maps = true;
        add(f);
        assert_int_equal(f->fake->n_mapped, 0);
        put(f, 0x10, 8, UINT64_C(0x1122334455667788));
        assert_int_equal(le64_load(f->fake->bars[0] + 0x10), UINT64_C(0x1122334455667788));
        put(f, 0x13, 1, 0xff);
        assert_int_equal(get(f, 0x10, 4), 0xff667788);
        assert_int_equal(get(f, 0x12, 2), 0xff66);
        f->fake->deaf = true;
        assert_int_equal(get(f, 0x10, 4), UINT32_MAX);
        put(f, 0x10, 4, 0);
}

static void test_a_place_that_the_hypervisor_refuses_is_trapped(void **state) {
        VfioGuest *f = *state;

        f->fake->refuse_slots = true;
        add(f);
        put(f, 0, 4, 0xabcd);
        assert_int_equal(le32_load(f->fake->bars[0]), 0xabcd);
}

static void test_ports_are_trapped(void **state) {
        VfioGuest *f = *state;

        add(f);
        set(f, PCI_BAR0 + 16, 4, 0xc000);
        bus_write(f->fake->board->pio, 0xc004, 2, 0x1234);
        assert_int_equal(le16_load(f->fake->bars[4] + 4), 0x1234);
        assert_int_equal(bus_read(f->fake->board->pio, 0xc004, 4), 0x1234);
        /* Behind the end there is nobody. */
        assert_int_equal(bus_read(f->fake->board->pio, 0xc01e, 4), UINT32_MAX);
}

static void test_the_table_of_the_device_stays_the_hosts(void **state) {
        VfioGuest *f = *state;
        const unsigned before = (add(f), f->fake->n_writes);

        put(f, TABLE + 8, 4, 42);
        assert_int_equal(get(f, TABLE + 8, 4), 42);
        assert_int_equal(get(f, TABLE + 12, 4), 1);
        put(f, PENDING, 8, UINT64_MAX);
        assert_int_equal(get(f, PENDING, 8), 0);
        /* Half in it, half before or behind. */
        put(f, TABLE - 4, 8, UINT64_MAX);
        put(f, TABLE + 4 * 16 - 4, 8, UINT64_MAX);
        assert_int_equal(get(f, TABLE - 4, 8), UINT64_MAX);
        assert_int_equal(f->fake->n_writes, before);
        assert_int_equal(le64_load(f->fake->bars[0] + TABLE - 4), 0);
        /* The rest of its page is the device's. */
        put(f, TABLE + 4 * 16, 4, 7);
        assert_int_equal(le32_load(f->fake->bars[0] + TABLE + 4 * 16), 7);
}

static void test_nothing_is_mapped_where_the_hypervisor_is_a_part_of_the_vmm(void **state) {
        VfioGuest *f = *state;

        add(f);
        assert_int_equal(f->fake->n_mapped, 0);
        put(f, 0x10, 4, 0x12345678);
        assert_int_equal(le32_load(f->fake->bars[0] + 0x10), 0x12345678);
        assert_int_equal(get(f, 0x12, 2), 0x1234);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, vfio_guest_setup, vfio_guest_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                CASE(test_the_guest_has_it_as_memory_but_for_the_pages_of_msix),
                CASE(test_pending_bits_before_the_table_leave_holes_as_well),
                CASE(test_a_bar_without_msix_is_mapped_as_a_whole),
                CASE(test_only_the_areas_that_the_kernel_lists_are_mapped),
                CASE(test_areas_that_cannot_be_are_not_mapped),
                CASE(test_a_list_that_does_not_end_is_left),
                CASE(test_what_is_not_mapped_goes_through_the_kernel),
                CASE(test_a_place_that_the_hypervisor_refuses_is_trapped),
                CASE(test_ports_are_trapped),
                CASE(test_the_table_of_the_device_stays_the_hosts),
                cmocka_unit_test_setup_teardown(
                        test_nothing_is_mapped_where_the_hypervisor_is_a_part_of_the_vmm,
                        vfio_guest_setup_inside, vfio_guest_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
