/* SPDX-License-Identifier: Apache-2.0 */
#include "service/journal/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/journal/socket.h"

/* Of the process, as its log is. */
static JournalSocket journal_socket = {.fd = -EBADF};

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

/**
 * journal_open() - have the log go to the journal from now on, one entry a line; before anything is logged from a thread
 * @path: absolute, of the journal's socket
 *
 * Return: 0 or negative errno.
 */
int journal_open(const char *path) {
        int r = journal_socket_open(path, &journal_socket);

        if (r == 0)
                log_set_sink(journal_sink);
        return r;
}

/** journal_is_open() - whether that was done */
bool journal_is_open(void) {
        return journal_socket.fd >= 0;
}

/* What every entry has; the message follows. */
static void begin_entry(StrBuf *entry, LogLevel level, const char *message_id) {
        journal_field(entry, "PRIORITY", "%d", (int) level);
        journal_field(entry, "SYSLOG_IDENTIFIER", "%s", program_invocation_short_name);
        if (message_id)
                journal_field(entry, "MESSAGE_ID", "%s", message_id);
}

/* The journal takes entries again: how many it did not take belongs into it, too. */
static void tell_lost(void) {
        _cleanup_(strbuf_deinit) StrBuf entry = {0};
        const uint64_t n = journal_socket.n_lost;

        begin_entry(&entry, LOG_LEVEL_WARNING, NULL);
        journal_field(&entry, "MESSAGE",
                      "%" PRIu64 " entries were lost, for the journal did not take them", n);
        if (journal_socket_send(&journal_socket, &entry))
                journal_socket.n_lost -= n;
}

static void send_entry(const StrBuf *entry) {
        if (journal_socket_send(&journal_socket, entry) && journal_socket.n_lost > 0)
                tell_lost();
}

/** journal_sink() - a LogSink; a line that the journal does not take is lost, and counted */
void journal_sink(LogLevel level, const char *vm, const char *line) {
        _cleanup_(strbuf_deinit) StrBuf entry = {0};

        begin_entry(&entry, level, NULL);
        journal_field(&entry, "MESSAGE", "%s%s%s", vm ? vm : "", vm ? ": " : "", line);
        if (vm)
                journal_field(&entry, "VM", "%s", vm);
        send_entry(&entry);
}

/* As Android's metrics have it: -1 where the config does not say. The VM took over the config of one that was made. */
static int count_cpus(const CreationEvent *creation) {
        const VmConfig *config = &creation->request->config;

        if (creation->vm)
                return (int) creation->vm->n_vcpus;
        return config->cpu_topology == VM_CPUS_COUNT ? (int) config->n_vcpus : -1;
}

/**
 * journal_creation() - the one log line of a call of CreateVm()
 * @journal: with its fields to the journal; else the text alone to the log
 */
void journal_creation(const CreationEvent *creation, bool journal) {
        const VmRequest *request = creation->request;
        const char *asked = request->name ? request->name : request->config.name;
        const char *name = creation->vm ? creation->vm->name : asked ? asked : "";
        const char *error = creation->error_name ? creation->error_name : "";
        const char *text = creation->error_text ? creation->error_text : "";
        LogLevel level = creation->vm ? LOG_LEVEL_INFO : LOG_LEVEL_NOTICE;
        _cleanup_(strbuf_deinit) StrBuf entry = {0};

        if (!journal) {
                log_line(level, *name ? name : NULL, "%s for uid %u%s%s%s%s",
                         creation->vm ? "created" : "refused", creation->uid, *error ? ": " : "",
                         error, *text ? ": " : "", text);
                return;
        }
        if (!log_enabled(level))
                return;
        begin_entry(&entry, level, JOURNAL_MESSAGE_VM_CREATION_REQUESTED);
        journal_field(&entry, "MESSAGE", "%s%s%s for uid %u%s%s", name, *name ? ": " : "",
                      creation->vm ? "created" : "refused", creation->uid, *text ? ": " : "", text);
        journal_field(&entry, "VM", "%s", name);
        journal_field(&entry, "VM_ID", "%s", creation->vm ? creation->vm->id : "");
        journal_field(&entry, "VM_OWNER_UID", "%u", creation->uid);
        journal_field(&entry, "VM_HYPERVISOR", "%s",
                      request_hypervisor_to_string(creation->vm ? creation->vm->hypervisor
                                                                : request->hypervisor));
        journal_field(&entry, "VM_PROTECTED", "0");
        journal_field(&entry, "VM_CREATION_SUCCEEDED", "%d", creation->vm != NULL);
        journal_field(&entry, "VM_CONFIG_TYPE", "raw");
        journal_field(&entry, "VM_CPUS", "%d", count_cpus(creation));
        journal_field(&entry, "VM_MEMORY_MIB", "%" PRIu64,
                      creation->vm ? creation->vm->memory_bytes >> 20 : request->config.memory_mib);
        journal_field(&entry, "VM_ERROR", "%s", error);
        journal_field(&entry, "VM_MESSAGE", "%s", text);
        send_entry(&entry);
}

