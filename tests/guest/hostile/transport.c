/* SPDX-License-Identifier: Apache-2.0 */

/* PCI and the virtio transport as a good driver uses them. */

#include "tests/guest/hostile/hostile.h"

struct device devices[DEVICES_MAX];
unsigned n_devices;
unsigned ring_sizes[RINGS];
bool rings_are_packed;

uint32_t pci_read(unsigned slot, unsigned offset) {
        out32(0xcf8, 0x80000000u | slot << 11 | (offset & 0xfc));
        return in32(0xcfc);
}

void pci_write(unsigned slot, unsigned offset, uint32_t v) {
        out32(0xcf8, 0x80000000u | slot << 11 | (offset & 0xfc));
        out32(0xcfc, v);
}

/* One access of 1, 2, 4 or 8 bytes, wherever it lies. */
uint64_t poke(volatile uint8_t *at, bool write, unsigned width, uint64_t v) {
        switch (width) {
        case 0:
                return write ? (*at = (uint8_t) v) : *at;
        case 1:
                return write ? (*(volatile uint16_t *) at = (uint16_t) v)
                             : *(volatile uint16_t *) at;
        case 2:
                return write ? (*(volatile uint32_t *) at = (uint32_t) v)
                             : *(volatile uint32_t *) at;
        default:
                return write ? (*(volatile uint64_t *) at = v) : *(volatile uint64_t *) at;
        }
}

void place_bar(struct device *dev) {
        pci_write(dev->slot, 4, 0);
        pci_write(dev->slot, dev->bar, BARS + dev->slot * BAR_STEP);
        pci_write(dev->slot, dev->bar + 4, 0);
        pci_write(dev->slot, 4, 6); /* memory, bus master */
}

void find_device(unsigned slot) {
        struct device dev = {.slot = slot, .type = (pci_read(slot, 0) >> 16) - 0x1040};
        unsigned at = pci_read(slot, 0x34) & 0xfc;

        for (unsigned n = 0; at && n < 48; n++) {
                uint32_t head = pci_read(slot, at);

                if ((head & 0xff) == 0x11)
                        dev.msix_table = pci_read(slot, at + 4) & ~7u;
                if ((head & 0xff) == 9) {
                        uint32_t offset = pci_read(slot, at + 8), len = pci_read(slot, at + 12);

                        switch (head >> 24) {
                        case 1:
                                dev.common = offset;
                                dev.bar = 0x10 + 4 * (pci_read(slot, at + 4) & 7);
                                break;
                        case 2:
                                dev.notify = offset;
                                dev.notify_multiplier = pci_read(slot, at + 16);
                                break;
                        case 4:
                                dev.config = offset;
                                dev.config_len = len;
                                break;
                        }
                }
                at = head >> 8 & 0xfc;
        }
        if (!dev.bar)
                return;
        pci_write(slot, 4, 0);
        pci_write(slot, dev.bar, ~0u);
        dev.bar_bytes = ~(pci_read(slot, dev.bar) & ~15u) + 1;
        dev.base = (volatile uint8_t *) (uintptr_t) (BARS + slot * BAR_STEP);
        place_bar(&dev);
        dev.n_queues = get16(&dev, C_QUEUES);
        devices[n_devices++] = dev;
}

void reset(struct device *dev) {
        uint64_t end = ticks() + PATIENCE;

        place_bar(dev);
        set8(dev, C_STATUS, 0);
        while (get8(dev, C_STATUS) != 0)
                if (ticks() > end)
                        fail(dev, "reset does not end");
}

void notify(const struct device *dev, unsigned queue) {
        __asm__ volatile("" : : : "memory");
        *(volatile uint16_t *) (dev->base + dev->notify +
                                (queue * dev->notify_multiplier) % 0x1000) = (uint16_t) queue;
}

uint64_t offered(const struct device *dev) {
        uint64_t low;

        set32(dev, C_FEATURE_SELECT, 0);
        low = get32(dev, C_FEATURES);
        set32(dev, C_FEATURE_SELECT, 1);
        return (uint64_t) get32(dev, C_FEATURES) << 32 | low;
}

void accept(const struct device *dev, uint64_t features) {
        set32(dev, C_ACCEPT_SELECT, 0);
        set32(dev, C_ACCEPT, features);
        set32(dev, C_ACCEPT_SELECT, 1);
        set32(dev, C_ACCEPT, features >> 32);
}

/* The rings of queue @queue: 64 KiB for each part. */
uint64_t ring(unsigned queue, unsigned part) {
        return ARENA + (queue % 8) * 0x40000 + part * 0x10000;
}

static void set_up_queue(const struct device *dev, unsigned queue) {
        unsigned size;

        set16(dev, C_QUEUE, queue);
        size = get16(dev, C_SIZE);
        if (size > RING_SIZE)
                size = RING_SIZE;
        ring_sizes[queue] = size;
        set16(dev, C_SIZE, size);
        set16(dev, C_VECTOR, 0xffff);
        set64(dev, C_DESC, ring(queue, 0));
        set64(dev, C_AVAIL, ring(queue, 1));
        set64(dev, C_USED, ring(queue, 2));
        set16(dev, C_ENABLE, 1);
}

/* From a reset to DRIVER_OK with the features among @features that are offered, and all queues set up. */
void begin(struct device *dev, uint64_t features) {
        set8(dev, C_STATUS, S_ACK | S_DRIVER);
        features &= offered(dev);
        accept(dev, F_VERSION_1 | features);
        set8(dev, C_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK);
        if (!(get8(dev, C_STATUS) & S_FEATURES_OK))
                fail(dev, "does not take what it offers after a reset");
        rings_are_packed = features & F_RING_PACKED;
        forget_packed();
        for (unsigned i = 0; i < dev->n_queues && i < RINGS; i++) {
                fill((void *) ring(i, 0), 0, 0x30000);
                set_up_queue(dev, i);
        }
        set8(dev, C_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
}
