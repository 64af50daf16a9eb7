/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "service/net/cards.h"
#include "service/net/stable_id.h"

static void prepare(const char *network, bool has_bridges, int expected, Cards *ret) {
        _cleanup_(vm_config_deinit) VmConfig config = {0};
        _cleanup_(strbuf_deinit) StrBuf text = {0};

        strbuf_printf(&text, "{\"kernel\":\"fd:k\",\"network\":%s}", network);
        assert_int_equal(vm_config_parse(text.data, &config, NULL), 0);
        assert_int_equal(cards_prepare(&config, "web", has_bridges, ret, NULL), expected);
}

static void test_a_card_without_a_type_gets_what_the_service_has(void **state) {
        Cards cards = {0};

        prepare("true", true, 0, &cards);
        assert_int_equal(cards.n, 1);
        assert_int_equal(cards.items[0].type, VM_NETWORK_BRIDGE);
        assert_true(cards_have_bridges(&cards));
        prepare("true", false, 0, &cards);
        assert_int_equal(cards.items[0].type, VM_NETWORK_USER);
        assert_false(cards_have_bridges(&cards));
        prepare("{\"forward\":[\"tcp:80:80\"]}", true, 0, &cards);
        assert_int_equal(cards.items[0].type, VM_NETWORK_USER);
}

static void test_what_cannot_be_had_is_refused(void **state) {
        Cards cards = {0};

        prepare("{\"type\":\"bridge\"}", false, -EOPNOTSUPP, &cards);
        prepare("{\"name\":\"lab\"}", false, -EOPNOTSUPP, &cards);
        prepare("{\"queues\":2}", false, -EOPNOTSUPP, &cards);
}

static void test_addresses_are_stable_and_differ(void **state) {
        Cards first = {0}, second = {0}, given = {0};

        prepare("[{},{}]", true, 0, &first);
        prepare("[{},{}]", true, 0, &second);
        assert_memory_equal(first.items[0].mac, second.items[0].mac, MAC_LEN);
        assert_memory_not_equal(first.items[0].mac, first.items[1].mac, MAC_LEN);
        assert_int_equal(first.items[0].mac[0] & 3, 2);
        prepare("{\"mac\":\"02:00:00:00:00:09\"}", true, 0, &given);
        assert_int_equal(given.items[0].mac[5], 9);
}

static void test_numbers_of_things_are_spread(void **state) {
        uint64_t all = 0, none = ~0ull;

        for (unsigned i = 0; i < 64; i++) {
                uint64_t id = stable_id("a", "b", i);

                assert_int_equal(stable_id("a", "b", i), id);
                assert_true(stable_id("ab", "", i) != id);
                all |= id;
                none &= id;
        }
        assert_int_equal(all, ~0ull);
        assert_int_equal(none, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_card_without_a_type_gets_what_the_service_has),
                cmocka_unit_test(test_what_cannot_be_had_is_refused),
                cmocka_unit_test(test_addresses_are_stable_and_differ),
                cmocka_unit_test(test_numbers_of_things_are_spread),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
