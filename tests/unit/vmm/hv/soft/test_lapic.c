/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC by its registers (SDM volume 3 chapter 11); guest time stands still but where a test moves it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/le.h"
#include "tests/fake/vmm_soft_guest.h"
#include "vmm/hv/soft/soft_internal.h"

#define N_CPUS 4u

#define ID 0x20u
#define VERSION 0x30u
#define TPR 0x80u
#define PPR 0xa0u
#define EOI 0xb0u
#define LDR 0xd0u
#define DFR 0xe0u
#define SVR 0xf0u
#define ISR 0x100u
#define TMR 0x180u
#define IRR 0x200u
#define ESR 0x280u
#define ICR 0x300u
#define ICR2 0x310u
#define LVT_TIMER 0x320u
#define LVT_LINT0 0x350u
#define LVT_ERROR 0x370u
#define TMICT 0x380u
#define TMCCT 0x390u
#define TDCR 0x3e0u
#define SELF_IPI 0x3f0u

#define ENABLED 0x1ffu
#define MASKED 0x10000u
#define PERIODIC 0x20000u
#define DEADLINE 0x40000u
#define DIVIDE_BY_1 0xbu
#define LOWEST 0x100u
#define NMI 0x400u
#define INIT 0x500u
#define STARTUP 0x600u
#define LOGICAL 0x800u
#define ASSERT 0x4000u
#define LEVEL 0x8000u
#define TO_SELF 0x40000u
#define TO_ALL 0x80000u
#define TO_OTHERS 0xc0000u

#define BASE_XAPIC UINT64_C(0xfee00800)
#define BASE_X2APIC UINT64_C(0xfee00c00)
#define MSR(reg) (0x800u + (reg) / 16)

typedef struct Fixture {
        SoftGuest guest;
        SoftPartition *partition;
        Vcpu *others[N_CPUS];
        SoftCpu *cpu[N_CPUS];
        Lapic *lapic[N_CPUS];
} Fixture;

static uint32_t reg(Fixture *f, unsigned cpu, unsigned r) {
        return lapic_mmio_read(f->lapic[cpu], r);
}

static void set_reg(Fixture *f, unsigned cpu, unsigned r, uint32_t v) {
        lapic_mmio_write(f->lapic[cpu], r, v);
}

static int setup(void **state) {
        static Fixture f;
        const PartitionOps *ops;

        f = (Fixture){0};
        if (soft_guest_new(N_CPUS, &f.guest) < 0)
                return -1;
        f.partition = f.guest.cpu->partition;
        ops = f.guest.tiny->partition->ops;
        for (unsigned i = 0; i < N_CPUS; i++) {
                if (i > 0 && ops->vcpu_bind(f.guest.tiny->partition, i, &f.others[i]) < 0)
                        return -1;
                f.cpu[i] = soft_cpu(f.partition, i);
                f.lapic[i] = f.cpu[i]->lapic;
                set_reg(&f, i, SVR, ENABLED);
        }
        if (ops->pause_time(f.guest.tiny->partition, true) < 0)
                return -1;
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        for (unsigned i = 1; i < N_CPUS; i++)
                (void) vcpu_free(f->others[i]);
        soft_guest_deinit(&f->guest);
        return 0;
}

static void advance(Fixture *f, uint64_t nsec) {
        f->partition->paused_at_nsec += nsec;
}

static void poll_timer(Fixture *f) {
        lapic_timer_poll(f->lapic[0], soft_time_nsec(f->partition));
}

static void all_to_x2apic(Fixture *f) {
        for (unsigned i = 0; i < N_CPUS; i++)
                assert_true(lapic_set_base(f->lapic[i], BASE_X2APIC));
}

static bool requested(Fixture *f, unsigned cpu, unsigned vector) {
        VcpuApic apic;

        lapic_save(f->lapic[cpu], &apic);
        return le32_load(apic.registers + IRR + vector / 32 * 16) >> vector % 32 & 1;
}

/* Which processors have @vector in IRR, as a mask; they have not afterwards. */
static unsigned who_got(Fixture *f, unsigned vector) {
        unsigned mask = 0;

        for (unsigned i = 0; i < N_CPUS; i++)
                if (requested(f, i, vector)) {
                        mask |= 1u << i;
                        assert_int_equal(lapic_acknowledge(f->lapic[i]), vector);
                        if (!lapic_msr_write(f->lapic[i], MSR(EOI), 0))
                                set_reg(f, i, EOI, 0);
                }
        return mask;
}

