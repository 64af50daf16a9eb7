/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "vmm/hv/kvm/kvm_internal.h"

typedef struct Cpuid {
        struct kvm_cpuid2 header;
        struct kvm_cpuid_entry2 entries[KVM_CPUID_ENTRIES_MAX];
} Cpuid;

static struct kvm_cpuid_entry2 *add(Cpuid *cpuid, uint32_t function, uint32_t index) {
        struct kvm_cpuid_entry2 *entry = &cpuid->entries[cpuid->header.nent++];

        entry->function = function;
        entry->index = index;
        entry->flags = index ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
        return entry;
}

static void intel(Cpuid *cpuid) {
        memset(cpuid, 0, sizeof(*cpuid));
        add(cpuid, 0, 0)->eax = 0x1f;
        struct kvm_cpuid_entry2 *leaf1 = add(cpuid, 1, 0);
        leaf1->eax = 0x50654;
        leaf1->ebx = 0x07020800;
        leaf1->ecx = (1u << 3) | (1u << 5) | (1u << 27);
        add(cpuid, 4, 0)->eax = 0x1c004121; /* level 1 data */
        cpuid->entries[2].flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
        add(cpuid, 4, 3)->eax = 0x1c1fc163; /* level 3 */
        add(cpuid, 5, 0)->eax = 0x40;
        add(cpuid, 7, 0)->edx = (1u << 24) | (1u << 2);
        add(cpuid, 0xb, 0)->eax = 99;
        add(cpuid, 0x1f, 1)->eax = 99;
        add(cpuid, 0x80000001, 0);
        add(cpuid, 0x80000008, 0)->eax = 0x3030;
}

static const HvConfig four_by_two = {.n_vcpus = 8, .threads_per_core = 2};
static const HvConfig single = {.n_vcpus = 1, .threads_per_core = 1};
static const HvConfig three = {.n_vcpus = 3, .threads_per_core = 1};

static void test_what_is_not_offered_is_hidden(void **state) {
        static Cpuid cpuid;
        struct kvm_cpuid_entry2 *leaf1;

        intel(&cpuid);
        kvm_cpuid_filter(&cpuid.header, &single, true);
        leaf1 = kvm_cpuid_find(&cpuid.header, 1, 0);
        assert_int_equal(leaf1->ecx, (1u << 31) | (1u << 24) | (1u << 21));
        assert_int_equal(kvm_cpuid_find(&cpuid.header, 7, 0)->edx, 1u << 2);
        assert_null(kvm_cpuid_find(&cpuid.header, 5, 0));

        intel(&cpuid);
        kvm_cpuid_filter(&cpuid.header, &single, false);
        assert_int_equal(kvm_cpuid_find(&cpuid.header, 1, 0)->ecx, (1u << 31) | (1u << 21));
}

static void test_extended_topology_has_threads_and_cores(void **state) {
        static Cpuid cpuid;

        for (uint32_t leaf = 0xb; leaf <= 0x1f; leaf += 0x14) {
                intel(&cpuid);
                kvm_cpuid_set_topology(&cpuid.header, &four_by_two);
                assert_int_equal(kvm_cpuid_find(&cpuid.header, leaf, 0)->eax, 1);
                assert_int_equal(kvm_cpuid_find(&cpuid.header, leaf, 0)->ebx, 2);
                assert_int_equal(kvm_cpuid_find(&cpuid.header, leaf, 0)->ecx, 0x100);
                assert_int_equal(kvm_cpuid_find(&cpuid.header, leaf, 1)->eax, 3);
                assert_int_equal(kvm_cpuid_find(&cpuid.header, leaf, 1)->ebx, 8);
                assert_int_equal(kvm_cpuid_find(&cpuid.header, leaf, 1)->ecx, 0x201);
                assert_int_equal(kvm_cpuid_find(&cpuid.header, leaf, 2)->ecx, 2);
        }
}

static void test_leaf_1_counts_logical_processors(void **state) {
        static Cpuid cpuid;
        struct kvm_cpuid_entry2 *leaf1;

        intel(&cpuid);
        kvm_cpuid_set_topology(&cpuid.header, &three);
        leaf1 = kvm_cpuid_find(&cpuid.header, 1, 0);
        assert_int_equal((leaf1->ebx >> 16) & 0xff, 4);
        assert_true(leaf1->edx & (1u << 28));
        assert_int_equal(leaf1->ebx & 0xff00, 0x0800);

        kvm_cpuid_set_topology(&cpuid.header, &single);
        leaf1 = kvm_cpuid_find(&cpuid.header, 1, 0);
        assert_int_equal((leaf1->ebx >> 16) & 0xff, 1);
        assert_false(leaf1->edx & (1u << 28));
}

