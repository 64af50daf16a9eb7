/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/fd.h"
#include "base/le.h"
#include "vmm/virtio/pci_internal.h"

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
#define ISR_OFFSET 0x1000u
#define CONFIG_OFFSET 0x2000u
#define CONFIG_SIZE 0x1000u
#define NOTIFY_OFFSET 0x3000u
#define NOTIFY_STEP 4u
#define TABLE_OFFSET 0x4000u
#define PBA_OFFSET 0x5000u

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

/* ---- interrupts ---- */

/** virtio_pci_interrupt() - by message @vector, or by the wire with @isr as the reason */
void virtio_pci_interrupt(VirtioPci *vpci, uint16_t vector, uint8_t isr) {
        vpci->n_interrupts++;
        if (msix_enabled(vpci->msix)) {
                if (vector != VIRTIO_PCI_NO_VECTOR)
                        msix_signal(vpci->msix, vector);
                return;
        }
        vpci->isr |= isr;
        pci_device_set_intx(&vpci->pci, true);
}

static uint8_t isr_read(VirtioPci *vpci) {
        uint8_t isr = vpci->isr;

        vpci->isr = 0;
        pci_device_set_intx(&vpci->pci, false);
        return isr;
}

/** virtio_pci_kick() - have the loop look at @queue; any thread */
void virtio_pci_kick(VirtioPci *vpci, unsigned queue) {
        (void) eventfd_write(vpci->kicks[queue].fd, 1); /* fails only when one is pending already */
}

/* ---- what the device model asks for ---- */

static void device_interrupt_queue(void *transport, unsigned queue) {
        VirtioPci *vpci = transport;

        virtio_pci_interrupt(vpci, vpci->kicks[queue].vector, VIRTIO_PCI_ISR_QUEUE);
}

static void device_interrupt_config(void *transport) {
        VirtioPci *vpci = transport;

        if (vpci->status & VIRTIO_STATUS_DRIVER_OK)
                virtio_pci_interrupt(vpci, vpci->config_vector, VIRTIO_PCI_ISR_CONFIG);
}

static void device_kick(void *transport, unsigned queue) {
        virtio_pci_kick(transport, queue);
}

static void device_needs_reset(void *transport) {
        virtio_pci_needs_reset(transport);
}

static void device_reset_done(void *transport) {
        virtio_pci_reset_done(transport);
}

static void device_rested(void *transport) {
        VirtioPci *vpci = transport;

        pci_device_rested(&vpci->pci);
}

static const VirtioTransportOps transport_ops = {
        .interrupt_queue = device_interrupt_queue,
        .interrupt_config = device_interrupt_config,
        .kick = device_kick,
        .needs_reset = device_needs_reset,
        .reset_done = device_reset_done,
        .rested = device_rested,
        .hand_over = virtio_pci_hand_over,
        .take_back = virtio_pci_take_back,
};

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
                return virtio_pci_common_read(vpci, offset, size);
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

static void bar_write(PciDevice *pci, unsigned bar, uint64_t offset, unsigned size,
                      uint64_t value) {
        VirtioPci *vpci = (VirtioPci *) pci;

        if (offset < ISR_OFFSET)
                virtio_pci_common_write(vpci, offset, size, value);
        else if (offset >= CONFIG_OFFSET && offset < NOTIFY_OFFSET) {
                if (vpci->dev->ops->config_write && !vpci->resetting)
                        vpci->dev->ops->config_write(vpci->dev, offset - CONFIG_OFFSET, size,
                                                     value);
        } else if (offset >= NOTIFY_OFFSET && offset < TABLE_OFFSET) {
                uint64_t queue = (offset - NOTIFY_OFFSET) / NOTIFY_STEP;

                if (queue < vpci->dev->n_queues)
                        virtio_pci_kick(vpci, (unsigned) queue);
        } else if (offset >= TABLE_OFFSET && offset < PBA_OFFSET) {
                msix_table_write(vpci->msix, offset - TABLE_OFFSET, size, value);
                virtio_pci_update_calls(vpci);
        }
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
        virtio_pci_update_calls(vpci);
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

        pthread_mutex_lock(&vpci->pci.lock);
        if (k->foreign) { /* handed over in this turn of the loop: the signal is not ours any more */
                pthread_mutex_unlock(&vpci->pci.lock);
                return;
        }
        (void) eventfd_read(fd, &count);
        vpci->n_notifies++;
        if (vpci->suspended)
                k->held = true;
        else if (vpci->dev->running && vpci->dev->queues[k->index].enabled)
                vpci->dev->ops->notify(vpci->dev, k->index);
        pthread_mutex_unlock(&vpci->pci.lock);
}

