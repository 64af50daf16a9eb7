/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "dbus/client/errors.h"
#include "dbus/client/event_text.h"
#include "dbus/client/format.h"
#include "dbus/client/reasons.h"
#include "dbus/client/session.h"
#include "dbus/client/verbs.h"
#include "dbus/names.h"

/* Signals carry paths; this is whose they are. */
typedef struct KnownVm {
        char *path, *name; /* owned */
        TAILQ_ENTRY(KnownVm) link;
} KnownVm;

typedef struct Events {
        Client *client;   /* borrowed */
        const Args *args; /* borrowed; operands are the VMs to tell of, all without any */
        sd_event *event;  /* owned */
        TAILQ_HEAD(, KnownVm) known;
} Events;

static void forget(Events *events, KnownVm *vm) {
        TAILQ_REMOVE(&events->known, vm, link);
        free(vm->path);
        free(vm->name);
        free(vm);
}

static void events_deinit(Events *events) {
        while (!TAILQ_EMPTY(&events->known))
                forget(events, TAILQ_FIRST(&events->known));
        if (events->event)
                (void) sd_bus_detach_event(events->client->bus);
        events->event = sd_event_unref(events->event);
}

static KnownVm *find(const Events *events, const char *path) {
        KnownVm *vm;

        TAILQ_FOREACH(vm, &events->known, link)
        if (str_eq(vm->path, path))
                return vm;
        return NULL;
}

static int learn(Events *events, const char *path, const char *name) {
        KnownVm *vm = find(events, path);

        if (vm)
                return 0;
        vm = calloc(1, sizeof(*vm));
        if (!vm)
                return -ENOMEM;
        TAILQ_INSERT_TAIL(&events->known, vm, link);
        vm->path = strdup(path);
        vm->name = strdup(name);
        if (vm->path && vm->name)
                return 0;
        forget(events, vm);
        return -ENOMEM;
}

static int learn_all(Events *events, TextError *reterr) {
        _cleanup_(value_freep) Value *list = NULL;
        int r = client_list_vms(events->client, &list, reterr);

        for (size_t i = 0; r >= 0 && i < list->n_members; i++)
                r = learn(events, value_get_string(list->members[i], "Path"),
                          value_get_string(list->members[i], "Name"));
        return r;
}

static bool is_wanted(const Events *events, const char *name, const char *path) {
        for (size_t i = 0; i < events->args->n_operands; i++)
                if (str_eq(events->args->operands[i], name) ||
                    str_eq(events->args->operands[i], path))
                        return true;
        return events->args->n_operands == 0;
}

static int print_text(const Value *event) {
        _cleanup_(strbuf_deinit) StrBuf line = {0};
        char time[FORMAT_MAX];

        strbuf_printf(&line, "%s  ", format_timestamp(time, value_get_uint(event, "Timestamp", 0)));
        event_text(event, &line);
        strbuf_append(&line, "\n");
        return client_print_text(&line);
}

/* Takes @event, whose name and time are still to be said. */
static int tell(Events *events, Value *event, const char *name, const char *path) {
        _cleanup_(value_freep) Value *own = event;
        int r = value_add_uint(own, "Timestamp", clock_realtime_usec());

        if (r >= 0 && name)
                r = value_add_string(own, "Name", name);
        if (r >= 0 && name)
                r = value_add_string(own, "Path", path);
        if (r >= 0)
                r = events->client->json == JSON_OFF ? print_text(own)
                                                     : client_print_json(events->client, own);
        if (r == -EPIPE)
                return sd_event_exit(events->event, EXIT_STATUS_OK);
        return r;
}

static int on_signal_of_vm(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *path = sd_bus_message_get_path(message), *member, *new_path, *new_name;
        Events *events = userdata;
        Value *event = NULL;
        KnownVm *vm;
        int r;

        member = sd_bus_message_get_member(message);
        if (str_eq(member, "VmNew")) {
                r = sd_bus_message_read(message, "os", &new_path, &new_name);
                if (r >= 0)
                        r = learn(events, new_path, new_name);
                if (r < 0)
                        return r;
                path = new_path;
        } else if (str_eq(member, "VmRemoved")) {
                r = sd_bus_message_read(message, "os", &path, &new_name);
                if (r < 0)
                        return r;
        }
        vm = find(events, path);
        if (!vm)
                return 0; /* not the user's, or no VM */
        r = event_read(message, &event);
        if (r > 0 && is_wanted(events, vm->name, vm->path))
                r = tell(events, event, vm->name, vm->path);
        else
                (void) value_free(event);
        if (str_eq(member, "VmRemoved"))
                forget(events, vm);
        return r < 0 ? sd_event_exit(events->event, r) : 0;
}

static int on_owner_changed(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        const char *name, *old_owner, *new_owner;
        Events *events = userdata;
        Value *event = NULL;
        int r = sd_bus_message_read(message, "sss", &name, &old_owner, &new_owner);

        if (r >= 0)
                r = value_new(VALUE_OBJECT, &event);
        if (r >= 0)
                r = value_add_string(event, "Event",
                                     *new_owner ? "service-started" : "service-stopped");
        if (r < 0)
                (void) value_free(event);
        else
                r = tell(events, event, NULL, NULL);
        return r < 0 ? sd_event_exit(events->event, r) : 0;
}

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        Events *events = userdata;

        return sd_event_exit(events->event, -ECONNRESET);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Events *events = userdata;

        return sd_event_exit(events->event, EXIT_STATUS_INTERRUPTED);
}

static int on_reader_gone(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Events *events = userdata;

        return sd_event_exit(events->event, EXIT_STATUS_OK);
}

/* What happens from now on is seen, so who is learnt of next missed nothing. */
static int watch(Events *events) {
        sd_bus *bus = events->client->bus;
        int r = sd_bus_add_match(bus, NULL,
                                 "type='signal',sender='" VIVARIUM_BUS_NAME
                                 "',path_namespace='" VIVARIUM_MANAGER_PATH "'",
                                 on_signal_of_vm, events);

        if (r >= 0)
                r = sd_bus_add_match(bus, NULL,
                                     "type='signal',sender='org.freedesktop.DBus',"
                                     "member='NameOwnerChanged',arg0='" VIVARIUM_BUS_NAME "'",
                                     on_owner_changed, events);
        if (r >= 0)
                r = sd_bus_match_signal(bus, NULL, NULL, "/org/freedesktop/DBus/Local",
                                        "org.freedesktop.DBus.Local", "Disconnected",
                                        on_disconnected, events);
        if (r >= 0)
                r = session_watch_signals(events->event, on_signal, events);
        if (r >= 0)
                r = session_watch_reader(events->event, on_reader_gone, events);
        return r;
}

/** verb_events() - `vivctl events [VM...]`. Return: exit status; negative errno with @reterr set. */
int verb_events(Client *client, const Args *args, TextError *reterr) {
        _cleanup_(events_deinit) Events events = {.client = client, .args = args};
        int r;

        TAILQ_INIT(&events.known);
        r = client_connect(client, reterr);
        if (r >= 0)
                r = sd_event_new(&events.event);
        if (r >= 0)
                r = watch(&events);
        if (r < 0)
                return reterr->message ? r
                                       : client_call_error(client, NULL, r,
                                                           "cannot watch the service", reterr);
        r = learn_all(&events, reterr);
        if (r >= 0)
                r = sd_bus_attach_event(client->bus, events.event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_event_loop(events.event);
        if (r == -ECONNRESET)
                return text_error_set(reterr, r, "the connection to the bus was lost");
        return r;
}
