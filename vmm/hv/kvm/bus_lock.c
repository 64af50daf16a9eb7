/* SPDX-License-Identifier: Apache-2.0 */

/* Bus locks, which KVM tells of where the processor does, and the rest of a vCPU that made too many. */

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/clock.h"
#include "vmm/hv/kvm/kvm_internal.h"

/** kvm_bus_lock_init_slot() - what a vCPU that rests is woken by */
void kvm_bus_lock_init_slot(KvmVcpuSlot *slot) {
        pthread_condattr_t attributes;

        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&slot->kick, &attributes);
        pthread_condattr_destroy(&attributes);
}

/** kvm_bus_lock_enable() - have the guest's bus locks end KVM_RUN; before the first vCPU. Return: 0 or negative errno. */
int kvm_bus_lock_enable(int kvm_fd, int vm_fd, TextError *reterr) {
        int r = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_X86_BUS_LOCK_EXIT);

        if (r < 0 || !(r & KVM_BUS_LOCK_DETECTION_EXIT))
                return text_error_set(reterr, -EOPNOTSUPP,
                                      "--bus-lock-ratelimit: this host's processor or its KVM does "
                                      "not tell of bus locks");
        r = kvm_enable_cap(vm_fd, KVM_CAP_X86_BUS_LOCK_EXIT, KVM_BUS_LOCK_DETECTION_EXIT);
        if (r < 0)
                return text_error_set(reterr, r, "--bus-lock-ratelimit: %s", strerror(-r));
        return 0;
}

/** kvm_bus_lock_count() - the guest made a bus lock, for which its vCPU may have to rest; on its thread */
void kvm_bus_lock_count(KvmVcpu *vcpu, const CpuIo *io) {
        BusLockLimit *limit = &vcpu->partition->bus_locks;

        if (!bus_lock_limit_is_on(limit))
                return;
        vcpu->rest_until_nsec = bus_lock_limit_add(limit, clock_monotonic_nsec(), 1);
        io->count_bus_locks(io->machine, 1);
}

/**
 * kvm_bus_lock_rest() - sleep until the vCPU's rest is over or somebody kicks it
 *
 * On its thread, after kicks were accepted. Return: false when the rest was over already.
 */
bool kvm_bus_lock_rest(KvmVcpu *vcpu) {
        KvmVcpuSlot *slot = vcpu->slot;
        const struct timespec until = {
                .tv_sec = (time_t) (vcpu->rest_until_nsec / NSEC_PER_SEC),
                .tv_nsec = (long) (vcpu->rest_until_nsec % NSEC_PER_SEC),
        };
        int r = 0;

        if (clock_monotonic_nsec() >= vcpu->rest_until_nsec) {
                vcpu->rest_until_nsec = 0;
                return false;
        }
        pthread_mutex_lock(&slot->lock);
        slot->rests = true;
        while (r == 0 && !atomic_load(&slot->kicked))
                r = pthread_cond_timedwait(&slot->kick, &slot->lock, &until);
        slot->rests = false;
        pthread_mutex_unlock(&slot->lock);
        return true;
}
