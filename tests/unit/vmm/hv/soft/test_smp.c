/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four processors on four threads: started as a kernel does, with INIT and STARTUP; locked arithmetic and a spin lock;
 * interrupts between them; code that one rewrites and the others run. `make MODE=tsan unit` looks for races in what the
 * processors share; those inside guest memory are the guest's own (tests/tsan.suppressions).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/le.h"
#include "tests/fake/vmm_tiny_guest.h"
#include "vmm/hv/soft/soft.h"
#include "vmm/hv/soft/soft_internal.h"

#define N_CPUS 4u
#define ROUNDS 2000
#define IPI_ROUNDS 300
#define VECTOR 0x30u
#define STOP_PORT 0xf4
#define LIMITED_BYTES 4096u
#define SWEEPS_MIN 50u /* far more than there are without a limit */

/* Where the guest counts. */
#define LOCKED 0x3000
#define ADDED 0x3004
#define SPIN_LOCK 0x3008
#define PROTECTED 0x300c
#define WORKED 0x3010
#define N_PROCESSORS 0x3012
#define GENERATION 0x3014
#define ANSWERS 0x3016
#define STALE 0x3018

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

/* At TINY_CODE, which the start-up vector 1 means as well; every processor begins at its first byte. */
__asm__(".pushsection .rodata\n"
        ".code16\n"
        "smp_code:\n"
        "        cli\n"
        "        xorw %ax, %ax\n"
        "        movw %ax, %ds\n"
        "        movw %ax, %ss\n"
        "        movl $0x1b, %ecx\n" /* x2APIC, whose registers real mode can reach */
        "        rdmsr\n"
        "        orl $0xc00, %eax\n"
        "        wrmsr\n"
        "        movl $0x80f, %ecx\n"
        "        movl $0x1ff, %eax\n"
        "        xorl %edx, %edx\n"
        "        wrmsr\n"
        "        movl $0x802, %ecx\n"
        "        rdmsr\n"
        "        movw %ax, %bx\n"
        "        shlw $8, %ax\n"
        "        addw $0x7000, %ax\n"
        "        movw %ax, %sp\n"
        "        testw %bx, %bx\n"
        "        jnz work\n"
        "        movl $0x830, %ecx\n"
        "        xorl %edx, %edx\n"
        "        movl $0xc4500, %eax\n" /* INIT to all others */
        "        wrmsr\n"
        "        movl $0xc4601, %eax\n" /* STARTUP at 0x1000 */
        "        wrmsr\n"
        "work:   movw $" TEXT(
                ROUNDS) ", %cx\n"
                        "again:  lock incl " TEXT(
                                LOCKED) "\n"
                                        "        movl $1, %eax\n"
                                        "        lock xaddl %eax, " TEXT(ADDED) "\n"
                                                                                "spin:   movb $1, "
                                                                                "%al\n"
                                                                                "        xchgb "
                                                                                "%al, " TEXT(
                                                                                        SPIN_LOCK) "\n"
                                                                                                   "        testb %al, %al\n"
                                                                                                   "        jz got\n"
                                                                                                   "        pause\n"
                                                                                                   "        jmp spin\n"
                                                                                                   "got:    incl " TEXT(PROTECTED) "\n"
                                                                                                                                   "        movb $0, " TEXT(SPIN_LOCK) "\n"
                                                                                                                                                                       "        loop again\n"
                                                                                                                                                                       "        lock incw " TEXT(WORKED) "\n"
                                                                                                                                                                                                         "        testw %bx, %bx\n"
                                                                                                                                                                                                         "        jz boss\n"
                                                                                                                                                                                                         "        sti\n"
                                                                                                                                                                                                         "idle:   hlt\n"
                                                                                                                                                                                                         "        jmp idle\n"
                                                                                                                                                                                                         "boss:   movw " TEXT(WORKED) ", %ax\n"
                                                                                                                                                                                                                                      "        pause\n"
                                                                                                                                                                                                                                      "        cmpw %ax, " TEXT(N_PROCESSORS) "\n"
                                                                                                                                                                                                                                                                              "        jne boss\n"
                                                                                                                                                                                                                                                                              "        movw $" TEXT(
                                                                                                                                                                                                                                                                                      IPI_ROUNDS) ", %di\n"
                                                                                                                                                                                                                                                                                                  "        movl $0x830, %ecx\n"
                                                                                                                                                                                                                                                                                                  "        xorl %edx, %edx\n"
                                                                                                                                                                                                                                                                                                  "round:  movw $0, " TEXT(
                                                                                                                                                                                                                                                                                                          ANSWERS) "\n"
                                                                                                                                                                                                                                                                                                                   "        incw " TEXT(
                                                                                                                                                                                                                                                                                                                           GENERATION) "\n"
                                                                                                                                                                                                                                                                                                                                       "        movw " TEXT(
                                                                                                                                                                                                                                                                                                                                               GENERATION) ", %ax\n"
                                                                                                                                                                                                                                                                                                                                                           "        movw %ax, 0x1000 + patched + 1 - smp_code\n"
                                                                                                                                                                                                                                                                                                                                                           "        movl $0xc4030, %eax\n" /* to all others */
                                                                                                                                                                                                                                                                                                                                                           "        wrmsr\n"
                                                                                                                                                                                                                                                                                                                                                           "answer: pause\n"
                                                                                                                                                                                                                                                                                                                                                           "        movw " TEXT(
                                                                                                                                                                                                                                                                                                                                                                   ANSWERS) ", %ax\n"
                                                                                                                                                                                                                                                                                                                                                                            "        incw %ax\n"
                                                                                                                                                                                                                                                                                                                                                                            "        cmpw %ax, " TEXT(N_PROCESSORS) "\n"
                                                                                                                                                                                                                                                                                                                                                                                                                    "        jne answer\n"
                                                                                                                                                                                                                                                                                                                                                                                                                    "        decw %di\n"
                                                                                                                                                                                                                                                                                                                                                                                                                    "        jnz round\n"
                                                                                                                                                                                                                                                                                                                                                                                                                    "        outb %al, $" TEXT(
                                                                                                                                                                                                                                                                                                                                                                                                                            STOP_PORT) "\n"
                                                                                                                                                                                                                                                                                                                                                                                                                                       "        hlt\n"
                                                                                                                                                                                                                                                                                                                                                                                                                                       "smp_handler:\n"
                                                                                                                                                                                                                                                                                                                                                                                                                                       "        call patched\n"
                                                                                                                                                                                                                                                                                                                                                                                                                                       "        cmpw %ax, " TEXT(GENERATION) "\n"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                             "        je fresh\n"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                             "        lock incw " TEXT(
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     STALE) "\n"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                            "fresh:  lock incw " TEXT(ANSWERS) "\n"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               "        movl $0x80b, %ecx\n"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               "        xorl %eax, %eax\n"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               "        xorl %edx, %edx\n"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               "        wrmsr\n"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               "        iretw\n"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               "patched: movw $0x1234, %ax\n"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               "        retw\n"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               "smp_end:\n"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               ".code64\n"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               ".popsection\n");
extern const uint8_t smp_code[], smp_handler[], smp_end[];

