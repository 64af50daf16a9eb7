/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the language lacks and every file needs. */

#include <stddef.h>

/* The compiler checks arguments from number @args on against the format that is argument number @fmt, both from 1. */
#define _printf_(fmt, args) __attribute__((format(printf, fmt, args)))
#define _unused_ __attribute__((unused))

/* Elements of an array; never of a pointer. */
#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))

/* The @type whose @member @ptr points to. */
#define CONTAINER_OF(ptr, type, member) ((type *) ((char *) (ptr) -offsetof(type, member)))

/* Both evaluate each argument once; the arguments have one type. */
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
