/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Linux bzImage (Documentation/arch/x86/boot.rst): real-mode setup code, then a 64-bit stub with the packed kernel
 * inside. The host is faster at unpacking than the guest's stub, so the packed kernel, an ELF, is unpacked to where
 * its segments belong and entered directly. That skips what else the stub does: choosing a random address for the
 * kernel (KASLR) and moving to 5-level page tables. What the host cannot unpack is left to the stub.
 */

#include <asm/bootparam.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/le.h"
#include "base/log.h"
#include "vmm/boot/elf.h"
#include "vmm/boot/kernel.h"
#include "vmm/boot/unpack.h"
#include "vmm/mem/memmap.h"

#define BZIMAGE_BOOT_FLAG 0xaa55u
#define BZIMAGE_HEADER_MAGIC 0x53726448u /* "HdrS" */
#define BZIMAGE_VERSION_MIN 0x020cu      /* 2.12, Linux 3.8: xloadflags and the 64-bit entry */
#define BZIMAGE_SECTOR 512u
#define BZIMAGE_SETUP_SECTORS_DEFAULT 4u /* what 0 means */
#define BZIMAGE_ENTRY_64 0x200u          /* of the 64-bit stub, from its start */

/* Kernel builds append the unpacked size to the packed data; in gzip's own format it is the last word anyway. */
#define BZIMAGE_SIZE_TRAILER 4u

/* The setup header after validation. All offsets are in the file, and all ranges lie inside it. */
typedef struct BzImage {
        uint8_t raw_header[SETUP_HEADER_SIZE_MAX]; /* as in the file, read once */
        size_t header_size;
        struct setup_header header; /* the part of it that we know */
        uint64_t stub_offset, stub_size;
        uint64_t payload_offset, payload_size; /* size 0: none is declared */
} BzImage;

/* The packed kernel, after a look at its first and last bytes. */
typedef struct BzPayload {
        UnpackFormat format;
        uint64_t packed_size; /* without the trailer that is not part of the format */
        uint32_t size;        /* declared size of the unpacked kernel */
} BzPayload;

/** bzimage_has_magic() - whether a file starting with @head has a setup header */
bool bzimage_has_magic(const uint8_t head[static BZIMAGE_HEAD_SIZE]) {
        return le16_load(head + 0x1fe) == BZIMAGE_BOOT_FLAG &&
               le32_load(head + 0x202) == BZIMAGE_HEADER_MAGIC;
}

static int bzimage_check_protocol(const struct setup_header *header, TextError *reterr) {
        if (header->version < BZIMAGE_VERSION_MIN)
                return text_error_set(reterr, -ENOEXEC,
                                      "its boot protocol %u.%02u is older than 2.12",
                                      header->version >> 8, header->version & 0xffu);
        if (!(header->loadflags & LOADED_HIGH))
                return text_error_set(reterr, -ENOEXEC, "it is a zImage, which loads below 1 MiB");
        if (!(header->xloadflags & XLF_KERNEL_64))
                return text_error_set(reterr, -ENOEXEC, "it has no 64-bit entry point");
        return 0;
}

/* The stub runs at its preferred address and needs init_size bytes there, more than it has in the file. */
static int bzimage_check_room(const BzImage *image, const GuestMem *mem, TextError *reterr) {
        const struct setup_header *header = &image->header;

        if (header->pref_address < MEMMAP_HIMEM_START ||
            header->pref_address >= MEMMAP_HIGH_RAM_BASE)
                return text_error_set(reterr, -ENOEXEC,
                                      "it wants to be loaded at 0x%" PRIx64
                                      ", not between 1 MiB and 4 GiB",
                                      (uint64_t) header->pref_address);
        if (header->init_size < image->stub_size)
                return text_error_set(reterr, -ENOEXEC,
                                      "its header declares less room than it is large");
        if (!guest_mem_ptr(mem, header->pref_address, header->init_size))
                return text_error_set(reterr, -EFBIG,
                                      "the kernel needs %u MiB from address 0x%" PRIx64
                                      " on to start, the VM has %" PRIu64 " MiB of RAM",
                                      (header->init_size >> 20) + 1,
                                      (uint64_t) header->pref_address, mem->size_bytes >> 20);
        return 0;
}

