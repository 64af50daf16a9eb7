/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gpt.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "base/crc32.h"
#include "base/le.h"
#include "config/utf8.h"

#define ENTRY_SIZE 128u
#define ENTRIES_SIZE (GPT_PARTITIONS_MAX * ENTRY_SIZE)
#define ENTRIES_SECTORS (ENTRIES_SIZE / GPT_SECTOR_SIZE)
#define HEADER_SIZE 92u
#define NAME_UNITS 36u
#define TABLE_SIZE (ENTRIES_SIZE + GPT_SECTOR_SIZE) /* backup entries and header */
#define SIZE_MAX_BYTES (UINT64_C(1) << 60) /* of one partition; keeps all sums in 64 bits */

/* 0fc63daf-8483-4772-8e79-3d69d8477de4, "Linux filesystem data" */
static const uint8_t linux_filesystem[16] = {0x0f, 0xc6, 0x3d, 0xaf, 0x84, 0x83, 0x47, 0x72,
                                             0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4};

/* The first three fields of a GUID are little-endian on disk, the rest is bytes. */
static void put_guid(uint8_t *p, const uint8_t guid[static 16]) {
        static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

        for (unsigned i = 0; i < 16; i++)
                p[i] = guid[order[i]];
}

/* Spreads every bit of a hash over all of them. */
static uint64_t mix(uint64_t hash) {
        hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
        hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
        return hash ^ hash >> 33;
}

/**
 * gpt_make_guid() - a GUID that is the same for the same @seed
 *
 * Two FNV-1a hashes; of version 8, RFC 9562's "made by the application". Tells partitions apart, guards nothing.
 */
void gpt_make_guid(const void *seed, size_t len, uint8_t ret[static 16]) {
        const uint8_t *bytes = seed;

        for (unsigned half = 0; half < 2; half++) {
                uint64_t hash = UINT64_C(0xcbf29ce484222325) + half;

                for (size_t i = 0; i < len; i++)
                        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
                le64_store(ret + half * 8, mix(hash));
        }
        ret[6] = (uint8_t) (0x80 | (ret[6] & 0x0f));
        ret[8] = (uint8_t) (0x80 | (ret[8] & 0x3f));
}

static uint64_t sectors_of(uint64_t bytes) {
        return align_up(bytes, GPT_SECTOR_SIZE) / GPT_SECTOR_SIZE;
}

/* Sets the offsets. Returns where the last partition ends, aligned. */
static int lay_out(GptPartition *partitions, size_t n, uint64_t *ret_end, TextError *reterr) {
        uint64_t offset = GPT_HEAD_SIZE;

        for (size_t i = 0; i < n; i++) {
                GptPartition *partition = &partitions[i];

                if (partition->size_bytes == 0)
                        return text_error_set(reterr, -EINVAL, "partition \"%s\" is empty",
                                              partition->label);
                if (partition->size_bytes > SIZE_MAX_BYTES ||
                    offset > SIZE_MAX_BYTES - partition->size_bytes)
                        return text_error_set(reterr, -EFBIG, "partition \"%s\" is too large",
                                              partition->label);
                partition->offset_bytes = offset;
                offset = align_up(offset + partition->size_bytes, GPT_ALIGNMENT);
        }
        *ret_end = offset;
        return 0;
}

static int put_entry(uint8_t *p, const GptPartition *partition, TextError *reterr) {
        uint64_t first = partition->offset_bytes / GPT_SECTOR_SIZE;
        uint16_t name[NAME_UNITS];
        size_t n;

        if (utf8_to_utf16(partition->label, name, NAME_UNITS, &n) < 0 || n == 0)
                return text_error_set(reterr, -EINVAL,
                                      "the label \"%s\" is not 1 to %u UTF-16 units",
                                      partition->label, NAME_UNITS);
        put_guid(p, linux_filesystem);
        put_guid(p + 16, partition->guid);
        le64_store(p + 32, first);
        le64_store(p + 40, first + sectors_of(partition->size_bytes) - 1);
        le64_store(p + 48, 0); /* attributes */
        for (size_t i = 0; i < n; i++)
                le16_store(p + 56 + i * 2, name[i]);
        return 0;
}

