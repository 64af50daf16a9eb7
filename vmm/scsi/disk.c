/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/be.h"
#include "base/iov.h"
#include "vmm/scsi/scsi_internal.h"

/*
 * A task is looked up in the table of commands, which checks its CDB, and then either ends at once with parameter data or
 * goes through steps of the image, one at a time. Tasks are all simple ones: they may overtake each other.
 */

/* ---- the end of a task ---- */

static void end(ScsiTask *task) {
        free(task->extra);
        task->extra = NULL;
        task->disk->handler.ended(task);
}

/** scsi_sense_fill() - @sense in fixed format (SPC-4 section 4.5.3) */
void scsi_sense_fill(uint8_t *data, ScsiSense sense) {
        memset(data, 0, SCSI_SENSE_LEN);
        data[0] = 0x70; /* of this command */
        data[2] = sense.key;
        data[7] = SCSI_SENSE_LEN - 8;
        data[12] = sense.asc;
        data[13] = sense.ascq;
}

/** scsi_task_good() - the command did what it should; data have moved as @task says */
void scsi_task_good(ScsiTask *task) {
        task->status = SCSI_GOOD;
        end(task);
}

/** scsi_task_fail() - the command failed */
void scsi_task_fail(ScsiTask *task, ScsiSense sense) {
        task->status = SCSI_CHECK_CONDITION;
        task->moved = 0;
        scsi_sense_fill(task->sense, sense);
        end(task);
}

/** scsi_task_fail_field() - byte @at of the CDB is not to be had (SPC-4 section 4.5.2.4.2) */
void scsi_task_fail_field(ScsiTask *task, unsigned at) {
        task->status = SCSI_CHECK_CONDITION;
        task->moved = 0;
        scsi_sense_fill(task->sense, SCSI_INVALID_CDB);
        task->sense[15] = 0xc0; /* what follows is valid, and about the CDB */
        be16_store(task->sense + 16, (uint16_t) at);
        end(task);
}

/** scsi_task_overrun() - the CDB speaks of more bytes than came along */
void scsi_task_overrun(ScsiTask *task) {
        task->overrun = true;
        end(task);
}

/** scsi_task_reply() - end with as much of the @len bytes at @data as the CDB's allocation length @room lets through */
void scsi_task_reply(ScsiTask *task, const void *data, size_t len, uint64_t room) {
        if (room > (task->to_disk ? 0 : task->data_bytes)) {
                scsi_task_overrun(task);
                return;
        }
        task->moved =
                iov_scatter(task->data, task->n_data, 0, data, (size_t) MIN(room, (uint64_t) len));
        scsi_task_good(task);
}

/* ---- steps ---- */

static ScsiSense sense_of(const ScsiTask *task, int r) {
        switch (r) {
        case -EROFS:
        case -EPERM: /* the image's own rule, see raw.c */
                return SCSI_WRITE_PROTECTED;
        case -ENOSPC:
        case -EDQUOT:
                return SCSI_NO_SPACE;
        case -ENOMEM:
                return SCSI_TARGET_FAILURE;
        default:
                return task->on_error;
        }
}

static void take_step(ScsiTask *task) {
        int r = task->next(task);

        if (r < 0)
                scsi_task_fail(task, sense_of(task, r));
        if (r != SCSI_E_FINISHED)
                return;
        task->moved = task->end_moved;
        scsi_task_good(task);
}

/** scsi_task_run() - let @next start one step after the other until it is finished */
void scsi_task_run(ScsiTask *task, int (*next)(ScsiTask *task)) {
        task->next = next;
        take_step(task);
}

/** scsi_step_done() - the BlockDoneFn of all steps */
void scsi_step_done(void *userdata, int r) {
        ScsiTask *task = userdata;

        task->disk->handler.stepped(task, r);
}

/** scsi_task_proceed() - go on behind a step that ended with @r; the lock is held */
void scsi_task_proceed(ScsiTask *task, int r) {
        if (task->disk->stopped)
                end(task);
        else if (r < 0)
                scsi_task_fail(task, sense_of(task, r));
        else
                take_step(task);
}

/* ---- the start of a task ---- */

/* Which byte of the CDB has a bit that means nothing to us; the length of the CDB if there is none. */
static unsigned unknown_byte(const ScsiTask *task, const ScsiCommand *command) {
        unsigned at = 1;

        while (at < command->len && (task->cdb[at] & ~command->usage[at]) == 0)
                at++;
        return at;
}

/* News are told once, to the first command that is not about them. */
static bool tell_news(ScsiTask *task, const ScsiCommand *command) {
        ScsiDisk *disk = task->disk;

        if (!disk->has_news || command->keeps_news)
                return false;
        disk->has_news = false;
        scsi_task_fail(task, disk->news);
        return true;
}