static void count(PciDevice *pci, PciCountFn fn, void *userdata) {
        const VirtioPci *vpci = (const VirtioPci *) pci;
        VirtqCounts sum = {0};

        for (unsigned i = 0; i < vpci->dev->n_queues; i++) {
                const VirtqCounts *counts = &vpci->dev->queues[i].counts;

                sum.requests += counts->requests;
                sum.bytes_out += counts->bytes_out;
                sum.bytes_in += counts->bytes_in;
        }
        fn(userdata, vpci->dev->ops->name, "queue_notifies", vpci->n_notifies);
        fn(userdata, vpci->dev->ops->name, "requests", sum.requests);
        fn(userdata, vpci->dev->ops->name, "bytes_out", sum.bytes_out);
        fn(userdata, vpci->dev->ops->name, "bytes_in", sum.bytes_in);
        fn(userdata, vpci->dev->ops->name, "interrupts", vpci->n_interrupts);
        fn(userdata, vpci->dev->ops->name, "resets", vpci->n_resets);
        fn(userdata, vpci->dev->ops->name, "driver_errors", vpci->n_broken);
        fn(userdata, vpci->dev->ops->name, "host_errors", vpci->dev->n_host_errors);
}

static void suspend(PciDevice *pci) {
        VirtioPci *vpci = (VirtioPci *) pci;

        vpci->suspended = true;
        if (vpci->dev->ops->suspend)
                vpci->dev->ops->suspend(vpci->dev);
}

static bool busy(PciDevice *pci) {
        const VirtioDevice *dev = ((const VirtioPci *) pci)->dev;

        return dev->ops->busy && dev->ops->busy(dev);
}

static void resume(PciDevice *pci) {
        VirtioPci *vpci = (VirtioPci *) pci;

        vpci->suspended = false;
        if (vpci->dev->ops->resume)
                vpci->dev->ops->resume(vpci->dev);
        for (unsigned i = 0; i < vpci->dev->n_queues; i++)
                if (vpci->kicks[i].held) {
                        vpci->kicks[i].held = false;
                        virtio_pci_kick(vpci, i);
                }
}

/* ---- snapshots ---- */

/* What the device is, and what the driver knows of it by now. */
static void expect_same(const VirtioDevice *dev, Snapshot *s) {
        snapshot_expect_text(s, "the device", dev->ops->name);
        snapshot_expect(s, "the set of features that are offered", dev->offered);
        snapshot_expect(s, "the number of queues", dev->n_queues);
}

static void snapshot_queues(VirtioPci *vpci, Snapshot *s) {
        VirtioDevice *dev = vpci->dev;

        for (unsigned i = 0; i < dev->n_queues; i++) {
                uint16_t vector = vpci->kicks[i].vector;

                snapshot_u16(s, &vector);
                virtq_snapshot(dev->queues + i, vpci->mem, dev->accepted, s);
                if (snapshot_restored(s) && vector != VIRTIO_PCI_NO_VECTOR &&
                    vector >= msix_vectors(vpci->msix))
                        snapshot_refuse(s, "a queue has vector %u, which is none", vector);
                if (snapshot_restored(s))
                        virtio_pci_set_queue_vector(vpci, i, vector);
        }
}

/* Whether the driver could have come this far. */
static void check_status(const VirtioPci *vpci, Snapshot *s) {
        const VirtioDevice *dev = vpci->dev;

        if (vpci->config_vector != VIRTIO_PCI_NO_VECTOR &&
            vpci->config_vector >= msix_vectors(vpci->msix))
                snapshot_refuse(s, "its vector %u is none", vpci->config_vector);
        if ((vpci->status & VIRTIO_STATUS_FEATURES_OK) &&
            ((dev->accepted & ~dev->offered) || !virtio_device_has(dev, VIRTIO_F_VERSION_1)))
                snapshot_refuse(s, "features were agreed that were not offered");
        if ((vpci->status & VIRTIO_STATUS_DRIVER_OK) && !(vpci->status & VIRTIO_STATUS_FEATURES_OK))
                snapshot_refuse(s, "a driver runs it without having agreed on features");
}

