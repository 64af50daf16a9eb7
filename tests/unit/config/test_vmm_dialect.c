/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "config/crosvm_flags.h"

/* What @line, in our words, comes to in others', as one string; NULL with @error if there are none for it. */
static char *translate(VmmDialect dialect, const char *const *line, int n, TextError *error) {
        _cleanup_(vmm_config_deinit) VmmConfig config = {0};
        _cleanup_(strvec_deinit) StrVec argv = {0};
        _cleanup_(strbuf_deinit) StrBuf buf = {0};
        char *text, *words[16] = {(char[]){"vmm"}, (char[]){"run"}};
        int r;

        assert_true(n < 12);
        for (int i = 0; i < n; i++)
                words[i + 2] = strdup(line[i]);
        words[n + 2] = strdup("/kernel");
        if (crosvm_flags_parse(n + 3, words, &config, error) != 0)
                fail_msg("%s", text_error_message(error, -EINVAL));
        for (int i = 2; i < n + 3; i++)
                free(words[i]);
        config.dialect = dialect;
        r = crosvm_flags_emit(&config, &argv, error);
        if (r == -EOPNOTSUPP)
                return NULL;
        assert_int_equal(r, 0);
        for (size_t i = 0; i < argv.n; i++)
                strbuf_printf(&buf, "%s%s", i > 0 ? " " : "", argv.items[i]);
        assert_int_equal(strbuf_finish(&buf, &text), 0);
        return text;
}

static void test_a_dialect_is_known_by_its_name_or_the_programs(void **state) {
        _cleanup_(text_error_deinit) TextError error = {0};
        VmmDialect dialect;

        for (size_t i = 0; i < VMM_DIALECTS; i++) {
                assert_int_equal(vmm_dialect_from_string(vmm_dialect_names[i], &dialect, NULL), 0);
                assert_int_equal(dialect, i);
        }
        assert_int_equal(vmm_dialect_from_string("qemu", &dialect, &error), -EINVAL);
        assert_string_equal(error.message, "expected vivarium, crosvm or crosvm-2023, not 'qemu'");
        assert_int_equal(vmm_dialect_of_program("/usr/bin/vivarium-vmm"), VMM_DIALECT_VIVARIUM);
        assert_int_equal(vmm_dialect_of_program("/opt/crosvm"), VMM_DIALECT_CROSVM);
}

static void test_options_that_crosvm_renamed_follow_its_age(void **state) {
        static const struct {
                const char *line[6];
                int n;
                const char *now, *before;
        } cases[] = {
                {{"--name", "a"},
                 2,
                 "run --name a --mem 256 --cpus 1 /kernel",
                 "run --mem 256 --cpus 1 /kernel"},
                {{"--vsock", "cid=5,socket-dir=/s"},
                 2,
                 "run --mem 256 --cpus 1 --vsock cid=5 /kernel",
                 "run --mem 256 --cpus 1 --cid 5 /kernel"},
                {{"--vhost-user-fs", "/s,tag=t"},
                 2,
                 "run --mem 256 --cpus 1 --vhost-user type=fs,socket=/s /kernel",
                 "run --mem 256 --cpus 1 --vhost-user-fs socket=/s,tag=t /kernel"},
                {{"--vhost-user-fs", "tag=t,socket-fd=7"},
                 2,
                 "run --mem 256 --cpus 1 --vhost-user type=fs,socket=/proc/self/fd/7 /kernel",
                 "run --mem 256 --cpus 1 --vhost-user-fs tag=t,socket-fd=7 /kernel"},
                {{"--hypervisor", "kvm", "--net", "tap-fd=9"},
                 4,
                 "run --mem 256 --cpus 1 --net tap-fd=9 --hypervisor kvm /kernel",
                 "run --mem 256 --cpus 1 --net tap-fd=9 --hypervisor kvm /kernel"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(text_error_deinit) TextError error = {0};
                _cleanup_(freep) char *now = NULL, *before = NULL;

                now = translate(VMM_DIALECT_CROSVM, cases[i].line, cases[i].n, &error);
                before = translate(VMM_DIALECT_CROSVM_2023, cases[i].line, cases[i].n, &error);
                assert_string_equal(now, cases[i].now);
                assert_string_equal(before, cases[i].before);
        }
}

static void test_what_only_our_vmm_has_is_refused_by_name(void **state) {
        static const struct {
                const char *line[2];
                int n;
                const char *message;
        } cases[] = {
                {{"--hypervisor", "soft"}, 2, "--hypervisor: a crosvm cannot do that"},
                {{"--cpu-features", "-x2apic"}, 2, "--cpu-features: a crosvm cannot do that"},
                {{"--ramdump", "/dump"}, 2, "--ramdump: a crosvm cannot do that"},
                {{"--test-device"}, 1, "--test-device: a crosvm cannot do that"},
                {{"--net", "user"}, 2, "--net: a crosvm cannot do that"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(text_error_deinit) TextError error = {0};

                assert_null(translate(VMM_DIALECT_CROSVM, cases[i].line, cases[i].n, &error));
                assert_string_equal(error.message, cases[i].message);
        }
}

static void test_devices_of_other_processes_are_said_as_crosvm_says_them_now(void **state) {
        static const struct {
                const char *line[4];
                int n;
                const char *now, *message; /* before */
        } cases[] = {
                {{"--vhost-user-blk", "/s"},
                 2,
                 "run --mem 256 --cpus 1 --vhost-user type=block,socket=/s /kernel",
                 "--vhost-user: a crosvm cannot do that"},
                {{"--vhost-user", "fs,socket=/s", "--vhost-user-connect-timeout-ms", "9"},
                 4,
                 "run --mem 256 --cpus 1 --vhost-user-connect-timeout-ms 9 "
                 "--vhost-user type=fs,socket=/s /kernel",
                 "--vhost-user-fs: a crosvm cannot do that"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(text_error_deinit) TextError error = {0};
                _cleanup_(freep) char *ours = NULL, *now = NULL;

                ours = translate(VMM_DIALECT_VIVARIUM, cases[i].line, cases[i].n, &error);
                now = translate(VMM_DIALECT_CROSVM, cases[i].line, cases[i].n, &error);
                assert_string_equal(ours, cases[i].now);
                assert_string_equal(now, cases[i].now);
                assert_null(translate(VMM_DIALECT_CROSVM_2023, cases[i].line, cases[i].n, &error));
                assert_string_equal(error.message, cases[i].message);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_dialect_is_known_by_its_name_or_the_programs),
                cmocka_unit_test(test_options_that_crosvm_renamed_follow_its_age),
                cmocka_unit_test(test_what_only_our_vmm_has_is_refused_by_name),
                cmocka_unit_test(test_devices_of_other_processes_are_said_as_crosvm_says_them_now),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
