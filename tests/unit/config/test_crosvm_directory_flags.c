/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/crosvm_directory_flags.h"

typedef int (*ParseFn)(VmmConfig *config, const char *value, TextError *reterr);

static void assert_refused(ParseFn parse, const char *value, const char *words) {
        _cleanup_(vmm_config_deinit) VmmConfig config = {0};
        _cleanup_(text_error_deinit) TextError error = {0};
        int r = parse(&config, value, &error);

        if (r != -EINVAL || !error.message || !strstr(error.message, words))
                fail_msg("'%s' gave %d '%s', expected -EINVAL with '%s'", value, r,
                         error.message ?: "(none)", words);
        assert_int_equal(config.n_pmems + config.n_shared_dirs, 0);
}

static void test_what_is_emitted_is_what_was_parsed(void **state) {
        static const char *const values[] = {
                "/srv",
                "/srv:blocks_per_group=2048:inodes_per_group=512:size=33554432",
                "/srv:uidmap=0 1000 1,1 2000 10:gidmap=0 100 1:uid=1:gid=2",
        };

        for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                _cleanup_(vmm_config_deinit) VmmConfig config = {0};
                _cleanup_(text_error_deinit) TextError error = {0};
                _cleanup_(freep) char *text = NULL;

                if (crosvm_pmem_ext2_parse(&config, values[i], &error) < 0)
                        fail_msg("%s: %s", values[i], error.message);
                assert_int_equal(crosvm_pmem_ext2_emit(&config.pmems[0], &text), 0);
                assert_string_equal(text, values[i]);
        }
}

static void test_what_is_emitted_of_shared_directories_is_what_was_parsed(void **state) {
        static const char *const shared[] = {
                "/srv:work:type=fs",
                "/srv:work:type=fs:cache=never:timeout=9:writeback=true:posix_acl=true",
                "/srv:work:type=fs:cache=always:uidmap=5000 5000 1:uid=5000",
        };

        for (size_t i = 0; i < ELEMENTSOF(shared); i++) {
                _cleanup_(vmm_config_deinit) VmmConfig config = {0};
                _cleanup_(text_error_deinit) TextError error = {0};
                _cleanup_(freep) char *text = NULL;

                if (crosvm_shared_dir_parse(&config, shared[i], &error) < 0)
                        fail_msg("%s: %s", shared[i], error.message);
                assert_int_equal(crosvm_shared_dir_emit(&config.shared_dirs[0], &text), 0);
                assert_string_equal(text, shared[i]);
        }
}

static void test_the_defaults_are_crosvms(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig config = {0};
        const VmmSharedDir *dir;
        const VmmExt2 *ext2;

        assert_int_equal(crosvm_pmem_ext2_parse(&config, "/srv", NULL), 0);
        ext2 = config.pmems[0].ext2;
        assert_int_equal(ext2->blocks_per_group, 4096);
        assert_int_equal(ext2->inodes_per_group, 1024);
        assert_int_equal(ext2->size_bytes, 16777216);
        assert_false(ext2->users.given);
        assert_int_equal(crosvm_shared_dir_parse(&config, "/srv:work:type=FS", NULL), 0);
        dir = &config.shared_dirs[0];
        assert_int_equal(dir->cache, VMM_SHARED_CACHE_AUTO);
        assert_int_equal(dir->timeout_sec, 5);
        assert_false(dir->writeback || dir->timeout_given || dir->users.given);
}

static void test_the_type_must_be_fs(void **state) {
        assert_refused(crosvm_shared_dir_parse, "/srv:work", "use type=fs");
        assert_refused(crosvm_shared_dir_parse, "/srv:work:type=9p", "type: 9p");
        assert_refused(crosvm_shared_dir_parse, "/srv:work:type=p9", "use type=fs");
}

