/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The configuration device that firmware for virtual machines asks what machine it is on: numbered items and named
 * files, read byte by byte or by DMA (QEMU docs/specs/fw_cfg). Everything is read-only for the guest.
 *
 * Items are added while the board is built; afterwards only vCPU threads use the device, under its lock.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "vmm/boot/image_file.h"
#include "vmm/mem/bus.h"
#include "vmm/mem/guest_mem.h"

typedef struct FwCfg FwCfg;

#define FW_CFG_FILES_MAX 64u
#define FW_CFG_NAME_SIZE 56u /* with the terminator */

/* Items with numbers of their own. Sizes and numbers in them are little-endian. */
enum {
        FW_CFG_SIGNATURE = 0x00,
        FW_CFG_ID = 0x01,
        FW_CFG_UUID = 0x02,
        FW_CFG_RAM_SIZE = 0x03,    /* 8 bytes */
        FW_CFG_NB_CPUS = 0x05,     /* 2 bytes */
        FW_CFG_KERNEL_ADDR = 0x07, /* this and the other addresses: 4 bytes */
        FW_CFG_KERNEL_SIZE = 0x08,
        FW_CFG_INITRD_ADDR = 0x0a,
        FW_CFG_INITRD_SIZE = 0x0b,
        FW_CFG_BOOT_MENU = 0x0e,
        FW_CFG_MAX_CPUS = 0x0f,
        FW_CFG_KERNEL_ENTRY = 0x10,
        FW_CFG_KERNEL_DATA = 0x11,
        FW_CFG_INITRD_DATA = 0x12,
        FW_CFG_CMDLINE_ADDR = 0x13,
        FW_CFG_CMDLINE_SIZE = 0x14,
        FW_CFG_CMDLINE_DATA = 0x15,
        FW_CFG_SETUP_ADDR = 0x16,
        FW_CFG_SETUP_SIZE = 0x17,
        FW_CFG_SETUP_DATA = 0x18,
        FW_CFG_FILE_DIR = 0x19,
        FW_CFG_FILE_FIRST = 0x20,
        FW_CFG_IRQ0_OVERRIDE = 0x8002,
};

int fw_cfg_new(Bus *pio, const GuestMem *mem, FwCfg **ret);
FwCfg *fw_cfg_free(FwCfg *fw);
DEFINE_CLEANUP(FwCfg *, fw_cfg_free)

int fw_cfg_add(FwCfg *fw, unsigned key, const void *data, size_t size);
int fw_cfg_add_number(FwCfg *fw, unsigned key, uint64_t value, unsigned size);
int fw_cfg_add_image(FwCfg *fw, unsigned key, const ImageFile *image, uint64_t offset,
                     uint32_t size);
int fw_cfg_add_file(FwCfg *fw, const char *name, const void *data, size_t size);
int fw_cfg_add_file_image(FwCfg *fw, const char *name, const ImageFile *image);
int fw_cfg_add_file_late(FwCfg *fw, const char *name, size_t size,
                         void (*fill)(void *userdata, uint8_t *data, size_t size), void *userdata);
