/* SPDX-License-Identifier: Apache-2.0 */

/* Shared folders: which process serves them. */

#include <stdio.h>
#include <sys/socket.h>

#include "vmm/machine/machine_internal.h"
#include "vmm/virtio/devices.h"

static int open_socket(const VmmFolder *folder, unsigned timeout_ms, TextError *reterr) {
        char path[32];

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", folder->socket_fd);
        return machine_connect_process(folder->socket ?: path, SOCK_STREAM, timeout_ms, reterr);
}

static int new_folder(Machine *machine, const VmmFolder *folder, unsigned timeout_ms,
                      VirtioDevice **ret, TextError *reterr) {
        const VhostUserConfig config = {
                .mem = machine->mem,
                .loop = machine->loop,
                .min_queues = VIRTIO_FS_QUEUES,
                .max_queues = VIRTIO_FS_QUEUES,
                .ring_size = (uint16_t) machine_process_queue_size(folder->max_queue_size),
                .config_len = folder->tag_told ? VIRTIO_FS_CONFIG_LEN : 0,
        };
        _cleanup_(vhost_user_freep) VhostUser *vhost = NULL;
        int fd, r;

        fd = open_socket(folder, timeout_ms, reterr);
        if (fd < 0)
                return fd;
        r = vhost_user_new_consume(fd, &config, &vhost, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "the process that serves it");
        r = virtio_fs_new(vhost, folder->tag, ret, reterr);
        if (r < 0)
                return r;
        TAKE(vhost);
        return 0;
}

/** machine_add_folders() - put the folders of the command line into slots from *@slot on; before the machine runs */
int machine_add_folders(Machine *machine, const VmmConfig *config, unsigned *slot,
                        TextError *reterr) {
        for (size_t i = 0; i < config->n_folders; i++) {
                const VmmFolder *folder = &config->folders[i];
                VirtioDevice *device = NULL;
                int r;

                r = new_folder(machine, folder, config->vhost_user_timeout_ms, &device, reterr);
                if (r < 0)
                        return text_error_prefix(reterr, r, "cannot share folder %s",
                                                 folder->tag ?: folder->socket);
                r = machine_add_virtio(machine, device,
                                       machine_next_slot(machine, slot, folder->pci_slot));
                if (r < 0)
                        return r;
        }
        return 0;
}
