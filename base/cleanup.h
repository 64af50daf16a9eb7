/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Scope-bound ownership: every owned local is released when its scope ends unless TAKE() hands it on. */

#include <stdlib.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(fmt, args) __attribute__((format(printf, fmt, args)))
#define _unused_ __attribute__((unused))

/* Hands the pointer in @p over to the caller and leaves NULL behind. */
#define TAKE(p)                                                                                    \
        ({                                                                                         \
                __typeof__(p) *_take_p = &(p);                                                     \
                __typeof__(p) _take_v = *_take_p;                                                  \
                *_take_p = NULL;                                                                   \
                _take_v;                                                                           \
        })

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))

#define CONTAINER_OF(ptr, type, member) ((type *) ((char *) (ptr) -offsetof(type, member)))

#define MIN(a, b)                                                                                  \
        ({                                                                                         \
                __typeof__(a) _min_a = (a);                                                        \
                __typeof__(b) _min_b = (b);                                                        \
                _min_a < _min_b ? _min_a : _min_b;                                                 \
        })

#define MAX(a, b)                                                                                  \
        ({                                                                                         \
                __typeof__(a) _max_a = (a);                                                        \
                __typeof__(b) _max_b = (b);                                                        \
                _max_a > _max_b ? _max_a : _max_b;                                                 \
        })

/* Defines the function `<free_fn>p` that _cleanup_() needs for a pointer released by @free_fn. */
#define DEFINE_CLEANUP(type, free_fn)                                                              \
        static inline void free_fn##p(type *p) {                                                   \
                if (*p)                                                                            \
                        (void) free_fn(*p);                                                        \
        }

static inline void freep(void *p) {
        free(*(void **) p);
}
