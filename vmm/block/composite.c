/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fd_path.h"
#include "base/iov.h"
#include "vmm/block/block_internal.h"

/*
 * A disk put together from files, each backing one range of it. A request is cut at the borders and ends when all its
 * pieces have; the first error is its result. Where a file is shorter than its range, the rest reads as zeroes and
 * cannot be written.
 */

typedef struct Part {
        BlockDev *disk;        /* owned */
        uint64_t offset, size; /* bytes, in the composite disk */
        uint64_t file_offset;  /* bytes, in @disk */
        bool writable;
} Part;

typedef struct Composite {
        BlockDev dev;
        Aio *aio; /* shared */
        unsigned n_parts;
        Part parts[]; /* ascending, without gaps */
} Composite;

typedef struct CompositeRequest {
        BlockDoneFn done;
        void *userdata;
        unsigned n_left; /* pieces under way, and one while pieces are still being started */
        int result;
        struct iovec iov[];
} CompositeRequest;

static void note_error(CompositeRequest *req, int r) {
        if (r < 0 && req->result == 0)
                req->result = r;
}

static void piece_done(void *userdata, int r) {
        CompositeRequest *req = userdata;

        note_error(req, r);
        if (--req->n_left > 0)
                return;
        req->done(req->userdata, req->result);
        free(req);
}

/* What asking for a piece returned. One that failed at once is over: its end will not be reported. */
static void piece_started(CompositeRequest *req, int r) {
        if (r >= 0)
                return;
        note_error(req, r);
        req->n_left--; /* not the last: the request itself still counts */
}

static CompositeRequest *request_new(size_t n_iov, BlockDoneFn done, void *userdata) {
        CompositeRequest *req = calloc(1, sizeof(*req) + n_iov * sizeof(*req->iov));

        if (req)
                *req = (CompositeRequest){.done = done, .userdata = userdata, .n_left = 1};
        return req;
}

/* The index of the part that holds @offset, which is on the disk. */
static unsigned find_part(const Composite *composite, uint64_t offset) {
        unsigned low = 0, high = composite->n_parts;

        while (high - low > 1) {
                unsigned middle = low + (high - low) / 2;

                if (composite->parts[middle].offset <= offset)
                        low = middle;
                else
                        high = middle;
        }
        return low;
}

/* One part's share of a range. */
typedef struct Piece {
        const Part *part;
        uint64_t done;   /* bytes of the range before this piece */
        uint64_t offset; /* in the part's file */
        uint64_t backed; /* bytes, those that the file has */
        uint64_t len;    /* bytes, backed or not */
} Piece;

static Piece make_piece(const Composite *composite, unsigned index, uint64_t offset, uint64_t len,
                        uint64_t done) {
        const Part *part = composite->parts + index;
        uint64_t inside = offset + done - part->offset, at = part->file_offset + inside;
        uint64_t have = part->disk->size_bytes;
        Piece piece = {
                .part = part,
                .done = done,
                .offset = at,
                .len = MIN(len - done, part->size - inside),
        };

        piece.backed = at < have ? MIN(piece.len, have - at) : 0;
        return piece;
}

/* Return: how many entries of @room are in use until the piece ends. */
static unsigned start_read(CompositeRequest *req, const Piece *piece, const struct iovec *iov,
                           unsigned n_iov, struct iovec *room) {
        BlockDev *disk = piece->part->disk;
        unsigned n = iov_slice(iov, n_iov, piece->done, piece->backed, room);

        iov_zero(iov, n_iov, piece->done + piece->backed, piece->len - piece->backed);
        if (n == 0)
                return 0;
        req->n_left++;
        piece_started(req, disk->ops->readv(disk, piece->offset, room, n, piece_done, req));
        return n;
}

static unsigned start_write(CompositeRequest *req, const Piece *piece, const struct iovec *iov,
                            unsigned n_iov, struct iovec *room) {
        BlockDev *disk = piece->part->disk;
        unsigned n = iov_slice(iov, n_iov, piece->done, piece->len, room);

        if (!piece->part->writable || piece->backed < piece->len) {
                note_error(req, -EROFS);
                return 0;
        }
        req->n_left++;
        piece_started(req, disk->ops->writev(disk, piece->offset, room, n, piece_done, req));
        return n;
}

