/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "vmm/gdb/rsp.h"

static RspReader reader; /* too big for a stack */

static int reset(void **state) {
        memset(&reader, 0, sizeof(reader));
        return 0;
}

/* The event of the last byte; all before it are nothing. */
static RspEvent read_text(const char *text, size_t len) {
        RspEvent event = RSP_NOTHING;

        for (size_t i = 0; i < len; i++) {
                assert_int_equal(event, RSP_NOTHING);
                event = rsp_read(&reader, (uint8_t) text[i]);
        }
        return event;
}

static void test_a_packet_comes_out_whole(void **state) {
        assert_int_equal(read_text("+$qC#b4", 7), RSP_PACKET);
        assert_string_equal(reader.data, "qC");
        assert_int_equal(reader.len, 2);
        assert_int_equal(read_text("$#00", 4), RSP_PACKET);
        assert_int_equal(reader.len, 0);
}

static void test_escaped_bytes_are_what_they_were(void **state) {
        /* 'X' 0x7d '}' is escaped as 0x7d 0x5d; the checksum is of the bytes sent */
        assert_int_equal(read_text("$X}]}\x03#b2", 9), RSP_PACKET);
        assert_int_equal(reader.len, 3);
        assert_memory_equal(reader.data, "X}#", 3);
}

static void test_a_wrong_checksum_is_told(void **state) {
        assert_int_equal(read_text("$qC#b5", 6), RSP_BAD);
        assert_int_equal(read_text("$qC#xy", 6), RSP_BAD);
        assert_int_equal(read_text("$qC#B4", 6), RSP_PACKET);
}

static void test_a_packet_that_is_too_long_is_told_and_passed_over(void **state) {
        RspEvent event = rsp_read(&reader, '$');

        for (size_t i = 0; i < RSP_PACKET_BYTES_MAX + 100; i++) {
                assert_int_equal(event, RSP_NOTHING);
                event = rsp_read(&reader, 'm');
        }
        assert_int_equal(read_text("#00", 3), RSP_BAD);
        assert_int_equal(read_text("$qC#b4", 6), RSP_PACKET);
}

static void test_interrupts_and_nacks_count_between_packets_only(void **state) {
        assert_int_equal(rsp_read(&reader, 3), RSP_INTERRUPT);
        assert_int_equal(rsp_read(&reader, '-'), RSP_NACK);
        assert_int_equal(read_text("$\x03-#30", 6), RSP_PACKET);
        assert_memory_equal(reader.data, "\x03-", 2);
}

static void test_what_is_framed_is_read_back(void **state) {
        static const uint8_t bytes[] = {'$', '#', '}', '*', 0, 'a', 0xff};
        char escaped[32], frame[64];
        size_t n = rsp_escape(bytes, sizeof(bytes), escaped, sizeof(escaped));
        size_t len = rsp_frame(escaped, n, frame, sizeof(frame));

        assert_int_equal(n, sizeof(bytes) + 4);
        assert_int_equal(read_text(frame, len), RSP_PACKET);
        assert_int_equal(reader.len, sizeof(bytes));
        assert_memory_equal(reader.data, bytes, sizeof(bytes));
        assert_int_equal(rsp_frame(escaped, n, frame, n + 3), 0);
}

static void test_escaping_stops_before_half_a_pair(void **state) {
        char escaped[3];

        assert_int_equal(rsp_escape((const uint8_t *) "a##", 3, escaped, sizeof(escaped)), 3);
        assert_int_equal(rsp_escape((const uint8_t *) "ab#", 3, escaped, sizeof(escaped)), 2);
}

static void test_numbers_have_at_most_64_bits(void **state) {
        static const char *const bad[] = {"", "x", "-1", "10000000000000000"};
        const char *p = "ffffffffffffffff,1";
        uint64_t value = 0;

        assert_true(rsp_number(&p, &value));
        assert_true(value == UINT64_MAX);
        assert_string_equal(p, ",1");
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                p = bad[i];
                assert_false(rsp_number(&p, &value));
        }
}

static void test_digits_must_be_digits(void **state) {
        uint8_t bytes[2];

        assert_int_equal(rsp_unhex("00fF", 2, bytes), 0);
        assert_memory_equal(bytes, "\x00\xff", 2);
        assert_true(rsp_unhex("0g", 1, bytes) < 0);
        assert_true(rsp_unhex("0", 1, bytes) < 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_a_packet_comes_out_whole, reset),
                cmocka_unit_test_setup(test_escaped_bytes_are_what_they_were, reset),
                cmocka_unit_test_setup(test_a_wrong_checksum_is_told, reset),
                cmocka_unit_test_setup(test_a_packet_that_is_too_long_is_told_and_passed_over,
                                       reset),
                cmocka_unit_test_setup(test_interrupts_and_nacks_count_between_packets_only, reset),
                cmocka_unit_test_setup(test_what_is_framed_is_read_back, reset),
                cmocka_unit_test(test_escaping_stops_before_half_a_pair),
                cmocka_unit_test(test_numbers_have_at_most_64_bits),
                cmocka_unit_test(test_digits_must_be_digits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