static int bzimage_find_stub(BzImage *image, const ImageFile *file, TextError *reterr) {
        unsigned sectors = image->header.setup_sects;

        if (sectors == 0)
                sectors = BZIMAGE_SETUP_SECTORS_DEFAULT;
        image->stub_offset = (uint64_t) (sectors + 1) * BZIMAGE_SECTOR;
        image->stub_size = (uint64_t) image->header.syssize * 16;
        if (image->stub_size <= BZIMAGE_ENTRY_64)
                return text_error_set(reterr, -ENOEXEC, "its header declares no kernel");
        /* syssize is rounded up to 16 bytes, so that up to 15 of them need not exist. */
        if (!range_within(image->stub_offset, image->stub_size - 15, file->size))
                return text_error_set(reterr, -ENODATA,
                                      "the file is truncated: its header declares %" PRIu64
                                      " bytes, it has %" PRIu64,
                                      image->stub_offset + image->stub_size, file->size);
        image->stub_size = MIN(image->stub_size, file->size - image->stub_offset);
        return 0;
}

static int bzimage_find_payload(BzImage *image, TextError *reterr) {
        uint64_t offset = image->header.payload_offset, size = image->header.payload_length;

        if (size == 0)
                return 0;
        if (!range_within(offset, size, image->stub_size) || size <= BZIMAGE_SIZE_TRAILER ||
            size < UNPACK_MAGIC_SIZE)
                return text_error_set(reterr, -ENOEXEC,
                                      "its header puts the packed kernel outside the image");
        image->payload_offset = image->stub_offset + offset;
        image->payload_size = size;
        return 0;
}

static int bzimage_parse(const ImageFile *file, const GuestMem *mem, BzImage *ret,
                         TextError *reterr) {
        uint8_t head[BZIMAGE_HEAD_SIZE];
        BzImage image = {0};
        int r;

        r = image_file_read(file, 0, head, sizeof(head), reterr);
        if (r < 0)
                return r;
        /* The jump over the header says where it ends: newer headers are longer than the one we know. */
        image.header_size = MIN(0x202u + head[0x201] - SETUP_HEADER_OFFSET, SETUP_HEADER_SIZE_MAX);
        memcpy(image.raw_header, head + SETUP_HEADER_OFFSET, image.header_size);
        memcpy(&image.header, image.raw_header, MIN(image.header_size, sizeof(image.header)));

        r = bzimage_check_protocol(&image.header, reterr);
        if (r < 0)
                return r;
        r = bzimage_find_stub(&image, file, reterr);
        if (r < 0)
                return r;
        r = bzimage_find_payload(&image, reterr);
        if (r < 0)
                return r;
        r = bzimage_check_room(&image, mem, reterr);
        if (r < 0)
                return r;
        *ret = image;
        return 0;
}

static int bzimage_sniff_payload(const BzImage *image, const ImageFile *file, BzPayload *ret,
                                 TextError *reterr) {
        uint8_t magic[UNPACK_MAGIC_SIZE], trailer[BZIMAGE_SIZE_TRAILER];
        int r;

        r = image_file_read(file, image->payload_offset, magic, sizeof(magic), reterr);
        if (r < 0)
                return r;
        r = image_file_read(file, image->payload_offset + image->payload_size - sizeof(trailer),
                            trailer, sizeof(trailer), reterr);
        if (r < 0)
                return r;
        *ret = (BzPayload){
                .format = unpack_sniff(magic),
                .size = le32_load(trailer),
                .packed_size = image->payload_size,
        };
        if (ret->format != UNPACK_FORMAT_GZIP)
                ret->packed_size -= sizeof(trailer);
        return 0;
}

/*
 * The unpacker works in guest RAM above the kernel, where nothing is yet, and gives the pages back: they would count
 * as the VMM's own memory otherwise, several times all else that it has.
 */
static gpa_t bzimage_find_scratch(const BzImage *image, const GuestMem *mem, uint64_t size) {
        const GuestRegion *low = &mem->regions[0];
        uint64_t kernel_end = image->header.pref_address + image->header.init_size;

        if (size == 0 || size > low->size_bytes)
                return 0;
        size = align_down(low->gpa + low->size_bytes - size, MEMMAP_PAGE_SIZE);
        return size >= kernel_end ? size : 0;
}

