/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Sockets of guests that the host's kernel connects: AF_VSOCK, where a VM is known by its context id. */

#include <stdbool.h>
#include <stdint.h>

#define VSOCK_HOST_DEVICE "/dev/vhost-vsock"

int vsock_host_open(uint32_t cid);
int vsock_host_listen(uint32_t port, int backlog);
bool vsock_host_is_from(int fd, uint32_t cid);
int vsock_host_connect(uint32_t cid, uint32_t port);
