/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A systemd scope for each VM: its place in the host's cgroups, with its limits, outside of the daemon's own unit. The
 * manager of the same bus is asked: PID 1 on the system bus, the user's on the user's.
 */

#include <systemd/sd-bus.h>

#include <stdbool.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "config/vm_config.h"
#include "service/unit/machined.h"

typedef struct Scopes Scopes;
typedef struct ScopeJob ScopeJob;

typedef struct ScopeSpec {
        const char *unit; /* name ending in ".scope" */
        const char *name; /* of the VM, for the description */
        pid_t pid;        /* first process in it */
        const VmLimits *limits;
} ScopeSpec;

/**
 * ScopeMadeFn - called once, from the event loop, unless the job was forgotten before
 * @r:       0: the process is in its scope; else negative errno
 * @message: the sentence for a failure; borrowed
 */
typedef void (*ScopeMadeFn)(void *userdata, int r, const char *message);

int scopes_new(sd_bus *bus, Scopes **ret);
Scopes *scopes_free(Scopes *scopes);
DEFINE_CLEANUP(Scopes *, scopes_free)
bool scopes_available(const Scopes *scopes);
Machined *scopes_machined(const Scopes *scopes);

int scope_make(Scopes *scopes, const ScopeSpec *spec, ScopeMadeFn made, void *userdata,
               ScopeJob **ret);
ScopeJob *scope_job_forget(ScopeJob *job);