typedef struct Processor {
        TinyGuest *guest;
        unsigned index;
        bool limited; /* as work_together() has it */
        pthread_barrier_t *bound;
        HaltReason halt;
} Processor;

/* Who ends the machine wakes the others, as the machine's own code does. */
static void write_port(void *machine, uint16_t port, unsigned size, uint64_t value) {
        TinyGuest *guest = machine;

        if (port != STOP_PORT)
                return;
        atomic_store(&guest->stop, true);
        for (unsigned i = 0; i < N_CPUS; i++)
                guest->partition->ops->kick(guest->partition, i);
}

static void limit_blocks(TinyGuest *guest, unsigned index) {
        block_cache_limit(soft_cpu((SoftPartition *) guest->partition, index)->cache, LIMITED_BYTES,
                          LIMITED_BYTES);
}

static void *processor_main(void *userdata) {
        Processor *p = userdata;
        Partition *partition = p->guest->partition;
        Vcpu *vcpu = NULL;

        if (partition->ops->vcpu_bind(partition, p->index, &vcpu) < 0)
                return NULL;
        if (p->limited)
                limit_blocks(p->guest, p->index);
        (void) pthread_barrier_wait(p->bound);
        p->halt = vcpu->ops->run(vcpu, &p->guest->io, &p->guest->stop);
        (void) vcpu_free(vcpu);
        return NULL;
}

