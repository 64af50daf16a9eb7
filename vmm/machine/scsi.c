/* SPDX-License-Identifier: Apache-2.0 */

/* The machine's SCSI disks: all on one controller, each a target of its own. */

#include "vmm/machine/machine_internal.h"
#include "vmm/virtio/devices.h"

_Static_assert(VMM_SCSI_DISKS_MAX <= VIRTIO_SCSI_DISKS_MAX, "the controller has room for all");

static int add_disk(Machine *machine, const VmmDisk *config, VmmExecutor executor,
                    VirtioDevice *controller, TextError *reterr) {
        const BlockOpenOptions options = {
                .read_only = config->read_only,
                .sparse = config->sparse,
                .lock = config->lock,
                .engine = machine_aio_engine(executor),
        };
        _cleanup_(block_freep) BlockDev *disk = NULL;
        int r;

        r = block_open(config->path, &options, machine->loop, &disk, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "cannot use a SCSI disk");
        r = machine_check_swap_disk(machine, disk, reterr);
        if (r < 0)
                return r;
        r = virtio_scsi_add(controller, disk, config->block_size, config->id, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "SCSI disk %s", config->path);
        TAKE(disk);
        return 0;
}

/** machine_add_scsi() - the controller of --scsi-block, if there are any; before the machine runs */
int machine_add_scsi(Machine *machine, const VmmConfig *config, unsigned *slot, TextError *reterr) {
        _cleanup_(virtio_device_freep) VirtioDevice *controller = NULL;
        int r;

        if (config->n_scsi_disks == 0)
                return 0;
        r = virtio_scsi_new(MIN(machine->n_vcpus, VIRTIO_SCSI_QUEUES_MAX), &controller);
        for (size_t i = 0; i < config->n_scsi_disks && r == 0; i++)
                r = add_disk(machine, &config->scsi_disks[i], config->executor, controller, reterr);
        if (r < 0)
                return r;
        machine->scsi = controller;
        machine->n_scsi_disks = (unsigned) config->n_scsi_disks;
        machine->scsi_slot = machine_next_slot(machine, slot, 0);
        return machine_add_virtio(machine, TAKE(controller), machine->scsi_slot);
}
