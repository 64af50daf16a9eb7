/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The reading end of a pipe whose writer is a VMM or its guest, neither of which may be trusted: everything is read
 * so that the writer never blocks, a bounded part is kept, and one writer cannot keep the event loop to itself.
 */

#include <systemd/sd-event.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

typedef struct Drain Drain;

typedef enum DrainKeep {
        DRAIN_KEEP_HEAD, /* the first bytes */
        DRAIN_KEEP_TAIL, /* the last bytes */
} DrainKeep;

/* Called once when the last writer is gone, never from within drain_new() or drain_now(). */
typedef void (*DrainEofFn)(void *userdata);

int drain_new(sd_event *event, DrainKeep keep, size_t keep_bytes, DrainEofFn eof, void *userdata,
              Drain **ret, int *ret_write_fd);
Drain *drain_free(Drain *drain);
DEFINE_CLEANUP(Drain *, drain_free)

bool drain_now(Drain *drain);
uint64_t drain_total(const Drain *drain);
int drain_copy(const Drain *drain, char **ret, size_t *ret_len);
