/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between local APICs and from devices. */
#include "vmm/hv/soft/lapic.h"
#include "vmm/hv/soft/soft_internal.h"

#define ICR_LEVEL_ASSERT 0x4000u
#define ICR_TRIGGER_LEVEL 0x8000u
#define ESR_SEND_ILLEGAL_VECTOR 0x20u

static bool logical_match(Lapic *l, uint32_t dest) {
        if (lapic_is_x2apic(l))
                return dest >> 16 == l->ldr >> 16 && (dest & l->ldr & 0xffff);
        if (l->dfr >> 28 == 0xf)
                return dest & l->ldr >> 24;
        return dest >> 4 == l->ldr >> 28 && (dest & l->ldr >> 24 & 15);
}

static bool physical_match(const Lapic *l, uint32_t dest) {
        return (lapic_is_x2apic(l) ? l->id : l->xapic_id) == dest;
}

static void deliver_one(Lapic *l, unsigned mode, uint8_t vector, bool level, bool assert_level) {
        switch (mode) {
        case DELIVERY_FIXED:
        case DELIVERY_LOWEST:
                lapic_accept(l, vector, level);
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

                if (cpu && is_addressed(cpu->lapic, to) && lapic_takes_vectors(cpu->lapic) &&
                    (!best || cpu->lapic->tpr < best->tpr))
                        best = cpu->lapic;
        }
        if (best)
                lapic_accept(best, vector, level);
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

/** lapic_send_ipi() - what a write of @icr, the interrupt command register, sends (SDM volume 3 section 11.6.1) */
void lapic_send_ipi(Lapic *l, uint64_t icr) {
        const unsigned shorthand = icr >> 18 & 3, mode = icr >> 8 & 7;
        const uint8_t vector = (uint8_t) icr;
        Destination to = {.id = (uint32_t) (icr >> 32), .logical = icr & 0x800};

        if (!lapic_is_x2apic(l))
                to.id >>= 24;
        to.broadcast = shorthand >= 2 || to.id == (lapic_is_x2apic(l) ? UINT32_MAX : 0xff);
        if (shorthand == 3)
                to.except = l;
        if (mode <= DELIVERY_LOWEST && vector < VECTOR_MIN)
                lapic_error(l, ESR_SEND_ILLEGAL_VECTOR);
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
