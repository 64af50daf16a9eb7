/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/partitioned_disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>

/* After stdio.h, whose names it does not take. */
#include <linux/fs.h>

#include "base/fd.h"
#include "base/str.h"
#include "config/composite.h"
#include "dbus/client/client.h"
#include "dbus/client/image_file.h"

#define READ_ONLY_SUFFIX ":ro"

/** partitioned_disk_deinit() - release what it owns, and close the partitions */
void partitioned_disk_deinit(PartitionedDisk *disk) {
        for (size_t i = 0; i < disk->n; i++) {
                free(disk->partitions[i].label);
                free(disk->partitions[i].path);
                (void) fd_close(disk->partitions[i].fd);
        }
        free(disk->partitions);
        free(disk->table);
        gpt_image_deinit(&disk->gpt);
        *disk = (PartitionedDisk){0};
}

/* Of version 4, RFC 9562. */
static int random_guid(uint8_t ret[static 16]) {
        if (getrandom(ret, 16, 0) != 16)
                return -errno;
        ret[6] = (uint8_t) (0x40 | (ret[6] & 0x0f));
        ret[8] = (uint8_t) (0x80 | (ret[8] & 0x3f));
        return 0;
}

/* "LABEL=PATH" or "LABEL=PATH:ro" */
static int parse_word(const char *word, DiskPartition *partition, TextError *reterr) {
        const char *equals = strchr(word, '=');
        size_t len, suffix = strlen(READ_ONLY_SUFFIX);
        _cleanup_(freep) char *path = NULL;

        if (!equals || equals == word || !equals[1])
                return text_error_set(reterr, CLIENT_E_USAGE,
                                      "expected LABEL=FILE or a size, not \"%s\"", word);
        partition->label = strndup(word, (size_t) (equals - word));
        path = strdup(equals + 1);
        if (!partition->label || !path)
                return -ENOMEM;
        len = strlen(path);
        if (len > suffix && str_eq(path + len - suffix, READ_ONLY_SUFFIX)) {
                partition->read_only = true;
                path[len - suffix] = '\0';
        }
        partition->path = realpath(path, NULL);
        if (!partition->path)
                return text_error_set(reterr, -errno, "cannot find \"%s\": %s", path,
                                      strerror(errno));
        return 0;
}

static int measure(DiskPartition *partition, uint64_t *ret, TextError *reterr) {
        uint64_t size = 0;
        struct stat st;

        assert(partition->path);
        partition->fd = open(partition->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (partition->fd < 0 || fstat(partition->fd, &st) < 0)
                return text_error_set(reterr, -errno, "cannot open \"%s\": %s", partition->path,
                                      strerror(errno));
        if (S_ISREG(st.st_mode))
                size = (uint64_t) st.st_size;
        else if (!S_ISBLK(st.st_mode) || ioctl(partition->fd, BLKGETSIZE64, &size) < 0)
                return text_error_set(reterr, -EINVAL,
                                      "\"%s\" is neither a regular file nor a block device",
                                      partition->path);
        if (size == 0)
                return text_error_set(reterr, -EINVAL, "\"%s\" is empty", partition->path);
        if (!partition->read_only && size % GPT_SECTOR_SIZE != 0)
                return text_error_set(reterr, -EINVAL,
                                      "\"%s\" has %llu bytes; a writable partition needs a "
                                      "multiple of %u\nAppend " READ_ONLY_SUFFIX
                                      " if the guest need not write to it.",
                                      partition->path, (unsigned long long) size, GPT_SECTOR_SIZE);
        *ret = size;
        return 0;
}

static int open_partition(const char *word, DiskPartition *partition, GptPartition *entry,
                          TextError *reterr) {
        int r = parse_word(word, partition, reterr);

        if (r >= 0)
                r = measure(partition, &entry->size_bytes, reterr);
        if (r >= 0)
                r = random_guid(entry->guid);
        entry->label = partition->label;
        return r;
}

/**
 * partitioned_disk_open() - open the files and lay out the disk
 * @words: LABEL=FILE, with :ro behind what no guest shall write to
 * @ret:   release with partitioned_disk_deinit()
 *
 * Return: 0; negative errno with @reterr set.
 */
int partitioned_disk_open(const char *const *words, size_t n, PartitionedDisk *ret,
                          TextError *reterr) {
        _cleanup_(partitioned_disk_deinit) PartitionedDisk disk = {0};
        uint8_t guid[16];
        int r;

        disk.partitions = calloc(n, sizeof(*disk.partitions));
        disk.table = calloc(n, sizeof(*disk.table));
        if (!disk.partitions || !disk.table)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                disk.partitions[disk.n++].fd = -EBADF;
                r = open_partition(words[i], &disk.partitions[i], &disk.table[i], reterr);
                if (r < 0)
                        return r;
        }
        r = random_guid(guid);
        if (r == 0)
                r = gpt_build(disk.table, n, guid, &disk.gpt, reterr);
        if (r < 0)
                return r;
        *ret = disk;
        disk = (PartitionedDisk){0};
        return 0;
}

