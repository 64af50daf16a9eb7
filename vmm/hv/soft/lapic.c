/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC in xAPIC and x2APIC mode, with its timer and inter-processor interrupts (SDM volume 3 chapter 11). */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/lapic_timer.h"
#include "vmm/hv/soft/soft_internal.h"

#define BASE_BSP 0x100u
#define BASE_X2APIC 0x400u
#define BASE_ENABLE 0x800u
#define BASE_RESERVED 0x2ffu
#define BASE_DEFAULT 0xfee00000u

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

#define VERSION 0x00050014u
#define SVR_ENABLED 0x100u
#define ICR_LEVEL_ASSERT 0x4000u
#define ICR_TRIGGER_LEVEL 0x8000u
#define ICR_X2APIC_RESERVED UINT64_C(0xfff32000)
#define VECTOR_MIN 16u
#define ESR_SEND_ILLEGAL_VECTOR 0x20u
#define ESR_RECEIVE_ILLEGAL_VECTOR 0x40u
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

static int highest(const uint32_t *bits) {
        for (int i = 7; i >= 0; i--)
                if (bits[i])
                        return i * 32 + 31 - __builtin_clz(bits[i]);
        return -1;
}

/** lapic_new() - a local APIC for @cpu (borrowed), not reset yet. Return: 0 or -ENOMEM. */
int lapic_new(SoftCpu *cpu, Lapic **ret) {
        Lapic *l = calloc(1, sizeof(*l));

        if (!l)
                return -ENOMEM;
        l->cpu = cpu;
        (void) pthread_mutex_init(&l->lock, NULL);
        *ret = l;
        return 0;
}

/** lapic_free() - release; NULL is fine */
void lapic_free(Lapic *l) {
        if (!l)
                return;
        (void) pthread_mutex_destroy(&l->lock);
        free(l);
}

/** lapic_reset() - @init: INIT keeps the id and the base */
void lapic_reset(Lapic *l, bool boot_processor, bool init) {
        pthread_mutex_lock(&l->lock);
        if (!init)
                l->base = BASE_DEFAULT | BASE_ENABLE | (boot_processor ? BASE_BSP : 0);
        l->id = l->cpu->index;
        if (!init)
                l->xapic_id = l->id & 0xff;
        l->tpr = l->ldr = l->esr = 0;
        l->dfr = UINT32_MAX;
        l->svr = 0xff;
        l->icr = 0;
        for (unsigned i = 0; i < ELEMENTSOF(l->lvt); i++)
                l->lvt[i] = LVT_MASKED;
        /* What firmware leaves behind on the boot processor: the 8259 comes in on LINT0, NMI on LINT1. */
        if (boot_processor) {
                l->lvt[3] = DELIVERY_EXTINT << 8;
                l->lvt[4] = DELIVERY_NMI << 8;
        }
        memset(l->irr, 0, sizeof(l->irr));
        memset(l->isr, 0, sizeof(l->isr));
        memset(l->tmr, 0, sizeof(l->tmr));
        lapic_timer_clear(&l->timer);
        pthread_mutex_unlock(&l->lock);
}

static bool x2apic(const Lapic *l) {
        return l->base & BASE_X2APIC;
}

/** lapic_base() - the APIC base MSR */
uint64_t lapic_base(const Lapic *l) {
        return l->base;
}

/* Whether the base register can have this value at all. */
static bool base_is_possible(const Lapic *l, uint64_t v) {
        if ((v & BASE_X2APIC) && !soft_has(l->cpu, CPU_FEATURE_X2APIC))
                return false;
        return (v & (BASE_ENABLE | BASE_X2APIC)) != BASE_X2APIC && !(v >> 40) &&
               !(v & BASE_RESERVED);
}

/** lapic_set_base() - write the APIC base MSR; false for a transition that the SDM forbids (#GP) */
bool lapic_set_base(Lapic *l, uint64_t v) {
        unsigned old = l->base & (BASE_ENABLE | BASE_X2APIC), new = v &(BASE_ENABLE | BASE_X2APIC);

        if (!base_is_possible(l, v))
                return false;
        if (old == (BASE_ENABLE | BASE_X2APIC) && new == BASE_ENABLE)
                return false;
        if (old == 0 && new == (BASE_ENABLE | BASE_X2APIC))
                return false;
        pthread_mutex_lock(&l->lock);
        l->base = (v & ~(uint64_t) BASE_BSP) | (l->base & BASE_BSP);
        if (old == 0 || x2apic(l))
                l->xapic_id = l->id & 0xff;
        if (x2apic(l))
                l->ldr = (l->id >> 4) << 16 | 1u << (l->id & 15);
        pthread_mutex_unlock(&l->lock);
        mmu_flush_all(l->cpu); /* the page may have moved */
        return true;
}