static void snapshot(PciDevice *pci, Snapshot *s) {
        static const SnapshotField fields[] = {
                SNAPSHOT_UINT(VirtioPci, status),         SNAPSHOT_UINT(VirtioPci, isr),
                SNAPSHOT_UINT(VirtioPci, config_vector),  SNAPSHOT_UINT(VirtioPci, queue_select),
                SNAPSHOT_UINT(VirtioPci, offered_select), SNAPSHOT_UINT(VirtioPci, accepted_select),
        };
        VirtioPci *vpci = (VirtioPci *) pci;
        VirtioDevice *dev = vpci->dev;

        if (!dev->ops->snapshot)
                snapshot_refuse(s, "%s cannot be saved", dev->ops->name);
        if (vpci->resetting)
                snapshot_refuse(s, "%s is being reset, try again", dev->ops->name);
        for (unsigned i = 0; i < dev->n_queues; i++)
                if (vpci->kicks[i].foreign)
                        snapshot_refuse(s, "%s is served by the host's kernel", dev->ops->name);
        expect_same(dev, s);
        snapshot_members(s, fields, vpci);
        snapshot_u64(s, &dev->accepted);
        snapshot_u8(s, &dev->config_generation);
        check_status(vpci, s);
        snapshot_queues(vpci, s);
        msix_snapshot(vpci->msix, s);
        if (dev->ops->snapshot)
                dev->ops->snapshot(dev, s);
        if (!snapshot_restored(s))
                return;
        dev->running = (vpci->status & VIRTIO_STATUS_DRIVER_OK) &&
                       !(vpci->status & VIRTIO_STATUS_NEEDS_RESET);
        /* Notifications that were on their way are not part of it, and one too many does no harm. */
        for (unsigned i = 0; i < dev->n_queues; i++)
                virtio_pci_kick(vpci, i);
}

/* ---- life ---- */

static PciDevice *vpci_free(PciDevice *pci) {
        VirtioPci *vpci = (VirtioPci *) pci;

        if (vpci->partition->doorbells)
                remove_doorbells(vpci);
        /* First: the host's kernel may use the descriptors until then. */
        virtio_device_free(vpci->dev);
        for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++) {
                loop_remove(vpci->kicks[i].source);
                fd_close(vpci->kicks[i].fd);
        }
        virtio_pci_free_calls(vpci);
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
        .count = count,
        .suspend = suspend,
        .resume = resume,
        .busy = busy,
        .snapshot = snapshot,
        .free = vpci_free,
};

static uint32_t class_of(uint16_t type) {
        switch (type) {
        case VIRTIO_TYPE_NET:
                return 0x020000; /* network, Ethernet */
        case VIRTIO_TYPE_SCSI:
                return 0x010000; /* mass storage, SCSI */
        case VIRTIO_TYPE_BLOCK:
                return 0x018000; /* mass storage, other */
        case VIRTIO_TYPE_CONSOLE:
        case VIRTIO_TYPE_VSOCK:
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
                {CAP_COMMON, COMMON_OFFSET, VIRTIO_PCI_COMMON_SIZE},
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
        /* One vector for configuration changes, and one a queue unless they share one. */
        MsixConfig msix = {
                .n_vectors = 1 + (vpci->dev->shares_vector ? 1 : vpci->dev->n_queues),
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
        return config->plugged ? pci_root_plug(config->root, &vpci->pci, config->slot)
                               : pci_root_add(config->root, &vpci->pci, config->slot);
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
                                .intx = !config->no_intx,
                        });
        vpci->partition = config->partition;
        vpci->mem = config->mem;
        vpci->loop = config->loop;
        vpci->dev = TAKE(owned);
        for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
                vpci->kicks[i] =
                        (QueueKick){.vpci = vpci, .index = i, .fd = -EBADF, .call_fd = -EBADF};
        dev->offered |= VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX;
        dev->offered &= ~dev->withheld;
        dev->transport_ops = &transport_ops;
        dev->transport = vpci;
        dev->lock = &vpci->pci.lock;
        virtio_pci_reset_done(vpci);

        r = assemble(vpci, config);
        if (r < 0)
                return r;
        TAKE(vpci);
        return 0;
}
