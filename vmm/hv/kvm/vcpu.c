/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A vCPU on its thread. To make KVM_RUN return, a kick sets immediate_exit and sends a signal: the signal ends a
 * KVM_RUN that is under way, the flag one that is about to begin. The vCPU clears the flag first and then looks at
 * what the kicker wrote before; with both sides sequentially consistent, one of the two sees the other.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/hv/kvm/kvm_internal.h"

#define LEAF1_ECX_XSAVE (1u << 26)
#define LEAF7_ECX_RDPID (1u << 22)
#define LEAF7_ECX_PKS (1u << 31)
#define LEAF_80000001_EDX_RDTSCP (1u << 27)

/** kvm_vcpu_kick() - PartitionOps.kick */
void kvm_vcpu_kick(Partition *base, unsigned index) {
        KvmPartition *partition = kvm_partition_from_base(base);
        KvmVcpuSlot *slot = &partition->slots[index];

        pthread_mutex_lock(&slot->lock);
        if (slot->bound && !atomic_exchange(&slot->kicked, true)) {
                __atomic_store_n(&slot->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
                (void) pthread_kill(slot->thread, KVM_KICK_SIGNAL);
                if (slot->rests)
                        pthread_cond_signal(&slot->kick);
        }
        pthread_mutex_unlock(&slot->lock);
}

static void vcpu_accept_kicks(KvmVcpu *vcpu) {
        __atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
        atomic_store(&vcpu->slot->kicked, false);
}

/* The 8259's request, delivered as an external interrupt through LINT0 of the boot processor. */
static void vcpu_inject_extint(KvmVcpu *vcpu, const CpuIo *io) {
        struct kvm_interrupt interrupt;
        int vector;

        vcpu->run->request_interrupt_window = 0;
        if (vcpu->base.index != 0 || !atomic_load(&vcpu->partition->extint))
                return;
        if (!vcpu->run->ready_for_interrupt_injection) {
                vcpu->run->request_interrupt_window = 1;
                return;
        }
        vector = io->acknowledge_pic(io->machine);
        if (vector < 0)
                return;
        interrupt.irq = (uint32_t) vector;
        (void) kvm_ioctl(vcpu->fd, KVM_INTERRUPT, &interrupt);
}

/* KVM commits the registers of an I/O exit only when it is entered again. */
static void vcpu_complete_exit(KvmVcpu *vcpu) {
        if (!vcpu->completion_pending)
                return;
        __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
        (void) ioctl(vcpu->fd, KVM_RUN, 0);
        vcpu->completion_pending = false;
}

static HaltReason kvm_vcpu_run(Vcpu *base, const CpuIo *io, const atomic_bool *stop) {
        KvmVcpu *vcpu = CONTAINER_OF(base, KvmVcpu, base);
        HaltReason reason;

        for (;;) {
                vcpu_accept_kicks(vcpu);
                if (atomic_load(stop)) {
                        vcpu_complete_exit(vcpu);
                        return HALT_STOP;
                }
                if (vcpu->rest_until_nsec != 0 && kvm_bus_lock_rest(vcpu))
                        continue;
                vcpu_inject_extint(vcpu, io);
                if (ioctl(vcpu->fd, KVM_RUN, 0) < 0) {
                        vcpu->completion_pending = false;
                        /* EAGAIN: an application processor woke up for something else than its SIPI. */
                        if (errno == EINTR || errno == EAGAIN)
                                continue;
                        (void) snprintf(base->error, sizeof(base->error), "KVM_RUN failed: %s",
                                        strerror(errno));
                        return HALT_ERROR;
                }
                reason = kvm_vcpu_handle_exit(vcpu, io);
                if (reason != HALT_NONE) {
                        vcpu_complete_exit(vcpu);
                        return reason;
                }
        }
}

static int kvm_vcpu_reset(Vcpu *base) {
        return vcpu_state_reset_all(base);
}

static Vcpu *kvm_vcpu_free(Vcpu *base) {
        KvmVcpu *vcpu = CONTAINER_OF(base, KvmVcpu, base);

        pthread_mutex_lock(&vcpu->slot->lock);
        vcpu->slot->bound = false;
        pthread_mutex_unlock(&vcpu->slot->lock);
        free(vcpu);
        return NULL;
}

static const VcpuOps kvm_vcpu_ops = {
        .run = kvm_vcpu_run,
        .get_state = kvm_vcpu_get_state,
        .set_state = kvm_vcpu_set_state,
        .reset = kvm_vcpu_reset,
        .free = kvm_vcpu_free,
};

static int vcpu_set_cpuid(KvmVcpu *vcpu) {
        const KvmPartition *partition = vcpu->partition;
        _cleanup_(freep) struct kvm_cpuid2 *cpuid = kvm_cpuid_dup(partition->cpuid);
        const struct kvm_cpuid_entry2 *leaf1, *leaf7, *extended;

        if (!cpuid)
                return -ENOMEM;
        kvm_cpuid_set_apic_id(cpuid, &partition->config, vcpu->base.index);
        if (partition->config.tsc_leaf) {
                int khz = ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0);

                if (khz <= 0)
                        return khz < 0 ? -errno : -EOPNOTSUPP;
                kvm_cpuid_set_tsc(cpuid, (uint32_t) khz);
        }
        leaf1 = kvm_cpuid_find(cpuid, 1, 0);
        leaf7 = kvm_cpuid_find(cpuid, 7, 0);
        extended = kvm_cpuid_find(cpuid, 0x80000001, 0);
        vcpu->base.reset_info = (VcpuResetInfo){
                .apic_id = vcpu->base.index,
                .boot_processor = vcpu->base.index == 0,
                .signature = leaf1 ? leaf1->eax : 0,
                .has_xsave = leaf1 && (leaf1->ecx & LEAF1_ECX_XSAVE),
                .has_tsc_aux = (leaf7 && (leaf7->ecx & LEAF7_ECX_RDPID)) ||
                               (extended && (extended->edx & LEAF_80000001_EDX_RDTSCP)),
                .has_pks = leaf7 && (leaf7->ecx & LEAF7_ECX_PKS),
        };
        return kvm_ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid);
}

