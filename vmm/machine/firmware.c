/* SPDX-License-Identifier: Apache-2.0 */

/* Processor state that a PC's firmware leaves to the operating system: there is no firmware that would do it. */

#include <string.h>

#include "base/le.h"
#include "vmm/machine/machine_internal.h"
#include "vmm/mem/memmap.h"

#define MTRR_DEF_TYPE_ENABLE 0x800u
#define MTRR_DEF_TYPE_FIXED_ENABLE 0x400u
#define MTRR_WRITE_BACK 0x06u
#define MTRR_FIXED_ALL_WRITE_BACK UINT64_C(0x0606060606060606)

/* LINT0 is the 8259's wire and LINT1 the NMI button's ("virtual wire mode", MultiProcessor Specification 3.6.2.2). */
static int set_local_interrupts(Vcpu *vcpu) {
        VcpuApic apic;
        int r;

        r = vcpu->ops->get_state(vcpu, VCPU_STATE_APIC, &apic);
        if (r < 0)
                return r;
        le32_store(apic.registers + VCPU_APIC_LVT_LINT0, VCPU_APIC_LVT_EXTINT);
        le32_store(apic.registers + VCPU_APIC_LVT_LINT1, VCPU_APIC_LVT_NMI);
        return vcpu->ops->set_state(vcpu, VCPU_STATE_APIC, &apic);
}

/* All memory write-back; a kernel that finds the MTRRs off thinks that it has no PAT either. */
static int set_memory_types(Vcpu *vcpu) {
        VcpuMtrr mtrr = {
                .def_type = MTRR_DEF_TYPE_ENABLE | MTRR_DEF_TYPE_FIXED_ENABLE | MTRR_WRITE_BACK,
        };

        for (unsigned i = 0; i < VCPU_MTRR_FIXED; i++)
                mtrr.fixed[i] = MTRR_FIXED_ALL_WRITE_BACK;
        return vcpu->ops->set_state(vcpu, VCPU_STATE_MTRR, &mtrr);
}

/**
 * machine_prepare_interrupt_controllers() - the 8259s as a PC's firmware leaves them to programs for real mode
 *
 * Vectors 0x08 and 0x70, edge-triggered, all lines open. Linux sets them up itself.
 */
void machine_prepare_interrupt_controllers(const Machine *machine) {
        static const struct {
                uint16_t port;
                uint8_t value;
        } words[] = {
                {IOPORT_PIC_MASTER, 0x11},     {IOPORT_PIC_SLAVE, 0x11},     /* ICW1 */
                {IOPORT_PIC_MASTER + 1, 0x08}, {IOPORT_PIC_SLAVE + 1, 0x70}, /* ICW2: vectors */
                {IOPORT_PIC_MASTER + 1, 0x04}, {IOPORT_PIC_SLAVE + 1, 0x02}, /* ICW3: cascade */
                {IOPORT_PIC_MASTER + 1, 0x01}, {IOPORT_PIC_SLAVE + 1, 0x01}, /* ICW4: 8086 */
                {IOPORT_PIC_MASTER + 1, 0x00}, {IOPORT_PIC_SLAVE + 1, 0x00}, /* OCW1: masks */
        };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                bus_write(machine->pio, words[i].port, 1, words[i].value);
}

/**
 * machine_prepare_vcpu() - from the state after RESET# to the state that the kernel is entered in
 *
 * On the vCPU's thread, before it runs. Return: 0 or negative errno.
 */
int machine_prepare_vcpu(const Machine *machine, Vcpu *vcpu) {
        int r;

        r = set_local_interrupts(vcpu);
        if (r < 0)
                return r;
        if (machine->firmware.rom.bytes)
                return 0; /* the rest is its own business */
        r = set_memory_types(vcpu);
        if (r < 0 || vcpu->index != 0)
                return r;
        r = vcpu->ops->set_state(vcpu, VCPU_STATE_SYSTEM_REGISTERS,
                                 &machine->entry.system_registers);
        if (r < 0)
                return r;
        return vcpu->ops->set_state(vcpu, VCPU_STATE_REGISTERS, &machine->entry.registers);
}
