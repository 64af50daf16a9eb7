/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/run_session.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "dbus/client/errors.h"
#include "dbus/client/reasons.h"
#include "dbus/client/record.h"
#include "dbus/client/session.h"
#include "dbus/client/value_bus.h"
#include "dbus/names.h"

#define START_TIMEOUT_USEC (90 * USEC_PER_SEC)

typedef struct RunSession {
        Client *client;   /* borrowed */
        const NewVm *vm;  /* borrowed */
        Console *console; /* borrowed */
        TextError *reterr;
        sd_event *event; /* owned */
        Value *record;   /* owned; set when the VM is dead */
        Value *document; /* owned; for --json, read when all is over */
        bool killing;    /* Kill was called: the next request to leave is obeyed at once */
        bool restarted;  /* the service left the bus since the start */
} RunSession;

static void session_deinit(RunSession *session) {
        (void) value_free(session->record);
        (void) value_free(session->document);
        if (session->event)
                (void) sd_bus_detach_event(session->client->bus);
        session->event = sd_event_unref(session->event);
}

/* A line of progress. */
#define say(session, ...) session_say((session)->console, __VA_ARGS__)

static void leave(RunSession *session, int status) {
        (void) sd_event_exit(session->event, status);
}

static int on_killed(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        RunSession *session = userdata;
        const sd_bus_error *error = sd_bus_message_get_error(reply);

        /* Died comes by itself. If Kill failed, closing the connection ends a VM that is bound to it. */
        if (error && !session->record) {
                say(session, "vivctl: cannot kill VM \"%s\": %s", session->vm->name,
                    error->message);
                leave(session, EXIT_STATUS_INTERRUPTED);
        }
        return 0;
}

/* The first request kills and waits for the record, the second one leaves. */
static void request_end(RunSession *session, const char *why) {
        int r;

        if (session->killing) {
                leave(session, EXIT_STATUS_INTERRUPTED);
                return;
        }
        session->killing = true;
        say(session, "vivctl: %s: killing VM \"%s\" (again to leave at once)", why,
            session->vm->name);
        r = sd_bus_call_method_async(session->client->bus, NULL, VIVARIUM_BUS_NAME,
                                     session->vm->path, VIVARIUM_VM_INTERFACE, "Kill", on_killed,
                                     session, "");
        if (r < 0)
                leave(session, EXIT_STATUS_INTERRUPTED);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        request_end(userdata, info->ssi_signo == SIGINT    ? "interrupted"
                              : info->ssi_signo == SIGTERM ? "terminated"
                                                           : "the terminal is gone");
        return 0;
}

static void on_escaped(void *userdata) {
        request_end(userdata, "escape key");
}

static void on_output_closed(void *userdata) {
        request_end(userdata, "standard output was closed");
}

static void on_drained(void *userdata) {
        RunSession *session = userdata;
        int status = exit_status_for_reason(value_get_int(session->record, "code", -1));

        /* Now, because leaving the loop closes the connection, and with it goes the VM's object. */
        if (session->client->json != JSON_OFF &&
            client_read_vm(session->client, session->vm->name, session->vm->path,
                           &session->document, session->reterr) < 0)
                status = EXIT_STATUS_ERROR;
        leave(session, status);
}

/* Without the whole record, of a service that just left, what the signal told has to do. */
static int on_record_read(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        RunSession *session = userdata;
        Value *whole = NULL;

        if (sd_bus_message_is_method_error(reply, NULL) ||
            sd_bus_message_enter_container(reply, 'v', "a{sv}") < 0 ||
            value_read(reply, &whole) < 0)
                return console_finish(session->console);
        (void) value_free(session->record);
        session->record = whole;
        return console_finish(session->console);
}

/* From here on only the record and the console's last bytes are awaited. The signal tells everybody, and therefore not
 * what the guest said; that the record has. */
