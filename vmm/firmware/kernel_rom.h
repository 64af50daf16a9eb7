/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * An option ROM for firmware that knows disks alone, as SeaBIOS does: a device to boot from that loads the kernel which
 * fw_cfg serves, and enters it by Linux's 16-bit boot protocol.
 */

/* Where it wants setup code and command line: both below the firmware's own memory. The setup code may use the room between
 * for its heap and stack. */
#define KERNEL_ROM_SETUP 0x10000
#define KERNEL_ROM_CMDLINE 0x20000

#define KERNEL_ROM_SIZE 512 /* a multiple of 512, as the ROM says itself */
#define KERNEL_ROM_PNP 0x20 /* the header that tells of the device, 32 bytes */

#ifndef __ASSEMBLER__
#include <stdint.h>

/* The name that SeaBIOS looks for, and what its list of boot devices calls it. */
#define KERNEL_ROM_FILE "genroms/kernel.rom"
#define KERNEL_ROM_DEVICE "/rom@" KERNEL_ROM_FILE

void kernel_rom_make(uint8_t ret[static KERNEL_ROM_SIZE]);
#endif
