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

static void test_sense_is_asked_for_and_then_gone(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        assert_int_equal(SCSI_ASK(&f, 18, 0x03, 0, 0, 0, 18, 0), 0);
        assert_int_equal(f.data[0], 0x70);
        assert_int_equal(f.data[2], 0);
        scsi_disk_tell(f.disk, SCSI_DEVICE_RESET);
        assert_int_equal(SCSI_ASK(&f, 18, 0x03, 0, 0, 0, 18, 0), 0);
        assert_int_equal(FAKE_SENSE(f.data[2], f.data[12], f.data[13]), FAKE_SENSE(6, 0x29, 3));
        assert_int_equal(SCSI_SAY(&f, 0, 0, 0, 0, 0, 0), 0);
        assert_int_equal(SCSI_ASK(&f, 18, 0x03, 1, 0, 0, 18, 0), INVALID_CDB); /* descriptors */
}

static void test_there_is_one_logical_unit(void **state) {
        static const uint8_t expected[16] = {[3] = 8};
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        f.lun = 7;
        assert_int_equal(SCSI_ASK(&f, 256, 0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0), 0);
        assert_memory_equal(f.data, expected, sizeof(expected));
        assert_int_equal(SCSI_ASK(&f, 256, 0xa0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0), 0);
        assert_int_equal(f.task.moved, 8);
        assert_int_equal(be32_load(f.data), 0);
        assert_int_equal(SCSI_ASK(&f, 256, 0xa0, 0, 3, 0, 0, 0, 0, 0, 1, 0, 0, 0), INVALID_CDB);
        assert_int_equal(SCSI_ASK(&f, 8, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0), INVALID_CDB);
}

static void test_the_capacity_is_told_in_both_lengths(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        assert_int_equal(SCSI_ASK(&f, 8, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0);
        assert_int_equal(be32_load(f.data), 127);
        assert_int_equal(be32_load(f.data + 4), 512);
        assert_int_equal(SCSI_ASK(&f, 8, 0x25, 0, 0, 0, 0, 1, 0, 0, 0, 0), INVALID_CDB);
        assert_int_equal(SCSI_ASK(&f, 32, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0),
                         0);
        assert_int_equal(be64_load(f.data), 127);
        assert_int_equal(be32_load(f.data + 8), 512);
        assert_int_equal(f.data[13], 3);
        assert_int_equal(f.data[14], 0x80);
}

static void test_a_capacity_beyond_32_bits_is_told_by_the_long_command(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        assert_int_equal(scsi_disk_resize(f.disk, UINT64_C(1) << 42), 0);
        (void) SCSI_SAY(&f, 0, 0, 0, 0, 0, 0);
        assert_int_equal(SCSI_ASK(&f, 8, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0);
        assert_int_equal(be32_load(f.data), UINT32_MAX);
        assert_int_equal(SCSI_ASK(&f, 32, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0),
                         0);
        assert_int_equal(be64_load(f.data), (UINT64_C(1) << 33) - 1);
}

static void test_mode_pages_come_in_both_lengths(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f, ro;

        fake_scsi_init(&f, false);
        assert_int_equal(SCSI_ASK(&f, 192, 0x1a, 0, 0x3f, 0, 192, 0), 0);
        assert_int_equal(f.task.moved, 4 + 8 + 20 + 12);
        assert_int_equal(f.data[0], f.task.moved - 1);
        assert_int_equal(f.data[2], 0x10);
        assert_int_equal(be32_load(f.data + 4), 128);
        assert_int_equal(be32_load(f.data + 8), 512);
        assert_memory_equal(f.data + 12, "\x08\x12\x04", 3);
        assert_memory_equal(f.data + 32, "\x0a\x0a\0\x10", 4);
        assert_int_equal(SCSI_ASK(&f, 192, 0x5a, 0x08, 0x08, 0, 0, 0, 0, 0, 192, 0), 0);
        assert_int_equal(f.task.moved, 8 + 20);
        assert_int_equal(be16_load(f.data), 8 + 20 - 2);
        assert_int_equal(be16_load(f.data + 6), 0);
        assert_int_equal(f.data[8], 0x08);
        fake_scsi_init(&ro, true);
        assert_int_equal(SCSI_ASK(&ro, 192, 0x1a, 0, 0x3f, 0, 192, 0), 0);
        assert_int_equal(ro.data[2], 0x90);
}

static void test_nothing_in_a_mode_page_can_be_changed_or_saved(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        assert_int_equal(SCSI_ASK(&f, 192, 0x1a, 8, 0x48, 0, 192, 0), 0);
        assert_int_equal(f.data[6], 0);
        assert_int_equal(SCSI_ASK(&f, 192, 0x1a, 8, 0xc8, 0, 192, 0), FAKE_SENSE(5, 0x39, 0));
        assert_int_equal(SCSI_ASK(&f, 192, 0x1a, 8, 0x01, 0, 192, 0), INVALID_CDB);
        assert_int_equal(SCSI_ASK(&f, 192, 0x1a, 8, 0x08, 1, 192, 0), INVALID_CDB);
        assert_int_equal(SCSI_ASK(&f, 192, 0x1a, 8, 0x3f, 0xff, 192, 0), 0);
        assert_int_equal(SCSI_SEND(&f, 24, 0x15, 0x10, 0, 0, 24, 0), INVALID_COMMAND);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sense_is_asked_for_and_then_gone),
                cmocka_unit_test(test_there_is_one_logical_unit),
                cmocka_unit_test(test_the_capacity_is_told_in_both_lengths),
                cmocka_unit_test(test_a_capacity_beyond_32_bits_is_told_by_the_long_command),
                cmocka_unit_test(test_mode_pages_come_in_both_lengths),
                cmocka_unit_test(test_nothing_in_a_mode_page_can_be_changed_or_saved),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
