/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <string.h>

#include "base/be.h"
#include "vmm/scsi/scsi_internal.h"

/*
 * The commands of the disk. The bits of a CDB that mean something are in the table; a CDB that sets any other is refused, and
 * who asks is told of them (REPORT SUPPORTED OPERATION CODES). Protection information, autosense's rivals (NACA) and
 * reservations are not there, so neither are their bits.
 */

#define FUA_DPO 0x18
#define GROUP 0x3f /* hints on what belongs together, which may be ignored */

static const ScsiCommand commands[] = {
        {.opcode = 0x00,
         .action = SCSI_NO_ACTION,
         .len = 6,
         .run = scsi_test_unit_ready,
         .usage = {0x00}},
        {.opcode = 0x03,
         .action = SCSI_NO_ACTION,
         .len = 6,
         .keeps_news = true,
         .any_unit = true,
         .run = scsi_request_sense,
         .usage = {0x03, 0x00, 0x00, 0x00, 0xff, 0x00}},
        {.opcode = 0x08,
         .action = SCSI_NO_ACTION,
         .len = 6,
         .run = scsi_read_6,
         .usage = {0x08, 0x1f, 0xff, 0xff, 0xff, 0x00}},
        {.opcode = 0x0a,
         .action = SCSI_NO_ACTION,
         .len = 6,
         .run = scsi_write_6,
         .usage = {0x0a, 0x1f, 0xff, 0xff, 0xff, 0x00}},
        {.opcode = 0x12,
         .action = SCSI_NO_ACTION,
         .len = 6,
         .keeps_news = true,
         .any_unit = true,
         .run = scsi_inquiry,
         .usage = {0x12, 0x01, 0xff, 0xff, 0xff, 0x00}},
        {.opcode = 0x1a,
         .action = SCSI_NO_ACTION,
         .len = 6,
         .run = scsi_mode_sense_6,
         .usage = {0x1a, 0x08, 0xff, 0xff, 0xff, 0x00}},
        {.opcode = 0x25,
         .action = SCSI_NO_ACTION,
         .len = 10,
         .run = scsi_read_capacity_10,
         .usage = {0x25}},
        {.opcode = 0x28,
         .action = SCSI_NO_ACTION,
         .len = 10,
         .run = scsi_read_10,
         .usage = {0x28, FUA_DPO, 0xff, 0xff, 0xff, 0xff, GROUP, 0xff, 0xff, 0x00}},
        {.opcode = 0x2a,
         .action = SCSI_NO_ACTION,
         .len = 10,
         .run = scsi_write_10,
         .usage = {0x2a, FUA_DPO, 0xff, 0xff, 0xff, 0xff, GROUP, 0xff, 0xff, 0x00}},
        {.opcode = 0x35,
         .action = SCSI_NO_ACTION,
         .len = 10,
         .run = scsi_synchronize_cache_10,
         .usage = {0x35, 0x02, 0xff, 0xff, 0xff, 0xff, GROUP, 0xff, 0xff, 0x00}},
        {.opcode = 0x41,
         .action = SCSI_NO_ACTION,
         .len = 10,
         .run = scsi_write_same_10,
         .usage = {0x41, 0x08, 0xff, 0xff, 0xff, 0xff, GROUP, 0xff, 0xff, 0x00}},
        {.opcode = 0x42,
         .action = SCSI_NO_ACTION,
         .len = 10,
         .thin = true,
         .run = scsi_unmap,
         .usage = {0x42, 0x00, 0x00, 0x00, 0x00, 0x00, GROUP, 0xff, 0xff, 0x00}},
        {.opcode = 0x5a,
         .action = SCSI_NO_ACTION,
         .len = 10,
         .run = scsi_mode_sense_10,
         .usage = {0x5a, 0x18, 0xff, 0xff, 0x00, 0x00, 0x00, 0xff, 0xff, 0x00}},
        {.opcode = 0x88,
         .action = SCSI_NO_ACTION,
         .len = 16,
         .run = scsi_read_16,
         .usage = {0x88, FUA_DPO, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                   0xff, GROUP, 0x00}},
        {.opcode = 0x8a,
         .action = SCSI_NO_ACTION,
         .len = 16,
         .run = scsi_write_16,
         .usage = {0x8a, FUA_DPO, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                   0xff, GROUP, 0x00}},
        {.opcode = 0x91,
         .action = SCSI_NO_ACTION,
         .len = 16,
         .run = scsi_synchronize_cache_16,
         .usage = {0x91, 0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                   0xff, GROUP, 0x00}},
        {.opcode = 0x93,
         .action = SCSI_NO_ACTION,
         .len = 16,
         .run = scsi_write_same_16,
         .usage = {0x93, 0x09, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                   0xff, GROUP, 0x00}},
        {.opcode = 0x9e,
         .action = 0x10,
         .len = 16,
         .run = scsi_read_capacity_16,
         .usage = {0x9e, 0x1f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
                   0xff, 0x00, 0x00}},
        {.opcode = 0xa0,
         .action = SCSI_NO_ACTION,
         .len = 12,
         .keeps_news = true,
         .any_unit = true,
         .run = scsi_report_luns,
         .usage = {0xa0, 0x00, 0xff, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00}},
        {.opcode = 0xa3,
         .action = 0x0c,
         .len = 12,
         .run = scsi_report_commands,
         .usage = {0xa3, 0x1f, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00}},
        {.opcode = 0xa8,
         .action = SCSI_NO_ACTION,
         .len = 12,
         .run = scsi_read_12,
         .usage = {0xa8, FUA_DPO, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, GROUP, 0x00}},
        {.opcode = 0xaa,
         .action = SCSI_NO_ACTION,
         .len = 12,
         .run = scsi_write_12,
         .usage = {0xaa, FUA_DPO, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, GROUP, 0x00}},
};

