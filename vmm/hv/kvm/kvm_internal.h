/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of the KVM backend share. */

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>

#include "vmm/hv/bus_lock.h"
#include "vmm/hv/hv.h"
#include "vmm/mem/memmap.h"

/* Sent to a vCPU's thread to make KVM_RUN return. */
#define KVM_KICK_SIGNAL SIGRTMIN

#define KVM_CPUID_ENTRIES_MAX 256u
#define KVM_MSI_ROUTES_MAX 1024u
#define KVM_DEVICE_SLOTS_MAX 64u

typedef struct KvmVcpu KvmVcpu;
typedef struct KvmPartition KvmPartition;

/* Lets each vCPU be kicked from any thread while its own thread comes and goes. */
typedef struct KvmVcpuSlot {
        pthread_mutex_t lock;
        pthread_cond_t kick; /* of one that @rests; CLOCK_MONOTONIC */
        bool rests;          /* for its bus locks, outside of KVM */
        int fd;              /* owned */
        struct kvm_run *run; /* owned mapping of KvmPartition.run_size bytes */
        pthread_t thread;    /* valid while @bound */
        bool bound;
        atomic_bool
                kicked; /* a signal is on its way; at most one is, so that none is ever refused */
} KvmVcpuSlot;

struct MsiRoute {
        KvmPartition *partition; /* weak */
        unsigned gsi;
        int event_fd;     /* borrowed */
        bool has_message; /* @message was set once */
        bool assigned;    /* KVM delivers @event_fd */
        MsiMessage message;
};

typedef struct KvmRouting {
        pthread_mutex_t lock;
        bool level_routed[GSI_COUNT]; /* pins that KVM must report EOIs of */
        MsiMessage pins[GSI_COUNT];
        MsiRoute *routes[KVM_MSI_ROUTES_MAX]; /* index + GSI_COUNT is the GSI; borrowed */
        unsigned n_routes_end;                /* entries from here on are NULL */
        unsigned routes_max;
} KvmRouting;

/* One allocation lives through both stages: a proto-partition becomes the partition in build. */
struct KvmPartition {
        ProtoPartition proto;
        Partition base;
        int kvm_fd, vm_fd;        /* owned */
        HvConfig config;          /* .device is not kept */
        struct kvm_cpuid2 *cpuid; /* owned; for vCPU 0 */
        size_t run_size;
        bool steps_block_irqs; /* KVM can do so; asked before the sandbox, whose vCPUs may not */
        bool kvmclock_paused;
        uint64_t paused_nsec, paused_tsc; /* kvmclock and the host's TSC when it was paused */
        pthread_mutex_t clock_lock;
        atomic_bool extint;
        BusLockLimit bus_locks;
        KvmRouting routing;
        pthread_mutex_t device_lock; /* of the next */
        uint64_t device_slots;       /* that have memory of a device of the host, a bit each */
        int vfio_fd;                 /* owned; -EBADF until a group was added */
        GuestMem *mem;               /* borrowed */
        uint32_t other_msrs[VCPU_OTHER_MSRS_MAX]; /* indices */
        unsigned n_other_msrs;
        unsigned n_slots;
        KvmVcpuSlot *slots; /* owned; n_slots */
};

struct KvmVcpu {
        Vcpu base;
        KvmPartition *partition;  /* weak */
        KvmVcpuSlot *slot;        /* borrowed */
        int fd;                   /* borrowed */
        struct kvm_run *run;      /* borrowed */
        unsigned n_breaks;        /* of the debugger, in DR0 and up */
        uint64_t rest_until_nsec; /* CLOCK_MONOTONIC; it made too many bus locks */
        bool completion_pending;  /* KVM commits the last exit on the next KVM_RUN */
};

static inline KvmPartition *kvm_partition_from_proto(ProtoPartition *proto) {
        return CONTAINER_OF(proto, KvmPartition, proto);
}

static inline KvmPartition *kvm_partition_from_base(Partition *partition) {
        return CONTAINER_OF(partition, KvmPartition, base);
}

