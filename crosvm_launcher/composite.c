/* SPDX-License-Identifier: Apache-2.0 */
#include "crosvm_launcher/composite.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/fd.h"
#include "config/composite.h"
#include "config/gpt.h"
#include "crosvm_launcher/image.h"

typedef struct Build {
        const VmDisk *disk;
        size_t index; /* of the disk in the config */
        GptPartition partitions[GPT_PARTITIONS_MAX];
        GptImage gpt;
        CompositeSpec spec;
        FdMap *map;
        FdSet *owned;
        int filler; /* borrowed from @owned; zeros that pad a part, -EBADF until the first is needed */
} Build;

static Build *build_free(Build *build) {
        gpt_image_deinit(&build->gpt);
        composite_spec_deinit(&build->spec);
        free(build);
        return NULL;
}
DEFINE_CLEANUP(Build *, build_free)

/* The seed of the GUIDs: the same config gives the same ones at every start, so a guest can name its disks by them. */
static void choose_guids(Build *build, uint8_t ret_disk_guid[static 16]) {
        char seed[256];

        for (size_t i = 0; i < build->disk->n_partitions; i++) {
                const VmPartition *partition = &build->disk->partitions[i];
                uint8_t *guid = build->partitions[i].guid;
                int n;

                if (partition->has_guid) {
                        memcpy(guid, partition->guid, 16);
                        continue;
                }
                n = snprintf(seed, sizeof(seed), "disk %zu partition %zu %s", build->index, i,
                             partition->label);
                gpt_make_guid(seed, (size_t) n, guid);
        }
        gpt_make_guid(seed, (size_t) snprintf(seed, sizeof(seed), "disk %zu", build->index),
                      ret_disk_guid);
}

/* A size that is no multiple of the sector is fine to read: the rest of the sector is zeros. To write it is not. */
static int check_size(const VmPartition *partition, uint64_t size, TextError *reterr) {
        if (size == 0)
                return text_error_set(reterr, -EINVAL, "the file is empty");
        if (partition->writable && size % GPT_SECTOR_SIZE != 0)
                return text_error_set(reterr, -EINVAL,
                                      "the file has %" PRIu64
                                      " bytes; a writable partition needs a multiple of %u",
                                      size, GPT_SECTOR_SIZE);
        return 0;
}

static int measure(Build *build, const LaunchPlan *plan, TextError *reterr) {
        for (size_t i = 0; i < build->disk->n_partitions; i++) {
                const VmPartition *partition = &build->disk->partitions[i];
                uint64_t size = 0;
                int r;

                r = image_check_raw(launch_plan_find_file(plan, partition->file), &size, reterr);
                if (r == 0)
                        r = check_size(partition, size, reterr);
                if (r < 0)
                        return text_error_prefix(reterr, r, "disks[%zu].partitions[%zu].path",
                                                 build->index, i);
                build->partitions[i].label = partition->label;
                build->partitions[i].size_bytes = size;
        }
        return 0;
}

static int add_part(Build *build, int fd, uint64_t offset, bool writable) {
        char path[FD_MAP_PATH_SIZE];
        int r, target;

        r = fd_map_add(build->map, fd, &target);
        if (r < 0)
                return r;
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", target);
        return composite_spec_add(&build->spec, path, offset, writable);
}

/* Adds a part of bytes that the launcher made. */
static int add_bytes(Build *build, const char *name, const void *data, size_t len, uint64_t offset,
                     int *ret_fd) {
        int fd, r;

        fd = fd_memfd_from(name, data, len);
        if (fd < 0)
                return fd;
        r = fd_set_add_consume(build->owned, fd);
        if (r == 0)
                r = add_part(build, fd, offset, false);
        if (r == 0 && ret_fd)
                *ret_fd = fd;
        return r;
}

/* The zeros behind the partition's last byte, up to where the next one may begin. */
static int add_padding(Build *build, const GptPartition *partition) {
        static const uint8_t zeros[GPT_ALIGNMENT];
        uint64_t end = partition->offset_bytes + partition->size_bytes;

        if (end % GPT_ALIGNMENT == 0)
                return 0;
        if (build->filler >= 0)
                return add_part(build, build->filler, end, false);
        return add_bytes(build, "vivarium-gpt-filler", zeros, sizeof(zeros), end, &build->filler);
}

static int add_parts(Build *build, const LaunchPlan *plan) {
        int r;

        r = add_bytes(build, "vivarium-gpt-head", build->gpt.head, GPT_HEAD_SIZE, 0, NULL);
        for (size_t i = 0; i < build->disk->n_partitions && r == 0; i++) {
                const VmPartition *partition = &build->disk->partitions[i];

                r = add_part(build, launch_plan_find_file(plan, partition->file),
                             build->partitions[i].offset_bytes, partition->writable);
                if (r == 0)
                        r = add_padding(build, &build->partitions[i]);
        }
        if (r == 0)
                r = add_bytes(build, "vivarium-gpt-tail", build->gpt.tail, build->gpt.tail_size,
                              build->gpt.tail_offset, NULL);
        build->spec.size = build->gpt.disk_size;
        return r;
}

static int write_spec(Build *build, int *ret_fd) {
        _cleanup_(freep) void *data = NULL;
        size_t len;
        int fd, r;

        r = composite_encode(&build->spec, &data, &len);
        if (r < 0)
                return r;
        fd = fd_memfd_from("vivarium-composite", data, len);
        if (fd < 0)
                return fd;
        r = fd_set_add_consume(build->owned, fd);
        if (r == 0)
                *ret_fd = fd;
        return r;
}

/**
 * composite_disk_build() - the composite file of disk @disk_index, which has partitions
 * @map:    gets every file the disk is made of
 * @owned:  gets the anonymous files; must live until the map has been applied
 * @ret_fd: the composite file, borrowed from @owned and not in @map yet
 *
 * Return: 0; negative errno with a sentence that begins with the JSON path in @reterr.
 */
int composite_disk_build(const LaunchPlan *plan, size_t disk_index, FdMap *map, FdSet *owned,
                         int *ret_fd, TextError *reterr) {
        _cleanup_(build_freep) Build *build = calloc(1, sizeof(*build));
        uint8_t disk_guid[16];
        int r;

        if (!build)
                return -ENOMEM;
        build->disk = &plan->config.disks[disk_index];
        build->index = disk_index;
        build->map = map;
        build->owned = owned;
        build->filler = -EBADF;
        r = measure(build, plan, reterr);
        if (r < 0)
                return r;
        choose_guids(build, disk_guid);
        r = gpt_build(build->partitions, build->disk->n_partitions, disk_guid, &build->gpt, reterr);
        if (r == 0)
                r = add_parts(build, plan);
        if (r == 0)
                r = write_spec(build, ret_fd);
        return r < 0 ? text_error_prefix(reterr, r, "disks[%zu]", disk_index) : 0;
}
