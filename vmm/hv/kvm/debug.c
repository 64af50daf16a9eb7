/* SPDX-License-Identifier: Apache-2.0 */

/* A debugger's wishes as KVM_SET_GUEST_DEBUG takes them: through the debug registers, by SDM volume 3 section 17.2. */

#include <errno.h>

#include "vmm/hv/kvm/kvm_internal.h"

#define DR7_FIXED 0x400u
#define EXCEPTION_BREAKPOINT 3u

/* R/W and LEN of DR7 for one breakpoint, and its local enable bit. */
static uint64_t dr7_of(const VcpuBreak *b, unsigned n) {
        static const uint8_t kinds[] = {
                [VCPU_BREAK_EXECUTE] = 0, [VCPU_BREAK_WRITE] = 1, [VCPU_BREAK_READ_WRITE] = 3};
        static const uint8_t lengths[] = {[1] = 0, [2] = 1, [4] = 3, [8] = 2};

        return UINT64_C(1) << (2 * n) | (uint64_t) kinds[b->kind] << (16 + 4 * n) |
               (uint64_t) lengths[b->size] << (18 + 4 * n);
}

static int kvm_set_debug(Vcpu *base, const VcpuDebug *debug) {
        KvmVcpu *vcpu = CONTAINER_OF(base, KvmVcpu, base);
        struct kvm_guest_debug kvm = {0};

        vcpu->n_breaks = 0;
        if (!debug)
                return MIN(kvm_ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &kvm), 0);
        if (!vcpu_debug_valid(debug))
                return -EINVAL;
        kvm.control = KVM_GUESTDBG_ENABLE;
        if (debug->single_step)
                kvm.control |= KVM_GUESTDBG_SINGLESTEP;
        if (debug->catch_breakpoints)
                kvm.control |= KVM_GUESTDBG_USE_SW_BP;
        if (debug->block_interrupts) {
                if (!vcpu->partition->steps_block_irqs)
                        return -EOPNOTSUPP;
                kvm.control |= KVM_GUESTDBG_BLOCKIRQ;
        }
        if (debug->n_breaks > 0) {
                kvm.control |= KVM_GUESTDBG_USE_HW_BP;
                kvm.arch.debugreg[7] = DR7_FIXED;
        }
        for (unsigned i = 0; i < debug->n_breaks; i++) {
                kvm.arch.debugreg[i] = debug->breaks[i].gva;
                kvm.arch.debugreg[7] |= dr7_of(&debug->breaks[i], i);
        }
        vcpu->n_breaks = debug->n_breaks;
        return MIN(kvm_ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &kvm), 0);
}

static int kvm_translate(Vcpu *base, uint64_t gva, gpa_t *ret) {
        KvmVcpu *vcpu = CONTAINER_OF(base, KvmVcpu, base);
        struct kvm_translation translation = {.linear_address = gva};
        int r = kvm_ioctl(vcpu->fd, KVM_TRANSLATE, &translation);

        if (r < 0)
                return r;
        if (!translation.valid)
                return -EFAULT;
        *ret = translation.physical_address;
        return 0;
}

const DebugOps kvm_debug_ops = {
        .set_debug = kvm_set_debug,
        .translate = kvm_translate,
};

/** kvm_debug_stop() - why KVM_EXIT_DEBUG came; DR6 may also tell of what DR7 does not enable (SDM volume 3, 17.2.3) */
VcpuDebugStop kvm_debug_stop(const KvmVcpu *vcpu, const struct kvm_debug_exit_arch *exit) {
        const uint64_t hits = exit->dr6 & ((1u << vcpu->n_breaks) - 1);

        if (exit->exception == EXCEPTION_BREAKPOINT)
                return (VcpuDebugStop){.cause = VCPU_DEBUG_BREAKPOINT};
        if (hits)
                return (VcpuDebugStop){.cause = VCPU_DEBUG_BREAK,
                                       .which = (unsigned) __builtin_ctzll(hits)};
        return (VcpuDebugStop){.cause = VCPU_DEBUG_STEP};
}
