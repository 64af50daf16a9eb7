/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32.h"

/** crc32_ieee() - CRC-32 of @data; bit by bit, which a few KiB at a time never notice */
uint32_t crc32_ieee(const void *data, size_t len) {
        const uint8_t *p = data;
        uint32_t crc = UINT32_MAX;

        for (size_t i = 0; i < len; i++) {
                crc ^= p[i];
                for (unsigned bit = 0; bit < 8; bit++)
                        crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
        }
        return ~crc;
}
