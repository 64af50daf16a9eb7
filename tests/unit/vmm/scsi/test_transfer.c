/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/fake/vmm_scsi.h"

#define INVALID_COMMAND FAKE_SENSE(5, 0x20, 0)
#define OUT_OF_RANGE FAKE_SENSE(5, 0x21, 0)
#define INVALID_CDB FAKE_SENSE(5, 0x24, 0)
#define INVALID_LIST FAKE_SENSE(5, 0x26, 0)
#define WRITE_PROTECTED FAKE_SENSE(7, 0x27, 0)

static void test_blocks_are_read_by_commands_of_every_length(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        assert_int_equal(SCSI_ASK(&f, 1024, 0x08, 0, 0, 5, 2, 0), 0);
        assert_int_equal(f.data[0] << 8 | f.data[1023], 0x0506);
        assert_int_equal(SCSI_ASK(&f, 1024, 0x28, 0, 0, 0, 0, 6, 0, 0, 2, 0), 0);
        assert_int_equal(f.data[0] << 8 | f.data[1023], 0x0607);
        assert_int_equal(SCSI_ASK(&f, 1024, 0xa8, 0, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0), 0);
        assert_int_equal(f.data[0] << 8 | f.data[1023], 0x0708);
        assert_int_equal(SCSI_ASK(&f, 1024, 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 2, 0, 0), 0);
        assert_int_equal(f.data[0] << 8 | f.data[1023], 0x0809);
        assert_int_equal(f.task.moved, 1024);
        assert_string_equal(f.image->log, "r");
}

static void test_blocks_are_written_by_commands_of_every_length(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        memset(f.data, 0xa1, 512);
        assert_int_equal(SCSI_SEND(&f, 512, 0x0a, 0, 0, 5, 1, 0), 0);
        memset(f.data, 0xa2, 512);
        assert_int_equal(SCSI_SEND(&f, 512, 0x2a, 0, 0, 0, 0, 6, 0, 0, 1, 0), 0);
        memset(f.data, 0xa3, 512);
        assert_int_equal(SCSI_SEND(&f, 512, 0xaa, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0), 0);
        memset(f.data, 0xa4, 512);
        assert_int_equal(SCSI_SEND(&f, 512, 0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0), 0);
        for (unsigned i = 0; i < 6; i++) {
                static const uint8_t expected[] = {4, 0xa1, 0xa2, 0xa3, 0xa4, 9};

                assert_int_equal(f.image->bytes[(4 + i) * 512], expected[i]);
                assert_int_equal(f.image->bytes[(4 + i) * 512 + 511], expected[i]);
        }
}

