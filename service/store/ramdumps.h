/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Memory of guests that panicked, a file each, in a folder that is kept within a number of files and of bytes: the oldest
 * goes first. While its VM lives a dump is called ID.part, afterwards ID.core.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

typedef struct Ramdumps Ramdumps;

typedef struct RamdumpLimits {
        uint32_t count_max;
        uint64_t bytes_max; /* on disk, so holes do not count */
} RamdumpLimits;

int ramdumps_new(const char *state_dir, const RamdumpLimits *limits, Ramdumps **ret);
Ramdumps *ramdumps_free(Ramdumps *dumps);
DEFINE_CLEANUP(Ramdumps *, ramdumps_free)

int ramdumps_begin(Ramdumps *dumps, const char *id);
int ramdumps_end(Ramdumps *dumps, const char *id, bool keep, char **ret_path);
int ramdumps_open(const Ramdumps *dumps, const char *id);

/* RamdumpWantedFn - whether the dump of a VM may still be written */
typedef bool (*RamdumpWantedFn)(void *userdata, const char *id);
void ramdumps_drop_partial(Ramdumps *dumps, RamdumpWantedFn wanted, void *userdata);
