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

        if (!journal) {
                log_line(level, *name ? name : NULL, "%s for uid %u%s%s%s%s",
                         creation->vm ? "created" : "refused", creation->uid, *error ? ": " : "",
                         error, *text ? ": " : "", text);
                return;
        }
        if (!log_enabled(level))
                return;
        (void) sd_journal_send(
                "MESSAGE_ID=" JOURNAL_MESSAGE_VM_CREATION_REQUESTED, "PRIORITY=%d", (int) level,
                "MESSAGE=%s%s%s for uid %u%s%s", name, *name ? ": " : "",
                creation->vm ? "created" : "refused", creation->uid, *text ? ": " : "", text,
                "VM=%s", name, "VM_ID=%s", creation->vm ? creation->vm->id : "", "VM_OWNER_UID=%u",
                creation->uid, "VM_HYPERVISOR=%s",
                request_hypervisor_to_string(creation->vm ? creation->vm->hypervisor
                                                          : request->hypervisor),
                "VM_PROTECTED=0", "VM_CREATION_SUCCEEDED=%d", creation->vm != NULL,
                "VM_CONFIG_TYPE=raw", "VM_CPUS=%d", count_cpus(creation), "VM_MEMORY_MIB=%" PRIu64,
                creation->vm ? creation->vm->memory_bytes >> 20 : request->config.memory_mib,
                "VM_ERROR=%s", error, "VM_MESSAGE=%s", text, NULL);
}

/** journal_boot() - the one log line of a payload that was started; @journal as for journal_creation() */
void journal_boot(const VmInfo *info, bool journal) {
        usec_t elapsed = clock_monotonic_usec() - info->started_monotonic_usec;

        if (!journal) {
                log_line(LOG_LEVEL_INFO, info->name, "payload started after %" PRIu64 " ms",
                         elapsed / USEC_PER_MSEC);
                return;
        }
        if (!log_enabled(LOG_LEVEL_INFO))
                return;
        (void) sd_journal_send("MESSAGE_ID=" JOURNAL_MESSAGE_VM_BOOTED, "PRIORITY=%d",
                               (int) LOG_LEVEL_INFO,
                               "MESSAGE=%s: payload started after %" PRIu64 " ms", info->name,
                               elapsed / USEC_PER_MSEC, "VM=%s", info->name, "VM_ID=%s", info->id,
                               "VM_CID=%u", info->cid, "VM_OWNER_UID=%u", info->owner_uid,
                               "VM_BOOT_USEC=%" PRIu64, elapsed, NULL);
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
                log_line(level, info->name, "ended: %s (%d), exit status %d, signal %d%s%s%s%s%s%s",
                         reason, (int) record->reason, record->exit_status, record->exit_signal,
                         record->system_call[0] ? ", system call " : "", record->system_call,
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
                "VM_CORE_DUMPED=%d", record->core_dumped, "VM_SYSTEM_CALL=%s", record->system_call,
                "VM_FAILURE_TEXT=%s", text, "VM_FAILURE_INFO=%s",
                record->failure_info ? record->failure_info : "", "VM_FAILURE_BYTES=%" PRIu64,
                record->failure_bytes, "VM_MESSAGE=%s", message, "VM_RAMDUMP=%s",
                record->ramdump ? record->ramdump : "", "VM_RUN_TIME_USEC=%" PRIu64,
                record->run_time_usec, "VM_GUEST_CPU_USEC=%" PRIu64, record->guest_cpu_usec,
                "VM_RSS_GUEST_PEAK_BYTES=%" PRIu64, record->rss_guest_peak_bytes,
                "VM_RSS_VMM_PEAK_BYTES=%" PRIu64, record->rss_vmm_peak_bytes,
                "VM_STOP_REQUESTED_BY=%s", stop_requester_to_string(record->stop.by),
                "VM_STOP_STEP=%s", stop_step_to_string(record->stop_step), NULL);
}

/** journal_audit() - the line @text of audit_write(), with its fields */
void journal_audit(const AuditEvent *event, LogLevel level, const char *comm, const char *text) {
        (void) sd_journal_send("MESSAGE_ID=" JOURNAL_MESSAGE_VM_AUDIT, "PRIORITY=%d", (int) level,
                               "MESSAGE=%s", text, "VM_CALLER_UID=%u", event->caller->uid,
                               "VM_CALLER_PID=%d", (int) event->caller->pid, "VM_CALLER_COMM=%s",
                               comm, "VM_CALL=%s", event->call, "VM_ACTION=%s", event->action,
                               "VM_VERDICT=%s", event->verdict, "VM_VERDICT_BASIS=%s", event->basis,
                               "VM=%s", event->vm ? event->vm->name : "", "VM_ID=%s",
                               event->vm ? event->vm->id : "", "VM_OWNER_UID=%d",
                               event->vm ? (int) event->vm->owner_uid : -1, NULL);
}