/** lapic_claims() - whether the register page is at @pa: not while disabled, nor in x2APIC mode */
bool lapic_claims(const Lapic *l, uint64_t pa) {
        return (l->base & (BASE_ENABLE | BASE_X2APIC)) == BASE_ENABLE &&
               ((pa ^ l->base) & PAGE_MASK) == 0;
}

static unsigned ppr(const Lapic *l) {
        int isr = highest(l->isr);
        unsigned in_service = isr < 0 ? 0 : (unsigned) isr & 0xf0;

        return (l->tpr & 0xf0) >= in_service ? l->tpr : in_service;
}

/** lapic_pending() - whether an interrupt above the processor priority waits; any thread */
bool lapic_pending(Lapic *l) {
        int irr;
        bool r;

        pthread_mutex_lock(&l->lock);
        irr = highest(l->irr);
        r = irr >= 0 && (l->svr & SVR_ENABLED) && ((unsigned) irr & 0xf0) > (ppr(l) & 0xf0);
        pthread_mutex_unlock(&l->lock);
        return r;
}

/**
 * lapic_acknowledge() - take the highest waiting interrupt into service. Return: its vector, or
 * -1.
 */
int lapic_acknowledge(Lapic *l) {
        int irr;

        pthread_mutex_lock(&l->lock);
        irr = highest(l->irr);
        if (irr < 0 || !(l->svr & SVR_ENABLED) || ((unsigned) irr & 0xf0) <= (ppr(l) & 0xf0)) {
                pthread_mutex_unlock(&l->lock);
                return -1;
        }
        l->irr[irr / 32] &= ~(1u << (irr % 32));
        l->isr[irr / 32] |= 1u << (irr % 32);
        pthread_mutex_unlock(&l->lock);
        return irr;
}

/** lapic_accepts_extint() - whether the 8259 output reaches the processor through LINT0 */
bool lapic_accepts_extint(const Lapic *l) {
        uint32_t lint0 = l->lvt[3];

        return !(l->base & BASE_ENABLE) ||
               (!(lint0 & LVT_MASKED) && (lint0 >> 8 & 7) == DELIVERY_EXTINT);
}

/* While it is off, by the base register or by the spurious vector's, it takes no vectored interrupt. */
static bool takes_vectors(const Lapic *l) {
        return (l->base & BASE_ENABLE) && (l->svr & SVR_ENABLED);
}

static void accept(Lapic *l, uint8_t vector, bool level);

/* Notes @cause for the error status register, and tells the processor if its LVT entry lets it. */
static void error(Lapic *l, uint32_t cause) {
        const uint32_t entry = l->lvt[REG_LVT_ERROR - REG_LVT_TIMER];

        pthread_mutex_lock(&l->lock);
        l->esr_latched |= cause;
        pthread_mutex_unlock(&l->lock);
        if (!(entry & LVT_MASKED) && (uint8_t) entry >= VECTOR_MIN) /* or it would go round */
                accept(l, (uint8_t) entry, false);
}

static void accept(Lapic *l, uint8_t vector, bool level) {
        if (!takes_vectors(l))
                return;
        if (vector < VECTOR_MIN) {
                error(l, ESR_RECEIVE_ILLEGAL_VECTOR);
                return;
        }
        pthread_mutex_lock(&l->lock);
        l->irr[vector / 32] |= 1u << (vector % 32);
        if (level)
                l->tmr[vector / 32] |= 1u << (vector % 32);
        else
                l->tmr[vector / 32] &= ~(1u << (vector % 32));
        pthread_mutex_unlock(&l->lock);
        cpu_attention(l->cpu, ATTENTION_INTERRUPT);
}

static void eoi(Lapic *l) {
        bool level;
        int isr;

        pthread_mutex_lock(&l->lock);
        isr = highest(l->isr);
        if (isr < 0) {
                pthread_mutex_unlock(&l->lock);
                return;
        }
        l->isr[isr / 32] &= ~(1u << (isr % 32));
        level = l->tmr[isr / 32] >> (isr % 32) & 1;
        pthread_mutex_unlock(&l->lock);
        if (level)
                l->cpu->io->handle_eoi(l->cpu->io->machine, (uint8_t) isr);
        cpu_attention(l->cpu, ATTENTION_INTERRUPT);
}

