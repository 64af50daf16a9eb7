/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/pci/pci.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/le.h"
#include "vmm/pci/pci_internal.h"

/*
 * Configuration space is 256 bytes and, beside them, a mask of the bits that the guest may change. Everything that a
 * write means beyond remembering bits follows from the stored bytes afterwards, so that a write in pieces of one byte
 * has the same effect as a dword.
 */

#define PCI_COMMAND_WRITABLE                                                                       \
        (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE |     \
         0x0140u /* parity and SERR responses: no effect */)

/**
 * pci_device_init() - fill the header of a function
 * @dev:  zeroed by this call
 * @ops:  static
 * @ids:  copied
 *
 * BARs and capabilities are added next, then pci_root_add() makes it visible.
 */
void pci_device_init(PciDevice *dev, const PciDeviceOps *ops, const PciIds *ids) {
        assert(ids->class_code <= 0xffffff);

        *dev = (PciDevice){.ops = ops, .next_capability = PCI_FIRST_FREE};
        pthread_mutex_init(&dev->lock, NULL);

        le16_store(dev->config + PCI_VENDOR_ID, ids->vendor);
        le16_store(dev->config + PCI_DEVICE_ID, ids->device);
        le32_store(dev->config + PCI_REVISION, ids->class_code << 8 | ids->revision);
        le16_store(dev->config + PCI_SUBSYSTEM_VENDOR_ID, ids->subsystem_vendor);
        le16_store(dev->config + PCI_SUBSYSTEM_ID, ids->subsystem);
        dev->config[PCI_INTERRUPT_PIN] = ids->intx ? 1 : 0;

        pci_device_set_writable(dev, PCI_COMMAND, PCI_COMMAND_WRITABLE, 2);
        pci_device_set_writable(dev, PCI_CACHE_LINE_SIZE, 0xff, 1);
        pci_device_set_writable(dev, PCI_LATENCY_TIMER, 0xff, 1);
        pci_device_set_writable(dev, PCI_INTERRUPT_LINE, 0xff, 1);
}

/** pci_device_deinit() - release what pci_device_init() made; the device's own free() calls it last */
void pci_device_deinit(PciDevice *dev) {
        pthread_mutex_destroy(&dev->lock);
}

/**
 * pci_device_set_writable() - let the guest change bits of the configuration space
 * @mask:  little-endian bits of the @size (1, 2 or 4) bytes at @offset; the others become read-only
 */
void pci_device_set_writable(PciDevice *dev, unsigned offset, uint32_t mask, unsigned size) {
        assert(size <= 4 && offset + size <= PCI_CONFIG_SIZE);

        for (unsigned i = 0; i < size; i++)
                dev->writable[offset + i] = (uint8_t) (mask >> (8 * i));
}

/**
 * pci_device_add_capability() - append a capability to the list (PCI 3.0 section 6.7)
 * @body:        what follows the id and the link; copied, read-only for the guest
 * @len:         bytes of @body
 * @ret_offset:  where the capability begins
 *
 * Return: 0; -ENOSPC when the space is used up.
 */
int pci_device_add_capability(PciDevice *dev, uint8_t id, const void *body, size_t len,
                              unsigned *ret_offset) {
        unsigned offset = dev->next_capability;

        if (len > PCI_CONFIG_SIZE || offset + 2 + len > PCI_CONFIG_SIZE)
                return -ENOSPC;

        dev->config[offset] = id;
        memcpy(dev->config + offset + 2, body, len);
        if (dev->last_capability > 0)
                dev->config[dev->last_capability + 1] = (uint8_t) offset;
        else
                dev->config[PCI_CAPABILITIES] = (uint8_t) offset;
        dev->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
        dev->last_capability = offset;
        dev->next_capability = (unsigned) ((offset + 2 + len + 3) & ~(size_t) 3);

        *ret_offset = offset;
        return 0;
}

static void drive_wire(PciDevice *dev) {
        uint16_t command = le16_load(dev->config + PCI_COMMAND);
        bool wire = dev->intx && !(command & PCI_COMMAND_INTX_DISABLE);

        if (wire == dev->intx_wire)
                return;
        dev->intx_wire = wire;
        if (dev->root)
                pci_root_set_wire(dev->root, dev->slot, wire);
}

/** pci_device_set_intx() - assert or release INTA#; the device's lock is held */
void pci_device_set_intx(PciDevice *dev, bool level) {
        dev->intx = level;
        if (level)
                dev->config[PCI_STATUS] |= PCI_STATUS_INTX;
        else
                dev->config[PCI_STATUS] &= (uint8_t) ~PCI_STATUS_INTX;
        drive_wire(dev);
}

/**
 * pci_config_read() - what the guest reads from configuration space; takes the device's lock
 * @size:  1, 2 or 4
 *
 * Return: the value, or ones where @offset + @size leaves the 256 bytes, as for an absent register.
 */
uint32_t pci_config_read(PciDevice *dev, unsigned offset, unsigned size) {
        uint32_t value = 0;

        if (size > 4 || offset > PCI_CONFIG_SIZE - size)
                return UINT32_MAX;

        pthread_mutex_lock(&dev->lock);
        if (dev->ops->config_reading)
                dev->ops->config_reading(dev, offset, size);
        for (unsigned i = 0; i < size; i++)
                value |= (uint32_t) dev->config[offset + i] << (8 * i);
        pthread_mutex_unlock(&dev->lock);
        return value;
}

static bool overlaps(unsigned offset, unsigned size, unsigned first, unsigned len) {
        return offset < first + len && first < offset + size;
}

/**
 * pci_config_write() - apply a guest's write of 1, 2 or 4 bytes; takes the device's lock
 *
 * Read-only bits keep their value; a write outside the 256 bytes has no effect.
 */
void pci_config_write(PciDevice *dev, unsigned offset, unsigned size, uint32_t value) {
        if (size > 4 || offset > PCI_CONFIG_SIZE - size)
                return;

        pthread_mutex_lock(&dev->lock);
        for (unsigned i = 0; i < size; i++) {
                uint8_t mask = dev->writable[offset + i], new = (uint8_t) (value >> (8 * i));
                uint8_t *byte = dev->config + offset + i;

                *byte = (uint8_t) ((*byte & ~mask) | (new &mask));
        }

        if (overlaps(offset, size, PCI_COMMAND, 2) ||
            overlaps(offset, size, PCI_BAR0, 4 * PCI_BARS))
                pci_bars_update(dev);
        if (overlaps(offset, size, PCI_COMMAND, 2))
                drive_wire(dev);
        if (dev->ops->config_written)
                dev->ops->config_written(dev, offset, size);
        pthread_mutex_unlock(&dev->lock);
}

/**
 * pci_config_snapshot() - save or restore configuration space; the device's lock is held
 *
 * The bits that a guest may change are restored, and BARs decode where they did; the others are what the device is.
 */
void pci_config_snapshot(PciDevice *dev, Snapshot *s) {
        uint8_t config[PCI_CONFIG_SIZE];
        bool intx = dev->intx;

        memcpy(config, dev->config, sizeof(config));
        snapshot_bytes(s, config, sizeof(config));
        snapshot_bool(s, &intx);
        if (!snapshot_restored(s))
                return;
        for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
                dev->config[i] = (uint8_t) ((dev->config[i] & ~dev->writable[i]) |
                                            (config[i] & dev->writable[i]));
        pci_bars_update(dev);
        pci_device_set_intx(dev, intx);
}
