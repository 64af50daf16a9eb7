/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/event_text.h"

#include <inttypes.h>

#include "dbus/client/record.h"
#include "dbus/client/utf8.h"
#include "dbus/client/value_bus.h"

typedef struct EventKind {
        const char *member, *event;
        const char *keys[3]; /* of the arguments; NULL passes over one */
} EventKind;

static const EventKind kinds[] = {
        {"VmNew", "created", {NULL}},
        {"VmRemoved", "released", {NULL}},
        {"PayloadStarted", "payload-started", {NULL}},
        {"PayloadReady", "payload-ready", {NULL}},
        {"PayloadFinished", "payload-finished", {"ExitCode"}},
        {"PayloadError", "payload-error", {"Code", "Message"}},
        {"Died", "died", {"Reason", "Code", "DeathRecord"}},
};

static int add_arguments(sd_bus_message *signal, const EventKind *kind, Value *event) {
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(kind->keys) && kind->keys[i] && r >= 0; i++) {
                Value *argument = NULL;

                r = value_read(signal, &argument);
                if (r >= 0)
                        r = value_append_consume(event, kind->keys[i], argument);
        }
        return r;
}

/* Of the properties that change, those that are somebody's act. Return: name of the event, or NULL. */
static const char *name_of_change(const Value *changed) {
        const Value *suspended = value_get(changed, "Suspended");

        /* The state is told again with that of the payload; the process is not. */
        if (str_eq(value_get_string(changed, "State"), "running") &&
            value_get_uint(changed, "Pid", 0) > 0)
                return "started";
        if (suspended && !*value_get_string(changed, "State"))
                return suspended->boolean ? "suspended" : "resumed";
        return NULL;
}

static int read_change(sd_bus_message *signal, Value *event) {
        _cleanup_(value_freep) Value *changed = NULL;
        const char *name;
        int r = sd_bus_message_skip(signal, "s");

        if (r >= 0)
                r = value_read(signal, &changed);
        if (r < 0)
                return r;
        name = name_of_change(changed);
        if (!name)
                return 0;
        r = value_add_string(event, "Event", name);
        if (r >= 0 && value_get(changed, "Pid"))
                r = value_add_uint(event, "Pid", value_get_uint(changed, "Pid", 0));
        return r < 0 ? r : 1;
}

/**
 * event_read() - what a signal tells
 * @ret: owned by the caller
 *
 * Return: 1; 0 when it is no event, with @ret untouched; negative errno.
 */
int event_read(sd_bus_message *signal, Value **ret) {
        const char *member = sd_bus_message_get_member(signal);
        _cleanup_(value_freep) Value *event = NULL;
        int r = value_new(VALUE_OBJECT, &event);

        if (r < 0)
                return r;
        if (str_eq(member, "PropertiesChanged")) {
                r = read_change(signal, event);
                if (r > 0)
                        *ret = TAKE(event);
                return r;
        }
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                if (!str_eq(kinds[i].member, member))
                        continue;
                r = value_add_string(event, "Event", kinds[i].event);
                if (r >= 0)
                        r = add_arguments(signal, &kinds[i], event);
                if (r < 0)
                        return r;
                *ret = TAKE(event);
                return 1;
        }
        return 0;
}

static void add_details(const Value *event, StrBuf *out) {
        const Value *record = value_get(event, "DeathRecord");

        if (value_get(event, "Pid"))
                strbuf_printf(out, ", process %" PRIu64, value_get_uint(event, "Pid", 0));
        if (value_get(event, "ExitCode"))
                strbuf_printf(out, ", exit status %" PRId64, value_get_int(event, "ExitCode", 0));
        if (record) {
                strbuf_append(out, ": ");
                record_headline(record, out);
        } else if (value_get(event, "Code"))
                strbuf_printf(out, " %" PRId64 ": ", value_get_int(event, "Code", 0));
        utf8_append_printable(out, value_get_string(event, "Message"));
}

/** event_text() - "web  died: SHUTDOWN …" for the event of a VM, without its time */
void event_text(const Value *event, StrBuf *out) {
        const char *name = value_get_string(event, "Name");

        if (*name)
                utf8_append_printable(out, name);
        strbuf_printf(out, "%s%s", *name ? "  " : "", value_get_string(event, "Event"));
        add_details(event, out);
}