static void send(Fixture *f, unsigned from, uint32_t dest, uint32_t command) {
        if (lapic_base(f->lapic[from]) & 0x400) {
                assert_true(
                        lapic_msr_write(f->lapic[from], MSR(ICR), (uint64_t) dest << 32 | command));
                return;
        }
        set_reg(f, from, ICR2, dest << 24);
        set_reg(f, from, ICR, command);
}

/* ---- priorities ---- */

static void test_highest_vector_is_taken_first(void **state) {
        Fixture *f = *state;

        send(f, 0, 0, 0x31);
        send(f, 0, 0, 0xf0);
        send(f, 0, 0, 0x45);
        assert_int_equal(lapic_acknowledge(f->lapic[0]), 0xf0);
        assert_int_equal(reg(f, 0, ISR + 7 * 16), 1u << 16);
        assert_int_equal(reg(f, 0, PPR), 0xf0);
        assert_int_equal(lapic_acknowledge(f->lapic[0]), -1); /* the others are below it */
        set_reg(f, 0, EOI, 0);
        assert_int_equal(lapic_acknowledge(f->lapic[0]), 0x45);
        set_reg(f, 0, EOI, 0);
        assert_int_equal(lapic_acknowledge(f->lapic[0]), 0x31);
        set_reg(f, 0, EOI, 0);
        assert_int_equal(reg(f, 0, PPR), 0);
        set_reg(f, 0, EOI, 0); /* one too many is nothing */
        assert_int_equal(lapic_acknowledge(f->lapic[0]), -1);
}

static void test_task_priority_holds_back_its_own_class(void **state) {
        Fixture *f = *state;

        set_reg(f, 0, TPR, 0x35);
        send(f, 0, 0, 0x3f);
        assert_false(lapic_pending(f->lapic[0]));
        send(f, 0, 0, 0x40);
        assert_true(lapic_pending(f->lapic[0]));
        assert_int_equal(lapic_acknowledge(f->lapic[0]), 0x40);
        set_reg(f, 0, EOI, 0);
        assert_false(lapic_pending(f->lapic[0]));
        lapic_set_tpr(f->lapic[0], 0x2f);
        assert_int_equal(lapic_tpr(f->lapic[0]), 0x2f);
        assert_true(lapic_pending(f->lapic[0]));
}

static void test_processor_priority_is_the_higher_of_task_and_service(void **state) {
        Fixture *f = *state;

        send(f, 0, 0, 0x52);
        assert_int_equal(lapic_acknowledge(f->lapic[0]), 0x52);
        set_reg(f, 0, TPR, 0x4f);
        assert_int_equal(reg(f, 0, PPR), 0x50);
        set_reg(f, 0, TPR, 0x53); /* the same class: all of the task's */
        assert_int_equal(reg(f, 0, PPR), 0x53);
        set_reg(f, 0, TPR, 0x61);
        assert_int_equal(reg(f, 0, PPR), 0x61);
}

static void test_an_interrupt_may_wait_behind_itself(void **state) {
        Fixture *f = *state;

        send(f, 0, 0, 0x60);
        assert_int_equal(lapic_acknowledge(f->lapic[0]), 0x60);
        send(f, 0, 0, 0x60);
        send(f, 0, 0, 0x60); /* and a third is one with the second */
        assert_int_equal(lapic_acknowledge(f->lapic[0]), -1);
        set_reg(f, 0, EOI, 0);
        assert_int_equal(lapic_acknowledge(f->lapic[0]), 0x60);
        set_reg(f, 0, EOI, 0);
        assert_int_equal(lapic_acknowledge(f->lapic[0]), -1);
}

static void test_only_level_triggered_ends_are_told_to_the_ioapic(void **state) {
        Fixture *f = *state;

        f->cpu[0]->io = &f->guest.tiny->io;
        lapic_message(f->partition, 0xfee00000, 0x71);
        assert_int_equal(lapic_acknowledge(f->lapic[0]), 0x71);
        set_reg(f, 0, EOI, 0);
        assert_int_equal(f->guest.tiny->eoi_vector, 0);
        lapic_message(f->partition, 0xfee00000, 0x71 | LEVEL | ASSERT);
        assert_int_equal(reg(f, 0, TMR + 3 * 16), 1u << 17);
        assert_int_equal(lapic_acknowledge(f->lapic[0]), 0x71);
        set_reg(f, 0, EOI, 0);
        assert_int_equal(f->guest.tiny->eoi_vector, 0x71);
        lapic_message(f->partition, 0xfee00000, 0x71);
        assert_int_equal(reg(f, 0, TMR + 3 * 16), 0); /* the last message says which kind it is */
}

