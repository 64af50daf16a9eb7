/* SPDX-License-Identifier: Apache-2.0 */
/* Translated loops: nothing but a look at the budget, the attention word and the code's version ever gets out of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/le.h"
#include "tests/fake/vmm_soft_guest.h"
#include "vmm/hv/soft/native.h"
#include "vmm/hv/soft/soft_internal.h"

#define CODE UINT64_C(0x40000000)
#define ALIAS UINT64_C(0x50000000)
#define DATA UINT64_C(0x60000000)
#define CODE_GPA UINT64_C(0x100000)
#define DATA_GPA UINT64_C(0x110000)
#define HANDLER (CODE + 0x800)
#define GDT (DATA + 0x400)
#define IDT (DATA + 0x500)
#define STACK (DATA + 0x400)
#define KERNEL_CS 8u
#define VECTOR 0x30u

#define KICKS 30u
#define WRITES 10u
#define TICKS 5u
#define TICK_COUNT 20000u

#define X2APIC_SVR 0x80fu
#define X2APIC_LVT_TIMER 0x832u
#define X2APIC_INITIAL_COUNT 0x838u
#define X2APIC_DIVIDE 0x83eu
#define DIVIDE_BY_1 0xbu
#define LVT_PERIODIC 0x20000u

static int setup_with_heat(void **state, uint32_t heat) {
        static SoftGuest guest;

        if (soft_guest_new(1, &guest) < 0)
                return -1;
        soft_guest_map(&guest, CODE, CODE_GPA, SOFT_MAP_WRITE);
        soft_guest_map(&guest, ALIAS, CODE_GPA, SOFT_MAP_WRITE);
        soft_guest_map(&guest, DATA, DATA_GPA, SOFT_MAP_WRITE);
        memset(soft_guest_memory(&guest, CODE_GPA), 0xf4, 0x1000);
        soft_guest_long_mode(&guest, 0);
        guest.cpu->native_heat = heat;
        *state = &guest;
        return 0;
}

static int setup_at_first_sight(void **state) {
        return setup_with_heat(state, 1);
}

static int foreign(void **state, int r) {
        if (r == 0)
                ((SoftGuest *) *state)->cpu->foreign_writers = true;
        return r;
}

static int setup_foreign_at_first_sight(void **state) {
        return foreign(state, setup_at_first_sight(state));
}

static int setup_when_hot(void **state) {
        return setup_with_heat(state, NATIVE_HEAT);
}

static int setup_interpreted(void **state) {
        return setup_with_heat(state, NATIVE_HEAT_NEVER);
}

static int setup_foreign_when_hot(void **state) {
        return foreign(state, setup_when_hot(state));
}

static int setup_foreign_interpreted(void **state) {
        return foreign(state, setup_interpreted(state));
}

static int teardown(void **state) {
        soft_guest_deinit(*state);
        return 0;
}

static void put(SoftGuest *g, uint64_t va, const char *bytes, size_t len) {
        memcpy(soft_guest_memory(g, CODE_GPA + (va - CODE)), bytes, len);
        guest_mem_written(g->tiny->mem, CODE_GPA + (va - CODE), len);
}
#define PUT(g, va, bytes) put(g, va, bytes, sizeof(bytes) - 1)

static _Atomic uint32_t *word(SoftGuest *g, uint64_t va) {
        return (_Atomic uint32_t *) (void *) soft_guest_memory(g, DATA_GPA + (va - DATA));
}

/* ---- somebody beside the processor ---- */

typedef struct Helper {
        SoftGuest *guest;
        void (*act)(struct Helper *);
        pthread_t thread;
} Helper;

static void stop(SoftGuest *g) {
        atomic_store(&g->tiny->stop, true);
        g->tiny->partition->ops->kick(g->tiny->partition, 0);
}

static void *helper_main(void *userdata) {
        Helper *helper = userdata;

        while (!atomic_load(&helper->guest->cpu->partition->in_guest[0]))
                sched_yield();
        helper->act(helper);
        stop(helper->guest);
        return NULL;
}

/* Runs the processor from @rip on this thread until @act on another is over. */
static void run_beside(SoftGuest *g, uint64_t rip, void (*act)(Helper *)) {
        Helper helper = {.guest = g, .act = act};

        g->cpu->rip = rip;
        atomic_store(&g->tiny->stop, false);
        assert_int_equal(pthread_create(&helper.thread, NULL, helper_main, &helper), 0);
        assert_int_equal(tiny_guest_run(g->tiny), HALT_STOP);
        assert_int_equal(pthread_join(helper.thread, NULL), 0);
}

