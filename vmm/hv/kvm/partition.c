/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "vmm/hv/kvm/kvm_internal.h"

#define MSI_ADDRESS_BASE UINT64_C(0xfee00000)
#define MSI_ADDRESS_DESTINATION_SHIFT 12
#define MSI_DATA_NMI (4u << 8)
#define KVM_ROM_SLOT_FIRST 32u /* behind those of RAM */
_Static_assert(GUEST_MEM_REGIONS_MAX <= KVM_ROM_SLOT_FIRST, "slots of RAM and ROM are apart");

static int kvm_show_rom(Partition *base, unsigned rom, bool shown) {
        KvmPartition *partition = kvm_partition_from_base(base);
        const GuestRom *memory = &partition->mem->roms[rom];
        struct kvm_userspace_memory_region region = {
                .slot = KVM_ROM_SLOT_FIRST + rom,
                .flags = shown ? KVM_MEM_READONLY : 0,
                .guest_phys_addr = memory->gpa,
                .memory_size = shown ? memory->size_bytes : 0, /* 0 takes the slot away */
                .userspace_addr = (uintptr_t) memory->host,
        };

        return kvm_ioctl(partition->vm_fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static int kvm_add_roms(KvmPartition *partition) {
        for (unsigned i = 0; i < partition->mem->n_roms; i++) {
                int r = kvm_show_rom(&partition->base, i, true);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* RAM, one slot a region. @flags: of all slots */
static int kvm_set_memory(KvmPartition *partition, uint32_t flags) {
        const GuestMem *mem = partition->mem;

        for (unsigned i = 0; i < mem->n_regions + mem->n_files; i++) {
                struct kvm_userspace_memory_region region = {
                        .slot = i,
                        .flags = flags,
                        .guest_phys_addr = mem->regions[i].gpa,
                        .memory_size = mem->regions[i].size_bytes,
                        .userspace_addr = (uintptr_t) mem->regions[i].host,
                };
                int r = kvm_ioctl(partition->vm_fd, KVM_SET_USER_MEMORY_REGION, &region);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- dirty log: KVM's of what processors write, GuestMem's of what devices do ---- */

static int kvm_dirty_start(Partition *base) {
        KvmPartition *partition = kvm_partition_from_base(base);
        int r = guest_mem_dirty_start(partition->mem);

        return r < 0 ? r : kvm_set_memory(partition, KVM_MEM_LOG_DIRTY_PAGES);
}

static int kvm_dirty_fetch(Partition *base, unsigned region, uint64_t *ret) {
        KvmPartition *partition = kvm_partition_from_base(base);
        const struct kvm_dirty_log log = {.slot = region, .dirty_bitmap = ret};
        int r;

        if (region >= partition->mem->n_regions || !guest_mem_dirty_on(partition->mem))
                return -EINVAL;
        r = kvm_ioctl(partition->vm_fd, KVM_GET_DIRTY_LOG, &log);
        if (r < 0)
                return r;
        guest_mem_dirty_fetch(partition->mem, region, ret);
        return 0;
}

static int kvm_dirty_stop(Partition *base) {
        KvmPartition *partition = kvm_partition_from_base(base);

        guest_mem_dirty_stop(partition->mem);
        return kvm_set_memory(partition, /* flags= */ 0);
}

static const DirtyOps kvm_dirty_ops = {
        .start = kvm_dirty_start,
        .fetch = kvm_dirty_fetch,
        .stop = kvm_dirty_stop,
};

/* vCPUs are created in order, because KVM numbers them so; their threads take them over with vcpu_bind(). */
static int kvm_create_vcpu(KvmPartition *partition, unsigned index) {
        KvmVcpuSlot *slot = &partition->slots[index];
        void *run;

        pthread_mutex_init(&slot->lock, NULL);
        kvm_bus_lock_init_slot(slot);
        slot->fd = ioctl(partition->vm_fd, KVM_CREATE_VCPU, (unsigned long) index);
        partition->n_slots = index + 1;
        if (slot->fd < 0)
                return -errno;
        run = mmap(NULL, partition->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, slot->fd, 0);
        if (run == MAP_FAILED)
                return -errno;
        slot->run = run;
        return 0;
}

static void kvm_pulse_nmi(Partition *base, unsigned index) {
        /* KVM_NMI waits for the vCPU to leave the guest; a message does not. APIC ids equal indices. */
        const MsiMessage message = {
                .address = MSI_ADDRESS_BASE | ((uint64_t) index << MSI_ADDRESS_DESTINATION_SHIFT),
                .data = MSI_DATA_NMI,
        };

        (void) kvm_signal_msi(base, &message);
}

static void kvm_set_extint(Partition *base, bool level) {
        KvmPartition *partition = kvm_partition_from_base(base);
        bool was = atomic_exchange(&partition->extint, level);

        if (level && !was)
                kvm_vcpu_kick(base, 0);
}

/** kvm_partition_destroy() - release all of a partition, in whichever stage it is. Return: NULL. */
KvmPartition *kvm_partition_destroy(KvmPartition *partition) {
        for (unsigned i = 0; i < partition->n_slots; i++) {
                KvmVcpuSlot *slot = &partition->slots[i];

                if (slot->run)
                        (void) munmap(slot->run, partition->run_size);
                (void) fd_close(slot->fd);
                pthread_cond_destroy(&slot->kick);
                pthread_mutex_destroy(&slot->lock);
        }
        free(partition->slots);
        (void) fd_close(partition->vfio_fd);
        (void) fd_close(partition->vm_fd);
        (void) fd_close(partition->kvm_fd);
        free(partition->cpuid);
        bus_lock_limit_deinit(&partition->bus_locks);
        pthread_mutex_destroy(&partition->clock_lock);
        pthread_mutex_destroy(&partition->device_lock);
        free(partition);
        return NULL;
}

static Partition *kvm_partition_free(Partition *base) {
        (void) kvm_partition_destroy(kvm_partition_from_base(base));
        return NULL;
}

static const PartitionOps kvm_partition_ops = {
        .vcpu_bind = kvm_vcpu_bind,
        .kick = kvm_vcpu_kick,
        .signal_msi = kvm_signal_msi,
        .set_irq_route = kvm_set_irq_route,
        .set_extint = kvm_set_extint,
        .pulse_nmi = kvm_pulse_nmi,
        .reference_time_nsec = kvm_reference_time_nsec,
        .pause_time = kvm_pause_time,
        .set_time_nsec = kvm_set_time_nsec,
        .show_rom = kvm_show_rom,
        .free = kvm_partition_free,
};

/**
 * kvm_proto_build() - HvOps.proto_build: map the memory and create the vCPUs
 *
 * Return: 0, or negative errno with a sentence in @reterr.
 */
int kvm_proto_build(ProtoPartition *proto, GuestMem *mem, Partition **ret, TextError *reterr) {
        KvmPartition *partition = kvm_partition_from_proto(proto);
        int r;

        partition->mem = mem;
        r = kvm_set_memory(partition, /* flags= */ 0);
        if (r < 0)
                return text_error_set(reterr, r,
                                      "cannot give %" PRIu64 " MiB of memory to the VM: %s",
                                      mem->size_bytes >> 20, strerror(-r));
        r = kvm_list_other_msrs(partition);
        if (r < 0)
                return text_error_set(reterr, r, "cannot list KVM's registers: %s", strerror(-r));
        r = kvm_add_roms(partition);
        if (r < 0)
                return text_error_set(reterr, r, "cannot give read-only memory to the VM: %s",
                                      strerror(-r));
        partition->slots = calloc(partition->config.n_vcpus, sizeof(*partition->slots));
        if (!partition->slots)
                return -ENOMEM;
        for (unsigned i = 0; i < partition->config.n_vcpus; i++) {
                r = kvm_create_vcpu(partition, i);
                if (r < 0)
                        return text_error_set(reterr, r, "cannot create vCPU %u: %s", i,
                                              strerror(-r));
        }
        r = ioctl(partition->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_SET_GUEST_DEBUG2);
        partition->steps_block_irqs = r > 0 && (r & KVM_GUESTDBG_BLOCKIRQ);
        partition->base = (Partition){
                .ops = &kvm_partition_ops,
                .doorbells = &kvm_doorbell_ops,
                .msi_routes = &kvm_msi_route_ops,
                .dirty = &kvm_dirty_ops,
                .passthrough = &kvm_passthrough_ops,
                .debug = ioctl(partition->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_SET_GUEST_DEBUG) > 0
                                 ? &kvm_debug_ops
                                 : NULL,
        };
        *ret = &partition->base;
        return 0;
}
