/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A stream of a guest's that is the service's, because its creator passed no descriptor for it: the console, with keys
 * that go the other way, or the log. What the guest writes is kept up to a bound, told line by line, and shown to any
 * number of viewers, each of which has a socket of its own. Nobody who is slow delays anybody else: a viewer that reads
 * too slowly misses what is not kept any more and is told how much, and keys wait at the viewers until the guest has
 * room for them.
 */

#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "service/monitor/line_log.h"

/* What a viewer that comes later still sees; twice that on disk. */
#define CONSOLE_KEPT_BYTES (32u * 1024u)
#define CONSOLE_VIEWERS_MAX 16u

typedef struct Console Console;

typedef struct ConsoleSpec {
        int file; /* borrowed; what is kept, perhaps of an earlier daemon; -EBADF: memory alone */
        LineFn line;       /* told of each line */
        RateLimit *shared; /* borrowed; the budget of lines of all consoles */
        void *userdata;    /* borrowed; of @line */
} ConsoleSpec;

int console_new(sd_event *event, const ConsoleSpec *spec, Console **ret, int *ret_write_fd);
int console_attach(sd_event *event, const ConsoleSpec *spec, int read_fd, Console **ret);
Console *console_free(Console *console);
DEFINE_CLEANUP(Console *, console_free)

int console_make_keys(Console *console, int *ret_read_fd);
int console_attach_keys(Console *console, int write_fd);

int console_view(Console *console, int *ret_fd);
void console_finish(Console *console);
void console_read_rest(Console *console);
int console_copy_tail(const Console *console, size_t max, char **ret, size_t *ret_len);
int console_fd(const Console *console);
int console_keys_fd(const Console *console);
