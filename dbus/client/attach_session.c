/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/attach_session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "dbus/client/console.h"
#include "dbus/client/errors.h"
#include "dbus/client/reasons.h"
#include "dbus/client/session.h"
#include "dbus/names.h"

/*
 * The socket ends with the VM, and with the service that it came from. Which of the two it was its state tells, perhaps
 * only once there is a service again: then the session goes on with a new socket where it was.
 */

typedef struct Attachment {
        Client *client;           /* borrowed */
        const char *which, *path; /* borrowed */
        Value *id;                /* owned; by which the history knows the VM when it is gone */
        AttachStream stream;
        Console console;
        sd_event *event; /* owned */
        TextError *reterr;
        bool asking; /* for the state; the socket has ended */
        bool absent; /* there is no service to ask */
} Attachment;

static void attachment_deinit(Attachment *a) {
        console_deinit(&a->console);
        (void) value_free(a->id);
        if (a->event)
                (void) sd_bus_detach_event(a->client->bus);
        a->event = sd_event_unref(a->event);
}

static const char *stream_name(AttachStream stream) {
        return stream == ATTACH_CONSOLE ? "console" : "log";
}

static void leave(Attachment *a, int status) {
        (void) sd_event_exit(a->event, status);
}

/**
 * attach_open() - a viewer's socket
 * @which: what the user calls the VM
 *
 * Return: 0, @ret_fd owned by the caller; negative errno with @reterr set.
 */
int attach_open(Client *client, const char *which, const char *path, AttachStream stream,
                int *ret_fd, TextError *reterr) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(freep) char *act = NULL;
        int r, fd;

        if (asprintf(&act, "cannot open the %s of VM \"%s\"", stream_name(stream), which) < 0) {
                act = NULL;
                return -ENOMEM;
        }
        r = client_new_call(client, path, VIVARIUM_VM_INTERFACE,
                            stream == ATTACH_CONSOLE ? "OpenConsole" : "OpenLog", &call, reterr);
        if (r < 0)
                return r;
        r = client_send(client, call, &reply, &error);
        if (r >= 0)
                r = sd_bus_message_read(reply, "h", &fd);
        if (r < 0 && sd_bus_error_has_name(&error, VIVARIUM_ERROR_UNSUPPORTED))
                return text_error_set(reterr, r,
                                      "%s: %s\nIt is where that was sent, for example in the "
                                      "terminal of vivctl run.",
                                      act, error.message);
        if (r < 0 && sd_bus_error_has_name(&error, VIVARIUM_ERROR_QUOTA_EXCEEDED))
                return text_error_set(reterr, r, "%s: %s\nOne of them must leave first.", act,
                                      error.message);
        if (r < 0)
                return client_call_error(client, &error, r, act, reterr);
        fd = fd_dup_cloexec(fd); /* the message owns it */
        r = fd < 0 ? fd : fd_set_nonblock(fd, true);
        if (r < 0)
                return text_error_set(reterr, r, "%s: %s", act, strerror(-r));
        *ret_fd = fd;
        return 0;
}

/* Both ends of the console are the one socket. */
static int open_both(Attachment *a, int *ret_from, int *ret_to) {
        int r = attach_open(a->client, a->which, a->path, a->stream, ret_from, a->reterr);

        if (r < 0 || a->stream == ATTACH_LOG)
                return r;
        *ret_to = fd_dup_cloexec(*ret_from);
        return *ret_to < 0 ? *ret_to : 0;
}

static void resume(Attachment *a) {
        int from = -EBADF, to = -EBADF, r = open_both(a, &from, &to);

        if (r >= 0)
                r = console_resume(&a->console, a->event, from, to);
        if (r < 0) {
                if (!a->reterr->message)
                        (void) text_error_set(a->reterr, r, "cannot go on with the %s: %s",
                                              stream_name(a->stream), strerror(-r));
                leave(a, EXIT_STATUS_ERROR);
                return;
        }
        session_say(&a->console, "vivctl: the service was restarted; VM \"%s\" runs on", a->which);
}

static void tell_end(Attachment *a, const char *reason, int64_t code) {
        session_say(&a->console, "vivctl: VM \"%s\" ended: %s", a->which, reason);
        leave(a, exit_status_for_reason(code));
}

/* From the history, for a VM that belongs to its creator's connection may be gone with that at any moment. */
static void ended(Attachment *a) {
        _cleanup_(value_freep) Value *deaths = NULL;

        if (client_get_history(a->client, a->id->string, 1, &deaths, a->reterr) < 0)
                leave(a, EXIT_STATUS_ERROR);
        else if (deaths->n_members == 0)
                tell_end(a, "nobody knows why", -1);
        else
                tell_end(a, value_get_string(deaths->members[0], "reason"),
                         value_get_int(deaths->members[0], "code", -1));
}

static void ask_state(Attachment *a);

/* Nobody answered: the service is gone, or about to come back. */
static bool service_left(const sd_bus_error *error) {
        return sd_bus_error_has_name(error, "org.freedesktop.DBus.Error.NoReply") ||
               sd_bus_error_has_name(error, "org.freedesktop.DBus.Error.ServiceUnknown") ||
               sd_bus_error_has_name(error, "org.freedesktop.DBus.Error.NameHasNoOwner");
}

