/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Kernel, initrd and command line, for firmware that loads them. UEFI's takes their bytes and places them itself. What loads
 * them for a BIOS, the option ROM, asks for addresses as well, and enters the setup code as it got it: the setup header is
 * filled in here (Linux Documentation/arch/x86/boot.rst).
 */

#include <asm/bootparam.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/log.h"
#include "config/vm_config.h"
#include "vmm/boot/cmdline.h"
#include "vmm/boot/kernel.h"
#include "vmm/firmware/kernel_rom.h"
#include "vmm/machine/machine_internal.h"
#include "vmm/mem/memmap.h"

#define SECTOR 512u
#define SETUP_SECTORS_DEFAULT 4u /* what 0 means */
#define SETUP_SIZE_MAX 0x8000u   /* the other half of the room for it is heap and stack */
#define VERSION_MIN 0x0206u      /* Linux 2.6.22: the last field that is filled in or read here */
#define LOADER_UNDEFINED 0xffu

/* RAM below 4 GiB that the firmware keeps for its tables, at the end of it. SeaBIOS takes 256 KiB. */
#define FIRMWARE_RESERVED (UINT64_C(1) << 20)

/* The files, and what is known of them. */
typedef struct Served {
        ImageFile kernel, initrd;
        struct setup_header header; /* of a bzImage */
        uint64_t setup_size;        /* 0: it is none */
        char *cmdline;              /* owned */
} Served;

static void served_deinit(Served *served) {
        image_file_deinit(&served->kernel);
        image_file_deinit(&served->initrd);
        free(served->cmdline);
}

static int read_header(Served *served, TextError *reterr) {
        uint8_t head[BZIMAGE_HEAD_SIZE];
        unsigned sectors;
        int r;

        if (served->kernel.size < sizeof(head))
                return 0;
        r = image_file_read(&served->kernel, 0, head, sizeof(head), reterr);
        if (r < 0 || !bzimage_has_magic(head))
                return r;
        memcpy(&served->header, head + SETUP_HEADER_OFFSET, sizeof(served->header));
        sectors = served->header.setup_sects ? served->header.setup_sects : SETUP_SECTORS_DEFAULT;
        served->setup_size = (uint64_t) (sectors + 1) * SECTOR;
        if (served->setup_size > served->kernel.size)
                return text_error_set(reterr, -ENODATA, "the file is truncated");
        return 0;
}

static int open_files(const BootConfig *boot, Served *served, TextError *reterr) {
        int r;

        r = image_file_open(boot->kernel, &served->kernel, reterr);
        if (r >= 0)
                r = read_header(served, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "loading kernel %s", boot->kernel);
        if (boot->initrd) {
                r = image_file_open(boot->initrd, &served->initrd, reterr);
                if (r < 0)
                        return text_error_prefix(reterr, r, "loading initrd %s", boot->initrd);
        }
        return cmdline_build(boot, VM_PARAMS_MAX, &served->cmdline, reterr);
}

/* ---- for a BIOS ---- */

/* As high as kernel and firmware allow, and above what the kernel unpacks itself into. Return: false if nowhere. */
static bool place_initrd(const Served *served, const GuestMem *mem, gpa_t *ret) {
        const struct setup_header *header = &served->header;
        const GuestRegion *low = &mem->regions[0];
        const uint64_t kernel_end =
                MAX(MEMMAP_HIMEM_START + served->kernel.size - served->setup_size,
                    header->version >= 0x020a ? header->pref_address + header->init_size : 0);
        const uint64_t low_end = low->gpa + low->size_bytes;
        uint64_t end = low_end > FIRMWARE_RESERVED ? low_end - FIRMWARE_RESERVED : 0;

        end = MIN(end, (uint64_t) header->initrd_addr_max + 1);
        *ret = served->initrd.size <= end ? align_down(end - served->initrd.size, MEMMAP_PAGE_SIZE)
                                          : 0;
        return *ret >= kernel_end;
}

static bool fits_bios(const Served *served, const GuestMem *mem, gpa_t *ret_initrd) {
        if (served->setup_size == 0 || served->setup_size > SETUP_SIZE_MAX ||
            served->header.version < VERSION_MIN || !(served->header.loadflags & LOADED_HIGH)) {
                log_debug("the kernel is not for a BIOS to load");
                return false;
        }
        if (!place_initrd(served, mem, ret_initrd)) {
                log_warning(
                        "a BIOS cannot load the kernel: it and its initrd, %" PRIu64 " and %" PRIu64
                        " bytes, do not fit into the first %" PRIu64 " MiB of RAM",
                        served->kernel.size, served->initrd.size, mem->regions[0].size_bytes >> 20);
                return false;
        }
        return true;
}

