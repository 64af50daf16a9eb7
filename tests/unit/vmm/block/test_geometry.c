/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/block/block.h"

static int set_size(BlockDev *dev, uint64_t size_bytes) {
        dev->size_bytes = size_bytes;
        return 0;
}

static const BlockOps growing_ops = {.name = "growing", .resize = set_size};
static const BlockOps fixed_ops = {.name = "fixed"};

static void test_blocks_and_ids_that_cannot_be_are_refused_by_their_value(void **state) {
        static const struct {
                unsigned block_size;
                uint32_t align_bytes;
                const char *id, *words;
        } table[] = {
                {256, 1, NULL, "256"},
                {8192, 1, NULL, "8192"},
                {3000, 1, NULL, "3000"},
                {0, 1, NULL, "block size 0"},
                {512, 4096, NULL, "needs blocks of 4096"},
                {512, 1, "123456789012345678901", "'123456789012345678901'"},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const BlockDev image = {
                        .ops = &fixed_ops, .size_bytes = 4096, .align_bytes = table[i].align_bytes};
                _cleanup_(text_error_deinit) TextError error = {0};

                assert_int_equal(block_check_disk(&image, table[i].block_size, table[i].id, &error),
                                 -EINVAL);
                assert_non_null(strstr(error.message, table[i].words));
        }
}

static void test_blocks_and_ids_up_to_the_limits_are_taken(void **state) {
        const BlockDev image = {.ops = &fixed_ops, .size_bytes = 4096, .align_bytes = 512};

        for (unsigned block = BLOCK_SIZE_MIN; block <= BLOCK_SIZE_MAX; block *= 2)
                assert_int_equal(block_check_disk(&image, block, "12345678901234567890", NULL), 0);
        assert_int_equal(block_check_disk(&image, 512, NULL, NULL), 0);
}

static void test_a_physical_block_is_as_large_as_the_host_likes_it(void **state) {
        BlockDev image = {.ops = &fixed_ops, .optimal_bytes = 4096};

        assert_int_equal(block_physical_exponent(&image, 512), 3);
        assert_int_equal(block_physical_exponent(&image, 4096), 0);
        image.optimal_bytes = 0; /* unknown */
        assert_int_equal(block_physical_exponent(&image, 512), 0);
        image.optimal_bytes = 1u << 31;
        assert_int_equal(block_physical_exponent(&image, 512), 7);
}

static void test_a_size_is_a_multiple_of_the_block_and_the_images_to_have(void **state) {
        BlockDev image = {.ops = &growing_ops, .size_bytes = 4096};

        assert_int_equal(block_resize(&image, 4096, 8192), 0);
        assert_int_equal(image.size_bytes, 8192);
        assert_int_equal(block_resize(&image, 4096, 0), -EINVAL);
        assert_int_equal(block_resize(&image, 4096, 4608), -EINVAL);
        image.ops = &fixed_ops;
        assert_int_equal(block_resize(&image, 4096, 4096), -EOPNOTSUPP);
        image.read_only = true;
        assert_int_equal(block_resize(&image, 4096, 4096), -EROFS);
        assert_int_equal(image.size_bytes, 8192);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_blocks_and_ids_that_cannot_be_are_refused_by_their_value),
                cmocka_unit_test(test_blocks_and_ids_up_to_the_limits_are_taken),
                cmocka_unit_test(test_a_physical_block_is_as_large_as_the_host_likes_it),
                cmocka_unit_test(test_a_size_is_a_multiple_of_the_block_and_the_images_to_have),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
