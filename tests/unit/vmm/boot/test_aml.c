/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "vmm/boot/aml.h"

/* Runs @make on an empty buffer and compares what it wrote. */
static void assert_writes(void (*make)(Aml *aml), const void *bytes, size_t len) {
        _cleanup_(strbuf_deinit) StrBuf out = {0};
        Aml aml = {.out = &out};

        make(&aml);
        assert_int_equal(aml.depth, 0);
        assert_int_equal(out.len, len);
        assert_memory_equal(out.data, bytes, len);
}

static void make_integers(Aml *aml) {
        aml_integer(aml, 0);
        aml_integer(aml, 1);
        aml_integer(aml, 2);
        aml_integer(aml, 0x1234);
        aml_integer(aml, 0x12345678);
        aml_integer(aml, UINT64_C(0x123456789a));
}

static void test_integers_take_their_shortest_form(void **state) {
        static const uint8_t want[] = {0x00, 0x01, 0x0a, 0x02, 0x0b, 0x34, 0x12,
                                       0x0c, 0x78, 0x56, 0x34, 0x12, 0x0e, 0x9a,
                                       0x78, 0x56, 0x34, 0x12, 0,    0,    0};

        assert_writes(make_integers, want, sizeof(want));
}

static void make_device(Aml *aml) {
        aml_begin_scope(aml, "\\_SB");
        aml_begin_device(aml, "RTC");
        aml_name_eisa_id(aml, "_HID", "PNP0B00");
        aml_end(aml);
        aml_end(aml);
}

static void test_a_device_nests_in_its_scope(void **state) {
        static const uint8_t want[] = {0x10, 0x17, '\\', '_',  'S',  'B',  '_',  0x5b,
                                       0x82, 0x0f, 'R',  'T',  'C',  '_',  0x08, '_',
                                       'H',  'I',  'D',  0x0c, 0x41, 0xd0, 0x0b, 0x00};

        assert_writes(make_device, want, sizeof(want));
}

static void make_resources(Aml *aml) {
        aml_begin_resources(aml, "_CRS");
        aml_resource_io(aml, 0x3f8, 8);
        aml_resource_irq(aml, 4);
        aml_end_resources(aml);
}

static void test_a_resource_template_knows_its_size_and_ends(void **state) {
        static const uint8_t want[] = {0x08, '_',  'C',  'R',  'S',  0x11, 0x11, 0x0b,
                                       0x0d, 0x00, 0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03,
                                       0x01, 0x08, 0x22, 0x10, 0x00, 0x79, 0x00};

        assert_writes(make_resources, want, sizeof(want));
}

static void make_window(Aml *aml) {
        aml_resource_io_window(aml, 0x1000, 0xffff);
}

static void test_a_window_states_bounds_and_length(void **state) {
        static const uint8_t want[] = {0x88, 0x0d, 0x00, 0x01, 0x0c, 0x03, 0x00, 0x00,
                                       0x00, 0x10, 0xff, 0xff, 0x00, 0x00, 0x00, 0xf0};

        assert_writes(make_window, want, sizeof(want));
}

/* Package lengths count themselves, so that the sizes just below and above each width matter. */
static void test_lengths_of_every_width_count_themselves(void **state) {
        static const struct {
                size_t body;
                uint8_t want[4];
                size_t n;
        } cases[] = {
                {62, {63}, 1},
                {63, {0x41, 0x04}, 2},
                {4093, {0x4f, 0xff}, 2},
                {4094, {0x81, 0x00, 0x01}, 3},
                {1048572, {0x8f, 0xff, 0xff}, 3},
                {1048573, {0xc1, 0x00, 0x00, 0x01}, 4},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(strbuf_deinit) StrBuf out = {0};
                Aml aml = {.out = &out};

                aml_begin_if(&aml);
                for (size_t j = 0; j < cases[i].body; j++)
                        aml_bytes(&aml, "\xa3", 1);
                aml_end(&aml);
                assert_int_equal(out.len, 1 + cases[i].n + cases[i].body);
                assert_memory_equal(out.data + 1, cases[i].want, cases[i].n);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_integers_take_their_shortest_form),
                cmocka_unit_test(test_a_device_nests_in_its_scope),
                cmocka_unit_test(test_a_resource_template_knows_its_size_and_ends),
                cmocka_unit_test(test_a_window_states_bounds_and_length),
                cmocka_unit_test(test_lengths_of_every_width_count_themselves),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
