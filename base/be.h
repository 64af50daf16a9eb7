/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Big-endian loads and stores at any alignment. */

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t be16_load(const void *p) {
        uint16_t v;

        memcpy(&v, p, sizeof(v));
        return be16toh(v);
}

static inline uint32_t be32_load(const void *p) {
        uint32_t v;

        memcpy(&v, p, sizeof(v));
        return be32toh(v);
}

static inline uint64_t be64_load(const void *p) {
        uint64_t v;

        memcpy(&v, p, sizeof(v));
        return be64toh(v);
}

static inline void be16_store(void *p, uint16_t v) {
        v = htobe16(v);
        memcpy(p, &v, sizeof(v));
}

static inline void be32_store(void *p, uint32_t v) {
        v = htobe32(v);
        memcpy(p, &v, sizeof(v));
}

static inline void be64_store(void *p, uint64_t v) {
        v = htobe64(v);
        memcpy(p, &v, sizeof(v));
}
