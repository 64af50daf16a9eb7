/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine/machine_internal.h"
#include "vmm/virtio/devices.h"

/**
 * machine_add_vsock() - the socket device, if @config has one
 * @slot: PCI slot to use; advanced past it if used
 *
 * Return: 0 or negative errno with a sentence.
 */
int machine_add_vsock(Machine *machine, const VmmConfig *config, unsigned *slot,
                      TextError *reterr) {
        const VirtioVsockConfig vsock = {
                .loop = machine->loop,
                .guest_cid = config->vsock_cid,
                .dir = config->vsock_socket_dir,
        };
        VirtioDevice *device;
        int r;

        if (config->vsock_cid == 0)
                return 0;
        r = virtio_vsock_new(&vsock, &device, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "cannot make the socket device");
        return machine_add_virtio(machine, device, (*slot)++);
}
