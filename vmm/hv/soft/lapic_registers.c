/* SPDX-License-Identifier: Apache-2.0 */
/* A local APIC's registers, by number, in memory (xAPIC) and as MSRs (x2APIC). */
#include <string.h>

#include "vmm/hv/soft/lapic.h"
#include "vmm/hv/soft/soft_internal.h"

#define VERSION 0x00050014u
#define ICR_X2APIC_RESERVED UINT64_C(0xfff32000)

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
                *ret = lapic_is_x2apic(l) ? l->id : l->xapic_id << 24;
                return true;
        case REG_VERSION:
                *ret = VERSION;
                return true;
        case REG_TPR:
                *ret = l->tpr;
                return true;
        case REG_APR:
                *ret = 0;
                return !lapic_is_x2apic(l);
        case REG_PPR:
                *ret = lapic_priority(l);
                return true;
        case REG_LDR:
                *ret = l->ldr;
                return true;
        case REG_DFR:
                *ret = l->dfr;
                return !lapic_is_x2apic(l);
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
                return !lapic_is_x2apic(l);
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
                if (lapic_is_x2apic(l))
                        return false;
                l->xapic_id = v >> 24;
                return true;
        case REG_TPR:
                if (lapic_is_x2apic(l) && v >> 8)
                        return false;
                l->tpr = v & 0xff;
                cpu_attention(l->cpu, ATTENTION_INTERRUPT);
                return true;
        case REG_EOI:
                if (lapic_is_x2apic(l) && v != 0)
                        return false;
                lapic_eoi(l);
                return true;
        case REG_LDR:
                if (lapic_is_x2apic(l))
                        return false;
                l->ldr = v & 0xff000000u;
                return true;
        case REG_DFR:
                if (lapic_is_x2apic(l))
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
                if (lapic_is_x2apic(l) && v != 0)
                        return false;
                pthread_mutex_lock(&l->lock);
                l->esr = l->esr_latched;
                l->esr_latched = 0;
                pthread_mutex_unlock(&l->lock);
                return true;
        case REG_ICR:
                l->icr = (l->icr & ~UINT64_C(0xffffffff)) | (v & ~0x1000u);
                lapic_send_ipi(l, l->icr);
                return true;
        case REG_ICR2:
                if (lapic_is_x2apic(l))
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
                if (!lapic_is_x2apic(l) || v >> 8)
                        return false;
                lapic_accept(l, (uint8_t) v, false);
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

        if (!lapic_is_x2apic(l))
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

        if (!lapic_is_x2apic(l))
                return false;
        if (reg == REG_ICR) {
                if (v & ICR_X2APIC_RESERVED)
                        return false;
                l->icr = v & ~UINT64_C(0x1000);
                lapic_send_ipi(l, l->icr);
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

        if (!lapic_base_is_possible(l, state->base_msr))
                return false;
        l->base = state->base_msr;
        if (!lapic_is_x2apic(l)) {
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
