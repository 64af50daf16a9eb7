/* SPDX-License-Identifier: Apache-2.0 */

/* Devices whose queues the host's kernel serves. */

#include <errno.h>

#include "base/fd.h"
#include "vmm/machine/machine_internal.h"

/** machine_open_vhost() - the vhost device at @path, or /proc/self/fd/N. Return: 0; negative errno with a sentence. */
int machine_open_vhost(Machine *machine, const char *path, Vhost **ret, TextError *reterr) {
        const VhostConfig config = {
                .ops = &vhost_kernel_ops,
                .mem = machine->mem,
                .loop = machine->loop,
        };
        int fd, r;

        if (machine->mem->written && !machine->foreign_writers) /* a card that is plugged in */
                return text_error_set(reterr, -EOPNOTSUPP,
                                      "the software processor must know from its start that the "
                                      "host's kernel writes guest memory: this machine "
                                      "started without a device of vhost");
        if (machine->swap)
                return text_error_set(reterr, -EOPNOTSUPP, "excludes --swap");
        r = vhost_open(path, &fd, reterr);
        return r < 0 ? r : vhost_new_consume(fd, &config, ret, reterr);
}