static int on_died(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        RunSession *session = userdata;
        int r;

        if (session->record)
                return 0;
        r = sd_bus_message_skip(message, "si");
        if (r >= 0)
                r = value_read(message, &session->record);
        if (r < 0) {
                (void) text_error_set(session->reterr, r, "the death record cannot be read: %s",
                                      strerror(-r));
                leave(session, EXIT_STATUS_ERROR);
                return 0;
        }
        r = sd_bus_call_method_async(session->client->bus, NULL, VIVARIUM_BUS_NAME,
                                     session->vm->path, "org.freedesktop.DBus.Properties", "Get",
                                     on_record_read, session, "ss", VIVARIUM_VM_INTERFACE,
                                     "DeathRecord");
        return r < 0 ? console_finish(session->console) : 0;
}

/* Of vm@.service: what is ordered behind the unit finds a VM that runs, and a start that failed is the unit's failure. */
static void tell_unit(const RunSession *session) {
        (void) sd_notifyf(/* unset_environment= */ 0,
                          "READY=1\nSTATUS=VM \"%s\" runs, CID %" PRIu64, session->vm->name,
                          session->vm->cid);
}

static int on_started(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        RunSession *session = userdata;

        if (!error) {
                tell_unit(session);
                if (!session->record)
                        say(session, "VM \"%s\" runs", session->vm->name);
                return 0;
        }
        /* With the record of a failed start, which comes first, this error is no news. */
        if (!session->record && !session->restarted &&
            !sd_bus_error_has_name(error, "org.freedesktop.DBus.Error.NoReply")) {
                (void) client_call_error(session->client, error, -sd_bus_error_get_errno(error),
                                         "cannot start the VM", session->reterr);
                leave(session, EXIT_STATUS_ERROR);
        }
        return 0;
}

static int start(RunSession *session);

/* The VM as the next service found it. If it is dead Died follows, or was here before. */
static int on_found_again(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        RunSession *session = userdata;
        const char *state = "";
        int r;

        if (session->record)
                return 0;
        if (error && !sd_bus_error_has_name(error, "org.freedesktop.DBus.Error.NoReply")) {
                (void) client_call_error(session->client, error, -sd_bus_error_get_errno(error),
                                         "the service was started anew and does not know the VM",
                                         session->reterr);
                leave(session, EXIT_STATUS_ERROR);
        }
        if (error)
                return 0; /* it left again */
        r = sd_bus_message_read(reply, "v", "s", &state);
        if (r >= 0 && str_eq(state, "running"))
                tell_unit(
                        session); /* the answer to Start went to the grave with the service before */
        if (r < 0 || !str_eq(state, "not-started"))
                return 0;
        /* The call to start it may have been lost; if it was not, this one is refused. */
        r = start(session);
        if (r < 0)
                leave(session, EXIT_STATUS_ERROR);
        return 0;
}

/* VMs outlive the service, and so does this session: the console is the VMM's own, the end is told by the next one. */
static int on_owner_changed(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *name, *old_owner, *new_owner;
        RunSession *session = userdata;
        int r = sd_bus_message_read(message, "sss", &name, &old_owner, &new_owner);

        if (r < 0 || session->record)
                return 0;
        if (!*new_owner) {
                session->restarted = true;
                say(session, "vivctl: the service left the bus; VM \"%s\" runs on",
                    session->vm->name);
                return 0;
        }
        if (!session->restarted)
                return 0;
        say(session, "vivctl: the service is back");
        r = sd_bus_call_method_async(session->client->bus, NULL, VIVARIUM_BUS_NAME,
                                     session->vm->path, "org.freedesktop.DBus.Properties", "Get",
                                     on_found_again, session, "ss", VIVARIUM_VM_INTERFACE, "State");
        if (r < 0)
                leave(session, EXIT_STATUS_ERROR);
        return 0;
}

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        RunSession *session = userdata;

        if (session->record)
                return 0;
        (void) text_error_set(session->reterr, -ECONNRESET,
                              "the connection to the bus was lost, and with it VM \"%s\"",
                              session->vm->name);
        leave(session, EXIT_STATUS_ERROR);
        return 0;
}

