/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The state of a machine beside its memory and its processors': the clocks and each thing on the board, in the order in
 * which it is restored. First what must be the same in both machines, by name.
 */

#include <stdio.h>

#include "vmm/machine/machine_internal.h"

#define BASIC_MAX 0x20u
#define HYPERVISOR_FIRST 0x40000000u
#define HYPERVISOR_LAST 0x40000001u
#define EXTENDED_FIRST 0x80000000u
#define EXTENDED_MAX 0x80000022u
#define SUBLEAVES 3u

/* ---- what it is ---- */

static bool has_subleaves(uint32_t function) {
        return function == 0x4 || function == 0x7 || function == 0xb || function == 0xd;
}

/* The leaf as a guest finds it whatever its processor's number and moment. */
static CpuidEntry stable_leaf(const HvOps *hv, const ProtoPartition *proto, uint32_t function,
                              uint32_t index) {
        CpuidEntry leaf;

        hv->proto_cpuid(proto, function, index, &leaf);
        if (function == 0x1) {
                leaf.ebx &= 0x00ffffff;  /* the local APIC's id */
                leaf.ecx &= ~(1u << 27); /* OSXSAVE */
        } else if (function == 0xb)
                leaf.edx = 0; /* the id again */
        else if (function == 0xd && index <= 1)
                leaf.ebx = 0; /* bytes that are in use now */
        return leaf;
}

static void add_leaves(MachineIdentity *identity, const HvOps *hv, const ProtoPartition *proto,
                       uint32_t first, uint32_t last) {
        for (uint32_t function = first; function <= last; function++)
                for (uint32_t i = 0; i < (has_subleaves(function) ? SUBLEAVES : 1); i++) {
                        if (identity->n_cpuid == MACHINE_CPUID_MAX)
                                return;
                        identity->cpuid[identity->n_cpuid++] = stable_leaf(hv, proto, function, i);
                }
}

static void identify_processor(MachineIdentity *identity, const HvOps *hv,
                               const ProtoPartition *proto) {
        CpuidEntry basic, extended;

        hv->proto_cpuid(proto, 0, 0, &basic);
        hv->proto_cpuid(proto, EXTENDED_FIRST, 0, &extended);
        add_leaves(identity, hv, proto, 0, MIN(basic.eax, BASIC_MAX));
        add_leaves(identity, hv, proto, HYPERVISOR_FIRST, HYPERVISOR_LAST);
        if (extended.eax >= EXTENDED_FIRST)
                add_leaves(identity, hv, proto, EXTENDED_FIRST, MIN(extended.eax, EXTENDED_MAX));
}

/* What has a state that nothing saves. Devices on the bus say so themselves. */
static const char *find_unsavable(const VmmConfig *config) {
        const struct {
                bool used;
                const char *option;
        } options[] = {
                {config->bios, "--bios"},
                {machine_has_fw_cfg(config), "--fw-cfg"},
                {config->test_device, "--test-device"},
                {config->board.nested, "--nested"},
                {config->n_vfios > 0, "--vfio"},
                {config->memory.n_mappings > 0, "--file-backed-mapping"},
                {config->memory.pstore_path, "--pstore"},
        };

        for (size_t i = 0; i < ELEMENTSOF(options); i++)
                if (options[i].used)
                        return options[i].option;
        return NULL;
}

/** machine_identify() - note what a snapshot of this machine can be restored to; before @proto is built */
void machine_identify(Machine *machine, const VmmConfig *config, const HvOps *hv,
                      const ProtoPartition *proto) {
        machine->identity.hypervisor = hv->name;
        machine->identity.unsavable = find_unsavable(config);
        identify_processor(&machine->identity, hv, proto);
}

