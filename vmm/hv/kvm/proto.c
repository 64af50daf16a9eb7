/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "base/fd_path.h"
#include "vmm/hv/kvm/kvm.h"
#include "vmm/hv/kvm/kvm_internal.h"

#define KVM_DEFAULT_DEVICE "/dev/kvm"

typedef struct KvmNeed {
        int capability;
        const char *name;
} KvmNeed;

static const KvmNeed kvm_needs[] = {
        {KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
        {KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"},
        {KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR"},
        {KVM_CAP_SET_IDENTITY_MAP_ADDR, "KVM_CAP_SET_IDENTITY_MAP_ADDR"},
        {KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE"},
        {KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS"},
        {KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS"},
        {KVM_CAP_XSAVE, "KVM_CAP_XSAVE"},
        {KVM_CAP_ADJUST_CLOCK, "KVM_CAP_ADJUST_CLOCK"},
        {KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING"},
        {KVM_CAP_IRQFD, "KVM_CAP_IRQFD"},
        {KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD"},
        {KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI"},
        {KVM_CAP_SPLIT_IRQCHIP, "KVM_CAP_SPLIT_IRQCHIP"},
        {KVM_CAP_X2APIC_API, "KVM_CAP_X2APIC_API"},
        {KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
};

/** kvm_ioctl() - ioctl(2) with a pointer argument. Return: its result, or negative errno. */
int kvm_ioctl(int fd, unsigned long request, const void *argument) {
        int r = ioctl(fd, request, argument);

        return r < 0 ? -errno : r;
}

static int kvm_check_extension(int fd, int capability) {
        return MAX(ioctl(fd, KVM_CHECK_EXTENSION, capability), 0);
}

static int kvm_open(const char *device, int *ret_fd, TextError *reterr) {
        _cleanup_(fd_closep) int fd = fd_path_open(device, O_RDWR, 0);
        int r;

        if (fd < 0)
                return text_error_set(reterr, fd, "cannot open %s: %s", device, strerror(-fd));
        r = ioctl(fd, KVM_GET_API_VERSION, 0);
        if (r != KVM_API_VERSION)
                return text_error_set(reterr, -EOPNOTSUPP, "%s is not KVM with API version %d",
                                      device, KVM_API_VERSION);
        for (unsigned i = 0; i < ELEMENTSOF(kvm_needs); i++)
                if (kvm_check_extension(fd, kvm_needs[i].capability) == 0)
                        return text_error_set(reterr, -EOPNOTSUPP, "the host's KVM lacks %s",
                                              kvm_needs[i].name);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

/** kvm_enable_cap() - let the VM have @capability. Return: 0 or negative errno. */
int kvm_enable_cap(int vm_fd, uint32_t capability, uint64_t argument) {
        struct kvm_enable_cap cap = {.cap = capability, .args = {argument}};

        return kvm_ioctl(vm_fd, KVM_ENABLE_CAP, &cap);
}

/* Everything that must be set before the first vCPU exists. */
static int kvm_configure_vm(int kvm_fd, int vm_fd, const HvConfig *config, TextError *reterr) {
        uint64_t identity = MEMMAP_KVM_IDENTITY_BASE;
        int r;

        r = kvm_ioctl(vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
        if (r < 0)
                return text_error_set(reterr, r, "cannot place KVM's identity map: %s",
                                      strerror(-r));
        r = ioctl(vm_fd, KVM_SET_TSS_ADDR, MEMMAP_KVM_TSS_BASE);
        if (r < 0)
                return text_error_set(reterr, -errno, "cannot place KVM's TSS: %s",
                                      strerror(errno));
        /* Otherwise KVM unmasks LINT0 at reset, which no processor does. Not essential, so an old kernel may refuse. */
        if (kvm_check_extension(kvm_fd, KVM_CAP_DISABLE_QUIRKS))
                (void) kvm_enable_cap(vm_fd, KVM_CAP_DISABLE_QUIRKS, KVM_X86_QUIRK_LINT0_REENABLED);
        r = kvm_enable_cap(vm_fd, KVM_CAP_SPLIT_IRQCHIP, GSI_COUNT);
        if (r < 0)
                return text_error_set(reterr, r, "cannot split KVM's interrupt controllers: %s",
                                      strerror(-r));
        r = kvm_enable_cap(vm_fd, KVM_CAP_X2APIC_API,
                           KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
        if (r < 0)
                return text_error_set(reterr, r, "cannot set up KVM's x2APIC: %s", strerror(-r));
        /* Only so that the log can tell which register a guest missed; it gets #GP either way. */
        if (kvm_check_extension(kvm_fd, KVM_CAP_X86_USER_SPACE_MSR))
                (void) kvm_enable_cap(vm_fd, KVM_CAP_X86_USER_SPACE_MSR,
                                      KVM_MSR_EXIT_REASON_UNKNOWN);
        /* Kernels before 5.18 leave AMD's first four counters, which CPUID does not tell of. */
        if (config->no_pmu && kvm_check_extension(kvm_fd, KVM_CAP_PMU_CAPABILITY))
                (void) kvm_enable_cap(vm_fd, KVM_CAP_PMU_CAPABILITY, KVM_PMU_CAP_DISABLE);
        return config->bus_locks_per_sec > 0 ? kvm_bus_lock_enable(kvm_fd, vm_fd, reterr) : 0;
}

static int kvm_create_vm(int kvm_fd) {
        int fd;

        /* KVM answers EINTR when a signal arrives while it waits for the host's CPUs. */
        do
                fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
        while (fd < 0 && errno == EINTR);
        return fd < 0 ? -errno : fd;
}

/* HvOps.check_features */
static int kvm_check_features(const HvConfig *config, TextError *reterr) {
        _cleanup_(freep) struct kvm_cpuid2 *cpuid = NULL;
        _cleanup_(fd_closep) int fd = -EBADF;
        int r;

        r = kvm_open(config->device ?: KVM_DEFAULT_DEVICE, &fd, reterr);
        if (r < 0)
                return r == -EOPNOTSUPP ? -ENODEV : r; /* this is not about features */
        r = kvm_cpuid_new(fd, config, kvm_check_extension(fd, KVM_CAP_TSC_DEADLINE_TIMER) > 0,
                          &cpuid);
        if (r < 0)
                return text_error_set(reterr, r, "cannot read KVM's supported CPUID: %s",
                                      strerror(-r));
        return kvm_cpuid_change(cpuid, &config->cpu_features, reterr);
}

/**
 * kvm_proto_new() - HvOps.proto_new: create the VM and settle its CPUID
 *
 * Return: 0, or negative errno with a sentence in @reterr.
 */
int kvm_proto_new(const HvConfig *config, ProtoPartition **ret, TextError *reterr) {
        KvmPartition *partition;
        int r, max_vcpus, run_size;

        partition = calloc(1, sizeof(*partition));
        if (!partition)
                return -ENOMEM;
        partition->proto.hv = &kvm_hv_ops;
        partition->kvm_fd = partition->vm_fd = partition->vfio_fd = -EBADF;
        partition->config = *config;
        partition->config.device = NULL;
        bus_lock_limit_init(&partition->bus_locks, config->bus_locks_per_sec);
        pthread_mutex_init(&partition->clock_lock, NULL);
        pthread_mutex_init(&partition->device_lock, NULL);

        r = kvm_open(config->device ?: KVM_DEFAULT_DEVICE, &partition->kvm_fd, reterr);
        if (r < 0)
                goto fail;
        kvm_routing_init(&partition->routing,
                         (unsigned) kvm_check_extension(partition->kvm_fd, KVM_CAP_IRQ_ROUTING));
        max_vcpus = kvm_check_extension(partition->kvm_fd, KVM_CAP_MAX_VCPUS);
        if (config->n_vcpus > HV_VCPUS_MAX ||
            (max_vcpus > 0 && config->n_vcpus > (unsigned) max_vcpus)) {
                r = text_error_set(reterr, -E2BIG,
                                   "%u vCPUs are more than this host's KVM can run (%d)",
                                   config->n_vcpus, MIN(max_vcpus, (int) HV_VCPUS_MAX));
                goto fail;
        }
        run_size = ioctl(partition->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
        if (run_size < (int) sizeof(struct kvm_run)) {
                r = text_error_set(reterr, -EIO, "KVM reports a run structure of %d bytes",
                                   run_size);
                goto fail;
        }
        partition->run_size = (size_t) run_size;

        partition->vm_fd = kvm_create_vm(partition->kvm_fd);
        if (partition->vm_fd < 0) {
                r = text_error_set(reterr, partition->vm_fd, "cannot create a VM: %s",
                                   strerror(-partition->vm_fd));
                goto fail;
        }
        r = kvm_configure_vm(partition->kvm_fd, partition->vm_fd, config, reterr);
        if (r < 0)
                goto fail;
        r = kvm_cpuid_new(partition->kvm_fd, config,
                          kvm_check_extension(partition->kvm_fd, KVM_CAP_TSC_DEADLINE_TIMER) > 0,
                          &partition->cpuid);
        if (r < 0) {
                if (r == -EOPNOTSUPP)
                        text_error_set(reterr, r,
                                       "--nested: this host's KVM does not let guests run guests");
                else
                        text_error_set(reterr, r, "cannot read KVM's supported CPUID: %s",
                                       strerror(-r));
                goto fail;
        }
        r = kvm_cpuid_change(partition->cpuid, &config->cpu_features, reterr);
        if (r < 0)
                goto fail;
        *ret = &partition->proto;
        return 0;

fail:
        (void) kvm_partition_destroy(partition);
        return r;
}

static void kvm_proto_cpuid(const ProtoPartition *proto, uint32_t function, uint32_t index,
                            CpuidEntry *ret) {
        const KvmPartition *partition =
                (const KvmPartition *) ((const char *) proto - offsetof(KvmPartition, proto));
        const struct kvm_cpuid_entry2 *entry = kvm_cpuid_find(partition->cpuid, function, index);

        *ret = (CpuidEntry){.function = function, .index = index};
        if (!entry)
                return;
        ret->has_index = entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
        ret->eax = entry->eax;
        ret->ebx = entry->ebx;
        ret->ecx = entry->ecx;
        ret->edx = entry->edx;
}

static unsigned kvm_proto_physical_bits(const ProtoPartition *proto) {
        CpuidEntry leaf;
        unsigned bits, guest_bits;

        kvm_proto_cpuid(proto, 0x80000008, 0, &leaf);
        bits = leaf.eax & 0xff;
        guest_bits = (leaf.eax >> 16) & 0xff;
        if (guest_bits != 0)
                bits = MIN(bits, guest_bits);
        return bits >= 32 && bits <= 52 ? bits : 36;
}

static ProtoPartition *kvm_proto_free(ProtoPartition *proto) {
        (void) kvm_partition_destroy(kvm_partition_from_proto(proto));
        return NULL;
}

const HvOps kvm_hv_ops = {
        .name = "kvm",
        .probe = kvm_probe,
        .check_features = kvm_check_features,
        .proto_new = kvm_proto_new,
        .proto_cpuid = kvm_proto_cpuid,
        .proto_physical_bits = kvm_proto_physical_bits,
        .proto_build = kvm_proto_build,
        .proto_free = kvm_proto_free,
};