static void test_no_blocks_are_256_in_the_short_commands_alone(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        assert_int_equal(SCSI_ASK(&f, 512, 0x08, 0, 0, 0, 0, 0), OUT_OF_RANGE); /* of 128 */
        assert_int_equal(SCSI_SAY(&f, 0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0);
        assert_int_equal(SCSI_SAY(&f, 0x28, 0, 0, 0, 0, 128, 0, 0, 0, 0), 0);
        assert_int_equal(SCSI_SAY(&f, 0x28, 0, 0, 0, 0, 129, 0, 0, 0, 0), OUT_OF_RANGE);
        assert_string_equal(f.image->log, "");
}

static void test_blocks_beyond_the_end_are_out_of_range(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        assert_int_equal(SCSI_ASK(&f, 512, 0x28, 0, 0, 0, 0, 127, 0, 0, 1, 0), 0);
        assert_int_equal(SCSI_ASK(&f, 1024, 0x28, 0, 0, 0, 0, 127, 0, 0, 2, 0), OUT_OF_RANGE);
        assert_int_equal(SCSI_ASK(&f, 512, 0x88, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                  0, 0, 0, 1, 0, 0),
                         OUT_OF_RANGE);
        assert_int_equal(SCSI_ASK(&f, 512, 0x88, 0, 0x00, 0x80, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff,
                                  0xff, 0, 0),
                         OUT_OF_RANGE);
        assert_string_equal(f.image->log, "");
}

static void test_a_command_may_not_move_more_than_its_limit(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        assert_int_equal(scsi_disk_resize(f.disk, UINT64_C(1) << 32), 0);
        (void) SCSI_SAY(&f, 0, 0, 0, 0, 0, 0);
        assert_int_equal(SCSI_ASK(&f, 512, 0xa8, 0, 0, 0, 0, 0, 0, 0, 0x80, 1, 0, 0), INVALID_CDB);
}

static void test_data_that_do_not_fit_the_cdb_are_an_overrun(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        assert_int_equal(SCSI_ASK(&f, 1023, 0x28, 0, 0, 0, 0, 0, 0, 0, 2, 0), FAKE_SCSI_OVERRUN);
        assert_int_equal(SCSI_SEND(&f, 1024, 0x28, 0, 0, 0, 0, 0, 0, 0, 2, 0), FAKE_SCSI_OVERRUN);
        assert_int_equal(SCSI_ASK(&f, 1024, 0x2a, 0, 0, 0, 0, 0, 0, 0, 2, 0), FAKE_SCSI_OVERRUN);
        assert_string_equal(f.image->log, "");
        memset(f.data, 0xee, 2048);
        assert_int_equal(SCSI_ASK(&f, 2048, 0x28, 0, 0, 0, 0, 1, 0, 0, 2, 0), 0);
        assert_int_equal(f.task.moved, 1024);
        assert_int_equal(f.data[1023], 2);
        assert_int_equal(f.data[1024], 0xee);
}

static void test_who_wants_the_medium_gets_a_flush(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        assert_int_equal(SCSI_SEND(&f, 512, 0x2a, 0x08, 0, 0, 0, 0, 0, 0, 1, 0), 0);
        assert_string_equal(f.image->log, "wf");
        assert_int_equal(SCSI_ASK(&f, 512, 0x28, 0x18, 0, 0, 0, 0, 0, 0, 1, 0), 0);
        assert_string_equal(f.image->log, "fr");
        assert_int_equal(SCSI_ASK(&f, 512, 0x28, 0x10, 0, 0, 0, 0, 0, 0, 1, 0), 0);
        assert_string_equal(f.image->log, "r");
        assert_int_equal(SCSI_SAY(&f, 0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0);
        assert_string_equal(f.image->log, "f");
        assert_int_equal(SCSI_SAY(&f, 0x91, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0);
        assert_string_equal(f.image->log, "f");
        assert_int_equal(SCSI_SAY(&f, 0x35, 0, 0, 0, 0, 128, 0, 0, 1, 0), OUT_OF_RANGE);
}

static void test_a_read_only_disk_is_write_protected(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, true);
        assert_int_equal(SCSI_SEND(&f, 512, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0), WRITE_PROTECTED);
        assert_int_equal(SCSI_ASK(&f, 512, 0x28, 8, 0, 0, 0, 0, 0, 0, 1, 0), 0);
        assert_string_equal(f.image->log, "r");
        assert_int_equal(SCSI_SAY(&f, 0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0);
        assert_string_equal(f.image->log, "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_blocks_are_read_by_commands_of_every_length),
                cmocka_unit_test(test_blocks_are_written_by_commands_of_every_length),
                cmocka_unit_test(test_no_blocks_are_256_in_the_short_commands_alone),
                cmocka_unit_test(test_blocks_beyond_the_end_are_out_of_range),
                cmocka_unit_test(test_a_command_may_not_move_more_than_its_limit),
                cmocka_unit_test(test_data_that_do_not_fit_the_cdb_are_an_overrun),
                cmocka_unit_test(test_who_wants_the_medium_gets_a_flush),
                cmocka_unit_test(test_a_read_only_disk_is_write_protected),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
