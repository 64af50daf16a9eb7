/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a caller must be allowed to do for each call: the polkit actions of dbus/org.vivarium.vm1.policy, and which of
 * them which call needs. Pure tables; service/bus/gate.c acts on them.
 */

#include <stdbool.h>

#include "config/vm_config.h"

/* Root and the user whose daemon this is pass all of them. */
typedef enum Action {
        ACTION_MANAGE,         /* create VMs, and what belongs to that */
        ACTION_USE_CUSTOM,     /* have them run what the caller says: any raw config */
        ACTION_DEBUG,          /* a debugger's port, debug level full */
        ACTION_NETWORK,        /* an interface of the host */
        ACTION_ASSIGN_DEVICES, /* a function of the host, of those that are listed */
        ACTION_INSPECT,        /* see the VMs of others, and what their guests wrote */
        ACTION_ADMINISTER,     /* stop and change the VMs of others; the host as a whole */
} Action;

/* What is asked of the caller before a call is handled. */
typedef enum Need {
        NEED_NOTHING,
        NEED_ACTION, /* the call's action, or it is refused */
        NEED_SIGHT,  /* answered for all; who may inspect gets the VMs of others, too */
} Need;

typedef struct CallRule {
        const char *interface, *member;
        Need need;
        Action action; /* for NEED_ACTION */
        bool audited;  /* it changes something, or hands something out: a line in the journal */
} CallRule;

const char *action_to_id(Action action);
const char *action_to_word(Action action);
const CallRule *action_find_rule(const char *interface, const char *member);
bool action_vm_call_is_reading(const char *interface);
unsigned action_set_for_config(const VmConfig *config);
