/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/fake/vmm_virtio_driver.h"
#include "vmm/pci/msix.h"

#define SLOT 2u
#define VECTORS 4u
#define MASKED 1u

typedef struct Function {
        PciDevice pci;
        Msix *msix;
} Function;

static void function_config_written(PciDevice *pci, unsigned offset, unsigned size) {
        msix_config_written(((Function *) pci)->msix);
}

static PciDevice *function_free(PciDevice *pci) {
        msix_free(((Function *) pci)->msix);
        pci_device_deinit(pci);
        free(pci);
        return NULL;
}

static const PciDeviceOps function_ops = {
        .name = "test",
        .config_written = function_config_written,
        .free = function_free,
};

typedef struct Fixture {
        FakeBoard *board;
        Msix *msix;
        unsigned capability;
} Fixture;

static Fixture fixture_new(unsigned flags) {
        FakeBoard *board = fake_board_new(flags);
        Function *function = calloc(1, sizeof(*function));
        const MsixConfig config = {
                .n_vectors = VECTORS, .bar = 0, .table_offset = 0, .pba_offset = 0x800};

        assert_non_null(function);
        pci_device_init(&function->pci, &function_ops, &(PciIds){.vendor = 1});
        assert_int_equal(pci_device_add_bar(&function->pci, 0, PCI_BAR_MEM32, 0x1000), 0);
        assert_int_equal(msix_new(&function->pci, &board->partition, &config, &function->msix), 0);
        assert_int_equal(pci_root_add(board->root, &function->pci, SLOT), 0);
        return (Fixture){.board = board, .msix = function->msix, .capability = 0x40};
}

static void fixture_deinit(Fixture *f) {
        fake_board_free(f->board);
}

static void set_control(Fixture *f, uint16_t control) {
        fake_config_write(f->board, SLOT, f->capability + 2, 2, control);
}

static void set_vector(Fixture *f, unsigned vector, uint32_t data, uint32_t control) {
        msix_table_write(f->msix, 16 * vector, 8, 0xfee00000);
        msix_table_write(f->msix, 16 * vector + 8, 8, (uint64_t) control << 32 | data);
}

static void test_the_capability_describes_table_and_pending_bits(void **state) {
        _cleanup_(fixture_deinit) Fixture f = fixture_new(0);

        assert_int_equal(fake_config_read(f.board, SLOT, f.capability, 1), 0x11);
        assert_int_equal(fake_config_read(f.board, SLOT, f.capability + 2, 2), VECTORS - 1);
        assert_int_equal(fake_config_read(f.board, SLOT, f.capability + 4, 4), 0);
        assert_int_equal(fake_config_read(f.board, SLOT, f.capability + 8, 4), 0x800);
        set_control(&f, 0xffff);
        assert_int_equal(fake_config_read(f.board, SLOT, f.capability + 2, 2),
                         0xc000 | (VECTORS - 1));
}

static void test_the_table_starts_masked_and_reads_back(void **state) {
        _cleanup_(fixture_deinit) Fixture f = fixture_new(0);

        assert_int_equal(msix_table_read(f.msix, 12, 4), MASKED);
        msix_table_write(f.msix, 16, 4, 0xfee01003); /* the two low bits are reserved */
        msix_table_write(f.msix, 20, 4, 7);
        msix_table_write(f.msix, 24, 8, UINT64_C(0xfffffffe00001234));
        assert_int_equal(msix_table_read(f.msix, 16, 8), UINT64_C(0x7fee01000));
        assert_int_equal(msix_table_read(f.msix, 24, 8), 0x1234);
        /* Other widths, misaligned accesses and absent vectors do nothing. */
        msix_table_write(f.msix, 16, 2, 0xffff);
        msix_table_write(f.msix, 18, 4, 0xffff);
        msix_table_write(f.msix, 20, 8, UINT64_MAX);
        msix_table_write(f.msix, 16 * VECTORS, 8, UINT64_MAX);
        assert_int_equal(msix_table_read(f.msix, 16, 8), UINT64_C(0x7fee01000));
        assert_int_equal(msix_table_read(f.msix, 16 * VECTORS, 8), 0);
        assert_int_equal(msix_table_read(f.msix, UINT64_C(1) << 40, 8), 0);
}

static void check_masking(unsigned flags) {
        _cleanup_(fixture_deinit) Fixture f = fixture_new(flags);

        set_control(&f, 0x8000);
        set_vector(&f, 1, 11, 0);
        msix_signal(f.msix, 1);
        assert_true(fake_wait_msi(f.board, 11, 1));

        /* By vector: pending until unmasked, then sent once. */
        msix_table_write(f.msix, 16 + 12, 4, MASKED);
        msix_signal(f.msix, 1);
        msix_signal(f.msix, 1);
        assert_int_equal(fake_msi_count(f.board, 11), 1);
        assert_int_equal(msix_pba_read(f.msix, 0, 8), 2);
        msix_table_write(f.msix, 16 + 12, 4, 0);
        assert_true(fake_wait_msi(f.board, 11, 2));
        assert_int_equal(msix_pba_read(f.msix, 0, 4), 0);

        /* By function, to where the vector then points. */
        set_control(&f, 0xc000);
        msix_signal(f.msix, 1);
        set_vector(&f, 1, 12, 0);
        assert_int_equal(fake_msi_count(f.board, 12), 0);
        set_control(&f, 0x8000);
        assert_true(fake_wait_msi(f.board, 12, 1));
        assert_int_equal(fake_msi_count(f.board, 11), 2);
}

static void test_masked_vectors_pend_and_are_sent_later(void **state) {
        check_masking(0);
        check_masking(FAKE_ROUTES);
}

static void test_nothing_is_sent_while_disabled(void **state) {
        _cleanup_(fixture_deinit) Fixture f = fixture_new(FAKE_ROUTES);

        set_vector(&f, 0, 5, 0);
        msix_signal(f.msix, 0);
        assert_false(msix_enabled(f.msix));
        set_control(&f, 0x8000);
        assert_int_equal(fake_msi_count(f.board, 5), 0);
        msix_signal(f.msix, 0);
        assert_true(fake_wait_msi(f.board, 5, 1));
        set_control(&f, 0);
        msix_signal(f.msix, 0);
        assert_int_equal(fake_msi_count(f.board, 5), 1);
        msix_signal(f.msix, VECTORS); /* no such vector */
}

static void test_a_hypervisor_out_of_routes_is_no_error(void **state) {
        _cleanup_(fixture_deinit) Fixture f = fixture_new(FAKE_ROUTES);

        f.board->refuse_routes = true;
        set_control(&f, 0x8000);
        set_vector(&f, 3, 33, 0);
        msix_signal(f.msix, 3);
        assert_true(fake_wait_msi(f.board, 33, 1));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_capability_describes_table_and_pending_bits),
                cmocka_unit_test(test_the_table_starts_masked_and_reads_back),
                cmocka_unit_test(test_masked_vectors_pend_and_are_sent_later),
                cmocka_unit_test(test_nothing_is_sent_while_disabled),
                cmocka_unit_test(test_a_hypervisor_out_of_routes_is_no_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
