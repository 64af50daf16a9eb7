/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The typed form of options that give a guest a directory of the host: --pmem-ext2 and --shared-dir. */

#include <stdbool.h>
#include <stdint.h>

#define VMM_SHARED_DIRS_MAX 8u
#define VMM_ID_MAP_LINES_MAX 340u /* the kernel takes no more */

/* Whose files they are: maps between the host's users and the guest's, in crosvm's words "INSIDE OUTSIDE COUNT[,…]". */
typedef struct VmmUsers {
        char *uid_map, *gid_map; /* owned; NULL: whoever runs the VMM is root inside */
        uint32_t uid, gid;       /* inside, of the process that looks at the directory */
        bool given;              /* anything of this */
} VmmUsers;

/* How the file system of --pmem-ext2 is made. */
typedef struct VmmExt2 {
        unsigned blocks_per_group, inodes_per_group;
        uint64_t size_bytes;
        VmmUsers users;
} VmmExt2;

#define VMM_EXT2_BLOCK 4096u
#define VMM_EXT2_BLOCKS_PER_GROUP_DEFAULT 4096u
#define VMM_EXT2_INODES_PER_GROUP_DEFAULT 1024u
#define VMM_EXT2_SIZE_DEFAULT (UINT64_C(16) << 20)

typedef enum VmmSharedCache {
        VMM_SHARED_CACHE_AUTO,
        VMM_SHARED_CACHE_NEVER,
        VMM_SHARED_CACHE_ALWAYS,
} VmmSharedCache;

/* A directory that virtiofsd, started by the VMM, serves. */
typedef struct VmmSharedDir {
        char *path; /* owned */
        char *tag;  /* owned; 1..VMM_FOLDER_TAG_MAX bytes */
        VmmUsers users;
        VmmSharedCache cache;
        uint32_t timeout_sec; /* how long the guest may trust what it knows of files */
        bool timeout_given;
        bool writeback;
        bool posix_acl;
} VmmSharedDir;

#define VMM_SHARED_TIMEOUT_DEFAULT 5u

void vmm_users_deinit(VmmUsers *users);
VmmExt2 *vmm_ext2_new(void);
VmmExt2 *vmm_ext2_free(VmmExt2 *ext2);
void vmm_shared_dir_init(VmmSharedDir *dir);
void vmm_shared_dir_deinit(VmmSharedDir *dir);
