/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/boot/multiboot.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/le.h"
#include "vmm/boot/e820.h"
#include "vmm/boot/entry.h"
#include "vmm/mem/memmap.h"

#define MULTIBOOT_HEADER_MAGIC 0x1badb002u
#define MULTIBOOT_LOADER_MAGIC 0x2badb002u
#define MULTIBOOT_SEARCH 8192u /* the header lies within so many bytes of the file */
#define MULTIBOOT_REQUIRED                                                                         \
        0xffffu /* of the header's flags: an unknown one of these must not be ignored */
#define MULTIBOOT_PAGE_ALIGN 0x1u /* modules begin on pages: ours always do */
#define MULTIBOOT_WANTS_MEMORY 0x2u

#define INFO_MEMORY 0x1u
#define INFO_CMDLINE 0x4u
#define INFO_MODULES 0x8u
#define INFO_MMAP 0x40u

/* "Boot information format", section 3.3, up to what is filled in. */
typedef struct MultibootInfo {
        uint32_t flags;
        uint32_t mem_lower, mem_upper; /* KiB from 0 and from 1 MiB */
        uint32_t boot_device;
        uint32_t cmdline;
        uint32_t mods_count, mods_addr;
        uint32_t syms[4];
        uint32_t mmap_length, mmap_addr;
        uint32_t unused[9];
} MultibootInfo;

typedef struct MultibootModule {
        uint32_t start, end, string, reserved;
} MultibootModule;

typedef struct __attribute__((packed)) MultibootMmap {
        uint32_t size; /* of what follows */
        uint64_t base, length;
        uint32_t type;
} MultibootMmap;

/* What lies at MEMMAP_MULTIBOOT_INFO. */
typedef struct MultibootPage {
        MultibootInfo info;
        MultibootModule module;
        MultibootMmap mmap[E820_ENTRIES_MAX];
} MultibootPage;

/** multiboot_has_magic() - whether @head begins a 32-bit ELF, which only this protocol boots */
bool multiboot_has_magic(const uint8_t head[static BZIMAGE_HEAD_SIZE]) {
        return elf_has_magic(head) && head[EI_CLASS] == ELFCLASS32;
}

static int find_header(const uint8_t *head, size_t len, uint32_t *ret_flags, TextError *reterr) {
        for (size_t at = 0; at + 12 <= MIN(len, (size_t) MULTIBOOT_SEARCH); at += 4) {
                const uint32_t magic = le32_load(head + at), flags = le32_load(head + at + 4);

                if (magic == MULTIBOOT_HEADER_MAGIC &&
                    (uint32_t) (magic + flags + le32_load(head + at + 8)) == 0) {
                        *ret_flags = flags;
                        return 0;
                }
        }
        return text_error_set(reterr, -ENOEXEC, "the 32-bit ELF file has no multiboot header");
}

static int check_headers(const Elf32_Ehdr *header, uint32_t flags, TextError *reterr) {
        const uint32_t unknown =
                flags & MULTIBOOT_REQUIRED & ~(MULTIBOOT_PAGE_ALIGN | MULTIBOOT_WANTS_MEMORY);

        if (unknown)
                return text_error_set(reterr, -ENOEXEC,
                                      "its multiboot header asks for unsupported features 0x%x",
                                      unknown);
        if (header->e_ident[EI_DATA] != ELFDATA2LSB || header->e_machine != EM_386 ||
            header->e_type != ET_EXEC)
                return text_error_set(reterr, -ENOEXEC,
                                      "the 32-bit ELF file is not an i386 executable");
        if (header->e_phentsize != sizeof(Elf32_Phdr) || header->e_phnum == 0)
                return text_error_set(reterr, -ENOEXEC, "the ELF file has no program headers");
        return 0;
}

