/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC in xAPIC and x2APIC mode: what waits, what is in service, its base and its timer (SDM volume 3 chapter 11). */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "vmm/hv/soft/access.h"
#include "vmm/hv/soft/lapic.h"
#include "vmm/hv/soft/soft_internal.h"

#define BASE_BSP 0x100u
#define BASE_RESERVED 0x2ffu
#define BASE_DEFAULT 0xfee00000u
#define ESR_RECEIVE_ILLEGAL_VECTOR 0x40u

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

/** lapic_base() - the APIC base MSR */
uint64_t lapic_base(const Lapic *l) {
        return l->base;
}

/** lapic_base_is_possible() - whether the base register can have this value at all */
bool lapic_base_is_possible(const Lapic *l, uint64_t v) {
        if ((v & BASE_X2APIC) && !soft_has(l->cpu, CPU_FEATURE_X2APIC))
                return false;
        return (v & (BASE_ENABLE | BASE_X2APIC)) != BASE_X2APIC && !(v >> 40) &&
               !(v & BASE_RESERVED);
}

/** lapic_set_base() - write the APIC base MSR; false for a transition that the SDM forbids (#GP) */
bool lapic_set_base(Lapic *l, uint64_t v) {
        unsigned old = l->base & (BASE_ENABLE | BASE_X2APIC), new = v &(BASE_ENABLE | BASE_X2APIC);

        if (!lapic_base_is_possible(l, v))
                return false;
        if (old == (BASE_ENABLE | BASE_X2APIC) && new == BASE_ENABLE)
                return false;
        if (old == 0 && new == (BASE_ENABLE | BASE_X2APIC))
                return false;
        pthread_mutex_lock(&l->lock);
        l->base = (v & ~(uint64_t) BASE_BSP) | (l->base & BASE_BSP);
        if (old == 0 || lapic_is_x2apic(l))
                l->xapic_id = l->id & 0xff;
        if (lapic_is_x2apic(l))
                l->ldr = (l->id >> 4) << 16 | 1u << (l->id & 15);
        pthread_mutex_unlock(&l->lock);
        tlb_flush_all(l->cpu); /* the page may have moved */
        return true;
}

/** lapic_claims() - whether the register page is at @pa: not while disabled, nor in x2APIC mode */
bool lapic_claims(const Lapic *l, uint64_t pa) {
        return (l->base & (BASE_ENABLE | BASE_X2APIC)) == BASE_ENABLE &&
               ((pa ^ l->base) & PAGE_MASK) == 0;
}

/** lapic_priority() - the processor priority: that of the task or of what is in service; behind the lock, or on its thread */
unsigned lapic_priority(const Lapic *l) {
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
        r = irr >= 0 && (l->svr & SVR_ENABLED) &&
            ((unsigned) irr & 0xf0) > (lapic_priority(l) & 0xf0);
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
        if (irr < 0 || !(l->svr & SVR_ENABLED) ||
            ((unsigned) irr & 0xf0) <= (lapic_priority(l) & 0xf0)) {
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

/** lapic_error() - notes @cause for the error status register, and tells the processor if its LVT entry lets it */
void lapic_error(Lapic *l, uint32_t cause) {
        const uint32_t entry = l->lvt[REG_LVT_ERROR - REG_LVT_TIMER];

        pthread_mutex_lock(&l->lock);
        l->esr_latched |= cause;
        pthread_mutex_unlock(&l->lock);
        if (!(entry & LVT_MASKED) && (uint8_t) entry >= VECTOR_MIN) /* or it would go round */
                lapic_accept(l, (uint8_t) entry, false);
}

/** lapic_accept() - an interrupt arrives; any thread */
void lapic_accept(Lapic *l, uint8_t vector, bool level) {
        if (!lapic_takes_vectors(l))
                return;
        if (vector < VECTOR_MIN) {
                lapic_error(l, ESR_RECEIVE_ILLEGAL_VECTOR);
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

/** lapic_eoi() - what is in service with the highest priority is done */
void lapic_eoi(Lapic *l) {
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
                lapic_accept(l, (uint8_t) l->lvt[0], false);
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