/* @limited: with room for hardly more than one block at a time, so that blocks make room for others all the time */
static void work_together(bool limited, bool foreign_writers) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = NULL;
        pthread_barrier_t bound;
        pthread_t threads[N_CPUS];
        Processor processors[N_CPUS];
        const uint8_t *data;

        assert_int_equal(tiny_guest_new(&soft_hv_ops, N_CPUS, &guest, NULL), 0);
        ((SoftPartition *) guest->partition)->foreign_writers = foreign_writers;
        guest->io.pio_write = write_port;
        assert_int_equal(tiny_guest_start(guest, smp_code, (size_t) (smp_end - smp_code)), 0);
        le16_store(guest_mem_ptr(guest->mem, VECTOR * 4, 4),
                   (uint16_t) (TINY_CODE + (smp_handler - smp_code)));
        data = guest_mem_ptr(guest->mem, 0x3000, 0x20);
        le16_store(guest_mem_ptr(guest->mem, N_PROCESSORS, 2), N_CPUS);

        assert_int_equal(pthread_barrier_init(&bound, NULL, N_CPUS), 0);
        for (unsigned i = 1; i < N_CPUS; i++) {
                processors[i] = (Processor){
                        .guest = guest, .index = i, .limited = limited, .bound = &bound};
                assert_int_equal(pthread_create(&threads[i], NULL, processor_main, &processors[i]),
                                 0);
        }
        if (limited)
                limit_blocks(guest, 0);
        (void) pthread_barrier_wait(&bound);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        for (unsigned i = 1; i < N_CPUS; i++) {
                assert_int_equal(pthread_join(threads[i], NULL), 0);
                assert_int_equal(processors[i].halt, HALT_STOP);
        }
        (void) pthread_barrier_destroy(&bound);
        for (unsigned i = 0; i < N_CPUS && limited; i++)
                assert_true(soft_cpu((SoftPartition *) guest->partition, i)->generation[WAY_YOUNG] >
                            SWEEPS_MIN);

        assert_int_equal(le32_load(data + LOCKED - 0x3000), N_CPUS * ROUNDS);
        assert_int_equal(le32_load(data + ADDED - 0x3000), N_CPUS * ROUNDS);
        assert_int_equal(le32_load(data + PROTECTED - 0x3000), N_CPUS * ROUNDS);
        assert_int_equal(le16_load(data + GENERATION - 0x3000), IPI_ROUNDS);
        assert_int_equal(le16_load(data + STALE - 0x3000), 0);
}

static void test_processors_work_together(void **state) {
        (void) state;
        work_together(false, false);
}

static void test_processors_work_together_with_little_room_for_blocks(void **state) {
        (void) state;
        work_together(true, false);
}

static void test_processors_work_together_in_memory_that_others_write(void **state) {
        (void) state;
        work_together(false, true);
}

static void
test_processors_work_together_with_little_room_in_memory_that_others_write(void **state) {
        (void) state;
        work_together(true, true);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_processors_work_together),
                cmocka_unit_test(test_processors_work_together_with_little_room_for_blocks),
                cmocka_unit_test(test_processors_work_together_in_memory_that_others_write),
                cmocka_unit_test(
                        test_processors_work_together_with_little_room_in_memory_that_others_write),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