/* ---- messages between APICs and from devices ---- */

static bool logical_match(Lapic *l, uint32_t dest) {
        if (x2apic(l))
                return dest >> 16 == l->ldr >> 16 && (dest & l->ldr & 0xffff);
        if (l->dfr >> 28 == 0xf)
                return dest & l->ldr >> 24;
        return dest >> 4 == l->ldr >> 28 && (dest & l->ldr >> 24 & 15);
}

static bool physical_match(const Lapic *l, uint32_t dest) {
        return (x2apic(l) ? l->id : l->xapic_id) == dest;
}

static void deliver_one(Lapic *l, unsigned mode, uint8_t vector, bool level, bool assert_level) {
        switch (mode) {
        case DELIVERY_FIXED:
        case DELIVERY_LOWEST:
                accept(l, vector, level);
                break;
        case DELIVERY_NMI:
                atomic_fetch_add(&l->cpu->nmi_requests, 1);
                cpu_attention(l->cpu, ATTENTION_NMI);
                break;
        case DELIVERY_INIT:
                if (assert_level)
                        cpu_attention(l->cpu, ATTENTION_INIT);
                break;
        case DELIVERY_STARTUP:
                l->cpu->sipi_vector = vector;
                cpu_attention(l->cpu, ATTENTION_SIPI);
                break;
        default:
                break;
        }
}

typedef struct Destination {
        uint32_t id;
        bool logical, broadcast;
        const Lapic *except;
} Destination;

static bool is_addressed(Lapic *l, const Destination *to) {
        if (l == to->except)
                return false;
        return to->broadcast ||
               (to->logical ? logical_match(l, to->id) : physical_match(l, to->id));
}

/* To one of those addressed: the one whose task has the lowest priority, of equal ones the first. */
static void deliver_lowest(SoftPartition *p, const Destination *to, uint8_t vector, bool level) {
        const unsigned n = soft_n_cpus(p);
        Lapic *best = NULL;

        for (unsigned i = 0; i < n; i++) {
                SoftCpu *cpu = soft_cpu(p, i);

                if (cpu && is_addressed(cpu->lapic, to) && takes_vectors(cpu->lapic) &&
                    (!best || cpu->lapic->tpr < best->tpr))
                        best = cpu->lapic;
        }
        if (best)
                accept(best, vector, level);
}

static void deliver(SoftPartition *p, const Destination *to, unsigned mode, uint8_t vector,
                    bool level, bool assert_level) {
        const unsigned n = soft_n_cpus(p);

        if (mode == DELIVERY_LOWEST) {
                deliver_lowest(p, to, vector, level);
                return;
        }
        for (unsigned i = 0; i < n; i++) {
                SoftCpu *cpu = soft_cpu(p, i);

                if (cpu && is_addressed(cpu->lapic, to))
                        deliver_one(cpu->lapic, mode, vector, level, assert_level);
        }
}

/** lapic_message() - a write to the MSI window (SDM volume 3 section 11.11) */
void lapic_message(SoftPartition *p, uint64_t address, uint32_t data) {
        const uint32_t id = (uint32_t) (address >> 12) & 0xff;
        const Destination to = {.id = id, .logical = address & 4, .broadcast = id == 0xff};

        deliver(p, &to, data >> 8 & 7, (uint8_t) data, data & 0x8000, true);
}

static void send_ipi(Lapic *l, uint64_t icr) {
        const unsigned shorthand = icr >> 18 & 3, mode = icr >> 8 & 7;
        const uint8_t vector = (uint8_t) icr;
        Destination to = {.id = (uint32_t) (icr >> 32), .logical = icr & 0x800};

        if (!x2apic(l))
                to.id >>= 24;
        to.broadcast = shorthand >= 2 || to.id == (x2apic(l) ? UINT32_MAX : 0xff);
        if (shorthand == 3)
                to.except = l;
        if (mode <= DELIVERY_LOWEST && vector < VECTOR_MIN)
                error(l, ESR_SEND_ILLEGAL_VECTOR);
        if (shorthand == 1)
                deliver_one(l, mode, vector, false, true);
        else
                deliver(l->cpu->partition, &to, mode, vector, false,
                        (icr & ICR_LEVEL_ASSERT) || (!shorthand && !(icr & ICR_TRIGGER_LEVEL)));
}

