/* SPDX-License-Identifier: Apache-2.0 */

/* What any virtio device must bear: negotiation, registers, rings, descriptors, MSI-X, configuration space, BARs. */

#include "tests/guest/hostile/hostile.h"

static void negotiate(struct device *dev) {
        uint64_t features = offered(dev);

        set8(dev, C_STATUS, S_ACK | S_DRIVER);
        switch (below(5)) {
        case 0:
                features = any(); /* what nobody offered */
                break;
        case 1:
                features &= any();
                break;
        case 2:
                features = F_VERSION_1;
                break;
        }
        accept(dev, features);
        if (one_in(8)) { /* a selector of nothing */
                set32(dev, C_ACCEPT_SELECT, odd_number());
                set32(dev, C_ACCEPT, any());
        }
        set8(dev, C_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK);
        if (one_in(4)) { /* too late */
                accept(dev, any());
                set8(dev, C_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK);
        }
        if (one_in(8))
                set8(dev, C_STATUS, any() | 1);
}

void scribble_descriptor(struct desc *d, unsigned size) {
        *d = (struct desc){
                .address = odd_address(),
                .len = (uint32_t) (one_in(3) ? odd_number() : below(8192)),
                .flags = (uint16_t) (one_in(8) ? any() : below(8) & (one_in(3) ? 7 : 3)),
                .next = (uint16_t) (one_in(8) ? any() : below(size)),
        };
        if (d->address + d->len > RAM_END && d->address < ARENA)
                d->address = BUFFERS;
        if (d->flags & D_INDIRECT && one_in(2)) { /* a table that is one, mostly */
                d->address = BUFFERS;
                d->len = 16 * (1 + below(one_in(4) ? 4096 : 16));
                d->flags &= (uint16_t) ~D_NEXT;
        }
}

static void scribble_ring(const struct device *dev, unsigned queue) {
        struct desc *table = (struct desc *) ring(queue, 0), *indirect = (struct desc *) BUFFERS;
        volatile uint16_t *avail = (volatile uint16_t *) ring(queue, 1);
        unsigned size = 1u << below(11);

        if ((offered(dev) & F_RING_PACKED) && !one_in(4)) {
                scribble_packed(queue);
                return;
        }
        for (unsigned i = 0; i < 64; i++) {
                scribble_descriptor(&table[below(size)], size);
                scribble_descriptor(&indirect[below(32)], 32);
        }
        if (one_in(4)) /* every descriptor in one loop */
                for (unsigned i = 0; i < size; i++)
                        table[i] = (struct desc){.address = BUFFERS,
                                                 .len = 16,
                                                 .flags = D_NEXT,
                                                 .next = (uint16_t) ((i + 1) % size)};
        for (unsigned i = 0; i < 32; i++)
                avail[2 + below(size)] = (uint16_t) (one_in(8) ? any() : below(size));
        avail[0] = (uint16_t) any() & 1;
        avail[1] = (uint16_t) (avail[1] + (one_in(4) ? odd_number() : 1 + below(8)));
}

static void set_queue(struct device *dev, unsigned queue) {
        bool honest = one_in(2);

        set16(dev, C_QUEUE, queue);
        set16(dev, C_SIZE, honest ? 1u << below(11) : one_in(2) ? below(1025) : odd_number());
        set64(dev, C_DESC, honest || one_in(2) ? ring(queue, 0) : odd_address());
        set64(dev, C_AVAIL, honest || one_in(2) ? ring(queue, 1) : odd_address());
        /* the used ring over the available one, too */
        set64(dev, C_USED, honest ? ring(queue, 2) : one_in(2) ? ring(queue, 1) : odd_address());
        set16(dev, C_VECTOR, one_in(2) ? below(8) : odd_number());
        set16(dev, C_ENABLE, one_in(8) ? any() : 1);
}

/* MSI-X entries of every kind but one that resets a processor or stops it for good. */
static void scribble_msix(struct device *dev) {
        volatile uint8_t *entry = dev->base + dev->msix_table + 16 * below(16);
        uint64_t at = one_in(2) ? 0xfee00000u : odd_address();

        *(volatile uint32_t *) entry = (uint32_t) at;
        *(volatile uint32_t *) (entry + 4) = (uint32_t) (at >> 32);
        *(volatile uint32_t *) (entry + 8) = (uint32_t) (any() & ~0x700ul) | 0x10;
        *(volatile uint32_t *) (entry + 12) = (uint32_t) any();
}

static bool harmless(const struct device *dev, unsigned at) {
        return at < dev->msix_table || at >= dev->msix_table + 16 * 2048;
}

static void scribble_registers(struct device *dev) {
        for (unsigned i = 0; i < 32; i++) {
                unsigned width = below(4), at = below(dev->bar_bytes - 8);
                bool write = one_in(2) && harmless(dev, at) && harmless(dev, at + 8);

                if (one_in(3))
                        at = dev->config + below(dev->config_len + 8);
                if (one_in(4))
                        at = dev->common + below(64);
                /* an address of a ring that is not one of odd_address() could be anywhere, this program included */
                if (write && at + 8 > dev->common + C_DESC && at < dev->common + C_USED + 8)
                        write = false;
                (void) poke(dev->base + at, write, width, odd_number());
        }
        for (unsigned i = 0; i < 8; i++)
                scribble_msix(dev);
}

/* Configuration space of the device, BARs moved and sized, then back to where they were. */
static void scribble_config(struct device *dev) {
        for (unsigned i = 0; i < 24; i++) {
                unsigned at = below(256), width = below(3);

                out32(0xcf8, 0x80000000u | dev->slot << 11 | (at & 0xfc));
                if (at >= 0x40 && one_in(2))
                        continue; /* half as often: the capabilities lead back into the BAR */
                if (width == 0)
                        out8((uint16_t) (0xcfc + (at & 3)), (uint8_t) any());
                else if (width == 1)
                        out16((uint16_t) (0xcfc + (at & 2)), (uint16_t) odd_number());
                else
                        out32(0xcfc, (uint32_t) odd_number() & ~0x700u);
                (void) in32(0xcfc);
        }
        for (unsigned i = 0; i < 16; i++) {
                static const uint32_t places[] = {0xffffffff, 0,          0x1000,     0x2000000,
                                                  0xfec00000, 0xfee00000, 0xe0000000, 0xfffff000,
                                                  BARS,       0xc0000000};

                pci_write(dev->slot, 4, one_in(2) ? 6 : 0);
                pci_write(dev->slot, dev->bar, PICK(places));
                pci_write(dev->slot, dev->bar + 4, one_in(2) ? 0 : (uint32_t) odd_number());
                (void) pci_read(dev->slot, dev->bar);
        }
        place_bar(dev);
}

void abuse(struct device *dev) {
        place_bar(dev);
        if (!one_in(4))
                reset(dev);
        negotiate(dev);
        for (unsigned i = 0; i < 6; i++)
                set_queue(dev, one_in(6) ? (unsigned) odd_number() : below(dev->n_queues));
        set16(dev, C_CONFIG_VECTOR, odd_number());
        scribble_ring(dev, 0);
        if (!one_in(8)) /* else: notified before it is ready */
                set8(dev, C_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
        for (unsigned i = 0; i < 24; i++) {
                scribble_ring(dev, below(dev->n_queues + 1));
                notify(dev, one_in(8) ? (unsigned) odd_number() : below(dev->n_queues));
                if (one_in(6)) /* while what was asked is under way */
                        set8(dev, C_STATUS, one_in(2) ? 0 : any());
                if (one_in(6))
                        scribble_registers(dev);
                if (one_in(12))
                        scribble_config(dev);
        }
}
