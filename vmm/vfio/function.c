/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The function on our bus. It is not there in a snapshot: nobody knows what is in the device. A suspended machine's device
 * goes on, as a disk that has its orders does, and what it interrupts for waits in the eventfds' messages.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "vmm/vfio/vfio_internal.h"

static void count(PciDevice *pci, PciCountFn fn, void *userdata) {
        const VfioFunction *function = (const VfioFunction *) pci;

        fn(userdata, "vfio", "bar_reads", function->n_reads);
        fn(userdata, "vfio", "bar_writes", function->n_writes);
        fn(userdata, "vfio", "intx_interrupts", function->interrupts.n_intx);
}

static PciDevice *function_free(PciDevice *pci) {
        VfioFunction *fn = (VfioFunction *) pci;

        vfio_interrupts_deinit(fn);
        vfio_bars_deinit(fn);
        vfio_device_deinit(&fn->device);
        pci_device_deinit(pci);
        free(fn);
        return NULL;
}

static const PciDeviceOps function_ops = {
        .name = "vfio",
        .bar_read = vfio_bar_read,
        .bar_write = vfio_bar_write,
        .config_reading = vfio_config_reading,
        .config_written = vfio_config_written,
        .bar_moved = vfio_bar_moved,
        .intx_eoi = vfio_interrupts_eoi,
        .count = count,
        .free = function_free,
};

/* @fn has its device; on failure the caller frees it. */
static int assemble(VfioFunction *fn, const VfioFunctionConfig *config, TextError *reterr) {
        int r;

        r = vfio_bars_init(fn, reterr);
        if (r < 0)
                return r;
        r = vfio_interrupts_init(fn, config->loop, reterr);
        if (r < 0)
                return r;
        r = pci_root_add(config->root, &fn->pci, config->slot);
        if (r == -ENOSPC)
                return text_error_set(reterr, r, "its memory does not fit into the PCI windows");
        return r < 0 ? text_error_set(reterr, r, "cannot put it on the bus: %s", strerror(-r)) : 0;
}

static VfioFunction *function_new(const VfioFunctionConfig *config, const VfioHostFunction *host) {
        VfioFunction *fn = calloc(1, sizeof(*fn));

        if (!fn)
                return NULL;
        memcpy(fn->address, host->address, sizeof(fn->address));
        fn->partition = config->partition;
        fn->interrupts.intx_fd = -EBADF;
        for (unsigned i = 0; i < VFIO_MSIX_MAX; i++)
                fn->interrupts.msix_fds[i] = -EBADF;
        return fn;
}

static int open_device(VfioFunction *fn, const VfioFunctionConfig *config,
                       const VfioHostFunction *host, TextError *reterr) {
        int fd, r;

        r = vfio_container_open_function(config->container, config->path, host, config->partition,
                                         &fd, reterr);
        if (r < 0)
                return r;
        r = vfio_device_init_consume(&fn->device, vfio_container_ops(config->container), fd,
                                     reterr);
        if (r < 0)
                return r;
        r = vfio_config_init(fn, &function_ops, reterr);
        if (r < 0)
                vfio_device_deinit(&fn->device);
        return r;
}

/**
 * vfio_function_new() - give the guest the function of the host at @config's path
 *
 * Before the sandbox, and before vCPUs run. The bus owns the result.
 *
 * Return: 0; negative errno with a sentence.
 */
int vfio_function_new(const VfioFunctionConfig *config, TextError *reterr) {
        VfioHostFunction host;
        VfioFunction *fn;
        int r;

        r = vfio_host_find(config->path, &host, reterr);
        if (r < 0)
                return r;
        fn = function_new(config, &host);
        if (!fn)
                return -ENOMEM;
        r = open_device(fn, config, &host, reterr);
        if (r < 0) {
                free(fn);
                return r;
        }
        r = assemble(fn, config, reterr);
        if (r < 0)
                (void) function_free(&fn->pci);
        return r;
}
