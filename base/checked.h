/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Arithmetic on numbers that come from outside: overflow is an answer, never a wrap. */

#include <stdbool.h>
#include <stdint.h>

/* True and @ret set when a + b fits its type; false and @ret untouched otherwise. */
#define ADD_CHECKED(a, b, ret) (!__builtin_add_overflow((a), (b), (ret)))
#define SUB_CHECKED(a, b, ret) (!__builtin_sub_overflow((a), (b), (ret)))
#define MUL_CHECKED(a, b, ret) (!__builtin_mul_overflow((a), (b), (ret)))

/**
 * range_within() - whether [offset, offset + len) lies inside [0, size)
 *
 * Empty ranges are inside as long as @offset is at most @size.
 */
static inline bool range_within(uint64_t offset, uint64_t len, uint64_t size) {
        return offset <= size && len <= size - offset;
}

/* Rounds up to a power of two @align; the caller knows that the sum does not wrap. */
static inline uint64_t align_up(uint64_t value, uint64_t align) {
        return (value + align - 1) & ~(align - 1);
}

static inline uint64_t align_down(uint64_t value, uint64_t align) {
        return value & ~(align - 1);
}
