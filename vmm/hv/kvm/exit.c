/* SPDX-License-Identifier: Apache-2.0 */

/* What KVM_RUN returned with, turned into calls on the machine. The run page is written by the kernel, not the guest. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "vmm/hv/kvm/kvm_internal.h"

/* Little endian on both sides, so that the low bytes are the first ones. */
static uint64_t load_bytes(const void *data, unsigned size) {
        uint64_t value = 0;

        memcpy(&value, data, size);
        return value;
}

/* The chipset takes 1, 2, 4 and 8 bytes; accesses cut at a page boundary may be of any size. */
static bool is_bus_size(unsigned size) {
        return size == 1 || size == 2 || size == 4 || size == 8;
}

static void handle_pio(KvmVcpu *vcpu, const CpuIo *io) {
        const uint16_t port = vcpu->run->io.port;
        const unsigned size = vcpu->run->io.size;
        uint8_t *data = (uint8_t *) vcpu->run + vcpu->run->io.data_offset;

        for (uint32_t i = 0; i < vcpu->run->io.count; i++, data += size) {
                if (vcpu->run->io.direction == KVM_EXIT_IO_OUT) {
                        io->pio_write(io->machine, port, size, load_bytes(data, size));
                } else {
                        uint64_t value = io->pio_read(io->machine, port, size);

                        memcpy(data, &value, size);
                }
        }
}

static void handle_mmio_piece(KvmVcpu *vcpu, const CpuIo *io, unsigned offset, unsigned size) {
        const uint64_t gpa = vcpu->run->mmio.phys_addr + offset;
        uint8_t *data = vcpu->run->mmio.data + offset;

        if (vcpu->run->mmio.is_write) {
                io->mmio_write(io->machine, gpa, size, load_bytes(data, size));
        } else {
                uint64_t value = io->mmio_read(io->machine, gpa, size);

                memcpy(data, &value, size);
        }
}

static void handle_mmio(KvmVcpu *vcpu, const CpuIo *io) {
        const unsigned size = MIN(vcpu->run->mmio.len, (uint32_t) sizeof(vcpu->run->mmio.data));

        if (is_bus_size(size)) {
                handle_mmio_piece(vcpu, io, 0, size);
                return;
        }
        for (unsigned i = 0; i < size; i++)
                handle_mmio_piece(vcpu, io, i, 1);
}

/* A register that KVM does not know: #GP in the guest, as on a processor without it. */
static void handle_unknown_msr(KvmVcpu *vcpu, const char *verb) {
        log_debug("vCPU %u %s unknown MSR 0x%x, answering #GP", vcpu->base.index, verb,
                  vcpu->run->msr.index);
        vcpu->run->msr.error = 1;
}

static HaltReason handle_system_event(KvmVcpu *vcpu) {
        switch (vcpu->run->system_event.type) {
        case KVM_SYSTEM_EVENT_SHUTDOWN:
                return HALT_POWER_OFF;
        case KVM_SYSTEM_EVENT_RESET:
                return HALT_RESET;
        case KVM_SYSTEM_EVENT_CRASH:
                return HALT_GUEST_PANIC;
        default:
                return HALT_NONE;
        }
}

/** kvm_vcpu_describe() - leave "@what at rip …" in the vCPU's error text, as far as the place is known */
void kvm_vcpu_describe(KvmVcpu *vcpu, const char *what) {
        struct kvm_regs regs = {0};
        struct kvm_sregs sregs = {0};

        if (kvm_ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 ||
            kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0) {
                (void) snprintf(vcpu->base.error, sizeof(vcpu->base.error), "%s", what);
                return;
        }
        if (regs.rip == 0xfff0 && sregs.cs.base == 0xffff0000) {
                /* AMD's shutdown: KVM has reset the registers already, and the place is lost. */
                (void) snprintf(vcpu->base.error, sizeof(vcpu->base.error), "%s", what);
                return;
        }
        (void) snprintf(vcpu->base.error, sizeof(vcpu->base.error),
                        "%s at rip 0x%" PRIx64 " (cs base 0x%" PRIx64 ", cr0 0x%" PRIx64
                        ", cr3 0x%" PRIx64 ", rsp 0x%" PRIx64 ")",
                        what, (uint64_t) regs.rip, (uint64_t) sregs.cs.base, (uint64_t) sregs.cr0,
                        (uint64_t) sregs.cr3, (uint64_t) regs.rsp);
}

