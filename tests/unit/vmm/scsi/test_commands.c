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

#define OPCODES 0xa3, 0x0c

static void test_all_commands_are_listed_with_their_length(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;
        unsigned unmap = 0, capacity = 0;
        uint32_t len;

        fake_scsi_init(&f, false);
        assert_int_equal(SCSI_ASK(&f, 1024, OPCODES, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0), 0);
        len = be32_load(f.data);
        assert_int_equal(f.task.moved, len + 4);
        assert_int_equal(len % 8, 0);
        for (const uint8_t *at = f.data + 4; at < f.data + 4 + len; at += 8) {
                assert_int_equal(be16_load(at + 6), at[0] < 0x20   ? 6
                                                    : at[0] < 0x80 ? 10
                                                    : at[0] < 0xa0 ? 16
                                                                   : 12);
                unmap += at[0] == 0x42;
                capacity += at[0] == 0x9e && at[3] == 0x10 && at[5] == 1;
        }
        assert_int_equal(unmap, 1);
        assert_int_equal(capacity, 1);
        assert_int_equal(SCSI_ASK(&f, 1024, OPCODES, 0x80, 0, 0, 0, 0, 0, 4, 0, 0, 0), 0);
        assert_int_equal(be32_load(f.data), len / 8 * 20);
        assert_int_equal(be16_load(f.data + 12), 10); /* of what follows: no time is said */
}

static void test_one_command_is_told_with_the_bits_it_knows(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        assert_int_equal(SCSI_ASK(&f, 64, OPCODES, 1, 0x28, 0, 0, 0, 0, 0, 64, 0, 0), 0);
        assert_int_equal(f.data[1], 3);
        assert_int_equal(be16_load(f.data + 2), 10);
        assert_int_equal(f.data[4], 0x28);
        assert_int_equal(f.data[5], 0x18);
        assert_int_equal(f.data[13], 0);
        assert_int_equal(f.task.moved, 14);
        assert_int_equal(SCSI_ASK(&f, 64, OPCODES, 2, 0x9e, 0, 0x10, 0, 0, 0, 64, 0, 0), 0);
        assert_int_equal(f.data[5], 0x10);
        assert_int_equal(SCSI_ASK(&f, 64, OPCODES, 0x83, 0x93, 0, 0, 0, 0, 0, 64, 0, 0), 0);
        assert_int_equal(f.data[1], 0x83);
        assert_int_equal(f.task.moved, 4 + 16 + 12);
}

static void test_a_command_that_is_not_there_is_said_to_be_so(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f, ro;

        fake_scsi_init(&f, false);
        assert_int_equal(SCSI_ASK(&f, 64, OPCODES, 1, 0x89, 0, 0, 0, 0, 0, 64, 0, 0), 0);
        assert_int_equal(f.data[1], 1);
        assert_int_equal(SCSI_ASK(&f, 64, OPCODES, 3, 0x28, 0, 1, 0, 0, 0, 64, 0, 0), 0);
        assert_int_equal(f.data[1], 1);
        assert_int_equal(SCSI_ASK(&f, 64, OPCODES, 2, 0x9e, 1, 0x10, 0, 0, 0, 64, 0, 0), 0);
        assert_int_equal(f.data[1], 1);
        fake_scsi_init(&ro, true);
        assert_int_equal(SCSI_ASK(&ro, 64, OPCODES, 1, 0x42, 0, 0, 0, 0, 0, 64, 0, 0), 0);
        assert_int_equal(ro.data[1], 1);
}

static void test_questions_that_do_not_fit_the_command_are_refused(void **state) {
        _cleanup_(fake_scsi_deinit) FakeScsi f;

        fake_scsi_init(&f, false);
        assert_int_equal(SCSI_ASK(&f, 64, OPCODES, 1, 0x9e, 0, 0x10, 0, 0, 0, 64, 0, 0),
                         INVALID_CDB);
        assert_int_equal(SCSI_ASK(&f, 64, OPCODES, 2, 0x28, 0, 0, 0, 0, 0, 64, 0, 0), INVALID_CDB);
        assert_int_equal(SCSI_ASK(&f, 64, OPCODES, 4, 0x28, 0, 0, 0, 0, 0, 64, 0, 0), INVALID_CDB);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_all_commands_are_listed_with_their_length),
                cmocka_unit_test(test_one_command_is_told_with_the_bits_it_knows),
                cmocka_unit_test(test_a_command_that_is_not_there_is_said_to_be_so),
                cmocka_unit_test(test_questions_that_do_not_fit_the_command_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
