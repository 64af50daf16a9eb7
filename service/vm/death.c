/* SPDX-License-Identifier: Apache-2.0 */
#include "service/vm/death.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "config/vmm_config.h"
#include "service/text.h"

/*
 * The decision, first match wins:
 *
 * 1. The start failed before the VMM ran: START_FAILED, or KILLED when that was because somebody asked for the end.
 * 2. Nobody could wait for the VMM: INFRASTRUCTURE_ERROR; it and its keeper vanished while the daemon was down: LOST,
 *    unless the daemon had killed it: KILLED.
 * 3. The guest named a reason on its failure port: that one, whatever the exit status.
 * 4. The guest named none and its payload hung: HANGUP.
 * 5. The exit status or the signal, each cause with a reason of its own. A SIGKILL that this daemon sent is KILLED;
 *    one that the kernel sent for want of memory is OUT_OF_MEMORY; one that came from elsewhere is VMM_CRASH with
 *    signal 9, as is every other signal: nobody who may ask the daemon asked for it.
 */

static const struct {
        DeathReason reason;
        const char *name;
        bool guest_may_say; /* accepted from the failure port */
} reasons[] = {
        {DEATH_INFRASTRUCTURE_ERROR, "INFRASTRUCTURE_ERROR", false},
        {DEATH_KILLED, "KILLED", false},
        {DEATH_UNKNOWN, "UNKNOWN", false},
        {DEATH_SHUTDOWN, "SHUTDOWN", false},
        {DEATH_START_FAILED, "START_FAILED", false},
        {DEATH_REBOOT, "REBOOT", false},
        {DEATH_CRASH, "CRASH", false},
        {DEATH_PVM_FIRMWARE_PUBLIC_KEY_MISMATCH, "PVM_FIRMWARE_PUBLIC_KEY_MISMATCH", true},
        {DEATH_PVM_FIRMWARE_INSTANCE_IMAGE_CHANGED, "PVM_FIRMWARE_INSTANCE_IMAGE_CHANGED", true},
        {DEATH_MICRODROID_FAILED_TO_CONNECT_TO_VIRTUALIZATION_SERVICE,
         "MICRODROID_FAILED_TO_CONNECT_TO_VIRTUALIZATION_SERVICE", true},
        {DEATH_MICRODROID_PAYLOAD_HAS_CHANGED, "MICRODROID_PAYLOAD_HAS_CHANGED", true},
        {DEATH_MICRODROID_PAYLOAD_VERIFICATION_FAILED, "MICRODROID_PAYLOAD_VERIFICATION_FAILED",
         true},
        {DEATH_MICRODROID_INVALID_PAYLOAD_CONFIG, "MICRODROID_INVALID_PAYLOAD_CONFIG", true},
        {DEATH_MICRODROID_UNKNOWN_RUNTIME_ERROR, "MICRODROID_UNKNOWN_RUNTIME_ERROR", true},
        {DEATH_HANGUP, "HANGUP", false},
        {DEATH_WATCHDOG_REBOOT, "WATCHDOG_REBOOT", false},
        {DEATH_GUEST_PANIC, "GUEST_PANIC", false},
        {DEATH_VMM_INVALID_ARGS, "VMM_INVALID_ARGS", false},
        {DEATH_VMM_CRASH, "VMM_CRASH", false},
        {DEATH_OUT_OF_MEMORY, "OUT_OF_MEMORY", false},
        {DEATH_VMM_SECCOMP, "VMM_SECCOMP", false},
        {DEATH_LOST, "LOST", false},
};

_Static_assert(ELEMENTSOF(reasons) == DEATH_REASON_COUNT, "the header knows how many there are");

static bool reason_from_guest(const char *text, DeathReason *ret) {
        for (size_t i = 0; i < ELEMENTSOF(reasons); i++)
                if (reasons[i].guest_may_say && str_eq(reasons[i].name, text)) {
                        *ret = reasons[i].reason;
                        return true;
                }
        return false;
}

static DeathReason reason_from_status(int status) {
        switch (status) {
        case VMM_EXIT_STOPPED:
                return DEATH_SHUTDOWN;
        case VMM_EXIT_ERROR:
                return DEATH_START_FAILED;
        case VMM_EXIT_RESET:
                return DEATH_REBOOT;
        case VMM_EXIT_CRASH:
                return DEATH_CRASH;
        case VMM_EXIT_GUEST_PANIC:
                return DEATH_GUEST_PANIC;
        case VMM_EXIT_INVALID_ARGS:
                return DEATH_VMM_INVALID_ARGS;
        case VMM_EXIT_WATCHDOG:
                return DEATH_WATCHDOG_REBOOT;
        default:
                return DEATH_UNKNOWN;
        }
}

static DeathReason reason_from_signal(const DeathFacts *facts) {
        if (facts->status == SIGKILL && facts->kill_sent)
                return DEATH_KILLED;
        if (facts->status == SIGKILL && facts->oom_kill)
                return DEATH_OUT_OF_MEMORY;
        if (facts->status == SIGSYS)
                return DEATH_VMM_SECCOMP;
        return DEATH_VMM_CRASH;
}

