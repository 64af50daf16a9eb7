/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/fd.h"
#include "base/le.h"
#include "base/log.h"
#include "vmm/pci/msix.h"
#include "vmm/pci/pci.h"
#include "vmm/virtio/devices.h"
#include "vmm/virtio/virtio.h"

/*
 * The virtio 1.2 PCI transport (section 4.1), modern interface only. One 64-bit memory BAR holds all structures:
 *
 *   0x0000 common configuration   0x1000 ISR   0x2000 device configuration   0x3000 notifications, 4 bytes a queue
 *   0x4000 MSI-X table            0x5000 MSI-X pending bits
 *
 * Registers run on vCPU threads, queues on the loop, both under the function's lock. A notification is an eventfd:
 * signalled by the hypervisor where it has doorbells, by the register write otherwise. When the driver resets the
 * device while the host still reads or writes its buffers, the status register keeps its old value until they are
 * done, which is what a driver waits for (section 4.1.4.3.2).
 */

#define BAR 0u
#define BAR_SIZE 0x8000u
#define COMMON_OFFSET 0x0000u
#define COMMON_SIZE 56u
#define ISR_OFFSET 0x1000u
#define CONFIG_OFFSET 0x2000u
#define CONFIG_SIZE 0x1000u
#define NOTIFY_OFFSET 0x3000u
#define NOTIFY_STEP 4u
#define TABLE_OFFSET 0x4000u
#define PBA_OFFSET 0x5000u

#define ISR_QUEUE 0x1u
#define ISR_CONFIG 0x2u

#define NO_VECTOR 0xffffu

#define CAP_COMMON 1u
#define CAP_NOTIFY 2u
#define CAP_ISR 3u
#define CAP_DEVICE 4u
#define CAP_PCI_CFG 5u

/* In the PCI configuration access capability, from its first byte. */
#define PCI_CFG_BAR 4u
#define PCI_CFG_OFFSET 8u
#define PCI_CFG_LENGTH 12u
#define PCI_CFG_DATA 16u

typedef struct VirtioPci VirtioPci;

typedef struct QueueKick {
        VirtioPci *vpci; /* owner */
        unsigned index;
        int fd;             /* owned eventfd */
        LoopSource *source; /* owned */
        uint16_t vector;
        bool doorbell; /* the hypervisor signals @fd for writes at .bells_at */
} QueueKick;

struct VirtioPci {
        PciDevice pci;
        VirtioDevice *dev;    /* owned */
        Msix *msix;           /* owned */
        Partition *partition; /* borrowed */
        const GuestMem *mem;  /* borrowed */

        uint8_t status;
        bool resetting; /* the device still finishes requests from before a reset */
        uint8_t isr;
        uint16_t config_vector;
        uint16_t queue_select;
        uint32_t offered_select, accepted_select;
        unsigned pci_cfg; /* offset of the PCI configuration access capability */

        gpa_t bells_at; /* address of the first notification register while doorbells are set */
        QueueKick kicks[VIRTIO_QUEUES_MAX];
};

/* ---- interrupts ---- */

static void interrupt(VirtioPci *vpci, uint16_t vector, uint8_t isr) {
        if (msix_enabled(vpci->msix)) {
                if (vector != NO_VECTOR)
                        msix_signal(vpci->msix, vector);
                return;
        }
        vpci->isr |= isr;
        pci_device_set_intx(&vpci->pci, true);
}

static void interrupt_queue(void *transport, unsigned queue) {
        VirtioPci *vpci = transport;

        interrupt(vpci, vpci->kicks[queue].vector, ISR_QUEUE);
}

static void interrupt_config(void *transport) {
        VirtioPci *vpci = transport;

        if (vpci->status & VIRTIO_STATUS_DRIVER_OK)
                interrupt(vpci, vpci->config_vector, ISR_CONFIG);
}

static uint8_t isr_read(VirtioPci *vpci) {
        uint8_t isr = vpci->isr;

        vpci->isr = 0;
        pci_device_set_intx(&vpci->pci, false);
        return isr;
}

/* ---- status and reset ---- */

static void kick(void *transport, unsigned queue) {
        VirtioPci *vpci = transport;

        (void) eventfd_write(vpci->kicks[queue].fd, 1); /* fails only when one is pending already */
}

