/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "config/crosvm_flags.h"
#include "config/crosvm_pmem_flags.h"

static void test_what_is_parsed_is_emitted_alike(void **state) {
        static const char *const values[] = {
                "path=/p.img",
                "path=/p.img,ro,root",
                "path=/p.img,root",
                "path=memory,vma-size=1073741824,swap-interval-ms=0",
                "path=memory,root,vma-size=4096,swap-interval-ms=1000",
        };

        for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                _cleanup_(vmm_config_deinit) VmmConfig config = {0};
                _cleanup_(freep) char *text = NULL;

                assert_int_equal(crosvm_pmem_parse(&config, values[i], NULL), 0);
                assert_int_equal(config.n_pmems, 1);
                assert_int_equal(crosvm_pmem_emit(&config.pmems[0], &text), 0);
                assert_string_equal(text, values[i]);
        }
}

static void assert_refused(const char *option, const char *word) {
        char argument[128];
        char *const argv[] = {(char[]){"vmm"}, (char[]){"run"}, argument, (char[]){"kernel"}};
        _cleanup_(text_error_deinit) TextError error = {0};
        VmmConfig config;
        int r;

        (void) snprintf(argument, sizeof(argument), "--%s", option);
        r = crosvm_flags_parse((int) ELEMENTSOF(argv), argv, &config, &error);
        assert_int_equal(r, -EINVAL);
        if (!strstr(text_error_message(&error, r), word))
                fail_msg("%s: %s", option, text_error_message(&error, r));
}

static void test_lists_that_make_no_sense_are_refused(void **state) {
        assert_refused("pmem=", "missing");
        assert_refused("pmem=ro=true", "path= is missing");
        assert_refused("pmem=/p,vma-size=4096", "vma-size= and swap-interval-ms= go together");
        assert_refused("pmem=/p,swap-interval-ms=9", "vma-size= and swap-interval-ms= go together");
        assert_refused("pmem=/p,ro,vma-size=4096,swap-interval-ms=9", "not with ro");
        assert_refused("pmem=/p,vma-size=0,swap-interval-ms=9", "vma-size");
        assert_refused("pmem=/p,vma-size=4096,swap-interval-ms=-1", "swap-interval-ms");
        assert_refused("pmem=/p,vma-size=99999999999999999999,swap-interval-ms=1", "vma-size");
        assert_refused("pmem=/p,size=1", "size");
}

/* crosvm takes keys of --block for them, and ignores all but the path. */
static void test_the_old_spellings_take_a_path_as_a_list(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig config = {0};

        assert_int_equal(crosvm_pmem_device_parse(&config, "path=\"/a,b\"", NULL), 0);
        assert_int_equal(crosvm_rw_pmem_device_parse(&config, "/c", NULL), 0);
        assert_string_equal(config.pmems[0].path, "/a,b");
        assert_true(config.pmems[0].read_only);
        assert_string_equal(config.pmems[1].path, "/c");
        assert_false(config.pmems[1].read_only);
        assert_refused("pmem-device=/a,ro=true", "ro");
        assert_refused("rw-pmem-device=", "missing");
}

static void test_there_is_one_root_only(void **state) {
        char *const argv[] = {(char[]){"vmm"},
                              (char[]){"run"},
                              (char[]){"--pmem"},
                              (char[]){"/p,root"},
                              (char[]){"--block=/b,root"},
                              (char[]){"kernel"}};
        _cleanup_(text_error_deinit) TextError error = {0};
        VmmConfig config;
        int r = crosvm_flags_parse((int) ELEMENTSOF(argv), argv, &config, &error);

        assert_int_equal(r, -EINVAL);
        assert_non_null(strstr(text_error_message(&error, r), "only one disk can be root"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_is_parsed_is_emitted_alike),
                cmocka_unit_test(test_lists_that_make_no_sense_are_refused),
                cmocka_unit_test(test_the_old_spellings_take_a_path_as_a_list),
                cmocka_unit_test(test_there_is_one_root_only),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
