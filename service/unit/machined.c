/* SPDX-License-Identifier: Apache-2.0 */
#include "service/unit/machined.h"

#include <systemd/sd-id128.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

/*
 * One VM's way into the register:
 *
 *   GetMachineByPID(leader) ──unknown──▶ RegisterMachine(its name) ──taken or no name──▶ RegisterMachine(fallback)
 *
 * The first call finds what an earlier daemon registered, and under which name. It must come first, and only the answers
 * that are named here may lead on: a leader that is registered twice makes machined drop the second machine, and stop the
 * unit that both are in. Where machined is absent the bus says so to the first VM, and no other asks again until a machined
 * comes.
 */

#define MACHINED_NAME "org.freedesktop.machine1"
#define MACHINED_PATH "/org/freedesktop/machine1"
#define MACHINED_MANAGER "org.freedesktop.machine1.Manager"
#define MACHINE_PREFIX "/org/freedesktop/machine1/machine"
#define ERROR_UNKNOWN MACHINED_NAME ".NoMachineForPID"
#define ERROR_EXISTS MACHINED_NAME ".MachineExists"
/* It may have to be started first, on a host that has much to do. */
#define CALL_TIMEOUT_USEC (120 * USEC_PER_SEC)
#define SERVICE "vivarium"
#define CLASS "vm"

typedef enum MachinedStep {
        STEP_FIND,
        STEP_REGISTER,
        STEP_FALLBACK,
        STEP_DONE,
} MachinedStep;

struct MachinedEntry {
        Machined *machined; /* borrowed */
        MachinedEntry *
                *place; /* borrowed; where its VM has it, emptied when it goes; NULL without a VM */
        MachinedStep step;
        char *name, *fallback; /* owned; @name is what it is registered as once that is done */
        sd_id128_t id;
        pid_t leader;
        sd_bus_slot *call; /* owned; not NULL until machined has answered */
        bool unwanted;     /* the VM has ended; the entry goes when machined has answered */
        TAILQ_ENTRY(MachinedEntry) link;
};

struct Machined {
        sd_bus *bus;        /* borrowed; outlives it */
        sd_bus_slot *owner; /* owned */
        bool absent;
        TAILQ_HEAD(, MachinedEntry) entries;
};

static MachinedEntry *entry_free(MachinedEntry *entry) {
        if (!entry)
                return NULL;
        if (entry->place)
                *entry->place = NULL;
        TAILQ_REMOVE(&entry->machined->entries, entry, link);
        (void) sd_bus_slot_unref(entry->call);
        free(entry->name);
        free(entry->fallback);
        free(entry);
        return NULL;
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error);

static int append_spec(sd_bus_message *call, const MachinedEntry *entry) {
        const char *name = entry->step == STEP_REGISTER ? entry->name : entry->fallback;
        int r;

        if (entry->step == STEP_FIND)
                return sd_bus_message_append(call, "u", (uint32_t) entry->leader);
        r = sd_bus_message_append(call, "s", name);
        if (r >= 0)
                r = sd_bus_message_append_array(call, 'y', entry->id.bytes, sizeof(entry->id));
        if (r >= 0)
                r = sd_bus_message_append(call, "ssus", SERVICE, CLASS, (uint32_t) entry->leader,
                                          /* root directory= */ "");
        return r;
}

static int ask(MachinedEntry *entry) {
        const char *method = entry->step == STEP_FIND ? "GetMachineByPID" : "RegisterMachine";
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        sd_bus *bus = entry->machined->bus;
        int r;

        r = sd_bus_message_new_method_call(bus, &call, MACHINED_NAME, MACHINED_PATH,
                                           MACHINED_MANAGER, method);
        if (r >= 0)
                r = append_spec(call, entry);
        if (r >= 0)
                r = sd_bus_call_async(bus, &entry->call, call, on_answer, entry, CALL_TIMEOUT_USEC);
        return r < 0 ? r : 0;
}

static void tell_unregister(const MachinedEntry *entry) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        sd_bus *bus = entry->machined->bus;
        int r;

        r = sd_bus_message_new_method_call(bus, &call, MACHINED_NAME, MACHINED_PATH,
                                           MACHINED_MANAGER, "UnregisterMachine");
        if (r >= 0)
                r = sd_bus_message_append(call, "s", entry->name);
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(call, 0);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, 0);
        if (r >= 0)
                r = sd_bus_send(bus, call, NULL);
        if (r < 0)
                log_line(LOG_LEVEL_WARNING, entry->name,
                         "unregister it with machined: %s, ignoring", strerror(-r));
}

