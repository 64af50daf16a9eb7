/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A few bytes of machine code on a real hypervisor backend, and a record of what they did. */

#include <stdatomic.h>
#include <stdint.h>

#include "vmm/hv/hv.h"

#define TINY_CODE 0x1000u
#define TINY_EVENTS_MAX 64u

typedef struct TinyEvent {
        enum { TINY_PIO_READ, TINY_PIO_WRITE, TINY_MMIO_READ, TINY_MMIO_WRITE } kind;
        uint64_t address, value;
        unsigned size;
} TinyEvent;

typedef struct TinyGuest {
        GuestMem *mem;
        Partition *partition;
        Vcpu *vcpu; /* NULL until bound by tiny_guest_start() */
        CpuIo io;
        atomic_bool stop;
        uint64_t read_value; /* what all reads answer */
        uint16_t stop_port;  /* a write here sets @stop */
        int pic_vector;      /* what acknowledge_pic answers */
        unsigned n_acks;
        uint64_t n_bus_locks;
        uint8_t eoi_vector;
        atomic_uint n_events;
        TinyEvent events[TINY_EVENTS_MAX];
} TinyGuest;

int tiny_guest_new(const HvOps *hv, unsigned n_vcpus, TinyGuest **ret, TextError *reterr);
int tiny_guest_new_with(const HvOps *hv, const HvConfig *config, TinyGuest **ret,
                        TextError *reterr);
TinyGuest *tiny_guest_free(TinyGuest *guest);
DEFINE_CLEANUP(TinyGuest *, tiny_guest_free)
int tiny_guest_start(TinyGuest *guest, const void *code, size_t len);
HaltReason tiny_guest_run(TinyGuest *guest);
bool tiny_host_emulates_svm(void);
