/* SPDX-License-Identifier: Apache-2.0 */
/* Locked operations on what lies in two pages: right, whole, and one operation to everybody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/le.h"
#include "tests/fake/vmm_soft_guest.h"
#include "vmm/hv/soft/soft_internal.h"

#define CODE_VA UINT64_C(0x400000)
#define CODE_GPA 0x50000u
#define VA UINT64_C(0x600000) /* and the page behind it, which is not the next one in memory */
#define GPA 0x60000u
#define GPA2 0x80000u
#define AT (VA + 0xffc) /* four bytes in each page */
#define ROUNDS 20000u

static int setup(void **state) {
        static SoftGuest guest;

        if (soft_guest_new(1, &guest) < 0)
                return -1;
        soft_guest_map(&guest, CODE_VA, CODE_GPA, SOFT_MAP_WRITE);
        soft_guest_map(&guest, VA, GPA, SOFT_MAP_WRITE);
        soft_guest_map(&guest, VA + 0x1000, GPA2, SOFT_MAP_WRITE);
        memset(soft_guest_memory(&guest, GPA), 0, 0x1000);
        memset(soft_guest_memory(&guest, GPA2), 0, 0x1000);
        soft_guest_long_mode(&guest, 0);
        guest.cpu->r[RBX] = AT;
        *state = &guest;
        return 0;
}

static int teardown(void **state) {
        soft_guest_deinit(*state);
        return 0;
}

static unsigned run_at(SoftGuest *g, uint64_t rip, unsigned blocks) {
        g->cpu->rip = rip;
        assert_int_equal(soft_guest_blocks(g, blocks), 1);
        assert_false(g->cpu->split_mapped);
        return g->cpu->fault_vector;
}

/* Up to an UD2 behind it. */
static unsigned run_blocks(SoftGuest *g, const void *code, size_t len, unsigned blocks) {
        memcpy(soft_guest_memory(g, CODE_GPA), code, len);
        memcpy(soft_guest_memory(g, CODE_GPA + len), "\x0f\x0b", 2);
        guest_mem_written(g->tiny->mem, CODE_GPA, len + 2);
        return run_at(g, CODE_VA, blocks);
}
#define RUN(g, code) run_blocks(g, code, sizeof(code) - 1, 8)

static void set(SoftGuest *g, uint32_t low, uint32_t high) {
        le32_store(soft_guest_memory(g, GPA + 0xffc), low);
        le32_store(soft_guest_memory(g, GPA2), high);
}

#define ASSERT_MEMORY(g, low, high)                                                                \
        do {                                                                                       \
                assert_int_equal(le32_load(soft_guest_memory(g, GPA + 0xffc)), low);               \
                assert_int_equal(le32_load(soft_guest_memory(g, GPA2)), high);                     \
        } while (0)

static void test_operations_reach_both_pages(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        set(g, UINT32_MAX, 7);
        assert_int_equal(RUN(g, "\xf0\x48\xff\x03"), EXC_UD); /* lock incq (%rbx) */
        ASSERT_MEMORY(g, 0, 8);
        c->r[RAX] = UINT64_C(0x500000001);
        assert_int_equal(RUN(g, "\xf0\x48\x01\x03"), EXC_UD); /* lock add %rax, (%rbx) */
        ASSERT_MEMORY(g, 1, 13);
        assert_int_equal(RUN(g, "\xf0\x48\x83\x2b\x02"), EXC_UD); /* lock subq $2, (%rbx) */
        ASSERT_MEMORY(g, UINT32_MAX, 12);
        c->r[RAX] = UINT64_C(0x1111111122222222);
        assert_int_equal(RUN(g, "\x48\x87\x03"), EXC_UD); /* xchg %rax, (%rbx) */
        ASSERT_MEMORY(g, 0x22222222, 0x11111111);
        assert_int_equal(c->r[RAX], UINT64_C(0xcffffffff));
        c->r[RAX] = 1;
        assert_int_equal(RUN(g, "\xf0\x48\x0f\xc1\x03"), EXC_UD); /* lock xadd %rax, (%rbx) */
        ASSERT_MEMORY(g, 0x22222223, 0x11111111);
        assert_int_equal(c->r[RAX], UINT64_C(0x1111111122222222));
        c->r[RCX] = 5;
        assert_int_equal(RUN(g, "\xf0\x48\x0f\xb1\x0b"), EXC_UD); /* lock cmpxchg %rcx, (%rbx) */
        assert_int_equal(c->r[RAX], UINT64_C(0x1111111122222223));
        assert_int_equal(RUN(g, "\xf0\x48\x0f\xb1\x0b"), EXC_UD);
        ASSERT_MEMORY(g, 5, 0);
        assert_int_equal(RUN(g, "\xf0\x48\x0f\xba\x2b\x21"), EXC_UD); /* lock btsq $33, (%rbx) */
        ASSERT_MEMORY(g, 5, 2);
        c->r[RAX] = 5;
        c->r[RDX] = 2;
        c->r[RCX] = 9;
        c->r[RBX] = AT;
        assert_int_equal(RUN(g, "\xf0\x0f\xc7\x0b"), EXC_UD); /* lock cmpxchg8b (%rbx) */
        ASSERT_MEMORY(g, (uint32_t) AT, 9);
}

