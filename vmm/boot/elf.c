/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/boot/elf.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "vmm/mem/memmap.h"

#define ELF_NOTES_MAX 4096u /* more notes than this are not searched for the PVH entry */

/** elf_has_magic() - whether a file starting with @magic calls itself an ELF */
bool elf_has_magic(const uint8_t magic[static ELF_MAGIC_SIZE]) {
        return memcmp(magic, ELFMAG, SELFMAG) == 0;
}

static int elf_check_header(const Elf64_Ehdr *header, TextError *reterr) {
        if (!elf_has_magic(header->e_ident))
                return text_error_set(reterr, -ENOEXEC, "it is not an ELF file");
        if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
            header->e_machine != EM_X86_64)
                return text_error_set(reterr, -ENOEXEC, "the ELF file is not for x86-64");
        if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
                return text_error_set(reterr, -ENOEXEC, "the ELF file is not an executable");
        if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0)
                return text_error_set(reterr, -ENOEXEC, "the ELF file has no program headers");
        return 0;
}

static int elf_check_segment(const ElfSegment *segment, const GuestMem *mem, TextError *reterr) {
        uint64_t file_end;

        if (segment->file_size > segment->mem_size ||
            !ADD_CHECKED(segment->file_offset, segment->file_size, &file_end))
                return text_error_set(reterr, -ENOEXEC, "an ELF segment has contradictory sizes");
        if (segment->gpa < MEMMAP_HIMEM_START)
                return text_error_set(reterr, -ENOEXEC,
                                      "an ELF segment at 0x%" PRIx64
                                      " is below 1 MiB, where the boot parameters are",
                                      segment->gpa);
        if (segment->gpa >= MEMMAP_HIGH_RAM_BASE)
                return text_error_set(reterr, -ENOEXEC,
                                      "an ELF segment at 0x%" PRIx64
                                      " is above 4 GiB, which is not mapped at entry",
                                      segment->gpa);
        if (!guest_mem_ptr(mem, segment->gpa, segment->mem_size))
                return text_error_set(reterr, -EFBIG,
                                      "the kernel needs %" PRIu64 " bytes at address 0x%" PRIx64
                                      ", which are not all inside the %" PRIu64 " MiB of RAM",
                                      segment->mem_size, segment->gpa, mem->size_bytes >> 20);
        return 0;
}

static int elf_compare_segments(const void *a, const void *b) {
        const ElfSegment *x = a, *y = b;

        if (x->file_offset != y->file_offset)
                return x->file_offset < y->file_offset ? -1 : 1;
        return x->file_size < y->file_size ? -1
                                           : x->file_size > y->file_size; /* empty ones first */
}

/* Sorted and disjoint in the file, so that a stream can be cut up with one cursor. */
static int elf_order_segments(ElfImage *image, TextError *reterr) {
        qsort(image->segments, image->n_segments, sizeof(image->segments[0]), elf_compare_segments);
        for (unsigned i = 1; i < image->n_segments; i++) {
                const ElfSegment *before = &image->segments[i - 1];

                if (before->file_offset + before->file_size > image->segments[i].file_offset)
                        return text_error_set(reterr, -ENOEXEC, "ELF segments overlap in the file");
        }
        return 0;
}

static int elf_add_segment(ElfImage *image, const Elf64_Phdr *phdr, const GuestMem *mem,
                           TextError *reterr) {
        ElfSegment segment = {
                .file_offset = phdr->p_filesz > 0 ? phdr->p_offset : 0,
                .file_size = phdr->p_filesz,
                .gpa = phdr->p_paddr,
                .mem_size = phdr->p_memsz,
        };
        int r;

        if (segment.mem_size == 0 && segment.file_size == 0)
                return 0;
        r = elf_check_segment(&segment, mem, reterr);
        if (r < 0)
                return r;
        if (image->n_segments == ELF_SEGMENTS_MAX)
                return text_error_set(reterr, -ENOEXEC, "the ELF file has more than %u segments",
                                      ELF_SEGMENTS_MAX);
        image->segments[image->n_segments++] = segment;
        image->end = MAX(image->end, segment.gpa + segment.mem_size);
        return 0;
}

/** elf_has_code_at() - whether the byte at @gpa comes from the file */
bool elf_has_code_at(const ElfImage *image, gpa_t gpa) {
        for (unsigned i = 0; i < image->n_segments; i++)
                if (gpa >= image->segments[i].gpa &&
                    gpa - image->segments[i].gpa < image->segments[i].file_size)
                        return true;
        return false;
}

/** elf_entry_error() - -ENOEXEC and the sentence for an entry point where elf_has_code_at() finds none */
int elf_entry_error(const ElfImage *image, TextError *reterr) {
        return text_error_set(reterr, -ENOEXEC,
                              "the ELF entry point 0x%" PRIx64
                              " is not the physical address of loaded code",
                              image->entry);
}

/* Bytes from the start of the file to the end of the program headers; @len bytes of it are at hand. */
static int elf_head_size(const void *head, size_t len, size_t *ret, TextError *reterr) {
        Elf64_Ehdr header;
        uint64_t end;
        int r;

        if (len < sizeof(header))
                return text_error_set(reterr, -ENOEXEC, "the ELF header is truncated");
        memcpy(&header, head, sizeof(header));
        r = elf_check_header(&header, reterr);
        if (r < 0)
                return r;
        if (!ADD_CHECKED(header.e_phoff, header.e_phnum * sizeof(Elf64_Phdr), &end) ||
            end > ELF_HEAD_MAX)
                return text_error_set(reterr, -ENOEXEC,
                                      "the ELF program headers are not in the first %u bytes",
                                      ELF_HEAD_MAX);
        *ret = (size_t) end;
        return 0;
}