/**
 * lapic_send_to_set() - fixed or NMI interrupt to the processors whose bit is set
 * @low, @high: bits for APIC ids @min to @min + 127
 * @icr:        vector and delivery mode as in the interrupt command register
 *
 * Return: how many it reached.
 */
unsigned lapic_send_to_set(SoftPartition *p, uint64_t low, uint64_t high, uint32_t min,
                           uint32_t icr) {
        const unsigned n = soft_n_cpus(p);
        unsigned reached = 0;

        for (unsigned bit = 0; bit < 128; bit++) {
                const uint64_t id = (uint64_t) min + bit;
                SoftCpu *cpu;

                if (!((bit < 64 ? low >> bit : high >> (bit - 64)) & 1) || id >= n)
                        continue;
                cpu = soft_cpu(p, (unsigned) id);
                if (!cpu)
                        continue;
                deliver_one(cpu->lapic, icr >> 8 & 7, (uint8_t) icr, false, true);
                reached++;
        }
        return reached;
}

/* ---- timer ---- */

/* Whether the host has made the processor's thread give way since this was last asked; on that thread. */
static bool kept_waiting(Lapic *l) {
        struct rusage usage;
        bool r;

        if (getrusage(RUSAGE_THREAD, &usage) < 0)
                return false;
        r = usage.ru_nivcsw != l->preemptions;
        l->preemptions = usage.ru_nivcsw;
        return r;
}

/**
 * lapic_timer_poll() - fire the timer if @now (guest nanoseconds) has reached it; on the
 * processor's thread
 */
void lapic_timer_poll(Lapic *l, uint64_t now) {
        const bool late = lapic_timer_jumped(&l->timer, now) && kept_waiting(l);

        if (lapic_timer_look(&l->timer, now, late) && !(l->lvt[0] & LVT_MASKED))
                accept(l, (uint8_t) l->lvt[0], false);
}

/** lapic_timer_due() - guest nanoseconds at which the timer of a processor that goes to sleep fires, UINT64_MAX for never */
uint64_t lapic_timer_due(Lapic *l) {
        return lapic_timer_sleep(&l->timer);
}

/** lapic_deadline() - the TSC deadline MSR */
uint64_t lapic_deadline(const Lapic *l) {
        return l->timer.deadline;
}

/** lapic_set_deadline() - write the TSC deadline MSR; ignored outside deadline mode */
void lapic_set_deadline(Lapic *l, uint64_t tsc) {
        if (lapic_timer_set_deadline(&l->timer, soft_time_nsec(l->cpu->partition),
                                     l->cpu->tsc_offset, tsc))
                cpu_attention(l->cpu, ATTENTION_TIMER);
}

/*
 * What has run out is over before the guest sees or changes it, whether or not the run loop has come by since. All of one
 * access is about one time, which is the result: the host may let any time pass on the way.
 */
static uint64_t before_access(Lapic *l, unsigned reg) {
        const uint64_t now = soft_time_nsec(l->cpu->partition);

        if (reg == REG_TMCCT || reg == REG_LVT_TIMER || reg == REG_TDCR)
                lapic_timer_poll(l, now);
        return now;
}

/* ---- registers, by number ---- */

static uint32_t locked(Lapic *l, const uint32_t *value) {
        uint32_t r;

        pthread_mutex_lock(&l->lock);
        r = *value;
        pthread_mutex_unlock(&l->lock);
        return r;
}

static bool reg_read(Lapic *l, unsigned reg, uint64_t now, uint32_t *ret) {
        switch (reg) {
        case REG_ID:
                *ret = x2apic(l) ? l->id : l->xapic_id << 24;
                return true;
        case REG_VERSION:
                *ret = VERSION;
                return true;
        case REG_TPR:
                *ret = l->tpr;
                return true;
        case REG_APR:
                *ret = 0;
                return !x2apic(l);
        case REG_PPR:
                *ret = ppr(l);
                return true;
        case REG_LDR:
                *ret = l->ldr;
                return true;
        case REG_DFR:
                *ret = l->dfr;
                return !x2apic(l);
        case REG_SVR:
                *ret = l->svr;
                return true;
        case REG_ISR ... REG_ISR + 7:
                *ret = locked(l, &l->isr[reg - REG_ISR]);
                return true;
        case REG_TMR ... REG_TMR + 7:
                *ret = locked(l, &l->tmr[reg - REG_TMR]);
                return true;
        case REG_IRR ... REG_IRR + 7:
                *ret = locked(l, &l->irr[reg - REG_IRR]);
                return true;
        case REG_ESR:
                *ret = l->esr;
                return true;
        case REG_ICR:
                *ret = (uint32_t) l->icr;
                return true;
        case REG_ICR2:
                *ret = (uint32_t) (l->icr >> 32);
                return !x2apic(l);
        case REG_LVT_TIMER ... REG_LVT_ERROR:
                *ret = l->lvt[reg - REG_LVT_TIMER];
                return true;
        case REG_TMICT:
                *ret = l->timer.initial;
                return true;
        case REG_TMCCT:
                *ret = lapic_timer_count(&l->timer, now);
                return true;
        case REG_TDCR:
                *ret = l->timer.divide;
                return true;
        default:
                return false;
        }
}

