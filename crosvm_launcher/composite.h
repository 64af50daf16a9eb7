/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A disk of partitions as anonymous files: partition table and composite description around the client's files. */

#include "base/text_error.h"
#include "config/launch_plan.h"
#include "crosvm_launcher/fd_map.h"
#include "crosvm_launcher/fd_set.h"

int composite_disk_build(const LaunchPlan *plan, size_t disk_index, FdMap *map, FdSet *owned,
                         int *ret_fd, TextError *reterr);
