/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Passthrough: a PCI function of the host that the guest drives itself, by the host kernel's VFIO (its
 * Documentation/driver-api/vfio.rst and <linux/vfio.h>).
 *
 *   vfio_function_new() ─▶ the function's group joins the container ─▶ guest memory is mapped for its DMA ─▶ on the bus
 *
 * What the guest sees is split: configuration space is ours where it decides about interrupts, addresses and power, and
 * the device's elsewhere; BARs are the device's, but for the MSI-X table; interrupts come as eventfds.
 *
 *   host.c       which function a path of sysfs names, and whether the host has given it up
 *   container.c  groups, the IOMMU, DMA
 *   device.c     what the kernel says of the function: regions, interrupts
 *   config.c     configuration space
 *   bars.c       memory and ports
 *   interrupts.c INTx, MSI, MSI-X
 *   function.c   the function on our bus
 *
 * All of it is opened before the sandbox, or comes with a request (vfio_function_open_sent()). A device lies: every number that comes from it, or from the kernel for it, is
 * checked before it is used.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/text_error.h"
#include "vmm/event/loop.h"
#include "vmm/hv/hv.h"
#include "vmm/mem/guest_mem.h"
#include "vmm/pci/pci.h"

typedef struct VfioContainer VfioContainer;

#define VFIO_FUNCTIONS_MAX 8u
#define VFIO_ADDRESS_SIZE sizeof("0000:00:00.0")

/* How the kernel is asked; tests put one of their own in its place. Any thread. */
typedef struct VfioOps {
        int (*open)(const char *path);                                 /* a descriptor or -errno */
        int (*control)(int fd, unsigned long request, void *argument); /* as ioctl(), or -errno */
        ssize_t (*read)(int fd, void *data, size_t len, uint64_t offset);        /* or -errno */
        ssize_t (*write)(int fd, const void *data, size_t len, uint64_t offset); /* or -errno */
        void *(*map)(int fd, size_t len, uint64_t offset); /* shared; NULL: refused */
        void (*unmap)(void *host, size_t len);
} VfioOps;

extern const VfioOps vfio_kernel_ops;

int vfio_container_new(const VfioOps *ops, GuestMem *mem, VfioContainer **ret);
int vfio_container_open(VfioContainer *container, TextError *reterr);
VfioContainer *vfio_container_free(VfioContainer *container);
DEFINE_CLEANUP(VfioContainer *, vfio_container_free)

typedef struct VfioFunctionConfig {
        VfioContainer *container; /* borrowed, outlives the bus, as all of these */
        const char *path;         /* in sysfs; borrowed for the call */
        PciRoot *root;
        unsigned slot;
        Partition *partition;
        Loop *loop;
} VfioFunctionConfig;

int vfio_function_new(const VfioFunctionConfig *config, TextError *reterr);
int vfio_function_open_sent(const VfioFunctionConfig *config, const char *address, int group_fd,
                            PciDevice **ret, TextError *reterr);
