/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Answers HTTP requests for metrics on a Unix stream socket, for `curl --unix-socket` and for proxies that scrapers
 * reach by TCP. Each connection gets one answer and is closed.
 */

#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "service/metrics/exposition.h"

#define METRICS_CLIENTS_MAX 8u
#define METRICS_REQUEST_BYTES_MAX 4096u

typedef struct MetricsServer MetricsServer;

/* Writes the text in @format. @ret: set on success only; owned by the caller. Return: 0 or negative errno. */
typedef int (*MetricsWriteFn)(void *userdata, ExpositionFormat format, char **ret);

int metrics_server_new(sd_event *event, const char *path, MetricsWriteFn write, void *userdata,
                       MetricsServer **ret);
MetricsServer *metrics_server_free(MetricsServer *server);
DEFINE_CLEANUP(MetricsServer *, metrics_server_free)