static void on_kick(int signo) {
        /* Its arrival is all that is needed. */
}

/* The thread takes the kick signal, whatever mask it inherited; without SA_RESTART so that KVM_RUN returns. */
static int thread_take_kicks(void) {
        struct sigaction action = {.sa_handler = on_kick};
        sigset_t set;
        int r;

        if (sigaction(KVM_KICK_SIGNAL, &action, NULL) < 0)
                return -errno;
        sigemptyset(&set);
        sigaddset(&set, KVM_KICK_SIGNAL);
        r = pthread_sigmask(SIG_UNBLOCK, &set, NULL);
        return -r;
}

/** kvm_vcpu_bind() - PartitionOps.vcpu_bind. Return: 0 or negative errno. */
int kvm_vcpu_bind(Partition *base, unsigned index, Vcpu **ret) {
        KvmPartition *partition = kvm_partition_from_base(base);
        KvmVcpuSlot *slot;
        KvmVcpu *vcpu;
        int r;

        if (index >= partition->n_slots)
                return -EINVAL;
        slot = &partition->slots[index];
        vcpu = calloc(1, sizeof(*vcpu));
        if (!vcpu)
                return -ENOMEM;
        vcpu->base.ops = &kvm_vcpu_ops;
        vcpu->base.index = index;
        vcpu->partition = partition;
        vcpu->slot = slot;
        vcpu->fd = slot->fd;
        vcpu->run = slot->run;

        r = thread_take_kicks();
        if (r >= 0)
                r = vcpu_set_cpuid(vcpu);
        if (r >= 0)
                r = vcpu_state_reset_all(&vcpu->base);
        if (r < 0) {
                free(vcpu);
                return r;
        }
        pthread_mutex_lock(&slot->lock);
        slot->thread = pthread_self();
        slot->bound = true;
        pthread_mutex_unlock(&slot->lock);
        *ret = &vcpu->base;
        return 0;
}
