/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/str.h"
#include "service/netd/addresses.h"
#include "service/netd/networkd.h"
#include "service/netd/settings.h"

static int parse(const char *text, Settings *ret, TextError *error) {
        return settings_parse(text, strlen(text), ret, error);
}

static void test_without_a_file_there_is_the_default_network(void **state) {
        Settings settings;
        const Network *network;

        assert_int_equal(settings_load("/nonexistent/netd.conf", &settings, NULL), 0);
        network = settings_find(&settings, "default");
        assert_non_null(network);
        assert_false(network->isolated);
        assert_true(network->dhcp);
        assert_int_equal(network->v4_choice, IP_AUTO);
        assert_null(settings_find(&settings, "other"));
}

static void test_networks_are_sections(void **state) {
        Settings settings;
        const Network *lab;

        assert_int_equal(parse("[Pool]\nIPv4=172.16.5.0/20\n[Network lab]\nMode=isolated\n"
                               "IPv4=10.1.2.3/16\nIPv6=none\nDHCP=no\n[Network default]\n"
                               "IPv6=fd01::1/64\n",
                               &settings, NULL),
                         0);
        lab = settings_find(&settings, "lab");
        assert_non_null(lab);
        assert_true(lab->isolated);
        assert_false(lab->dhcp);
        assert_int_equal(lab->v4_choice, IP_GIVEN);
        assert_int_equal(lab->v4.prefix_len, 16);
        assert_int_equal(lab->v6_choice, IP_NONE);
        assert_int_equal(settings_find(&settings, "default")->v6_choice, IP_GIVEN);
        assert_int_equal(settings.pool.prefix_len, 20);
}

static void test_mistakes_are_named(void **state) {
        static const struct {
                const char *text, *message;
        } cases[] = {
                {"[Network A]\n", "line 1: [Network A]: a name is 1 to 11 of a-z 0-9 -"},
                {"[Net]\n", "line 1: [Net]: unknown section"},
                {"IPv4=auto\n", "line 1: IPv4=: unknown key"},
                {"[Network a]\nMode=bridged\n",
                 "line 2: Mode=: expected isolated or nat, not \"bridged\""},
                {"[Network a]\nIPv4=10.0.0.1\n",
                 "line 2: IPv4=: expected auto, none or the host's address and the length of the "
                 "prefix, not \"10.0.0.1\""},
                {"[Pool]\nIPv4=10.0.0.0/25\n",
                 "line 2: IPv4=: expected a network with a prefix of 8 to 24 bits, not "
                 "\"10.0.0.0/25\""},
                {"[Network a]\nIPv4=10.0.0.1/8\n[Network b]\nIPv4=10.9.0.1/16\n",
                 "[Network a] and [Network b] overlap"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(text_error_deinit) TextError error = {0};
                Settings settings;

                assert_int_equal(parse(cases[i].text, &settings, &error), -EINVAL);
                assert_string_equal(error.message, cases[i].message);
        }
}

static void test_there_is_a_limit_of_networks(void **state) {
        _cleanup_(strbuf_deinit) StrBuf text = {0};
        Settings settings;

        for (unsigned i = 0; i < NETWORKS_MAX - 1; i++)
                strbuf_printf(&text, "[Network n%u]\n", i);
        assert_int_equal(parse(text.data, &settings, NULL), 0);
        strbuf_append(&text, "[Network more]\n");
        assert_int_equal(parse(text.data, &settings, NULL), -E2BIG);
}

static void test_networkd_gives_a_way_out_to_those_who_have_one(void **state) {
        _cleanup_(strbuf_deinit) StrBuf out = {0}, closed = {0};
        Network network = {.name = "lab", .dhcp = true};
        IpAddress v4, none = {0};

        assert_int_equal(ip_parse("10.1.0.1/24", AF_INET, &v4), 0);
        networkd_format(&network, &v4, &none, &out);
        assert_non_null(strstr(out.data, "Name=viv-lab\n"));
        assert_non_null(strstr(out.data, "Address=10.1.0.1/24\n"));
        assert_non_null(strstr(out.data, "IPMasquerade=both\n"));
        assert_non_null(strstr(out.data, "EmitRouter=yes\n"));
        assert_null(strstr(out.data, "IPv6SendRA"));
        network.isolated = true;
        networkd_format(&network, &v4, &none, &closed);
        assert_null(strstr(closed.data, "IPMasquerade"));
        assert_non_null(strstr(closed.data, "EmitRouter=no\n"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_without_a_file_there_is_the_default_network),
                cmocka_unit_test(test_networks_are_sections),
                cmocka_unit_test(test_mistakes_are_named),
                cmocka_unit_test(test_there_is_a_limit_of_networks),
                cmocka_unit_test(test_networkd_gives_a_way_out_to_those_who_have_one),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
