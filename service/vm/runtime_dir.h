/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The directories below the daemon's runtime directory: one for each VM, for sockets and what is kept of it, and one
 * for the VMs' state files, and one for what is to be written to a disk.
 */

#include <stdbool.h>
#include <stdint.h>

/* Owned by who has it. */
typedef struct RuntimeDirs {
        int state, unwritten;
} RuntimeDirs;

typedef bool (*RuntimeDirKnownFn)(const void *userdata, uint32_t cid);
typedef void (*RuntimeDirStaleFn)(const char *path);

int runtime_dir_prepare(const char *base, RuntimeDirs *ret);
int runtime_dir_of(const char *base, uint32_t cid, char **ret);
int runtime_dir_create(const char *base, uint32_t cid, char **ret);
int runtime_dir_remove(const char *path);
int runtime_dir_sweep(const char *base, RuntimeDirKnownFn is_known, RuntimeDirStaleFn stale,
                      const void *userdata);
