/* SPDX-License-Identifier: Apache-2.0 */

#include "base/be.h"
#include "vmm/scsi/scsi_internal.h"

/* Commands that end at once, with what there is to know: readiness, sense, logical units, size, mode pages. */

/** scsi_test_unit_ready() - it is */
void scsi_test_unit_ready(ScsiTask *task) {
        scsi_task_good(task);
}

/** scsi_request_sense() - news, which are then told; sense of a command comes along with its end (SPC-4 section 6.39) */
void scsi_request_sense(ScsiTask *task) {
        ScsiDisk *disk = task->disk;
        uint8_t data[SCSI_SENSE_LEN];

        scsi_sense_fill(data, task->lun != 0   ? SCSI_NO_UNIT
                              : disk->has_news ? disk->news
                                               : SCSI_NO_SENSE);
        if (task->lun == 0 && task->cdb[4] > 0)
                disk->has_news = false;
        scsi_task_reply(task, data, sizeof(data), task->cdb[4]);
}

/** scsi_report_luns() - number 0, and no well-known one (SPC-4 section 6.33) */
void scsi_report_luns(ScsiTask *task) {
        const uint32_t room = be32_load(task->cdb + 6);
        const uint8_t which = task->cdb[2];
        uint8_t data[16] = {0};

        if (which > 2 || room < 16) {
                scsi_task_fail_field(task, which > 2 ? 2 : 6);
                return;
        }
        be32_store(data, which == 1 ? 0 : 8);
        scsi_task_reply(task, data, which == 1 ? 8 : 16, room);
}

/* ---- size (SBC-3) ---- */

/** scsi_read_capacity_10() - the last block, if 32 bits hold it, and the size of one */
void scsi_read_capacity_10(ScsiTask *task) {
        const uint64_t last = task->disk->n_blocks - 1;
        uint8_t data[8];

        be32_store(data, (uint32_t) MIN(last, (uint64_t) UINT32_MAX));
        be32_store(data + 4, task->disk->block_size);
        scsi_task_reply(task, data, sizeof(data), sizeof(data));
}

/** scsi_read_capacity_16() - the same for all sizes, physical blocks, and whether blocks can be unmapped */
void scsi_read_capacity_16(ScsiTask *task) {
        const ScsiDisk *disk = task->disk;
        uint8_t data[32] = {0};

        be64_store(data, disk->n_blocks - 1);
        be32_store(data + 8, disk->block_size);
        data[13] = disk->physical_exponent;
        data[14] = disk->thin ? 0x80 : 0;
        scsi_task_reply(task, data, sizeof(data), be32_load(task->cdb + 10));
}

/* ---- modes (SPC-4 section 7.5, SBC-3); there is none that could be changed ---- */

#define MODE_HEAD_MAX 8u
#define MODE_BLOCK_LEN 8u
#define MODE_PAGES_MAX 64u

#define PAGE_CACHING 0x08u
#define PAGE_CONTROL 0x0au
#define PAGE_ALL 0x3fu

enum { MODE_CURRENT, MODE_CHANGEABLE, MODE_DEFAULT, MODE_SAVED };

static size_t caching_page(uint8_t *at, bool changeable) {
        at[0] = PAGE_CACHING;
        at[1] = 18;
        if (!changeable)
                at[2] = 0x04; /* writes are cached */
        return 20;
}

static size_t control_page(uint8_t *at, bool changeable) {
        at[0] = PAGE_CONTROL;
        at[1] = 10;
        if (!changeable)
                at[3] = 0x10; /* commands may overtake each other */
        return 12;
}

/* Return: bytes put; 0 for a page that there is none of. */
static size_t mode_pages(uint8_t *at, uint8_t page, bool changeable) {
        size_t len = 0;

        if (page == PAGE_CACHING || page == PAGE_ALL)
                len += caching_page(at + len, changeable);
        if (page == PAGE_CONTROL || page == PAGE_ALL)
                len += control_page(at + len, changeable);
        return len;
}

static size_t block_descriptor(const ScsiDisk *disk, uint8_t *at) {
        be32_store(at, (uint32_t) MIN(disk->n_blocks, (uint64_t) UINT32_MAX));
        be32_store(at + 4, disk->block_size); /* in its lower 24 bits */
        return MODE_BLOCK_LEN;
}

/* @head: bytes before the block descriptor, 4 or 8, whose form is the CDB's. */
static void mode_sense(ScsiTask *task, size_t head, uint64_t room) {
        const ScsiDisk *disk = task->disk;
        const uint8_t control = task->cdb[2] >> 6, page = task->cdb[2] & 0x3f,
                      subpage = task->cdb[3];
        const uint8_t specific = (uint8_t) (0x10 | (disk->image->read_only ? 0x80 : 0));
        uint8_t data[MODE_HEAD_MAX + MODE_BLOCK_LEN + MODE_PAGES_MAX] = {0};
        const bool block = !(task->cdb[1] & 0x08);
        size_t len = head, pages;

        if (control == MODE_SAVED) {
                scsi_task_fail(task, SCSI_NO_SAVING);
                return;
        }
        if (block)
                len += block_descriptor(disk, data + len);
        pages = mode_pages(data + len, page, control == MODE_CHANGEABLE);
        if (pages == 0 || (subpage != 0 && !(subpage == 0xff && page == PAGE_ALL))) {
                scsi_task_fail_field(task, pages == 0 ? 2 : 3);
                return;
        }
        len += pages;
        if (head == 4) {
                data[0] = (uint8_t) (len - 1);
                data[2] = specific;
                data[3] = block ? MODE_BLOCK_LEN : 0;
        } else {
                be16_store(data, (uint16_t) (len - 2));
                data[3] = specific;
                be16_store(data + 6, block ? MODE_BLOCK_LEN : 0);
        }
        scsi_task_reply(task, data, len, room);
}

/** scsi_mode_sense_6() - mode pages behind a head of four bytes */
void scsi_mode_sense_6(ScsiTask *task) {
        mode_sense(task, 4, task->cdb[4]);
}

/** scsi_mode_sense_10() - mode pages behind a head of eight bytes */
void scsi_mode_sense_10(ScsiTask *task) {
        mode_sense(task, 8, be16_load(task->cdb + 7));
}
