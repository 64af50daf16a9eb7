/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Unix sockets in a directory that is open: its path may be longer than an address can be. Nothing here waits. */

int unix_name_open_dir(int parent_fd, const char *path);
int unix_name_listen(int dir_fd, const char *name, int type, int backlog);
int unix_name_connect(int dir_fd, const char *name, int type);
