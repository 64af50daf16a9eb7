/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>

#include "base/checked.h"
#include "base/le.h"
#include "vmm/pci/pci.h"
#include "vmm/pci/pci_internal.h"

/*
 * Base address registers (PCI 3.0 section 6.2.5). The address bits below a BAR's size are read-only zeroes, which is
 * all that sizing needs: a guest writes ones and reads back the mask. Whether and where a BAR decodes is computed
 * from the stored bytes after each write that might matter.
 */

#define BAR_IO 0x1u
#define BAR_MEM64 0x4u

/**
 * pci_device_add_bar() - give the function a range of addresses
 * @index:  0..5; a 64-bit BAR also takes @index + 1
 * @size:   power of two: memory 16 bytes to 2 GiB (64-bit: any), I/O 4 to 256 bytes
 *
 * Before pci_root_add(), which places it. Return: 0; -EINVAL.
 */
int pci_device_add_bar(PciDevice *dev, unsigned index, PciBarKind kind, uint64_t size) {
        bool wide = kind == PCI_BAR_MEM64, io = kind == PCI_BAR_IO;
        unsigned offset = PCI_BAR0 + 4 * index;

        if (index >= PCI_BARS || dev->bars[index].kind != PCI_BAR_ABSENT || kind == PCI_BAR_ABSENT)
                return -EINVAL;
        if (wide && (index + 1 >= PCI_BARS || dev->bars[index + 1].kind != PCI_BAR_ABSENT))
                return -EINVAL;
        if ((size & (size - 1)) != 0 || size < (io ? 4 : 16) || (io && size > 256) ||
            (kind == PCI_BAR_MEM32 && size > UINT64_C(0x80000000)))
                return -EINVAL;

        dev->bars[index] = (PciBar){.kind = kind, .size = size};
        le32_store(dev->config + offset, io ? BAR_IO : wide ? BAR_MEM64 : 0);
        pci_device_set_writable(dev, offset, (uint32_t) ~(size - 1), 4);
        if (wide)
                pci_device_set_writable(dev, offset + 4, (uint32_t) (~(size - 1) >> 32), 4);
        return 0;
}

static uint64_t stored_address(const PciDevice *dev, unsigned bar) {
        const uint8_t *reg = dev->config + PCI_BAR0 + 4 * bar;
        uint64_t address = le32_load(reg);

        if (dev->bars[bar].kind == PCI_BAR_MEM64)
                address |= (uint64_t) le32_load(reg + 4) << 32;
        return address & ~(dev->bars[bar].size - 1);
}

/** pci_bar_set_address() - what firmware would do: store where the BAR is, decoding stays as it was */
void pci_bar_set_address(PciDevice *dev, unsigned bar, uint64_t address) {
        uint8_t *reg = dev->config + PCI_BAR0 + 4 * bar;

        assert((address & (dev->bars[bar].size - 1)) == 0);

        le32_store(reg, (uint32_t) address | (le32_load(reg) & 0xf));
        if (dev->bars[bar].kind == PCI_BAR_MEM64)
                le32_store(reg + 4, (uint32_t) (address >> 32));
}

static bool in_window(const PciRoot *root, PciWindowKind kind, uint64_t address, uint64_t size) {
        const PciWindow *window = pci_root_window(root, kind);

        return address >= window->base && range_within(address - window->base, size, window->size);
}

static bool decodes(const PciDevice *dev, const PciBar *bar, uint64_t address) {
        uint16_t command = le16_load(dev->config + PCI_COMMAND);

        if (bar->kind == PCI_BAR_IO)
                return (command & PCI_COMMAND_IO) &&
                       in_window(dev->root, PCI_WINDOW_IO, address, bar->size);
        return (command & PCI_COMMAND_MEMORY) &&
               (in_window(dev->root, PCI_WINDOW_MEM32, address, bar->size) ||
                in_window(dev->root, PCI_WINDOW_MEM64, address, bar->size));
}

/** pci_bars_update() - make decoding agree with command and BAR registers; the device's lock is held */
void pci_bars_update(PciDevice *dev) {
        if (!dev->root)
                return;

        for (unsigned i = 0; i < PCI_BARS; i++) {
                PciBar *bar = dev->bars + i;
                uint64_t address;
                bool mapped;

                if (bar->kind == PCI_BAR_ABSENT)
                        continue;
                address = stored_address(dev, i);
                mapped = decodes(dev, bar, address);
                if (mapped == bar->mapped && (!mapped || address == bar->address))
                        continue;

                if (bar->mapped)
                        pci_root_bar_unmap(dev->root, dev, i);
                bar->mapped = mapped;
                bar->address = address;
                if (mapped)
                        pci_root_bar_map(dev->root, dev, i);
                if (dev->ops->bar_moved)
                        dev->ops->bar_moved(dev, i);
        }
}
