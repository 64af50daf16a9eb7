/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of this folder share. */

#include <limits.h>
#include <linux/vfio.h>
#include <stdbool.h>

#include "vmm/pci/msix.h"
#include "vmm/vfio/vfio.h"

#define VFIO_AREAS_MAX 8u /* of one BAR */
#define VFIO_MSI_MAX 32u
#define VFIO_MSIX_MAX 256u /* a device that has more is shown with that many */

typedef struct VfioFunction VfioFunction;
typedef struct VfioGroup VfioGroup;

/* ---- host.c ---- */

typedef struct VfioHostFunction {
        char address[VFIO_ADDRESS_SIZE]; /* "0000:00:04.0" */
        unsigned group;
} VfioHostFunction;

bool vfio_is_address(const char *name);
int vfio_host_find(const char *path, VfioHostFunction *ret, TextError *reterr);
void vfio_host_describe_group(const char *path, char *buf, size_t size);

/* ---- container.c ---- */

const VfioOps *vfio_container_ops(const VfioContainer *container);
int vfio_container_open_function(VfioContainer *container, const char *path,
                                 const VfioHostFunction *host, Partition *partition,
                                 int *ret_device_fd, VfioGroup **ret_group, TextError *reterr);
int vfio_container_open_sent(VfioContainer *container, int group_fd, const char *address,
                             Partition *partition, int *ret_device_fd, VfioGroup **ret_group,
                             TextError *reterr);
int vfio_container_hold(VfioContainer *container, const char *address, TextError *reterr);
void vfio_container_drop(VfioContainer *container, const char *address);
void vfio_container_close_function(VfioContainer *container, VfioGroup *group,
                                   Partition *partition);

/* ---- device.c ---- */

typedef struct VfioRegion {
        uint64_t size;   /* 0: there is none */
        uint64_t offset; /* in the descriptor; @size more fits */
        bool writable, readable;
        unsigned
                n_areas; /* that can be mapped; page aligned, inside the region, ascending and apart */
        struct {
                uint64_t offset, size;
        } areas[VFIO_AREAS_MAX];
} VfioRegion;

typedef struct VfioDevice {
        const VfioOps *ops; /* borrowed */
        int fd;             /* owned */
        bool can_reset;
        VfioRegion bars[PCI_BARS];
        VfioRegion config;
        unsigned n_intx, n_msi, n_msix; /* interrupts of each kind; 0: it has none of them */
} VfioDevice;

int vfio_device_init_consume(VfioDevice *device, const VfioOps *ops, int fd, TextError *reterr);
void vfio_device_deinit(VfioDevice *device);
bool vfio_device_read(const VfioDevice *device, const VfioRegion *region, uint64_t offset,
                      void *data, size_t len);
bool vfio_device_write(const VfioDevice *device, const VfioRegion *region, uint64_t offset,
                       const void *data, size_t len);
int vfio_device_set_events(const VfioDevice *device, unsigned index, const int *fds, unsigned n);
int vfio_device_unmask_intx(const VfioDevice *device);

/* ---- config.c ---- */

typedef struct VfioConfigSpace {
        bool foreign[PCI_CONFIG_SIZE]; /* bytes that are the device's to read and to write */
        unsigned msi, msix;            /* offsets of the capabilities; 0: not shown */
        uint16_t command;              /* as the device was last told */
} VfioConfigSpace;

int vfio_config_init(VfioFunction *fn, const PciDeviceOps *ops, TextError *reterr);
void vfio_config_reading(PciDevice *pci, unsigned offset, unsigned size);
void vfio_config_written(PciDevice *pci, unsigned offset, unsigned size);

/* ---- bars.c ---- */

typedef struct VfioArea {
        unsigned bar;
        uint64_t offset, size;
        void *host;   /* owned mapping */
        int slot;     /* where the partition has it; -1: nowhere, accesses are trapped */
        uint64_t gpa; /* while it has */
} VfioArea;

/* Trapped bytes of BARs that are ours. */
typedef struct VfioMsixPlace {
        unsigned table_bar, pba_bar;
        uint32_t table_offset, pba_offset;
        uint32_t table_size, pba_size; /* 0: there is no MSI-X */
} VfioMsixPlace;

int vfio_bars_init(VfioFunction *fn, TextError *reterr);
void vfio_bars_deinit(VfioFunction *fn);
uint64_t vfio_bar_read(PciDevice *pci, unsigned bar, uint64_t offset, unsigned size);
void vfio_bar_write(PciDevice *pci, unsigned bar, uint64_t offset, unsigned size, uint64_t value);
void vfio_bar_moved(PciDevice *pci, unsigned bar);

/* ---- interrupts.c ---- */

typedef enum VfioInterruptKind {
        VFIO_INTERRUPTS_OFF,
        VFIO_INTERRUPTS_INTX,
        VFIO_INTERRUPTS_MSI,
        VFIO_INTERRUPTS_MSIX,
} VfioInterruptKind;

/* A message that goes through the loop, where the hypervisor has no routes for eventfds. */
typedef struct VfioForward {
        VfioFunction *fn;
        unsigned vector;
        LoopSource *source; /* owned; NULL: it is routed */
} VfioForward;

typedef struct VfioMsiVector {
        int event_fd;    /* owned */
        MsiRoute *route; /* owned; NULL: it is forwarded */
        VfioForward forward;
        MsiMessage message; /* while @on, to be forwarded */
        bool on;
} VfioMsiVector;

typedef struct VfioInterrupts {
        VfioInterruptKind kind; /* what the device is told to send */
        unsigned n_on;          /* vectors of it, for the messages */

        int intx_fd;       /* owned eventfd; -EBADF without a pin */
        LoopSource *intx;  /* owned */
        bool intx_pending; /* the wire is up, and masked by the kernel until the guest's EOI */

        VfioMsiVector msi[VFIO_MSI_MAX];
        unsigned n_msi;

        Msix *msix;                         /* owned */
        int msix_fds[VFIO_MSIX_MAX];        /* owned eventfds */
        MsixSource *sources[VFIO_MSIX_MAX]; /* owned; NULL where there are @forwards */
        VfioForward forwards[VFIO_MSIX_MAX];
        unsigned n_msix;

        uint64_t n_intx; /* raised, for PciDeviceOps.count */
} VfioInterrupts;

int vfio_interrupts_init(VfioFunction *fn, Loop *loop, TextError *reterr);
void vfio_interrupts_deinit(VfioFunction *fn);
void vfio_interrupts_update(VfioFunction *fn);
void vfio_interrupts_eoi(PciDevice *pci);

/* ---- function.c ---- */

struct VfioFunction {
        PciDevice pci;
        char address[VFIO_ADDRESS_SIZE]; /* of the host */
        Partition *partition;            /* borrowed */
        VfioContainer *container;        /* borrowed */
        VfioGroup *group; /* borrowed from it, until vfio_container_close_function() */
        VfioDevice device;
        VfioConfigSpace config;
        VfioMsixPlace msix_place;
        VfioArea areas[PCI_BARS * VFIO_AREAS_MAX];
        unsigned n_areas;
        VfioInterrupts interrupts;
        uint64_t n_reads, n_writes; /* of BARs, those that came here */
};
