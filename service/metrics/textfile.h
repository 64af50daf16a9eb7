/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Keeps a file of metrics fresh, for the textfile collector of Prometheus' node exporter. */

#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "service/metrics/server.h"

typedef struct MetricsTextfile MetricsTextfile;

int metrics_textfile_new(sd_event *event, const char *path, MetricsWriteFn write, void *userdata,
                         MetricsTextfile **ret);
MetricsTextfile *metrics_textfile_free(MetricsTextfile *file);
DEFINE_CLEANUP(MetricsTextfile *, metrics_textfile_free)
