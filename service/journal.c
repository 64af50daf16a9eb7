/* SPDX-License-Identifier: Apache-2.0 */
#include "service/journal.h"

#define SD_JOURNAL_SUPPRESS_LOCATION /* lines pass through one function, whose place says nothing */
#include <systemd/sd-journal.h>

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/**
 * journal_is_stderr() - whether standard error leads to the journal, as $JOURNAL_STREAM says
 *
 * Then talking to the journal itself loses nobody a line, and gains the fields.
 */
bool journal_is_stderr(void) {
        const char *stream = getenv("JOURNAL_STREAM");
        uint64_t device, inode;
        struct stat st;

        if (!stream || sscanf(stream, "%" SCNu64 ":%" SCNu64, &device, &inode) != 2)
                return false;
        return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

/** journal_sink() - a LogSink; a line that the journal does not take is lost */
void journal_sink(LogLevel level, const char *vm, const char *line) {
        if (vm)
                (void) sd_journal_send("PRIORITY=%d", (int) level, "MESSAGE=%s: %s", vm, line,
                                       "VM=%s", vm, NULL);
        else
                (void) sd_journal_send("PRIORITY=%d", (int) level, "MESSAGE=%s", line, NULL);
}

/* An end that somebody wanted is no news; one that nobody did deserves attention. */
static LogLevel death_level(const DeathRecord *record) {
        if (record->reason == DEATH_SHUTDOWN || record->reason == DEATH_REBOOT ||
            record->stop.by != STOP_BY_NOBODY)
                return LOG_LEVEL_INFO;
        return LOG_LEVEL_WARNING;
}

/**
 * journal_death() - the one log line of an end
 * @journal: with its fields to the journal; else the text alone to the log
 */
void journal_death(const VmInfo *info, bool journal) {
        const DeathRecord *record = &info->record;
        const char *reason = death_reason_to_string(record->reason);
        const char *text = record->failure_text ? record->failure_text : "";
        const char *message = record->message ? record->message : "";
        LogLevel level = death_level(record);

        if (!journal) {
                log_line(level, info->name, "ended: %s (%d), exit status %d, signal %d%s%s%s%s",
                         reason, (int) record->reason, record->exit_status, record->exit_signal,
                         *text ? ", guest says " : "", text, *message ? ": " : "", message);
                return;
        }
        if (!log_enabled(level))
                return;
        (void) sd_journal_send(
                "MESSAGE_ID=" JOURNAL_MESSAGE_VM_DIED, "PRIORITY=%d", (int) level,
                "MESSAGE=%s: ended: %s (%d), exit status %d, signal %d", info->name, reason,
                (int) record->reason, record->exit_status, record->exit_signal, "VM=%s", info->name,
                "VM_ID=%s", info->id, "VM_CID=%u", info->cid, "VM_OWNER_UID=%u", info->owner_uid,
                "VM_DEATH_REASON=%s", reason, "VM_DEATH_REASON_CODE=%d", (int) record->reason,
                "VM_EXIT_STATUS=%d", record->exit_status, "VM_EXIT_SIGNAL=%d", record->exit_signal,
                "VM_CORE_DUMPED=%d", record->core_dumped, "VM_FAILURE_TEXT=%s", text,
                "VM_FAILURE_INFO=%s", record->failure_info ? record->failure_info : "",
                "VM_FAILURE_BYTES=%" PRIu64, record->failure_bytes, "VM_MESSAGE=%s", message,
                "VM_RUN_TIME_USEC=%" PRIu64, record->run_time_usec, "VM_GUEST_CPU_USEC=%" PRIu64,
                record->guest_cpu_usec, "VM_RSS_GUEST_PEAK_BYTES=%" PRIu64,
                record->rss_guest_peak_bytes, "VM_RSS_VMM_PEAK_BYTES=%" PRIu64,
                record->rss_vmm_peak_bytes, "VM_STOP_REQUESTED_BY=%s",
                stop_requester_to_string(record->stop.by), NULL);
}
