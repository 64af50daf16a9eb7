/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/be.h"
#include "vmm/scsi/scsi_internal.h"

/* Who the disk is and what it can: INQUIRY (SPC-4 section 6.6) and its pages of vital product data (SPC-4 section 7.8, SBC-3). */

#define VENDOR "VIVARIUM"
#define PRODUCT "SCSI DISK       "
#define REVISION "1.0 "

#define NO_DEVICE 0x7f /* peripheral qualifier and type: no logical unit can be there */

#define STANDARD_LEN 64u
#define PAGE_MAX 64u
#define PAGE_HEAD 4u

/* Version descriptors. */
#define SAM_5 0x00a0
#define SPC_4 0x0460
#define SBC_3 0x04c0

static void standard(ScsiTask *task, uint64_t room) {
        uint8_t data[STANDARD_LEN] = {
                [2] = 0x06,             /* SPC-4 */
                [3] = 0x12,             /* hierarchical LUNs, data in today's format */
                [4] = STANDARD_LEN - 5, /* bytes that follow */
                [7] = 0x02,             /* more than one command at a time */
        };

        data[0] = task->lun == 0 ? 0 : NO_DEVICE;
        memcpy(data + 8, VENDOR, 8);
        memcpy(data + 16, PRODUCT, 16);
        memcpy(data + 32, REVISION, 4);
        be16_store(data + 58, SAM_5);
        be16_store(data + 60, SPC_4);
        be16_store(data + 62, SBC_3);
        scsi_task_reply(task, data, sizeof(data), room);
}

/* ---- pages; each returns how many bytes it put at @at, where all is zero ---- */

static size_t serial_page(const ScsiDisk *disk, uint8_t *at) {
        size_t len = strlen(disk->id);

        if (len == 0) { /* not available: spaces */
                memset(at, ' ', 4);
                return 4;
        }
        memcpy(at, disk->id, len);
        return len;
}

/* With a serial number a name that nobody else has; without one the place on this controller. */
static size_t identification_page(const ScsiDisk *disk, uint8_t *at) {
        char *text = (char *) at + 4;
        size_t len;

        if (disk->id[0])
                len = (size_t) snprintf(text, PAGE_MAX - PAGE_HEAD - 4, VENDOR "%s", disk->id);
        else
                len = (size_t) snprintf(text, PAGE_MAX - PAGE_HEAD - 4, "target-%u", disk->target);
        at[0] = 0x02; /* ASCII */
        at[1] = disk->id[0]
                        ? 1
                        : 0; /* of the logical unit: T10 vendor identification, or vendor's own */
        at[3] = (uint8_t) len;
        return 4 + len;
}

static size_t limits_page(const ScsiDisk *disk, uint8_t *at) {
        const uint32_t physical = UINT32_C(1) << disk->physical_exponent;
        const uint32_t range = (uint32_t) (SCSI_RANGE_BYTES_MAX / disk->block_size);

        at[0] = 0x01; /* WRITE SAME of no blocks is not one of all blocks */
        be16_store(at + 2, (uint16_t) physical);
        be32_store(at + 4, SCSI_TRANSFER_MAX / disk->block_size);
        if (disk->thin) {
                be32_store(at + 16, range);
                be32_store(at + 20, SCSI_UNMAP_RANGES_MAX);
                be32_store(at + 24, physical);
                be32_store(at + 28, UINT32_C(1) << 31); /* an alignment of 0 */
        }
        be64_store(at + 32, range);
        return 60;
}

static size_t characteristics_page(const ScsiDisk *disk, uint8_t *at) {
        be16_store(at, 0x0001); /* does not rotate */
        return 60;
}

static size_t provisioning_page(const ScsiDisk *disk, uint8_t *at) {
        if (disk->thin) {
                at[1] = 0xe0; /* UNMAP, WRITE SAME (16) and (10) give blocks back */
                at[2] = 0x02;
        }
        return 4;
}

static const struct {
        uint8_t code;
        size_t (*fill)(const ScsiDisk *disk, uint8_t *at);
} pages[] = {
        {0x80, serial_page},          {0x83, identification_page}, {0xb0, limits_page},
        {0xb1, characteristics_page}, {0xb2, provisioning_page},
};

static size_t list_page(uint8_t *at) {
        at[0] = 0x00;
        for (size_t i = 0; i < ELEMENTSOF(pages); i++)
                at[1 + i] = pages[i].code;
        return 1 + ELEMENTSOF(pages);
}

static void vital_product_data(ScsiTask *task, uint8_t code, uint64_t room) {
        uint8_t data[PAGE_HEAD + PAGE_MAX] = {[1] = code};
        size_t len = 0;

        if (code == 0x00)
                len = list_page(data + PAGE_HEAD);
        for (size_t i = 0; i < ELEMENTSOF(pages); i++)
                if (pages[i].code == code)
                        len = pages[i].fill(task->disk, data + PAGE_HEAD);
        if (len == 0 || task->lun != 0) {
                scsi_task_fail_field(task, 2);
                return;
        }
        be16_store(data + 2, (uint16_t) len);
        scsi_task_reply(task, data, PAGE_HEAD + len, room);
}

/** scsi_inquiry() - what is there, also where nothing is */
void scsi_inquiry(ScsiTask *task) {
        const bool vital = task->cdb[1] & 0x01;
        const uint8_t code = task->cdb[2];
        const uint64_t room = be16_load(task->cdb + 3);

        if (vital)
                vital_product_data(task, code, room);
        else if (code != 0)
                scsi_task_fail_field(task, 2);
        else
                standard(task, room);
}
