/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where a serial port's or console's bytes go and come from. Frontends (16550, virtio-console) know only this.
 * Output never blocks a vCPU: what the host side cannot take is handled as the kind documents.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/text_error.h"
#include "config/vmm_config.h"
#include "vmm/event/loop.h"

typedef struct CharDev CharDev;

/* Called on the loop's thread. */
typedef struct CharHandler {
        /* Host input arrived. Return: how many bytes were taken; fewer than @len stops reading until
         * char_input_ready(). */
        size_t (*receive)(void *frontend, const uint8_t *data, size_t len);
        void *frontend; /* borrowed */
} CharHandler;

/*
 * Output is gathered to lines, for at most CHAR_GATHER_NSEC, and written without ever waiting: regular files take it
 * directly, anything else is made non-blocking and what it does not take at once is kept, up to CHAR_BACKLOG_MAX
 * bytes, and written by the loop. Beyond that output is dropped and counted. The process must ignore SIGPIPE.
 */
#define CHAR_BACKLOG_MAX (256u * 1024u)
#define CHAR_GATHER_NSEC (5 * NSEC_PER_SEC / 1000)

int char_new(const VmmSerial *config, Loop *loop, CharDev **ret, TextError *reterr);
CharDev *char_free(CharDev *dev);
DEFINE_CLEANUP(CharDev *, char_free)

/* Any thread; takes all bytes, or drops and counts what the host side cannot take. */
void char_write(CharDev *dev, const uint8_t *data, size_t len);
/* Before the loop runs; NULL handler members mean input is discarded. */
void char_set_handler(CharDev *dev, const CharHandler *handler);
/* The frontend has room again; any thread. */
void char_input_ready(CharDev *dev);
/* At shutdown, on the loop's thread or after it ended: writes out what is pending, waiting at most until @due_nsec. */
void char_drain(CharDev *dev, uint64_t due_nsec);
/* Bytes that the host side did not take; any thread. */
uint64_t char_dropped_bytes(CharDev *dev);
