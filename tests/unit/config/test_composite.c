/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/str.h"
#include "config/composite.h"

static void assert_refused(const void *body, size_t len, const char *words) {
        _cleanup_(strbuf_deinit) StrBuf file = {0};
        _cleanup_(text_error_deinit) TextError error = {0};
        CompositeSpec spec;
        int r;

        strbuf_append(&file, COMPOSITE_MAGIC);
        strbuf_append_bytes(&file, body, len);
        assert_false(file.failed);
        r = composite_decode(file.data, file.len, &spec, &error);
        if (r != -EINVAL || !error.message || !strstr(error.message, words))
                fail_msg("%d '%s', expected -EINVAL with '%s'", r, error.message ?: "(none)",
                         words);
}

#define ASSERT_REFUSED(body, words) assert_refused(body, sizeof(body) - 1, words)

static void test_what_is_encoded_is_decoded_again(void **state) {
        _cleanup_(composite_spec_deinit) CompositeSpec spec = {0}, back = {0};
        _cleanup_(freep) void *data = NULL;
        size_t len;

        assert_int_equal(composite_spec_add(&spec, "/proc/self/fd/3", 0, false), 0);
        assert_int_equal(composite_spec_add(&spec, "/proc/self/fd/4", 20480, true), 0);
        assert_int_equal(composite_spec_add(&spec, "/proc/self/fd/5", UINT64_C(1) << 40, false), 0);
        spec.parts[1].file_offset = 4096;
        spec.size = (UINT64_C(1) << 40) + 65536;
        assert_int_equal(composite_encode(&spec, &data, &len), 0);
        assert_true(composite_is(data, len));
        assert_int_equal(composite_decode(data, len, &back, NULL), 0);
        assert_int_equal(back.n_parts, 3);
        assert_true(back.size == spec.size);
        assert_int_equal(back.parts[0].size, 20480);
        assert_string_equal(back.parts[1].path, "/proc/self/fd/4");
        assert_true(back.parts[1].writable);
        assert_true(back.parts[1].size == (UINT64_C(1) << 40) - 20480);
        assert_int_equal(back.parts[1].file_offset, 4096);
        assert_int_equal(back.parts[2].size, 65536);
        assert_false(back.parts[2].writable);
}

/* Bytes as crosvm's own writer gives them: version 2, two parts, length. */
static void test_the_bytes_of_the_published_message_are_understood(void **state) {
        static const char file[] = COMPOSITE_MAGIC "\x08\x02"
                                                   "\x12\x05\x0a\x03"
                                                   "a/b"
                                                   "\x12\x09\x0a\x02/c\x10\x80\x20\x18\x01"
                                                   "\x18\x80\x80\x01";
        _cleanup_(composite_spec_deinit) CompositeSpec spec = {0};

        assert_int_equal(composite_decode(file, sizeof(file) - 1, &spec, NULL), 0);
        assert_int_equal(spec.n_parts, 2);
        assert_string_equal(spec.parts[0].path, "a/b");
        assert_int_equal(spec.parts[0].size, 4096);
        assert_string_equal(spec.parts[1].path, "/c");
        assert_int_equal(spec.parts[1].offset, 4096);
        assert_true(spec.parts[1].writable);
        assert_int_equal(spec.size, 16384);
}

static void test_parts_out_of_order_and_unknown_fields_are_accepted(void **state) {
        static const char file[] = COMPOSITE_MAGIC "\x08\x01\x18\x20"
                                                   "\x12\x05\x0a\x01"
                                                   "b\x10\x10"
                                                   "\x29"
                                                   "12345678"
                                                   "\x35"
                                                   "1234"
                                                   "\x3a\x02"
                                                   "xy"
                                                   "\x40\x7f"
                                                   "\x12\x03\x0a\x01"
                                                   "a";
        _cleanup_(composite_spec_deinit) CompositeSpec spec = {0};

        assert_int_equal(composite_decode(file, sizeof(file) - 1, &spec, NULL), 0);
        assert_string_equal(spec.parts[0].path, "a");
        assert_string_equal(spec.parts[1].path, "b");
        assert_int_equal(spec.parts[1].size, 16);
}

