/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where every method call is held against the caller's rights, before anything reads it. What polkit has to be asked
 * about is kept meanwhile, and goes through sd-bus once more when the answer is there: a handler sees either a call
 * that was allowed or none.
 */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include <stdbool.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "service/policy/action.h"
#include "service/policy/caller.h"

/* Calls that wait for polkit: of one user, and of all. */
#define GATE_PENDING_PER_UID_MAX 16u
#define GATE_PENDING_MAX 256u

typedef struct Gate Gate;
typedef struct BusService BusService;

int gate_new(BusService *service, sd_event *event, gid_t group, Gate **ret);
Gate *gate_free(Gate *gate);
DEFINE_CLEANUP(Gate *, gate_free)

int gate_require(Gate *gate, sd_bus_message *call, Action action, sd_bus_error *error);
/* What the sender of a call may know of. */
typedef struct GateSight {
        bool all; /* VMs of everybody */
        bool own; /* those of @uid */
        uid_t uid;
} GateSight;

GateSight gate_look(Gate *gate, sd_bus_message *call);

static inline bool gate_sees(const GateSight *sight, uid_t owner_uid) {
        return sight->all || (sight->own && sight->uid == owner_uid);
}

bool gate_may_see(Gate *gate, sd_bus_message *call, uid_t owner_uid);
void gate_forget_sender(Gate *gate, const char *name);
