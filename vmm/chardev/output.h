/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The host side of a character device's output: gathers, writes, keeps a bounded backlog, drops and counts. */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/chardev/host_fd.h"
#include "vmm/chardev/record.h"
#include "vmm/event/loop.h"

#define CHAR_GATHER_SIZE 1024u

typedef struct CharOutput {
        HostFd host;
        CharFormat format;
        LoopSource *source; /* owned; NULL for files that are always ready */
        LoopSource *timer;  /* owned; ends the gathering */
        pthread_mutex_t lock;
        /* Under @lock: */
        bool timer_armed;
        size_t n_gathered;
        uint8_t gathered[CHAR_GATHER_SIZE];
        uint8_t *backlog; /* owned ring of CHAR_BACKLOG_MAX bytes; NULL while empty */
        size_t backlog_start, backlog_len;
        uint64_t dropped_bytes;
} CharOutput;

int char_output_init_consume(CharOutput *output, Loop *loop, int fd, CharFormat format);
void char_output_deinit(CharOutput *output);
void char_output_write(CharOutput *output, const uint8_t *data, size_t len);
void char_output_drain(CharOutput *output, uint64_t due_nsec);
uint64_t char_output_dropped_bytes(CharOutput *output);
