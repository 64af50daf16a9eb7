/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The line that says who did what, and who was kept from it. */

#include <stdbool.h>

#include "base/ratelimit.h"
#include "service/policy/caller.h"
#include "service/vm/vm.h"

typedef struct AuditEvent {
        const Caller *caller;
        const char *call;    /* member of the D-Bus interface */
        const VmInfo *vm;    /* NULL for calls of the manager */
        const char *action;  /* id of the polkit action that decided; "" if none had to */
        const char *verdict; /* "allowed" or "denied" */
        const char *basis;   /* "privileged", "owner", "polkit", "group"; for a refusal its cause */
} AuditEvent;

/* What unprivileged callers may have written: a flood of calls must not push other lines out of the journal. */
#define AUDIT_LIMIT_DEFAULT ((RateLimit){.interval_usec = 10 * USEC_PER_SEC, .burst = 100})

void audit_write(const AuditEvent *event, RateLimit *limit, bool journal);