static void expect_same_processor(const MachineIdentity *identity, Snapshot *s) {
        snapshot_expect(s, "the number of CPUID leaves", identity->n_cpuid);
        for (unsigned i = 0; i < identity->n_cpuid; i++) {
                const CpuidEntry *leaf = &identity->cpuid[i];
                char name[64];

                (void) snprintf(name, sizeof(name), "the processor's CPUID leaf 0x%x.%u",
                                leaf->function, leaf->index);
                snapshot_expect(s, name, (uint64_t) leaf->ebx << 32 | leaf->eax);
                snapshot_expect(s, name, (uint64_t) leaf->edx << 32 | leaf->ecx);
        }
}

static void expect_same(const Machine *machine, Snapshot *s) {
        const MachineIdentity *identity = &machine->identity;

        if (identity->unsavable)
                snapshot_refuse(s, "a machine with %s cannot be saved", identity->unsavable);
        if (identity->hotplugged)
                snapshot_refuse(s, "a device was plugged in or taken out since the start");
        snapshot_expect_text(s, "the hypervisor", identity->hypervisor);
        snapshot_expect(s, "the number of vCPUs", machine->n_kicks);
        snapshot_expect(s, "the memory in bytes", machine->mem->size_bytes);
        snapshot_expect(s, "the memory below 4 GiB", machine->mem->regions[0].size_bytes);
        snapshot_expect(s, "the start of 32-bit PCI memory", machine->pci32.start);
        snapshot_expect(s, "the size of 32-bit PCI memory", machine->pci32.size);
        snapshot_expect(s, "the start of 64-bit PCI memory", machine->pci64.start);
        snapshot_expect(s, "the size of 64-bit PCI memory", machine->pci64.size);
        snapshot_expect(s, "the address of PCI configuration space", machine->ecam.start);
        snapshot_expect(s, "whether there is an RTC", machine->rtc != NULL);
        snapshot_expect(s, "whether there is a keyboard controller", machine->i8042 != NULL);
        for (unsigned i = 0; i < MACHINE_COM_PORTS; i++)
                snapshot_expect(s, "whether there is a serial port", machine->uarts[i] != NULL);
        expect_same_processor(identity, s);
}

/* ---- what it is at ---- */

static void snapshot_clocks(Machine *machine, Snapshot *s) {
        const PartitionOps *ops = machine->partition->ops;
        uint64_t devices = guest_clock_now_nsec(machine->clock);
        uint64_t processors = ops->reference_time_nsec(machine->partition);

        snapshot_u64(s, &devices);
        snapshot_u64(s, &processors);
        if (snapshot_restored(s) && (devices > INT64_MAX || processors > INT64_MAX))
                snapshot_refuse(s, "its clocks show more than 292 years");
        if (!snapshot_restored(s))
                return;
        guest_clock_set_now_nsec(machine->clock, devices);
        if (ops->set_time_nsec(machine->partition, processors) < 0)
                snapshot_refuse(s, "the hypervisor does not take the time");
}

/**
 * machine_snapshot_state() - save or restore all but memory and processors
 *
 * The loop's thread; paused. To be saved the devices are suspended and at rest; to be restored the machine is new.
 */
void machine_snapshot_state(Machine *machine, Snapshot *s) {
        snapshot_enter(s, "machine", 0);
        expect_same(machine, s);
        snapshot_clocks(machine, s);
        snapshot_leave(s);
        irqchip_snapshot(machine->irqchip, s);
        pit_snapshot(machine->pit, s);
        if (machine->rtc)
                rtc_snapshot(machine->rtc, s);
        if (machine->i8042)
                i8042_snapshot(machine->i8042, s);
        acpi_pm_snapshot(machine->acpi_pm, s);
        reset_control_snapshot(machine->reset_control, s);
        watchdog_snapshot(machine->watchdog, s);
        for (unsigned i = 0; i < MACHINE_COM_PORTS; i++)
                if (machine->uarts[i])
                        uart8250_snapshot(machine->uarts[i], i, s);
        pci_root_snapshot(machine->pci, s);
        pci_hotplug_snapshot(machine->pci_hotplug, s);
}
