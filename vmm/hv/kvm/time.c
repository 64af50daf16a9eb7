/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Guest time across a pause. KVM's clocks go on while no vCPU runs, so both are set back when the guest goes on: kvmclock
 * to the value at which it stopped, each TSC by the host's ticks in between. All vCPUs get the same difference, which
 * keeps their TSCs together and with them KVM's master clock. A local APIC's timer may come early by the length of
 * the pause; kernels look at their clock then and set it again.
 */

#include <errno.h>
#include <sys/ioctl.h>
#include <x86intrin.h>

#include "vmm/hv/kvm/kvm_internal.h"

static uint64_t kvm_clock_nsec(const KvmPartition *partition) {
        struct kvm_clock_data clock = {0};

        return kvm_ioctl(partition->vm_fd, KVM_GET_CLOCK, &clock) < 0 ? 0 : clock.clock;
}

/** kvm_reference_time_nsec() - PartitionOps.reference_time_nsec */
uint64_t kvm_reference_time_nsec(Partition *base) {
        KvmPartition *partition = kvm_partition_from_base(base);
        uint64_t nsec;

        pthread_mutex_lock(&partition->clock_lock);
        nsec = partition->kvmclock_paused ? partition->paused_nsec : kvm_clock_nsec(partition);
        pthread_mutex_unlock(&partition->clock_lock);
        return nsec;
}

static int tsc_offset_ioctl(const KvmVcpuSlot *slot, unsigned long request, uint64_t *offset) {
        struct kvm_device_attr attr = {
                .group = KVM_VCPU_TSC_CTRL,
                .attr = KVM_VCPU_TSC_OFFSET,
                .addr = (uintptr_t) offset,
        };

        return kvm_ioctl(slot->fd, request, &attr);
}

/* Kernels before 5.16 do not let us: there the TSC runs through pauses. */
static void set_tscs_back(const KvmPartition *partition, uint64_t ticks) {
        for (unsigned i = 0; i < partition->n_slots; i++) {
                const KvmVcpuSlot *slot = &partition->slots[i];
                uint64_t offset;

                if (tsc_offset_ioctl(slot, KVM_GET_DEVICE_ATTR, &offset) < 0)
                        return;
                offset -= ticks;
                (void) tsc_offset_ioctl(slot, KVM_SET_DEVICE_ATTR, &offset);
        }
}

static int resume_time(KvmPartition *partition) {
        struct kvm_clock_data clock = {.clock = partition->paused_nsec};
        const uint64_t tsc = __rdtsc();
        int r;

        /* A host that slept meanwhile may have begun to count anew. */
        if (tsc > partition->paused_tsc)
                set_tscs_back(partition, tsc - partition->paused_tsc);
        r = kvm_ioctl(partition->vm_fd, KVM_SET_CLOCK, &clock);
        if (r < 0)
                return r;
        partition->kvmclock_paused = false;
        /* Tells the guest's watchdogs; refused for a guest that has no kvmclock. */
        for (unsigned i = 0; i < partition->n_slots; i++)
                (void) ioctl(partition->slots[i].fd, KVM_KVMCLOCK_CTRL, 0);
        return 0;
}

/** kvm_set_time_nsec() - PartitionOps.set_time_nsec */
int kvm_set_time_nsec(Partition *base, uint64_t nsec) {
        KvmPartition *partition = kvm_partition_from_base(base);
        int r = -EBUSY;

        pthread_mutex_lock(&partition->clock_lock);
        if (partition->kvmclock_paused) {
                partition->paused_nsec = nsec;
                r = 0;
        }
        pthread_mutex_unlock(&partition->clock_lock);
        return r;
}

/*
 * A TSC is the host's plus an offset. While the machine is paused the offset stays, so that of the host's TSC when the
 * pause began makes the guest's; resume_time() takes the rest out.
 */

/** kvm_get_paused_tsc() - the TSC of a vCPU of a paused machine. Return: 0; -EBUSY if it is none; other negative errno. */
int kvm_get_paused_tsc(KvmPartition *partition, const KvmVcpuSlot *slot, uint64_t *ret) {
        uint64_t offset;
        int r;

        if (!partition->kvmclock_paused)
                return -EBUSY;
        r = tsc_offset_ioctl(slot, KVM_GET_DEVICE_ATTR, &offset);
        if (r < 0)
                return r;
        *ret = partition->paused_tsc + offset;
        return 0;
}

/** kvm_set_paused_tsc() - the reverse, likewise */
int kvm_set_paused_tsc(KvmPartition *partition, const KvmVcpuSlot *slot, uint64_t tsc) {
        uint64_t offset = tsc - partition->paused_tsc;

        if (!partition->kvmclock_paused)
                return -EBUSY;
        return tsc_offset_ioctl(slot, KVM_SET_DEVICE_ATTR, &offset);
}

/** kvm_pause_time() - PartitionOps.pause_time */
int kvm_pause_time(Partition *base, bool paused) {
        KvmPartition *partition = kvm_partition_from_base(base);
        int r = 0;

        pthread_mutex_lock(&partition->clock_lock);
        if (paused && !partition->kvmclock_paused) {
                partition->paused_nsec = kvm_clock_nsec(partition);
                partition->paused_tsc = __rdtsc();
                partition->kvmclock_paused = true;
        } else if (!paused && partition->kvmclock_paused) {
                r = resume_time(partition);
        }
        pthread_mutex_unlock(&partition->clock_lock);
        return r;
}