static void needs_reset(void *transport) {
        VirtioPci *vpci = transport;

        if (vpci->status & VIRTIO_STATUS_NEEDS_RESET)
                return;
        vpci->status |= VIRTIO_STATUS_NEEDS_RESET;
        vpci->dev->running = false;
        interrupt_config(vpci);
}

static void reset_done(void *transport) {
        VirtioPci *vpci = transport;

        vpci->resetting = false;
        vpci->status = 0;
        vpci->isr = 0;
        pci_device_set_intx(&vpci->pci, false);
        vpci->config_vector = NO_VECTOR;
        vpci->queue_select = 0;
        vpci->offered_select = vpci->accepted_select = 0;
        vpci->dev->accepted = 0;
        for (unsigned i = 0; i < vpci->dev->n_queues; i++) {
                vpci->kicks[i].vector = NO_VECTOR;
                virtq_reset(vpci->dev->queues + i, vpci->dev->queue_size_max[i]);
        }
}

static const VirtioTransportOps transport_ops = {
        .interrupt_queue = interrupt_queue,
        .interrupt_config = interrupt_config,
        .kick = kick,
        .needs_reset = needs_reset,
        .reset_done = reset_done,
};

static void reset(VirtioPci *vpci) {
        VirtioDevice *dev = vpci->dev;

        vpci->resetting = true;
        dev->running = false;
        if (!dev->ops->reset || dev->ops->reset(dev) == 0)
                reset_done(vpci);
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
                        kick(vpci, i);
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
        return value < msix_vectors(vpci->msix) ? (uint16_t) value : NO_VECTOR;
}

static void queue_enable(VirtioPci *vpci, VirtQueue *queue) {
        VirtioDevice *dev = vpci->dev;

        if (!(vpci->status & VIRTIO_STATUS_FEATURES_OK)) {
                virtio_device_broken(dev, "queue enabled before the features were agreed");
                return;
        }
        if (virtq_enable(queue, vpci->mem, virtio_device_has(dev, VIRTIO_F_INDIRECT_DESC),
                         virtio_device_has(dev, VIRTIO_F_EVENT_IDX)) != 0)
                virtio_device_broken(dev, queue->broken);
        else if (vpci->status & VIRTIO_STATUS_DRIVER_OK)
                kick(vpci, vpci->queue_select);
}

static void queue_set_size(VirtioPci *vpci, VirtQueue *queue, uint64_t value) {
        if (value == 0 || value > vpci->dev->queue_size_max[vpci->queue_select] ||
            (value & (value - 1)) != 0)
                virtio_device_broken(vpci->dev, "queue size is not one that was offered");
        else
                queue->size = (uint16_t) value;
}