/* Test programs for real mode live in low memory; all of it is theirs but the boot information and the tables. */
static int check_place(const Elf32_Phdr *phdr, const GuestMem *mem, TextError *reterr) {
        const uint64_t end = (uint64_t) phdr->p_paddr + phdr->p_memsz;
        const bool low = end <= MEMMAP_MULTIBOOT_INFO, high = phdr->p_paddr >= MEMMAP_HIMEM_START;

        if (phdr->p_filesz > phdr->p_memsz)
                return text_error_set(reterr, -ENOEXEC, "an ELF segment has contradictory sizes");
        if (!low && !high)
                return text_error_set(reterr, -ENOEXEC,
                                      "an ELF segment at 0x%" PRIx32
                                      " is where boot information and tables are",
                                      phdr->p_paddr);
        if (!guest_mem_ptr(mem, phdr->p_paddr, phdr->p_memsz))
                return text_error_set(reterr, -EFBIG,
                                      "the kernel needs %" PRIu32 " bytes at address 0x%" PRIx32
                                      ", which are not all inside the %" PRIu64 " MiB of RAM",
                                      phdr->p_memsz, phdr->p_paddr, mem->size_bytes >> 20);
        return 0;
}

static int load_segment(const ImageFile *file, const Elf32_Phdr *phdr, const GuestMem *mem,
                        LoadedKernel *kernel, TextError *reterr) {
        int r;

        if (phdr->p_type != PT_LOAD || phdr->p_memsz == 0)
                return 0;
        r = check_place(phdr, mem, reterr);
        if (r < 0)
                return r;
        kernel->end = MAX(kernel->end, (gpa_t) phdr->p_paddr + phdr->p_memsz);
        if (phdr->p_filesz == 0)
                return 0;
        return image_file_load(file, phdr->p_offset, phdr->p_filesz, mem, phdr->p_paddr, reterr);
}

static int load_segments(const ImageFile *file, const uint8_t *head, size_t len,
                         const Elf32_Ehdr *header, const GuestMem *mem, LoadedKernel *kernel,
                         TextError *reterr) {
        if (!range_within(header->e_phoff, header->e_phnum * sizeof(Elf32_Phdr), len))
                return text_error_set(reterr, -ENOEXEC,
                                      "the ELF program headers are not in the first %u bytes",
                                      ELF_HEAD_MAX);
        for (unsigned i = 0; i < header->e_phnum; i++) {
                Elf32_Phdr phdr;
                int r;

                memcpy(&phdr, head + header->e_phoff + i * sizeof(phdr), sizeof(phdr));
                r = load_segment(file, &phdr, mem, kernel, reterr);
                if (r < 0)
                        return r;
        }
        return 0;
}

/**
 * multiboot_load() - load a multiboot ELF image from @file into guest RAM
 * @mem: fresh guest RAM, all zero
 *
 * The entry point is a 32-bit one, somewhere in RAM; what is there is the guest's business.
 *
 * Return: 0; -ENOEXEC for what is not such an image, or asks for what is not offered; -EFBIG when RAM is too small;
 * -ENODATA for a truncated file; other negative errno.
 */
int multiboot_load(const ImageFile *file, const GuestMem *mem, LoadedKernel *ret,
                   TextError *reterr) {
        _cleanup_(freep) uint8_t *head = malloc(ELF_HEAD_MAX);
        const size_t len = (size_t) MIN(file->size, (uint64_t) ELF_HEAD_MAX);
        LoadedKernel kernel = {
                .end = MEMMAP_HIMEM_START,
                .initrd_addr_max = MEMMAP_LOW_RAM_END - 1,
                .cmdline_max = MEMMAP_MULTIBOOT_CMDLINE_SIZE - 1,
                .unpacked = true,
                .protocol = KERNEL_MULTIBOOT,
        };
        Elf32_Ehdr header;
        uint32_t flags = 0;
        int r;

        if (!head)
                return -ENOMEM;
        if (len < sizeof(header))
                return text_error_set(reterr, -ENOEXEC, "the ELF header is truncated");
        r = image_file_read(file, 0, head, len, reterr);
        if (r < 0)
                return r;
        r = find_header(head, len, &flags, reterr);
        if (r < 0)
                return r;
        memcpy(&header, head, sizeof(header));
        r = check_headers(&header, flags, reterr);
        if (r < 0)
                return r;
        kernel.entry = header.e_entry;
        if (!guest_mem_ptr(mem, kernel.entry, 1))
                return text_error_set(reterr, -ENOEXEC,
                                      "the ELF entry point 0x%" PRIx64 " is not in RAM",
                                      kernel.entry);
        r = load_segments(file, head, len, &header, mem, &kernel, reterr);
        if (r < 0)
                return r;
        *ret = kernel;
        return 0;
}

