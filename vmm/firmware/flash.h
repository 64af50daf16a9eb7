/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Firmware in memory below 4 GiB: an image that is only read and executed, and a flash chip with Intel's command set
 * that keeps the firmware's variables in a file.
 */

#include <stdint.h>

#include "base/cleanup.h"
#include "base/text_error.h"
#include "vmm/hv/hv.h"
#include "vmm/mem/bus.h"
#include "vmm/mem/guest_mem.h"

#define FIRMWARE_SIZE_MAX                                                                          \
        (UINT64_C(8) << 20) /* of the image and of the flash, each; 4 GiB less 16 MiB stays free */

/* The image: bios.c. */
typedef struct BiosRom {
        uint8_t *bytes; /* owned mapping, @size bytes, read-only by now; NULL: none */
        uint64_t size;  /* page multiple */
} BiosRom;

int bios_rom_load(const char *path, GuestMem *mem, BiosRom *ret, TextError *reterr);
void bios_rom_deinit(BiosRom *rom);

/* The chip: pflash.c. */
typedef struct Pflash Pflash;

int pflash_new(const char *path, uint32_t block_size, gpa_t end, GuestMem *mem, Pflash **ret,
               TextError *reterr);
int pflash_connect(Pflash *flash, Bus *mmio, Partition *partition);
Pflash *pflash_free(Pflash *flash);
DEFINE_CLEANUP(Pflash *, pflash_free)
