/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where a debugger connects: a TCP port of the loopback interface or a Unix socket. One debugger at a time. */

#include "base/cleanup.h"
#include "base/text_error.h"
#include "vmm/event/loop.h"
#include "vmm/gdb/stub.h"

typedef struct GdbServer GdbServer;

int gdb_server_new(Loop *loop, const char *address, const GdbTargetOps *ops, void *target,
                   GdbServer **ret, TextError *reterr);
GdbServer *gdb_server_free(GdbServer *server);
DEFINE_CLEANUP(GdbServer *, gdb_server_free)

GdbStub *gdb_server_stub(GdbServer *server);
void gdb_server_ended(GdbServer *server, int status);