/**
 * multiboot_cmdline() - the image's name and the owner's words behind it, joined with spaces
 *
 * Nothing is added that only Linux understands.
 *
 * Return: 0; -E2BIG when it is too long; -ENOMEM.
 */
int multiboot_cmdline(const BootConfig *config, char **ret, TextError *reterr) {
        _cleanup_(strbuf_deinit) StrBuf line = {0};

        strbuf_append(&line, config->kernel);
        for (size_t i = 0; config->params && i < config->params->n; i++)
                strbuf_printf(&line, " %s", config->params->items[i]);
        if (line.len >= MEMMAP_MULTIBOOT_CMDLINE_SIZE)
                return text_error_set(reterr, -E2BIG, "the command line is too long: %zu bytes",
                                      line.len);
        return strbuf_finish(&line, ret);
}

static void fill_info(MultibootPage *page, const GuestMem *mem, const Initrd *initrd) {
        E820Entry entries[E820_ENTRIES_MAX];
        const size_t n = e820_build(mem, entries);

        for (size_t i = 0; i < n; i++)
                page->mmap[i] = (MultibootMmap){.size = sizeof(page->mmap[i]) - 4,
                                                .base = entries[i].gpa,
                                                .length = entries[i].size,
                                                .type = entries[i].type};
        page->info = (MultibootInfo){
                .flags = INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MMAP,
                .mem_lower = MEMMAP_EBDA_START >> 10,
                .mem_upper = (uint32_t) ((mem->regions[0].size_bytes - MEMMAP_HIMEM_START) >> 10),
                .cmdline = MEMMAP_MULTIBOOT_CMDLINE,
                .mods_addr = MEMMAP_MULTIBOOT_INFO + offsetof(MultibootPage, module),
                .mmap_length = (uint32_t) (n * sizeof(page->mmap[0])),
                .mmap_addr = MEMMAP_MULTIBOOT_INFO + offsetof(MultibootPage, mmap),
        };
        if (initrd->size > 0) {
                page->info.mods_count = 1;
                page->module.start = (uint32_t) initrd->gpa;
                page->module.end = (uint32_t) initrd->gpa + initrd->size;
                page->module.string = MEMMAP_MULTIBOOT_CMDLINE;
        }
}

/**
 * multiboot_prepare() - write the boot information and say how the boot processor starts
 * @cmdline: shorter than MEMMAP_MULTIBOOT_CMDLINE_SIZE
 *
 * Return: 0, or -EFAULT when RAM has no first MiB.
 */
int multiboot_prepare(const GuestMem *mem, const LoadedKernel *kernel, const Initrd *initrd,
                      const char *cmdline, BootEntry *ret) {
        MultibootPage page = {0};
        int r;

        fill_info(&page, mem, initrd);
        r = guest_mem_write(mem, MEMMAP_MULTIBOOT_INFO, &page, sizeof(page));
        if (r < 0)
                return r;
        r = guest_mem_write(mem, MEMMAP_MULTIBOOT_CMDLINE, cmdline, strlen(cmdline) + 1);
        if (r < 0)
                return r;
        entry_set_protected(kernel->entry, ret); /* "Machine state", section 3.2 */
        ret->registers.rax = MULTIBOOT_LOADER_MAGIC;
        ret->registers.rbx = MEMMAP_MULTIBOOT_INFO;
        return 0;
}
