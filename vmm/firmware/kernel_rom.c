/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/firmware/kernel_rom.h"

#include <stddef.h>
#include <string.h>

#define PNP_SIZE 32u
#define PNP_CHECKSUM 9u

/* kernel_rom_code.S */
extern const uint8_t kernel_rom_code[KERNEL_ROM_SIZE];

/* What makes the sum of all bytes zero. */
static uint8_t checksum(const uint8_t *bytes, size_t len) {
        uint8_t sum = 0;

        for (size_t i = 0; i < len; i++)
                sum = (uint8_t) (sum + bytes[i]);
        return (uint8_t) -sum;
}

/** kernel_rom_make() - the ROM with its two checksums */
void kernel_rom_make(uint8_t ret[static KERNEL_ROM_SIZE]) {
        memcpy(ret, kernel_rom_code, KERNEL_ROM_SIZE);
        ret[KERNEL_ROM_PNP + PNP_CHECKSUM] = checksum(ret + KERNEL_ROM_PNP, PNP_SIZE);
        ret[KERNEL_ROM_SIZE - 1] = checksum(ret, KERNEL_ROM_SIZE);
}
