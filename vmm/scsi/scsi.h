/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A SCSI disk as a controller sees it: a logical unit that takes command descriptor blocks and ends each with a status and
 * sense data (SAM-5, SPC-4, SBC-3). Its bytes are those of a BlockDev. How commands arrive is the controller's business.
 *
 * Threads: the loop's that the BlockDev was opened on, under one lock of the controller's.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/text_error.h"
#include "vmm/block/block.h"
#include "vmm/snapshot/snapshot.h"

#define SCSI_CDB_MAX 16u
#define SCSI_SENSE_LEN 18u

/* Bytes that one command may move. */
#define SCSI_TRANSFER_MAX (UINT32_C(16) << 20)

enum {
        SCSI_GOOD = 0x00,
        SCSI_CHECK_CONDITION = 0x02,
};

typedef struct ScsiDisk ScsiDisk;
typedef struct ScsiTask ScsiTask;

/* What went wrong, in SPC-4's numbers: sense key, additional sense code and its qualifier. */
typedef struct ScsiSense {
        uint8_t key, asc, ascq;
} ScsiSense;

/* News of a device's life that the next command is told of (SAM-5 section 5.14). */
#define SCSI_POWER_ON ((ScsiSense){0x06, 0x29, 0x00})
#define SCSI_DEVICE_RESET ((ScsiSense){0x06, 0x29, 0x03})
#define SCSI_NEXUS_LOSS ((ScsiSense){0x06, 0x29, 0x07})
#define SCSI_CAPACITY_CHANGED ((ScsiSense){0x06, 0x2a, 0x09})

typedef struct ScsiHandler {
        /* The image is done with a step of @task, from its loop and perhaps from inside a call of ours: take the lock, unless
         * it is held, and call scsi_task_proceed() with @r. */
        void (*stepped)(ScsiTask *task, int r);
        /* @task has its result, or none after scsi_disk_stop(); its buffers are in use no more. The lock is held. */
        void (*ended)(ScsiTask *task);
} ScsiHandler;

/* One command. It stays where it is until ended(). */
struct ScsiTask {
        /* Of the controller. */
        uint8_t cdb[SCSI_CDB_MAX]; /* zeros behind a shorter one */
        unsigned lun;
        bool to_disk;       /* which way the data goes */
        struct iovec *data; /* borrowed, and changed */
        unsigned n_data;
        uint64_t data_bytes;

        /* The result. */
        uint8_t status; /* SCSI_GOOD or SCSI_CHECK_CONDITION, of any use unless @overrun */
        bool overrun;   /* the command moves more than there is room for; nothing happened */
        uint64_t moved; /* of @data_bytes */
        uint8_t sense[SCSI_SENSE_LEN]; /* fixed format, for SCSI_CHECK_CONDITION */

        /* Of the disk. */
        ScsiDisk *disk;
        int (*next)(ScsiTask *task); /* starts what comes next: see scsi_internal.h */
        ScsiSense on_error;          /* for errors of the image that have no sense of their own */
        uint64_t offset, left;       /* bytes of the image */
        uint64_t end_moved;          /* @moved once it has succeeded */
        bool sync_first, sync_last, io;
        bool unmap;
        void *extra; /* owned; what some commands keep */
        unsigned n_extra, next_extra;
};

typedef struct ScsiDiskConfig {
        ScsiHandler handler;
        unsigned block_size; /* logical block in bytes: power of two, 512..4096 */
        unsigned target;     /* where it is, for its name */
        const char *id; /* serial number, optional, at most BLOCK_ID_MAX bytes of ASCII; copied */
} ScsiDiskConfig;

int scsi_disk_new(BlockDev *image, const ScsiDiskConfig *config, ScsiDisk **ret, TextError *reterr);
ScsiDisk *scsi_disk_free(ScsiDisk *disk);
DEFINE_CLEANUP(ScsiDisk *, scsi_disk_free)
void scsi_disk_stop(ScsiDisk *disk, bool stopped);
void scsi_disk_tell(ScsiDisk *disk, ScsiSense news);
void scsi_disk_submit(ScsiDisk *disk);
void scsi_disk_snapshot(ScsiDisk *disk, Snapshot *s);
int scsi_disk_resize(ScsiDisk *disk, uint64_t size_bytes);
void scsi_task_start(ScsiTask *task, ScsiDisk *disk);
void scsi_task_proceed(ScsiTask *task, int r);
