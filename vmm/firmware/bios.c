/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "vmm/boot/image_file.h"
#include "vmm/firmware/flash.h"
#include "vmm/mem/memmap.h"

static int map_image(const ImageFile *file, BiosRom *rom, TextError *reterr) {
        void *bytes;
        int r;

        if (file->size > FIRMWARE_SIZE_MAX || file->size % MEMMAP_PAGE_SIZE != 0)
                return text_error_set(reterr, -EINVAL,
                                      "it has %" PRIu64
                                      " bytes, and firmware is a multiple of 4096 "
                                      "bytes and at most %" PRIu64 " MiB",
                                      file->size, FIRMWARE_SIZE_MAX >> 20);
        bytes = mmap(NULL, file->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (bytes == MAP_FAILED)
                return -errno;
        rom->bytes = bytes;
        rom->size = file->size;
        r = image_file_read(file, 0, bytes, file->size, reterr);
        if (r < 0)
                return r;
        return mprotect(bytes, file->size, PROT_READ) < 0 ? -errno : 0;
}

/*
 * The end of the image as it appears below 1 MiB, where programs for real mode expect it. There it is a copy in RAM
 * that may be written at once: the host bridge's registers that would protect it are kept and have no effect.
 */
static int shadow(const BiosRom *rom, const GuestMem *mem) {
        const uint64_t size = MIN(rom->size, MEMMAP_SHADOW_SIZE);

        return guest_mem_write(mem, MEMMAP_HIMEM_START - size, rom->bytes + rom->size - size,
                               (size_t) size);
}

/**
 * bios_rom_load() - read the firmware image and let the guest see it, ending at 4 GiB
 * @mem: gets the ROM; before the partition is built
 * @ret: set also on failure; release with bios_rom_deinit() after the partition
 *
 * Return: 0, or negative errno with a sentence that names the file.
 */
int bios_rom_load(const char *path, GuestMem *mem, BiosRom *ret, TextError *reterr) {
        _cleanup_(image_file_deinit) ImageFile file = {0};
        unsigned index;
        int r;

        *ret = (BiosRom){0};
        r = image_file_open(path, &file, reterr);
        if (r >= 0)
                r = map_image(&file, ret, reterr);
        if (r >= 0)
                r = guest_mem_add_rom(mem, MEMMAP_HIGH_RAM_BASE - ret->size, ret->bytes, ret->size,
                                      &index);
        if (r >= 0)
                r = shadow(ret, mem);
        return r < 0 ? text_error_prefix(reterr, r, "loading firmware %s", path) : 0;
}

/** bios_rom_deinit() - unmap; an empty one is left alone */
void bios_rom_deinit(BiosRom *rom) {
        if (rom->bytes)
                (void) munmap(rom->bytes, rom->size);
        *rom = (BiosRom){0};
}