static int on_state(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        Attachment *a = userdata;
        const char *state = "";

        if (error && service_left(error)) {
                if (!a->absent)
                        session_say(&a->console,
                                    "vivctl: the service left the bus; waiting for the next one");
                a->absent = true;
                return 0;
        }
        a->asking = false;
        if (error && sd_bus_error_has_name(error, VIVARIUM_ERROR_NO_SUCH_VM)) {
                ended(a);
                return 0;
        }
        if (error || sd_bus_message_read(reply, "v", "s", &state) < 0) {
                (void) client_call_error(a->client, error, -EIO, "the VM cannot be found again",
                                         a->reterr);
                leave(a, EXIT_STATUS_ERROR);
        } else if (str_eq(state, "running"))
                resume(a);
        else
                ended(a);
        return 0;
}

static void ask_state(Attachment *a) {
        int r;

        a->asking = true;
        a->absent = false;
        r = sd_bus_call_method_async(a->client->bus, NULL, VIVARIUM_BUS_NAME, a->path,
                                     "org.freedesktop.DBus.Properties", "Get", on_state, a, "ss",
                                     VIVARIUM_VM_INTERFACE, "State");
        if (r < 0)
                leave(a, EXIT_STATUS_ERROR);
}

static int on_owner_changed(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *name, *old_owner, *new_owner;
        Attachment *a = userdata;

        if (sd_bus_message_read(message, "sss", &name, &old_owner, &new_owner) >= 0 && *new_owner &&
            a->asking && a->absent)
                ask_state(a);
        return 0;
}

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Attachment *a = userdata;

        (void) text_error_set(a->reterr, -ECONNRESET, "the connection to the bus was lost");
        leave(a, EXIT_STATUS_ERROR);
        return 0;
}

static void on_ended(void *userdata) {
        ask_state(userdata);
}

static void on_escaped(void *userdata) {
        Attachment *a = userdata;

        session_say(&a->console, "vivctl: left the console of VM \"%s\", which runs on", a->which);
        leave(a, EXIT_STATUS_OK);
}

static void on_output_closed(void *userdata) {
        leave(userdata, EXIT_STATUS_OK);
}

static int on_reader_gone(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        leave(userdata, EXIT_STATUS_OK);
        return 0;
}

static void on_drained(void *userdata) {
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        leave(userdata, EXIT_STATUS_INTERRUPTED);
        return 0;
}

static int watch_bus(Attachment *a) {
        sd_bus *bus = a->client->bus;
        int r = sd_bus_add_match(bus, NULL,
                                 "type='signal',sender='org.freedesktop.DBus',"
                                 "path='/org/freedesktop/DBus',"
                                 "interface='org.freedesktop.DBus',"
                                 "member='NameOwnerChanged',arg0='" VIVARIUM_BUS_NAME "'",
                                 on_owner_changed, a);

        if (r >= 0)
                r = sd_bus_match_signal(bus, NULL, NULL, "/org/freedesktop/DBus/Local",
                                        "org.freedesktop.DBus.Local", "Disconnected",
                                        on_disconnected, a);
        return r < 0 ? r : sd_bus_attach_event(bus, a->event, SD_EVENT_PRIORITY_NORMAL);
}

static int begin(Attachment *a) {
        const ConsoleEvents events = {.escaped = on_escaped,
                                      .output_closed = on_output_closed,
                                      .drained = on_drained,
                                      .ended = on_ended,
                                      .userdata = a};
        int r = client_get_property(a->client, a->path, "Id", &a->id, a->reterr);

        if (r >= 0 && a->id->type != VALUE_STRING)
                r = -EBADMSG;
        if (r >= 0)
                r = open_both(a, &a->console.from_guest, &a->console.to_guest);
        if (r >= 0)
                r = sd_event_new(&a->event);
        if (r >= 0)
                r = session_watch_signals(a->event, on_signal, a);
        if (r >= 0)
                r = session_watch_reader(a->event, on_reader_gone, a);
        if (r >= 0)
                r = watch_bus(a);
        if (r < 0 && !a->reterr->message)
                return text_error_set(a->reterr, r, "cannot watch VM \"%s\": %s", a->which,
                                      strerror(-r));
        if (r < 0)
                return r;
        if (a->stream == ATTACH_CONSOLE && isatty(STDIN_FILENO) > 0)
                session_say(&a->console,
                            "Connected to the console of VM \"%s\"; press Ctrl-] three times "
                            "within a second to leave it.",
                            a->which);
        a->console.output = STDOUT_FILENO;
        return console_attach(&a->console, a->event, &events, a->reterr);
}

/**
 * attach_session() - show a stream until the VM ends or the user leaves, and for a console pass keys on
 * @which: what the user calls the VM
 *
 * Return: 0 when the user left; the exit status of the VM's reason of death; EXIT_STATUS_INTERRUPTED after a signal;
 * negative errno with @reterr set.
 */
int attach_session(Client *client, const char *which, const char *path, AttachStream stream,
                   TextError *reterr) {
        _cleanup_(attachment_deinit) Attachment a = {
                .client = client, .which = which, .path = path, .stream = stream, .reterr = reterr};
        int r;

        console_init(&a.console);
        r = begin(&a);
        if (r < 0)
                return r;
        r = sd_event_loop(a.event);
        terminal_leave_raw(&a.console.terminal);
        if (r < 0)
                return text_error_set(reterr, r, "the event loop failed: %s", strerror(-r));
        return r;
}