/* One entry of type 0xee over the whole disk, so that tools unaware of GPT see it in use. */
static void put_protective_mbr(uint8_t *p, uint64_t disk_sectors) {
        uint8_t *entry = p + 446;

        entry[2] = 0x02; /* CHS 0/0/2 */
        entry[4] = 0xee;
        memset(entry + 5, 0xff, 3); /* CHS past what it can say */
        le32_store(entry + 8, 1);
        le32_store(entry + 12, (uint32_t) MIN(disk_sectors - 1, (uint64_t) UINT32_MAX));
        le16_store(p + 510, 0xaa55);
}

static void put_header(uint8_t *p, const uint8_t disk_guid[static 16], const uint8_t *entries,
                       uint64_t disk_sectors, bool backup) {
        uint64_t last = disk_sectors - 1;

        memcpy(p, "EFI PART", 8);
        le32_store(p + 8, 0x00010000); /* revision 1.0 */
        le32_store(p + 12, HEADER_SIZE);
        le64_store(p + 24, backup ? last : 1);
        le64_store(p + 32, backup ? 1 : last);
        le64_store(p + 40, GPT_HEAD_SIZE / GPT_SECTOR_SIZE);
        le64_store(p + 48, last - ENTRIES_SECTORS - 1);
        put_guid(p + 56, disk_guid);
        le64_store(p + 72, backup ? last - ENTRIES_SECTORS : 2);
        le32_store(p + 80, GPT_PARTITIONS_MAX);
        le32_store(p + 84, ENTRY_SIZE);
        le32_store(p + 88, crc32_ieee(entries, ENTRIES_SIZE));
        le32_store(p + 16, crc32_ieee(p, HEADER_SIZE)); /* over itself with this field zero */
}

/** gpt_image_deinit() - release head and tail; the image is empty again */
void gpt_image_deinit(GptImage *image) {
        free(image->head);
        free(image->tail);
        *image = (GptImage){0};
}

/**
 * gpt_build() - lay @n partitions out and make the tables around them
 * @partitions: offset_bytes is set; from the end of each to the next multiple of GPT_ALIGNMENT nothing is
 * @disk_guid:  in text order
 * @ret:        set on success only; release with gpt_image_deinit()
 *
 * The bytes between head and tail are the partitions at their offsets. Return: 0; -EINVAL, -E2BIG or -EFBIG with a
 * sentence in @reterr; -ENOMEM.
 */
int gpt_build(GptPartition *partitions, size_t n, const uint8_t disk_guid[static 16], GptImage *ret,
              TextError *reterr) {
        _cleanup_(gpt_image_deinit) GptImage image = {0};
        uint64_t disk_sectors;
        uint8_t *entries;
        int r;

        if (n > GPT_PARTITIONS_MAX)
                return text_error_set(reterr, -E2BIG, "more than %u partitions",
                                      GPT_PARTITIONS_MAX);
        r = lay_out(partitions, n, &image.tail_offset, reterr);
        if (r < 0)
                return r;
        image.disk_size = align_up(image.tail_offset + TABLE_SIZE, GPT_DISK_ALIGNMENT);
        image.tail_size = (size_t) (image.disk_size - image.tail_offset);
        image.head = calloc(1, GPT_HEAD_SIZE);
        image.tail = calloc(1, image.tail_size);
        if (!image.head || !image.tail)
                return -ENOMEM;
        entries = image.head + 2 * GPT_SECTOR_SIZE;
        for (size_t i = 0; i < n; i++) {
                r = put_entry(entries + i * ENTRY_SIZE, &partitions[i], reterr);
                if (r < 0)
                        return r;
        }
        disk_sectors = image.disk_size / GPT_SECTOR_SIZE;
        put_protective_mbr(image.head, disk_sectors);
        put_header(image.head + GPT_SECTOR_SIZE, disk_guid, entries, disk_sectors, false);
        memcpy(image.tail + image.tail_size - TABLE_SIZE, entries, ENTRIES_SIZE);
        put_header(image.tail + image.tail_size - GPT_SECTOR_SIZE, disk_guid, entries, disk_sectors,
                   true);
        *ret = (GptImage){
                .head = TAKE(image.head),
                .tail = TAKE(image.tail),
                .tail_size = image.tail_size,
                .tail_offset = image.tail_offset,
                .disk_size = image.disk_size,
        };
        return 0;
}
