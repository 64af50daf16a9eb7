/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What processors of one partition share. */

#include <pthread.h>

#include "vmm/hv/bus_lock.h"
#include "vmm/hv/soft/cpu.h"

typedef struct SoftVcpu {
        Vcpu vcpu;
        SoftCpu *cpu; /* the partition's */
} SoftVcpu;

struct SoftPartition {
        Partition partition;
        GuestMem *mem; /* borrowed */
        unsigned n_vcpus;
        SoftModel model;
        bool foreign_writers; /* as in HvConfig */
        BusLockLimit bus_locks;
        _Atomic(SoftCpu *) cpus[HV_VCPUS_MAX]; /* owned; once bound, there to the end */
        _Atomic bool rom_hidden[GUEST_MEM_ROMS_MAX];
        uint64_t n_pages;
        _Atomic uint32_t *page_version; /* of each RAM page, in memfd order, then of each ROM's */
        _Atomic uint8_t
                *page_code; /* 0: no decoded code there; else 1 plus the writes since the last */
        pthread_mutex_t code_lock;      /* one page at a time becomes a code page */
        _Atomic uint32_t *page_request; /* number of the flush request that made it a code page */
        _Atomic uint32_t flush_request; /* the latest */
        _Atomic uint32_t flush_done[HV_VCPUS_MAX];
        _Atomic bool in_guest[HV_VCPUS_MAX];
        _Atomic bool extint;
        uint64_t time_base_nsec; /* CLOCK_MONOTONIC when guest time was 0 */
        _Atomic bool paused;
        uint64_t paused_at_nsec;
};

/* The processor itself changes the page of RAM at @pa. */
static inline void ram_note_dirty(const SoftCpu *c, uint64_t pa) {
        const GuestMem *mem = c->partition->mem;

        if (unlikely(guest_mem_dirty_on(mem)))
                guest_mem_dirty_mark(mem, pa, 1);
}

unsigned soft_n_cpus(const SoftPartition *p);
SoftCpu *soft_cpu(SoftPartition *p, unsigned index);
uint64_t soft_time_nsec(SoftPartition *p);
void soft_kvm_wall_clock(SoftCpu *c, uint64_t gpa);
void soft_kvm_system_time(SoftCpu *c);

/* run.c */
int soft_cpu_new(SoftPartition *p, unsigned index, SoftCpu **ret);
void soft_cpu_free(SoftCpu *c);
void soft_cpu_reset(SoftCpu *c, bool init);
void soft_fpu_enter(SoftCpu *c, uint32_t *host_mxcsr, uint8_t *host_x87);
void soft_fpu_leave(SoftCpu *c, uint32_t host_mxcsr, const uint8_t *host_x87);
void soft_cpu_settle(SoftCpu *c);
HaltReason soft_cpu_run(SoftCpu *c, const CpuIo *io, const _Atomic bool *stop);

/* state.c */
int soft_cpu_get_state(SoftCpu *c, VcpuStateId id, void *ret);
int soft_cpu_set_state(SoftCpu *c, VcpuStateId id, const void *state);

/* lapic.c */
void lapic_save(Lapic *l, VcpuApic *ret);
bool lapic_restore(Lapic *l, const VcpuApic *state);
