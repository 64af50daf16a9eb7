/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/store/state_file.h"

static void make_frame(StrBuf *out) {
        _cleanup_(fields_deinit) Fields fields = {0};

        fields_set(&fields, "NAME", "a name = with\\odd\nbytes");
        fields_set_u64(&fields, "CID", 2048);
        fields_set_bytes(&fields, "TAIL", "\0\xff", 2);
        assert_int_equal(state_frame(&fields, out), 0);
}

static void test_what_is_written_is_read(void **state) {
        _cleanup_(strbuf_deinit) StrBuf frame = {0};
        _cleanup_(fields_deinit) Fields fields = {0};
        size_t used;

        make_frame(&frame);
        assert_int_equal(state_unframe(frame.data, frame.len, &fields, &used), 0);
        assert_int_equal(used, frame.len);
        assert_string_equal(fields_get(&fields, "NAME"), "a name = with\\odd\nbytes");
        assert_int_equal(fields_get_u64(&fields, "CID", 0), 2048);
        assert_int_equal(fields_get_u64(&fields, "LATER", 7), 7);
        assert_null(fields_get(&fields, "TAIL")); /* no text */
        assert_memory_equal(fields_find(&fields, "TAIL")->value, "\0\xff", 2);
}

static void test_a_change_of_any_byte_is_found(void **state) {
        _cleanup_(strbuf_deinit) StrBuf frame = {0};

        make_frame(&frame);
        for (size_t i = 0; i < frame.len; i++)
                for (unsigned bit = 0; bit < 8; bit++) {
                        Fields fields = {0};

                        frame.data[i] = (char) (frame.data[i] ^ (1 << bit));
                        assert_true(state_unframe(frame.data, frame.len, &fields, NULL) < 0);
                        frame.data[i] = (char) (frame.data[i] ^ (1 << bit));
                }
}

static void test_a_file_cut_anywhere_is_refused(void **state) {
        _cleanup_(strbuf_deinit) StrBuf frame = {0};

        make_frame(&frame);
        for (size_t len = 0; len < frame.len; len++) {
                Fields fields = {0};

                assert_true(state_unframe(frame.data, len, &fields, NULL) < 0);
        }
}

static void test_another_form_is_told_from_damage(void **state) {
        static const char text[] = "vivarium-state 2 0 00000000\n";
        Fields fields = {0};

        assert_int_equal(state_unframe(text, sizeof(text) - 1, &fields, NULL), -EPROTONOSUPPORT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_is_written_is_read),
                cmocka_unit_test(test_a_change_of_any_byte_is_found),
                cmocka_unit_test(test_a_file_cut_anywhere_is_refused),
                cmocka_unit_test(test_another_form_is_told_from_damage),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