/* Lets the loop at @rip run for a while, after which it must be translated. */
static void warm(SoftGuest *g, uint64_t rip) {
        g->cpu->rip = rip;
        assert_int_equal(soft_guest_blocks(g, 4 * NATIVE_HEAT), 0);
        g->cpu->rip = rip;
        assert_non_null(block_find(g->cpu)->chain);
}

/* ---- tests ---- */

static void nothing(Helper *helper) {
}

static void test_jump_to_itself_is_left_when_kicked(void **state) {
        SoftGuest *g = *state;

        PUT(g, CODE, "\xeb\xfe");
        warm(g, CODE);
        for (unsigned i = 0; i < KICKS; i++) {
                run_beside(g, CODE, nothing);
                assert_int_equal(g->cpu->rip, CODE);
        }
}

static void wait_for_a_round(Helper *helper) {
        _Atomic uint32_t *count = word(helper->guest, DATA);
        const uint32_t before = atomic_load(count);

        while (atomic_load(count) == before)
                sched_yield();
}

static void test_loop_over_linked_blocks_is_left_when_kicked(void **state) {
        SoftGuest *g = *state;

        PUT(g, CODE, "\xff\x07\xeb\x7c");                /* incl (%rdi); jmp CODE + 0x80 */
        PUT(g, CODE + 0x80, "\x90\xe9\x7a\xff\xff\xff"); /* nop; jmp CODE */
        g->cpu->r[RDI] = DATA;
        warm(g, CODE);
        for (unsigned i = 0; i < KICKS; i++)
                run_beside(g, CODE, wait_for_a_round);
}

/* 1000 rounds that add an immediate, which the 501st changes through another mapping of the page. */
static void test_loop_follows_its_own_store_through_an_alias(void **state) {
        static const char loop[] = "\xb9\xe8\x03\x00\x00"     /* mov $1000, %ecx */
                                   "\x31\xd2"                 /* xor %edx, %edx */
                                   "\xb8\x01\x00\x00\x00"     /* again: mov $1, %eax */
                                   "\x01\xc2"                 /* add %eax, %edx */
                                   "\x81\xf9\xf4\x01\x00\x00" /* cmp $500, %ecx */
                                   "\x75\x06"                 /* jne over */
                                   "\xc7\x07\x02\x00\x00\x00" /* movl $2, (%rdi) */
                                   "\xff\xc9"                 /* over: dec %ecx */
                                   "\x75\xe7"                 /* jnz again */
                                   "\x0f\x0b";                /* ud2 */
        SoftGuest *g = *state;

        PUT(g, CODE, loop);
        for (unsigned i = 0; i < 3; i++) {
                PUT(g, CODE + 8, "\x01\x00\x00\x00");
                g->cpu->rip = CODE;
                g->cpu->r[RDI] = ALIAS + 8;
                assert_int_equal(soft_guest_blocks(g, 10000), 1);
                assert_int_equal(g->cpu->fault_vector, EXC_UD);
                assert_int_equal(g->cpu->r[RDX], 501 + 499 * 2);
        }
}

/* A device writes new immediates into the running loop, and each must be seen. */
static void change_by_dma(Helper *helper) {
        SoftGuest *g = helper->guest;
        uint8_t bytes[4];

        for (uint32_t value = 1; value <= WRITES; value++) {
                le32_store(bytes, value);
                assert_int_equal(guest_mem_write(g->tiny->mem, CODE_GPA + 1, bytes, sizeof(bytes)),
                                 0);
                while (atomic_load(word(g, DATA)) != value)
                        sched_yield();
        }
}

/* The same by one that tells nobody. */
static void change_by_foreign_dma(Helper *helper) {
        SoftGuest *g = helper->guest;

        for (uint32_t value = 1; value <= WRITES; value++) {
                le32_store(soft_guest_memory(g, CODE_GPA + 1), value);
                while (atomic_load(word(g, DATA)) != value)
                        sched_yield();
        }
}

