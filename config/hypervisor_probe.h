/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What `vivarium-vmm probe` prints, one line for each hypervisor of the build:
 *
 *     NAME yes|no REASON
 *
 * NAME as in --hypervisor, REASON a sentence up to the end of the line: what was found, or what is in the way. The
 * exit status is 0 when all was said. The VMM probes by running a guest, so that it is a process that can fail, and
 * the daemon reads what it found.
 */

#include <stdbool.h>
#include <stdio.h>

#include "config/vmm_config.h"

#define HYPERVISOR_PROBE_VERB "probe"

typedef struct HypervisorProbe {
        VmmHypervisor hypervisor; /* kvm or soft */
        bool available;
        char reason[256];
} HypervisorProbe;

int hypervisor_probe_print(FILE *out, const HypervisorProbe *probe);
int hypervisor_probe_parse(const char *line, HypervisorProbe *ret);
