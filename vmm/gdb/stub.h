/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A gdb remote stub: packets of one debugger in, answers out. Threads are vCPUs, numbered from 1. All stop when one
 * stops.
 */

#include <sys/types.h>

#include "base/cleanup.h"
#include "vmm/gdb/target.h"

typedef struct GdbStub GdbStub;

/* Bytes for the debugger; borrowed for the call. */
typedef void (*GdbSendFn)(void *userdata, const char *data, size_t len);

int gdb_stub_new(const GdbTargetOps *ops, void *target, GdbSendFn send, void *userdata,
                 GdbStub **ret);
GdbStub *gdb_stub_free(GdbStub *stub);
DEFINE_CLEANUP(GdbStub *, gdb_stub_free)

bool gdb_stub_receive(GdbStub *stub, const uint8_t *data, size_t len);
bool gdb_stub_is_own_breakpoint(const GdbStub *stub, uint64_t gva);
void gdb_stub_stopped(GdbStub *stub, const GdbStop *stop);
void gdb_stub_ended(GdbStub *stub, int status);
void gdb_stub_disconnect(GdbStub *stub);
