/* SPDX-License-Identifier: Apache-2.0 */

/* Devices that other processes serve: how to reach the process. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/fd_path.h"
#include "base/unix_socket.h"
#include "vmm/machine/machine_internal.h"
#include "vmm/virtio/devices.h"

static int connect_path(const char *path, int type, unsigned timeout_ms, TextError *reterr) {
        int fd = unix_socket_connect(path, type, timeout_ms * NSEC_PER_MSEC);

        return fd >= 0 ? fd
                       : text_error_set(reterr, fd, "cannot connect to %s: %s", path,
                                        strerror(-fd));
}

/**
 * machine_connect_process() - the socket of a process that serves a device, or tells it what to do
 * @path:        where it listens, or /proc/self/fd/N, an inherited socket that is connected to it
 * @type:        SOCK_STREAM, SOCK_SEQPACKET
 * @timeout_ms:  how long it may take for it to listen
 *
 * Return: the descriptor; negative errno with a sentence.
 */
int machine_connect_process(const char *path, int type, unsigned timeout_ms, TextError *reterr) {
        int fd;

        if (!fd_path_parse(path, &fd))
                return connect_path(path, type, timeout_ms, reterr);
        fd = fd_path_open(path, O_RDWR, 0);
        return fd >= 0 ? fd
                       : text_error_set(reterr, fd, "cannot inherit descriptor %s: %s", path,
                                        strerror(-fd));
}

/** machine_process_queue_size() - what --max-queue-size= of @wanted comes to; 0: as is best */
unsigned machine_process_queue_size(unsigned wanted) {
        return MIN(wanted, VHOST_USER_RING_SIZE);
}

static uint16_t type_of(VmmVhostUserType type) {
        switch (type) {
        case VMM_VHOST_USER_BLOCK:
                return VIRTIO_TYPE_BLOCK;
        case VMM_VHOST_USER_CONSOLE:
                return VIRTIO_TYPE_CONSOLE;
        case VMM_VHOST_USER_NET:
                return VIRTIO_TYPE_NET;
        case VMM_VHOST_USER_RNG:
                return VIRTIO_TYPE_RNG;
        case VMM_VHOST_USER_VSOCK:
                return VIRTIO_TYPE_VSOCK;
        }
        return 0;
}

static int new_device(Machine *machine, const VmmConfig *config, const VmmVhostUser *wanted,
                      VirtioDevice **ret, TextError *reterr) {
        char name[160];
        int fd, r;

        (void) snprintf(name, sizeof(name), "--vhost-user %s,socket=%s",
                        vmm_vhost_user_type_names[wanted->type], wanted->socket);
        fd = machine_connect_process(wanted->socket, SOCK_STREAM, config->vhost_user_timeout_ms,
                                     reterr);
        if (fd < 0)
                return text_error_prefix(reterr, fd, "%s", name);
        r = virtio_vhost_user_new_consume(
                fd,
                &(VirtioVhostUserConfig){
                        .type = type_of(wanted->type),
                        .mem = machine->mem,
                        .loop = machine->loop,
                        .n_vcpus = config->n_vcpus,
                        .queue_size = machine_process_queue_size(wanted->max_queue_size),
                        .name = name,
                },
                ret, reterr);
        return r < 0 ? text_error_prefix(reterr, r, "%s: the process that serves it", name) : 0;
}

/** machine_add_vhost_users() - put the devices of --vhost-user into slots from *@slot on; before the machine runs */
int machine_add_vhost_users(Machine *machine, const VmmConfig *config, unsigned *slot,
                            TextError *reterr) {
        for (size_t i = 0; i < config->n_vhost_users; i++) {
                const VmmVhostUser *wanted = &config->vhost_users[i];
                VirtioDevice *device = NULL;
                int r;

                r = new_device(machine, config, wanted, &device, reterr);
                if (r < 0)
                        return r;
                r = machine_add_virtio(machine, device,
                                       machine_next_slot(machine, slot, wanted->pci_slot));
                if (r < 0)
                        return r;
        }
        return 0;
}
