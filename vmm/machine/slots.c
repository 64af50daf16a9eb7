/* SPDX-License-Identifier: Apache-2.0 */

/* Which slot of the bus a device gets, and functions that are there for their place alone. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/machine/machine_internal.h"

/** machine_reserve_slots() - keep the slots that devices are given by their address from all others */
void machine_reserve_slots(Machine *machine, const VmmConfig *config) {
        machine->reserved_slots = vmm_config_pci_slots(config);
}

/**
 * machine_next_slot() - where the next device goes
 * @slot:   the first that is not taken; moved behind the one that is returned
 * @wanted: by the device's own address, which was reserved; 0: the next that nobody has reserved
 */
unsigned machine_next_slot(Machine *machine, unsigned *slot, unsigned wanted) {
        if (wanted != 0)
                return wanted;
        while (*slot < PCI_SLOTS && machine->reserved_slots >> *slot & 1)
                (*slot)++;
        return (*slot)++;
}

static PciDevice *stub_free(PciDevice *dev) {
        pci_device_deinit(dev);
        free(dev);
        return NULL;
}

static const PciDeviceOps stub_ops = {
        .name = "pci-stub", .snapshot = pci_device_has_no_more, .free = stub_free};

/* Configuration space and nothing else. */
static int add_stub(Machine *machine, const VmmStub *stub) {
        const PciIds ids = {
                .vendor = stub->vendor,
                .device = stub->device,
                .subsystem_vendor = stub->subsystem_vendor,
                .subsystem = stub->subsystem,
                .class_code = stub->class_code,
                .revision = stub->revision,
        };
        PciDevice *dev = calloc(1, sizeof(*dev));
        int r;

        if (!dev)
                return -ENOMEM;
        pci_device_init(dev, &stub_ops, &ids);
        r = pci_root_add(machine->pci, dev, stub->slot);
        if (r < 0)
                (void) stub_free(dev);
        return r;
}

/** machine_add_stubs() - the functions of --stub-pci-device */
int machine_add_stubs(Machine *machine, const VmmConfig *config, TextError *reterr) {
        for (size_t i = 0; i < config->board.n_stubs; i++) {
                const VmmStub *stub = &config->board.stubs[i];
                int r = add_stub(machine, stub);

                if (r < 0)
                        return text_error_set(reterr, r, "--stub-pci-device: 00:%02x.0: %s",
                                              stub->slot, strerror(-r));
        }
        return 0;
}