/** death_decide() - the reason for an end with these facts; pure */
DeathReason death_decide(const DeathFacts *facts) {
        DeathReason reason;

        switch (facts->exit) {
        case EXIT_NEVER_RAN:
                return facts->kill_sent ? DEATH_KILLED : DEATH_START_FAILED;
        case EXIT_WAIT_FAILED:
                return DEATH_INFRASTRUCTURE_ERROR;
        case EXIT_UNSEEN:
                /* How it ended is unknown, that it was ended is not. */
                return facts->kill_sent ? DEATH_KILLED : DEATH_LOST;
        case EXIT_STATUS:
        case EXIT_SIGNAL:
                break;
        }
        if (reason_from_guest(facts->failure_text, &reason))
                return reason;
        if (facts->failure_text[0] == '\0' && facts->payload_hangup)
                return DEATH_HANGUP;
        return facts->exit == EXIT_STATUS ? reason_from_status(facts->status)
                                          : reason_from_signal(facts);
}

/** death_reason_to_string() - the name used on the bus */
const char *death_reason_to_string(DeathReason reason) {
        for (size_t i = 0; i < ELEMENTSOF(reasons); i++)
                if (reasons[i].reason == reason)
                        return reasons[i].name;
        return "UNKNOWN";
}

/** death_reason_index() - the place of @reason in a row without gaps, below DEATH_REASON_COUNT */
unsigned death_reason_index(DeathReason reason) {
        for (unsigned i = 0; i < DEATH_REASON_COUNT; i++)
                if (reasons[i].reason == reason)
                        return i;
        return death_reason_index(DEATH_UNKNOWN);
}

/** death_reason_at() - the inverse of death_reason_index() */
DeathReason death_reason_at(unsigned index) {
        return reasons[index].reason;
}

/** stop_requester_to_string() - the name used on the bus; "" for STOP_BY_NOBODY */
const char *stop_requester_to_string(StopRequester by) {
        switch (by) {
        case STOP_BY_NOBODY:
                return "";
        case STOP_BY_CLIENT:
                return "client";
        case STOP_BY_DISCONNECT:
                return "disconnect";
        case STOP_BY_DRAIN:
                return "drain";
        }
        return "";
}

static bool is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0';
}

/* Copies without surrounding blanks and with a sound encoding, since the guest may have written anything. */
static int copy_trimmed(const char *data, size_t len, char **ret) {
        while (len > 0 && is_blank(data[0])) {
                data++;
                len--;
        }
        while (len > 0 && is_blank(data[len - 1]))
                len--;
        return text_sanitize(data, len, ret);
}

/**
 * death_split_failure() - what the guest wrote to its failure port, as text before and after the first '|'
 * @raw: as written, may hold anything
 *
 * Both parts are trimmed and made valid UTF-8 without control characters other than newline and tab. Both are ""
 * when nothing was written; owned by the caller. Return: 0 or -ENOMEM.
 */
int death_split_failure(const char *raw, size_t len, char **ret_text, char **ret_info) {
        _cleanup_(freep) char *text = NULL, *info = NULL;
        const char *bar = len > 0 ? memchr(raw, '|', len) : NULL;
        size_t text_len = bar ? (size_t) (bar - raw) : len;
        int r;

        r = copy_trimmed(raw, text_len, &text);
        if (r < 0)
                return r;
        r = copy_trimmed(bar ? bar + 1 : "", bar ? len - text_len - 1 : 0, &info);
        if (r < 0)
                return r;
        *ret_text = TAKE(text);
        *ret_info = TAKE(info);
        return 0;
}

/* The length of the name of a system call that @text begins with. */
static size_t call_length(const char *text, size_t len) {
        size_t n = 0;

        while (n < len && ((text[n] >= 'a' && text[n] <= 'z') ||
                           (text[n] >= '0' && text[n] <= '9') || text[n] == '_'))
                n++;
        return n;
}

/**
 * death_find_system_call() - the name in the last words of a VMM that its filter killed (vmm/jail/violation.c)
 * @log: what it wrote to standard error, @len bytes; whatever took it over may have written more there
 * @ret: set to the name, or to ""
 */
void death_find_system_call(const char *log, size_t len, char ret[static DEATH_CALL_MAX]) {
        static const char words[] = "' may not call ";
        const size_t n_words = sizeof(words) - 1;

        ret[0] = '\0';
        for (size_t i = 0; len >= n_words && i <= len - n_words; i++) {
                const char *name = log + i + n_words;
                size_t n;

                if (memcmp(log + i, words, n_words) != 0)
                        continue;
                n = call_length(name, len - i - n_words);
                if (n == 0 || n >= DEATH_CALL_MAX)
                        continue;
                memcpy(ret, name, n);
                ret[n] = '\0';
        }
}

/** death_record_deinit() - release what a record owns, finished or not */
void death_record_deinit(DeathRecord *record) {
        free(record->message);
        free(record->failure_text);
        free(record->failure_info);
        free(record->console_tail);
        free(record->stderr_tail);
        free(record->ramdump);
        *record = (DeathRecord){0};
}
