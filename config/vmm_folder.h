/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The typed form of --vhost-user-fs and --vhost-user fs: a folder of the host, served by a vhost-user process. */

#include <stdbool.h>

#include "base/text_error.h"

#define VMM_FOLDERS_MAX 8u
#define VMM_FOLDER_TAG_MAX 36u

/* Exactly one of @socket and @socket_fd is set. */
typedef struct VmmFolder {
        char *tag;     /* owned; what the guest mounts it by, 1..VMM_FOLDER_TAG_MAX bytes */
        bool tag_told; /* by the process; then there is no @tag */
        char *socket; /* owned; where the process listens, or /proc/self/fd/N, which is connected */
        unsigned pci_slot;       /* 1..VMM_PCI_SLOT_MAX, 0: any */
        int socket_fd;           /* inherited and connected; -EBADF = not given */
        unsigned max_queue_size; /* a power of two, 0: as is best */
} VmmFolder;

void vmm_folder_init(VmmFolder *folder);
void vmm_folder_deinit(VmmFolder *folder);
int vmm_folder_validate(const VmmFolder *folder, TextError *reterr);
