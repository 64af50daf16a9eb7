/* SPDX-License-Identifier: Apache-2.0 */
#include "service/bus/changed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "dbus/names.h"
#include "service/bus/bus_internal.h"

#define GROUP_PROPERTIES_MAX 8u

typedef struct Group {
        unsigned change;
        const char *properties[GROUP_PROPERTIES_MAX + 1];
} Group;

static const Group vm_groups[] = {
        {VM_CHANGED_STATE, {"State", "PayloadState"}},
        {VM_CHANGED_START,
         {"Pid", "StartTimestamp", "StartTimestampMonotonic", "NetworkInterfaces"}},
        {VM_CHANGED_DEATH,
         {"DeathTimestamp", "DeathTimestampMonotonic", "ExitStatus", "ExitSignal", "DeathReason",
          "DeathReasonCode", "FailureText", "FailureInfo"}},
        {VM_CHANGED_USAGE,
         {"GuestCpuUsec", "RssGuestBytes", "RssGuestPeakBytes", "RssVmmBytes", "RssVmmPeakBytes"}},
        {VM_CHANGED_PAYLOAD,
         {"PayloadStatus", "PayloadExitCode", "PayloadStartedTimestamp",
          "PayloadStartedTimestampMonotonic"}},
        {VM_CHANGED_SUSPENDED, {"Suspended"}},
        {VM_CHANGED_BALLOON, {"BalloonBytes"}},
        {VM_CHANGED_OWNER, {"Owner", "OwnerPid", "Detached"}},
};

static const Group manager_groups[] = {
        {MANAGER_CHANGED_COUNT, {"VmCount"}},
        {MANAGER_CHANGED_HYPERVISOR, {"DefaultHypervisor"}},
        {MANAGER_CHANGED_DRAINING, {"Draining"}},
};

typedef struct Mark {
        const Vm *vm; /* borrowed; forgotten before it goes */
        unsigned changes;
} Mark;

struct Changed {
        sd_bus *bus;            /* borrowed */
        sd_event_source *flush; /* owned */
        Mark *marks;            /* owned array */
        size_t n_marks, room;
        unsigned manager_changes;
};

/* Which names @changes stand for; pointers to literals, NULL-terminated. */
static void collect_names(const Group *groups, size_t n_groups, unsigned changes,
                          const char **names) {
        size_t n = 0;

        for (size_t i = 0; i < n_groups; i++) {
                if (!(changes & groups[i].change))
                        continue;
                for (size_t j = 0; groups[i].properties[j]; j++)
                        names[n++] = groups[i].properties[j];
        }
        names[n] = NULL;
}

static int emit(sd_bus *bus, const char *path, const char *interface, const char **names) {
        return sd_bus_emit_properties_changed_strv(bus, path, interface, bus_unconst(names));
}

static void emit_vm(sd_bus *bus, const Mark *mark) {
        const char *names[ELEMENTSOF(vm_groups) * GROUP_PROPERTIES_MAX + 1];
        VmBusPath path;
        int r;

        collect_names(vm_groups, ELEMENTSOF(vm_groups), mark->changes, names);
        r = emit(bus, vm_bus_path(mark->vm, &path), VIVARIUM_VM_INTERFACE, names);
        if (r < 0 && r != -ENOTCONN)
                log_line(LOG_LEVEL_WARNING, vm_info(mark->vm)->name,
                         "signal changed properties: %s, ignoring", strerror(-r));
}

static void emit_manager(sd_bus *bus, unsigned changes) {
        const char *names[ELEMENTSOF(manager_groups) * GROUP_PROPERTIES_MAX + 1];
        int r;

        collect_names(manager_groups, ELEMENTSOF(manager_groups), changes, names);
        r = emit(bus, VIVARIUM_MANAGER_PATH, VIVARIUM_MANAGER_INTERFACE, names);
        if (r < 0 && r != -ENOTCONN)
                log_warning("signal changed properties of the manager: %s, ignoring", strerror(-r));
}

/** changed_flush() - signal all that is marked now */
void changed_flush(Changed *changed) {
        for (size_t i = 0; i < changed->n_marks; i++)
                emit_vm(changed->bus, &changed->marks[i]);
        changed->n_marks = 0;
        if (changed->manager_changes)
                emit_manager(changed->bus, changed->manager_changes);
        changed->manager_changes = 0;
}

static int on_flush(sd_event_source *source, void *userdata) {
        changed_flush(userdata);
        return 0;
}

/**
 * changed_new() - collect changes and signal them
 * @bus: borrowed
 *
 * Return: 0 or negative errno.
 */
int changed_new(sd_bus *bus, sd_event *event, Changed **ret) {
        _cleanup_(changed_freep) Changed *changed = calloc(1, sizeof(*changed));
        int r;

        if (!changed)
                return -ENOMEM;
        changed->bus = bus;
        r = sd_event_add_defer(event, &changed->flush, on_flush, changed);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(changed->flush, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE(changed);
        return 0;
}

/** changed_free() - drop what has not been sent. @changed may be NULL. Return: NULL. */
Changed *changed_free(Changed *changed) {
        if (!changed)
                return NULL;
        (void) sd_event_source_disable_unref(changed->flush);
        free(changed->marks);
        free(changed);
        return NULL;
}

static void schedule(Changed *changed) {
        (void) sd_event_source_set_enabled(changed->flush, SD_EVENT_ONESHOT);
}

/* The latest first, because changes of one VM come in a row. */
static Mark *find_mark(Changed *changed, const Vm *vm) {
        for (size_t i = changed->n_marks; i > 0; i--)
                if (changed->marks[i - 1].vm == vm)
                        return &changed->marks[i - 1];
        return NULL;
}

/**
 * changed_mark_vm() - some properties of @vm have new values
 * @changes: VmChange bits
 *
 * Without memory for the mark the signal goes out at once.
 */
void changed_mark_vm(Changed *changed, const Vm *vm, unsigned changes) {
        Mark *mark = find_mark(changed, vm);

        if (mark) {
                mark->changes |= changes;
                return;
        }
        if (changed->n_marks == changed->room) {
                size_t room = changed->room ? changed->room * 2 : 16;
                Mark *grown = reallocarray(changed->marks, room, sizeof(*grown));

                if (!grown) {
                        emit_vm(changed->bus, &(Mark){vm, changes});
                        return;
                }
                changed->marks = grown;
                changed->room = room;
        }
        changed->marks[changed->n_marks++] = (Mark){vm, changes};
        schedule(changed);
}

/** changed_mark_manager() - some properties of the manager have new values; ManagerChange bits */
void changed_mark_manager(Changed *changed, unsigned changes) {
        changed->manager_changes |= changes;
        schedule(changed);
}

/** changed_flush_vm() - signal what is marked for @vm now, because something is about to refer to it */
void changed_flush_vm(Changed *changed, const Vm *vm) {
        Mark *mark = find_mark(changed, vm);

        if (!mark)
                return;
        emit_vm(changed->bus, mark);
        *mark = changed->marks[--changed->n_marks];
}

/** changed_forget_vm() - @vm goes; nobody can read its properties any more */
void changed_forget_vm(Changed *changed, const Vm *vm) {
        Mark *mark = find_mark(changed, vm);

        if (mark)
                *mark = changed->marks[--changed->n_marks];
}
