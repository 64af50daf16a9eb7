/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/be.h"
#include "base/iov.h"
#include "vmm/scsi/scsi_internal.h"

/* UNMAP and WRITE SAME (SBC-3): many blocks, few bytes on the way. */

/* ---- UNMAP ---- */

#define LIST_HEAD 8u
#define LIST_ITEM 16u

typedef struct Range {
        uint64_t offset, len; /* bytes */
} Range;

static int next_unmap(ScsiTask *task) {
        BlockDev *image = task->disk->image;
        const Range *range = (const Range *) task->extra + task->next_extra;

        if (task->next_extra == task->n_extra)
                return SCSI_E_FINISHED;
        task->next_extra++;
        return image->ops->discard(image, range->offset, range->len, scsi_step_done, task);
}

/* Return: false when @task has ended. */
static bool take_ranges(ScsiTask *task, const uint8_t *list, unsigned n) {
        Range *ranges = calloc(n, sizeof(*ranges));

        if (!ranges) {
                scsi_task_fail(task, SCSI_TARGET_FAILURE);
                return false;
        }
        task->extra = ranges;
        task->n_extra = n;
        for (unsigned i = 0; i < n; i++) {
                const uint8_t *item = list + LIST_HEAD + LIST_ITEM * i;

                if (!scsi_take_range(task, be64_load(item), be32_load(item + 8)))
                        return false;
                if (task->left > SCSI_RANGE_BYTES_MAX) {
                        scsi_task_fail(task, SCSI_INVALID_LIST);
                        return false;
                }
                ranges[i] = (Range){.offset = task->offset, .len = task->left};
        }
        return true;
}

/** scsi_unmap() - the blocks of a list may go back to the host, and read as anything */
void scsi_unmap(ScsiTask *task) {
        const uint64_t len = be16_load(task->cdb + 7);
        uint8_t list[LIST_HEAD + LIST_ITEM * SCSI_UNMAP_RANGES_MAX];
        unsigned n;

        if (len == 0) {
                scsi_task_good(task);
                return;
        }
        if (!task->to_disk || len > task->data_bytes) {
                scsi_task_overrun(task);
                return;
        }
        if (len < LIST_HEAD) {
                scsi_task_fail(task, SCSI_LIST_LENGTH);
                return;
        }
        (void) iov_gather(task->data, task->n_data, 0, list,
                          (size_t) MIN(len, (uint64_t) sizeof(list)));
        n = MIN(be16_load(list + 2), (unsigned) (len - LIST_HEAD)) / LIST_ITEM;
        if (n > SCSI_UNMAP_RANGES_MAX) {
                scsi_task_fail(task, SCSI_INVALID_LIST);
                return;
        }
        task->end_moved = len;
        task->on_error = SCSI_WRITE_ERROR;
        if (n == 0) {
                task->moved = len;
                scsi_task_good(task);
        } else if (take_ranges(task, list, n))
                scsi_task_run(task, next_unmap);
}

/* ---- WRITE SAME ---- */

#define PATTERN_COPIES 256u /* in one write */

typedef struct Pattern {
        struct iovec iov[PATTERN_COPIES]; /* all of @block */
        uint8_t block[4096];
} Pattern;

static int next_zeroes(ScsiTask *task) {
        BlockDev *image = task->disk->image;

        if (!task->io)
                return SCSI_E_FINISHED;
        task->io = false;
        return image->ops->write_zeroes(image, task->offset, task->left, task->unmap,
                                        scsi_step_done, task);
}

static int next_copies(ScsiTask *task) {
        Pattern *pattern = task->extra;
        BlockDev *image = task->disk->image;
        const uint32_t block = task->disk->block_size;
        const uint64_t offset = task->offset,
                       n = MIN(task->left / block, (uint64_t) PATTERN_COPIES);

        if (n == 0)
                return SCSI_E_FINISHED;
        task->offset += n * block;
        task->left -= n * block;
        return image->ops->writev(image, offset, pattern->iov, (unsigned) n, scsi_step_done, task);
}

static bool is_zero(const uint8_t *bytes, size_t len) {
        return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

/* @pattern: as no data buffer, all zeros. */
static void write_pattern(ScsiTask *task, Pattern *pattern) {
        const uint32_t block = task->disk->block_size;

        task->extra = pattern;
        task->on_error = SCSI_WRITE_ERROR;
        if (is_zero(pattern->block, block) && task->disk->image->ops->write_zeroes) {
                task->io = true;
                scsi_task_run(task, next_zeroes);
                return;
        }
        for (unsigned i = 0; i < PATTERN_COPIES; i++)
                pattern->iov[i] = (struct iovec){.iov_base = pattern->block, .iov_len = block};
        scsi_task_run(task, next_copies);
}

/* @no_data: the CDB says that the blocks become zeros. */
static void write_same(ScsiTask *task, uint64_t lba, uint64_t n_blocks, bool no_data) {
        const ScsiDisk *disk = task->disk;
        Pattern *pattern;

        if (disk->image->read_only) {
                scsi_task_fail(task, SCSI_WRITE_PROTECTED);
                return;
        }
        task->unmap = task->cdb[1] & 0x08;
        if (task->unmap && !disk->thin) {
                scsi_task_fail_field(task, 1);
                return;
        }
        if (n_blocks == 0 || n_blocks > SCSI_RANGE_BYTES_MAX / disk->block_size) {
                scsi_task_fail(task, SCSI_INVALID_CDB);
                return;
        }
        if (!scsi_take_range(task, lba, n_blocks))
                return;
        if (!no_data && (!task->to_disk || task->data_bytes < disk->block_size)) {
                scsi_task_overrun(task);
                return;
        }
        pattern = calloc(1, sizeof(*pattern));
        if (!pattern) {
                scsi_task_fail(task, SCSI_TARGET_FAILURE);
                return;
        }
        if (!no_data)
                task->end_moved =
                        iov_gather(task->data, task->n_data, 0, pattern->block, disk->block_size);
        write_pattern(task, pattern);
}

/** scsi_write_same_10() - one block over and over; zeros may be unmapped if the CDB says so */
void scsi_write_same_10(ScsiTask *task) {
        write_same(task, be32_load(task->cdb + 2), be16_load(task->cdb + 7), /* no_data= */ false);
}

/** scsi_write_same_16() - the same, and zeros need not be sent */
void scsi_write_same_16(ScsiTask *task) {
        write_same(task, be64_load(task->cdb + 2), be32_load(task->cdb + 10), task->cdb[1] & 0x01);
}
