/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/be.h"
#include "tests/fake/vmm_scsi.h"

#define INVALID_COMMAND FAKE_SENSE(5, 0x20, 0)
#define OUT_OF_RANGE FAKE_SENSE(5, 0x21, 0)
#define INVALID_CDB FAKE_SENSE(5, 0x24, 0)
#define INVALID_LIST FAKE_SENSE(5, 0x26, 0)
#define WRITE_PROTECTED FAKE_SENSE(7, 0x27, 0)

static uint32_t page(FakeScsi *f, uint8_t code) {
        return SCSI_ASK(f, 255, 0x12, 1, code, 0, 255, 0);
}

static void test_the_disk_says_who_it_is(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        assert_int_equal(SCSI_ASK(&f, 255, 0x12, 0, 0, 0, 255, 0), 0);
        assert_int_equal(f.task.moved, f.data[4] + 5);
        assert_int_equal(f.data[0], 0);
        assert_int_equal(f.data[2], 6);
        assert_memory_equal(f.data + 8, "VIVARIUMSCSI DISK       1.0 ", 28);
        assert_int_equal(be16_load(f.data + 62), 0x04c0);
}

static void test_an_answer_is_cut_at_the_allocation_length(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        memset(f.data, 0xee, sizeof(f.data));
        assert_int_equal(SCSI_ASK(&f, 255, 0x12, 0, 0, 0, 5, 0), 0);
        assert_int_equal(f.task.moved, 5);
        assert_int_equal(f.data[5], 0xee);
        assert_int_equal(SCSI_ASK(&f, 35, 0x12, 0, 0, 0, 36, 0), FAKE_SCSI_OVERRUN);
        assert_int_equal(SCSI_SEND(&f, 36, 0x12, 0, 0, 0, 36, 0), FAKE_SCSI_OVERRUN);
        assert_int_equal(SCSI_SAY(&f, 0x12, 0, 0, 0, 0, 0), 0);
}

static void test_each_page_of_the_list_is_there(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;
        uint8_t list[16];
        unsigned n;

        fake_scsi_init(&f, false);
        assert_int_equal(page(&f, 0), 0);
        n = be16_load(f.data + 2);
        assert_int_equal(n, 6);
        memcpy(list, f.data + 4, n);
        assert_memory_equal(list, "\x00\x80\x83\xb0\xb1\xb2", 6);
        for (unsigned i = 0; i < n; i++) {
                assert_int_equal(page(&f, list[i]), 0);
                assert_int_equal(f.data[1], list[i]);
                assert_int_equal(f.task.moved, 4 + be16_load(f.data + 2));
        }
        assert_int_equal(page(&f, 0x86), INVALID_CDB);
        assert_int_equal(SCSI_ASK(&f, 36, 0x12, 0, 0x80, 0, 36, 0), INVALID_CDB);
}

static void test_the_serial_number_is_that_of_the_options(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f, none;

        fake_scsi_init(&f, false);
        assert_int_equal(page(&f, 0x80), 0);
        assert_memory_equal(f.data + 2, "\0\10serial-1", 10);
        assert_int_equal(page(&f, 0x83), 0);
        assert_memory_equal(f.data + 4, "\2\1\0\20VIVARIUMserial-1", 20);
        fake_scsi_init(&none, true);
        assert_int_equal(page(&none, 0x80), 0);
        assert_memory_equal(none.data + 2, "\0\4    ", 6);
        assert_int_equal(page(&none, 0x83), 0);
        assert_memory_equal(none.data + 4, "\2\0\0\10target-3", 12);
}

static void test_limits_and_provisioning_are_told(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f, ro;

        fake_scsi_init(&f, false);
        assert_int_equal(page(&f, 0xb0), 0);
        assert_int_equal(be16_load(f.data + 6), 8);
        assert_int_equal(be32_load(f.data + 8), SCSI_TRANSFER_MAX / 512);
        assert_int_equal(be32_load(f.data + 24), 64);
        assert_int_equal(page(&f, 0xb1), 0);
        assert_int_equal(be16_load(f.data + 4), 1);
        assert_int_equal(page(&f, 0xb2), 0);
        assert_int_equal(f.data[5], 0xe0);
        fake_scsi_init(&ro, true);
        assert_int_equal(page(&ro, 0xb0), 0);
        assert_int_equal(be32_load(ro.data + 24), 0);
        assert_int_equal(page(&ro, 0xb2), 0);
        assert_int_equal(ro.data[5], 0);
}

static void test_nothing_is_told_of_another_unit(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        f.lun = 1;
        assert_int_equal(page(&f, 0x80), INVALID_CDB);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_disk_says_who_it_is),
                cmocka_unit_test(test_an_answer_is_cut_at_the_allocation_length),
                cmocka_unit_test(test_each_page_of_the_list_is_there),
                cmocka_unit_test(test_the_serial_number_is_that_of_the_options),
                cmocka_unit_test(test_limits_and_provisioning_are_told),
                cmocka_unit_test(test_nothing_is_told_of_another_unit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
