/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Unix sockets that have a name in a file system. */

struct sockaddr_un;

int unix_bind(int fd, const struct sockaddr_un *address);
