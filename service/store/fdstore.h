/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * systemd's descriptor store: what is pushed there comes back to the next daemon, as long as the unit is not stopped.
 * Names are "vm-<id>-<what>". Without systemd nothing is kept, and nothing here is an error.
 *
 * What there is of a VM: keeper and vmm (pidfds); failure, console, log and stderr (reading ends of pipes); keys
 * (the writing end of the one that the console reads); notify (where
 * the guest's words arrive); file-<n>, console-out, console-in and log-out (the client's, until the VMM has them).
 */

#include "base/cleanup.h"

typedef struct FdStore FdStore;

int fdstore_new(FdStore **ret);
FdStore *fdstore_free(FdStore *store);
DEFINE_CLEANUP(FdStore *, fdstore_free)

void fdstore_push(FdStore *store, const char *id, const char *what, int fd);
void fdstore_remove(FdStore *store, const char *id, const char *what);
int fdstore_take(FdStore *store, const char *id, const char *what);
void fdstore_drop_rest(FdStore *store);
