/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which inherited descriptors the VMM gets, and under which numbers: from FD_MAP_FIRST up without a gap. */

#include <stddef.h>

#define FD_MAP_FIRST 3
#define FD_MAP_PATH_SIZE 32u /* of "/proc/self/fd/N" */

/* Zero-initialised is empty. */
typedef struct FdMap {
        int *sources; /* owned array of borrowed descriptors; sources[i] becomes FD_MAP_FIRST + i */
        size_t n, room;
} FdMap;

void fd_map_deinit(FdMap *map);
int fd_map_add(FdMap *map, int fd, int *ret_target);
int fd_map_end(const FdMap *map);
int fd_map_apply(const FdMap *map);

int fd_close_all_from(int first);
int fd_close_all_from_by_proc(int first);
