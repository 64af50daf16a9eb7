/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "config/crosvm_flags.h"

#define ARGUMENTS_MAX 8u

static int parse(char *const *more, TextError *error) {
        char *argv[4 + ARGUMENTS_MAX] = {(char[]){"vmm"}, (char[]){"run"}, (char[]){"--swap=/d"}};
        _cleanup_(vmm_config_deinit) VmmConfig config;
        int argc = 3, r;

        while (more && *more)
                argv[argc++] = *more++;
        argv[argc++] = (char[]){"kernel"};
        vmm_config_init(&config);
        r = crosvm_flags_parse(argc, argv, &config, error);
        if (r == 0)
                assert_string_equal(config.swap, "/d");
        return r;
}

static void test_what_needs_memory_to_stay_is_refused_by_name_and_reason(void **state) {
        static const struct {
                const char *arguments[ARGUMENTS_MAX];
                const char *said;
        } cases[] = {
                {{"--lock-guest-memory"}, "--lock-guest-memory"},
                {{"--hugepages"}, "--hugepages"},
                {{"--vfio=/sys/bus/pci/devices/0000:00:01.0"}, "--vfio"},
                {{"--vhost-user=block,socket=/s"}, "--vhost-user"},
                {{"--vhost-user-fs=/s,tag=t"}, "--vhost-user-fs"},
                {{"--shared-dir=/d:t:type=fs"}, "--shared-dir"},
                {{"--net=tap-name=t,vhost-net"}, "vhost-net"},
                {{"--vsock=7"}, "vhost-vsock"},
                {{"--block=path=/i,direct"}, "--block: direct"},
                {{"--nested"}, "--nested"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(text_error_deinit) TextError error = {0};
                int r = parse((char *const *) (uintptr_t) cases[i].arguments, &error);
                const char *message = text_error_message(&error, r);

                if (r != -EINVAL || !strstr(message, "--swap and ") ||
                    !strstr(message, cases[i].said) || !strstr(message, "exclude each other: "))
                        fail_msg("%s: %d, %s", cases[i].arguments[0], r, message);
        }
}

static void test_what_the_vmm_does_by_itself_goes_with_it(void **state) {
        static const char *const cases[][ARGUMENTS_MAX] = {
                {NULL},
                {"--block=path=/i"},
                {"--net=tap-name=t"},
                {"--vsock=cid=7,socket-dir=/d"},
                {"--balloon-page-reporting"},
                {"--pmem=/p"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(text_error_deinit) TextError error = {0};
                int r = parse((char *const *) (uintptr_t) cases[i], &error);

                if (r != 0)
                        fail_msg("%s: %s", cases[i][0], text_error_message(&error, r));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_needs_memory_to_stay_is_refused_by_name_and_reason),
                cmocka_unit_test(test_what_the_vmm_does_by_itself_goes_with_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
