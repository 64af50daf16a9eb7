/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * systemd's side of sd_notify() and of the descriptor store, for a daemon without systemd: a thread takes messages off
 * $NOTIFY_SOCKET and keeps what is pushed; whoever spawns the next daemon hands it over.
 */

#include <stddef.h>

typedef struct NotifyHost NotifyHost;

NotifyHost *notify_host_new(const char *directory);
NotifyHost *notify_host_free(NotifyHost *host);
const char *notify_host_address(const NotifyHost *host);
void notify_host_settle(NotifyHost *host);
size_t notify_host_list(NotifyHost *host, int *fds, size_t max, char *names, size_t names_size);