static void test_hostile_messages_are_refused(void **state) {
        ASSERT_REFUSED("", "no parts");
        ASSERT_REFUSED("\x08", "not a valid message");
        ASSERT_REFUSED("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", "not a valid message");
        ASSERT_REFUSED("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "not a valid message");
        ASSERT_REFUSED("\x12\x7f", "not a valid message");
        ASSERT_REFUSED("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", "not a valid message");
        ASSERT_REFUSED("\x0b", "not a valid message");
        ASSERT_REFUSED("\x00\x01", "not a valid message");
        ASSERT_REFUSED("\x12\x02\x0a\x05zzzzz", "not a valid message");
        ASSERT_REFUSED("\x08\x03\x12\x03\x0a\x01z\x18\x01", "version 3 of the composite disk");
        ASSERT_REFUSED("\x12\x00\x18\x01", "has no path");
        ASSERT_REFUSED("\x12\x02\x0a\x00\x18\x01", "is not 1 to 4095 bytes of text");
        ASSERT_REFUSED("\x12\x03\x0a\x01\xff\x18\x01", "is not 1 to 4095 bytes of text");
        ASSERT_REFUSED("\x12\x03\x0a\x01\x00\x18\x01", "is not 1 to 4095 bytes of text");
        ASSERT_REFUSED("\x12\x05\x0a\x01z\x18\x02\x18\x01", "z: access kind 2 is unknown");
        ASSERT_REFUSED("\x12\x05\x0a\x01z\x10\x01\x18\x05", "no part at offset 0");
        ASSERT_REFUSED("\x12\x03\x0a\x01z", "z: the part at offset 0 is empty");
        ASSERT_REFUSED("\x12\x03\x0a\x01z\x12\x03\x0a\x01y\x18\x05", "part at offset 0 is empty");
        ASSERT_REFUSED("\x12\x03\x0a\x01z\x12\x05\x0a\x01y\x10\x05\x18\x05",
                       "y: the part at offset 5 is empty");
        ASSERT_REFUSED("\x12\x03\x0a\x01z\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                       "larger than");
        ASSERT_REFUSED("\x12\x0d\x0a\x01z\x20\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x18\x05",
                       "file offset");
}

static void test_more_parts_than_the_limit_are_refused(void **state) {
        _cleanup_(strbuf_deinit) StrBuf body = {0};
        _cleanup_(composite_spec_deinit) CompositeSpec spec = {0};

        for (unsigned i = 0; i <= COMPOSITE_PARTS_MAX; i++)
                strbuf_append_bytes(&body, "\x12\x03\x0a\x01z", 5);
        assert_refused(body.data, body.len, "more than 512 parts");
        for (unsigned i = 0; i < COMPOSITE_PARTS_MAX; i++)
                assert_int_equal(composite_spec_add(&spec, "x", i, false), 0);
        assert_int_equal(composite_spec_add(&spec, "x", 0, false), -E2BIG);
}

static void test_another_file_is_told_apart(void **state) {
        CompositeSpec spec;

        assert_false(composite_is("composite_disk", 14));
        assert_false(composite_is("QFI\xfb", 4));
        assert_int_equal(composite_decode("composite_disk\x1e", 15, &spec, NULL), -EINVAL);
        assert_int_equal(composite_decode("", 0, &spec, NULL), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_is_encoded_is_decoded_again),
                cmocka_unit_test(test_the_bytes_of_the_published_message_are_understood),
                cmocka_unit_test(test_parts_out_of_order_and_unknown_fields_are_accepted),
                cmocka_unit_test(test_hostile_messages_are_refused),
                cmocka_unit_test(test_more_parts_than_the_limit_are_refused),
                cmocka_unit_test(test_another_file_is_told_apart),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
