/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "vmm/virtio/pci_internal.h"

/*
 * Status, features and queues of a device: the common configuration structure (virtio 1.2 section 4.1.4.3). Registers
 * answer to accesses of exactly their width, 64-bit ones also to two halves.
 */

/* ---- status and reset ---- */

/** virtio_pci_needs_reset() - set DEVICE_NEEDS_RESET and tell the driver, once until it resets the device */
void virtio_pci_needs_reset(VirtioPci *vpci) {
        if (vpci->status & VIRTIO_STATUS_NEEDS_RESET)
                return;
        vpci->status |= VIRTIO_STATUS_NEEDS_RESET;
        vpci->n_broken++;
        vpci->dev->running = false;
        if (vpci->status & VIRTIO_STATUS_DRIVER_OK)
                virtio_pci_interrupt(vpci, vpci->config_vector, VIRTIO_PCI_ISR_CONFIG);
}

/** virtio_pci_reset_done() - everything as after power-on, status 0 among it */
void virtio_pci_reset_done(VirtioPci *vpci) {
        vpci->resetting = false;
        vpci->status = 0;
        vpci->isr = 0;
        pci_device_set_intx(&vpci->pci, false);
        vpci->config_vector = VIRTIO_PCI_NO_VECTOR;
        vpci->queue_select = 0;
        vpci->offered_select = vpci->accepted_select = 0;
        vpci->dev->accepted = 0;
        for (unsigned i = 0; i < vpci->dev->n_queues; i++) {
                virtio_pci_set_queue_vector(vpci, i, VIRTIO_PCI_NO_VECTOR);
                virtq_reset(vpci->dev->queues + i, vpci->dev->queue_size_max[i]);
        }
}

static void reset(VirtioPci *vpci) {
        VirtioDevice *dev = vpci->dev;

        /* Nothing runs, and a driver that reads status 0 takes the reset for done: it must not end later. */
        if (vpci->status == 0) {
                virtio_pci_reset_done(vpci);
                return;
        }
        vpci->resetting = true;
        vpci->n_resets++;
        dev->running = false;
        if (!dev->ops->reset || dev->ops->reset(dev) == 0)
                virtio_pci_reset_done(vpci);
}

/* The driver may only add bits (section 2.1.1); what it accepts of the features is judged when it sets FEATURES_OK. */
static void status_write(VirtioPci *vpci, uint8_t value) {
        uint8_t added = (uint8_t) (value & ~vpci->status & ~VIRTIO_STATUS_NEEDS_RESET);
        VirtioDevice *dev = vpci->dev;

        if (value == 0) {
                reset(vpci);
                return;
        }
        if ((added & VIRTIO_STATUS_FEATURES_OK) &&
            ((dev->accepted & ~dev->offered) || !virtio_device_has(dev, VIRTIO_F_VERSION_1))) {
                log_debug("%s: the driver accepted impossible features %#llx", dev->ops->name,
                          (unsigned long long) dev->accepted);
                added &= (uint8_t) ~VIRTIO_STATUS_FEATURES_OK;
        }
        if (!((vpci->status | added) & VIRTIO_STATUS_FEATURES_OK))
                added &= (uint8_t) ~VIRTIO_STATUS_DRIVER_OK;
        vpci->status |= added;

        if (!(added & VIRTIO_STATUS_DRIVER_OK) || (vpci->status & VIRTIO_STATUS_NEEDS_RESET))
                return;
        dev->running = true;
        for (unsigned i = 0; i < dev->n_queues; i++)
                if (dev->queues[i].enabled)
                        virtio_pci_kick(vpci, i);
}

/* ---- common configuration ---- */

static VirtQueue *selected(VirtioPci *vpci) {
        return vpci->queue_select < vpci->dev->n_queues ? vpci->dev->queues + vpci->queue_select
                                                        : NULL;
}

static uint32_t features_half(uint64_t features, uint32_t select) {
        return select == 0 ? (uint32_t) features : select == 1 ? (uint32_t) (features >> 32) : 0;
}

static uint64_t queue_read(VirtioPci *vpci, uint64_t offset) {
        const VirtQueue *queue = selected(vpci);

        if (!queue)
                return 0; /* size 0 says that there is no such queue */
        switch (offset) {
        case 0x18:
                return queue->size;
        case 0x1a:
                return vpci->kicks[vpci->queue_select].vector;
        case 0x1c:
                return queue->enabled;
        case 0x1e:
                return vpci->queue_select;
        case 0x20:
                return queue->desc_gpa;
        case 0x24:
                return queue->desc_gpa >> 32;
        case 0x28:
                return queue->avail_gpa;
        case 0x2c:
                return queue->avail_gpa >> 32;
        case 0x30:
                return queue->used_gpa;
        case 0x34:
                return queue->used_gpa >> 32;
        default:
                return 0;
        }
}