static const char *suberror_name(uint32_t suberror) {
        switch (suberror) {
        case KVM_INTERNAL_ERROR_EMULATION:
                return "emulation failure";
        case KVM_INTERNAL_ERROR_SIMUL_EX:
                return "simultaneous exceptions";
        case KVM_INTERNAL_ERROR_DELIVERY_EV:
                return "exit during event delivery";
        case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
                return "unexpected exit reason";
        default:
                return "unknown";
        }
}

static HaltReason handle_internal_error(KvmVcpu *vcpu) {
        const struct kvm_run *run = vcpu->run;
        const uint32_t suberror = run->internal.suberror;
        char what[128];
        int n;

        n = snprintf(what, sizeof(what), "KVM internal error, suberror %u (%s)", suberror,
                     suberror_name(suberror));
        if (suberror == KVM_INTERNAL_ERROR_EMULATION && run->emulation_failure.ndata >= 3 &&
            (run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)) {
                n += snprintf(what + n, sizeof(what) - (size_t) n, ", instruction");
                for (unsigned i = 0; i < MIN((unsigned) run->emulation_failure.insn_size, 15u); i++)
                        n += snprintf(what + n, sizeof(what) - (size_t) n, " %02x",
                                      run->emulation_failure.insn_bytes[i]);
        }
        kvm_vcpu_describe(vcpu, what);
        return HALT_ERROR;
}

static HaltReason handle_unexpected(KvmVcpu *vcpu) {
        char what[80];

        if (vcpu->run->exit_reason == KVM_EXIT_FAIL_ENTRY)
                (void) snprintf(what, sizeof(what),
                                "failed guest entry, hardware reason 0x%" PRIx64,
                                (uint64_t) vcpu->run->fail_entry.hardware_entry_failure_reason);
        else
                (void) snprintf(what, sizeof(what), "unexpected KVM exit %u",
                                vcpu->run->exit_reason);
        kvm_vcpu_describe(vcpu, what);
        return HALT_ERROR;
}

/**
 * kvm_vcpu_handle_exit() - act on the exit in the run page
 *
 * Return: HALT_NONE to go on, or why the vCPU stops.
 */
HaltReason kvm_vcpu_handle_exit(KvmVcpu *vcpu, const CpuIo *io) {
        vcpu->completion_pending = false;
        /* A bus lock is either all that there is to tell, or came before something else. */
        if (vcpu->run->exit_reason == KVM_EXIT_X86_BUS_LOCK ||
            (vcpu->run->flags & KVM_RUN_X86_BUS_LOCK))
                kvm_bus_lock_count(vcpu, io);
        switch (vcpu->run->exit_reason) {
        case KVM_EXIT_IO:
                vcpu->completion_pending = true;
                handle_pio(vcpu, io);
                return HALT_NONE;
        case KVM_EXIT_MMIO:
                vcpu->completion_pending = true;
                handle_mmio(vcpu, io);
                return HALT_NONE;
        case KVM_EXIT_X86_RDMSR:
                vcpu->completion_pending = true;
                handle_unknown_msr(vcpu, "read");
                return HALT_NONE;
        case KVM_EXIT_X86_WRMSR:
                vcpu->completion_pending = true;
                handle_unknown_msr(vcpu, "wrote");
                return HALT_NONE;
        case KVM_EXIT_IOAPIC_EOI:
                io->handle_eoi(io->machine, vcpu->run->eoi.vector);
                return HALT_NONE;
        case KVM_EXIT_INTR:
        case KVM_EXIT_X86_BUS_LOCK:
        case KVM_EXIT_IRQ_WINDOW_OPEN:
                return HALT_NONE;
        case KVM_EXIT_SHUTDOWN:
                kvm_vcpu_describe(vcpu, "triple fault");
                return HALT_TRIPLE_FAULT;
        case KVM_EXIT_DEBUG:
                vcpu->base.debug_stop = kvm_debug_stop(vcpu, &vcpu->run->debug.arch);
                return HALT_DEBUG;
        case KVM_EXIT_SYSTEM_EVENT:
                return handle_system_event(vcpu);
        case KVM_EXIT_INTERNAL_ERROR:
                return handle_internal_error(vcpu);
        default:
                return handle_unexpected(vcpu);
        }
}
