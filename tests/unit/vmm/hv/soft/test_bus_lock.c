/* SPDX-License-Identifier: Apache-2.0 */
/* Locked operations across cache lines: which they are, and how a guest that makes too many rests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/clock.h"
#include "base/le.h"
#include "tests/fake/vmm_soft_guest.h"
#include "vmm/hv/soft/soft_internal.h"

#define CODE_VA UINT64_C(0x400000)
#define CODE_GPA 0x50000u
#define VA UINT64_C(0x600000)
#define GPA 0x60000u
#define LINES 0x7cu  /* four bytes in each of two cache lines */
#define PAGES 0xffcu /* and of two pages */
#define ALLOWED 2u
#define HOUR (3600 * NSEC_PER_SEC)

static SoftGuest guest;

static int setup_limited(void **state, uint32_t per_sec) {
        const HvConfig config = {.n_vcpus = 1, .threads_per_core = 1, .bus_locks_per_sec = per_sec};

        if (soft_guest_new_with(&config, &guest) < 0)
                return -1;
        soft_guest_map(&guest, CODE_VA, CODE_GPA, SOFT_MAP_WRITE);
        soft_guest_map(&guest, VA, GPA, SOFT_MAP_WRITE);
        soft_guest_map(&guest, VA + 0x1000, GPA + 0x1000, SOFT_MAP_WRITE);
        memset(soft_guest_memory(&guest, GPA), 0, 0x2000);
        soft_guest_long_mode(&guest, 0);
        guest.cpu->native_heat = 1;
        guest.cpu->partition->bus_locks.window_nsec = HOUR; /* never over by itself */
        *state = &guest;
        return 0;
}

static int setup(void **state) {
        return setup_limited(state, ALLOWED);
}

static int setup_without(void **state) {
        return setup_limited(state, 0);
}

static int teardown(void **state) {
        soft_guest_deinit(*state);
        return 0;
}

static void put_code(SoftGuest *g, const void *code, size_t len) {
        memcpy(soft_guest_memory(g, CODE_GPA), code, len);
        memcpy(soft_guest_memory(g, CODE_GPA + len), "\x0f\x0b", 2); /* ud2 */
        guest_mem_written(g->tiny->mem, CODE_GPA, len + 2);
        g->cpu->rip = CODE_VA;
}

/* Return: how many bus locks the instruction makes, translated or not. */
static uint64_t count(SoftGuest *g, const void *code, size_t len, uint64_t offset) {
        SoftCpu *c = g->cpu;
        uint64_t made;

        c->r[RBX] = VA + offset;
        c->r[RCX] = 5;
        put_code(g, code, len);
        assert_int_equal(soft_guest_blocks(g, 8), 1);
        assert_int_equal(c->fault_vector, EXC_UD);
        made = c->bus_locks;
        c->bus_locks = 0;
        return made;
}
#define COUNT(g, code, offset) count(g, code, sizeof(code) - 1, offset)

static const struct {
        const char *code;
        size_t len;
} locked[] = {
#define CODE(bytes)                                                                                \
        { bytes, sizeof(bytes) - 1 }
        CODE("\xf0\x48\xff\x03"),         /* lock incq (%rbx) */
        CODE("\xf0\x48\x01\x03"),         /* lock add %rax, (%rbx) */
        CODE("\xf0\x48\x83\x2b\x02"),     /* lock subq $2, (%rbx) */
        CODE("\x48\x87\x03"),             /* xchg %rax, (%rbx) */
        CODE("\xf0\x48\x0f\xc1\x03"),     /* lock xadd %rax, (%rbx) */
        CODE("\xf0\x48\x0f\xb1\x0b"),     /* lock cmpxchg %rcx, (%rbx) */
        CODE("\xf0\x48\x0f\xba\x2b\x21"), /* lock btsq $33, (%rbx) */
        CODE("\xf0\x48\x0f\xab\x0b"),     /* lock bts %rcx, (%rbx) */
        CODE("\xf0\x0f\xc7\x0b"),         /* lock cmpxchg8b (%rbx) */
};

static void test_each_locked_operation_across_lines_is_one(void **state) {
        for (size_t i = 0; i < sizeof(locked) / sizeof(*locked); i++) {
                assert_int_equal(count(*state, locked[i].code, locked[i].len, LINES), 1);
                assert_int_equal(count(*state, locked[i].code, locked[i].len, PAGES), 1);
        }
}

static void test_a_locked_operation_within_a_line_is_none(void **state) {
        for (size_t i = 0; i < sizeof(locked) / sizeof(*locked); i++) {
                assert_int_equal(count(*state, locked[i].code, locked[i].len, 0), 0);
                assert_int_equal(count(*state, locked[i].code, locked[i].len, 0x78), 0);
                assert_int_equal(count(*state, locked[i].code, locked[i].len, 3), 0);
        }
}

