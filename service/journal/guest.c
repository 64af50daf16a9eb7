/* SPDX-License-Identifier: Apache-2.0 */
#include "service/journal/guest.h"

#include "base/log.h"
#include "base/str.h"

/* In the words of systemd's own LINE_BREAK; NULL for a newline. */
static const char *line_break(LineKind kind) {
        switch (kind) {
        case LINE_CUT:
                return "line-max";
        case LINE_UNFINISHED:
                return "eof";
        case LINE_WHOLE:
        case LINE_SUPPRESSED:
                return NULL;
        }
        return NULL;
}

/**
 * guest_journal_send() - one line with the fields of its VM; never waits
 * @line: without control characters, as the VM's name is
 *
 * The identifier is not the daemon's, so that no guest can make its words look like the daemon's own.
 * Return: whether the journal took it.
 */
bool guest_journal_send(JournalSocket *journal, const VmInfo *info, VmStreamKind stream,
                        LineKind kind, const char *line) {
        const char *name = stream == VM_STREAM_CONSOLE ? "console" : "log";
        _cleanup_(strbuf_deinit) StrBuf entry = {0};

        if (journal->fd < 0)
                return false;
        journal_field(&entry, "MESSAGE", "%s: %s", info->name, line);
        journal_field(&entry, "PRIORITY", "%d",
                      kind == LINE_SUPPRESSED ? LOG_LEVEL_NOTICE : LOG_LEVEL_INFO);
        journal_field(&entry, "SYSLOG_IDENTIFIER", "vivarium-%s", name);
        journal_field(&entry, "VM", "%s", info->name);
        journal_field(&entry, "VM_ID", "%s", info->id);
        journal_field(&entry, "VM_CID", "%u", info->cid);
        journal_field(&entry, "VM_OWNER_UID", "%u", info->owner_uid);
        journal_field(&entry, "VM_STREAM", "%s", name);
        if (line_break(kind))
                journal_field(&entry, "VM_LINE_BREAK", "%s", line_break(kind));
        return journal_socket_send(journal, &entry);
}