static void test_a_fault_in_the_second_page_leaves_the_first(void **state) {
        SoftGuest *g = *state;

        soft_guest_map(g, VA + 0x1000, GPA2, 0); /* read only */
        set(g, UINT32_MAX, 7);
        assert_int_equal(RUN(g, "\xf0\x48\xff\x03"), EXC_PF);
        assert_int_equal(g->cpu->cr2, VA + 0x1000);
        ASSERT_MEMORY(g, UINT32_MAX, 7);
}

/* The pages are the next to each other in memory, and nothing has to be mapped. */
static void test_pages_side_by_side_need_no_window(void **state) {
        SoftGuest *g = *state;

        soft_guest_map(g, VA + 0x1000, GPA + 0x1000, SOFT_MAP_WRITE);
        le32_store(soft_guest_memory(g, GPA + 0xffc), UINT32_MAX);
        le32_store(soft_guest_memory(g, GPA + 0x1000), 7);
        assert_int_equal(RUN(g, "\xf0\x48\xff\x03"), EXC_UD);
        assert_int_equal(le32_load(soft_guest_memory(g, GPA + 0x1000)), 8);
        assert_null(g->cpu->split_window);
}

static void test_code_that_is_changed_is_executed_as_it_became(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        /* mov $1, %al; ud2, in the second page, and known */
        memcpy(soft_guest_memory(g, GPA2), "\xb0\x01\x0f\x0b", 4);
        assert_int_equal(run_at(g, VA + 0x1000, 8), EXC_UD);
        assert_int_equal(c->r[RAX] & 0xff, 1);
        c->r[RCX] = UINT64_C(1) << 40;                        /* the operand of MOV */
        assert_int_equal(RUN(g, "\xf0\x48\x01\x0b"), EXC_UD); /* lock add %rcx, (%rbx) */
        assert_int_equal(run_at(g, VA + 0x1000, 8), EXC_UD);
        assert_int_equal(c->r[RAX] & 0xff, 2);
}

typedef struct Other {
        uint32_t *at;
        _Atomic bool stop;
        uint32_t count;
} Other;

static void *count_high_half(void *userdata) {
        Other *other = userdata;

        while (!atomic_load_explicit(&other->stop, memory_order_relaxed)) {
                __atomic_fetch_add(other->at, 1, __ATOMIC_SEQ_CST);
                other->count++;
        }
        return NULL;
}

/* What another processor adds to the half that lies in the second page is never lost. */
static void test_another_processor_sees_one_operation(void **state) {
        /* lock incq (%rbx); dec %ecx; jnz */
        static const uint8_t code[] = {0xf0, 0x48, 0xff, 0x03, 0xff, 0xc9, 0x75, 0xf8};
        SoftGuest *g = *state;
        Other other = {.at = (uint32_t *) (void *) soft_guest_memory(g, GPA2)};
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, count_high_half, &other), 0);
        g->cpu->r[RCX] = ROUNDS;
        assert_int_equal(run_blocks(g, code, sizeof(code), 2 * ROUNDS), EXC_UD);
        atomic_store(&other.stop, true);
        assert_int_equal(pthread_join(thread, NULL), 0);
        ASSERT_MEMORY(g, ROUNDS, other.count);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_operations_reach_both_pages),
                TEST(test_a_fault_in_the_second_page_leaves_the_first),
                TEST(test_pages_side_by_side_need_no_window),
                TEST(test_code_that_is_changed_is_executed_as_it_became),
                TEST(test_another_processor_sees_one_operation),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
