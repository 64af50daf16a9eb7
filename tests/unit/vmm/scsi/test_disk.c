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

static void test_the_first_command_is_told_of_the_start_once(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        scsi_disk_tell(f.disk, SCSI_POWER_ON);
        assert_int_equal(SCSI_ASK(&f, 36, 0x12, 0, 0, 0, 36, 0), 0);
        assert_int_equal(SCSI_ASK(&f, 16, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0), 0);
        assert_int_equal(SCSI_SAY(&f, 0, 0, 0, 0, 0, 0), FAKE_SENSE(6, 0x29, 0));
        assert_int_equal(SCSI_SAY(&f, 0, 0, 0, 0, 0, 0), 0);
}

static void test_an_unknown_command_is_refused(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        assert_int_equal(SCSI_SAY(&f, 0xff, 0, 0, 0, 0, 0), INVALID_COMMAND);
        assert_int_equal(SCSI_SAY(&f, 0x04, 0, 0, 0, 0, 0), INVALID_COMMAND);
        assert_int_equal(f.task.sense[15], 0);
}

static void test_an_unknown_service_action_is_a_field_of_the_cdb(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        assert_int_equal(SCSI_SAY(&f, 0x9e, 0x11), INVALID_CDB);
        assert_int_equal(be16_load(f.task.sense + 16), 1);
}

static void test_a_bit_that_means_nothing_is_refused_by_its_byte(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        assert_int_equal(SCSI_ASK(&f, 512, 0x28, 0, 0, 0, 0, 0, 0, 0, 1, 4), INVALID_CDB);
        assert_int_equal(f.task.sense[15], 0xc0);
        assert_int_equal(be16_load(f.task.sense + 16), 9);
        assert_int_equal(SCSI_ASK(&f, 512, 0x28, 0x20, 0, 0, 0, 0, 0, 0, 1, 0), INVALID_CDB);
        assert_int_equal(be16_load(f.task.sense + 16), 1);
        assert_string_equal(f.image->log, "");
}

static void test_another_logical_unit_is_not_there(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        f.lun = 1;
        assert_int_equal(SCSI_SAY(&f, 0, 0, 0, 0, 0, 0), FAKE_SENSE(5, 0x25, 0));
        assert_int_equal(SCSI_SAY(&f, 0xff, 0, 0, 0, 0, 0), FAKE_SENSE(5, 0x25, 0));
        assert_int_equal(SCSI_ASK(&f, 36, 0x12, 0, 0, 0, 36, 0), 0);
        assert_int_equal(f.data[0], 0x7f);
        assert_int_equal(SCSI_ASK(&f, 18, 0x03, 0, 0, 0, 18, 0), 0);
        assert_int_equal(f.data[12], 0x25);
}

static void test_errors_of_the_image_have_their_sense(void **state) {
        static const struct {
                int error;
                uint32_t read, write;
        } cases[] = {
                {-EIO, FAKE_SENSE(3, 0x11, 0), FAKE_SENSE(3, 0x0c, 0)},
                {-ENOSPC, FAKE_SENSE(7, 0x27, 7), FAKE_SENSE(7, 0x27, 7)},
                {-EPERM, WRITE_PROTECTED, WRITE_PROTECTED},
                {-ENOMEM, FAKE_SENSE(4, 0x44, 0), FAKE_SENSE(4, 0x44, 0)},
        };
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        for (unsigned i = 0; i < ELEMENTSOF(cases); i++) {
                f.image->error = cases[i].error;
                assert_int_equal(SCSI_ASK(&f, 512, 0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0), cases[i].read);
                assert_int_equal(f.task.moved, 0);
                assert_int_equal(SCSI_SEND(&f, 512, 0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0),
                                 cases[i].write);
        }
}

static void test_a_task_of_a_stopped_disk_takes_no_further_step(void **state) {
        static const uint8_t write_through[] = {0x2a, 0x08, 0, 0, 0, 0, 0, 0, 1, 0};
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        f.image->hold = true;
        fake_scsi_begin(&f, write_through, sizeof(write_through), true, 512);
        scsi_disk_stop(f.disk, true);
        fake_scsi_release(&f, 0);
        assert_true(f.ended);
        assert_string_equal(f.image->log, "w");
        scsi_disk_stop(f.disk, false);
        fake_scsi_begin(&f, write_through, sizeof(write_through), true, 512);
        fake_scsi_release(&f, 0);
        assert_false(f.ended);
        assert_string_equal(f.image->log, "wf");
        fake_scsi_release(&f, 0);
        assert_int_equal(f.task.status, SCSI_GOOD);
}

static void test_a_new_size_is_told_and_in_effect(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f, ro;

        fake_scsi_init(&f, false);
        assert_int_equal(scsi_disk_resize(f.disk, 32768), 0);
        assert_int_equal(SCSI_SAY(&f, 0, 0, 0, 0, 0, 0), FAKE_SENSE(6, 0x2a, 9));
        assert_int_equal(SCSI_ASK(&f, 512, 0x28, 0, 0, 0, 0, 64, 0, 0, 1, 0), OUT_OF_RANGE);
        assert_int_equal(scsi_disk_resize(f.disk, 0), -EINVAL);
        assert_int_equal(scsi_disk_resize(f.disk, 1000), -EINVAL);
        fake_scsi_init(&ro, true);
        assert_int_equal(scsi_disk_resize(ro.disk, 32768), -EROFS);
}

static void test_a_disk_that_cannot_be_is_refused(void **state) {
        BlockDev image = {.size_bytes = 4096, .align_bytes = 4096};
        ScsiDiskConfig config = {.block_size = 512};
        ScsiDisk *disk;

        assert_int_equal(scsi_disk_new(&image, &config, &disk, NULL), -EINVAL);
        image.align_bytes = 1;
        config.block_size = 768;
        assert_int_equal(scsi_disk_new(&image, &config, &disk, NULL), -EINVAL);
        config.block_size = 512;
        image.size_bytes = 511;
        assert_int_equal(scsi_disk_new(&image, &config, &disk, NULL), -EINVAL);
        image.size_bytes = 4096;
        config.id = "123456789012345678901";
        assert_int_equal(scsi_disk_new(&image, &config, &disk, NULL), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_first_command_is_told_of_the_start_once),
                cmocka_unit_test(test_an_unknown_command_is_refused),
                cmocka_unit_test(test_an_unknown_service_action_is_a_field_of_the_cdb),
                cmocka_unit_test(test_a_bit_that_means_nothing_is_refused_by_its_byte),
                cmocka_unit_test(test_another_logical_unit_is_not_there),
                cmocka_unit_test(test_errors_of_the_image_have_their_sense),
                cmocka_unit_test(test_a_task_of_a_stopped_disk_takes_no_further_step),
                cmocka_unit_test(test_a_new_size_is_told_and_in_effect),
                cmocka_unit_test(test_a_disk_that_cannot_be_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