static void queue_write(VirtioPci *vpci, uint64_t offset, uint64_t value) {
        VirtQueue *queue = selected(vpci);

        if (!queue)
                return;
        if (offset == 0x1a) {
                vpci->kicks[vpci->queue_select].vector = checked_vector(vpci, value);
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
        if (offset >= COMMON_SIZE)
                return 0;
        if (offset == 0x14 || offset == 0x15)
                return 1;
        if (offset >= 0x10 && offset < 0x20)
                return offset % 2 == 0 ? 2 : 0;
        return offset % 4 == 0 ? 4 : 0;
}

static uint64_t common_access_read(VirtioPci *vpci, uint64_t offset, unsigned size) {
        unsigned width = register_width(offset);

        if (size == 8 && width == 4 && offset >= 0x20)
                return (common_read(vpci, offset) & UINT32_MAX) | common_read(vpci, offset + 4)
                                                                          << 32;
        return size == width ? common_read(vpci, offset) : 0;
}

static void common_access_write(VirtioPci *vpci, uint64_t offset, unsigned size, uint64_t value) {
        unsigned width = register_width(offset);

        if (vpci->resetting)
                return;
        if (size == 8 && width == 4 && offset >= 0x20) {
                common_write(vpci, offset, value & UINT32_MAX);
                common_write(vpci, offset + 4, value >> 32);
        } else if (size == width)
                common_write(vpci, offset, value);
}

/* ---- the BAR ---- */

static uint64_t config_read(const VirtioPci *vpci, uint64_t offset, unsigned size) {
        uint64_t value = 0;

        for (unsigned i = 0; i < size && offset + i < vpci->dev->config_len; i++)
                value |= (uint64_t) vpci->dev->config[offset + i] << (8 * i);
        return value;
}

static uint64_t bar_read(PciDevice *pci, unsigned bar, uint64_t offset, unsigned size) {
        VirtioPci *vpci = (VirtioPci *) pci;

        if (offset < ISR_OFFSET)
                return common_access_read(vpci, offset, size);
        if (offset < CONFIG_OFFSET)
                return offset == ISR_OFFSET ? isr_read(vpci) : 0;
        if (offset < NOTIFY_OFFSET)
                return config_read(vpci, offset - CONFIG_OFFSET, size);
        if (offset < TABLE_OFFSET)
                return 0;
        if (offset < PBA_OFFSET)
                return msix_table_read(vpci->msix, offset - TABLE_OFFSET, size);
        return msix_pba_read(vpci->msix, offset - PBA_OFFSET, size);
}

/* No device has configuration fields for the driver to write. */
static void bar_write(PciDevice *pci, unsigned bar, uint64_t offset, unsigned size,
                      uint64_t value) {
        VirtioPci *vpci = (VirtioPci *) pci;

        if (offset < ISR_OFFSET)
                common_access_write(vpci, offset, size, value);
        else if (offset >= NOTIFY_OFFSET && offset < TABLE_OFFSET) {
                uint64_t queue = (offset - NOTIFY_OFFSET) / NOTIFY_STEP;

                if (queue < vpci->dev->n_queues)
                        kick(vpci, (unsigned) queue);
        } else if (offset >= TABLE_OFFSET && offset < PBA_OFFSET)
                msix_table_write(vpci->msix, offset - TABLE_OFFSET, size, value);
}

/* ---- doorbells ---- */

static Doorbell queue_doorbell(const VirtioPci *vpci, unsigned queue) {
        return (Doorbell){.address = vpci->bells_at + NOTIFY_STEP * queue};
}

static void remove_doorbells(VirtioPci *vpci) {
        for (unsigned i = 0; i < vpci->dev->n_queues; i++) {
                QueueKick *k = vpci->kicks + i;
                Doorbell bell = queue_doorbell(vpci, i);

                if (!k->doorbell)
                        continue;
                (void) vpci->partition->doorbells->remove(vpci->partition, &bell, k->fd);
                k->doorbell = false;
        }
}

/* A doorbell that the hypervisor refuses is no error: the write then comes as an exit to bar_write(). */
static void add_doorbells(VirtioPci *vpci) {
        for (unsigned i = 0; i < vpci->dev->n_queues; i++) {
                QueueKick *k = vpci->kicks + i;
                Doorbell bell = queue_doorbell(vpci, i);

                k->doorbell = vpci->partition->doorbells->add(vpci->partition, &bell, k->fd) >= 0;
        }
}

static void bar_moved(PciDevice *pci, unsigned bar) {
        VirtioPci *vpci = (VirtioPci *) pci;

        if (!vpci->partition->doorbells)
                return;
        remove_doorbells(vpci);
        if (pci->bars[BAR].mapped) {
                vpci->bells_at = pci->bars[BAR].address + NOTIFY_OFFSET;
                add_doorbells(vpci);
        }
}

/* ---- configuration space ---- */

/* The window that the PCI configuration access capability opens now; false when it makes no sense. */
static bool pci_cfg_window(const VirtioPci *vpci, uint32_t *ret_offset, uint32_t *ret_len) {
        const uint8_t *cap = vpci->pci.config + vpci->pci_cfg;
        uint32_t offset = le32_load(cap + PCI_CFG_OFFSET), len = le32_load(cap + PCI_CFG_LENGTH);

        if (cap[PCI_CFG_BAR] != BAR || (len != 1 && len != 2 && len != 4) || offset % len != 0 ||
            offset >= BAR_SIZE)
                return false;
        *ret_offset = offset;
        *ret_len = len;
        return true;
}

static bool touches_pci_cfg_data(const VirtioPci *vpci, unsigned offset, unsigned size) {
        unsigned data = vpci->pci_cfg + PCI_CFG_DATA;

        return offset < data + 4 && data < offset + size;
}

static void config_reading(PciDevice *pci, unsigned offset, unsigned size) {
        VirtioPci *vpci = (VirtioPci *) pci;
        uint32_t at, len;

        if (touches_pci_cfg_data(vpci, offset, size) && pci_cfg_window(vpci, &at, &len))
                le32_store(pci->config + vpci->pci_cfg + PCI_CFG_DATA,
                           (uint32_t) bar_read(pci, BAR, at, len));
}

static void config_written(PciDevice *pci, unsigned offset, unsigned size) {
        VirtioPci *vpci = (VirtioPci *) pci;
        uint32_t at, len;

        if (touches_pci_cfg_data(vpci, offset, size) && pci_cfg_window(vpci, &at, &len)) {
                uint32_t data = le32_load(pci->config + vpci->pci_cfg + PCI_CFG_DATA);

                bar_write(pci, BAR, at, len, len == 4 ? data : data & ((1u << (8 * len)) - 1));
        }
        msix_config_written(vpci->msix);
        if (msix_enabled(vpci->msix)) {
                vpci->isr = 0;
                pci_device_set_intx(pci, false);
        }
}

/* ---- the loop's side ---- */

static void kicked(void *userdata, int fd, uint32_t events) {
        QueueKick *k = userdata;
        VirtioPci *vpci = k->vpci;
        eventfd_t count;

        (void) eventfd_read(fd, &count);
        pthread_mutex_lock(&vpci->pci.lock);
        if (vpci->dev->running && vpci->dev->queues[k->index].enabled)
                vpci->dev->ops->notify(vpci->dev, k->index);
        pthread_mutex_unlock(&vpci->pci.lock);
}

/* ---- life ---- */

static PciDevice *vpci_free(PciDevice *pci) {
        VirtioPci *vpci = (VirtioPci *) pci;

        if (vpci->partition->doorbells)
                remove_doorbells(vpci);
        for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++) {
                loop_remove(vpci->kicks[i].source);
                fd_close(vpci->kicks[i].fd);
        }
        virtio_device_free(vpci->dev);
        msix_free(vpci->msix);
        pci_device_deinit(pci);
        free(vpci);
        return NULL;
}