/* ---- who is meant ---- */

static void test_physical_destination_is_one_processor_or_all(void **state) {
        Fixture *f = *state;

        send(f, 0, 2, 0x40);
        assert_int_equal(who_got(f, 0x40), 1u << 2);
        send(f, 1, 0xff, 0x41);
        assert_int_equal(who_got(f, 0x41), 0xf);
        send(f, 1, 9, 0x42);
        assert_int_equal(who_got(f, 0x42), 0);
        set_reg(f, 3, ID, 7u << 24);
        send(f, 0, 3, 0x43);
        assert_int_equal(who_got(f, 0x43), 0);
        send(f, 0, 7, 0x43);
        assert_int_equal(who_got(f, 0x43), 1u << 3);
}

static void test_shorthands_need_no_destination(void **state) {
        Fixture *f = *state;

        send(f, 2, 0, 0x44 | TO_SELF);
        assert_int_equal(who_got(f, 0x44), 1u << 2);
        send(f, 2, 0, 0x45 | TO_ALL);
        assert_int_equal(who_got(f, 0x45), 0xf);
        send(f, 2, 2, 0x46 | TO_OTHERS);
        assert_int_equal(who_got(f, 0x46), 0xf & ~(1u << 2));
}

static void test_flat_logical_destination_is_a_mask(void **state) {
        Fixture *f = *state;

        for (unsigned i = 0; i < N_CPUS; i++)
                set_reg(f, i, LDR, 1u << (24 + i));
        assert_int_equal(reg(f, 3, LDR), 8u << 24);
        send(f, 0, 0x5, 0x50 | LOGICAL);
        assert_int_equal(who_got(f, 0x50), 0x5);
        send(f, 0, 0x80, 0x51 | LOGICAL);
        assert_int_equal(who_got(f, 0x51), 0);
        send(f, 0, 0xff, 0x52 | LOGICAL);
        assert_int_equal(who_got(f, 0x52), 0xf);
        lapic_message(f->partition, 0xfee00000 | 6 << 12 | 4, 0x53);
        assert_int_equal(who_got(f, 0x53), 0x6);
}

static void test_cluster_logical_destination_is_a_cluster_and_a_mask(void **state) {
        Fixture *f = *state;

        for (unsigned i = 0; i < N_CPUS; i++) {
                set_reg(f, i, DFR, 0x0fffffff);
                assert_int_equal(reg(f, i, DFR), 0x0fffffff);
                set_reg(f, i, LDR, (i / 2) << 28 | 1u << (24 + i % 2));
        }
        send(f, 0, 0x03, 0x54 | LOGICAL);
        assert_int_equal(who_got(f, 0x54), 0x3);
        send(f, 0, 0x12, 0x55 | LOGICAL);
        assert_int_equal(who_got(f, 0x55), 0x8);
        send(f, 0, 0x23, 0x56 | LOGICAL);
        assert_int_equal(who_got(f, 0x56), 0);
        send(f, 0, 0xff, 0x57 | LOGICAL);
        assert_int_equal(who_got(f, 0x57), 0xf);
}

static void test_x2apic_logical_destination_is_derived_from_the_id(void **state) {
        Fixture *f = *state;
        uint64_t v;

        all_to_x2apic(f);
        assert_true(lapic_msr_read(f->lapic[3], MSR(LDR), &v));
        assert_int_equal(v, 1u << 3);
        send(f, 0, 0x9, 0x58 | LOGICAL);
        assert_int_equal(who_got(f, 0x58), 0x9);
        send(f, 0, 0x10009, 0x59 | LOGICAL); /* the second cluster, where nobody is */
        assert_int_equal(who_got(f, 0x59), 0);
        send(f, 0, UINT32_MAX, 0x5a | LOGICAL);
        assert_int_equal(who_got(f, 0x5a), 0xf);
        send(f, 0, UINT32_MAX, 0x5b);
        assert_int_equal(who_got(f, 0x5b), 0xf);
        send(f, 0, 0xff, 0x5c); /* which is all in xAPIC mode only */
        assert_int_equal(who_got(f, 0x5c), 0);
}

