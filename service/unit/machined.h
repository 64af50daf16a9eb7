/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Running VMs in systemd-machined's register, where `machinectl` and its like find them. Nothing of a VM waits for it:
 * a host without machined, or one that refuses, has VMs that machinectl does not list.
 */

#include <systemd/sd-bus.h>

#include <sys/types.h>

#include "base/cleanup.h"

typedef struct Machined Machined;
typedef struct MachinedEntry MachinedEntry;

typedef struct MachinedSpec {
        const char *name;     /* of the VM, which need not be one that machined takes */
        const char *fallback; /* nobody else's, taken where @name is not */
        const char *id;       /* 32 hexadecimal digits */
        pid_t leader;         /* gets SIGRTMIN+4 from `machinectl poweroff`; in a scope */
} MachinedSpec;

int machined_new(sd_bus *bus, Machined **ret);
Machined *machined_free(Machined *machined);
DEFINE_CLEANUP(Machined *, machined_free)

int machined_register(Machined *machined, const MachinedSpec *spec, MachinedEntry **ret);
MachinedEntry *machined_unregister(MachinedEntry *entry);
MachinedEntry *machined_leave(MachinedEntry *entry);
