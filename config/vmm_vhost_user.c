/* SPDX-License-Identifier: Apache-2.0 */
#include "config/vmm_vhost_user.h"

#include <errno.h>
#include <stdlib.h>

const char *const vmm_vhost_user_type_names[VMM_VHOST_USER_TYPES] = {
        [VMM_VHOST_USER_BLOCK] = "block", [VMM_VHOST_USER_CONSOLE] = "console",
        [VMM_VHOST_USER_NET] = "net",     [VMM_VHOST_USER_RNG] = "rng",
        [VMM_VHOST_USER_VSOCK] = "vsock",
};

/** vmm_vhost_user_deinit() - release what it owns */
void vmm_vhost_user_deinit(VmmVhostUser *device) {
        free(device->socket);
        *device = (VmmVhostUser){0};
}

/** vmm_vhost_user_validate() - whether one device has all that it needs. Return: 0; -EINVAL with a sentence. */
int vmm_vhost_user_validate(const VmmVhostUser *device, TextError *reterr) {
        if (!device->socket || !*device->socket)
                return text_error_set(reterr, -EINVAL, "--vhost-user: socket= is needed");
        return 0;
}
