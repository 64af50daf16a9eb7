/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/crosvm_folder_flags.h"
#include "config/crosvm_vhost_user_flags.h"

static void assert_refused(const char *value, const char *words) {
        _cleanup_(vmm_config_deinit) VmmConfig config = {0};
        _cleanup_(text_error_deinit) TextError error = {0};
        int r = crosvm_vhost_user_parse(&config, value, &error);

        if (r == 0 && config.n_vhost_users > 0)
                r = vmm_vhost_user_validate(&config.vhost_users[0], &error);
        if (r == 0 && config.n_folders > 0)
                r = vmm_folder_validate(&config.folders[0], &error);
        if (r != -EINVAL || !error.message || !strstr(error.message, words))
                fail_msg("'%s' gave %d '%s', expected -EINVAL with '%s'", value, r,
                         error.message ?: "(none)", words);
}

static void test_what_is_emitted_is_what_was_parsed(void **state) {
        static const char *const values[] = {
                "type=block,socket=/run/a",
                "type=console,socket=/run/a",
                "type=net,socket=/proc/self/fd/7,max-queue-size=256",
                "type=rng,socket=\"/run/a,b\"",
                "type=vsock,socket=/run/a,max-queue-size=32768,pci-address=00:0f.0",
        };

        for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                _cleanup_(vmm_config_deinit) VmmConfig config = {0};
                _cleanup_(text_error_deinit) TextError error = {0};
                _cleanup_(freep) char *text = NULL;

                if (crosvm_vhost_user_parse(&config, values[i], &error) < 0)
                        fail_msg("%s: %s", values[i], error.message);
                assert_int_equal(crosvm_vhost_user_emit(&config.vhost_users[0], &text), 0);
                assert_string_equal(text, values[i]);
        }
}

static void test_the_type_is_the_first_key(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig config = {0};

        assert_int_equal(crosvm_vhost_user_parse(&config, "vsock,socket=/s", NULL), 0);
        assert_int_equal(config.vhost_users[0].type, VMM_VHOST_USER_VSOCK);
        assert_int_equal(crosvm_vhost_user_parse(&config, "socket=/s,type=rng", NULL), 0);
        assert_int_equal(config.vhost_users[1].type, VMM_VHOST_USER_RNG);
}

static void test_older_spellings_name_the_type(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig config = {0};
        _cleanup_(text_error_deinit) TextError error = {0};

        assert_int_equal(crosvm_vhost_user_blk_parse(&config, "/a,max-queue-size=16", NULL), 0);
        assert_int_equal(crosvm_vhost_user_net_parse(&config, "socket=/b", NULL), 0);
        assert_int_equal(crosvm_vhost_user_vsock_parse(&config, "/c", NULL), 0);
        assert_int_equal(crosvm_vhost_user_console_parse(&config, "/d", NULL), 0);
        assert_int_equal(config.n_vhost_users, 4);
        assert_int_equal(config.vhost_users[0].type, VMM_VHOST_USER_BLOCK);
        assert_int_equal(config.vhost_users[0].max_queue_size, 16);
        assert_int_equal(config.vhost_users[3].type, VMM_VHOST_USER_CONSOLE);
        assert_string_equal(config.vhost_users[0].socket, "/a");
        assert_int_equal(config.vhost_users[1].type, VMM_VHOST_USER_NET);
        assert_int_equal(config.vhost_users[2].type, VMM_VHOST_USER_VSOCK);
        assert_int_equal(crosvm_vhost_user_blk_parse(&config, "type=net,socket=/a", &error),
                         -EINVAL);
        assert_non_null(strstr(error.message, "type: unknown key"));
}

static void test_fs_is_a_folder_whose_process_tells_the_tag(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig config = {0};
        _cleanup_(freep) char *text = NULL;

        assert_int_equal(crosvm_vhost_user_parse(&config, "fs,socket=/s,pci-address=0:3.0", NULL),
                         0);
        assert_int_equal(config.n_vhost_users, 0);
        assert_int_equal(config.n_folders, 1);
        assert_true(config.folders[0].tag_told);
        assert_int_equal(vmm_folder_validate(&config.folders[0], NULL), 0);
        assert_int_equal(crosvm_folder_emit_vhost_user(&config.folders[0], &text), 0);
        assert_string_equal(text, "type=fs,socket=/s,pci-address=00:03.0");
}

static void test_what_is_wrong_is_said(void **state) {
        assert_refused("socket=/s", "type= is needed");
        assert_refused("block", "socket= is needed");
        assert_refused("block,socket=", "socket");
        assert_refused("fs", "socket path");
        assert_refused("gpu,socket=/s", "gpu: crosvm type, not supported by this version: no dis");
        assert_refused("scsi,socket=/s", "see --scsi-block");
        assert_refused("tpm,socket=/s", "Linux has no driver for virtio-tpm");
        assert_refused("disk,socket=/s",
                       "expected block, console, fs, net, rng or vsock, not 'disk'");
        assert_refused("block,socket=/s,max-queue-size=15", "max-queue-size");
        assert_refused("block,socket=/s,max-queue-size=48", "power of two");
        assert_refused("block,socket=/s,max-queue-size=65536", "max-queue-size");
        assert_refused("block,socket=/s,tag=x", "tag: unknown key");
}

static void test_there_is_a_limit_of_devices(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig config = {0};
        _cleanup_(text_error_deinit) TextError error = {0};

        for (unsigned i = 0; i < VMM_VHOST_USERS_MAX; i++)
                assert_int_equal(crosvm_vhost_user_parse(&config, "rng,socket=/s", NULL), 0);
        assert_int_equal(crosvm_vhost_user_parse(&config, "rng,socket=/s", &error), -EINVAL);
        assert_string_equal(error.message, "more than 16 devices");
}

static void test_the_time_to_connect_is_bounded(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig config = {0};

        assert_int_equal(crosvm_vhost_user_timeout_parse(&config, "250", NULL), 0);
        assert_int_equal(config.vhost_user_timeout_ms, 250);
        assert_int_equal(crosvm_vhost_user_timeout_parse(&config, "3600001", NULL), -EINVAL);
        assert_int_equal(crosvm_vhost_user_timeout_parse(&config, "soon", NULL), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_is_emitted_is_what_was_parsed),
                cmocka_unit_test(test_the_type_is_the_first_key),
                cmocka_unit_test(test_older_spellings_name_the_type),
                cmocka_unit_test(test_fs_is_a_folder_whose_process_tells_the_tag),
                cmocka_unit_test(test_what_is_wrong_is_said),
                cmocka_unit_test(test_there_is_a_limit_of_devices),
                cmocka_unit_test(test_the_time_to_connect_is_bounded),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