static bool reg_write(Lapic *l, unsigned reg, uint64_t now, uint32_t v) {
        switch (reg) {
        case REG_ID:
                if (x2apic(l))
                        return false;
                l->xapic_id = v >> 24;
                return true;
        case REG_TPR:
                if (x2apic(l) && v >> 8)
                        return false;
                l->tpr = v & 0xff;
                cpu_attention(l->cpu, ATTENTION_INTERRUPT);
                return true;
        case REG_EOI:
                if (x2apic(l) && v != 0)
                        return false;
                eoi(l);
                return true;
        case REG_LDR:
                if (x2apic(l))
                        return false;
                l->ldr = v & 0xff000000u;
                return true;
        case REG_DFR:
                if (x2apic(l))
                        return false;
                l->dfr = v | 0x0fffffffu;
                return true;
        case REG_SVR:
                l->svr = v & 0x1ff;
                if (!(v & SVR_ENABLED))
                        for (unsigned i = 0; i < ELEMENTSOF(l->lvt); i++)
                                l->lvt[i] |= LVT_MASKED;
                cpu_attention(l->cpu, ATTENTION_INTERRUPT);
                return true;
        case REG_ESR:
                if (x2apic(l) && v != 0)
                        return false;
                pthread_mutex_lock(&l->lock);
                l->esr = l->esr_latched;
                l->esr_latched = 0;
                pthread_mutex_unlock(&l->lock);
                return true;
        case REG_ICR:
                l->icr = (l->icr & ~UINT64_C(0xffffffff)) | (v & ~0x1000u);
                send_ipi(l, l->icr);
                return true;
        case REG_ICR2:
                if (x2apic(l))
                        return false;
                l->icr = (l->icr & UINT32_MAX) | (uint64_t) v << 32;
                return true;
        case REG_LVT_TIMER:
                if (!(l->svr & SVR_ENABLED))
                        v |= LVT_MASKED;
                l->lvt[0] = v & (0x100ffu | LVT_TIMER_MODE);
                lapic_timer_set_mode(&l->timer, l->lvt[0]);
                return true;
        case REG_LVT_THERMAL ... REG_LVT_ERROR:
                if (!(l->svr & SVR_ENABLED))
                        v |= LVT_MASKED;
                l->lvt[reg - REG_LVT_TIMER] = v & 0x1f7ffu;
                cpu_attention(l->cpu, ATTENTION_INTERRUPT);
                return true;
        case REG_TMICT:
                lapic_timer_set_count(&l->timer, now, v);
                cpu_attention(l->cpu, ATTENTION_TIMER);
                return true;
        case REG_TDCR:
                lapic_timer_set_divide(&l->timer, now, v);
                cpu_attention(l->cpu, ATTENTION_TIMER);
                return true;
        case REG_SELF_IPI:
                if (!x2apic(l) || v >> 8)
                        return false;
                accept(l, (uint8_t) v, false);
                return true;
        default:
                return false;
        }
}

/** lapic_mmio_read() - xAPIC register at @offset (multiple of 16); 0 for what is not there */
uint32_t lapic_mmio_read(Lapic *l, uint32_t offset) {
        uint32_t v = 0;

        return reg_read(l, offset >> 4, before_access(l, offset >> 4), &v) ? v : 0;
}

/** lapic_mmio_write() - xAPIC register write; what is not there is ignored */
void lapic_mmio_write(Lapic *l, uint32_t offset, uint32_t v) {
        (void) reg_write(l, offset >> 4, before_access(l, offset >> 4), v);
}

