/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The launcher's other half: what stays as the parent of the VMM. */

#include "config/keeper.h"

/* Keeper of whom, and what it learned. */
typedef struct Keeper {
        KeeperFds fds; /* owned */
        KeeperRecord record;
} Keeper;

int keeper_wait_for_go(Keeper *keeper);
int keeper_join(const Keeper *keeper);
int keeper_watch(Keeper *keeper, pid_t child, const char *launcher_name);