static void vpci_cleanup(VirtioPci **vpci) {
        if (*vpci)
                vpci_free(&(*vpci)->pci);
}

static const PciDeviceOps pci_ops = {
        .name = "virtio-pci",
        .bar_read = bar_read,
        .bar_write = bar_write,
        .config_reading = config_reading,
        .config_written = config_written,
        .bar_moved = bar_moved,
        .free = vpci_free,
};

static uint32_t class_of(uint16_t type) {
        switch (type) {
        case VIRTIO_TYPE_BLOCK:
                return 0x018000; /* mass storage, other */
        case VIRTIO_TYPE_CONSOLE:
                return 0x078000; /* simple communication, other */
        default:
                return 0xff0000;
        }
}

static int add_structure(VirtioPci *vpci, uint8_t type, uint32_t offset, uint32_t len,
                         unsigned *ret_offset) {
        uint8_t body[18] = {[1] = type, [2] = BAR};
        bool longer = type == CAP_NOTIFY || type == CAP_PCI_CFG;

        body[0] = longer ? 20 : 16; /* of the whole capability */
        le32_store(body + 6, offset);
        le32_store(body + 10, len);
        if (type == CAP_NOTIFY)
                le32_store(body + 14, NOTIFY_STEP);
        return pci_device_add_capability(&vpci->pci, PCI_CAPABILITY_VENDOR, body, longer ? 18 : 14,
                                         ret_offset);
}

