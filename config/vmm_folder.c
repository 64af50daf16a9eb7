/* SPDX-License-Identifier: Apache-2.0 */
#include "config/vmm_folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/** vmm_folder_init() - nothing is given */
void vmm_folder_init(VmmFolder *folder) {
        *folder = (VmmFolder){.socket_fd = -EBADF};
}

/** vmm_folder_deinit() - release what it owns; a descriptor in it is borrowed */
void vmm_folder_deinit(VmmFolder *folder) {
        free(folder->tag);
        free(folder->socket);
        vmm_folder_init(folder);
}

/** vmm_folder_validate() - whether the keys of one folder make sense together. Return: 0; -EINVAL with a sentence. */
int vmm_folder_validate(const VmmFolder *folder, TextError *reterr) {
        if (!folder->tag_told &&
            (!folder->tag || !*folder->tag || strlen(folder->tag) > VMM_FOLDER_TAG_MAX))
                return text_error_set(reterr, -EINVAL,
                                      "--vhost-user-fs: tag= of 1 to %u bytes is needed",
                                      VMM_FOLDER_TAG_MAX);
        if ((folder->socket != NULL) == (folder->socket_fd >= 0))
                return text_error_set(reterr, -EINVAL,
                                      "--vhost-user-fs: a socket path or socket-fd= is needed");
        return 0;
}
