/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A kernel that is being unpacked is an ELF of 50 MB of which each byte is wanted in one place of guest RAM. Holding
 * it whole would cost its size in host memory and a second copy; so the unpacker is told piece by piece where its
 * next bytes belong. Only the head has to be collected first, because it says where the rest goes.
 */

#include <errno.h>
#include <string.h>

#include "vmm/boot/elf.h"

static void elf_stream_skip_ended(ElfStream *stream) {
        while (stream->next < stream->image.n_segments) {
                const ElfSegment *segment = &stream->image.segments[stream->next];

                if (segment->file_offset + segment->file_size > stream->offset)
                        return;
                stream->next++;
        }
}

/* Where the byte at the stream's offset belongs, and how many after it belong behind it. */
static uint8_t *elf_stream_target(ElfStream *stream, size_t want, size_t *ret_len) {
        const ElfSegment *segment = NULL;
        uint64_t into, left;

        elf_stream_skip_ended(stream);
        if (stream->next < stream->image.n_segments)
                segment = &stream->image.segments[stream->next];
        if (!segment || stream->offset < segment->file_offset) {
                left = segment ? segment->file_offset - stream->offset : UINT64_MAX;
                left = MIN(left, (uint64_t) sizeof(stream->scrap));
                *ret_len = (size_t) MIN(left, (uint64_t) want);
                return stream->scrap;
        }
        into = stream->offset - segment->file_offset;
        left = segment->file_size - into;
        *ret_len = (size_t) MIN(left, (uint64_t) want);
        return guest_mem_ptr(stream->mem, segment->gpa + into, *ret_len);
}

static void *elf_stream_reserve(void *userdata, size_t want, size_t *ret_len) {
        ElfStream *stream = userdata;

        if (stream->parsed)
                return elf_stream_target(stream, want, ret_len);
        *ret_len = MIN(want, sizeof(stream->head) - (size_t) stream->offset);
        return stream->head + stream->offset;
}

/* The head is complete: from here on the layout is known, and the head's own bytes go where they belong. */
static int elf_stream_parse(ElfStream *stream) {
        size_t len = (size_t) stream->offset, n;
        int r;

        r = elf_parse(stream->head, len, stream->mem, &stream->image, stream->reterr);
        if (r < 0)
                return r;
        if (!elf_has_code_at(&stream->image, stream->image.entry))
                return elf_entry_error(&stream->image, stream->reterr);
        if (stream->image.end > stream->limit)
                return text_error_set(stream->reterr, -ENOEXEC,
                                      "the kernel is larger than its setup header declares");
        stream->parsed = true;
        for (unsigned i = 0; i < stream->image.n_segments; i++)
                guest_mem_populate(stream->mem, stream->image.segments[i].gpa,
                                   stream->image.segments[i].file_size);
        for (stream->offset = 0; stream->offset < len; stream->offset += n) {
                uint8_t *to = elf_stream_target(stream, len - (size_t) stream->offset, &n);

                memcpy(to, stream->head + stream->offset, n);
        }
        return 0;
}

static int elf_stream_commit(void *userdata, size_t len) {
        ElfStream *stream = userdata;

        stream->offset += len;
        if (!stream->parsed && stream->offset == sizeof(stream->head))
                return elf_stream_parse(stream);
        return 0;
}

/**
 * elf_stream_init() - get ready for an ELF kernel's bytes
 * @mem:    fresh guest RAM; borrowed as long as @stream is used
 * @limit:  the kernel ends at or before this address
 * @reterr: where the sink puts its sentence; borrowed as well, may be NULL
 */
void elf_stream_init(ElfStream *stream, const GuestMem *mem, gpa_t limit, TextError *reterr) {
        stream->mem = mem;
        stream->limit = limit;
        stream->reterr = reterr;
        stream->offset = 0;
        stream->parsed = false;
        stream->next = 0;
}

/** elf_stream_sink() - the sink to unpack into; it fails with -ENOEXEC or -EFBIG as elf_parse() does */
UnpackSink elf_stream_sink(ElfStream *stream) {
        return (UnpackSink){
                .userdata = stream,
                .reserve = elf_stream_reserve,
                .commit = elf_stream_commit,
        };
}

/**
 * elf_stream_finish() - the stream has ended; see whether it was a whole kernel
 *
 * Return: 0; -ENOEXEC when it ended inside a segment or is no kernel; -EFBIG as elf_parse().
 */
int elf_stream_finish(ElfStream *stream, ElfImage *ret) {
        if (!stream->parsed) { /* shorter than a full head */
                int r = elf_stream_parse(stream);

                if (r < 0)
                        return r;
        }
        elf_stream_skip_ended(stream);
        if (stream->next < stream->image.n_segments)
                return text_error_set(stream->reterr, -ENOEXEC,
                                      "the unpacked kernel ends inside a segment");
        *ret = stream->image;
        return 0;
}
