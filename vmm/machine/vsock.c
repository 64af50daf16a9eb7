/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine/machine_internal.h"
#include "vmm/virtio/devices.h"

static int new_device(Machine *machine, const VmmConfig *config, VirtioDevice **ret,
                      TextError *reterr) {
        const VirtioVsockConfig user = {
                .loop = machine->loop,
                .guest_cid = config->vsock_cid,
                .dir = config->vsock_socket_dir,
        };
        _cleanup_(vhost_freep) Vhost *vhost = NULL;
        int r;

        if (config->vsock_socket_dir)
                return virtio_vsock_new(&user, ret, reterr);
        r = machine_open_vhost(machine, config->vsock_device ?: VHOST_VSOCK_DEVICE, &vhost, reterr);
        if (r < 0)
                return r;
        r = virtio_vhost_vsock_new(vhost, config->vsock_cid, machine->loop, ret, reterr);
        if (r < 0)
                return r;
        TAKE(vhost);
        return 0;
}

/**
 * machine_add_vsock() - the socket device, if @config has one
 * @slot: PCI slot to use; advanced past it if used
 *
 * Return: 0 or negative errno with a sentence.
 */
int machine_add_vsock(Machine *machine, const VmmConfig *config, unsigned *slot,
                      TextError *reterr) {
        VirtioDevice *device;
        int r;

        if (config->vsock_cid == 0)
                return 0;
        r = new_device(machine, config, &device, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "cannot make the socket device");
        virtio_device_limit_queues(device, config->vsock_queue_sizes, VMM_VSOCK_QUEUES);
        return machine_add_virtio(machine, device, machine_next_slot(machine, slot, 0));
}
