/* SPDX-License-Identifier: Apache-2.0 */

/* Shared folders: which process serves them. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/fd_path.h"
#include "vmm/machine/machine_internal.h"
#include "vmm/virtio/devices.h"

static int connect_path(const char *path, TextError *reterr) {
        _cleanup_(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        if (fd < 0)
                return -errno;
        if (strlen(path) >= sizeof(address.sun_path))
                return text_error_set(reterr, -ENAMETOOLONG, "socket path %s is too long", path);
        memcpy(address.sun_path, path, strlen(path));
        if (connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return text_error_set(reterr, -errno, "cannot connect to %s: %s", path,
                                      strerror(errno));
        return TAKE_FD(fd);
}

static int open_socket(const VmmFolder *folder, TextError *reterr) {
        char path[32];
        int fd;

        if (folder->socket && !fd_path_parse(folder->socket, &fd))
                return connect_path(folder->socket, reterr);
        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", folder->socket_fd);
        fd = fd_path_open(folder->socket ?: path, O_RDWR, 0);
        return fd >= 0 ? fd
                       : text_error_set(reterr, fd, "cannot inherit descriptor %s: %s",
                                        folder->socket ?: path, strerror(-fd));
}

static int new_folder(Machine *machine, const VmmFolder *folder, VirtioDevice **ret,
                      TextError *reterr) {
        const VhostUserConfig config = {
                .mem = machine->mem,
                .loop = machine->loop,
                .n_queues = VIRTIO_FS_QUEUES,
        };
        _cleanup_(vhost_user_freep) VhostUser *vhost = NULL;
        int fd, r;

        fd = open_socket(folder, reterr);
        if (fd < 0)
                return fd;
        r = vhost_user_new_consume(fd, &config, &vhost, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "the process that serves it");
        r = virtio_fs_new(vhost, folder->tag, ret);
        if (r < 0)
                return r;
        TAKE(vhost);
        return 0;
}

/** machine_add_folders() - put the folders of the command line into slots from *@slot on; before the machine runs */
int machine_add_folders(Machine *machine, const VmmConfig *config, unsigned *slot,
                        TextError *reterr) {
        for (size_t i = 0; i < config->n_folders; i++) {
                VirtioDevice *device = NULL;
                int r;

                r = new_folder(machine, &config->folders[i], &device, reterr);
                if (r < 0)
                        return text_error_prefix(reterr, r, "cannot share folder %s",
                                                 config->folders[i].tag);
                r = machine_add_virtio(
                        machine, device,
                        machine_next_slot(machine, slot, config->folders[i].pci_slot));
                if (r < 0)
                        return r;
        }
        return 0;
}
