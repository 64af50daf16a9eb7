/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/net/stable_id.h"

static void test_the_same_thing_has_the_same_number(void **state) {
        assert_true(stable_id("bridge", "lan", 3) == stable_id("bridge", "lan", 3));
}

static void test_kind_name_and_index_each_make_another_number(void **state) {
        const uint64_t id = stable_id("bridge", "lan", 3);

        assert_true(stable_id("card", "lan", 3) != id);
        assert_true(stable_id("bridge", "wan", 3) != id);
        assert_true(stable_id("bridge", "lan", 4) != id);
}

static void test_kind_and_name_do_not_run_into_each_other(void **state) {
        assert_true(stable_id("ab", "c", 0) != stable_id("a", "bc", 0));
}

static void test_addresses_are_locally_administered_and_of_one_interface(void **state) {
        for (unsigned i = 0; i < 64; i++) {
                uint8_t mac[MAC_LEN];

                stable_mac("card", "web", i, mac);
                assert_int_equal(mac[0] & 0x03, 0x02); /* IEEE 802: U/L set, I/G clear */
        }
}

static void test_all_bytes_of_an_address_depend_on_the_card(void **state) {
        uint8_t seen[MAC_LEN] = {0}, first[MAC_LEN];

        stable_mac("card", "web", 0, first);
        for (unsigned i = 1; i < 64; i++) {
                uint8_t mac[MAC_LEN];

                stable_mac("card", "web", i, mac);
                for (unsigned b = 0; b < MAC_LEN; b++)
                        seen[b] |= mac[b] ^ first[b];
        }
        assert_int_equal(seen[0] & 0x03, 0);
        for (unsigned b = 0; b < MAC_LEN; b++)
                assert_int_equal(seen[b] & 0xfc, 0xfc);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_same_thing_has_the_same_number),
                cmocka_unit_test(test_kind_name_and_index_each_make_another_number),
                cmocka_unit_test(test_kind_and_name_do_not_run_into_each_other),
                cmocka_unit_test(test_addresses_are_locally_administered_and_of_one_interface),
                cmocka_unit_test(test_all_bytes_of_an_address_depend_on_the_card),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
