/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The reading end of a pipe whose writer is a VMM or its guest, neither of which may be trusted: everything is read
 * so that the writer never blocks, a bounded part is kept, and one writer cannot keep the event loop to itself. What
 * is kept is in a file, so that it outlives the daemon.
 */

#include <systemd/sd-event.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"

typedef struct Drain Drain;

typedef enum DrainKeep {
        DRAIN_KEEP_HEAD, /* the first bytes */
        DRAIN_KEEP_TAIL, /* the last bytes */
} DrainKeep;

/* Called once when the last writer is gone, never from within drain_new() or drain_now(). */
typedef void (*DrainEofFn)(void *userdata);

/* Called each time that more was kept, before old bytes go for it: who reads them here misses none. Must not free the drain. */
typedef void (*DrainDataFn)(void *userdata);

/* What to keep, and whom to tell. */
typedef struct DrainSpec {
        DrainKeep keep;
        size_t keep_bytes; /* bound, more than 0 */
        int file; /* borrowed; holds what is kept, perhaps of an earlier drain; -EBADF: memory alone */
        DrainEofFn eof;   /* optional */
        DrainDataFn data; /* optional */
        void *userdata;   /* borrowed */
        int64_t priority; /* of its event source; 0 is SD_EVENT_PRIORITY_NORMAL */
} DrainSpec;

int drain_new(sd_event *event, const DrainSpec *spec, Drain **ret, int *ret_write_fd);
int drain_attach(sd_event *event, const DrainSpec *spec, int read_fd, Drain **ret);
Drain *drain_free(Drain *drain);
DEFINE_CLEANUP(Drain *, drain_free)

bool drain_now(Drain *drain);
uint64_t drain_total(const Drain *drain);
uint64_t drain_kept_from(const Drain *drain);
uint64_t drain_kept_to(const Drain *drain);
ssize_t drain_read(const Drain *drain, uint64_t from, void *buf, size_t max);
int drain_copy(const Drain *drain, size_t max, char **ret, size_t *ret_len);
int drain_fd(const Drain *drain);
