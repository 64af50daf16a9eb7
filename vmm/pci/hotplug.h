/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The registers through which the system's ACPI methods learn of plugged and unplugged functions of bus 0, and hand a
 * slot back: three 32-bit masks of slots at IOPORT_PCI_HOTPLUG. vmm/boot/acpi_hotplug.c has the methods.
 */

#include "base/cleanup.h"
#include "vmm/event/loop.h"
#include "vmm/mem/bus.h"
#include "vmm/pci/pci.h"

typedef struct PciHotplug PciHotplug;

/** PciEjectedFn - the guest let go of @slot, which it does not see any more; on the loop's thread, no lock held */
typedef void (*PciEjectedFn)(void *userdata, unsigned slot);

int pci_hotplug_new(PciRoot *root, Bus *pio, Loop *loop, PciEjectedFn ejected, void *userdata,
                    PciHotplug **ret);
PciHotplug *pci_hotplug_free(PciHotplug *hotplug);
DEFINE_CLEANUP(PciHotplug *, pci_hotplug_free)
void pci_hotplug_set_removable(PciHotplug *hotplug, unsigned slot, bool removable);
bool pci_hotplug_is_removable(PciHotplug *hotplug, unsigned slot);
void pci_hotplug_announce(PciHotplug *hotplug, unsigned slot);
void pci_hotplug_request(PciHotplug *hotplug, unsigned slot);
void pci_hotplug_snapshot(PciHotplug *hotplug, Snapshot *s);