static int add_structures(VirtioPci *vpci) {
        uint32_t config_len = (uint32_t) MAX(vpci->dev->config_len, (size_t) 4);
        const struct {
                uint8_t type;
                uint32_t offset, len;
        } structures[] = {
                {CAP_COMMON, COMMON_OFFSET, COMMON_SIZE},
                {CAP_ISR, ISR_OFFSET, 1},
                {CAP_DEVICE, CONFIG_OFFSET, config_len},
                {CAP_NOTIFY, NOTIFY_OFFSET, NOTIFY_STEP * vpci->dev->n_queues},
                {CAP_PCI_CFG, 0, 0},
        };

        for (size_t i = 0; i < ELEMENTSOF(structures); i++) {
                unsigned offset;
                int r;

                r = add_structure(vpci, structures[i].type, structures[i].offset, structures[i].len,
                                  &offset);
                if (r < 0)
                        return r;
                vpci->pci_cfg = offset; /* the last one */
        }
        pci_device_set_writable(&vpci->pci, vpci->pci_cfg + PCI_CFG_BAR, 0xff, 1);
        pci_device_set_writable(&vpci->pci, vpci->pci_cfg + PCI_CFG_OFFSET, UINT32_MAX, 4);
        pci_device_set_writable(&vpci->pci, vpci->pci_cfg + PCI_CFG_LENGTH, UINT32_MAX, 4);
        pci_device_set_writable(&vpci->pci, vpci->pci_cfg + PCI_CFG_DATA, UINT32_MAX, 4);
        return 0;
}

static int add_kicks(VirtioPci *vpci, Loop *loop) {
        for (unsigned i = 0; i < vpci->dev->n_queues; i++) {
                QueueKick *k = vpci->kicks + i;
                int r;

                k->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                if (k->fd < 0)
                        return -errno;
                r = loop_add_fd(loop, k->fd, EPOLLIN, kicked, k, &k->source);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int assemble(VirtioPci *vpci, const VirtioPciConfig *config) {
        /* One vector a queue and one for configuration changes. */
        MsixConfig msix = {
                .n_vectors = vpci->dev->n_queues + 1,
                .bar = BAR,
                .table_offset = TABLE_OFFSET,
                .pba_offset = PBA_OFFSET,
        };
        int r;

        r = pci_device_add_bar(&vpci->pci, BAR, PCI_BAR_MEM64, BAR_SIZE);
        if (r < 0)
                return r;
        r = add_structures(vpci);
        if (r < 0)
                return r;
        r = msix_new(&vpci->pci, config->partition, &msix, &vpci->msix);
        if (r < 0)
                return r;
        r = add_kicks(vpci, config->loop);
        if (r < 0)
                return r;
        return pci_root_add(config->root, &vpci->pci, config->slot);
}

/**
 * virtio_pci_new() - put @dev on the PCI bus
 * @dev:     consumed, on failure too
 * @config:  copied; all that it points to is borrowed and outlives the bus
 *
 * The bus owns the result. Return: 0; what pci_root_add() and loop_add_fd() say; -ENOMEM.
 */
int virtio_pci_new(VirtioDevice *dev, const VirtioPciConfig *config) {
        _cleanup_(virtio_device_freep) VirtioDevice *owned = dev;
        _cleanup_(vpci_cleanup) VirtioPci *vpci = NULL;
        uint16_t id = (uint16_t) (0x1040 + dev->ops->type);
        int r;

        assert(dev->n_queues >= 1 && dev->n_queues <= VIRTIO_QUEUES_MAX);
        assert(dev->config_len <= CONFIG_SIZE);

        vpci = calloc(1, sizeof(*vpci));
        if (!vpci)
                return -ENOMEM;

        pci_device_init(&vpci->pci, &pci_ops,
                        &(PciIds){
                                .vendor = 0x1af4,
                                .device = id,
                                .subsystem_vendor = 0x1af4,
                                .subsystem = id,
                                .class_code = class_of(dev->ops->type),
                                .revision = 1,
                                .intx = true,
                        });
        vpci->partition = config->partition;
        vpci->mem = config->mem;
        vpci->dev = TAKE(owned);
        for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
                vpci->kicks[i] = (QueueKick){.vpci = vpci, .index = i, .fd = -EBADF};
        dev->offered |= VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX;
        dev->transport_ops = &transport_ops;
        dev->transport = vpci;
        dev->lock = &vpci->pci.lock;
        reset_done(vpci);

        r = assemble(vpci, config);
        if (r < 0)
                return r;
        TAKE(vpci);
        return 0;
}
