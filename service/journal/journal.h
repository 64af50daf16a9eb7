/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The systemd journal as the sink of log lines, and the events that have a message id there. */

#include <stdbool.h>

#include "base/log.h"
#include "service/policy/audit.h"
#include "service/request.h"
#include "service/vm/vm.h"

/* systemd/vivarium.catalog explains it. */
#define JOURNAL_MESSAGE_VM_DIED "76c5f04ca91f4b6d851c77331adeb443"
#define JOURNAL_MESSAGE_VM_CREATION_REQUESTED "6e71c9c5a74549e4a77370cda01f62a2"
#define JOURNAL_MESSAGE_VM_BOOTED "334c246e0cf44ddaa9e7fc14c0ed5586"
#define JOURNAL_MESSAGE_VM_AUDIT "6f6d0b6bd3d54d9f9d2c4ac0a7e7a0b1"

/* A call of CreateVm(), whatever came of it. */
typedef struct CreationEvent {
        uint32_t uid;
        const VmRequest *request; /* as far as it could be read */
        const VmInfo *vm;         /* NULL when the VM was refused */
        const char *error_name;   /* D-Bus name of the refusal, or NULL */
        const char *error_text;
} CreationEvent;

bool journal_is_stderr(void);
int journal_open(const char *path);
bool journal_is_open(void);
void journal_sink(LogLevel level, const char *vm, const char *line);
void journal_creation(const CreationEvent *creation, bool journal);
void journal_boot(const VmInfo *info, bool journal);
void journal_death(const VmInfo *info, bool journal);
void journal_audit(const AuditEvent *event, LogLevel level, const char *comm, const char *text);
