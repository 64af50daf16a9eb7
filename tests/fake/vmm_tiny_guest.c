/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/vmm_tiny_guest.h"

#include <cpuid.h>
#include <errno.h>

#define TINY_MEMORY UINT64_C(0x200000)

static void record(TinyGuest *guest, int kind, uint64_t address, unsigned size, uint64_t value) {
        unsigned n = atomic_load(&guest->n_events);

        if (n == TINY_EVENTS_MAX)
                return;
        guest->events[n].kind = kind;
        guest->events[n].address = address;
        guest->events[n].size = size;
        guest->events[n].value = value;
        atomic_store(&guest->n_events, n + 1);
}

static uint64_t tiny_mmio_read(void *machine, gpa_t gpa, unsigned size) {
        TinyGuest *guest = machine;

        record(guest, TINY_MMIO_READ, gpa, size, guest->read_value);
        return guest->read_value;
}

static void tiny_mmio_write(void *machine, gpa_t gpa, unsigned size, uint64_t value) {
        record(machine, TINY_MMIO_WRITE, gpa, size, value);
}

static uint64_t tiny_pio_read(void *machine, uint16_t port, unsigned size) {
        TinyGuest *guest = machine;

        record(guest, TINY_PIO_READ, port, size, guest->read_value);
        return guest->read_value;
}

static void tiny_pio_write(void *machine, uint16_t port, unsigned size, uint64_t value) {
        TinyGuest *guest = machine;

        record(guest, TINY_PIO_WRITE, port, size, value);
        if (port == guest->stop_port)
                atomic_store(&guest->stop, true);
}

static int tiny_acknowledge_pic(void *machine) {
        TinyGuest *guest = machine;

        guest->n_acks++;
        guest->partition->ops->set_extint(guest->partition, false);
        return guest->pic_vector;
}

static void tiny_handle_eoi(void *machine, uint8_t vector) {
        TinyGuest *guest = machine;

        guest->eoi_vector = vector;
}

static void tiny_count_bus_locks(void *machine, uint64_t n) {
        TinyGuest *guest = machine;

        guest->n_bus_locks += n;
}

int tiny_guest_new(const HvOps *hv, unsigned n_vcpus, TinyGuest **ret, TextError *reterr) {
        const HvConfig config = {.n_vcpus = n_vcpus, .threads_per_core = 1};

        return tiny_guest_new_with(hv, &config, ret, reterr);
}

int tiny_guest_new_with(const HvOps *hv, const HvConfig *config, TinyGuest **ret,
                        TextError *reterr) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = calloc(1, sizeof(*guest));
        _cleanup_(proto_partition_freep) ProtoPartition *proto = NULL;
        int r;

        if (!guest)
                return -ENOMEM;
        guest->stop_port = 0xffff;
        guest->io = (CpuIo){
                .machine = guest,
                .mmio_read = tiny_mmio_read,
                .mmio_write = tiny_mmio_write,
                .pio_read = tiny_pio_read,
                .pio_write = tiny_pio_write,
                .acknowledge_pic = tiny_acknowledge_pic,
                .handle_eoi = tiny_handle_eoi,
                .count_bus_locks = tiny_count_bus_locks,
        };
        r = guest_mem_new(TINY_MEMORY, &guest->mem);
        if (r < 0)
                return r;
        r = hv->proto_new(config, &proto, reterr);
        if (r < 0)
                return r;
        r = hv->proto_build(proto, guest->mem, &guest->partition, reterr);
        if (r < 0)
                return r;
        TAKE(proto);
        *ret = TAKE(guest);
        return 0;
}

TinyGuest *tiny_guest_free(TinyGuest *guest) {
        if (!guest)
                return NULL;
        (void) vcpu_free(guest->vcpu);
        (void) partition_free(guest->partition);
        (void) guest_mem_free(guest->mem);
        free(guest);
        return NULL;
}

/* Binds vCPU 0 on the calling thread, in real mode at 0:TINY_CODE with a stack below it. */
int tiny_guest_start(TinyGuest *guest, const void *code, size_t len) {
        VcpuSystemRegisters system;
        VcpuRegisters registers;
        int r;

        r = guest_mem_write(guest->mem, TINY_CODE, code, len);
        if (r < 0)
                return r;
        r = guest->partition->ops->vcpu_bind(guest->partition, 0, &guest->vcpu);
        if (r < 0)
                return r;
        vcpu_system_registers_at_reset(&guest->vcpu->reset_info, &system);
        system.cs.base = 0;
        system.cs.selector = 0;
        r = guest->vcpu->ops->set_state(guest->vcpu, VCPU_STATE_SYSTEM_REGISTERS, &system);
        if (r < 0)
                return r;
        vcpu_registers_at_reset(&guest->vcpu->reset_info, &registers);
        registers.rip = TINY_CODE;
        registers.rsp = TINY_CODE;
        return guest->vcpu->ops->set_state(guest->vcpu, VCPU_STATE_REGISTERS, &registers);
}

HaltReason tiny_guest_run(TinyGuest *guest) {
        return guest->vcpu->ops->run(guest->vcpu, &guest->io, &guest->stop);
}

#define SIGNATURE_TCG 0x54474354u /* "TCGT" */

/*
 * Whether the host runs under QEMU without hardware virtualization of its own, whose emulated SVM neither arms the
 * breakpoints of the DR7 that VMRUN loads nor intercepts INT3.
 */
bool tiny_host_emulates_svm(void) {
        unsigned eax, ebx = 0, ecx = 0, edx = 0;

        __cpuid(0x40000000, eax, ebx, ecx, edx);
        return ebx == SIGNATURE_TCG;
}