static void test_caches_are_shared_by_core_or_package(void **state) {
        static Cpuid cpuid;
        uint32_t l1, l3;

        intel(&cpuid);
        kvm_cpuid_set_topology(&cpuid.header, &four_by_two);
        l1 = kvm_cpuid_find(&cpuid.header, 4, 0)->eax;
        l3 = kvm_cpuid_find(&cpuid.header, 4, 3)->eax;
        assert_int_equal((l1 >> 14) & 0xfff, 1);
        assert_int_equal((l3 >> 14) & 0xfff, 7);
        assert_int_equal(l1 >> 26, 3);
        assert_int_equal(l1 & 0x3fff, 0x0121);
}

static void test_level_2_is_shared_by_a_cluster(void **state) {
        const HvConfig clusters = {.n_vcpus = 8, .threads_per_core = 2, .cluster_size = 4};
        static Cpuid cpuid;

        intel(&cpuid);
        add(&cpuid, 4, 2)->eax = 0x0143;
        kvm_cpuid_set_topology(&cpuid.header, &clusters);
        assert_int_equal((kvm_cpuid_find(&cpuid.header, 4, 0)->eax >> 14) & 0xfff, 1);
        assert_int_equal((kvm_cpuid_find(&cpuid.header, 4, 2)->eax >> 14) & 0xfff, 3);
        assert_int_equal((kvm_cpuid_find(&cpuid.header, 4, 3)->eax >> 14) & 0xfff, 7);
}

static void test_amd_leaves_carry_the_core_count(void **state) {
        static Cpuid cpuid;

        intel(&cpuid);
        kvm_cpuid_set_topology(&cpuid.header, &four_by_two);
        assert_int_equal(kvm_cpuid_find(&cpuid.header, 0x80000008, 0)->ecx, 0x3007);
        assert_int_equal(kvm_cpuid_find(&cpuid.header, 0x80000008, 0)->eax, 0x3030);
        assert_true(kvm_cpuid_find(&cpuid.header, 0x80000001, 0)->ecx & 2);
}

static void test_each_vcpu_finds_its_own_apic_id(void **state) {
        static Cpuid cpuid;

        intel(&cpuid);
        add(&cpuid, 0x8000001e, 0);
        kvm_cpuid_find(&cpuid.header, 0x80000001, 0)->ecx |= 1u << 22;
        kvm_cpuid_set_topology(&cpuid.header, &four_by_two);
        kvm_cpuid_set_apic_id(&cpuid.header, &four_by_two, 5);
        assert_int_equal(kvm_cpuid_find(&cpuid.header, 1, 0)->ebx >> 24, 5);
        assert_int_equal(kvm_cpuid_find(&cpuid.header, 0xb, 0)->edx, 5);
        assert_int_equal(kvm_cpuid_find(&cpuid.header, 0x1f, 2)->edx, 5);
        assert_int_equal(kvm_cpuid_find(&cpuid.header, 0x8000001e, 0)->eax, 5);
        assert_int_equal(kvm_cpuid_find(&cpuid.header, 0x8000001e, 0)->ebx, 0x102);
}

static void amd(Cpuid *cpuid) {
        struct kvm_cpuid_entry2 *leaf;

        memset(cpuid, 0, sizeof(*cpuid));
        leaf = add(cpuid, 0, 0);
        leaf->eax = 0xd;
        leaf->ebx = 0x68747541; /* "Auth" */
        add(cpuid, 1, 0)->ebx = 0x800;
        add(cpuid, 0x80000000, 0)->eax = 0x8000000a;
        add(cpuid, 0x80000001, 0)->ecx = 1u << 2 | 1u << 23;
        add(cpuid, 0x80000008, 0)->eax = 0x3030;
        add(cpuid, 0x8000000a, 0)->eax = 1;
        add(cpuid, 0x80000022, 0)->eax = 1;
}

