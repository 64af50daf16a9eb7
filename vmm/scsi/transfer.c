/* SPDX-License-Identifier: Apache-2.0 */
#include "base/be.h"
#include "base/iov.h"
#include "vmm/scsi/scsi_internal.h"

/* READ, WRITE and SYNCHRONIZE CACHE in all their lengths (SBC-3). */

#define FUA 0x08

/**
 * scsi_take_range() - note the blocks that a command is about
 *
 * Return: true; false when they are not all on the disk, and @task has ended.
 */
bool scsi_take_range(ScsiTask *task, uint64_t lba, uint64_t n_blocks) {
        const ScsiDisk *disk = task->disk;

        if (lba > disk->n_blocks || n_blocks > disk->n_blocks - lba) {
                scsi_task_fail(task, SCSI_OUT_OF_RANGE);
                return false;
        }
        task->offset = lba * disk->block_size;
        task->left = n_blocks * disk->block_size;
        return true;
}

static int start_io(ScsiTask *task) {
        BlockDev *image = task->disk->image;

        return (task->to_disk ? image->ops->writev : image->ops->readv)(
                image, task->offset, task->data, task->n_data, scsi_step_done, task);
}

static int next_step(ScsiTask *task) {
        BlockDev *image = task->disk->image;
        bool *const syncs[] = {&task->sync_first, &task->sync_last};

        for (unsigned i = 0; i < ELEMENTSOF(syncs); i++) {
                if (i == 1 && task->io) {
                        task->io = false;
                        return start_io(task);
                }
                if (*syncs[i]) {
                        *syncs[i] = false;
                        return image->ops->flush(image, scsi_step_done, task);
                }
        }
        return SCSI_E_FINISHED;
}

/* What is written through to the medium is synced after the write; what is read from there, before. */
static void transfer(ScsiTask *task, uint64_t lba, uint64_t n_blocks, bool to_disk, bool through) {
        const ScsiDisk *disk = task->disk;
        uint64_t len;

        if (to_disk && disk->image->read_only) {
                scsi_task_fail(task, SCSI_WRITE_PROTECTED);
                return;
        }
        if (!scsi_take_range(task, lba, n_blocks))
                return;
        len = task->left;
        if (len > SCSI_TRANSFER_MAX) {
                scsi_task_fail(task, SCSI_INVALID_CDB);
                return;
        }
        if (len > 0 && (task->to_disk != to_disk || len > task->data_bytes)) {
                scsi_task_overrun(task);
                return;
        }
        task->n_data = iov_slice(task->data, task->n_data, 0, len, task->data);
        task->io = len > 0;
        task->sync_first = through && !to_disk && !disk->image->read_only;
        task->sync_last = through && to_disk;
        task->end_moved = len;
        task->on_error = to_disk ? SCSI_WRITE_ERROR : SCSI_READ_ERROR;
        scsi_task_run(task, next_step);
}

static void transfer_6(ScsiTask *task, bool to_disk) {
        const uint32_t lba = be32_load(task->cdb) & 0x1fffff;

        transfer(task, lba, task->cdb[4] ?: 256u, to_disk, /* through= */ false);
}

static void transfer_10(ScsiTask *task, bool to_disk) {
        transfer(task, be32_load(task->cdb + 2), be16_load(task->cdb + 7), to_disk,
                 task->cdb[1] & FUA);
}

static void transfer_12(ScsiTask *task, bool to_disk) {
        transfer(task, be32_load(task->cdb + 2), be32_load(task->cdb + 6), to_disk,
                 task->cdb[1] & FUA);
}

static void transfer_16(ScsiTask *task, bool to_disk) {
        transfer(task, be64_load(task->cdb + 2), be32_load(task->cdb + 10), to_disk,
                 task->cdb[1] & FUA);
}

/** scsi_read_6() - a block number of 21 bits, 1 to 256 blocks */
void scsi_read_6(ScsiTask *task) {
        transfer_6(task, false);
}

/** scsi_read_10() - 32 and 16 bits */
void scsi_read_10(ScsiTask *task) {
        transfer_10(task, false);
}

/** scsi_read_12() - 32 and 32 bits */
void scsi_read_12(ScsiTask *task) {
        transfer_12(task, false);
}

/** scsi_read_16() - 64 and 32 bits */
void scsi_read_16(ScsiTask *task) {
        transfer_16(task, false);
}

/** scsi_write_6() - as scsi_read_6() */
void scsi_write_6(ScsiTask *task) {
        transfer_6(task, true);
}

/** scsi_write_10() - as scsi_read_10() */
void scsi_write_10(ScsiTask *task) {
        transfer_10(task, true);
}

/** scsi_write_12() - as scsi_read_12() */
void scsi_write_12(ScsiTask *task) {
        transfer_12(task, true);
}

/** scsi_write_16() - as scsi_read_16() */
void scsi_write_16(ScsiTask *task) {
        transfer_16(task, true);
}

/* All of the cache goes; the range is only checked. Who wants no answer before the end has it at the end, too. */
static void synchronize(ScsiTask *task, uint64_t lba, uint64_t n_blocks) {
        if (!scsi_take_range(task, lba, n_blocks))
                return;
        task->sync_first = !task->disk->image->read_only;
        task->on_error = SCSI_WRITE_ERROR;
        scsi_task_run(task, next_step);
}

/** scsi_synchronize_cache_10() - what was written is on the medium */
void scsi_synchronize_cache_10(ScsiTask *task) {
        synchronize(task, be32_load(task->cdb + 2), be16_load(task->cdb + 7));
}

/** scsi_synchronize_cache_16() - the same */
void scsi_synchronize_cache_16(ScsiTask *task) {
        synchronize(task, be64_load(task->cdb + 2), be32_load(task->cdb + 10));
}
