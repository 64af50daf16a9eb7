/* SPDX-License-Identifier: Apache-2.0 */

/* Devices whose queues the host's kernel serves: whether they can be, and where they are. */

#include <errno.h>

#include "base/fd.h"
#include "vmm/machine/machine_internal.h"

/**
 * machine_check_vhost() - can devices of @config be served by the host's kernel with @hv?
 *
 * Return: 0; -EOPNOTSUPP naming the option when the backend must hear of what is written to guest memory, which the
 * kernel tells nobody.
 */
int machine_check_vhost(const VmmConfig *config, const HvOps *hv, TextError *reterr) {
        const char *option = NULL;

        if (config->vsock_cid != 0 && !config->vsock_socket_dir)
                option = "--vsock: vhost-vsock (without socket-dir=)";
        for (size_t i = 0; i < config->n_nets; i++)
                if (config->nets[i].vhost)
                        option = "--net: vhost-net";
        if (!option || !hv->watches_memory)
                return 0;
        return text_error_set(reterr, -EOPNOTSUPP,
                              "%s needs KVM: the %s processor must see each write to guest memory",
                              option, hv->name);
}

/** machine_open_vhost() - the vhost device at @path, or /proc/self/fd/N. Return: 0; negative errno with a sentence. */
int machine_open_vhost(Machine *machine, const char *path, Vhost **ret, TextError *reterr) {
        const VhostConfig config = {
                .ops = &vhost_kernel_ops,
                .mem = machine->mem,
                .loop = machine->loop,
        };
        int fd, r;

        if (machine->mem->written) /* a card that is plugged in; others were checked before */
                return text_error_set(reterr, -EOPNOTSUPP,
                                      "this processor must see each write to guest memory");
        if (machine->swap)
                return text_error_set(reterr, -EOPNOTSUPP, "excludes --swap");
        r = vhost_open(path, &fd, reterr);
        return r < 0 ? r : vhost_new_consume(fd, &config, ret, reterr);
}
