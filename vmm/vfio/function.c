/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The function on our bus. It is not there in a snapshot: nobody knows what is in the device. A suspended machine's device
 * goes on, as a disk that has its orders does, and what it interrupts for waits in the eventfds' messages.
 */

#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "vmm/vfio/vfio_internal.h"

static void count(PciDevice *pci, PciCountFn fn, void *userdata) {
        const VfioFunction *function = (const VfioFunction *) pci;

        fn(userdata, "vfio", "bar_reads", function->n_reads);
        fn(userdata, "vfio", "bar_writes", function->n_writes);
        fn(userdata, "vfio", "intx_interrupts", function->interrupts.n_intx);
}

static VfioFunction *release(VfioFunction *fn) {
        vfio_container_drop(fn->container, fn->address);
        free(fn);
        return NULL;
}

/* Whose device is closed, before the group that it was opened by. */
static VfioFunction *leave(VfioFunction *fn) {
        vfio_container_close_function(fn->container, fn->group, fn->partition);
        return release(fn);
}

static PciDevice *function_free(PciDevice *pci) {
        VfioFunction *fn = (VfioFunction *) pci;

        vfio_interrupts_deinit(fn);
        vfio_bars_deinit(fn);
        vfio_device_deinit(&fn->device);
        pci_device_deinit(pci);
        (void) leave(fn);
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

static int function_new(const VfioFunctionConfig *config, const char *address, VfioFunction **ret,
                        TextError *reterr) {
        VfioFunction *fn = calloc(1, sizeof(*fn));
        int r;

        if (!fn)
                return -ENOMEM;
        r = vfio_container_hold(config->container, address, reterr);
        if (r < 0) {
                free(fn);
                return r;
        }
        memcpy(fn->address, address, sizeof(fn->address));
        fn->partition = config->partition;
        fn->container = config->container;
        fn->interrupts.intx_fd = -EBADF;
        for (unsigned i = 0; i < VFIO_MSIX_MAX; i++)
                fn->interrupts.msix_fds[i] = -EBADF;
        *ret = fn;
        return 0;
}

/* What the guest sees of the function whose descriptor is @fd. @fn, @fd: consumed, on failure too. */
static int assemble_consume(VfioFunction *fn, int fd, Loop *loop, PciDevice **ret,
                            TextError *reterr) {
        int r = vfio_device_init_consume(&fn->device, vfio_container_ops(fn->container), fd,
                                         reterr);

        if (r >= 0) {
                r = vfio_config_init(fn, &function_ops, reterr);
                if (r < 0)
                        vfio_device_deinit(&fn->device);
        }
        if (r < 0) {
                (void) leave(fn);
                return r;
        }
        r = vfio_bars_init(fn, reterr);
        if (r >= 0)
                r = vfio_interrupts_init(fn, loop, reterr);
        if (r < 0) {
                (void) function_free(&fn->pci);
                return r;
        }
        *ret = &fn->pci;
        return 0;
}

static int add_to_bus(const VfioFunctionConfig *config, PciDevice *pci, TextError *reterr) {
        int r = pci_root_add(config->root, pci, config->slot);

        if (r >= 0)
                return 0;
        (void) function_free(pci);
        if (r == -ENOSPC)
                return text_error_set(reterr, r, "its memory does not fit into the PCI windows");
        return text_error_set(reterr, r, "cannot put it on the bus: %s", strerror(-r));
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
        PciDevice *pci = NULL;
        VfioFunction *fn;
        int fd, r;

        r = vfio_host_find(config->path, &host, reterr);
        if (r < 0)
                return r;
        r = function_new(config, host.address, &fn, reterr);
        if (r < 0)
                return r;
        r = vfio_container_open_function(config->container, config->path, &host, config->partition,
                                         &fd, &fn->group, reterr);
        if (r < 0) {
                (void) release(fn);
                return r;
        }
        r = assemble_consume(fn, fd, config->loop, &pci, reterr);
        return r < 0 ? r : add_to_bus(config, pci, reterr);
}

/**
 * vfio_function_open_sent() - a function for pci_root_plug(), of an IOMMU group that the caller was sent
 * @config:   its .path, .root and .slot do not matter
 * @address:  "0000:00:04.0", else it is refused
 * @group_fd: consumed, on failure too; negative: the container has the group
 * @ret:      owned by the caller until it is on the bus; its ops->free() otherwise
 *
 * On the loop's thread, also in the sandbox; behind vfio_container_open(). Return: 0; negative errno with a sentence.
 */
int vfio_function_open_sent(const VfioFunctionConfig *config, const char *address, int group_fd,
                            PciDevice **ret, TextError *reterr) {
        _cleanup_(fd_closep) int group = group_fd;
        VfioFunction *fn;
        int fd, r;

        if (!vfio_is_address(address))
                return text_error_set(reterr, -EINVAL, "expected one of /sys/bus/pci/devices");
        r = function_new(config, address, &fn, reterr);
        if (r < 0)
                return r;
        r = vfio_container_open_sent(config->container, TAKE_FD(group), address, config->partition,
                                     &fd, &fn->group, reterr);
        if (r < 0) {
                (void) release(fn);
                return r;
        }
        return assemble_consume(fn, fd, config->loop, ret, reterr);
}
