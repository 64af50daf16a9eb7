/* SPDX-License-Identifier: Apache-2.0 */
#include "config/composite.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "base/str.h"
#include "config/utf8.h"

/* Relative paths count from the spec's directory from version 2 on; ours are absolute and read by every version. */
#define VERSION_WRITTEN 1u
#define VERSION_MAX 2u

/* Field numbers of the two messages. */
enum {
        DISK_VERSION = 1,
        DISK_PARTS = 2,
        DISK_LENGTH = 3,
        PART_PATH = 1,
        PART_OFFSET = 2,
        PART_CAPABILITY = 3,
        PART_FILE_OFFSET = 4,
};

typedef enum WireType {
        WIRE_VARINT = 0,
        WIRE_FIXED64 = 1,
        WIRE_BYTES = 2,
        WIRE_FIXED32 = 5,
} WireType;

/** composite_spec_deinit() - release the parts; the spec is empty again */
void composite_spec_deinit(CompositeSpec *spec) {
        for (size_t i = 0; i < spec->n_parts; i++)
                free(spec->parts[i].path);
        free(spec->parts);
        *spec = (CompositeSpec){0};
}

static int spec_append(CompositeSpec *spec, CompositePart **ret) {
        CompositePart *grown;

        if (spec->n_parts >= COMPOSITE_PARTS_MAX)
                return -E2BIG;
        grown = reallocarray(spec->parts, spec->n_parts + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        spec->parts = grown;
        grown[spec->n_parts] = (CompositePart){0};
        *ret = &grown[spec->n_parts++];
        return 0;
}

/**
 * composite_spec_add() - append the part that begins at @offset of the disk
 * @path: copied
 *
 * The caller adds parts in order and sets spec->size at the end. Return: 0; -E2BIG; -ENOMEM.
 */
int composite_spec_add(CompositeSpec *spec, const char *path, uint64_t offset, bool writable) {
        CompositePart *part;
        int r;

        r = spec_append(spec, &part);
        if (r < 0)
                return r;
        part->offset = offset;
        part->writable = writable;
        part->path = strdup(path);
        return part->path ? 0 : -ENOMEM;
}

/* Encoding */

static void put_varint(StrBuf *buf, uint64_t value) {
        uint8_t byte;

        do {
                byte = value & 0x7f;
                value >>= 7;
                if (value)
                        byte |= 0x80;
                strbuf_append_bytes(buf, &byte, 1);
        } while (value);
}

/* proto3 leaves out what is zero. */
static void put_number(StrBuf *buf, unsigned field, uint64_t value) {
        if (value == 0)
                return;
        put_varint(buf, (uint64_t) field << 3 | WIRE_VARINT);
        put_varint(buf, value);
}

static void put_bytes(StrBuf *buf, unsigned field, const void *data, size_t len) {
        put_varint(buf, (uint64_t) field << 3 | WIRE_BYTES);
        put_varint(buf, len);
        strbuf_append_bytes(buf, data, len);
}

static void put_part(StrBuf *buf, const CompositePart *part) {
        _cleanup_(strbuf_deinit) StrBuf inner = {0};

        put_bytes(&inner, PART_PATH, part->path, strlen(part->path));
        put_number(&inner, PART_OFFSET, part->offset);
        put_number(&inner, PART_CAPABILITY, part->writable);
        put_number(&inner, PART_FILE_OFFSET, part->file_offset);
        buf->failed |= inner.failed;
        if (!inner.failed)
                put_bytes(buf, DISK_PARTS, inner.data, inner.len);
}

/**
 * composite_encode() - the bytes of the composite file
 * @ret: owned by the caller
 *
 * Return: 0 or -ENOMEM.
 */
int composite_encode(const CompositeSpec *spec, void **ret, size_t *ret_len) {
        _cleanup_(strbuf_deinit) StrBuf buf = {0};
        size_t len;
        char *data;
        int r;

        strbuf_append_bytes(&buf, COMPOSITE_MAGIC, COMPOSITE_MAGIC_LEN);
        put_number(&buf, DISK_VERSION, VERSION_WRITTEN);
        for (size_t i = 0; i < spec->n_parts; i++)
                put_part(&buf, &spec->parts[i]);
        put_number(&buf, DISK_LENGTH, spec->size);
        len = buf.len;
        r = strbuf_finish(&buf, &data);
        if (r < 0)
                return r;
        *ret = data;
        *ret_len = len;
        return 0;
}

/* Decoding: a cursor that never passes @end. */

typedef struct Reader {
        const uint8_t *p, *end;
} Reader;

static bool read_varint(Reader *in, uint64_t *ret) {
        uint64_t value = 0;

        for (unsigned shift = 0; shift < 64; shift += 7) {
                uint8_t byte;

                if (in->p == in->end)
                        return false;
                byte = *in->p++;
                if (shift == 63 && byte > 1)
                        return false; /* more than 64 bits */
                value |= (uint64_t) (byte & 0x7f) << shift;
                if (!(byte & 0x80)) {
                        *ret = value;
                        return true;
                }
        }
        return false;
}

/* One field: a number in @ret_value for a varint, the range in @ret_bytes for bytes; others are passed over. */
static bool read_field(Reader *in, uint64_t *ret_key, uint64_t *ret_value, Reader *ret_bytes) {
        uint64_t len;

        if (!read_varint(in, ret_key) || *ret_key >> 3 == 0)
                return false;
        switch (*ret_key & 7) {
        case WIRE_VARINT:
                return read_varint(in, ret_value);
        case WIRE_FIXED64:
                len = 8;
                break;
        case WIRE_FIXED32:
                len = 4;
                break;
        case WIRE_BYTES:
                if (!read_varint(in, &len))
                        return false;
                break;
        default:
                return false; /* groups, unknown to proto3 */
        }
        if (len > (uint64_t) (in->end - in->p))
                return false;
        *ret_bytes = (Reader){in->p, in->p + len};
        in->p += len;
        return true;
}

#define FIELD(number, wire) ((uint64_t) (number) << 3 | (wire))

static int refuse_message(TextError *reterr) {
        return text_error_set(reterr, -EINVAL, "the composite disk is not a valid message");
}

static int decode_path(Reader bytes, CompositePart *part, TextError *reterr) {
        size_t len = (size_t) (bytes.end - bytes.p);

        if (len == 0 || len > COMPOSITE_PATH_MAX || !utf8_valid((const char *) bytes.p, len))
                return text_error_set(reterr, -EINVAL,
                                      "a path in the composite disk is not 1 to %u bytes of text",
                                      COMPOSITE_PATH_MAX);
        free(part->path);
        part->path = strndup((const char *) bytes.p, len);
        return part->path ? 0 : -ENOMEM;
}

static int decode_part(Reader in, CompositePart *part, TextError *reterr) {
        uint64_t key, value = 0, capability = 0;
        Reader bytes = {0};
        int r;

        while (in.p < in.end) {
                if (!read_field(&in, &key, &value, &bytes))
                        return refuse_message(reterr);
                switch (key) {
                case FIELD(PART_PATH, WIRE_BYTES):
                        r = decode_path(bytes, part, reterr);
                        if (r < 0)
                                return r;
                        break;
                case FIELD(PART_OFFSET, WIRE_VARINT):
                        part->offset = value;
                        break;
                case FIELD(PART_CAPABILITY, WIRE_VARINT):
                        capability = value;
                        break;
                case FIELD(PART_FILE_OFFSET, WIRE_VARINT):
                        part->file_offset = value;
                        break;
                default:
                        break;
                }
        }
        if (!part->path)
                return text_error_set(reterr, -EINVAL, "a part of the composite disk has no path");
        if (capability > 1)
                return text_error_set(reterr, -EINVAL, "%s: access kind %" PRIu64 " is unknown",
                                      part->path, capability);
        part->writable = capability == 1;
        return 0;
}

static int compare_parts(const void *a, const void *b) {
        const CompositePart *x = a, *y = b;

        return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Sorts the parts and gives each its size; every byte of the disk then belongs to exactly one part. */
static int lay_out(CompositeSpec *spec, TextError *reterr) {
        if (spec->n_parts == 0)
                return text_error_set(reterr, -EINVAL, "the composite disk has no parts");
        if (spec->size > COMPOSITE_SIZE_MAX)
                return text_error_set(reterr, -EINVAL,
                                      "the composite disk is larger than %" PRIu64 " bytes",
                                      COMPOSITE_SIZE_MAX);
        qsort(spec->parts, spec->n_parts, sizeof(*spec->parts), compare_parts);
        if (spec->parts[0].offset != 0)
                return text_error_set(reterr, -EINVAL,
                                      "the composite disk has no part at offset 0");
        for (size_t i = 0; i < spec->n_parts; i++) {
                CompositePart *part = &spec->parts[i];
                uint64_t end = i + 1 < spec->n_parts ? part[1].offset : spec->size;

                if (end <= part->offset)
                        return text_error_set(reterr, -EINVAL,
                                              "%s: the part at offset %" PRIu64 " is empty",
                                              part->path, part->offset);
                part->size = end - part->offset;
                if (part->file_offset > COMPOSITE_SIZE_MAX)
                        return text_error_set(reterr, -EINVAL,
                                              "%s: file offset %" PRIu64 " is too large",
                                              part->path, part->file_offset);
        }
        return 0;
}

/** composite_is() - whether a file that begins with @data is a composite disk */
bool composite_is(const void *data, size_t len) {
        return len >= COMPOSITE_MAGIC_LEN &&
               memcmp(data, COMPOSITE_MAGIC, COMPOSITE_MAGIC_LEN) == 0;
}

static int decode_disk(Reader in, CompositeSpec *spec, TextError *reterr) {
        uint64_t key, value = 0, version = 0;
        Reader bytes = {0};
        CompositePart *part;
        int r;

        while (in.p < in.end) {
                if (!read_field(&in, &key, &value, &bytes))
                        return refuse_message(reterr);
                switch (key) {
                case FIELD(DISK_VERSION, WIRE_VARINT):
                        version = value;
                        break;
                case FIELD(DISK_LENGTH, WIRE_VARINT):
                        spec->size = value;
                        break;
                case FIELD(DISK_PARTS, WIRE_BYTES):
                        r = spec_append(spec, &part);
                        if (r == -E2BIG)
                                return text_error_set(reterr, -EINVAL,
                                                      "the composite disk has more than %u parts",
                                                      COMPOSITE_PARTS_MAX);
                        if (r == 0)
                                r = decode_part(bytes, part, reterr);
                        if (r < 0)
                                return r;
                        break;
                default:
                        break;
                }
        }
        if (version > VERSION_MAX)
                return text_error_set(reterr, -EINVAL,
                                      "version %" PRIu64 " of the composite disk is unknown",
                                      version);
        return 0;
}

/**
 * composite_decode() - the bytes of a composite file, hostile ones too, to parts
 * @ret: set on success only; release with composite_spec_deinit()
 *
 * Fields it does not know are passed over, as protobuf has it. No file is opened: whether each is long enough for its
 * part is the caller's to check.
 *
 * Return: 0; -EINVAL with a sentence in @reterr; -ENOMEM.
 */
int composite_decode(const void *data, size_t len, CompositeSpec *ret, TextError *reterr) {
        _cleanup_(composite_spec_deinit) CompositeSpec spec = {0};
        const uint8_t *bytes = data;
        int r;

        if (!composite_is(data, len))
                return text_error_set(reterr, -EINVAL, "the file is no composite disk");
        if (len > COMPOSITE_FILE_MAX)
                return text_error_set(reterr, -EINVAL, "the composite disk is longer than %u bytes",
                                      COMPOSITE_FILE_MAX);
        r = decode_disk((Reader){bytes + COMPOSITE_MAGIC_LEN, bytes + len}, &spec, reterr);
        if (r == 0)
                r = lay_out(&spec, reterr);
        if (r < 0)
                return r;
        *ret = spec;
        spec = (CompositeSpec){0};
        return 0;
}
