/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "config/crosvm_net_flags.h"

static int parse(const char *value, VmmConfig *config, TextError *error) {
        int r = crosvm_net_parse(config, value, error);

        return r < 0 ? r : vmm_net_validate(&config->nets[config->n_nets - 1], error);
}

static void assert_refused(const char *value, const char *words) {
        _cleanup_(vmm_config_deinit) VmmConfig config = {0};
        _cleanup_(text_error_deinit) TextError error = {0};
        int r = parse(value, &config, &error);

        if (r != -EINVAL || !error.message || !strstr(error.message, words))
                fail_msg("'%s' gave %d '%s', expected -EINVAL with '%s'", value, r,
                         error.message ?: "(none)", words);
}

static void test_what_is_emitted_is_what_was_parsed(void **state) {
        static const char *const values[] = {
                "tap-fd=7",
                "tap-fd=[7,8],mac=02:00:5e:10:00:ff,vq-pairs=2",
                "tap-name=tap0,mrg-rxbuf=false",
                "tap-name=tap0,packed-queue",
                "tap-name=tap0,vhost-net",
                "tap-fd=7,vhost-net=[device=/proc/self/fd/4]",
                "tap-name=tap0,vq-pairs=2,vhost-net=[device=/dev/vhost-net]",
                "host-ip=192.0.2.1,netmask=255.255.255.252,mac=02:00:00:00:00:01,vq-pairs=2",
                "user,forward=tcp:8080:80,forward=udp:127.0.0.1:5353:53",
        };

        for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                _cleanup_(vmm_config_deinit) VmmConfig config = {0};
                _cleanup_(text_error_deinit) TextError error = {0};
                _cleanup_(freep) char *text = NULL;

                if (parse(values[i], &config, &error) < 0)
                        fail_msg("%s: %s", values[i], error.message);
                assert_int_equal(crosvm_net_emit(&config.nets[0], &text), 0);
                assert_string_equal(text, values[i]);
        }
}

static void test_crosvms_other_spellings_mean_the_same(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig config = {0};

        assert_int_equal(
                parse("tap_fd=5,vq_pairs=3,mrg_rxbuf,mac=AA:bb:cc:00:00:01", &config, NULL), 0);
        assert_int_equal(config.nets[0].tap_fds[0], 5);
        assert_int_equal(config.nets[0].n_pairs, 3);
        assert_true(config.nets[0].mergeable && config.nets[0].has_mac);
        assert_int_equal(config.nets[0].mac[0], 0xaa);
}

static void test_mistakes_are_refused_by_name(void **state) {
        assert_refused("mac=02:00:00:00:00:01",
                       "exactly one of tap-fd=, tap-name=, host-ip= and user");
        assert_refused("tap-fd=3,tap-name=tap0", "exactly one");
        assert_refused("tap-fd=x", "tap-fd: expected a descriptor, not 'x'");
        assert_refused("tap-fd=[3,4]", "2 tap-fd are more than vq-pairs=1");
        assert_refused("tap-fd=[3,[4]],vq-pairs=2", "tap-fd: ");
        assert_refused("tap-fd=[],vq-pairs=2", "tap-fd: ");
        assert_refused("tap-fd=3,mac=02:00:00:00:00", "mac: expected six bytes");
        assert_refused("tap-fd=3,mac=02:00:00:00:00:011", "mac: expected six bytes");
        assert_refused("tap-fd=3,mac=03:00:00:00:00:01", "a group address");
        assert_refused("tap-fd=3,vq-pairs=17", "vq-pairs: expected a number from 1 to 16");
        assert_refused("tap-fd=3,vq-pairs=0", "vq-pairs: expected a number from 1 to 16");
        assert_refused("tap-fd=3,forward=tcp:1:2", "forward= needs user");
        assert_refused("user,vq-pairs=2", "one pair of queues");
        assert_refused("user,vhost-net", "vhost-net moves frames of a TAP interface");
        assert_refused("tap-fd=3,vq-pairs=2,vhost-net=[device=/proc/self/fd/4]", "one pair");
        assert_refused("tap-fd=3,vhost-net=[path=/d]", "path: unknown key");
        assert_refused("user,forward=tcp:1:2,forward=tcp:1:3", "port 1 is given twice");
        assert_refused("user,forward=icmp:1:2", "forward: expected tcp:HOST:GUEST");
        assert_refused("user,forward=tcp:0:2", "forward: expected tcp:HOST:GUEST");
        assert_refused("user,forward=tcp:1:65536", "forward: expected tcp:HOST:GUEST");
        assert_refused("user,forward=tcp:a,b:1:2", "forward: expected tcp:HOST:GUEST");
        assert_refused("user,forward=tcp", "forward: expected tcp:HOST:GUEST");
        assert_refused("user,forward='tcp:1.2.3.4/5:1:2'", "forward: expected tcp:HOST:GUEST");
        assert_refused("tap-fd=3,packed-queue=maybe", "packed-queue");
        assert_refused("tap-name=tap0,packed-queue,vhost-net",
                       "packed-queue: vhost-net has split queues alone");
        assert_refused("host-ip=1.2.3.4", "host-ip=, netmask= and mac= need each other");
        assert_refused("netmask=255.0.0.0,mac=02:00:00:00:00:01", "need each other");
        assert_refused("tap-name=tap0,host-ip=1.2.3.4", "exactly one");
        assert_refused("host-ip=1.2.3", "host-ip: expected four bytes as 192.0.2.1, not '1.2.3'");
        assert_refused("host-ip=0.0.0.0", "host-ip: expected four bytes");
        assert_refused("host-ip=1.2.3.4,netmask=255.0.255.0,mac=02:00:00:00:00:01",
                       "netmask: the ones have gaps");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_is_emitted_is_what_was_parsed),
                cmocka_unit_test(test_crosvms_other_spellings_mean_the_same),
                cmocka_unit_test(test_mistakes_are_refused_by_name),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
