/* SPDX-License-Identifier: Apache-2.0 */

/* The counters of the machine, its vCPUs, interrupt lines and devices, as one answer of the control socket. */

#include <errno.h>
#include <stdio.h>

#include "vmm/machine/machine_internal.h"

#define COUNTERS_MAX 4096u

typedef struct Collection {
        ControlCounter *counters; /* owned */
        size_t n;
        unsigned slot; /* of the function at hand */
} Collection;

static ControlCounter *add(Collection *c, const char *class, const char *counter, uint64_t value) {
        ControlCounter *added;

        if (c->n == COUNTERS_MAX)
                return NULL;
        added = &c->counters[c->n++];
        *added = (ControlCounter){.class = class, .counter = counter, .value = value};
        return added;
}

static void add_numbered(Collection *c, const char *class, unsigned number, const char *counter,
                         uint64_t value) {
        ControlCounter *added = add(c, class, counter, value);

        if (added)
                (void) snprintf(added->object, sizeof(added->object), "%u", number);
}

static void add_device(void *userdata, const char *device, const char *counter, uint64_t value) {
        Collection *c = userdata;
        ControlCounter *added = add(c, "devices", counter, value);

        if (added)
                (void) snprintf(added->object, sizeof(added->object), "%s@%u", device, c->slot);
}

static void add_pauses(Collection *c, const MachinePark *park) {
        const struct {
                const char *counter;
                uint64_t value;
        } counters[] = {
                {"count", park->n_stops},
                {"stop_usec", park->stop_nsec / NSEC_PER_USEC},
                {"longest_stop_usec", park->longest_stop_nsec / NSEC_PER_USEC},
        };

        for (size_t i = 0; i < ELEMENTSOF(counters); i++) {
                ControlCounter *added = add(c, "machine", counters[i].counter, counters[i].value);

                if (added)
                        (void) snprintf(added->object, sizeof(added->object), "pauses");
        }
}

static void collect(Machine *machine, Collection *c) {
        add_pauses(c, &machine->park);
        for (unsigned i = 0; i < machine->n_vcpus; i++) {
                const MachineExits *exits = &machine->vcpus[i].exits;

#define ADD_EXITS(member) add_numbered(c, "vcpus", i, #member, counter_get(&exits->member));
                MACHINE_EXITS_TABLE(ADD_EXITS)
#undef ADD_EXITS
        }
        for (unsigned i = 0; i < GSI_COUNT; i++)
                add_numbered(c, "lines", i, "raised", irqchip_times_raised(machine->irqchip, i));
        for (c->slot = 0; c->slot < PCI_SLOTS; c->slot++)
                pci_root_count(machine->pci, c->slot, add_device, c);
}

static void on_stats(void *userdata, ControlCall *call) {
        Collection c = {.counters = calloc(COUNTERS_MAX, sizeof(*c.counters))};
        ControlAnswer answer = {.kind = CONTROL_ANSWER_STATS};

        if (!c.counters) {
                control_call_fail(call, "no memory");
                return;
        }
        collect(userdata, &c);
        answer.counters = c.counters;
        answer.n_counters = c.n;
        control_call_answer(call, &answer);
        free(c.counters);
}

/** machine_handle_stats_request() - let the control socket ask for the counters */
void machine_handle_stats_request(Machine *machine) {
        control_server_handle(machine->control, CONTROL_STATS, on_stats, machine);
}
