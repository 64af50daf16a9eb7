/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/verbs.h"

#include <limits.h>

/* In the order in which --help lists them. */
const Verb verbs[] = {
        {"run",
         "[CONFIG.json]",
         0,
         1,
         {config_options, start_options, run_options},
         "Make a VM, start it, show its console and tell why it ended",
         verb_run},
        {"create",
         "[CONFIG.json]",
         0,
         1,
         {config_options, start_options},
         "Make a VM that is started later and outlives vivctl",
         verb_create},
        {"start", "VM...", 1, SIZE_MAX, {NULL}, "Start VMs that were created", verb_start},
        {"kill", "VM...", 1, SIZE_MAX, {NULL}, "End VMs at once", verb_kill},
        {"release", "VM...", 1, SIZE_MAX, {NULL}, "Forget VMs that do not run", verb_release},
        {"list", "", 0, 0, {NULL}, "List the caller's VMs", verb_list},
        {"show", "VM...", 1, SIZE_MAX, {NULL}, "Show all about VMs, and why they ended", verb_show},
        {"capabilities",
         "",
         0,
         0,
         {capabilities_options},
         "Show what this host and the service can do",
         verb_capabilities},
        {"check-config",
         "[CONFIG.json]",
         0,
         1,
         {config_options},
         "Check a config and print it with its defaults filled in",
         verb_check_config},
        {0},
};
