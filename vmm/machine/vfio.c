/* SPDX-License-Identifier: Apache-2.0 */

/* Functions of the host that the guest drives itself. */

#include <errno.h>

#include "vmm/machine/machine_internal.h"
#include "vmm/vfio/vfio.h"

static void handle_eoi(void *userdata, unsigned gsi) {
        pci_root_handle_eoi(((Machine *) userdata)->pci, gsi);
}

/** machine_add_vfios() - the functions of --vfio; last, so that they take no other device's place */
int machine_add_vfios(Machine *machine, const VmmConfig *config, unsigned *slot,
                      TextError *reterr) {
        int r;

        if (config->n_vfios == 0)
                return 0;
        r = vfio_container_new(&vfio_kernel_ops, machine->mem, &machine->vfio);
        if (r < 0)
                return r;
        irqchip_set_eoi_handler(machine->irqchip, handle_eoi, machine);
        for (size_t i = 0; i < config->n_vfios; i++) {
                const VfioFunctionConfig function = {
                        .container = machine->vfio,
                        .path = config->vfios[i].path,
                        .root = machine->pci,
                        .slot = machine_next_slot(machine, slot, config->vfios[i].pci_slot),
                        .partition = machine->partition,
                        .loop = machine->loop,
                };

                r = vfio_function_new(&function, reterr);
                if (r < 0)
                        return text_error_prefix(reterr, r, "--vfio: %s", function.path);
        }
        return 0;
}