int kvm_ioctl(int fd, unsigned long request, const void *argument);

/* cpuid.c */
int kvm_cpuid_new(int kvm_fd, const HvConfig *config, bool tsc_deadline, struct kvm_cpuid2 **ret);
struct kvm_cpuid2 *kvm_cpuid_dup(const struct kvm_cpuid2 *cpuid);
void kvm_cpuid_filter(struct kvm_cpuid2 *cpuid, const HvConfig *config, bool tsc_deadline);
bool kvm_cpuid_can_nest(struct kvm_cpuid2 *cpuid);
void kvm_cpuid_set_tsc(struct kvm_cpuid2 *cpuid, uint32_t khz);
int kvm_cpuid_change(struct kvm_cpuid2 *cpuid, const CpuFeatureChange *change, TextError *reterr);
void kvm_cpuid_set_topology(struct kvm_cpuid2 *cpuid, const HvConfig *config);
void kvm_cpuid_set_apic_id(struct kvm_cpuid2 *cpuid, const HvConfig *config, uint32_t apic_id);
struct kvm_cpuid_entry2 *kvm_cpuid_find(struct kvm_cpuid2 *cpuid, uint32_t function,
                                        uint32_t index);

/* probe.c */
int kvm_probe(const char *device, TextError *reterr);

/* proto.c */
int kvm_enable_cap(int vm_fd, uint32_t capability, uint64_t argument);
int kvm_proto_new(const HvConfig *config, ProtoPartition **ret, TextError *reterr);

/* partition.c */
int kvm_proto_build(ProtoPartition *proto, GuestMem *mem, Partition **ret, TextError *reterr);
KvmPartition *kvm_partition_destroy(KvmPartition *partition);

/* routing.c */
void kvm_routing_init(KvmRouting *routing, unsigned gsi_max);
int kvm_set_irq_route(Partition *base, unsigned gsi, const MsiMessage *message);
int kvm_signal_msi(Partition *base, const MsiMessage *message);
extern const MsiRouteOps kvm_msi_route_ops;
extern const DoorbellOps kvm_doorbell_ops;

/* passthrough.c */
extern const PassthroughOps kvm_passthrough_ops;

/* time.c */
uint64_t kvm_reference_time_nsec(Partition *base);
int kvm_pause_time(Partition *base, bool paused);
int kvm_set_time_nsec(Partition *base, uint64_t nsec);
int kvm_get_paused_tsc(KvmPartition *partition, const KvmVcpuSlot *slot, uint64_t *ret);
int kvm_set_paused_tsc(KvmPartition *partition, const KvmVcpuSlot *slot, uint64_t tsc);

/* other_msrs.c */
int kvm_list_other_msrs(KvmPartition *partition);
int kvm_get_other_msrs(const KvmVcpu *vcpu, VcpuOtherMsrs *ret);
int kvm_set_other_msrs(const KvmVcpu *vcpu, const VcpuOtherMsrs *state);

/* debug.c */
extern const DebugOps kvm_debug_ops;
VcpuDebugStop kvm_debug_stop(const KvmVcpu *vcpu, const struct kvm_debug_exit_arch *exit);

/* bus_lock.c */
void kvm_bus_lock_init_slot(KvmVcpuSlot *slot);
int kvm_bus_lock_enable(int kvm_fd, int vm_fd, TextError *reterr);
void kvm_bus_lock_count(KvmVcpu *vcpu, const CpuIo *io);
bool kvm_bus_lock_rest(KvmVcpu *vcpu);

/* vcpu.c, exit.c, vcpu_state.c */
int kvm_vcpu_bind(Partition *base, unsigned index, Vcpu **ret);
void kvm_vcpu_kick(Partition *base, unsigned index);
HaltReason kvm_vcpu_handle_exit(KvmVcpu *vcpu, const CpuIo *io);
void kvm_vcpu_describe(KvmVcpu *vcpu, const char *what);
int kvm_vcpu_get_state(Vcpu *base, VcpuStateId id, void *ret);
int kvm_vcpu_set_state(Vcpu *base, VcpuStateId id, const void *state);
