/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The socket on which the network service is asked. */

#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "service/netd/networks.h"

#define NETD_CONNECTIONS_MAX 64u

typedef struct NetdServer NetdServer;

/* A request was worked off, or a connection ended. */
typedef void (*NetdServedFn)(void *userdata);

int netd_server_listen(const char *path, int *ret_fd);
int netd_server_new(sd_event *event, int fd, Networks *networks, NetdServedFn served,
                    void *userdata, NetdServer **ret);
NetdServer *netd_server_free(NetdServer *server);
DEFINE_CLEANUP(NetdServer *, netd_server_free)
unsigned netd_server_n_connections(const NetdServer *server);
