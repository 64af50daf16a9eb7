/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/fake/vmm_tiny_guest.h"
#include "vmm/hv/soft/handlers.h"
#include "vmm/hv/soft/soft.h"

DEFINE_CLEANUP(ThunkCache *, thunk_cache_free)

/* lea disp32(%rsi), %rax: as many forms as there are numbers */
static Thunk get_lea(ThunkCache *cache, uint32_t disp) {
        uint8_t bytes[7] = {0x48, 0x8d, 0x86};

        memcpy(bytes + 3, &disp, sizeof(disp));
        return thunk_get(cache, THUNK_PLAIN, bytes, sizeof(bytes));
}

static uint32_t fill(ThunkCache *cache) {
        uint32_t n = 0;

        while (get_lea(cache, n))
                n++;
        return n;
}

static void test_full_cache_gives_none_and_keeps_what_it_has(void **state) {
        _cleanup_(thunk_cache_freep) ThunkCache *cache = NULL;
        uint32_t n;

        assert_int_equal(thunk_cache_new(&cache), 0);
        assert_true(thunk_cache_has_room(cache, 100));
        n = fill(cache);
        assert_in_range(n, 1000, 100000);
        assert_false(thunk_cache_has_room(cache, 1));
        assert_null(get_lea(cache, n));
        assert_int_equal(get_lea(cache, 5)(NULL, NULL, NULL), 5);
}

static void test_promised_room_is_there(void **state) {
        _cleanup_(thunk_cache_freep) ThunkCache *cache = NULL;
        uint32_t n = 0;

        assert_int_equal(thunk_cache_new(&cache), 0);
        while (thunk_cache_has_room(cache, 50))
                assert_non_null(get_lea(cache, n++));
        for (unsigned i = 0; i < 49; i++)
                assert_non_null(get_lea(cache, n++));
}

static void test_flushed_cache_makes_new_code_in_the_old_place(void **state) {
        _cleanup_(thunk_cache_freep) ThunkCache *cache = NULL;
        uint32_t n;

        assert_int_equal(thunk_cache_new(&cache), 0);
        n = fill(cache);
        for (uint32_t round = 1; round < 4; round++) {
                thunk_cache_flush(cache);
                for (uint32_t i = 0; i < n; i++) {
                        Thunk thunk = get_lea(cache, i + round * n);

                        assert_non_null(thunk);
                        assert_int_equal(thunk(NULL, NULL, NULL), i + round * n);
                }
        }
}

static void test_decoder_refuses_what_has_no_room(void **state) {
        static const uint8_t codes[][2] = {{0xd9, 0xe8}, {0xd9, 0x06}, {0x0f, 0x77}};
        _cleanup_(thunk_cache_freep) ThunkCache *cache = NULL;
        unsigned bytes;
        Uop uops[2];

        assert_int_equal(thunk_cache_new(&cache), 0);
        (void) fill(cache);
        for (size_t i = 0; i < ELEMENTSOF(codes); i++) {
                assert_int_equal(decode_block(cache, codes[i], 2, MODE_64, 1, uops, &bytes), 1);
                assert_true(uops[0].fn == op_invalid);
        }
}

/* Each is #UD where the host lacks one feature, which would otherwise kill us, and fine where it lacks another. */
static void test_decoder_refuses_what_the_host_does_not_know(void **state) {
        static const struct {
                uint32_t feature;
                uint8_t code[6];
        } cases[] = {
                {HOST_SSSE3, {0x66, 0x0f, 0x38, 0x00, 0xc1}},
                {HOST_SSSE3, {0x0f, 0x38, 0x1c, 0xc1}},
                {HOST_SSSE3, {0x0f, 0x3a, 0x0f, 0xc1, 1}},
                {HOST_SSE41, {0x66, 0x0f, 0x38, 0x10, 0xc1}},
                {HOST_SSE41, {0x66, 0x0f, 0x38, 0x40, 0xc1}},
                {HOST_SSE41, {0x66, 0x0f, 0x3a, 0x0a, 0xc1, 1}},
                {HOST_SSE42, {0x66, 0x0f, 0x38, 0x37, 0xc1}},
                {HOST_SSE42, {0x66, 0x0f, 0x3a, 0x63, 0xc1, 1}},
                {HOST_SSE42, {0xf2, 0x0f, 0x38, 0xf1, 0xc1}},
                {HOST_AES, {0x66, 0x0f, 0x38, 0xdc, 0xc1}},
                {HOST_AES, {0x66, 0x0f, 0x3a, 0xdf, 0xc1, 1}},
                {HOST_PCLMUL, {0x66, 0x0f, 0x3a, 0x44, 0xc1, 1}},
                {HOST_POPCNT, {0xf3, 0x0f, 0xb8, 0xc1}},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(thunk_cache_freep) ThunkCache *with = NULL, *without = NULL;
                unsigned bytes;
                Uop uops[2];

                assert_int_equal(thunk_cache_new(&with), 0);
                assert_int_equal(thunk_cache_new(&without), 0);
                if (thunk_host_has(with, cases[i].feature)) {
                        thunk_cache_limit(with, cases[i].feature);
                        assert_int_equal(
                                decode_block(with, cases[i].code, 6, MODE_64, 1, uops, &bytes), 1);
                        assert_true(uops[0].fn != op_invalid);
                }
                thunk_cache_limit(without, ~cases[i].feature);
                assert_int_equal(decode_block(without, cases[i].code, 6, MODE_64, 1, uops, &bytes),
                                 1);
                assert_true(uops[0].fn == op_invalid);
        }
}

/* The guest writes itself all 16384 forms of PSHUFW between MMX registers, more than fit, and then a new one. */
static void test_guest_that_uses_all_forms_gets_new_ones(void **state) {
        static const uint8_t code[] = {
                0xbb, 0x00, 0xc0,       /*       mov $0xc000, %bx */
                0x88, 0x3e, 0x0f, 0x10, /* next: mov %bh, site + 2 */
                0x88, 0x1e, 0x10, 0x10, /*       mov %bl, site + 3 */
                0xeb, 0x00,             /*       jmp site */
                0x0f, 0x70, 0xc0, 0x00, /* site: pshufw $0, %mm0, %mm0 */
                0x43,                   /*       inc %bx */
                0x75, 0xef,             /*       jnz next */
                0xd9, 0xe8,             /*       fld1 */
                0xe6, 0x10,             /*       out %al, $0x10 */
                0xf4,                   /*       hlt */
        };
        _cleanup_(tiny_guest_freep) TinyGuest *guest = NULL;

        assert_int_equal(tiny_guest_new(&soft_hv_ops, 1, &guest, NULL), 0);
        guest->stop_port = 0x10;
        assert_int_equal(tiny_guest_start(guest, code, sizeof(code)), 0);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(guest->n_events, 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_full_cache_gives_none_and_keeps_what_it_has),
                cmocka_unit_test(test_promised_room_is_there),
                cmocka_unit_test(test_flushed_cache_makes_new_code_in_the_old_place),
                cmocka_unit_test(test_decoder_refuses_what_has_no_room),
                cmocka_unit_test(test_decoder_refuses_what_the_host_does_not_know),
                cmocka_unit_test(test_guest_that_uses_all_forms_gets_new_ones),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
