/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/record.h"

#include <inttypes.h>
#include <string.h>

#include "dbus/client/format.h"
#include "dbus/client/reasons.h"
#include "dbus/client/utf8.h"

/* Of a tail of 4 KiB so many lines are shown to people; JSON has it all. */
#define TAIL_LINES_MAX 10u

/* The VMM's status is that of a guest that powered off, where it was the service who had it leave. */
static bool vmm_was_told(const Value *record) {
        const char *step = value_get_string(record, "stop-step");

        return str_eq(step, "vmm-stop") || str_eq(step, "sigterm");
}

/**
 * record_headline() - append "SHUTDOWN after 9.81 s: the guest powered off"
 * @record: as in the Died signal
 */
void record_headline(const Value *record, StrBuf *out) {
        const DeathReason *known = death_reason_find(value_get_int(record, "code", -1));
        uint64_t run_time = value_get_uint(record, "run-time-usec", 0);
        char span[FORMAT_MAX];

        utf8_append_printable(out, value_get_string(record, "reason"));
        if (run_time > 0)
                strbuf_printf(out, " after %s", format_timespan(span, run_time));
        if (known)
                strbuf_printf(out, ": %s",
                              known->code == DEATH_REASON_SHUTDOWN && vmm_was_told(record)
                                      ? "its VMM was told to stop"
                                      : known->meaning);
}

static int describe_exit(const Value *record, Block *block) {
        int64_t signal = value_get_int(record, "exit-signal", 0);
        char name[FORMAT_MAX];

        if (signal > 0) {
                const char *call = value_get_string(record, "system-call");

                return block_addf(block, "VMM exit", "%s%s%s%s", format_signal(name, signal),
                                  value_get_bool(record, "core-dumped") ? ", core dumped" : "",
                                  *call ? ", system call " : "", call);
        }
        if (value_get(record, "exit-status"))
                return block_addf(block, "VMM exit", "status %" PRIi64,
                                  value_get_int(record, "exit-status", -1));
        return 0;
}

/* One line for text that is there, none otherwise. */
static int describe_text(const Value *record, const char *member, const char *key, Block *block) {
        const char *text = value_get_string(record, member);

        return *text ? block_add(block, key, text) : 0;
}

/* Words of the record, and what they say to a person; those of a newer service say what they are. */
static const char *in_words(const char *word, const char *const (*words)[2], size_t n) {
        for (size_t i = 0; i < n; i++)
                if (str_eq(words[i][0], word))
                        return words[i][1];
        return word;
}

static int describe_requester(const Value *record, Block *block) {
        static const char *const words[][2] = {{"client", ""},
                                               {"disconnect", "its creator, by leaving the bus"},
                                               {"drain", "a drain of the host"}};
        const char *who = value_get_string(record, "stop-requested-by"), *what;
        char user[FORMAT_MAX];

        if (!*who)
                return 0;
        what = in_words(who, words, ELEMENTSOF(words));
        if (!value_get(record, "stop-requested-uid"))
                return block_add(block, "End asked for by", *what ? what : who);
        return block_addf(block, "End asked for by", "%s%suser %s, process %" PRIu64, what,
                          *what ? ": " : "",
                          format_uid(user, value_get_uint(record, "stop-requested-uid", 0)),
                          value_get_uint(record, "stop-requested-pid", 0));
}

static int describe_stop(const Value *record, Block *block) {
        static const char *const words[][2] = {{"power-button", "the guest's power button"},
                                               {"vmm-stop", "telling the VMM to stop"},
                                               {"sigterm", "SIGTERM to the VMM"},
                                               {"sigkill", "SIGKILL, when its time was up"}};
        const char *step = value_get_string(record, "stop-step");
        int r = describe_requester(record, block);

        if (r < 0 || !*step)
                return r;
        return block_add(block, "Stopped by", in_words(step, words, ELEMENTSOF(words)));
}

static int describe_usage(const Value *record, Block *block) {
        uint64_t cpu = value_get_uint(record, "guest-cpu-usec", 0);
        uint64_t peak = value_get_uint(record, "rss-peak-bytes", 0);
        uint64_t guest = value_get_uint(record, "rss-guest-peak-bytes", 0);
        uint64_t vmm = value_get_uint(record, "rss-vmm-peak-bytes", 0);
        char text[FORMAT_MAX];
        int r = 0;

        if (cpu > 0)
                r = block_add(block, "Guest CPU", format_timespan(text, cpu));
        if (r >= 0 && peak > 0)
                r = block_addf(block, "Memory", "%s at its peak", format_bytes(text, peak));
        if (r >= 0 && guest > 0)
                r = block_addf(block, "Guest memory", "%s at most, as sampled",
                               format_bytes(text, guest));
        if (r >= 0 && vmm > 0)
                r = block_addf(block, "VMM memory", "%s at most, as sampled",
                               format_bytes(text, vmm));
        return r;
}

/** record_describe() - add the lines of a record to @block, without its reason. Return: 0 or -ENOMEM. */
int record_describe(const Value *record, Block *block) {
        int r = describe_exit(record, block);

        if (r >= 0)
                r = describe_text(record, "message", "Cause", block);
        if (r == 0)
                r = describe_text(record, "ramdump", "Memory dump", block);
        if (r >= 0)
                r = describe_text(record, "failure-text", "Guest's failure", block);
        if (r >= 0)
                r = describe_text(record, "failure-info", "Guest's details", block);
        if (r >= 0)
                r = describe_stop(record, block);
        return r < 0 ? r : describe_usage(record, block);
}

/* Where the last TAIL_LINES_MAX lines of @text begin. */
static const char *last_lines(const char *text, size_t len) {
        const char *p = text + len;

        for (unsigned lines = 0; p > text; p--)
                if (p[-1] == '\n' && p < text + len && ++lines == TAIL_LINES_MAX)
                        break;
        return p;
}

static int describe_tail(const Value *record, const char *member, const char *key, Block *block) {
        const char *text = value_get_string(record, member);

        for (const char *p = last_lines(text, strlen(text)); *p;) {
                size_t len = strcspn(p, "\n");
                size_t shown = len > 0 && p[len - 1] == '\r' ? len - 1 : len;
                int r = block_addf(block, key, "%.*s", (int) shown, p);

                if (r < 0)
                        return r;
                key = "";
                p += len + (p[len] == '\n');
        }
        return 0;
}

/** record_describe_tails() - add the last lines of the VMM's messages and of the console. Return: 0 or -ENOMEM. */
int record_describe_tails(const Value *record, Block *block) {
        int r = describe_tail(record, "stderr-tail", "VMM's messages", block);

        return r < 0 ? r : describe_tail(record, "console-tail", "Console", block);
}