static int serve_setup_filled_in(FwCfg *fw, Served *served, gpa_t initrd, TextError *reterr) {
        _cleanup_(freep) uint8_t *setup = malloc(served->setup_size);
        struct setup_header *header = &served->header;
        int r;

        if (!setup)
                return -ENOMEM;
        r = image_file_read(&served->kernel, 0, setup, served->setup_size, reterr);
        if (r < 0)
                return r;
        header->type_of_loader = LOADER_UNDEFINED;
        header->loadflags |= CAN_USE_HEAP;
        header->heap_end_ptr = KERNEL_ROM_CMDLINE - KERNEL_ROM_SETUP - SECTOR;
        header->ramdisk_image = (uint32_t) initrd;
        header->ramdisk_size = (uint32_t) served->initrd.size;
        header->cmd_line_ptr = KERNEL_ROM_CMDLINE;
        /* Only what every supported version has: behind it there may be code. */
        memcpy(setup + SETUP_HEADER_OFFSET, header,
               offsetof(struct setup_header, cmd_line_ptr) + sizeof(header->cmd_line_ptr));
        return fw_cfg_add(fw, FW_CFG_SETUP_DATA, setup, served->setup_size);
}

/* Return: as machine_serve_kernel(). */
static int serve_for_bios(FwCfg *fw, Served *served, gpa_t initrd, TextError *reterr) {
        const struct {
                unsigned key;
                uint64_t address;
        } addresses[] = {
                {FW_CFG_SETUP_ADDR, KERNEL_ROM_SETUP},
                {FW_CFG_CMDLINE_ADDR, KERNEL_ROM_CMDLINE},
                {FW_CFG_KERNEL_ADDR, MEMMAP_HIMEM_START},
                {FW_CFG_KERNEL_ENTRY, MEMMAP_HIMEM_START},
                {FW_CFG_INITRD_ADDR, initrd},
        };
        uint8_t rom[KERNEL_ROM_SIZE];
        int r;

        for (size_t i = 0; i < ELEMENTSOF(addresses); i++) {
                r = fw_cfg_add_number(fw, addresses[i].key, addresses[i].address, 4);
                if (r < 0)
                        return r;
        }
        r = serve_setup_filled_in(fw, served, initrd, reterr);
        if (r < 0)
                return r;
        kernel_rom_make(rom);
        return fw_cfg_add_file(fw, KERNEL_ROM_FILE, rom, sizeof(rom));
}

/* ---- for all ---- */

static int add_sized(FwCfg *fw, unsigned size_key, unsigned data_key, const ImageFile *file,
                     uint64_t offset, uint64_t size) {
        int r;

        if (size > UINT32_MAX)
                return -EFBIG;
        r = fw_cfg_add_number(fw, size_key, size, 4);
        return r < 0 ? r : fw_cfg_add_image(fw, data_key, file, offset, (uint32_t) size);
}

/* A bzImage is served in its two parts, anything else as one. */
static int serve_kernel(FwCfg *fw, Served *served, const GuestMem *mem, TextError *reterr) {
        const ImageFile *file = &served->kernel;
        gpa_t initrd = 0;
        int r;

        r = add_sized(fw, FW_CFG_KERNEL_SIZE, FW_CFG_KERNEL_DATA, file, served->setup_size,
                      file->size - served->setup_size);
        if (r < 0)
                return r;
        if (!fits_bios(served, mem, &initrd))
                return add_sized(fw, FW_CFG_SETUP_SIZE, FW_CFG_SETUP_DATA, file, 0,
                                 served->setup_size);
        r = fw_cfg_add_number(fw, FW_CFG_SETUP_SIZE, served->setup_size, 4);
        return r < 0 ? r : serve_for_bios(fw, served, initrd, reterr);
}

/**
 * machine_serve_kernel() - the items of fw_cfg that firmware loads @boot's kernel from
 *
 * Return: 0, or negative errno with a sentence that names the file.
 */
int machine_serve_kernel(FwCfg *fw, const BootConfig *boot, TextError *reterr) {
        _cleanup_(served_deinit) Served served = {0};
        int r;

        r = open_files(boot, &served, reterr);
        if (r < 0)
                return r;
        r = serve_kernel(fw, &served, boot->mem, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "loading kernel %s", boot->kernel);
        if (boot->initrd) {
                r = add_sized(fw, FW_CFG_INITRD_SIZE, FW_CFG_INITRD_DATA, &served.initrd, 0,
                              served.initrd.size);
                if (r < 0)
                        return text_error_prefix(reterr, r, "loading initrd %s", boot->initrd);
        }
        r = fw_cfg_add_number(fw, FW_CFG_CMDLINE_SIZE, strlen(served.cmdline) + 1, 4);
        return r < 0 ? r
                     : fw_cfg_add(fw, FW_CFG_CMDLINE_DATA, served.cmdline,
                                  strlen(served.cmdline) + 1);
}
