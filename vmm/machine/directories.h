/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Directories of the host that a helper reads for the guest: a copy of one as a file system, and processes that serve them. */

#include "base/text_error.h"
#include "config/vmm_config.h"
#include "vmm/helper/helper.h"

/* Of one helper: VmmUsers in the kernel's words. */
typedef struct DirectoryUsers {
        char *uid_map, *gid_map; /* owned */
        HelperUsers helper;      /* borrows them */
        bool none;               /* it runs as we do */
} DirectoryUsers;

int directory_users_init(DirectoryUsers *users, const VmmUsers *config, bool sandbox);
void directory_users_deinit(DirectoryUsers *users);
int directory_open(const char *path, TextError *reterr);

int ext2_image_new(const VmmPmem *config, bool sandbox, TextError *reterr);

/* The processes that serve --shared-dir. */
typedef struct SharedDirs {
        int pid_fds[VMM_SHARED_DIRS_MAX]; /* owned */
        int sockets[VMM_SHARED_DIRS_MAX]; /* owned: our ends */
        unsigned n;
} SharedDirs;

int shared_dirs_start(SharedDirs *dirs, VmmConfig *config, TextError *reterr);
void shared_dirs_hand_over(SharedDirs *dirs);
void shared_dirs_end(SharedDirs *dirs);
