/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The directories under /run where each VM has one of its own, named by its CID. */

#include <stdint.h>

int runtime_dir_prepare(const char *base);
int runtime_dir_create(const char *base, uint32_t cid, char **ret);
int runtime_dir_remove(const char *path);
