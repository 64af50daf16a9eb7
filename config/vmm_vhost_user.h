/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The typed form of --vhost-user: a device that another process serves. Folders, which it means too, are VmmFolder. */

#include "base/text_error.h"

#define VMM_VHOST_USERS_MAX 16u
#define VMM_VHOST_USER_QUEUE_MIN 16u
#define VMM_VHOST_USER_QUEUE_MAX 32768u
#define VMM_VHOST_USER_TIMEOUT_MS_MAX 3600000u

typedef enum VmmVhostUserType {
        VMM_VHOST_USER_BLOCK,
        VMM_VHOST_USER_CONSOLE,
        VMM_VHOST_USER_NET,
        VMM_VHOST_USER_RNG,
        VMM_VHOST_USER_VSOCK,
} VmmVhostUserType;

#define VMM_VHOST_USER_TYPES 5u

/* "block", "console", "net", "rng", "vsock" */
extern const char *const vmm_vhost_user_type_names[VMM_VHOST_USER_TYPES];

typedef struct VmmVhostUser {
        VmmVhostUserType type;
        char *socket; /* owned; where the process listens, or /proc/self/fd/N, which is connected */
        unsigned max_queue_size; /* a power of two, 0: as is best */
        unsigned pci_slot;       /* 1..VMM_PCI_SLOT_MAX, 0: any */
} VmmVhostUser;

void vmm_vhost_user_deinit(VmmVhostUser *device);
int vmm_vhost_user_validate(const VmmVhostUser *device, TextError *reterr);
