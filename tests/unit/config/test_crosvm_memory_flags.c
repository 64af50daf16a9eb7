/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "config/crosvm_flags.h"
#include "config/crosvm_memory_flags.h"

static int parse(const char *option, const char *value, VmmConfig *ret, TextError *reterr) {
        _cleanup_(freep) char *a = strdup(option), *b = strdup(value);
        char program[] = "vmm", run[] = "run", kernel[] = "k";
        char *argv[] = {program, run, a, b, kernel, NULL};

        assert_true(a && b);
        return crosvm_flags_parse(5, argv, ret, reterr);
}

static void assert_refused(const char *option, const char *value, const char *words) {
        _cleanup_(text_error_deinit) TextError error = {0};
        VmmConfig config;
        int r = parse(option, value, &config, &error);

        if (r != -EINVAL || !error.message || !strstr(error.message, words))
                fail_msg("'%s' gave %d '%s', expected -EINVAL with '%s'", value, r,
                         error.message ?: "(none)", words);
}

static void test_memory_says_how_it_is_had(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig c = {0};
        _cleanup_(freep) char *text = NULL;

        assert_int_equal(parse("--mem", "512,hugetlb,prefault,host-nodes=[0,3]", &c, NULL), 0);
        assert_int_equal(c.memory_bytes, 512 << 20);
        assert_int_equal(c.memory.huge_page_mib, 2);
        assert_true(c.memory.prefault);
        assert_int_equal(c.memory.host_nodes, 0x9);
        assert_int_equal(crosvm_mem_emit(&c, &text), 0);
        assert_string_equal(text, "512,hugetlb=2M,prefault,host-nodes=[0,3]");
        c.dialect = VMM_DIALECT_CROSVM;
        assert_int_equal(crosvm_mem_emit(&c, &text), -EOPNOTSUPP);
        assert_refused("--mem", "512,hugetlb=3M", "expected 2M or 1G");
        assert_refused("--mem", "511,hugetlb", "multiple of pages of 2 MiB");
        assert_refused("--mem", "512,hugetlb=1G", "multiple of pages of 1024 MiB");
        assert_refused("--mem", "512,host-nodes=64", "expected nodes from 0 to 63");
}

static void test_files_are_mapped(void **state) {
        static const char value[] = "addr=0x200000000,size=0x1000,path=/f,offset=0x2000,rw,sync";
        _cleanup_(vmm_config_deinit) VmmConfig c = {0};
        _cleanup_(freep) char *text = NULL;
        const VmmFileMapping *mapping = &c.memory.mappings[0];

        assert_int_equal(parse("--file-backed-mapping", value, &c, NULL), 0);
        assert_int_equal(mapping->address, UINT64_C(0x200000000));
        assert_int_equal(mapping->size, 0x1000);
        assert_int_equal(mapping->offset, 0x2000);
        assert_true(mapping->writable && mapping->sync && !mapping->ram && !mapping->align);
        assert_int_equal(crosvm_file_mapping_emit(mapping, &text), 0);
        assert_string_equal(text, value);
        assert_refused("--file-backed-mapping", "addr=0,size=4096", "needs addr=");
        assert_refused("--file-backed-mapping", "addr=1,size=4096,path=f", "see align");
        assert_refused("--file-backed-mapping", "addr=0,size=4096,path=f,offset=1", "a range");
        assert_refused("--file-backed-mapping", "addr=4096,size=0xfffffffffffff000,path=f",
                       "a range");
        assert_refused("--file-backed-mapping", "addr=0,size=0x7ffffffffffff000,path=f,offset=4096",
                       "a range");
        assert_refused("--file-backed-mapping", "addr=0,size=4096,path=f,ram", "ram needs rw");
}

static void test_last_words_have_a_file(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig c = {0};
        _cleanup_(freep) char *text = NULL;

        assert_int_equal(parse("--pstore", "path=/p,size=1048576", &c, NULL), 0);
        assert_string_equal(c.memory.pstore_path, "/p");
        assert_int_equal(crosvm_pstore_emit(&c.memory, &text), 0);
        assert_string_equal(text, "path=/p,size=1048576");
        assert_refused("--pstore", "path=/p", "needs path= and size=");
        assert_refused("--pstore", "path=/p,size=4096", "expected a multiple");
        assert_refused("--pstore", "path=/p,size=65537", "expected a multiple");
}

static void test_the_balloon_and_a_suspended_start_have_conditions(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig c = {0};

        assert_int_equal(parse("--strict-balloon", "--no-usb", &c, NULL), 0);
        assert_true(c.strict_balloon);
        assert_refused("--strict-balloon", "--no-balloon", "exclude each other");
        assert_refused("--suspended-vcpus", "--no-usb", "nothing could resume it");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_memory_says_how_it_is_had),
                cmocka_unit_test(test_files_are_mapped),
                cmocka_unit_test(test_last_words_have_a_file),
                cmocka_unit_test(test_the_balloon_and_a_suspended_start_have_conditions),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
