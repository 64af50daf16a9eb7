/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A host with VFIO and one PCI function, for the seam of vmm/vfio: what sysfs says of it, in a directory of its own, and
 * a kernel that answers as it is told and takes notes. The ops carry no object, so there is one at a time.
 */

#include <linux/vfio.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/fake/vmm_virtio_driver.h"
#include "vmm/vfio/vfio.h"

#define FAKE_VFIO_ADDRESS "0000:00:05.0"
#define FAKE_VFIO_GROUP 7u
#define FAKE_VFIO_BAR_BYTES 0x8000u /* of the largest */
#define FAKE_VFIO_KINDS 3u          /* INTx, MSI, MSI-X */
#define FAKE_VFIO_EVENTS_MAX 256u
#define FAKE_VFIO_NOTES_MAX 32u

typedef struct FakeVfioArea {
        uint64_t offset, size;
} FakeVfioArea;

typedef struct FakeVfioNote {
        uint64_t offset; /* in the region */
        uint64_t value;
        unsigned region, size;
} FakeVfioNote;

typedef struct FakeVfioMapping {
        bool used;
        gpa_t gpa;
        void *host;
        uint64_t size;
} FakeVfioMapping;

typedef struct FakeVfio {
        FakeBoard *board; /* owned */
        char dir[64];     /* of sysfs */
        char path[128];   /* of the function in it */

        /* What the kernel says; tests change it before they make the function. */
        uint8_t config[PCI_CONFIG_SIZE];
        uint64_t bar_sizes[PCI_BARS];
        uint32_t bar_flags;     /* VFIO_REGION_INFO_FLAG_* of all BARs */
        uint64_t offset_base;   /* added to where regions are in the descriptor */
        FakeVfioArea sparse[4]; /* of BAR 0 */
        unsigned n_sparse;      /* 0: no list */
        bool sparse_loops;      /* the list of capabilities comes back to itself */
        unsigned n_irqs[FAKE_VFIO_KINDS];
        uint32_t device_flags, group_flags;
        int api_version;
        const char *refused_path; /* open() fails with @refused */
        unsigned long refused_request;
        int refused;          /* -errno */
        unsigned vectors_max; /* of MSI-X that the host has left; 0: enough */
        bool deaf;            /* BARs do not answer */
        bool refuse_maps, refuse_slots;

        /* What was done. */
        uint8_t bars[PCI_BARS][FAKE_VFIO_BAR_BYTES];
        FakeVfioNote writes[FAKE_VFIO_NOTES_MAX];
        unsigned n_writes;
        struct vfio_iommu_type1_dma_map dma[FAKE_VFIO_NOTES_MAX];
        unsigned n_dma;
        unsigned n_opens, n_resets, n_unmasks, n_groups, n_mapped;
        unsigned n_joined;                                 /* groups in the container */
        int events[FAKE_VFIO_KINDS][FAKE_VFIO_EVENTS_MAX]; /* borrowed from the function */
        unsigned n_events[FAKE_VFIO_KINDS];
        FakeVfioMapping slots[FAKE_VFIO_NOTES_MAX];
} FakeVfio;

extern const VfioOps fake_vfio_ops;

FakeVfio *fake_vfio_new(void);
FakeVfio *fake_vfio_free(FakeVfio *fake);
void fake_vfio_renew(FakeVfio *fake);
void fake_vfio_link(const FakeVfio *fake, const char *target, const char *format, ...)
        _printf_(3, 4);
void fake_vfio_signal(const FakeVfio *fake, unsigned kind, unsigned vector);
const FakeVfioMapping *fake_vfio_mapping_at(const FakeVfio *fake, gpa_t gpa);