static void test_lowest_priority_goes_to_one_who_takes_it(void **state) {
        Fixture *f = *state;

        for (unsigned i = 0; i < N_CPUS; i++)
                set_reg(f, i, LDR, 1u << (24 + i));
        set_reg(f, 0, TPR, 0x20);
        set_reg(f, 1, TPR, 0x10);
        set_reg(f, 2, TPR, 0x10);
        set_reg(f, 3, SVR, 0xff); /* off */
        send(f, 0, 0xf, 0x5d | LOGICAL | LOWEST);
        assert_int_equal(who_got(f, 0x5d), 0x2);
        set_reg(f, 1, TPR, 0x30);
        send(f, 0, 0xf, 0x5d | LOGICAL | LOWEST);
        assert_int_equal(who_got(f, 0x5d), 0x4);
        send(f, 0, 0x8, 0x5d | LOGICAL | LOWEST);
        set_reg(f, 3, SVR, ENABLED);
        assert_int_equal(who_got(f, 0x5d), 0);
}

static void test_self_ipi_register_is_for_x2apic(void **state) {
        Fixture *f = *state;
        uint64_t v;

        set_reg(f, 1, SELF_IPI, 0x61);
        assert_int_equal(who_got(f, 0x61), 0);
        assert_false(lapic_msr_write(f->lapic[1], MSR(SELF_IPI), 0x61));
        all_to_x2apic(f);
        assert_true(lapic_msr_write(f->lapic[1], MSR(SELF_IPI), 0x61));
        assert_int_equal(who_got(f, 0x61), 1u << 1);
        assert_false(lapic_msr_write(f->lapic[1], MSR(SELF_IPI), 0x161));
        assert_false(lapic_msr_read(f->lapic[1], MSR(SELF_IPI), &v));
}

/* ---- what is no vectored interrupt ---- */

static void test_nmi_and_init_and_startup_reach_an_apic_that_is_off(void **state) {
        Fixture *f = *state;

        set_reg(f, 1, SVR, 0xff);
        atomic_store(&f->cpu[1]->attention, 0);
        send(f, 0, 1, NMI);
        assert_int_equal(atomic_load(&f->cpu[1]->nmi_requests), 1);
        assert_true(atomic_load(&f->cpu[1]->attention) & ATTENTION_NMI);
        send(f, 0, 1, INIT | LEVEL); /* de-assertion, which only old buses know */
        assert_false(atomic_load(&f->cpu[1]->attention) & ATTENTION_INIT);
        send(f, 0, 1, INIT | LEVEL | ASSERT);
        assert_true(atomic_load(&f->cpu[1]->attention) & ATTENTION_INIT);
        send(f, 0, 1, STARTUP | 0x9a);
        assert_true(atomic_load(&f->cpu[1]->attention) & ATTENTION_SIPI);
        assert_int_equal(atomic_load(&f->cpu[1]->sipi_vector), 0x9a);
        assert_int_equal(atomic_load(&f->cpu[2]->nmi_requests), 0);
}

static void test_init_keeps_the_mode_and_the_id(void **state) {
        Fixture *f = *state;
        uint64_t v;

        all_to_x2apic(f);
        send(f, 0, 2, 0x62);
        assert_true(lapic_msr_write(f->lapic[2], MSR(TPR), 0x10));
        lapic_reset(f->lapic[2], false, true);
        assert_int_equal(lapic_base(f->lapic[2]), BASE_X2APIC);
        assert_true(lapic_msr_read(f->lapic[2], MSR(ID), &v));
        assert_int_equal(v, 2);
        assert_true(lapic_msr_read(f->lapic[2], MSR(SVR), &v));
        assert_int_equal(v, 0xff);
        assert_true(lapic_msr_read(f->lapic[2], MSR(TPR), &v));
        assert_int_equal(v, 0);
        assert_false(requested(f, 2, 0x62));
        assert_true(lapic_msr_read(f->lapic[2], MSR(LVT_TIMER), &v));
        assert_int_equal(v, MASKED);
}

