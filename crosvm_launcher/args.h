/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Launch plan to VMM config: what Android's manager does in its run_vm, for the plan's descriptors. */

#include "base/text_error.h"
#include "config/launch_plan.h"
#include "crosvm_launcher/fd_map.h"
#include "crosvm_launcher/fd_set.h"

typedef struct LaunchArgs {
        VmmConfig vmm;
        FdMap map;   /* the VMM's descriptors */
        FdSet owned; /* those of them that the launcher made */
} LaunchArgs;

void launch_args_deinit(LaunchArgs *args);
int launch_args_build(const LaunchPlan *plan, LaunchArgs *ret, TextError *reterr);
int launch_args_describe(const StrVec *argv, const FdMap *map, char **ret);
