/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "config/crosvm_flags.h"

#define ARGV_MAX 16

/* Splits @line at '|' and parses it as the options of `run`, with a kernel. */
static int parse(const char *line, VmmConfig *ret, TextError *reterr) {
        _cleanup_(freep) char *copy = strdup(line);
        char command[] = "run", kernel[] = "k";
        char *argv[ARGV_MAX] = {copy, command, kernel}, *rest = copy;
        int argc = 3;

        assert_non_null(copy);
        while (rest) {
                assert_true(argc < ARGV_MAX - 1);
                argv[argc++] = strsep(&rest, "|");
        }
        return crosvm_flags_parse(argc, argv, ret, reterr);
}

static void assert_refused(const char *line, const char *words) {
        _cleanup_(text_error_deinit) TextError error = {0};
        VmmConfig config;
        int r = parse(line, &config, &error);

        if (r != -EINVAL || !error.message || !strstr(error.message, words))
                fail_msg("'%s' gave %d '%s', expected '%s'", line, r, error.message ?: "", words);
}

static unsigned threads(const char *line) {
        _cleanup_(vmm_config_deinit) VmmConfig c = {0};

        assert_int_equal(parse(line, &c, NULL), 0);
        return vmm_cpus_threads_per_core(&c.cpus, c.n_vcpus);
}

static void
test_an_even_number_of_vcpus_has_two_threads_a_core_unless_told_otherwise(void **state) {
        assert_int_equal(threads("--cpus|1"), 1);
        assert_int_equal(threads("--cpus|3"), 1);
        assert_int_equal(threads("--cpus|4"), 2);
        assert_int_equal(threads("--cpus|4|--no-smt"), 1);
}

static void test_clusters_are_lists_in_a_list_or_options_of_their_own(void **state) {
        static const char *const lines[] = {
                "--cpus|8,clusters=[[0,1,2,3],[4-7]]",
                "--cpus|num-cores=8|--cpu-cluster|0-3|--cpu-cluster|4,5,6,7",
        };

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                _cleanup_(vmm_config_deinit) VmmConfig c = {0};

                assert_int_equal(parse(lines[i], &c, NULL), 0);
                assert_int_equal(c.n_vcpus, 8);
                assert_int_equal(c.cpus.n_clusters, 2);
                assert_int_equal(vmm_cpus_cluster_size(&c.cpus), 4);
        }
}

static void test_clusters_that_no_x86_processor_has_are_refused(void **state) {
        assert_refused("--cpus|4,clusters=[[0,1]]", "every vCPU is in one");
        assert_refused("--cpus|6,clusters=[[0,1,2],[3,4,5]]", "a power of two");
        assert_refused("--cpus|4,clusters=[[0,2],[1,3]]", "cluster 0 of an x86 processor is vCPUs "
                                                          "0 to 1");
        assert_refused("--cpus|4,clusters=[[0,1],[2]]", "cluster 1");
        assert_refused("--cpus|2,clusters=[[0],[1]]", "see --no-smt");
        assert_refused("--cpus|2,clusters=[0,1]", "expected [[0,1],[2,3],...]");
        assert_refused("--cpus|2,clusters=[[0,1],]", "expected [[0,1],[2,3],...]");
        assert_refused("--cpus|2,clusters=[[0,1]x]", "expected [[0,1],[2,3],...]");
        assert_refused("--cpus|2,clusters=[[]]", "expected processors");
        assert_refused("--cpus|2,clusters=3", "expected [[0,1],[2,3],...]");
        assert_refused("--cpu-cluster|x", "--cpu-cluster: expected processors");
        assert_refused("--cpus|2,core-types=[atom=[0]]", "core-types: not supported");
        assert_refused("--cpus|2,boot-cpu=1", "boot-cpu: not supported");
}

static void test_affinity_is_for_all_or_for_each(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig all = {0}, each = {0};

        assert_int_equal(parse("--cpus|2|--cpu-affinity|0,2-3", &all, NULL), 0);
        assert_int_equal(all.cpus.affinity.words[0], 0xd);
        assert_null(all.cpus.vcpu_affinity);
        assert_int_equal(parse("--cpus|2|--cpu-affinity=0=5:1=6,7", &each, NULL), 0);
        assert_int_equal(each.cpus.vcpu_affinity[0].words[0], 0x20);
        assert_int_equal(each.cpus.vcpu_affinity[1].words[0], 0xc0);

        assert_refused("--cpus|2|--cpu-affinity=2=0", "there is no vCPU 2");
        assert_refused("--cpu-affinity=0=0:0=1", "vCPU 0 is given twice");
        assert_refused("--cpu-affinity=0=0:1", "expected VCPU=PROCESSORS, not '1'");
        assert_refused("--cpu-affinity=254=0", "expected VCPU=PROCESSORS");
        assert_refused("--cpu-affinity=0=", "expected processors");
        assert_refused("--cpu-affinity|", "expected processors");
}

static void test_the_other_options_name_vcpus_that_exist_and_do_not_contradict(void **state) {
        assert_refused("--cpus|2|--rt-cpus|1-2", "--rt-cpus: there is no vCPU 2");
        assert_refused("--core-scheduling|maybe", "--core-scheduling: expected true or false");
        assert_refused("--core-scheduling|true|--per-vm-core-scheduling", "exclude each other");
        assert_refused("--host-cpu-topology|--cpus|2", "--host-cpu-topology: excludes");
        assert_refused("--host-cpu-topology|--cpu-affinity|0", "--host-cpu-topology: excludes");
        assert_refused("--delay-rt=1", "--delay-rt: takes no value");
}

static void test_what_is_emitted_is_read_as_the_same(void **state) {
        static const char *const lines[] = {
                "--cpus|4,clusters=[[0-1],[2-3]]|--no-smt|--cpu-affinity|0-1,3|--rt-cpus|0,2|--"
                "delay-rt",
                "--cpus|2|--cpu-affinity|0=5:1=6-7|--core-scheduling|true|--vcpu-cgroup-path|/c",
                "--host-cpu-topology|--per-vm-core-scheduling",
        };

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                _cleanup_(vmm_config_deinit) VmmConfig c = {0}, again = {0};
                _cleanup_(strvec_deinit) StrVec first = {0}, second = {0};

                assert_int_equal(parse(lines[i], &c, NULL), 0);
                assert_int_equal(strvec_add(&first, "vmm"), 0);
                assert_int_equal(strvec_add(&second, "vmm"), 0);
                assert_int_equal(crosvm_flags_emit(&c, &first, NULL), 0);
                assert_int_equal(crosvm_flags_parse((int) first.n, first.items, &again, NULL), 0);
                assert_int_equal(crosvm_flags_emit(&again, &second, NULL), 0);
                assert_int_equal(first.n, second.n);
                for (size_t j = 0; j < first.n; j++)
                        assert_string_equal(first.items[j], second.items[j]);
                assert_true(first.n > 3); /* the options are among it */
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(
                        test_an_even_number_of_vcpus_has_two_threads_a_core_unless_told_otherwise),
                cmocka_unit_test(test_clusters_are_lists_in_a_list_or_options_of_their_own),
                cmocka_unit_test(test_clusters_that_no_x86_processor_has_are_refused),
                cmocka_unit_test(test_affinity_is_for_all_or_for_each),
                cmocka_unit_test(
                        test_the_other_options_name_vcpus_that_exist_and_do_not_contradict),
                cmocka_unit_test(test_what_is_emitted_is_read_as_the_same),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