static void test_apic_that_is_off_takes_no_vector_and_masks_its_own(void **state) {
        Fixture *f = *state;

        set_reg(f, 0, LVT_TIMER, 0x40);
        set_reg(f, 0, SVR, 0xff);
        assert_int_equal(reg(f, 0, LVT_TIMER), 0x40 | MASKED);
        set_reg(f, 0, LVT_TIMER, 0x41);
        assert_int_equal(reg(f, 0, LVT_TIMER), 0x41 | MASKED);
        send(f, 1, 0, 0x63);
        set_reg(f, 0, SVR, ENABLED);
        assert_int_equal(who_got(f, 0x63), 0);
        assert_int_equal(reg(f, 0, LVT_TIMER), 0x41 | MASKED); /* not unmasked by itself */
}

/* ---- errors ---- */

static void test_illegal_vector_is_an_error_of_both_sides(void **state) {
        Fixture *f = *state;

        set_reg(f, 0, LVT_ERROR, 0xfe);
        set_reg(f, 1, LVT_ERROR, 0xfd | MASKED);
        send(f, 0, 1, 0x0f);
        assert_int_equal(reg(f, 0, ESR), 0); /* shown after a write */
        set_reg(f, 0, ESR, 0);
        set_reg(f, 1, ESR, 0);
        assert_int_equal(reg(f, 0, ESR), 0x20);
        assert_int_equal(reg(f, 1, ESR), 0x40);
        assert_int_equal(who_got(f, 0xfe), 1u << 0);
        assert_int_equal(who_got(f, 0xfd), 0);
        set_reg(f, 0, ESR, 0);
        assert_int_equal(reg(f, 0, ESR), 0);
}

static void test_error_entry_with_an_illegal_vector_ends(void **state) {
        Fixture *f = *state;

        set_reg(f, 0, LVT_ERROR, 0x05);
        send(f, 0, 0, 0x02);
        set_reg(f, 0, ESR, 0);
        assert_int_equal(reg(f, 0, ESR), 0x60);
}

/* ---- the timer ---- */

static void test_one_shot_timer_fires_once(void **state) {
        Fixture *f = *state;

        set_reg(f, 0, TDCR, DIVIDE_BY_1);
        set_reg(f, 0, LVT_TIMER, 0x70);
        assert_int_equal(reg(f, 0, TMCCT), 0);
        set_reg(f, 0, TMICT, 1000);
        assert_int_equal(reg(f, 0, TMCCT), 1000);
        advance(f, 999);
        poll_timer(f);
        assert_int_equal(reg(f, 0, TMCCT), 1);
        assert_int_equal(who_got(f, 0x70), 0);
        advance(f, 1);
        poll_timer(f);
        assert_int_equal(reg(f, 0, TMCCT), 0);
        assert_int_equal(who_got(f, 0x70), 1);
        advance(f, 5000);
        poll_timer(f);
        assert_int_equal(who_got(f, 0x70), 0);
        assert_int_equal(reg(f, 0, TMICT), 1000);
}

static void test_periodic_timer_keeps_its_beat_and_loses_what_nobody_took(void **state) {
        Fixture *f = *state;

        set_reg(f, 0, TDCR, DIVIDE_BY_1);
        set_reg(f, 0, LVT_TIMER, 0x71 | PERIODIC);
        set_reg(f, 0, TMICT, 1000);
        advance(f, 1100); /* a little late */
        assert_int_equal(reg(f, 0, TMCCT), 900);
        poll_timer(f);
        assert_int_equal(who_got(f, 0x71), 1);
        advance(f, 900);
        poll_timer(f);
        assert_int_equal(who_got(f, 0x71), 1);
        advance(f, 3500);
        poll_timer(f);
        poll_timer(f);
        assert_int_equal(who_got(f, 0x71), 1);
        assert_true(reg(f, 0, TMCCT) > 0);
        set_reg(f, 0, TMICT, 0); /* stops it */
        advance(f, 9000);
        poll_timer(f);
        assert_int_equal(who_got(f, 0x71), 0);
}