/**
 * elf_parse() - check the headers of an ELF kernel and list what to load
 * @head, @len: the file's first bytes, up to ELF_HEAD_MAX of them
 * @mem:        every segment lies inside its RAM, above the first MiB
 *
 * Return: 0; -ENOEXEC for what is not a loadable x86-64 kernel; -EFBIG when RAM is too small for it.
 */
int elf_parse(const void *head, size_t len, const GuestMem *mem, ElfImage *ret, TextError *reterr) {
        Elf64_Ehdr header;
        ElfImage image = {0};
        size_t head_size = 0;
        int r;

        r = elf_head_size(head, len, &head_size, reterr);
        if (r < 0)
                return r;
        if (head_size > len)
                return text_error_set(reterr, -ENOEXEC, "the ELF program headers are truncated");
        memcpy(&header, head, sizeof(header));
        image.entry = header.e_entry;

        for (unsigned i = 0; i < header.e_phnum; i++) {
                Elf64_Phdr phdr;

                memcpy(&phdr, (const uint8_t *) head + header.e_phoff + i * sizeof(phdr),
                       sizeof(phdr));
                if (phdr.p_type == PT_LOAD) {
                        r = elf_add_segment(&image, &phdr, mem, reterr);
                        if (r < 0)
                                return r;
                } else if (phdr.p_type == PT_NOTE && image.note_size == 0) {
                        image.note_offset = phdr.p_offset;
                        image.note_size = phdr.p_filesz;
                }
        }
        r = elf_order_segments(&image, reterr);
        if (r < 0)
                return r;
        if (image.note_size == 0 && !elf_has_code_at(&image, image.entry))
                return elf_entry_error(&image, reterr);
        *ret = image;
        return 0;
}

/**
 * elf_find_pvh_entry() - look for the note that names the PVH entry point (XEN_ELFNOTE_PHYS32_ENTRY)
 * @notes, @len: contents of a PT_NOTE segment
 */
bool elf_find_pvh_entry(const void *notes, size_t len, uint32_t *ret_entry) {
        static const char owner[] = "Xen";
        const uint8_t *p = notes;
        uint64_t at = 0;

        while (range_within(at, sizeof(Elf64_Nhdr), len)) {
                Elf64_Nhdr note;
                uint64_t name, data;

                memcpy(&note, p + at, sizeof(note));
                name = at + sizeof(note);
                data = name + align_up(note.n_namesz, 4);
                at = data + align_up(note.n_descsz, 4);
                if (!range_within(data, note.n_descsz, len))
                        return false;
                if (note.n_type == 18 /* XEN_ELFNOTE_PHYS32_ENTRY */ &&
                    note.n_namesz == sizeof(owner) && note.n_descsz >= sizeof(*ret_entry) &&
                    memcmp(p + name, owner, sizeof(owner)) == 0) {
                        memcpy(ret_entry, p + data, sizeof(*ret_entry));
                        return true;
                }
        }
        return false;
}

/*
 * The 64-bit entry where e_entry is one: the physical address of loaded code, as in Linux. Other kernels have a
 * virtual address there, which says nothing without page tables of theirs: they are entered where their note says.
 */
static int elf_choose_entry(const ImageFile *file, ElfImage *image, TextError *reterr) {
        uint8_t notes[ELF_NOTES_MAX];
        uint32_t entry;
        int r;

        if (elf_has_code_at(image, image->entry))
                return 0;
        if (image->note_size > sizeof(notes))
                return elf_entry_error(image, reterr);
        r = image_file_read(file, image->note_offset, notes, (size_t) image->note_size, reterr);
        if (r < 0)
                return r;
        if (!elf_find_pvh_entry(notes, (size_t) image->note_size, &entry))
                return elf_entry_error(image, reterr);
        image->entry = entry;
        image->pvh = true;
        return elf_has_code_at(image, entry) ? 0 : elf_entry_error(image, reterr);
}

/**
 * elf_load() - load an uncompressed ELF kernel from @file into guest RAM
 *
 * What a segment has beyond its bytes in the file is zero already: guest RAM is fresh.
 *
 * The entry point is the 64-bit one, or that of the PVH protocol in a kernel which has no other.
 *
 * Return: 0; -ENOEXEC, -EFBIG as elf_parse(); -ENODATA for a truncated file; other negative errno.
 */
int elf_load(const ImageFile *file, const GuestMem *mem, ElfImage *ret, TextError *reterr) {
        _cleanup_(freep) uint8_t *head = malloc(ELF_HEAD_MAX);
        size_t len = (size_t) MIN(file->size, (uint64_t) ELF_HEAD_MAX);
        ElfImage image = {0};
        int r;

        if (!head)
                return -ENOMEM;
        r = image_file_read(file, 0, head, len, reterr);
        if (r < 0)
                return r;
        r = elf_parse(head, len, mem, &image, reterr);
        if (r < 0)
                return r;

        for (unsigned i = 0; i < image.n_segments; i++) {
                const ElfSegment *segment = &image.segments[i];

                r = image_file_load(file, segment->file_offset, segment->file_size, mem,
                                    segment->gpa, reterr);
                if (r < 0)
                        return r;
        }
        r = elf_choose_entry(file, &image, reterr);
        if (r < 0)
                return r;
        *ret = image;
        return 0;
}