/**
 * scsi_task_start() - perform a command
 * @task:  the controller's part is filled in, all else is zero
 *
 * ended() comes, perhaps before this returns.
 */
void scsi_task_start(ScsiTask *task, ScsiDisk *disk) {
        const ScsiCommand *command = scsi_command_find(disk, task->cdb[0], task->cdb[1] & 0x1f);
        unsigned at;

        task->disk = disk;
        if (task->lun != 0 && !(command && command->any_unit)) {
                scsi_task_fail(task, SCSI_NO_UNIT);
                return;
        }
        if (command && tell_news(task, command))
                return;
        if (!command && scsi_command_has_actions(task->cdb[0])) {
                scsi_task_fail_field(task, 1);
                return;
        }
        if (!command) {
                scsi_task_fail(task, SCSI_INVALID_COMMAND);
                return;
        }
        at = unknown_byte(task, command);
        if (at < command->len)
                scsi_task_fail_field(task, at);
        else
                command->run(task);
}

/* ---- life ---- */

/** scsi_disk_stop() - let tasks end at their next step, without a result, or no longer */
void scsi_disk_stop(ScsiDisk *disk, bool stopped) {
        disk->stopped = stopped;
}

/** scsi_disk_tell() - have the next command fail with @news, in place of older ones */
void scsi_disk_tell(ScsiDisk *disk, ScsiSense news) {
        disk->has_news = true;
        disk->news = news;
}

/** scsi_disk_submit() - hand all that tasks asked for to the host */
void scsi_disk_submit(ScsiDisk *disk) {
        block_submit(disk->image);
}

/**
 * scsi_disk_resize() - change the image; the next command is told
 * @size_bytes: see block_resize(), whose errors are returned; commands beyond a smaller end fail from now on
 */
int scsi_disk_resize(ScsiDisk *disk, uint64_t size_bytes) {
        int r = block_resize(disk->image, disk->block_size, size_bytes);

        if (r < 0)
                return r;
        disk->n_blocks = size_bytes / disk->block_size;
        scsi_disk_tell(disk, SCSI_CAPACITY_CHANGED);
        return 0;
}

/**
 * scsi_disk_snapshot() - save or restore the disk, which has no task; what is on it is the user's to keep with the snapshot
 *
 * A driver asks once for what a disk is, so all of that must be the same.
 */
void scsi_disk_snapshot(ScsiDisk *disk, Snapshot *s) {
        static const SnapshotField fields[] = {
                SNAPSHOT_BOOL(ScsiDisk, has_news),
                SNAPSHOT_UINT(ScsiDisk, news.key),
                SNAPSHOT_UINT(ScsiDisk, news.asc),
                SNAPSHOT_UINT(ScsiDisk, news.ascq),
        };

        snapshot_expect(s, "the size of a SCSI disk in blocks", disk->n_blocks);
        snapshot_expect(s, "the size of a block in bytes", disk->block_size);
        snapshot_expect(s, "whether a SCSI disk is read-only", disk->image->read_only);
        snapshot_expect(s, "whether a SCSI disk gives blocks back", disk->thin);
        snapshot_expect_text(s, "the serial number of a SCSI disk", disk->id);
        snapshot_members(s, fields, disk);
}

/** scsi_disk_free() - end what is under way, for which stepped() comes, and release; NULL is let pass. Return: NULL. */
ScsiDisk *scsi_disk_free(ScsiDisk *disk) {
        if (!disk)
                return NULL;
        disk->stopped = true;
        block_free(disk->image);
        free(disk);
        return NULL;
}

/**
 * scsi_disk_new() - a disk
 * @image:   consumed on success
 * @config:  copied
 *
 * Return: 0; -EINVAL with a sentence; -ENOMEM.
 */
int scsi_disk_new(BlockDev *image, const ScsiDiskConfig *config, ScsiDisk **ret,
                  TextError *reterr) {
        ScsiDisk *disk;
        int r;

        r = block_check_disk(image, config->block_size, config->id, reterr);
        if (r < 0)
                return r;
        if (image->size_bytes < config->block_size) /* READ CAPACITY tells of the last block */
                return text_error_set(reterr, -EINVAL, "the image has no block of %u bytes",
                                      config->block_size);
        disk = calloc(1, sizeof(*disk));
        if (!disk)
                return -ENOMEM;
        *disk = (ScsiDisk){
                .image = image,
                .handler = config->handler,
                .block_size = config->block_size,
                .n_blocks = image->size_bytes / config->block_size,
                .target = config->target,
                .physical_exponent = block_physical_exponent(image, config->block_size),
                .thin = !image->read_only && image->discards && image->ops->discard,
        };
        if (config->id)
                memcpy(disk->id, config->id, strlen(config->id));
        scsi_disk_tell(disk, SCSI_POWER_ON);
        *ret = disk;
        return 0;
}
