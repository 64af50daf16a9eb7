/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/socket.h>

#include "base/cleanup.h"
#include "service/netd/addresses.h"

static IpAddress v4(const char *text) {
        IpAddress address;

        assert_int_equal(ip_parse(text, AF_INET, &address), 0);
        return address;
}

static void assert_text(const IpAddress *address, const char *text) {
        char buf[IP_TEXT_SIZE];

        ip_format(address, buf);
        assert_string_equal(buf, text);
}

static void test_addresses_have_a_prefix(void **state) {
        static const char *const bad[] = {"10.0.0.1",
                                          "10.0.0.1/0",
                                          "10.0.0.1/33",
                                          "10.0.0/8",
                                          "10.0.0.1/8x",
                                          "fd00::1/64",
                                          "/8",
                                          "10.0.0.1/",
                                          "10.0.0.1 /8",
                                          "10.0.0.1/-8",
                                          ""};
        IpAddress address;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(ip_parse(bad[i], AF_INET, &address), -EINVAL);
        assert_int_equal(ip_parse("fd00::1/129", AF_INET6, &address), -EINVAL);
        assert_int_equal(ip_parse("fd00::1/64", AF_INET6, &address), 0);
        assert_text(&address, "fd00::1/64");
}

static void test_the_network_of_an_address_has_no_host(void **state) {
        IpAddress address = v4("10.11.12.13/20"), network;

        ip_network_of(&address, &network);
        assert_text(&network, "10.11.0.0/20");
        assert_int_equal(ip_parse("fd00:1:2:3:4::5/60", AF_INET6, &address), 0);
        ip_network_of(&address, &network);
        assert_text(&network, "fd00:1:2::/60");
}

static void test_networks_overlap_when_one_is_in_the_other(void **state) {
        IpAddress wide = v4("10.0.0.1/8"), narrow = v4("10.200.3.4/24"), other = v4("11.0.0.1/8");

        assert_true(ip_overlaps(&wide, &narrow));
        assert_true(ip_overlaps(&narrow, &wide));
        assert_false(ip_overlaps(&other, &narrow));
}

static void test_a_network_is_chosen_that_nobody_uses(void **state) {
        const IpAddress pool = v4("10.86.0.0/22"),
                        used[] = {v4("10.86.1.77/32"), v4("10.86.2.0/23"), v4("192.168.0.1/24")};
        IpAddress chosen;

        assert_int_equal(ip_choose_v4(&pool, 5, NULL, 0, &chosen), 0);
        assert_text(&chosen, "10.86.1.1/24");
        assert_int_equal(ip_choose_v4(&pool, 5, used, ELEMENTSOF(used), &chosen), 0);
        assert_text(&chosen, "10.86.0.1/24");
}

static void test_a_pool_can_be_exhausted(void **state) {
        const IpAddress pool = v4("10.86.0.0/22"), all = v4("10.0.0.0/8"),
                        small = v4("10.0.0.0/25");
        IpAddress chosen;

        assert_int_equal(ip_choose_v4(&pool, 0, &all, 1, &chosen), -EADDRNOTAVAIL);
        assert_int_equal(ip_choose_v4(&small, 0, NULL, 0, &chosen), -EADDRNOTAVAIL);
}

static void test_ipv6_networks_are_unique_local(void **state) {
        IpAddress address;

        ip_make_v6(0x0504030201, 0xabcd, &address);
        assert_text(&address, "fd01:203:405:abcd::1/64");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_addresses_have_a_prefix),
                cmocka_unit_test(test_the_network_of_an_address_has_no_host),
                cmocka_unit_test(test_networks_overlap_when_one_is_in_the_other),
                cmocka_unit_test(test_a_network_is_chosen_that_nobody_uses),
                cmocka_unit_test(test_a_pool_can_be_exhausted),
                cmocka_unit_test(test_ipv6_networks_are_unique_local),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