static void test_divider_is_read_from_its_scattered_bits(void **state) {
        static const struct {
                uint32_t tdcr, by;
        } dividers[] = {{0x0, 2},  {0x1, 4},  {0x2, 8},   {0x3, 16},
                        {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}};
        Fixture *f = *state;

        set_reg(f, 0, LVT_TIMER, 0x72);
        for (unsigned i = 0; i < sizeof(dividers) / sizeof(dividers[0]); i++) {
                set_reg(f, 0, TDCR, dividers[i].tdcr | 0xfffffff4u); /* the rest is not there */
                assert_int_equal(reg(f, 0, TDCR), dividers[i].tdcr);
                set_reg(f, 0, TMICT, 100);
                advance(f, 10 * dividers[i].by);
                assert_int_equal(reg(f, 0, TMCCT), 90);
        }
}

static void test_new_divider_goes_on_from_the_count(void **state) {
        Fixture *f = *state;

        set_reg(f, 0, TDCR, DIVIDE_BY_1);
        set_reg(f, 0, LVT_TIMER, 0x72);
        set_reg(f, 0, TMICT, 1000);
        advance(f, 400);
        set_reg(f, 0, TDCR, 0); /* by 2 */
        assert_int_equal(reg(f, 0, TMCCT), 600);
        advance(f, 200);
        assert_int_equal(reg(f, 0, TMCCT), 500);
        assert_int_equal(lapic_timer_due(f->lapic[0]), soft_time_nsec(f->partition) + 1000);
}

static void test_change_between_one_shot_and_periodic_goes_on(void **state) {
        Fixture *f = *state;

        set_reg(f, 0, TDCR, DIVIDE_BY_1);
        set_reg(f, 0, LVT_TIMER, 0x73);
        set_reg(f, 0, TMICT, 1000);
        advance(f, 700);
        set_reg(f, 0, LVT_TIMER, 0x73 | PERIODIC);
        assert_int_equal(reg(f, 0, TMCCT), 300);
        advance(f, 300);
        poll_timer(f);
        assert_int_equal(who_got(f, 0x73), 1);
        assert_int_equal(reg(f, 0, TMCCT), 1000);
}

static void test_timer_that_ran_out_unseen_does_not_go_on_when_it_becomes_periodic(void **state) {
        Fixture *f = *state;

        set_reg(f, 0, TDCR, DIVIDE_BY_1);
        set_reg(f, 0, LVT_TIMER, 0x73);
        set_reg(f, 0, TMICT, 1000);
        advance(f, 1100);
        set_reg(f, 0, LVT_TIMER, 0x73 | PERIODIC);
        assert_int_equal(reg(f, 0, TMCCT), 0);
        assert_int_equal(who_got(f, 0x73), 1);
        advance(f, 5000);
        poll_timer(f);
        assert_int_equal(reg(f, 0, TMCCT), 0);
        assert_int_equal(who_got(f, 0x73), 0);
}

static void test_masked_timer_counts_but_does_not_interrupt(void **state) {
        Fixture *f = *state;

        set_reg(f, 0, TDCR, DIVIDE_BY_1);
        set_reg(f, 0, LVT_TIMER, 0x74 | MASKED);
        set_reg(f, 0, TMICT, 10);
        advance(f, 5);
        assert_int_equal(reg(f, 0, TMCCT), 5);
        advance(f, 5);
        poll_timer(f);
        assert_int_equal(who_got(f, 0x74), 0);
}

static void test_deadline_is_a_time_stamp(void **state) {
        Fixture *f = *state;
        const uint64_t now = cpu_tsc(f->cpu[0]);

        lapic_set_deadline(f->lapic[0], now + 100); /* in another mode: nothing */
        assert_int_equal(lapic_deadline(f->lapic[0]), 0);
        set_reg(f, 0, LVT_TIMER, 0x75 | DEADLINE);
        lapic_set_deadline(f->lapic[0], now + 100);
        assert_int_equal(lapic_deadline(f->lapic[0]), now + 100);
        assert_int_equal(reg(f, 0, TMCCT), 0);
        set_reg(f, 0, TMICT, 7); /* of the other modes */
        assert_int_equal(reg(f, 0, TMICT), 0);
        advance(f, 100);
        poll_timer(f);
        assert_int_equal(who_got(f, 0x75), 1);
        assert_int_equal(lapic_deadline(f->lapic[0]), 0); /* disarmed by firing */
        lapic_set_deadline(f->lapic[0], now);             /* has passed: at once */
        poll_timer(f);
        assert_int_equal(who_got(f, 0x75), 1);
        lapic_set_deadline(f->lapic[0], now + 1000);
        lapic_set_deadline(f->lapic[0], 0);
        advance(f, 2000);
        poll_timer(f);
        assert_int_equal(who_got(f, 0x75), 0);
        lapic_set_deadline(f->lapic[0], now + 9000);
        set_reg(f, 0, LVT_TIMER, 0x75); /* leaving the mode disarms */
        advance(f, 9000);
        poll_timer(f);
        assert_int_equal(who_got(f, 0x75), 0);
}

