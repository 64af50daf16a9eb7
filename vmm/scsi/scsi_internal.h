/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The parts of a SCSI disk: disk.c is its life and that of a task, commands.c the table of what it knows. */

#include "vmm/scsi/scsi.h"

struct ScsiDisk {
        BlockDev *image; /* owned */
        ScsiHandler handler;
        uint32_t block_size;
        uint8_t physical_exponent; /* logical blocks in a physical one, as a power of two */
        uint64_t n_blocks;
        unsigned target;
        char id[BLOCK_ID_MAX + 1]; /* empty: it has none */
        bool thin;                 /* what is unmapped goes back to the host */
        bool stopped;              /* tasks take no further step */
        bool has_news;
        ScsiSense news;
};

#define SCSI_NO_SENSE ((ScsiSense){0x00, 0x00, 0x00})
#define SCSI_READ_ERROR ((ScsiSense){0x03, 0x11, 0x00})
#define SCSI_WRITE_ERROR ((ScsiSense){0x03, 0x0c, 0x00})
#define SCSI_TARGET_FAILURE ((ScsiSense){0x04, 0x44, 0x00})
#define SCSI_LIST_LENGTH ((ScsiSense){0x05, 0x1a, 0x00})
#define SCSI_INVALID_COMMAND ((ScsiSense){0x05, 0x20, 0x00})
#define SCSI_OUT_OF_RANGE ((ScsiSense){0x05, 0x21, 0x00})
#define SCSI_INVALID_CDB ((ScsiSense){0x05, 0x24, 0x00})
#define SCSI_NO_UNIT ((ScsiSense){0x05, 0x25, 0x00})
#define SCSI_INVALID_LIST ((ScsiSense){0x05, 0x26, 0x00})
#define SCSI_NO_SAVING ((ScsiSense){0x05, 0x39, 0x00})
#define SCSI_WRITE_PROTECTED ((ScsiSense){0x07, 0x27, 0x00})
#define SCSI_NO_SPACE ((ScsiSense){0x07, 0x27, 0x07})

/* What ScsiTask.next may return besides a negative errno and 0, after which the image calls scsi_step_done(). */
enum { SCSI_E_FINISHED = 1 };

#define SCSI_NO_ACTION 0xffu

/* Blocks of one UNMAP or WRITE SAME, and block descriptors of one UNMAP. */
#define SCSI_RANGE_BYTES_MAX (UINT64_C(1) << 31)
#define SCSI_UNMAP_RANGES_MAX 64u

typedef struct ScsiCommand {
        uint8_t opcode;
        uint8_t action;  /* SCSI_NO_ACTION, or the service action in bits 0 to 4 of byte 1 */
        uint8_t len;     /* of the CDB */
        bool keeps_news; /* runs while there are news, which stay */
        bool any_unit;   /* answers for a logical unit that is not there, too */
        bool thin;       /* of disks that give blocks back alone */
        void (*run)(ScsiTask *task);
        uint8_t usage
                [SCSI_CDB_MAX]; /* bits of the CDB that mean something; byte 0 is the operation code */
} ScsiCommand;

/* commands.c */
const ScsiCommand *scsi_command_find(const ScsiDisk *disk, uint8_t opcode, uint8_t action);
bool scsi_command_has_actions(uint8_t opcode);
void scsi_report_commands(ScsiTask *task);

/* disk.c: every command ends in one of these, or in scsi_task_run() */
void scsi_task_good(ScsiTask *task);
void scsi_task_fail(ScsiTask *task, ScsiSense sense);
void scsi_task_fail_field(ScsiTask *task, unsigned at);
void scsi_task_overrun(ScsiTask *task);
void scsi_task_reply(ScsiTask *task, const void *data, size_t len, uint64_t room);
void scsi_task_run(ScsiTask *task, int (*next)(ScsiTask *task));
void scsi_step_done(void *userdata, int r);
void scsi_sense_fill(uint8_t *data, ScsiSense sense);

/* inquiry.c */
void scsi_inquiry(ScsiTask *task);

/* parameters.c */
void scsi_test_unit_ready(ScsiTask *task);
void scsi_request_sense(ScsiTask *task);
void scsi_report_luns(ScsiTask *task);
void scsi_read_capacity_10(ScsiTask *task);
void scsi_read_capacity_16(ScsiTask *task);
void scsi_mode_sense_6(ScsiTask *task);
void scsi_mode_sense_10(ScsiTask *task);

/* transfer.c */
bool scsi_take_range(ScsiTask *task, uint64_t lba, uint64_t n_blocks);
void scsi_read_6(ScsiTask *task);
void scsi_read_10(ScsiTask *task);
void scsi_read_12(ScsiTask *task);
void scsi_read_16(ScsiTask *task);
void scsi_write_6(ScsiTask *task);
void scsi_write_10(ScsiTask *task);
void scsi_write_12(ScsiTask *task);
void scsi_write_16(ScsiTask *task);
void scsi_synchronize_cache_10(ScsiTask *task);
void scsi_synchronize_cache_16(ScsiTask *task);

/* provisioning.c */
void scsi_unmap(ScsiTask *task);
void scsi_write_same_10(ScsiTask *task);
void scsi_write_same_16(ScsiTask *task);
