/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/cleanup.h"
#include "config/guid.h"

static void test_text_and_bytes_agree(void **state) {
        static const uint8_t bytes[16] = {0x0f, 0xc6, 0x3d, 0xaf, 0x84, 0x83, 0x47, 0x72,
                                          0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4};
        uint8_t guid[16];
        char text[GUID_TEXT_SIZE];

        assert_int_equal(guid_parse("0FC63DAF-8483-4772-8e79-3d69d8477de4", guid), 0);
        assert_memory_equal(guid, bytes, 16);
        guid_format(guid, text);
        assert_string_equal(text, "0fc63daf-8483-4772-8e79-3d69d8477de4");
}

static void test_other_texts_are_refused_and_change_nothing(void **state) {
        static const char *const bad[] = {
                "",
                "0fc63daf-8483-4772-8e79-3d69d8477de",
                "0fc63daf-8483-4772-8e79-3d69d8477de45",
                "0fc63daf84834772-8e79-3d69d8477de4--",
                "0fc63daf-8483-4772-8e79-3d69d8477dg4",
                "{0fc63daf-8483-4772-8e79-3d69d8477de4}",
                "0fc63daf-8483-4772-8e79-3d69d8477de4 ",
                "0fc63daf-",
        };
        uint8_t guid[16] = {1};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(guid_parse(bad[i], guid), -EINVAL);
        assert_int_equal(guid[0], 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text_and_bytes_agree),
                cmocka_unit_test(test_other_texts_are_refused_and_change_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
