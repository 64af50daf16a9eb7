/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What configuration space, BARs and the host bridge share among themselves. */

#include "vmm/pci/pci.h"

typedef enum PciWindowKind { PCI_WINDOW_MEM32, PCI_WINDOW_MEM64, PCI_WINDOW_IO } PciWindowKind;

#define PCI_WINDOW_COUNT (PCI_WINDOW_IO + 1)

typedef struct PciWindow {
        uint64_t base, size;
        uint64_t used; /* bytes that pci_root_add() gave away, from @base on */
} PciWindow;

const PciWindow *pci_root_window(const PciRoot *root, PciWindowKind kind);
void pci_root_bar_unmap(PciRoot *root, PciDevice *dev, unsigned bar);
void pci_root_bar_map(PciRoot *root, PciDevice *dev, unsigned bar);
void pci_root_set_wire(PciRoot *root, unsigned slot, bool level);

/* config.c */
void pci_config_snapshot(PciDevice *dev, Snapshot *s);

void pci_bar_set_address(PciDevice *dev, unsigned bar, uint64_t address);
void pci_bars_update(PciDevice *dev);

/* q35.c */
const PciIds *q35_ids(void);
void q35_init(PciDevice *dev);
bool q35_ecam(const PciDevice *dev, uint64_t *ret_base, uint64_t *ret_size);
int q35_lpc_new(PciDevice **ret);