static void test_an_operation_that_is_not_locked_is_none(void **state) {
        assert_int_equal(COUNT(*state, "\x48\xff\x03", LINES), 0);         /* incq (%rbx) */
        assert_int_equal(COUNT(*state, "\x48\x0f\xc1\x03", LINES), 0);     /* xadd */
        assert_int_equal(COUNT(*state, "\x48\x0f\xb1\x0b", LINES), 0);     /* cmpxchg */
        assert_int_equal(COUNT(*state, "\x48\x0f\xba\x2b\x21", LINES), 0); /* btsq */
        assert_int_equal(COUNT(*state, "\x0f\xc7\x0b", LINES), 0);         /* cmpxchg8b */
        assert_int_equal(COUNT(*state, "\x48\x0f\xc1\x03", PAGES), 0);     /* xadd */
        assert_int_equal(COUNT(*state, "\xf0\xff\x03", LINES + 4), 0);     /* lock incl */
}

static void test_an_operation_that_faults_is_none(void **state) {
        SoftGuest *g = *state;

        g->cpu->r[RBX] = VA + 0x1ffc; /* nothing is behind */
        put_code(g, "\xf0\x48\xff\x03", 4);
        assert_int_equal(soft_guest_blocks(g, 8), 1);
        assert_int_equal(g->cpu->fault_vector, EXC_PF);
        assert_int_equal(g->cpu->bus_locks, 0);
}

static void test_nothing_is_counted_without_a_limit(void **state) {
        SoftGuest *g = *state;

        for (size_t i = 0; i < sizeof(locked) / sizeof(*locked); i++)
                assert_int_equal(count(g, locked[i].code, locked[i].len, LINES), 0);
        assert_int_equal(atomic_load(&g->cpu->attention), 0);
}

/* ---- resting ---- */

static void *stop_when_it_sleeps(void *userdata) {
        SoftGuest *g = userdata;

        while (!atomic_load(&g->cpu->sleeping))
                sched_yield();
        atomic_store(&g->tiny->stop, true);
        g->tiny->partition->ops->kick(g->tiny->partition, 0);
        return NULL;
}

static void run_until_it_rests(SoftGuest *g) {
        pthread_t thread;

        atomic_store(&g->tiny->stop, false);
        assert_int_equal(pthread_create(&thread, NULL, stop_when_it_sleeps, g), 0);
        assert_int_equal(tiny_guest_run(g->tiny), HALT_STOP);
        assert_int_equal(pthread_join(thread, NULL), 0);
}

static void an_hour_passes(SoftGuest *g) {
        BusLockLimit *limit = &g->cpu->partition->bus_locks;

        assert_true(g->cpu->rest_until_nsec == limit->end_nsec);
        g->cpu->rest_until_nsec = limit->end_nsec = 1;
}

static void begin_loop(SoftGuest *g, uint64_t offset) {
        g->cpu->r[RBX] = VA + offset;
        put_code(g, "\xf0\x48\xff\x03\xeb\xfa", 6); /* lock incq (%rbx); jmp */
}

static uint64_t made(SoftGuest *g, uint64_t offset) {
        return le64_load(soft_guest_memory(g, GPA + offset));
}

static void check_loop(SoftGuest *g, uint64_t offset) {
        begin_loop(g, offset);
        for (unsigned hours = 1; hours <= 5; hours++) {
                run_until_it_rests(g);
                assert_int_equal(made(g, offset), hours * ALLOWED);
                assert_int_equal(g->tiny->n_bus_locks, hours * ALLOWED);
                run_until_it_rests(g); /* a rest goes on after a stop */
                assert_int_equal(made(g, offset), hours * ALLOWED);
                an_hour_passes(g);
        }
}

static void test_a_loop_takes_hours_in_proportion(void **state) {
        check_loop(*state, LINES);
}

static void test_a_loop_across_pages_takes_hours_in_proportion(void **state) {
        check_loop(*state, PAGES);
}

static void test_code_that_is_not_translated_rests_as_well(void **state) {
        ((SoftGuest *) *state)->cpu->native_heat = UINT32_MAX;
        check_loop(*state, LINES);
}

/* Who wants something of the processor wakes it, and it goes back to sleep. */
static void test_messages_do_not_end_a_rest(void **state) {
        SoftGuest *g = *state;

        begin_loop(g, LINES);
        run_until_it_rests(g);
        for (unsigned i = 0; i < 3; i++) {
                g->tiny->partition->ops->pulse_nmi(g->tiny->partition, 0);
                g->tiny->partition->ops->kick(g->tiny->partition, 0);
                run_until_it_rests(g);
                assert_int_equal(made(g, LINES), ALLOWED);
        }
        assert_int_equal(g->cpu->nmi_pending, 2); /* delivered when it goes on */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_each_locked_operation_across_lines_is_one),
                TEST(test_a_locked_operation_within_a_line_is_none),
                TEST(test_an_operation_that_is_not_locked_is_none),
                TEST(test_an_operation_that_faults_is_none),
                cmocka_unit_test_setup_teardown(test_nothing_is_counted_without_a_limit,
                                                setup_without, teardown),
                TEST(test_a_loop_takes_hours_in_proportion),
                TEST(test_a_loop_across_pages_takes_hours_in_proportion),
                TEST(test_code_that_is_not_translated_rests_as_well),
                TEST(test_messages_do_not_end_a_rest),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