/* ---- modes and registers ---- */

static void test_only_allowed_transitions_of_the_base_register(void **state) {
        Fixture *f = *state;
        Lapic *l = f->lapic[1];

        assert_false(lapic_set_base(l, UINT64_C(0xfee00400))); /* x2APIC without enable */
        assert_false(lapic_set_base(l, BASE_XAPIC | 1));
        assert_false(lapic_set_base(l, BASE_XAPIC | UINT64_C(1) << 40));
        assert_true(lapic_set_base(l, BASE_X2APIC));
        assert_false(lapic_set_base(l, BASE_XAPIC)); /* only through off */
        assert_true(lapic_set_base(l, UINT64_C(0xfee00000)));
        assert_false(lapic_claims(l, 0xfee00000));
        assert_false(lapic_set_base(l, BASE_X2APIC));
        assert_true(lapic_set_base(l, UINT64_C(0xfec10800)));
        assert_true(lapic_claims(l, 0xfec10020));
        assert_false(lapic_claims(l, 0xfee00020));
        assert_true(lapic_set_base(f->lapic[0], BASE_XAPIC));
        assert_int_equal(lapic_base(f->lapic[0]),
                         BASE_XAPIC | 0x100); /* who boots is not for writing */
}

static void test_x2apic_registers_that_do_not_exist_fault(void **state) {
        static const unsigned unreadable[] = {0x90,  EOI,   DFR,   0xc0, ICR2,
                                              0x3a0, 0x2f0, 0x3f0, 0x0,  0x10};
        static const unsigned unwritable[] = {ID,  VERSION, 0x90, PPR,   LDR,   DFR,  ISR,
                                              TMR, IRR,     ICR2, TMCCT, 0x3a0, 0x2f0};
        Fixture *f = *state;
        uint64_t v;

        assert_false(lapic_msr_read(f->lapic[0], MSR(ID), &v)); /* in xAPIC mode none does */
        assert_false(lapic_msr_write(f->lapic[0], MSR(TPR), 0));
        all_to_x2apic(f);
        for (unsigned i = 0; i < sizeof(unreadable) / sizeof(unreadable[0]); i++)
                assert_false(lapic_msr_read(f->lapic[0], MSR(unreadable[i]), &v));
        for (unsigned i = 0; i < sizeof(unwritable) / sizeof(unwritable[0]); i++)
                assert_false(lapic_msr_write(f->lapic[0], MSR(unwritable[i]), 0));
        assert_true(lapic_msr_read(f->lapic[0], MSR(VERSION), &v));
        assert_int_equal(v & 0xff, 0x14);
        assert_int_equal(v >> 16 & 0xff, 5); /* six LVT entries */
}

static void test_x2apic_reserved_bits_fault(void **state) {
        Fixture *f = *state;

        all_to_x2apic(f);
        assert_false(lapic_msr_write(f->lapic[0], MSR(EOI), 1));
        assert_false(lapic_msr_write(f->lapic[0], MSR(ESR), 1));
        assert_false(lapic_msr_write(f->lapic[0], MSR(TPR), 0x100));
        assert_false(lapic_msr_write(f->lapic[0], MSR(SVR), UINT64_C(1) << 32));
        assert_false(lapic_msr_write(f->lapic[0], MSR(ICR), 0x20040));
        assert_false(lapic_msr_write(f->lapic[0], MSR(ICR), 0x100040));
        assert_int_equal(who_got(f, 0x40), 0);
}

static void test_command_register_is_one_in_x2apic_and_two_in_xapic(void **state) {
        Fixture *f = *state;
        uint64_t v;

        send(f, 0, 1, 0x40);
        assert_int_equal(reg(f, 0, ICR), 0x40); /* never pending */
        assert_int_equal(reg(f, 0, ICR2), 1u << 24);
        all_to_x2apic(f);
        send(f, 0, 0x12345, 0x41);
        assert_true(lapic_msr_read(f->lapic[0], MSR(ICR), &v));
        assert_int_equal(v, UINT64_C(0x1234500000041));
}

