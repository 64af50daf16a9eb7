/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Devices of the host that the guest drives: their memory as memory slots, and KVM's word to VFIO, by which it learns
 * whether their DMA goes past the processor's caches.
 */

#include <errno.h>
#include <sys/ioctl.h>

#include "vmm/hv/kvm/kvm_internal.h"

#define DEVICE_SLOT_FIRST 64u /* behind those of RAM and ROM */

static int set_slot(KvmPartition *partition, unsigned index, gpa_t gpa, const void *host,
                    uint64_t size_bytes) {
        const struct kvm_userspace_memory_region region = {
                .slot = DEVICE_SLOT_FIRST + index,
                .guest_phys_addr = gpa,
                .memory_size = size_bytes, /* 0 takes the slot away */
                .userspace_addr = (uintptr_t) host,
        };

        return kvm_ioctl(partition->vm_fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static int kvm_map_device(Partition *base, gpa_t gpa, void *host, uint64_t size_bytes,
                          unsigned *ret_slot) {
        KvmPartition *partition = kvm_partition_from_base(base);
        int r = -ENOSPC;

        pthread_mutex_lock(&partition->device_lock);
        for (unsigned i = 0; i < KVM_DEVICE_SLOTS_MAX; i++) {
                if (partition->device_slots & UINT64_C(1) << i)
                        continue;
                r = set_slot(partition, i, gpa, host, size_bytes);
                if (r >= 0) {
                        partition->device_slots |= UINT64_C(1) << i;
                        *ret_slot = i;
                }
                break;
        }
        pthread_mutex_unlock(&partition->device_lock);
        return r;
}

static void kvm_unmap_device(Partition *base, unsigned slot) {
        KvmPartition *partition = kvm_partition_from_base(base);

        pthread_mutex_lock(&partition->device_lock);
        (void) set_slot(partition, slot, 0, NULL, 0);
        partition->device_slots &= ~(UINT64_C(1) << slot);
        pthread_mutex_unlock(&partition->device_lock);
}

static int kvm_prepare_passthrough(Partition *base) {
        KvmPartition *partition = kvm_partition_from_base(base);
        struct kvm_create_device device = {.type = KVM_DEV_TYPE_VFIO};

        if (partition->vfio_fd >= 0)
                return 0;
        if (ioctl(partition->vm_fd, KVM_CREATE_DEVICE, &device) < 0)
                return -errno;
        partition->vfio_fd = (int) device.fd;
        return 0;
}

static int set_group(const KvmPartition *partition, uint64_t attribute, int group_fd) {
        const struct kvm_device_attr attr = {
                .group = KVM_DEV_VFIO_GROUP,
                .attr = attribute,
                .addr = (uintptr_t) &group_fd,
        };

        return kvm_ioctl(partition->vfio_fd, KVM_SET_DEVICE_ATTR, &attr);
}

static int kvm_add_group(Partition *base, int group_fd) {
        int r = kvm_prepare_passthrough(base);

        return r < 0 ? r
                     : set_group(kvm_partition_from_base(base), KVM_DEV_VFIO_GROUP_ADD, group_fd);
}

static void kvm_remove_group(Partition *base, int group_fd) {
        (void) set_group(kvm_partition_from_base(base), KVM_DEV_VFIO_GROUP_DEL, group_fd);
}

const PassthroughOps kvm_passthrough_ops = {
        .map = kvm_map_device,
        .unmap = kvm_unmap_device,
        .prepare = kvm_prepare_passthrough,
        .add_group = kvm_add_group,
        .remove_group = kvm_remove_group,
};
