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

int char_new(const VmmSerial *config, Loop *loop, CharDev **ret, TextError *reterr);
CharDev *char_free(CharDev *dev);
DEFINE_CLEANUP(CharDev *, char_free)

/* Any thread; takes all bytes, or drops and counts what the host side cannot take. */
void char_write(CharDev *dev, const uint8_t *data, size_t len);
/* Before the loop runs; NULL handler members mean input is discarded. */
void char_set_handler(CharDev *dev, const CharHandler *handler);
/* The frontend has room again; any thread. */
void char_input_ready(CharDev *dev);
