/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A systemd scope for each VM: its place in the host's cgroups, with its limits, outside of the daemon's own unit. The
 * manager of the same bus is asked: PID 1 on the system bus, the user's on the user's.
 */

#include <systemd/sd-bus.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

typedef struct Scopes Scopes;
typedef struct ScopeJob ScopeJob;

/* Limits; 0 where systemd's default stays. */
typedef struct ScopeResources {
        uint64_t memory_max_bytes, memory_high_bytes;
        uint64_t cpu_weight;             /* 1..10000, 100 is everybody's */
        uint64_t cpu_quota_usec_per_sec; /* 1000000 is one CPU */
        uint64_t io_weight;              /* 1..10000 */
        uint64_t tasks_max;
} ScopeResources;

typedef struct ScopeSpec {
        const char *unit; /* name ending in ".scope" */
        const char *name; /* of the VM, for the description */
        pid_t pid;        /* first process in it */
        const ScopeResources *resources;
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

int scope_make(Scopes *scopes, const ScopeSpec *spec, ScopeMadeFn made, void *userdata,
               ScopeJob **ret);
ScopeJob *scope_job_forget(ScopeJob *job);
