/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The vsock context ids (CIDs) that VMs are known by. */

#include <stdbool.h>
#include <stdint.h>

#define CID_MIN 2048u
#define CID_MAX 65535u

/* The search ran once around: all CIDs are taken. */
enum { ID_POOL_E_EXHAUSTED = 1, ID_POOL_E_TAKEN };

typedef struct IdPool {
        uint32_t last; /* handed out last; 0 before the first */
        uint64_t taken[(CID_MAX - CID_MIN + 1) / 64];
} IdPool;

int id_pool_claim(IdPool *pool, uint32_t cid);

/* Whether nobody outside of the pool has @cid. */
typedef bool (*IdPoolFreeFn)(void *userdata, uint32_t cid);

int id_pool_take(IdPool *pool, IdPoolFreeFn is_free, void *userdata, uint32_t *ret);
void id_pool_release(IdPool *pool, uint32_t cid);