/** journal_boot() - the one log line of a payload that was started; @journal as for journal_creation() */
void journal_boot(const VmInfo *info, bool journal) {
        usec_t elapsed = clock_monotonic_usec() - info->started_monotonic_usec;
        _cleanup_(strbuf_deinit) StrBuf entry = {0};

        if (!journal) {
                log_line(LOG_LEVEL_INFO, info->name, "payload started after %" PRIu64 " ms",
                         elapsed / USEC_PER_MSEC);
                return;
        }
        if (!log_enabled(LOG_LEVEL_INFO))
                return;
        begin_entry(&entry, LOG_LEVEL_INFO, JOURNAL_MESSAGE_VM_BOOTED);
        journal_field(&entry, "MESSAGE", "%s: payload started after %" PRIu64 " ms", info->name,
                      elapsed / USEC_PER_MSEC);
        journal_field(&entry, "VM", "%s", info->name);
        journal_field(&entry, "VM_ID", "%s", info->id);
        journal_field(&entry, "VM_CID", "%u", info->cid);
        journal_field(&entry, "VM_OWNER_UID", "%u", info->owner_uid);
        journal_field(&entry, "VM_BOOT_USEC", "%" PRIu64, elapsed);
        send_entry(&entry);
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
        _cleanup_(strbuf_deinit) StrBuf entry = {0};

        if (!journal) {
                log_line(level, info->name, "ended: %s (%d), exit status %d, signal %d%s%s%s%s%s%s",
                         reason, (int) record->reason, record->exit_status, record->exit_signal,
                         record->system_call[0] ? ", system call " : "", record->system_call,
                         *text ? ", guest says " : "", text, *message ? ": " : "", message);
                return;
        }
        if (!log_enabled(level))
                return;
        begin_entry(&entry, level, JOURNAL_MESSAGE_VM_DIED);
        journal_field(&entry, "MESSAGE", "%s: ended: %s (%d), exit status %d, signal %d",
                      info->name, reason, (int) record->reason, record->exit_status,
                      record->exit_signal);
        journal_field(&entry, "VM", "%s", info->name);
        journal_field(&entry, "VM_ID", "%s", info->id);
        journal_field(&entry, "VM_CID", "%u", info->cid);
        journal_field(&entry, "VM_OWNER_UID", "%u", info->owner_uid);
        journal_field(&entry, "VM_DEATH_REASON", "%s", reason);
        journal_field(&entry, "VM_DEATH_REASON_CODE", "%d", (int) record->reason);
        journal_field(&entry, "VM_EXIT_STATUS", "%d", record->exit_status);
        journal_field(&entry, "VM_EXIT_SIGNAL", "%d", record->exit_signal);
        journal_field(&entry, "VM_CORE_DUMPED", "%d", record->core_dumped);
        journal_field(&entry, "VM_SYSTEM_CALL", "%s", record->system_call);
        journal_field(&entry, "VM_FAILURE_TEXT", "%s", text);
        journal_field(&entry, "VM_FAILURE_INFO", "%s",
                      record->failure_info ? record->failure_info : "");
        journal_field(&entry, "VM_FAILURE_BYTES", "%" PRIu64, record->failure_bytes);
        journal_field(&entry, "VM_MESSAGE", "%s", message);
        journal_field(&entry, "VM_RAMDUMP", "%s", record->ramdump ? record->ramdump : "");
        journal_field(&entry, "VM_RUN_TIME_USEC", "%" PRIu64, record->run_time_usec);
        journal_field(&entry, "VM_GUEST_CPU_USEC", "%" PRIu64, record->guest_cpu_usec);
        journal_field(&entry, "VM_RSS_PEAK_BYTES", "%" PRIu64, record->rss_peak_bytes);
        journal_field(&entry, "VM_RSS_GUEST_PEAK_BYTES", "%" PRIu64, record->rss_guest_peak_bytes);
        journal_field(&entry, "VM_RSS_VMM_PEAK_BYTES", "%" PRIu64, record->rss_vmm_peak_bytes);
        journal_field(&entry, "VM_STOP_REQUESTED_BY", "%s",
                      stop_requester_to_string(record->stop.by));
        journal_field(&entry, "VM_STOP_STEP", "%s", stop_step_to_string(record->stop_step));
        send_entry(&entry);
}

/** journal_audit() - the line @text of audit_write(), with its fields */
void journal_audit(const AuditEvent *event, LogLevel level, const char *comm, const char *text) {
        _cleanup_(strbuf_deinit) StrBuf entry = {0};

        begin_entry(&entry, level, JOURNAL_MESSAGE_VM_AUDIT);
        journal_field(&entry, "MESSAGE", "%s", text);
        journal_field(&entry, "VM_CALLER_UID", "%u", event->caller->uid);
        journal_field(&entry, "VM_CALLER_PID", "%d", (int) event->caller->pid);
        journal_field(&entry, "VM_CALLER_COMM", "%s", comm);
        journal_field(&entry, "VM_CALL", "%s", event->call);
        journal_field(&entry, "VM_ACTION", "%s", event->action);
        journal_field(&entry, "VM_VERDICT", "%s", event->verdict);
        journal_field(&entry, "VM_VERDICT_BASIS", "%s", event->basis);
        journal_field(&entry, "VM", "%s", event->vm ? event->vm->name : "");
        journal_field(&entry, "VM_ID", "%s", event->vm ? event->vm->id : "");
        journal_field(&entry, "VM_OWNER_UID", "%d", event->vm ? (int) event->vm->owner_uid : -1);
        send_entry(&entry);
}