static int composite_io(BlockDev *dev, bool write, uint64_t offset, const struct iovec *iov,
                        unsigned n_iov, BlockDoneFn done, void *userdata) {
        Composite *composite = (Composite *) dev;
        uint64_t len = iov_total(iov, n_iov);
        unsigned first, last;
        CompositeRequest *req;
        struct iovec *room;

        if (len == 0 || !range_within(offset, len, dev->size_bytes))
                return -EINVAL;
        first = find_part(composite, offset);
        last = find_part(composite, offset + len - 1);
        /* Each border that is crossed cuts at most one buffer in two. */
        req = request_new((size_t) n_iov + (last - first), done, userdata);
        if (!req)
                return -ENOMEM;

        room = req->iov;
        for (uint64_t at = 0; first <= last; first++) {
                Piece piece = make_piece(composite, first, offset, len, at);

                room += write ? start_write(req, &piece, iov, n_iov, room)
                              : start_read(req, &piece, iov, n_iov, room);
                at += piece.len;
        }
        piece_done(req, 0);
        return 0;
}

static int composite_readv(BlockDev *dev, uint64_t offset, const struct iovec *iov, unsigned n_iov,
                           BlockDoneFn done, void *userdata) {
        return composite_io(dev, false, offset, iov, n_iov, done, userdata);
}

static int composite_writev(BlockDev *dev, uint64_t offset, const struct iovec *iov, unsigned n_iov,
                            BlockDoneFn done, void *userdata) {
        if (dev->read_only)
                return -EROFS;
        return composite_io(dev, true, offset, iov, n_iov, done, userdata);
}

static int composite_flush(BlockDev *dev, BlockDoneFn done, void *userdata) {
        Composite *composite = (Composite *) dev;
        CompositeRequest *req = request_new(0, done, userdata);

        if (!req)
                return -ENOMEM;
        for (unsigned i = 0; i < composite->n_parts; i++) {
                BlockDev *disk = composite->parts[i].disk;

                if (!composite->parts[i].writable)
                        continue;
                req->n_left++;
                piece_started(req, disk->ops->flush(disk, piece_done, req));
        }
        piece_done(req, 0);
        return 0;
}

/* A discard passes by what cannot be written: it is a hint. Zeroes there are an error. */
static void start_range(CompositeRequest *req, const Piece *piece, bool discard, bool unmap) {
        BlockDev *disk = piece->part->disk;
        bool writable = piece->part->writable;

        if (discard && (!writable || !disk->discards || piece->backed == 0))
                return;
        if (!discard && (!writable || piece->backed < piece->len)) {
                note_error(req, -EROFS);
                return;
        }
        req->n_left++;
        piece_started(req, discard ? disk->ops->discard(disk, piece->offset, piece->backed,
                                                        piece_done, req)
                                   : disk->ops->write_zeroes(disk, piece->offset, piece->len, unmap,
                                                             piece_done, req));
}

static int composite_range(BlockDev *dev, bool discard, bool unmap, uint64_t offset, uint64_t len,
                           BlockDoneFn done, void *userdata) {
        Composite *composite = (Composite *) dev;
        unsigned index;
        CompositeRequest *req;

        if (dev->read_only)
                return -EROFS;
        if (!range_within(offset, len, dev->size_bytes))
                return -EINVAL;
        req = request_new(0, done, userdata);
        if (!req)
                return -ENOMEM;

        index = find_part(composite, offset);
        for (uint64_t at = 0; at < len; index++) {
                Piece piece = make_piece(composite, index, offset, len, at);

                start_range(req, &piece, discard, unmap);
                at += piece.len;
        }
        piece_done(req, 0);
        return 0;
}

static int composite_discard(BlockDev *dev, uint64_t offset, uint64_t len, BlockDoneFn done,
                             void *userdata) {
        return composite_range(dev, true, true, offset, len, done, userdata);
}

static int composite_write_zeroes(BlockDev *dev, uint64_t offset, uint64_t len, bool unmap,
                                  BlockDoneFn done, void *userdata) {
        return composite_range(dev, false, unmap, offset, len, done, userdata);
}

static void composite_submit(BlockDev *dev) {
        aio_submit(((Composite *) dev)->aio);
}