static bool is_absence(const sd_bus_error *error) {
        return sd_bus_error_has_name(error, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
               sd_bus_error_has_name(error, SD_BUS_ERROR_NAME_HAS_NO_OWNER);
}

/* Takes the name under which machined has the leader. */
static int take_found_name(MachinedEntry *entry, sd_bus_message *reply) {
        const char *path;
        char *name = NULL;
        int r;

        r = sd_bus_message_read(reply, "o", &path);
        if (r >= 0)
                r = sd_bus_path_decode(path, MACHINE_PREFIX, &name);
        if (r <= 0 || !name)
                return r < 0 ? r : -EBADMSG;
        free(entry->name);
        entry->name = name;
        return 0;
}

/* Whether a refusal leads to the next step: anything else may mean that the call had its effect. */
static bool leads_on(MachinedStep step, const sd_bus_error *error) {
        switch (step) {
        case STEP_FIND:
                return sd_bus_error_has_name(error, ERROR_UNKNOWN);
        case STEP_REGISTER:
                return sd_bus_error_has_name(error, ERROR_EXISTS) ||
                       sd_bus_error_has_name(error, SD_BUS_ERROR_INVALID_ARGS);
        case STEP_FALLBACK:
        case STEP_DONE:
                return false;
        }
        return false;
}

static int give_up(MachinedEntry *entry, const sd_bus_error *error) {
        bool absent = is_absence(error);

        log_line(absent || entry->unwanted ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, entry->name,
                 "not registered with machined: %s", error->message);
        entry->machined->absent |= absent;
        return -EOPNOTSUPP;
}

/* Return: 0; negative errno when the way ends without the VM being registered. */
static int go_on(MachinedEntry *entry, sd_bus_message *reply) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        MachinedStep step = entry->step;
        int r;

        if (error && (entry->unwanted || !leads_on(step, error)))
                return give_up(entry, error);
        if (error) {
                entry->step = step == STEP_FIND ? STEP_REGISTER : STEP_FALLBACK;
                return ask(entry);
        }
        r = step == STEP_FIND ? take_found_name(entry, reply) : 0;
        if (r < 0)
                return r;
        if (step == STEP_FALLBACK) {
                free(entry->name);
                entry->name = TAKE(entry->fallback);
        }
        entry->step = STEP_DONE;
        return 0;
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        MachinedEntry *entry = userdata;
        int r;

        entry->call = sd_bus_slot_unref(entry->call);
        r = go_on(entry, reply);
        if (entry->unwanted && !entry->call) {
                if (r == 0)
                        tell_unregister(entry);
                (void) entry_free(entry);
        }
        return 0;
}

/**
 * machined_register() - have machined list a VM, as long as it runs
 * @ret: to be given to machined_unregister() or machined_leave(); NULL where there is no machined; owned by this
 *       module, which empties the place when the entry goes
 *
 * Return: 0 or negative errno.
 */
int machined_register(Machined *machined, const MachinedSpec *spec, MachinedEntry **ret) {
        MachinedEntry *entry;
        int r;

        *ret = NULL;
        if (machined->absent)
                return 0;
        entry = calloc(1, sizeof(*entry));
        if (!entry)
                return -ENOMEM;
        TAILQ_INSERT_TAIL(&machined->entries, entry, link);
        entry->machined = machined;
        entry->place = ret;
        entry->leader = spec->leader;
        entry->name = strdup(spec->name);
        entry->fallback = strdup(spec->fallback);
        r = entry->name && entry->fallback ? sd_id128_from_string(spec->id, &entry->id) : -ENOMEM;
        if (r >= 0)
                r = ask(entry);
        if (r < 0) {
                (void) entry_free(entry);
                return r;
        }
        *ret = entry;
        return 0;
}

/** machined_unregister() - the VM has ended; who may register its name after this finds it free. Return: NULL. */
MachinedEntry *machined_unregister(MachinedEntry *entry) {
        if (!entry)
                return NULL;
        /* Its name may be somebody else's until machined has said that it is ours. */
        if (entry->call) {
                *entry->place = NULL;
                entry->place = NULL;
                entry->unwanted = true;
                return NULL;
        }
        if (entry->step == STEP_DONE)
                tell_unregister(entry);
        return entry_free(entry);
}

/** machined_leave() - the VM goes on, and stays registered, without this daemon. Return: NULL. */
MachinedEntry *machined_leave(MachinedEntry *entry) {
        return entry_free(entry);
}

static int on_owner_changed(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *name, *before, *now;
        Machined *machined = userdata;

        if (sd_bus_message_read(message, "sss", &name, &before, &now) >= 0 && *now)
                machined->absent = false;
        return 0;
}

/** machined_new() - @bus: borrowed. Nothing is asked until there is a VM. Return: 0 or negative errno. */
int machined_new(sd_bus *bus, Machined **ret) {
        _cleanup_(machined_freep) Machined *machined = calloc(1, sizeof(*machined));
        int r;

        if (!machined)
                return -ENOMEM;
        machined->bus = bus;
        TAILQ_INIT(&machined->entries);
        r = sd_bus_add_match_async(bus, &machined->owner,
                                   "type='signal',sender='org.freedesktop.DBus',"
                                   "interface='org.freedesktop.DBus',member='NameOwnerChanged',"
                                   "arg0='" MACHINED_NAME "'",
                                   on_owner_changed, NULL, machined);
        if (r < 0)
                return r;
        *ret = TAKE(machined);
        return 0;
}

/** machined_free() - entries that are left stay registered. Return: NULL. */
Machined *machined_free(Machined *machined) {
        MachinedEntry *entry;

        if (!machined)
                return NULL;
        while ((entry = TAILQ_FIRST(&machined->entries)))
                (void) entry_free(entry);
        (void) sd_bus_slot_unref(machined->owner);
        free(machined);
        return NULL;
}
