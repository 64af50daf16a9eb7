/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Hot blocks as host code. See native.c. */

#include "vmm/hv/soft/cpu.h"

/* Executions after which a block is worth translating. */
#define NATIVE_HEAT 48u
#define NATIVE_HEAT_NEVER UINT32_MAX

int native_cache_new(const struct BlockCache *blocks, bool locks_stay, struct NativeCache **ret);
void native_cache_free(struct NativeCache *cache);
void native_cache_flush(struct NativeCache *cache);
bool native_translate(struct NativeCache *cache, Block *b);