static uint64_t common_read(VirtioPci *vpci, uint64_t offset) {
        VirtioDevice *dev = vpci->dev;

        switch (offset) {
        case 0x00:
                return vpci->offered_select;
        case 0x04:
                return features_half(dev->offered, vpci->offered_select);
        case 0x08:
                return vpci->accepted_select;
        case 0x0c:
                return features_half(dev->accepted, vpci->accepted_select);
        case 0x10:
                return vpci->config_vector;
        case 0x12:
                return dev->n_queues;
        case 0x14:
                return vpci->status;
        case 0x15:
                return dev->config_generation;
        case 0x16:
                return vpci->queue_select;
        default:
                return queue_read(vpci, offset);
        }
}

static void set_half(uint64_t *value, bool high, uint64_t half) {
        if (high)
                *value = (*value & UINT32_MAX) | (half & UINT32_MAX) << 32;
        else
                *value = (*value & ~(uint64_t) UINT32_MAX) | (half & UINT32_MAX);
}

static uint16_t checked_vector(const VirtioPci *vpci, uint64_t value) {
        return value < msix_vectors(vpci->msix) ? (uint16_t) value : VIRTIO_PCI_NO_VECTOR;
}

static void queue_enable(VirtioPci *vpci, VirtQueue *queue) {
        VirtioDevice *dev = vpci->dev;

        if (!(vpci->status & VIRTIO_STATUS_FEATURES_OK)) {
                virtio_device_broken(dev, "queue enabled before the features were agreed");
                return;
        }
        if (virtq_enable(queue, vpci->mem, dev->accepted) != 0)
                virtio_device_broken(dev, queue->broken);
        else if (vpci->status & VIRTIO_STATUS_DRIVER_OK)
                virtio_pci_kick(vpci, vpci->queue_select);
}

static void queue_set_size(VirtioPci *vpci, VirtQueue *queue, uint64_t value) {
        if (value > vpci->dev->queue_size_max[vpci->queue_select] ||
            !virtq_size_is_good((uint16_t) value, vpci->dev->accepted))
                virtio_device_broken(vpci->dev, "queue size is not one that was offered");
        else
                queue->size = (uint16_t) value;
}

static void queue_write(VirtioPci *vpci, uint64_t offset, uint64_t value) {
        VirtQueue *queue = selected(vpci);

        if (!queue)
                return;
        if (offset == 0x1a) {
                virtio_pci_set_queue_vector(vpci, vpci->queue_select, checked_vector(vpci, value));
                return;
        }
        if (queue->enabled)
                return; /* final until the reset */

        switch (offset) {
        case 0x18:
                queue_set_size(vpci, queue, value);
                break;
        case 0x1c:
                if (value == 1)
                        queue_enable(vpci, queue);
                break;
        case 0x20:
        case 0x24:
                set_half(&queue->desc_gpa, offset == 0x24, value);
                break;
        case 0x28:
        case 0x2c:
                set_half(&queue->avail_gpa, offset == 0x2c, value);
                break;
        case 0x30:
        case 0x34:
                set_half(&queue->used_gpa, offset == 0x34, value);
                break;
        default:
                break;
        }
}

static void common_write(VirtioPci *vpci, uint64_t offset, uint64_t value) {
        switch (offset) {
        case 0x00:
                vpci->offered_select = (uint32_t) value;
                break;
        case 0x08:
                vpci->accepted_select = (uint32_t) value;
                break;
        case 0x0c:
                if (!(vpci->status & VIRTIO_STATUS_FEATURES_OK) && vpci->accepted_select <= 1)
                        set_half(&vpci->dev->accepted, vpci->accepted_select == 1, value);
                break;
        case 0x10:
                vpci->config_vector = checked_vector(vpci, value);
                break;
        case 0x14:
                status_write(vpci, (uint8_t) value);
                break;
        case 0x16:
                vpci->queue_select = (uint16_t) value;
                break;
        default:
                queue_write(vpci, offset, value);
                break;
        }
}

/* The width of the register at @offset; 64-bit ones are reached as two halves (section 4.1.3.1). 0: none starts there. */
static unsigned register_width(uint64_t offset) {
        if (offset >= VIRTIO_PCI_COMMON_SIZE)
                return 0;
        if (offset == 0x14 || offset == 0x15)
                return 1;
        if (offset >= 0x10 && offset < 0x20)
                return offset % 2 == 0 ? 2 : 0;
        return offset % 4 == 0 ? 4 : 0;
}

/** virtio_pci_common_read() - a guest's read; what is no register, or not its width, reads as zero */
uint64_t virtio_pci_common_read(VirtioPci *vpci, uint64_t offset, unsigned size) {
        unsigned width = register_width(offset);

        if (size == 8 && width == 4 && offset >= 0x20)
                return (common_read(vpci, offset) & UINT32_MAX) | common_read(vpci, offset + 4)
                                                                          << 32;
        return size == width ? common_read(vpci, offset) : 0;
}

/** virtio_pci_common_write() - a guest's write; without effect while a reset is under way */
void virtio_pci_common_write(VirtioPci *vpci, uint64_t offset, unsigned size, uint64_t value) {
        unsigned width = register_width(offset);

        if (vpci->resetting)
                return;
        if (size == 8 && width == 4 && offset >= 0x20) {
                common_write(vpci, offset, value & UINT32_MAX);
                common_write(vpci, offset + 4, value >> 32);
        } else if (size == width)
                common_write(vpci, offset, value);
}
