/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "vmm/boot/cmdline.h"

#define LINE_MAX_BYTES 2047u

static void assert_line(const BootConfig *config, const char *want) {
        _cleanup_(freep) char *line = NULL;

        assert_int_equal(cmdline_build(config, LINE_MAX_BYTES, &line, NULL), 0);
        assert_string_equal(line, want);
}

static void test_params_follow_in_order_and_come_last(void **state) {
        _cleanup_(strvec_deinit) StrVec params = {0};
        BootConfig config = {.params = &params};

        assert_line(&config, "panic=-1");
        assert_int_equal(strvec_add(&params, "quiet panic=5"), 0);
        assert_int_equal(strvec_add(&params, "init=/bin/sh"), 0);
        assert_line(&config, "panic=-1 quiet panic=5 init=/bin/sh");
        config.params = NULL;
        assert_line(&config, "panic=-1");
}

static void test_the_console_is_named_unless_params_do(void **state) {
        _cleanup_(strvec_deinit) StrVec params = {0};
        BootConfig config = {
                .params = &params,
                .console = "hvc0",
                .earlycon = "uart8250,io,0x3f8",
        };

        assert_line(&config, "panic=-1 console=hvc0 earlycon=uart8250,io,0x3f8");
        assert_int_equal(strvec_add(&params, "netconsole=x earlycon"), 0); /* another key */
        assert_line(&config, "panic=-1 console=hvc0 netconsole=x earlycon");
        assert_int_equal(strvec_add(&params, "a console=ttyS1"), 0);
        assert_line(&config, "panic=-1 netconsole=x earlycon a console=ttyS1");
}

static void test_the_root_disk_is_named_unless_params_do(void **state) {
        _cleanup_(strvec_deinit) StrVec params = {0};
        BootConfig config = {.params = &params,
                             .root = BOOT_ROOT_BLOCK,
                             .root_index = 2,
                             .root_read_only = true};

        assert_line(&config, "panic=-1 root=/dev/vdc ro");
        config.root_read_only = false;
        config.root_index = 0;
        assert_line(&config, "panic=-1 root=/dev/vda rw");
        config.root = BOOT_ROOT_SCSI;
        assert_line(&config, "panic=-1 root=/dev/sda rw");
        config.root = BOOT_ROOT_PMEM;
        assert_line(&config, "panic=-1 root=/dev/pmem0 rw");
        assert_int_equal(strvec_add(&params, "root=/dev/vdb"), 0);
        assert_line(&config, "panic=-1 root=/dev/vdb");
}

static void test_a_line_at_the_limit_passes_and_one_more_byte_does_not(void **state) {
        _cleanup_(strvec_deinit) StrVec params = {0};
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(freep) char *line = NULL;
        BootConfig config = {.params = &params};

        assert_int_equal(strvec_add(&params, "0123456789"), 0);
        assert_int_equal(cmdline_build(&config, 19, &line, &error), 0);
        assert_int_equal(strlen(line), 19);
        assert_int_equal(cmdline_build(&config, 18, &line, &error), -E2BIG);
        assert_non_null(strstr(error.message, "it has 19 bytes, the kernel takes 18"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_params_follow_in_order_and_come_last),
                cmocka_unit_test(test_the_console_is_named_unless_params_do),
                cmocka_unit_test(test_the_root_disk_is_named_unless_params_do),
                cmocka_unit_test(test_a_line_at_the_limit_passes_and_one_more_byte_does_not),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
