/* SPDX-License-Identifier: Apache-2.0 */

/*
 * PCI functions that come and go while the machine runs. Both changes are made while the vCPUs are out of the guest for a
 * moment, so that nothing on their way to a device needs a lock for the sake of it.
 */

#include <errno.h>
#include <string.h>

#include "vmm/machine/machine_internal.h"
#include "vmm/virtio/devices.h"

#define GUEST_PATIENCE_NSEC (10 * NSEC_PER_SEC) /* to let go of a function */

static void arm_timer(Machine *machine) {
        MachineHotplug *hotplug = &machine->hotplug;
        uint64_t due = 0;

        for (unsigned i = 0; i < PCI_SLOTS; i++)
                if (hotplug->removing[i].call && (due == 0 || hotplug->removing[i].due_nsec < due))
                        due = hotplug->removing[i].due_nsec;
        (void) loop_set_timer(hotplug->timer, due);
}

static void on_timer(void *userdata) {
        Machine *machine = userdata;
        const uint64_t now = clock_monotonic_nsec();

        for (unsigned i = 0; i < PCI_SLOTS; i++) {
                ControlCall *call = machine->hotplug.removing[i].call;

                if (!call || machine->hotplug.removing[i].due_nsec > now)
                        continue;
                machine->hotplug.removing[i].call = NULL;
                control_call_fail(call, "the guest did not let go of bus %u within %u seconds", i,
                                  (unsigned) (GUEST_PATIENCE_NSEC / NSEC_PER_SEC));
        }
        arm_timer(machine);
}

/* The guest handed @slot back, asked or not. */
static void on_ejected(void *userdata, unsigned slot) {
        Machine *machine = userdata;
        ControlCall *call = TAKE(machine->hotplug.removing[slot].call);

        machine->identity.hotplugged = true;
        machine_forget_disk(machine, slot);
        machine_forget_network(machine, slot);
        machine_forget_vfio(machine, slot);
        machine_pause(machine);
        pci_root_unplug(machine->pci, slot);
        machine_resume(machine);
        if (call)
                control_call_ok(call);
        arm_timer(machine);
}

/** machine_add_hotplug() - the registers of PCI hotplug. Return: 0 or negative errno. */
int machine_add_hotplug(Machine *machine) {
        int r = loop_add_timer(machine->loop, on_timer, machine, &machine->hotplug.timer);

        return r < 0 ? r
                     : pci_hotplug_new(machine->pci, machine->pio, machine->loop, on_ejected,
                                       machine, &machine->pci_hotplug);
}

/**
 * machine_plug_slot() - where the next function of a machine that runs goes
 *
 * On the loop's thread. Return: 0; -EBUSY while the devices are suspended; -ENOSPC; with a sentence.
 */
int machine_plug_slot(const Machine *machine, unsigned *ret, TextError *reterr) {
        const unsigned slot = pci_root_free_slot(machine->pci);

        if (machine->devices_suspended)
                return text_error_set(reterr, -EBUSY, "the machine is suspended");
        if (slot == 0)
                return text_error_set(reterr, -ENOSPC, "all PCI slots are taken");
        *ret = slot;
        return 0;
}

/** machine_tell_plugged() - the guest hears of what was put into @slot, and may hand it back; the loop's thread */
void machine_tell_plugged(Machine *machine, unsigned slot) {
        machine->identity.hotplugged = true;
        pci_hotplug_set_removable(machine->pci_hotplug, slot, true);
        pci_hotplug_announce(machine->pci_hotplug, slot);
        (void) acpi_pm_raise_gpe(machine->acpi_pm, ACPI_GPE_PCI_HOTPLUG);
}

/**
 * machine_plug_consume() - put @device into a free slot of a machine that runs, and tell the guest
 * @device:   consumed, on failure too
 * @ret_slot: by which it is removed again, "bus" on the control socket
 *
 * On the loop's thread. Return: 0; -EBUSY while the devices are suspended; -ENOSPC; other negative errno, with a sentence.
 */
int machine_plug_consume(Machine *machine, VirtioDevice *device, unsigned *ret_slot,
                         TextError *reterr) {
        VirtioPciConfig config = {
                .root = machine->pci,
                .partition = machine->partition,
                .mem = machine->mem,
                .loop = machine->loop,
                .plugged = true,
                .no_intx = machine->no_virtio_intx,
        };
        int r = machine_plug_slot(machine, &config.slot, reterr);

        if (r < 0) {
                (void) virtio_device_free(device);
                return r;
        }
        machine_pause(machine);
        r = virtio_pci_new(device, &config);
        machine_resume(machine);
        if (r < 0)
                return text_error_set(reterr, r, "cannot put it on the bus: %s", strerror(-r));
        machine_tell_plugged(machine, config.slot);
        *ret_slot = config.slot;
        return 0;
}

/**
 * machine_unplug() - ask the guest to let go of what is in @slot; @call is answered when it did, or did not in time
 *
 * On the loop's thread; the caller has checked that @slot holds a device of the kind that was meant.
 */
void machine_unplug(Machine *machine, unsigned slot, ControlCall *call) {
        if (!pci_hotplug_is_removable(machine->pci_hotplug, slot)) {
                control_call_fail(call, "bus %u cannot be unplugged", slot);
                return;
        }
        if (machine->hotplug.removing[slot].call) {
                control_call_fail(call, "bus %u is being unplugged already", slot);
                return;
        }
        machine->hotplug.removing[slot].call = call;
        machine->hotplug.removing[slot].due_nsec = clock_monotonic_nsec() + GUEST_PATIENCE_NSEC;
        arm_timer(machine);
        pci_hotplug_request(machine->pci_hotplug, slot);
        (void) acpi_pm_raise_gpe(machine->acpi_pm, ACPI_GPE_PCI_HOTPLUG);
}
