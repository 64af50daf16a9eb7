/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Connections to Unix sockets that may not be there yet, and whose paths may be longer than an address. */

#include <stdint.h>

#define UNIX_SOCKET_WAIT_FOREVER UINT64_MAX

int unix_socket_connect(const char *path, int type, uint64_t timeout_nsec);
