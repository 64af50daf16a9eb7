/* SPDX-License-Identifier: Apache-2.0 */
/* The model as CPUID shows it, and that what it does not show does not work. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "tests/fake/vmm_soft_guest.h"
#include "vmm/hv/soft/handlers.h"
#include "vmm/hv/soft/soft_internal.h"

#define CODE UINT64_C(0x100000)
static const CpuidNow at_reset = {.index = 5, .apic_base = 0xfee00900u, .xcr0 = XSTATE_X87};

static CpuidEntry leaf(const char *change, uint32_t function) {
        CpuFeatureChange c = {0};
        CpuidEntry entry;
        SoftModel model;

        if (change)
                assert_int_equal(cpu_feature_change_parse(change, &c, NULL), 0);
        assert_int_equal(soft_model_init(&model, 1, &c, NULL), 0);
        soft_cpuid(&model, &at_reset, function, 0, &entry);
        return entry;
}

static void test_features_come_and_go_in_their_own_bits(void **state) {
        assert_int_equal(leaf("-x2apic", 1).ecx ^ leaf(NULL, 1).ecx, 1u << 21);
        assert_int_equal(leaf("-smep", 7).ebx ^ leaf("+smep", 7).ebx, 1u << 7);
        assert_int_equal(leaf("-umip", 7).ecx ^ leaf("+umip", 7).ecx, 1u << 2);
        assert_int_equal(leaf("-pdpe1gb", 0x80000001).edx ^ leaf("+pdpe1gb", 0x80000001).edx,
                         1u << 26);
}

static void test_the_processor_has_its_name(void **state) {
        char name[49] = "";

        for (uint32_t i = 0; i < 3; i++) {
                const CpuidEntry e = leaf(NULL, 0x80000002 + i);

                memcpy(name + i * 16, &e.eax, 4);
                memcpy(name + i * 16 + 4, &e.ebx, 4);
                memcpy(name + i * 16 + 8, &e.ecx, 4);
                memcpy(name + i * 16 + 12, &e.edx, 4);
        }
        assert_string_equal(name, "Vivarium software CPU");
}

static void test_threads_cores_and_clusters_are_in_their_leaves(void **state) {
        const CpuFeatureChange none = {0};
        CpuidEntry e;
        SoftModel model;

        assert_int_equal(soft_model_init(&model, 8, &none, NULL), 0);
        soft_cpuid(&model, &at_reset, 4, 0, &e);
        assert_int_equal(e.eax, 0); /* no caches are told of without clusters */
        model.threads_per_core = 2;
        model.cluster_size = 4;
        soft_cpuid(&model, &at_reset, 0xb, 0, &e);
        assert_int_equal(e.eax, 1);
        assert_int_equal(e.ebx, 2);
        assert_int_equal(e.edx, 5);
        soft_cpuid(&model, &at_reset, 0xb, 1, &e);
        assert_int_equal(e.ebx, 8);
        for (uint32_t sub = 0; sub < 4; sub++) {
                static const uint32_t types[] = {1, 2, 3, 0}, shared[] = {2, 2, 4, 1};

                soft_cpuid(&model, &at_reset, 4, sub, &e);
                assert_int_equal(e.eax & 0x1f, types[sub]);
                assert_int_equal((e.eax >> 14 & 0xfff) + 1, shared[sub]);
        }
}

static void test_what_cannot_be_shown_or_hidden_is_named(void **state) {
        static const char *const bad[] = {"+avx", "+la57", "+svm", "-sse2", "-lm", "-lahf_lm"};

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(text_error_deinit) TextError error = {0};
                CpuFeatureChange c = {0};
                SoftModel model;

                assert_int_equal(cpu_feature_change_parse(bad[i], &c, NULL), 0);
                assert_int_equal(soft_model_init(&model, 1, &c, &error), -EOPNOTSUPP);
                assert_non_null(strstr(error.message, bad[i] + 1));
        }
}

/* Whether one instruction is #UD in 64-bit mode at @cpl. */
static bool invalid(const CpuFeatureChange *change, const char *code, unsigned cpl) {
        SoftGuest g;
        SoftModel *model;
        bool r;

        assert_int_equal(soft_guest_new(1, &g), 0);
        soft_guest_map(&g, CODE, CODE, SOFT_MAP_WRITE | SOFT_MAP_USER);
        soft_guest_long_mode(&g, cpl);
        model = &g.cpu->partition->model;
        assert_int_equal(soft_model_init(model, 1, change, NULL), 0);
        thunk_cache_limit(g.cpu->thunks, soft_model_leaf1_ecx(model));
        memcpy(soft_guest_memory(&g, CODE), code, 16);
        g.cpu->rip = CODE;
        g.cpu->r[RBX] = CODE + 0x800;
        r = soft_guest_blocks(&g, 1) == 1 && g.cpu->fault_vector == EXC_UD;
        soft_guest_deinit(&g);
        return r;
}

static void test_hidden_instructions_are_invalid(void **state) {
        static const struct {
                const char *name, code[17];
        } cases[] = {
                {"rdtscp", "\x0f\x01\xf9\xeb\xfe"},   {"serialize", "\x0f\x01\xe8\xeb\xfe"},
                {"rdrand", "\x0f\xc7\xf0\xeb\xfe"},   {"movbe", "\x0f\x38\xf0\x03\xeb\xfe"},
                {"cx16", "\x48\x0f\xc7\x0b\xeb\xfe"}, {"smap", "\x0f\x01\xca\xeb\xfe"},
                {"smap", "\x0f\x01\xcb\xeb\xfe"},     {"invpcid", "\x66\x0f\x38\x82\x0b\xeb\xfe"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char text[32];
                CpuFeatureChange shown = {0}, hidden = {0};

                (void) snprintf(text, sizeof(text), "+%s", cases[i].name);
                assert_int_equal(cpu_feature_change_parse(text, &shown, NULL), 0);
                *text = '-';
                assert_int_equal(cpu_feature_change_parse(text, &hidden, NULL), 0);
                assert_false(invalid(&shown, cases[i].code, 0));
                assert_true(invalid(&hidden, cases[i].code, 0));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_features_come_and_go_in_their_own_bits),
                cmocka_unit_test(test_the_processor_has_its_name),
                cmocka_unit_test(test_threads_cores_and_clusters_are_in_their_leaves),
                cmocka_unit_test(test_what_cannot_be_shown_or_hidden_is_named),
                cmocka_unit_test(test_hidden_instructions_are_invalid),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
