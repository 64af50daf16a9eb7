/* SPDX-License-Identifier: Apache-2.0 */
#include "service/policy/audit.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "service/journal/journal.h"

/* TASK_COMM_LEN of Linux, and room for what a later one may make of it. */
#define COMM_BYTES_MAX 64u

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
                journal_audit(event, level, comm, text);
        else
                log_line(level, NULL, "%s", text);
}
