/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/mac.h"

static void test_an_address_is_six_bytes(void **state) {
        static const uint8_t bytes[MAC_LEN] = {0x02, 0xab, 0, 0xff, 1, 0x10};
        char text[MAC_TEXT_SIZE];
        uint8_t mac[MAC_LEN];

        assert_true(mac_parse("02:aB:00:fF:01:10", mac));
        assert_memory_equal(mac, bytes, MAC_LEN);
        mac_format(mac, text);
        assert_string_equal(text, "02:ab:00:ff:01:10");
}

static void test_what_is_no_address_is_refused(void **state) {
        static const char *const bad[] = {"",
                                          "02",
                                          "02:00:00:00:00",
                                          "02:00:00:00:00:01:",
                                          "02:00:00:00:00:01:02",
                                          "2:0:0:0:0:1",
                                          "02-00-00-00-00-01",
                                          "0g:00:00:00:00:01",
                                          "02:00:00:00:00:1"};
        uint8_t mac[MAC_LEN];

        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
                assert_false(mac_parse(bad[i], mac));
}

static void test_a_card_has_no_address_of_a_group(void **state) {
        assert_true(mac_is_of_a_card((const uint8_t[]){2, 0, 0, 0, 0, 1}));
        assert_false(mac_is_of_a_card((const uint8_t[]){3, 0, 0, 0, 0, 1}));
        assert_false(mac_is_of_a_card((const uint8_t[]){0xff, 0xff, 0xff, 0xff, 0xff, 0xff}));
        assert_false(mac_is_of_a_card((const uint8_t[]){0, 0, 0, 0, 0, 0}));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_an_address_is_six_bytes),
                cmocka_unit_test(test_what_is_no_address_is_refused),
                cmocka_unit_test(test_a_card_has_no_address_of_a_group),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
