/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which hypervisors work here, as the VMM found out in a process of its own. */

#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "config/hypervisor_probe.h"

#define CAPABILITIES_HYPERVISORS 2u

typedef struct Capabilities Capabilities;

/* A probe is over: what there is to know is known, or known anew. */
typedef void (*CapabilitiesKnownFn)(void *userdata);

int capabilities_new(sd_event *event, const char *vmm_path, VmmDialect dialect,
                     CapabilitiesKnownFn known, void *userdata, Capabilities **ret);
Capabilities *capabilities_free(Capabilities *caps);
DEFINE_CLEANUP(Capabilities *, capabilities_free)

const char *const *capabilities_operations(const Capabilities *caps);
void capabilities_probe_again(Capabilities *caps);
bool capabilities_known(const Capabilities *caps);
const HypervisorProbe *capabilities_hypervisor(const Capabilities *caps, VmmHypervisor hypervisor);
const char *capabilities_default_hypervisor(const Capabilities *caps);
