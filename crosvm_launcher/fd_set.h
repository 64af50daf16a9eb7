/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Descriptors the launcher made itself. Zero-initialised is empty. */

#include <stddef.h>

typedef struct FdSet {
        int *fds; /* owned array of owned descriptors */
        size_t n;
} FdSet;

void fd_set_deinit(FdSet *set);
int fd_set_add_consume(FdSet *set, int fd);