static bool is_there(const ScsiDisk *disk, const ScsiCommand *command) {
        return disk->thin || !command->thin;
}

/** scsi_command_find() - @disk's command with @opcode and, if it has any, the service action @action; NULL: there is none */
const ScsiCommand *scsi_command_find(const ScsiDisk *disk, uint8_t opcode, uint8_t action) {
        for (size_t i = 0; i < ELEMENTSOF(commands); i++) {
                const ScsiCommand *command = &commands[i];

                if (command->opcode == opcode && is_there(disk, command) &&
                    (command->action == SCSI_NO_ACTION || command->action == action))
                        return command;
        }
        return NULL;
}

/** scsi_command_has_actions() - whether there are commands with @opcode that are told apart by their service action */
bool scsi_command_has_actions(uint8_t opcode) {
        for (size_t i = 0; i < ELEMENTSOF(commands); i++)
                if (commands[i].opcode == opcode && commands[i].action != SCSI_NO_ACTION)
                        return true;
        return false;
}

/* ---- REPORT SUPPORTED OPERATION CODES (SPC-4 section 6.35) ---- */

#define TIMEOUTS_LEN 12u /* of a descriptor in which nothing is said */
#define DESCRIPTOR_LEN 8u
#define COMMANDS_MAX 64u

static void put_timeouts(uint8_t *at) {
        memset(at, 0, TIMEOUTS_LEN);
        be16_store(at, TIMEOUTS_LEN - 2);
}

static void report_all(ScsiTask *task, bool timeouts, uint64_t room) {
        uint8_t data[4 + COMMANDS_MAX * (DESCRIPTOR_LEN + TIMEOUTS_LEN)] = {0};
        size_t len = 4;

        _Static_assert(ELEMENTSOF(commands) <= COMMANDS_MAX, "the report has room for each");
        for (size_t i = 0; i < ELEMENTSOF(commands); i++) {
                const ScsiCommand *command = &commands[i];
                uint8_t *at = data + len;
                bool has_action = command->action != SCSI_NO_ACTION;

                if (!is_there(task->disk, command))
                        continue;
                at[0] = command->opcode;
                at[3] = has_action ? command->action : 0;
                at[5] = (uint8_t) ((has_action ? 0x01 : 0) | (timeouts ? 0x02 : 0));
                at[7] = command->len;
                len += DESCRIPTOR_LEN;
                if (timeouts) {
                        put_timeouts(data + len);
                        len += TIMEOUTS_LEN;
                }
        }
        be32_store(data, (uint32_t) (len - 4));
        scsi_task_reply(task, data, len, room);
}

static void report_one(ScsiTask *task, const ScsiCommand *command, bool timeouts, uint64_t room) {
        uint8_t data[4 + SCSI_CDB_MAX + TIMEOUTS_LEN] = {[1] = 0x01}; /* not supported */
        size_t len = 4;

        if (command) {
                data[1] = (uint8_t) (0x03 | (timeouts ? 0x80 : 0)); /* as the standard has it */
                be16_store(data + 2, command->len);
                memcpy(data + len, command->usage, command->len);
                data[len] = command->opcode;
                if (command->action != SCSI_NO_ACTION)
                        data[len + 1] = command->action;
                len += command->len;
                if (timeouts) {
                        put_timeouts(data + len);
                        len += TIMEOUTS_LEN;
                }
        }
        scsi_task_reply(task, data, len, room);
}

/** scsi_report_commands() - which commands there are, or whether one is and what its CDB may say */
void scsi_report_commands(ScsiTask *task) {
        const uint8_t opcode = task->cdb[3];
        const uint16_t action = be16_load(task->cdb + 4);
        const uint64_t room = be32_load(task->cdb + 6);
        const bool timeouts = task->cdb[2] & 0x80, has_actions = scsi_command_has_actions(opcode);
        const ScsiCommand *command = scsi_command_find(
                task->disk, opcode, action < SCSI_NO_ACTION ? (uint8_t) action : 0xfe);

        switch (task->cdb[2] & 0x07) {
        case 0: /* all */
                report_all(task, timeouts, room);
                break;
        case 1: /* an operation code that has no service actions */
                if (has_actions)
                        scsi_task_fail_field(task, 2);
                else
                        report_one(task, command, timeouts, room);
                break;
        case 2: /* one that has */
                if (!has_actions)
                        scsi_task_fail_field(task, 2);
                else
                        report_one(task, command, timeouts, room);
                break;
        case 3: /* whichever it is */
                if (!has_actions && action != 0)
                        command = NULL;
                report_one(task, command, timeouts, room);
                break;
        default:
                scsi_task_fail_field(task, 2);
                break;
        }
}