static int watch_bus(RunSession *session) {
        sd_bus *bus = session->client->bus;
        int r = sd_bus_match_signal(bus, NULL, VIVARIUM_BUS_NAME, session->vm->path,
                                    VIVARIUM_VM_INTERFACE, "Died", on_died, session);

        if (r >= 0)
                r = sd_bus_add_match(bus, NULL,
                                     "type='signal',sender='org.freedesktop.DBus',"
                                     "path='/org/freedesktop/DBus',"
                                     "interface='org.freedesktop.DBus',"
                                     "member='NameOwnerChanged',arg0='" VIVARIUM_BUS_NAME "'",
                                     on_owner_changed, session);
        if (r >= 0)
                r = sd_bus_match_signal(bus, NULL, NULL, "/org/freedesktop/DBus/Local",
                                        "org.freedesktop.DBus.Local", "Disconnected",
                                        on_disconnected, session);
        return r < 0 ? r : sd_bus_attach_event(bus, session->event, SD_EVENT_PRIORITY_NORMAL);
}

static int start(RunSession *session) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        int r = client_new_call(session->client, session->vm->path, VIVARIUM_VM_INTERFACE, "Start",
                                &call, session->reterr);

        if (r < 0)
                return r;
        return sd_bus_call_async(session->client->bus, NULL, call, on_started, session,
                                 START_TIMEOUT_USEC);
}

static int session_begin(RunSession *session) {
        const ConsoleEvents events = {
                .escaped = on_escaped,
                .output_closed = on_output_closed,
                .drained = on_drained,
                .userdata = session,
        };
        int r = sd_event_new(&session->event);

        if (r >= 0)
                r = session_watch_signals(session->event, on_signal, session);
        if (r >= 0)
                r = watch_bus(session);
        if (r >= 0)
                r = console_attach(session->console, session->event, &events, session->reterr);
        if (r >= 0)
                r = start(session);
        if (r < 0)
                return text_error_set(session->reterr, r, "cannot run VM \"%s\": %s",
                                      session->vm->name, strerror(-r));
        return 0;
}

/* The last word to the user, beside the progress on standard error. */
static int say_record(RunSession *session) {
        bool well = value_get_int(session->record, "code", -1) == DEATH_REASON_SHUTDOWN;
        _cleanup_(block_deinit) Block block = {0};
        _cleanup_(strbuf_deinit) StrBuf text = {0};
        int r;

        strbuf_append(&text, "VM ended: ");
        record_headline(session->record, &text);
        strbuf_append(&text, "\n");
        r = record_describe(session->record, &block);
        if (r >= 0 && !well)
                r = record_describe_tails(session->record, &block);
        if (r < 0)
                return r;
        block_print(&block, &text);
        if (text.failed)
                return -ENOMEM;
        /* say() ends the line by itself. */
        say(session, "%.*s", (int) text.len - 1, text.data);
        return 0;
}

/**
 * run_session() - start the VM, show its console until its end, and print why it ended
 * @vm:      just created, bound to @client's connection
 * @console: opened; attached here
 *
 * Ctrl-C, SIGTERM and the escape key kill the VM; a second time they leave at once, upon which the service kills
 * the VM because its creator is gone. Return: exit status; negative errno with @reterr set.
 */
int run_session(Client *client, const NewVm *vm, Console *console, TextError *reterr) {
        _cleanup_(session_deinit) RunSession session = {
                .client = client,
                .vm = vm,
                .console = console,
                .reterr = reterr,
        };
        int status, r;

        say(&session, "VM \"%s\" created, CID %" PRIu64 "%s", vm->name, vm->cid,
            console->to_guest >= 0 ? "; press Ctrl-] three times within a second to kill it" : "");
        r = session_begin(&session);
        if (r < 0)
                return r;
        status = sd_event_loop(session.event);
        terminal_leave_raw(&console->terminal);
        if (status < 0)
                return text_error_set(reterr, status, "the event loop failed: %s",
                                      strerror(-status));
        if (session.record) {
                r = say_record(&session);
                if (r >= 0 && session.document)
                        r = client_print_json(client, session.document);
                if (r < 0)
                        return r;
        }
        return status;
}
