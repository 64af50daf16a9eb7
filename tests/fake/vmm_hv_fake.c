/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/vmm_hv_fake.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

static HvFake fake;

typedef struct FakePartition {
        ProtoPartition proto;
        Partition base;
        unsigned n_vcpus;
        pthread_mutex_t lock;
        pthread_cond_t kicked;
} FakePartition;

typedef struct FakeVcpu {
        Vcpu base;
        FakePartition *partition;
} FakeVcpu;

void hv_fake_reset(void) {
        memset(&fake, 0, sizeof(fake));
        fake.physical_bits = 40;
}

HvFake *hv_fake(void) {
        return &fake;
}

static HaltReason fake_run(Vcpu *base, const CpuIo *io, const atomic_bool *stop) {
        FakePartition *partition = CONTAINER_OF(base, FakeVcpu, base)->partition;
        HaltReason reason = HALT_NONE;

        atomic_fetch_add(&fake.n_runs, 1);
        if (fake.script && !atomic_load(stop))
                reason = fake.script(base->index, io);
        if (reason != HALT_NONE)
                return reason;
        pthread_mutex_lock(&partition->lock);
        while (!atomic_load(stop))
                pthread_cond_wait(&partition->kicked, &partition->lock);
        pthread_mutex_unlock(&partition->lock);
        return HALT_STOP;
}

static void *fake_state(unsigned index, VcpuStateId id, size_t *ret_size) {
        switch (id) {
#define STORED(NAME, member)                                                                       \
        case VCPU_STATE_##NAME:                                                                    \
                *ret_size = sizeof(fake.member[index]);                                            \
                return &fake.member[index]
                STORED(REGISTERS, registers);
                STORED(SYSTEM_REGISTERS, system_registers);
                STORED(APIC, apic);
                STORED(MTRR, mtrr);
#undef STORED
        case VCPU_STATE_XCR:
        case VCPU_STATE_XSAVE:
        case VCPU_STATE_PAT:
        case VCPU_STATE_VIRTUAL_MSRS:
        case VCPU_STATE_DEBUG_REGISTERS:
        case VCPU_STATE_TSC:
        case VCPU_STATE_TSC_AUX:
        case VCPU_STATE_PKRS:
        case VCPU_STATE_OTHER_MSRS:
        case VCPU_STATE_ACTIVITY:
                break;
        }
        return NULL;
}

static int fake_get_state(Vcpu *vcpu, VcpuStateId id, void *ret) {
        size_t size;
        const void *state = fake_state(vcpu->index, id, &size);

        if (!state)
                return -EOPNOTSUPP;
        memcpy(ret, state, size);
        return 0;
}

static int fake_set_state(Vcpu *vcpu, VcpuStateId id, const void *state) {
        size_t size;
        void *stored = fake_state(vcpu->index, id, &size);

        if (!stored)
                return -EOPNOTSUPP;
        memcpy(stored, state, size);
        return 0;
}

static Vcpu *fake_vcpu_free(Vcpu *base) {
        atomic_fetch_add(&fake.n_freed, 1);
        free(CONTAINER_OF(base, FakeVcpu, base));
        return NULL;
}

static const VcpuOps fake_vcpu_ops = {
        .run = fake_run,
        .get_state = fake_get_state,
        .set_state = fake_set_state,
        .free = fake_vcpu_free,
};

static int fake_vcpu_bind(Partition *base, unsigned index, Vcpu **ret) {
        FakeVcpu *vcpu;

        if (fake.bind_error < 0 && index == fake.bind_error_index)
                return fake.bind_error;
        vcpu = calloc(1, sizeof(*vcpu));
        if (!vcpu)
                return -ENOMEM;
        vcpu->base.ops = &fake_vcpu_ops;
        vcpu->base.index = index;
        vcpu->partition = CONTAINER_OF(base, FakePartition, base);
        atomic_fetch_add(&fake.n_bound, 1);
        *ret = &vcpu->base;
        return 0;
}

static void fake_kick(Partition *base, unsigned index) {
        FakePartition *partition = CONTAINER_OF(base, FakePartition, base);

        atomic_fetch_add(&fake.n_kicks, 1);
        pthread_mutex_lock(&partition->lock);
        pthread_cond_broadcast(&partition->kicked);
        pthread_mutex_unlock(&partition->lock);
}

static int fake_signal_msi(Partition *base, const MsiMessage *message) {
        return 0;
}

static int fake_set_irq_route(Partition *base, unsigned gsi, const MsiMessage *message) {
        return 0;
}

static void fake_set_extint(Partition *base, bool level) {
}

static void fake_pulse_nmi(Partition *base, unsigned index) {
}

static int fake_pause_time(Partition *base, bool paused) {
        fake.n_time_changes += paused != fake.time_paused;
        fake.time_paused = paused;
        return 0;
}

static uint64_t fake_reference_time(Partition *base) {
        return fake.time_nsec;
}

static int fake_set_time(Partition *base, uint64_t nsec) {
        fake.time_nsec = nsec;
        return 0;
}

static ProtoPartition *fake_proto_free(ProtoPartition *proto) {
        FakePartition *partition = CONTAINER_OF(proto, FakePartition, proto);

        pthread_cond_destroy(&partition->kicked);
        pthread_mutex_destroy(&partition->lock);
        free(partition);
        return NULL;
}

static Partition *fake_partition_free(Partition *base) {
        (void) fake_proto_free(&CONTAINER_OF(base, FakePartition, base)->proto);
        return NULL;
}

static const PartitionOps fake_partition_ops = {
        .vcpu_bind = fake_vcpu_bind,
        .kick = fake_kick,
        .signal_msi = fake_signal_msi,
        .set_irq_route = fake_set_irq_route,
        .set_extint = fake_set_extint,
        .pulse_nmi = fake_pulse_nmi,
        .reference_time_nsec = fake_reference_time,
        .pause_time = fake_pause_time,
        .set_time_nsec = fake_set_time,
        .free = fake_partition_free,
};

static int fake_proto_new(const HvConfig *config, ProtoPartition **ret, TextError *reterr) {
        FakePartition *partition = calloc(1, sizeof(*partition));

        if (!partition)
                return -ENOMEM;
        partition->proto.hv = &hv_fake_ops;
        partition->base.ops = &fake_partition_ops;
        partition->n_vcpus = config->n_vcpus;
        pthread_mutex_init(&partition->lock, NULL);
        pthread_cond_init(&partition->kicked, NULL);
        *ret = &partition->proto;
        return 0;
}

static void fake_proto_cpuid(const ProtoPartition *proto, uint32_t function, uint32_t index,
                             CpuidEntry *ret) {
        *ret = (CpuidEntry){.function = function, .index = index, .ebx = fake.cpuid_ebx};
}

static unsigned fake_proto_physical_bits(const ProtoPartition *proto) {
        return fake.physical_bits;
}

static int fake_proto_build(ProtoPartition *proto, GuestMem *mem, Partition **ret,
                            TextError *reterr) {
        *ret = &CONTAINER_OF(proto, FakePartition, proto)->base;
        return 0;
}

const HvOps hv_fake_ops = {
        .name = "fake",
        .proto_new = fake_proto_new,
        .proto_cpuid = fake_proto_cpuid,
        .proto_physical_bits = fake_proto_physical_bits,
        .proto_build = fake_proto_build,
        .proto_free = fake_proto_free,
};
