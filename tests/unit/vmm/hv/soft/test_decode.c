/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "vmm/hv/soft/handlers.h"

DEFINE_CLEANUP(ThunkCache *, thunk_cache_free)

/* An address is kept as its distance from the block, of which the last before 2 GiB do not all fit. */
static void test_far_operand_begins_a_block_of_its_own(void **state) {
        static const uint8_t code[] = {
                0x90,                                     /* nop */
                0x8b, 0x05, 0xf8, 0xff, 0xff, 0x7f,       /* mov 0x7ffffff8(%rip), %eax */
                0x48, 0x8b, 0x05, 0xf4, 0xff, 0xff, 0x7f, /* mov 0x7ffffff4(%rip), %rax */
                0xf4,                                     /* hlt */
        };
        _cleanup_(thunk_cache_freep) ThunkCache *cache = NULL;
        unsigned bytes;
        Uop uops[4];

        assert_int_equal(thunk_cache_new(&cache), 0);
        assert_int_equal(decode_block(cache, code, sizeof(code), MODE_64, 4, uops, &bytes), 2);
        assert_int_equal(bytes, 7);
        assert_int_equal(uops[1].disp, INT32_MAX);
        assert_int_equal(decode_block(cache, code + 7, 8, MODE_64, 4, uops, &bytes), 2);
        assert_int_equal(uops[0].disp, 0x7ffffffb);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_far_operand_begins_a_block_of_its_own),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