static void test_pic_comes_in_on_lint0_of_the_boot_processor(void **state) {
        Fixture *f = *state;

        assert_false(lapic_accepts_extint(f->lapic[0]));
        set_reg(f, 0, LVT_LINT0, 0x700);
        assert_true(lapic_accepts_extint(f->lapic[0]));
        set_reg(f, 0, LVT_LINT0, 0x700 | MASKED);
        assert_false(lapic_accepts_extint(f->lapic[0]));
        set_reg(f, 0, LVT_LINT0, 0x30); /* fixed */
        assert_false(lapic_accepts_extint(f->lapic[0]));
        assert_true(
                lapic_set_base(f->lapic[0], UINT64_C(0xfee00000))); /* off: straight to the pin */
        assert_true(lapic_accepts_extint(f->lapic[0]));
        assert_false(lapic_accepts_extint(f->lapic[1]));
}

static void test_saved_registers_are_those_restored(void **state) {
        Fixture *f = *state;
        static VcpuApic before, after;

        send(f, 0, 0, 0x40);
        send(f, 0, 0, 0x81);
        assert_int_equal(lapic_acknowledge(f->lapic[0]), 0x81);
        lapic_message(f->partition, 0xfee00000, 0x71 | LEVEL | ASSERT);
        set_reg(f, 0, TPR, 0x22);
        set_reg(f, 0, LDR, 0x04000000);
        set_reg(f, 0, DFR, 0x0fffffff);
        set_reg(f, 0, TDCR, 3);
        set_reg(f, 0, LVT_TIMER, 0x30 | PERIODIC);
        set_reg(f, 0, TMICT, 123456);
        lapic_save(f->lapic[0], &before);
        lapic_reset(f->lapic[0], true, false);
        assert_true(lapic_restore(f->lapic[0], &before));
        lapic_save(f->lapic[0], &after);
        assert_memory_equal(&before, &after, sizeof(before));
        assert_true(lapic_timer_due(f->lapic[0]) != UINT64_MAX);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_highest_vector_is_taken_first),
                TEST(test_task_priority_holds_back_its_own_class),
                TEST(test_processor_priority_is_the_higher_of_task_and_service),
                TEST(test_an_interrupt_may_wait_behind_itself),
                TEST(test_only_level_triggered_ends_are_told_to_the_ioapic),
                TEST(test_physical_destination_is_one_processor_or_all),
                TEST(test_shorthands_need_no_destination),
                TEST(test_flat_logical_destination_is_a_mask),
                TEST(test_cluster_logical_destination_is_a_cluster_and_a_mask),
                TEST(test_x2apic_logical_destination_is_derived_from_the_id),
                TEST(test_lowest_priority_goes_to_one_who_takes_it),
                TEST(test_self_ipi_register_is_for_x2apic),
                TEST(test_nmi_and_init_and_startup_reach_an_apic_that_is_off),
                TEST(test_init_keeps_the_mode_and_the_id),
                TEST(test_apic_that_is_off_takes_no_vector_and_masks_its_own),
                TEST(test_illegal_vector_is_an_error_of_both_sides),
                TEST(test_error_entry_with_an_illegal_vector_ends),
                TEST(test_one_shot_timer_fires_once),
                TEST(test_periodic_timer_keeps_its_beat_and_loses_what_nobody_took),
                TEST(test_divider_is_read_from_its_scattered_bits),
                TEST(test_new_divider_goes_on_from_the_count),
                TEST(test_change_between_one_shot_and_periodic_goes_on),
                TEST(test_timer_that_ran_out_unseen_does_not_go_on_when_it_becomes_periodic),
                TEST(test_masked_timer_counts_but_does_not_interrupt),
                TEST(test_deadline_is_a_time_stamp),
                TEST(test_only_allowed_transitions_of_the_base_register),
                TEST(test_x2apic_registers_that_do_not_exist_fault),
                TEST(test_x2apic_reserved_bits_fault),
                TEST(test_command_register_is_one_in_x2apic_and_two_in_xapic),
                TEST(test_pic_comes_in_on_lint0_of_the_boot_processor),
                TEST(test_saved_registers_are_those_restored),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
