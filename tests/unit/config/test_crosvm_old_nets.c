/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/crosvm_flags.h"

#define HOST_IP "--host-ip=192.0.2.1", "--netmask=255.255.255.0", "--mac=02:00:00:00:00:01"
#define ARGUMENTS(...) ((const char *const[]){"vmm", "run", __VA_ARGS__, "k", NULL})

static int parse(const char *const *arguments, VmmConfig *ret, TextError *error) {
        int n = 0;

        while (arguments[n])
                n++;
        return crosvm_flags_parse(n, (char *const *) (uintptr_t) arguments, ret, error);
}

/* @nets: the values of --net, each with a bar behind it. */
static void assert_means(const char *const *arguments, const char *nets) {
        _cleanup_(vmm_config_deinit) VmmConfig config = {0};
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(strvec_deinit) StrVec argv = {0};
        _cleanup_(strbuf_deinit) StrBuf joined = {0};

        if (parse(arguments, &config, &error) < 0)
                fail_msg("%s: %s", nets, error.message);
        assert_int_equal(crosvm_flags_emit(&config, &argv, &error), 0);
        for (size_t i = 0; i + 1 < argv.n; i++)
                if (strcmp(argv.items[i], "--net") == 0)
                        strbuf_printf(&joined, "%s|", argv.items[i + 1]);
        assert_string_equal(joined.data, nets);
}

static void assert_refused(const char *const *arguments, const char *words) {
        _cleanup_(vmm_config_deinit) VmmConfig config = {0};
        _cleanup_(text_error_deinit) TextError error = {0};
        int r = parse(arguments, &config, &error);

        if (r != -EINVAL || !error.message || !strstr(error.message, words))
                fail_msg("%d '%s', expected -EINVAL with '%s'", r, error.message ?: "(none)",
                         words);
}

static void test_three_options_are_one_card(void **state) {
        const char made[] = "host-ip=192.0.2.1,netmask=255.255.255.0,mac=02:00:00:00:00:01";
        char nets[256];

        (void) snprintf(nets, sizeof(nets), "%s|", made);
        assert_means(ARGUMENTS(HOST_IP), nets);
        assert_means(ARGUMENTS("--netmask", "255.255.255.0", "--mac-address", "02:00:00:00:00:01",
                               "--host-ip", "192.0.2.1"),
                     nets);
        (void) snprintf(nets, sizeof(nets), "tap-name=a|%s|", made);
        assert_means(ARGUMENTS(HOST_IP, "--net", "tap-name=a"), nets);
}

static void test_options_about_all_cards_are_for_the_old_spellings(void **state) {
        assert_means(ARGUMENTS("--net-vq-pairs=2", "--tap-name=a", "--net", "tap-name=b", HOST_IP),
                     "tap-name=a,vq-pairs=2|tap-name=b|"
                     "host-ip=192.0.2.1,netmask=255.255.255.0,mac=02:00:00:00:00:01,vq-pairs=2|");
        assert_means(ARGUMENTS("--tap-fd=7", "--vhost-net"), "tap-fd=7,vhost-net|");
        assert_means(ARGUMENTS("--vhost-net-device=/d", "--vhost-net", "--tap-fd=7"),
                     "tap-fd=7,vhost-net=[device=/d]|");
}

static void test_what_describes_no_card_is_refused_by_name(void **state) {
        assert_refused(ARGUMENTS("--host-ip=192.0.2.1"), "--host-ip, --netmask and --mac need");
        assert_refused(ARGUMENTS("--mac=02:00:00:00:00:01", "--tap-fd=7"), "--mac need");
        assert_refused(ARGUMENTS("--mac=02"), "--mac: mac: expected six bytes");
        assert_refused(ARGUMENTS("--mac=02:00:00:00:00:01,user"), "--mac: mac: expected six bytes");
        assert_refused(ARGUMENTS("--host-ip=", "--netmask=1"), "--host-ip: host-ip: expected four");
        assert_refused(ARGUMENTS(HOST_IP, "--netmask=255.0.0.0"), "--netmask: given twice");
        assert_refused(ARGUMENTS("--net-vq-pairs=2"), "--net-vq-pairs: is about");
        assert_refused(ARGUMENTS("--net-vq-pairs=17", "--tap-fd=7"), "--net-vq-pairs: vq-pairs: ");
        assert_refused(ARGUMENTS("--vhost-net", "--net=tap-fd=7"), "--vhost-net: is about");
        assert_refused(ARGUMENTS("--vhost-net-device=/d", "--tap-fd=7"), "needs --vhost-net");
        assert_refused(ARGUMENTS("--vhost-net-device="), "--vhost-net-device: the value is empty");
}

static void test_one_card_too_many_is_refused(void **state) {
        assert_refused(ARGUMENTS("--tap-fd=3", "--tap-fd=4", "--tap-fd=5", "--tap-fd=6",
                                 "--tap-fd=7", "--tap-fd=8", "--tap-fd=9", "--tap-fd=10", HOST_IP),
                       "--host-ip: more than 8 cards");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_three_options_are_one_card),
                cmocka_unit_test(test_options_about_all_cards_are_for_the_old_spellings),
                cmocka_unit_test(test_what_describes_no_card_is_refused_by_name),
                cmocka_unit_test(test_one_card_too_many_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