static void test_amd_guests_are_told_of_threads(void **state) {
        static Cpuid cpuid;

        amd(&cpuid);
        kvm_cpuid_set_topology(&cpuid.header, &four_by_two);
        kvm_cpuid_set_apic_id(&cpuid.header, &four_by_two, 5);
        assert_true(kvm_cpuid_find(&cpuid.header, 0x80000001, 0)->ecx & 1u << 22);
        assert_int_equal(kvm_cpuid_find(&cpuid.header, 0x80000000, 0)->eax, 0x8000001e);
        assert_int_equal(kvm_cpuid_find(&cpuid.header, 0x8000001e, 0)->eax, 5);
        assert_int_equal(kvm_cpuid_find(&cpuid.header, 0x8000001e, 0)->ebx, 0x102);
        assert_int_equal(kvm_cpuid_find(&cpuid.header, 0x8000001d, 0)->eax, 0x4121);
        assert_int_equal(kvm_cpuid_find(&cpuid.header, 0x8000001d, 3)->eax, 0x1c163);
        assert_int_equal(kvm_cpuid_find(&cpuid.header, 0x8000001d, 4)->eax, 0);
        amd(&cpuid);
        kvm_cpuid_set_topology(&cpuid.header, &single);
        assert_null(kvm_cpuid_find(&cpuid.header, 0x8000001e, 0));
}

static void test_guests_nest_only_when_they_are_to(void **state) {
        const HvConfig nested = {.n_vcpus = 1, .threads_per_core = 1, .nested = true};
        static Cpuid cpuid;

        amd(&cpuid);
        assert_true(kvm_cpuid_can_nest(&cpuid.header));
        kvm_cpuid_filter(&cpuid.header, &nested, true);
        assert_true(kvm_cpuid_find(&cpuid.header, 0x80000001, 0)->ecx & 1u << 2);
        assert_non_null(kvm_cpuid_find(&cpuid.header, 0x8000000a, 0));
        kvm_cpuid_filter(&cpuid.header, &single, true);
        assert_false(kvm_cpuid_can_nest(&cpuid.header));
        assert_null(kvm_cpuid_find(&cpuid.header, 0x8000000a, 0));

        intel(&cpuid);
        assert_true(kvm_cpuid_can_nest(&cpuid.header));
        kvm_cpuid_filter(&cpuid.header, &nested, true);
        assert_true(kvm_cpuid_can_nest(&cpuid.header));
}

static void test_counters_can_be_taken_away(void **state) {
        const HvConfig no_pmu = {.n_vcpus = 1, .threads_per_core = 1, .no_pmu = true};
        static Cpuid cpuid;

        amd(&cpuid);
        add(&cpuid, 0xa, 0)->eax = 0x07300402;
        kvm_cpuid_filter(&cpuid.header, &single, true);
        assert_int_equal(kvm_cpuid_find(&cpuid.header, 0xa, 0)->eax, 0x07300402);
        kvm_cpuid_filter(&cpuid.header, &no_pmu, true);
        assert_int_equal(kvm_cpuid_find(&cpuid.header, 0xa, 0)->eax, 0);
        assert_false(kvm_cpuid_find(&cpuid.header, 0x80000001, 0)->ecx & 1u << 23);
        assert_null(kvm_cpuid_find(&cpuid.header, 0x80000022, 0));
}

static void test_a_leaf_says_how_fast_the_tsc_is(void **state) {
        static Cpuid cpuid;
        const struct kvm_cpuid_entry2 *leaf;

        amd(&cpuid);
        kvm_cpuid_set_tsc(&cpuid.header, 2345678);
        leaf = kvm_cpuid_find(&cpuid.header, 0x15, 0);
        assert_int_equal((uint64_t) leaf->ecx * leaf->ebx / leaf->eax, 2345678000);
        assert_int_equal(kvm_cpuid_find(&cpuid.header, 0, 0)->eax, 0x15);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_is_not_offered_is_hidden),
                cmocka_unit_test(test_extended_topology_has_threads_and_cores),
                cmocka_unit_test(test_leaf_1_counts_logical_processors),
                cmocka_unit_test(test_caches_are_shared_by_core_or_package),
                cmocka_unit_test(test_level_2_is_shared_by_a_cluster),
                cmocka_unit_test(test_amd_leaves_carry_the_core_count),
                cmocka_unit_test(test_amd_guests_are_told_of_threads),
                cmocka_unit_test(test_guests_nest_only_when_they_are_to),
                cmocka_unit_test(test_counters_can_be_taken_away),
                cmocka_unit_test(test_a_leaf_says_how_fast_the_tsc_is),
                cmocka_unit_test(test_each_vcpu_finds_its_own_apic_id),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
