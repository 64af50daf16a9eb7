/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Wide accesses to devices that are one byte wide, as an ISA bridge makes them: byte after byte, upwards. */

#include <stdint.h>

static inline uint64_t bus_bytes_read(void *device, uint64_t offset, unsigned size,
                                      uint8_t (*read)(void *device, unsigned offset)) {
        uint64_t value = 0;

        for (unsigned i = 0; i < size; i++)
                value |= (uint64_t) read(device, (unsigned) offset + i) << (i * 8);
        return value;
}

static inline void bus_bytes_write(void *device, uint64_t offset, unsigned size, uint64_t value,
                                   void (*write)(void *device, unsigned offset, uint8_t value)) {
        for (unsigned i = 0; i < size; i++)
                write(device, (unsigned) offset + i, (uint8_t) (value >> (i * 8)));
}
