/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The parts of the PCI transport: pci.c is the function on the bus, pci_common.c its common configuration, pci_foreign.c
 * what queues need that the host's kernel serves.
 */

#include "vmm/pci/msix.h"
#include "vmm/pci/pci.h"
#include "vmm/virtio/devices.h"
#include "vmm/virtio/virtio.h"

#define VIRTIO_PCI_COMMON_SIZE 56u

#define VIRTIO_PCI_ISR_QUEUE 0x1u
#define VIRTIO_PCI_ISR_CONFIG 0x2u

#define VIRTIO_PCI_NO_VECTOR 0xffffu

typedef struct VirtioPci VirtioPci;

typedef struct QueueKick {
        VirtioPci *vpci; /* owner */
        unsigned index;
        int fd;             /* owned eventfd */
        LoopSource *source; /* owned */
        uint16_t vector;
        bool doorbell; /* the hypervisor signals @fd for writes at .bells_at */
        bool held;     /* came while the device was suspended */
        bool foreign;  /* the host's kernel serves the queue: @fd is its to listen to */

        /* Its way to interrupt the driver; made with the first hand_over(). */
        int call_fd;             /* owned eventfd */
        LoopSource *call_source; /* owned; listens while the hypervisor does not */
        MsixSource *call;        /* owned, while @foreign */
} QueueKick;

struct VirtioPci {
        PciDevice pci;
        VirtioDevice *dev;    /* owned */
        Msix *msix;           /* owned */
        Partition *partition; /* borrowed */
        const GuestMem *mem;  /* borrowed */
        Loop *loop;           /* borrowed */

        uint8_t status;
        uint64_t n_interrupts, n_notifies, n_resets, n_broken; /* for PciDeviceOps.count */
        bool suspended;                                        /* queues are left alone */
        bool resetting; /* the device still finishes requests from before a reset */
        uint8_t isr;
        uint16_t config_vector;
        uint16_t queue_select;
        uint32_t offered_select, accepted_select;
        unsigned pci_cfg; /* offset of the PCI configuration access capability */

        gpa_t bells_at; /* address of the first notification register while doorbells are set */
        QueueKick kicks[VIRTIO_QUEUES_MAX];
};

/* The device's lock is held for all of these. */
void virtio_pci_interrupt(VirtioPci *vpci, uint16_t vector, uint8_t isr);
void virtio_pci_kick(VirtioPci *vpci, unsigned queue);
void virtio_pci_needs_reset(VirtioPci *vpci);
void virtio_pci_reset_done(VirtioPci *vpci);
uint64_t virtio_pci_common_read(VirtioPci *vpci, uint64_t offset, unsigned size);
void virtio_pci_common_write(VirtioPci *vpci, uint64_t offset, unsigned size, uint64_t value);

/* pci_foreign.c: queues that the host's kernel serves */
void virtio_pci_update_calls(VirtioPci *vpci);
void virtio_pci_set_queue_vector(VirtioPci *vpci, unsigned queue, uint16_t vector);
int virtio_pci_hand_over(void *transport, unsigned queue, VirtioQueueFds *ret);
void virtio_pci_take_back(void *transport, unsigned queue);
void virtio_pci_free_calls(VirtioPci *vpci);
