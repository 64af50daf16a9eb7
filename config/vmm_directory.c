/* SPDX-License-Identifier: Apache-2.0 */
#include "config/vmm_directory.h"

#include <stdlib.h>

/** vmm_users_deinit() - release what it owns; it then says nothing */
void vmm_users_deinit(VmmUsers *users) {
        free(users->uid_map);
        free(users->gid_map);
        *users = (VmmUsers){0};
}

/** vmm_ext2_new() - crosvm's defaults. Return: them, owned; NULL for want of memory. */
VmmExt2 *vmm_ext2_new(void) {
        VmmExt2 *ext2 = malloc(sizeof(*ext2));

        if (ext2)
                *ext2 = (VmmExt2){
                        .blocks_per_group = VMM_EXT2_BLOCKS_PER_GROUP_DEFAULT,
                        .inodes_per_group = VMM_EXT2_INODES_PER_GROUP_DEFAULT,
                        .size_bytes = VMM_EXT2_SIZE_DEFAULT,
                };
        return ext2;
}

/** vmm_ext2_free() - NULL is let pass. Return: NULL. */
VmmExt2 *vmm_ext2_free(VmmExt2 *ext2) {
        if (ext2)
                vmm_users_deinit(&ext2->users);
        free(ext2);
        return NULL;
}

/** vmm_shared_dir_init() - crosvm's defaults */
void vmm_shared_dir_init(VmmSharedDir *dir) {
        *dir = (VmmSharedDir){.timeout_sec = VMM_SHARED_TIMEOUT_DEFAULT};
}

/** vmm_shared_dir_deinit() - release what it owns */
void vmm_shared_dir_deinit(VmmSharedDir *dir) {
        free(dir->path);
        free(dir->tag);
        vmm_users_deinit(&dir->users);
        vmm_shared_dir_init(dir);
}