static void test_keys_that_are_not_honoured_are_refused_by_name(void **state) {
        static const char *const keys[] = {
                "negative_timeout",
                "rewrite-security-xattrs",
                "ascii_casefold",
                "privileged_quota_uids",
                "dax",
                "max_dynamic_perm",
                "max_dynamic_xattr",
                "security_ctx",
                "nonsense",
        };

        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                char value[80];

                (void) snprintf(value, sizeof(value), "/srv:work:type=fs:%s=1", keys[i]);
                assert_refused(crosvm_shared_dir_parse, value, keys[i]);
        }
        assert_refused(crosvm_pmem_ext2_parse, "/srv:nonsense=1", "nonsense");
}

static void test_values_that_cannot_be_are_refused(void **state) {
        static const char *const ext2[] = {
                "",
                ":size=33554432",
                "/srv:size",
                "/srv:=1",
                "/srv::",
                "/srv:size=0",
                "/srv:size=16777215",
                "/srv:size=1:size=2",
                "/srv:blocks_per_group=255",
                "/srv:blocks_per_group=257",
                "/srv:blocks_per_group=40000",
                "/srv:inodes_per_group=0",
                "/srv:uid=-1",
                "/srv:uid=4294967295",
        };
        static const char *const shared[] = {
                "",
                "/srv",
                "/srv::type=fs",
                ":work:type=fs",
                "/srv:0123456789012345678901234567890123456:type=fs",
                "/srv:work:type=fs:cache=some",
                "/srv:work:type=fs:writeback",
                "/srv:work:type=fs:writeback=perhaps",
                "/srv:work:type=fs:timeout=x",
                "/srv:work:type=fs:writeback,posix_acl=true",
        };

        for (size_t i = 0; i < ELEMENTSOF(ext2); i++)
                assert_refused(crosvm_pmem_ext2_parse, ext2[i], "");
        for (size_t i = 0; i < ELEMENTSOF(shared); i++)
                assert_refused(crosvm_shared_dir_parse, shared[i], "");
}

static void test_maps_that_are_none_are_refused(void **state) {
        static const char *const maps[] = {
                "",        "0",      "0 0",    "0 0 0",
                "0 0 1 1", "0 0 1,", ",0 0 1", "0 0 4294967296",
                "a b c",   "0,0,1",  "-1 0 1", "0 0 1\n0 0 1",
        };
        _cleanup_(vmm_config_deinit) VmmConfig config = {0};

        for (size_t i = 0; i < ELEMENTSOF(maps); i++) {
                char value[80];

                (void) snprintf(value, sizeof(value), "/srv:uidmap=%s", maps[i]);
                assert_refused(crosvm_pmem_ext2_parse, value, "");
        }
        assert_int_equal(crosvm_pmem_ext2_parse(&config, "/srv:uidmap=0 0  4294967295", NULL), 0);
}

static void test_there_is_an_end_to_them(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig config = {0};

        for (unsigned i = 0; i < VMM_SHARED_DIRS_MAX; i++)
                assert_int_equal(crosvm_shared_dir_parse(&config, "/srv:work:type=fs", NULL), 0);
        assert_int_equal(crosvm_shared_dir_parse(&config, "/srv:work:type=fs", NULL), -EINVAL);
        for (unsigned i = 0; i < VMM_PMEMS_MAX; i++)
                assert_int_equal(crosvm_pmem_ext2_parse(&config, "/srv", NULL), 0);
        assert_int_equal(crosvm_pmem_ext2_parse(&config, "/srv", NULL), -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_is_emitted_is_what_was_parsed),
                cmocka_unit_test(test_what_is_emitted_of_shared_directories_is_what_was_parsed),
                cmocka_unit_test(test_the_defaults_are_crosvms),
                cmocka_unit_test(test_the_type_must_be_fs),
                cmocka_unit_test(test_keys_that_are_not_honoured_are_refused_by_name),
                cmocka_unit_test(test_values_that_cannot_be_are_refused),
                cmocka_unit_test(test_maps_that_are_none_are_refused),
                cmocka_unit_test(test_there_is_an_end_to_them),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