static int bzimage_unpack(const BzImage *image, const ImageFile *file, const GuestMem *mem,
                          const BzPayload *payload, ElfImage *ret, TextError *reterr) {
        _cleanup_(freep) ElfStream *stream = malloc(sizeof(*stream));
        uint64_t size, scratch_size = unpack_scratch_size(payload->format);
        gpa_t scratch = bzimage_find_scratch(image, mem, scratch_size);
        UnpackSink sink;
        int r;

        if (!stream)
                return -ENOMEM;
        if (payload->size > mem->size_bytes)
                return text_error_set(reterr, -EFBIG,
                                      "the kernel unpacks to %" PRIu32 " MiB, the VM has %" PRIu64
                                      " MiB of RAM",
                                      payload->size >> 20, mem->size_bytes >> 20);
        elf_stream_init(stream, mem, image->header.pref_address + image->header.init_size, reterr);
        sink = elf_stream_sink(stream);
        r = unpack(&(UnpackConfig){.file = file,
                                   .offset = image->payload_offset,
                                   .len = payload->packed_size,
                                   .format = payload->format,
                                   .size_max = payload->size,
                                   .scratch = scratch ? guest_mem_ptr(mem, scratch, scratch_size)
                                                      : NULL,
                                   .sink = &sink},
                   &size, reterr);
        if (scratch)
                guest_mem_discard(mem, scratch, scratch_size);
        if (r < 0)
                return r;
        return elf_stream_finish(stream, ret);
}

/* Return: 1 when the kernel proper is in place; 0 when the stub has to do it; negative errno when that is hopeless. */
static int bzimage_load_payload(const BzImage *image, const ImageFile *file, const GuestMem *mem,
                                LoadedKernel *kernel, TextError *reterr) {
        _cleanup_(text_error_deinit) TextError why = {0};
        BzPayload payload = {0};
        ElfImage elf = {0};
        int r;

        if (image->payload_size == 0)
                return 0;
        r = bzimage_sniff_payload(image, file, &payload, reterr);
        if (r < 0)
                return r;
        if (payload.format == UNPACK_FORMAT_UNKNOWN) {
                log_debug("kernel is packed in a format unknown here; its own stub unpacks it");
                return 0;
        }
        r = bzimage_unpack(image, file, mem, &payload, &elf, &why);
        if (r == -ENOEXEC || r == -EOPNOTSUPP) {
                log_debug("kernel's own stub unpacks it, as the host cannot: %s",
                          text_error_message(&why, r));
                return 0;
        }
        if (r < 0)
                return text_error_set(reterr, r, "%s", text_error_message(&why, r));
        log_debug("kernel unpacked from %s: %" PRIu64 " to %" PRIu32 " bytes",
                  unpack_format_name(payload.format), payload.packed_size, payload.size);
        kernel->entry = elf.entry;
        kernel->end = MAX(kernel->end, elf.end);
        kernel->unpacked = true;
        return 1;
}

/**
 * bzimage_load() - place a bzImage in guest RAM, unpacked where the host can
 * @file: bzimage_has_magic() is true for its head
 * @mem:  fresh guest RAM, all zero
 *
 * Return: as boot_kernel_load().
 */
int bzimage_load(const ImageFile *file, const GuestMem *mem, LoadedKernel *ret, TextError *reterr) {
        LoadedKernel kernel = {0};
        BzImage image = {0};
        int r;

        r = bzimage_parse(file, mem, &image, reterr);
        if (r < 0)
                return r;
        kernel = (LoadedKernel){
                .entry = image.header.pref_address + BZIMAGE_ENTRY_64,
                .end = image.header.pref_address + image.header.init_size,
                .initrd_addr_max = image.header.initrd_addr_max,
                .cmdline_max = image.header.cmdline_size,
                .setup_header_size = image.header_size,
        };
        memcpy(kernel.setup_header, image.raw_header, image.header_size);

        r = bzimage_load_payload(&image, file, mem, &kernel, reterr);
        if (r < 0)
                return r;
        if (r == 0) {
                r = image_file_load(file, image.stub_offset, image.stub_size, mem,
                                    image.header.pref_address, reterr);
                if (r < 0)
                        return r;
        }
        *ret = kernel;
        return 0;
}