/** lapic_msr_read() - x2APIC register; false means #GP */
bool lapic_msr_read(Lapic *l, uint32_t msr, uint64_t *ret) {
        unsigned reg = msr - 0x800;
        uint32_t v;

        if (!x2apic(l))
                return false;
        if (reg == REG_ICR) {
                *ret = l->icr;
                return true;
        }
        if (!reg_read(l, reg, before_access(l, reg), &v))
                return false;
        *ret = v;
        return true;
}

/** lapic_msr_write() - x2APIC register write; false means #GP */
bool lapic_msr_write(Lapic *l, uint32_t msr, uint64_t v) {
        unsigned reg = msr - 0x800;

        if (!x2apic(l))
                return false;
        if (reg == REG_ICR) {
                if (v & ICR_X2APIC_RESERVED)
                        return false;
                l->icr = v & ~UINT64_C(0x1000);
                send_ipi(l, l->icr);
                return true;
        }
        return v >> 32 == 0 && reg_write(l, reg, before_access(l, reg), (uint32_t) v);
}

/** lapic_tpr() - the task priority, 0..255 */
uint64_t lapic_tpr(const Lapic *l) {
        return l->tpr;
}

/** lapic_set_tpr() - set the task priority; what it held back is looked at */
void lapic_set_tpr(Lapic *l, uint64_t tpr) {
        l->tpr = (uint32_t) tpr;
        cpu_attention(l->cpu, ATTENTION_INTERRUPT);
}

/* ---- as the neutral state shows it ---- */

/** lapic_save() - the register page in the neutral form of vmm/hv/state.h */
void lapic_save(Lapic *l, VcpuApic *ret) {
        const uint64_t now = soft_time_nsec(l->cpu->partition);
        uint32_t left;

        lapic_timer_poll(l, now); /* what has run out is an interrupt already */
        memset(ret, 0, sizeof(*ret));
        ret->base_msr = l->base;
        for (unsigned reg = 0; reg < 0x40; reg++) {
                uint32_t v;

                if (reg_read(l, reg, now, &v))
                        memcpy(ret->registers + reg * 16, &v, 4);
        }
        left = lapic_timer_left(&l->timer, now);
        memcpy(ret->registers + REG_TMCCT * 16, &left, 4);
}

/** lapic_restore() - the reverse of lapic_save(). Return: false for a state that it cannot have. */
bool lapic_restore(Lapic *l, const VcpuApic *state) {
        static const unsigned plain[] = {REG_TPR,       REG_LDR,         REG_DFR,     REG_SVR,
                                         REG_LVT_TIMER, REG_LVT_THERMAL, REG_LVT_PMC, REG_LVT_LINT0,
                                         REG_LVT_LINT1, REG_LVT_ERROR,   REG_TDCR,    REG_TMICT};
        const uint64_t now = soft_time_nsec(l->cpu->partition);
        uint32_t v;

        if (!base_is_possible(l, state->base_msr))
                return false;
        l->base = state->base_msr;
        if (!x2apic(l)) {
                memcpy(&v, state->registers + REG_ID * 16, 4);
                l->xapic_id = v >> 24;
        }
        l->svr = SVR_ENABLED; /* or the LVT could not be unmasked */
        for (unsigned i = 0; i < ELEMENTSOF(plain); i++)
                if (plain[i] != REG_SVR) {
                        memcpy(&v, state->registers + plain[i] * 16, 4);
                        if (plain[i] == REG_LDR)
                                l->ldr = v;
                        else if (plain[i] == REG_DFR)
                                l->dfr = v;
                        else
                                (void) reg_write(l, plain[i], now, v);
                }
        memcpy(&v, state->registers + REG_TMCCT * 16, 4);
        lapic_timer_go_on(&l->timer, now, v);
        memcpy(&v, state->registers + REG_SVR * 16, 4);
        l->svr = v & 0x1ff;
        pthread_mutex_lock(&l->lock);
        for (unsigned i = 0; i < 8; i++) {
                memcpy(&l->isr[i], state->registers + (REG_ISR + i) * 16, 4);
                memcpy(&l->tmr[i], state->registers + (REG_TMR + i) * 16, 4);
                memcpy(&l->irr[i], state->registers + (REG_IRR + i) * 16, 4);
        }
        pthread_mutex_unlock(&l->lock);
        memcpy(&v, state->registers + REG_ICR * 16, 4);
        l->icr = v;
        memcpy(&v, state->registers + REG_ICR2 * 16, 4);
        l->icr |= (uint64_t) v << 32;
        return true;
}