static int write_table(const PartitionedDisk *disk, const ImageFile *image, TextError *reterr) {
        int r = image_file_write(image, disk->gpt.head, GPT_HEAD_SIZE, 0, reterr);

        if (r < 0)
                return r;
        return image_file_write(image, disk->gpt.tail, disk->gpt.tail_size, disk->gpt.tail_offset,
                                reterr);
}

/**
 * partitioned_disk_write_raw() - one new file with all that is in the files
 *
 * Return: 0; negative errno with @reterr set, and no file.
 */
int partitioned_disk_write_raw(const PartitionedDisk *disk, const char *path, TextError *reterr) {
        _cleanup_(image_file_deinit) ImageFile image = IMAGE_FILE_NONE;
        int r = image_file_create(path, &image, reterr);

        if (r >= 0)
                r = image_file_grow(&image, disk->gpt.disk_size, reterr);
        if (r >= 0)
                r = write_table(disk, &image, reterr);
        for (size_t i = 0; i < disk->n && r >= 0; i++) {
                r = image_file_copy(&image, disk->partitions[i].fd, disk->table[i].size_bytes,
                                    disk->table[i].offset_bytes, reterr);
                if (r < 0)
                        return text_error_prefix(reterr, r, "%s", disk->partitions[i].path);
        }
        if (r < 0)
                return r;
        image_file_keep(&image);
        return 0;
}

/* What is the disk's and in none of the files lies beside it. */
enum { HEADER, FOOTER, FILLER, N_SIDES };

typedef struct Composite {
        ImageFile image, sides[N_SIDES];
        char *paths[N_SIDES]; /* owned; absolute */
        CompositeSpec spec;
} Composite;

static void composite_deinit(Composite *composite) {
        image_file_deinit(&composite->image);
        for (size_t i = 0; i < N_SIDES; i++) {
                image_file_deinit(&composite->sides[i]);
                free(composite->paths[i]);
        }
        composite_spec_deinit(&composite->spec);
}

/* DISK.header and so on, once; with the bytes in it. */
static int make_side(Composite *composite, unsigned which, const void *data, size_t len,
                     TextError *reterr) {
        static const char *const names[N_SIDES] = {"header", "footer", "filler"};
        _cleanup_(freep) char *path = NULL;
        int r;

        if (composite->paths[which])
                return 0;
        if (asprintf(&path, "%s.%s", composite->image.path, names[which]) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = image_file_create(path, &composite->sides[which], reterr);
        if (r >= 0)
                r = image_file_write(&composite->sides[which], data, len, 0, reterr);
        if (r < 0)
                return r;
        composite->paths[which] = realpath(path, NULL);
        return composite->paths[which] ? 0 : -errno;
}

/* The zeros behind the partition's last byte, up to where the next one may begin. */
static int add_padding(Composite *composite, const GptPartition *entry, TextError *reterr) {
        static const uint8_t zeros[GPT_ALIGNMENT];
        uint64_t end = entry->offset_bytes + entry->size_bytes;
        int r;

        if (end % GPT_ALIGNMENT == 0)
                return 0;
        r = make_side(composite, FILLER, zeros, sizeof(zeros), reterr);
        return r < 0 ? r
                     : composite_spec_add(&composite->spec, composite->paths[FILLER], end, false);
}

static int add_parts(Composite *composite, const PartitionedDisk *disk, TextError *reterr) {
        const GptImage *gpt = &disk->gpt;
        int r = make_side(composite, HEADER, gpt->head, GPT_HEAD_SIZE, reterr);

        if (r >= 0)
                r = composite_spec_add(&composite->spec, composite->paths[HEADER], 0, false);
        for (size_t i = 0; i < disk->n && r >= 0; i++) {
                r = composite_spec_add(&composite->spec, disk->partitions[i].path,
                                       disk->table[i].offset_bytes, !disk->partitions[i].read_only);
                if (r >= 0)
                        r = add_padding(composite, &disk->table[i], reterr);
        }
        if (r >= 0)
                r = make_side(composite, FOOTER, gpt->tail, gpt->tail_size, reterr);
        if (r >= 0)
                r = composite_spec_add(&composite->spec, composite->paths[FOOTER], gpt->tail_offset,
                                       false);
        composite->spec.size = gpt->disk_size;
        return r;
}

/**
 * partitioned_disk_write_composite() - new files that say where the parts are, which stay where they are
 *
 * Return: 0; negative errno with @reterr set, and no file.
 */
int partitioned_disk_write_composite(const PartitionedDisk *disk, const char *path,
                                     TextError *reterr) {
        _cleanup_(composite_deinit) Composite composite = {
                .image = IMAGE_FILE_NONE,
                .sides = {IMAGE_FILE_NONE, IMAGE_FILE_NONE, IMAGE_FILE_NONE}};
        _cleanup_(freep) void *data = NULL;
        size_t len;
        int r = image_file_create(path, &composite.image, reterr);

        if (r >= 0)
                r = add_parts(&composite, disk, reterr);
        if (r >= 0)
                r = composite_encode(&composite.spec, &data, &len);
        if (r >= 0)
                r = image_file_write(&composite.image, data, len, 0, reterr);
        if (r < 0)
                return r;
        image_file_keep(&composite.image);
        for (size_t i = 0; i < N_SIDES; i++)
                image_file_keep(&composite.sides[i]);
        return 0;
}
