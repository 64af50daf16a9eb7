/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The inside of a local APIC, shared by lapic.c and lapic_*.c. */

#include <pthread.h>

#include "vmm/hv/soft/cpu.h"
#include "vmm/hv/soft/lapic_timer.h"

#define BASE_X2APIC 0x400u
#define BASE_ENABLE 0x800u

enum {
        REG_ID = 0x02,
        REG_VERSION = 0x03,
        REG_TPR = 0x08,
        REG_APR = 0x09,
        REG_PPR = 0x0a,
        REG_EOI = 0x0b,
        REG_LDR = 0x0d,
        REG_DFR = 0x0e,
        REG_SVR = 0x0f,
        REG_ISR = 0x10,
        REG_TMR = 0x18,
        REG_IRR = 0x20,
        REG_ESR = 0x28,
        REG_CMCI = 0x2f,
        REG_ICR = 0x30,
        REG_ICR2 = 0x31,
        REG_LVT_TIMER = 0x32,
        REG_LVT_THERMAL = 0x33,
        REG_LVT_PMC = 0x34,
        REG_LVT_LINT0 = 0x35,
        REG_LVT_LINT1 = 0x36,
        REG_LVT_ERROR = 0x37,
        REG_TMICT = 0x38,
        REG_TMCCT = 0x39,
        REG_TDCR = 0x3e,
        REG_SELF_IPI = 0x3f,
};

#define SVR_ENABLED 0x100u
#define VECTOR_MIN 16u
#define DELIVERY_FIXED 0u
#define DELIVERY_LOWEST 1u
#define DELIVERY_NMI 4u
#define DELIVERY_INIT 5u
#define DELIVERY_STARTUP 6u
#define DELIVERY_EXTINT 7u

/* Only the own processor writes registers; what other threads read to deliver a message is atomic or behind the lock. */
struct Lapic {
        SoftCpu *cpu;
        pthread_mutex_t lock; /* of irr, isr, tmr and esr_latched */
        _Atomic uint64_t base;
        uint32_t id;               /* x2APIC id, for good */
        _Atomic uint32_t xapic_id; /* the same unless the guest has written it */
        _Atomic uint32_t tpr, ldr, dfr, svr;
        uint32_t esr, esr_latched;
        _Atomic uint32_t lvt[6]; /* timer, thermal, pmc, lint0, lint1, error */
        uint64_t icr;
        uint32_t irr[8], isr[8], tmr[8];
        LapicTimer timer;
        long preemptions; /* of the processor's thread, when the timer last asked */
};

static inline bool lapic_is_x2apic(const Lapic *l) {
        return l->base & BASE_X2APIC;
}

/* While it is off, by the base register or by the spurious vector's, it takes no vectored interrupt. */
static inline bool lapic_takes_vectors(const Lapic *l) {
        return (l->base & BASE_ENABLE) && (l->svr & SVR_ENABLED);
}

/* lapic.c */
bool lapic_base_is_possible(const Lapic *l, uint64_t v);
unsigned lapic_priority(const Lapic *l);
void lapic_accept(Lapic *l, uint8_t vector, bool level);
void lapic_eoi(Lapic *l);
void lapic_error(Lapic *l, uint32_t cause);

/* lapic_message.c */
void lapic_send_ipi(Lapic *l, uint64_t icr);
