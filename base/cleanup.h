/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Scope-bound ownership: every owned local is released when its scope ends unless TAKE() hands it on. */

#include <stdlib.h>

#include "base/macros.h"

#define _cleanup_(f) __attribute__((cleanup(f)))

/* Hands the pointer in @p over to the caller and leaves NULL behind. */
#define TAKE(p)                                                                                    \
        ({                                                                                         \
                __typeof__(p) *_take_p = &(p);                                                     \
                __typeof__(p) _take_v = *_take_p;                                                  \
                *_take_p = NULL;                                                                   \
                _take_v;                                                                           \
        })

/* Defines the function `<free_fn>p` that _cleanup_() needs for a pointer released by @free_fn. */
#define DEFINE_CLEANUP(type, free_fn)                                                              \
        static inline void free_fn##p(type *p) {                                                   \
                if (*p)                                                                            \
                        (void) free_fn(*p);                                                        \
        }

/* For _cleanup_(): of anything that free() releases. */
static inline void freep(void *p) {
        free(*(void **) p);
}
