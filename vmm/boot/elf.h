/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* ELF64 kernels: which bytes of the file go where in guest RAM. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text_error.h"
#include "vmm/boot/image_file.h"
#include "vmm/boot/unpack.h"
#include "vmm/mem/guest_mem.h"

#define ELF_MAGIC_SIZE 4u
#define ELF_SEGMENTS_MAX 32u
#define ELF_HEAD_MAX (16u * 1024u) /* ELF header and program headers end before this */

typedef struct ElfSegment {
        uint64_t file_offset, file_size; /* file_size may be 0, and is at most mem_size */
        gpa_t gpa;
        uint64_t mem_size;
} ElfSegment;

typedef struct ElfImage {
        gpa_t entry; /* physical, inside a segment; before elf_load() maybe not, if there are notes */
        bool pvh;    /* @entry is that of the PVH protocol */
        gpa_t end;   /* first address after all segments */
        unsigned n_segments;
        ElfSegment segments
                [ELF_SEGMENTS_MAX]; /* ascending by file offset, none overlapping in the file */
        uint64_t note_offset, note_size; /* the first PT_NOTE; size 0 = none */
} ElfImage;

bool elf_has_magic(const uint8_t magic[static ELF_MAGIC_SIZE]);
int elf_parse(const void *head, size_t len, const GuestMem *mem, ElfImage *ret, TextError *reterr);
int elf_load(const ImageFile *file, const GuestMem *mem, ElfImage *ret, TextError *reterr);
bool elf_has_code_at(const ElfImage *image, gpa_t gpa);
int elf_entry_error(const ElfImage *image, TextError *reterr);
bool elf_find_pvh_entry(const void *notes, size_t len, uint32_t *ret_entry);

/* An ELF that arrives as a stream: collects its head, then sends each segment's bytes to its place. */
typedef struct ElfStream {
        const GuestMem *mem; /* borrowed */
        gpa_t limit;         /* segments end at or before this */
        TextError *reterr;   /* borrowed, may be NULL */
        uint64_t offset;     /* of the next byte in the ELF */
        bool parsed;
        ElfImage image; /* valid once @parsed */
        unsigned next;  /* first segment that does not end before @offset */
        uint8_t head[ELF_HEAD_MAX];
        uint8_t scrap[ELF_HEAD_MAX]; /* where bytes that belong to no segment go */
} ElfStream;

void elf_stream_init(ElfStream *stream, const GuestMem *mem, gpa_t limit, TextError *reterr);
UnpackSink elf_stream_sink(ElfStream *stream);
int elf_stream_finish(ElfStream *stream, ElfImage *ret);