static void follow_a_device(SoftGuest *g, void (*act)(Helper *)) {

        PUT(g, CODE,
            "\xb8\x00\x00\x00\x00\x89\x07\xeb\xf7"); /* mov $0, %eax; mov %eax, (%rdi); jmp CODE */
        g->cpu->r[RDI] = DATA;
        if (g->cpu->native_heat != NATIVE_HEAT_NEVER)
                warm(g, CODE);
        run_beside(g, CODE, act);
        assert_int_equal(atomic_load(word(g, DATA)), WRITES);
}

static void test_loop_follows_what_a_device_writes(void **state) {
        follow_a_device(*state, change_by_dma);
}

static void test_loop_follows_what_a_foreign_writer_writes(void **state) {
        follow_a_device(*state, change_by_foreign_dma);
}

static void prepare_timer(SoftGuest *g) {
        Lapic *apic = g->cpu->lapic;
        SoftCpu *c = g->cpu;
        uint8_t *gate = soft_guest_memory(g, DATA_GPA + (IDT - DATA) + 16 * VECTOR);

        le64_store(soft_guest_memory(g, DATA_GPA + (GDT - DATA) + KERNEL_CS),
                   UINT64_C(0x00af9b000000ffff));
        le64_store(gate, (HANDLER & 0xffff) | KERNEL_CS << 16 | UINT64_C(0x8e00) << 32 |
                                 (HANDLER >> 16 & 0xffff) << 48);
        le64_store(gate + 8, HANDLER >> 32);
        c->gdt_base = GDT;
        c->gdt_limit = 0xf;
        c->idt_base = IDT;
        c->idt_limit = 16 * (VECTOR + 1) - 1;
        c->seg[SEG_CS].selector = KERNEL_CS;
        c->seg[SEG_SS].selector = 0;
        c->flags |= FLAG_IF;
        c->r[RSP] = STACK;
        assert_true(lapic_set_base(apic, UINT64_C(0xfee00d00)));
        assert_true(lapic_msr_write(apic, X2APIC_SVR, 0x1ff));
        assert_true(lapic_msr_write(apic, X2APIC_DIVIDE, DIVIDE_BY_1));
        assert_true(lapic_msr_write(apic, X2APIC_LVT_TIMER, VECTOR | LVT_PERIODIC));
        assert_true(lapic_msr_write(apic, X2APIC_INITIAL_COUNT, TICK_COUNT));
}

static void wait_for_ticks(Helper *helper) {
        while (atomic_load(word(helper->guest, DATA)) < TICKS)
                sched_yield();
}

static void test_timer_interrupts_a_jump_to_itself(void **state) {
        SoftGuest *g = *state;

        PUT(g, CODE, "\xeb\xfe");
        /* incl (%rdi); mov $0x80b, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr; iretq */
        PUT(g, HANDLER, "\xff\x07\xb9\x0b\x08\x00\x00\x31\xc0\x31\xd2\x0f\x30\x48\xcf");
        g->cpu->r[RDI] = DATA;
        warm(g, CODE);
        prepare_timer(g);
        run_beside(g, CODE, wait_for_ticks);
}

#define TRANSLATED(f)                                                                              \
        cmocka_unit_test_setup_teardown(f, setup_at_first_sight, teardown),                        \
                cmocka_unit_test_setup_teardown(f, setup_when_hot, teardown)
#define EVERY(f) TRANSLATED(f), cmocka_unit_test_setup_teardown(f, setup_interpreted, teardown)

#define FOREIGN(f)                                                                                 \
        cmocka_unit_test_setup_teardown(f, setup_foreign_at_first_sight, teardown),                \
                cmocka_unit_test_setup_teardown(f, setup_foreign_when_hot, teardown)
#define EVERY_FOREIGN(f)                                                                           \
        FOREIGN(f), cmocka_unit_test_setup_teardown(f, setup_foreign_interpreted, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TRANSLATED(test_jump_to_itself_is_left_when_kicked),
                TRANSLATED(test_loop_over_linked_blocks_is_left_when_kicked),
                EVERY(test_loop_follows_its_own_store_through_an_alias),
                EVERY(test_loop_follows_what_a_device_writes),
                TRANSLATED(test_timer_interrupts_a_jump_to_itself),
                FOREIGN(test_jump_to_itself_is_left_when_kicked),
                FOREIGN(test_loop_over_linked_blocks_is_left_when_kicked),
                EVERY_FOREIGN(test_loop_follows_its_own_store_through_an_alias),
                EVERY_FOREIGN(test_loop_follows_what_a_device_writes),
                EVERY_FOREIGN(test_loop_follows_what_a_foreign_writer_writes),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
