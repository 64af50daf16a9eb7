/* SPDX-License-Identifier: Apache-2.0 */
#include "service/policy/audit.h"

#define SD_JOURNAL_SUPPRESS_LOCATION 1 /* as in service/journal.c */
#include <systemd/sd-journal.h>

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

/* TASK_COMM_LEN of Linux, and room for what a later one may make of it. */
#define COMM_BYTES_MAX 64u

static void write_fields(const AuditEvent *event, LogLevel level, const char *comm,
                         const char *text) {
        (void) sd_journal_send("MESSAGE_ID=" AUDIT_MESSAGE_ID, "PRIORITY=%d", (int) level,
                               "MESSAGE=%s", text, "VM_CALLER_UID=%u", event->caller->uid,
                               "VM_CALLER_PID=%d", (int) event->caller->pid, "VM_CALLER_COMM=%s",
                               comm, "VM_CALL=%s", event->call, "VM_ACTION=%s", event->action,
                               "VM_VERDICT=%s", event->verdict, "VM_VERDICT_BASIS=%s", event->basis,
                               "VM=%s", event->vm ? event->vm->name : "", "VM_ID=%s",
                               event->vm ? event->vm->id : "", "VM_OWNER_UID=%d",
                               event->vm ? (int) event->vm->owner_uid : -1, NULL);
}

/**
 * audit_write() - one line about a call that was let through or refused
 * @limit:   for callers that are not privileged; NULL for those that are
 * @journal: with its fields to the journal; else the text alone to the log
 */
void audit_write(const AuditEvent *event, RateLimit *limit, bool journal) {
        const LogLevel level =
                str_eq(event->verdict, "allowed") ? LOG_LEVEL_INFO : LOG_LEVEL_NOTICE;
        char comm[COMM_BYTES_MAX], text[512];
        unsigned dropped = limit ? limit->dropped : 0;

        if (!log_enabled(level))
                return;
        if (limit && !ratelimit_allow(limit, clock_monotonic_usec()))
                return;
        if (dropped > 0)
                log_notice("audit: %u lines about unprivileged callers were left out", dropped);
        caller_read_comm(event->caller, comm, sizeof(comm));
        (void) snprintf(text, sizeof(text), "audit: uid %u, process %d (%s): %s%s%s: %s (%s%s%s)",
                        event->caller->uid, (int) event->caller->pid, comm, event->call,
                        event->vm ? " on VM " : "", event->vm ? event->vm->name : "",
                        event->verdict, event->basis, *event->action ? ", " : "", event->action);
        if (journal)
                write_fields(event, level, comm, text);
        else
                log_line(level, NULL, "%s", text);
}
