/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Programs of the host that do a part of the VMM's work, each a process of its own: passt, virtiofsd, mke2fs. They are
 * started before the sandbox is entered, which leaves no way to make a process, and are known by a pidfd from then on.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text_error.h"

#define HELPER_FIRST_FD 3
#define HELPER_FDS_MAX 4u

/* As whom a helper runs: in a user namespace of its own, whose maps are lines of "INSIDE OUTSIDE COUNT". */
typedef struct HelperUsers {
        const char *uid_map, *gid_map;
        uint32_t uid, gid; /* inside */
} HelperUsers;

typedef struct HelperConfig {
        char *const *argv;        /* the program is looked for in PATH if its name has no slash */
        const int *fds;           /* HELPER_FIRST_FD and so on over there; borrowed for the call */
        unsigned n_fds;           /* at most HELPER_FDS_MAX */
        const HelperUsers *users; /* NULL: as ourselves */
        bool own_mounts; /* with @users: namespaces of mounts and networks of its own, too */
} HelperConfig;

int helper_start(const HelperConfig *config, int *ret_pid_fd, TextError *reterr);
int helper_wait_consume(int pid_fd, int *ret_status);
int helper_end(int pid_fd);
const char *helper_find(const char *const *paths, size_t n);
