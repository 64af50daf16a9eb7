/* SPDX-License-Identifier: Apache-2.0 */
#include "service/manager/id_pool.h"

#include <assert.h>

static bool is_taken(const IdPool *pool, uint32_t cid) {
        uint32_t i = cid - CID_MIN;

        return (pool->taken[i / 64] >> (i % 64)) & 1;
}

/**
 * id_pool_take() - the next free CID after the one handed out last, wrapping once
 *
 * A CID comes back into use as late as possible, so that a log that names it stays unambiguous and a restarted VM
 * does not meet connections that were meant for its predecessor.
 *
 * @is_free: asked before one is taken; NULL where only the pool hands any out
 *
 * Return: 0 or ID_POOL_E_EXHAUSTED.
 */
int id_pool_take(IdPool *pool, IdPoolFreeFn is_free, void *userdata, uint32_t *ret) {
        uint32_t cid = pool->last;

        for (uint32_t i = CID_MIN; i <= CID_MAX; i++) {
                cid = cid < CID_MIN || cid >= CID_MAX ? CID_MIN : cid + 1;
                if (is_taken(pool, cid) || (is_free && !is_free(userdata, cid)))
                        continue;
                pool->taken[(cid - CID_MIN) / 64] |= UINT64_C(1) << ((cid - CID_MIN) % 64);
                pool->last = cid;
                *ret = cid;
                return 0;
        }
        return ID_POOL_E_EXHAUSTED;
}

/** id_pool_claim() - take @cid, which a VM of an earlier daemon has. Return: 0 or ID_POOL_E_TAKEN. */
int id_pool_claim(IdPool *pool, uint32_t cid) {
        assert(cid >= CID_MIN && cid <= CID_MAX);

        if (is_taken(pool, cid))
                return ID_POOL_E_TAKEN;
        pool->taken[(cid - CID_MIN) / 64] |= UINT64_C(1) << ((cid - CID_MIN) % 64);
        return 0;
}

/** id_pool_release() - give back a CID that was taken */
void id_pool_release(IdPool *pool, uint32_t cid) {
        assert(cid >= CID_MIN && cid <= CID_MAX && is_taken(pool, cid));

        pool->taken[(cid - CID_MIN) / 64] &= ~(UINT64_C(1) << ((cid - CID_MIN) % 64));
}
