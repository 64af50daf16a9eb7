/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* When tasks of the host wait for memory: the kernel's pressure stall information (PSI). */

#include <systemd/sd-event.h>

#include <stdint.h>

#include "base/cleanup.h"

#define PRESSURE_PATH "/proc/pressure/memory"

/* Part of the last 10 s in which some or all tasks waited, in hundredths of a percent. */
typedef struct PressureReading {
        uint32_t some, full;
} PressureReading;

typedef struct Pressure Pressure;

/* Tasks waited for at least 50 ms of a second. */
typedef void (*PressureFn)(void *userdata, const PressureReading *reading);

int pressure_parse(const char *text, PressureReading *ret);

int pressure_new(sd_event *event, const char *path, PressureFn fn, void *userdata, Pressure **ret);
Pressure *pressure_free(Pressure *pressure);
DEFINE_CLEANUP(Pressure *, pressure_free)
int pressure_read(const Pressure *pressure, PressureReading *ret);