static BlockDev *composite_free(BlockDev *dev) {
        Composite *composite = (Composite *) dev;

        aio_drain(composite->aio);
        for (unsigned i = 0; i < composite->n_parts; i++)
                block_free(composite->parts[i].disk);
        aio_unref(composite->aio);
        free(composite);
        return NULL;
}

static void composite_cleanup(Composite **composite) {
        if (*composite)
                composite_free(&(*composite)->dev);
}

static const BlockOps composite_ops = {
        .name = "composite",
        .readv = composite_readv,
        .writev = composite_writev,
        .flush = composite_flush,
        .discard = composite_discard,
        .write_zeroes = composite_write_zeroes,
        .submit = composite_submit,
        .free = composite_free,
};

/*
 * A relative path starts from the directory of the composite file. A composite file that was inherited may name only
 * what was inherited too: it need not be the launcher's, since a guest can write one into an image of its own, and the
 * paths in it would be opened with the rights of this process.
 */
static int resolve(const char *base, const char *path, char **ret, TextError *reterr) {
        const char *slash = strrchr(base, '/');
        char *resolved;

        if (fd_path_parse(base, NULL) && !fd_path_parse(path, NULL))
                return text_error_set(reterr, -EPERM,
                                      "a composite disk given as a descriptor can name only "
                                      "descriptors, not '%s'",
                                      path);
        if (path[0] == '/' || !slash)
                resolved = strdup(path);
        else if (asprintf(&resolved, "%.*s/%s", (int) (slash - base), base, path) < 0)
                resolved = NULL;
        if (!resolved)
                return -ENOMEM;
        *ret = resolved;
        return 0;
}

static int check_alignment(const CompositePart *spec, const Part *part, TextError *reterr) {
        uint32_t align = part->disk->align_bytes;

        if ((spec->offset | spec->file_offset | spec->size | part->disk->size_bytes) % align == 0)
                return 0;
        return text_error_set(reterr, -EINVAL,
                              "%s: direct access needs parts aligned to %u bytes; the one at "
                              "offset %" PRIu64 " is not",
                              spec->path, align, spec->offset);
}

static int add_part(Composite *composite, const CompositePart *spec, const char *base,
                    const BlockOpenOptions *options, TextError *reterr) {
        Part *part = composite->parts + composite->n_parts;
        BlockOpenOptions part_options = *options;
        _cleanup_(freep) char *path = NULL;
        int r;

        part_options.read_only = options->read_only || !spec->writable;
        r = resolve(base, spec->path, &path, reterr);
        if (r < 0)
                return r;
        r = block_open_part(path, &part_options, composite->aio, &part->disk, reterr);
        if (r < 0)
                return r;
        composite->n_parts++; /* freed with the others from now on */

        part->offset = spec->offset;
        part->size = spec->size;
        part->file_offset = spec->file_offset;
        part->writable = !part_options.read_only;
        composite->dev.align_bytes = MAX(composite->dev.align_bytes, part->disk->align_bytes);
        composite->dev.optimal_bytes = MAX(composite->dev.optimal_bytes, part->disk->optimal_bytes);
        composite->dev.discards |= part->disk->discards;
        return check_alignment(spec, part, reterr);
}

/**
 * composite_new() - a disk of the parts in @spec
 * @path:     of the composite file, for messages and relative paths
 * @options:  for all parts; those not writable in @spec are opened read-only
 * @aio:      a reference is taken
 *
 * Return: 0; negative errno with a sentence that names the part.
 */
int composite_new(const CompositeSpec *spec, const char *path, const BlockOpenOptions *options,
                  Aio *aio, BlockDev **ret, TextError *reterr) {
        _cleanup_(composite_cleanup) Composite *composite = NULL;

        composite = calloc(1, sizeof(*composite) + spec->n_parts * sizeof(*composite->parts));
        if (!composite)
                return -ENOMEM;
        composite->aio = aio_ref(aio);
        composite->dev = (BlockDev){
                .ops = &composite_ops,
                .size_bytes = spec->size,
                .align_bytes = 1,
                .read_only = options->read_only,
        };
        for (size_t i = 0; i < spec->n_parts; i++) {
                int r = add_part(composite, spec->parts + i, path, options, reterr);

                if (r < 0)
                        return text_error_prefix(reterr, r, "%s", path);
        }

        *ret = &TAKE(composite)->dev;
        return 0;
}
