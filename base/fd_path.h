/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Opening files named on a command line. /proc/self/fd/N names a descriptor that was inherited; it is duplicated, not
 * opened anew, so that pipes, sockets and terminals work and the file offset and rights are those of whoever passed it.
 */

#include <stdbool.h>
#include <sys/types.h>

bool fd_path_parse(const char *path, int *ret_fd);
int fd_path_open(const char *path, int flags, mode_t mode);
int fd_path_open_parent(const char *path, int *ret_fd, char **ret_name);
