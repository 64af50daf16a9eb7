/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
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

#define UNMAP(len) 0x42, 0, 0, 0, 0, 0, 0, (len) >> 8, (len) &0xff, 0

static void put_range(FakeScsi *f, unsigned i, uint64_t lba, uint32_t n) {
        be64_store(f->data + 8 + 16 * i, lba);
        be32_store(f->data + 16 + 16 * i, n);
        be16_store(f->data + 2, (uint16_t) (16 * (i + 1)));
}

static void test_the_blocks_of_a_list_are_discarded(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        put_range(&f, 0, 4, 2);
        put_range(&f, 1, 10, 0);
        put_range(&f, 2, 127, 1);
        assert_int_equal(SCSI_SEND(&f, 56, UNMAP(56)), 0);
        assert_string_equal(f.image->log, "ddd");
        assert_int_equal(f.task.moved, 56);
        assert_int_equal(f.image->bytes[4 * 512 - 1], 3);
        assert_int_equal(f.image->bytes[4 * 512], 0xdd);
        assert_int_equal(f.image->bytes[6 * 512 - 1], 0xdd);
        assert_int_equal(f.image->bytes[6 * 512], 6);
        assert_int_equal(f.image->bytes[128 * 512 - 1], 0xdd);
}

static void test_a_list_with_a_range_beyond_the_end_discards_nothing(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        put_range(&f, 0, 4, 2);
        put_range(&f, 1, 127, 2);
        assert_int_equal(SCSI_SEND(&f, 40, UNMAP(40)), OUT_OF_RANGE);
        put_range(&f, 1, UINT64_MAX, UINT32_MAX);
        assert_int_equal(SCSI_SEND(&f, 40, UNMAP(40)), OUT_OF_RANGE);
        assert_string_equal(f.image->log, "");
}

static void test_a_list_is_cut_to_what_is_there_and_no_longer_than_allowed(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        put_range(&f, 3, 0, 1); /* a head that says four */
        assert_int_equal(SCSI_SEND(&f, 24, UNMAP(24)), 0);
        assert_string_equal(f.image->log, "d");
        assert_int_equal(SCSI_SEND(&f, 20, UNMAP(20)), 0);
        assert_string_equal(f.image->log, "");
        assert_int_equal(SCSI_SEND(&f, 24, UNMAP(25)), FAKE_SCSI_OVERRUN);
        assert_int_equal(SCSI_SEND(&f, 24, UNMAP(7)), FAKE_SENSE(5, 0x1a, 0));
        assert_int_equal(SCSI_SAY(&f, UNMAP(0)), 0);
        put_range(&f, 64, 0, 1);
        assert_int_equal(SCSI_SEND(&f, 2048, UNMAP(2048)), INVALID_LIST);
}

static void test_a_range_that_is_too_long_is_refused(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        assert_int_equal(scsi_disk_resize(f.disk, UINT64_C(1) << 33), 0);
        (void) SCSI_SAY(&f, 0, 0, 0, 0, 0, 0);
        put_range(&f, 0, 0, (1u << 22) + 1);
        assert_int_equal(SCSI_SEND(&f, 24, UNMAP(24)), INVALID_LIST);
        assert_int_equal(SCSI_SEND(&f, 512, 0x93, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 1, 0, 0),
                         INVALID_CDB);
}

static void test_an_error_ends_the_list(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        put_range(&f, 0, 0, 1);
        put_range(&f, 1, 1, 1);
        f.image->error = -EIO;
        assert_int_equal(SCSI_SEND(&f, 40, UNMAP(40)), FAKE_SENSE(3, 0x0c, 0));
        assert_string_equal(f.image->log, "d");
}

static void test_the_same_zeros_are_written_as_zeroes(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        assert_int_equal(SCSI_SEND(&f, 512, 0x41, 0, 0, 0, 0, 4, 0, 0, 2, 0), 0);
        assert_string_equal(f.image->log, "z");
        assert_int_equal(f.task.moved, 512);
        assert_int_equal(f.image->bytes[4 * 512 - 1], 3);
        assert_int_equal(f.image->bytes[4 * 512], 0);
        assert_int_equal(f.image->bytes[6 * 512 - 1], 0);
        assert_int_equal(f.image->bytes[6 * 512], 6);
        assert_int_equal(SCSI_SEND(&f, 512, 0x93, 8, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0), 0);
        assert_string_equal(f.image->log, "u");
        assert_int_equal(SCSI_SAY(&f, 0x93, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0), 0);
        assert_string_equal(f.image->log, "z");
        assert_int_equal(f.task.moved, 0);
}

static void test_the_same_block_is_written_over_and_over(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        for (unsigned i = 0; i < 512; i++)
                f.data[i] = (uint8_t) (i ^ 0x5a);
        assert_int_equal(SCSI_SEND(&f, 512, 0x93, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0), 0);
        assert_string_equal(f.image->log, "w");
        for (unsigned i = 0; i < 3; i++)
                assert_memory_equal(f.image->bytes + 512 * (1 + i), f.data, 512);
        assert_int_equal(f.image->bytes[4 * 512], 4);
}

static void test_a_long_run_of_the_same_block_takes_several_writes(void **state) {
        static const uint8_t write_same[] = {0x41, 0, 0, 0, 0, 0, 0, 2, 1, 0}; /* 513 blocks */
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        assert_int_equal(scsi_disk_resize(f.disk, 600 * 512), 0);
        (void) SCSI_SAY(&f, 0, 0, 0, 0, 0, 0);
        f.data[0] = 1;
        f.image->forgetful = true;
        assert_int_equal(fake_scsi_run(&f, write_same, sizeof(write_same), true, 512), 0);
        assert_string_equal(f.image->log, "www");
}

static void test_what_cannot_be_the_same_is_refused(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f, ro;

        fake_scsi_init(&f, false);
        assert_int_equal(SCSI_SEND(&f, 512, 0x41, 0, 0, 0, 0, 4, 0, 0, 0, 0), INVALID_CDB);
        assert_int_equal(SCSI_SEND(&f, 512, 0x41, 0, 0, 0, 0, 127, 0, 0, 2, 0), OUT_OF_RANGE);
        assert_int_equal(SCSI_SEND(&f, 511, 0x41, 0, 0, 0, 0, 4, 0, 0, 1, 0), FAKE_SCSI_OVERRUN);
        assert_int_equal(SCSI_SEND(&f, 512, 0x41, 0x10, 0, 0, 0, 4, 0, 0, 1, 0), INVALID_CDB);
        fake_scsi_init(&ro, true);
        assert_int_equal(SCSI_SEND(&ro, 512, 0x41, 0, 0, 0, 0, 4, 0, 0, 1, 0), WRITE_PROTECTED);
        assert_int_equal(SCSI_SEND(&ro, 24, UNMAP(24)), INVALID_COMMAND);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_blocks_of_a_list_are_discarded),
                cmocka_unit_test(test_a_list_with_a_range_beyond_the_end_discards_nothing),
                cmocka_unit_test(test_a_list_is_cut_to_what_is_there_and_no_longer_than_allowed),
                cmocka_unit_test(test_a_range_that_is_too_long_is_refused),
                cmocka_unit_test(test_an_error_ends_the_list),
                cmocka_unit_test(test_the_same_zeros_are_written_as_zeroes),
                cmocka_unit_test(test_the_same_block_is_written_over_and_over),
                cmocka_unit_test(test_a_long_run_of_the_same_block_takes_several_writes),
                cmocka_unit_test(test_what_cannot_be_the_same_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
