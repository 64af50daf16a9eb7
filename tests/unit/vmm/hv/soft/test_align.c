/* SPDX-License-Identifier: Apache-2.0 */
/* Alignment checks (#AC); what each instruction asks for is held against the host by test_differential. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tests/fake/vmm_soft_guest.h"
#include "vmm/hv/soft/soft_internal.h"

#define CODE_VA UINT64_C(0x400000)
#define CODE_GPA 0x50000u
#define VA UINT64_C(0x600000)
#define GPA 0x60000u

static void user_mode(SoftGuest *g, unsigned cpl) {
        soft_guest_long_mode(g, cpl);
        g->cpu->cr0 |= CR0_AM;
        g->cpu->flags = FLAG_AC;
        cpu_mode_changed(g->cpu);
        g->cpu->r[RBX] = VA + 1;
        g->cpu->r[RSP] = VA + 0x800;
}

static int setup(void **state) {
        static SoftGuest guest;

        if (soft_guest_new(1, &guest) < 0)
                return -1;
        soft_guest_map(&guest, CODE_VA, CODE_GPA, SOFT_MAP_USER);
        soft_guest_map(&guest, VA, GPA, SOFT_MAP_WRITE | SOFT_MAP_USER);
        memset(soft_guest_memory(&guest, GPA), 0, 0x1000);
        user_mode(&guest, 3);
        *state = &guest;
        return 0;
}

static int teardown(void **state) {
        soft_guest_deinit(*state);
        return 0;
}

/* Up to the UD2 behind it, or a fault. */
static unsigned run_code(SoftGuest *g, const void *code, size_t len) {
        memcpy(soft_guest_memory(g, CODE_GPA), code, len);
        memcpy(soft_guest_memory(g, CODE_GPA + len), "\x0f\x0b", 2);
        guest_mem_written(g->tiny->mem, CODE_GPA, len + 2);
        g->cpu->rip = CODE_VA;
        assert_int_equal(soft_guest_blocks(g, 1000), 1);
        return g->cpu->fault_vector;
}
#define RUN(g, code) run_code(g, code, sizeof(code) - 1)

#define REFUSED(g, code)                                                                           \
        do {                                                                                       \
                assert_int_equal(RUN(g, code), EXC_AC);                                            \
                assert_true((g)->cpu->fault_has_code);                                             \
                assert_int_equal((g)->cpu->fault_code, 0);                                         \
                assert_int_equal((g)->cpu->rip, CODE_VA);                                          \
        } while (0)

static void test_user_mode_is_told_of_what_is_not_aligned(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        REFUSED(g, "\x8b\x03");                       /* mov (%rbx), %eax */
        REFUSED(g, "\x66\x89\x03");                   /* mov %ax, (%rbx) */
        REFUSED(g, "\x48\x83\x03\x01");               /* addq $1, (%rbx) */
        REFUSED(g, "\xf0\x48\xff\x03");               /* lock incq (%rbx) */
        REFUSED(g, "\x0f\x10\x03");                   /* movups (%rbx), %xmm0 */
        assert_int_equal(RUN(g, "\x8a\x03"), EXC_UD); /* mov (%rbx), %al */
        c->r[RBX] = VA + 4;
        REFUSED(g, "\x48\x8b\x03"); /* mov (%rbx), %rax */
        assert_int_equal(RUN(g, "\x8b\x03"), EXC_UD);
        c->r[RSP] = VA + 0x804;
        REFUSED(g, "\x50"); /* push %rax */
        assert_int_equal(c->r[RSP], VA + 0x804);
        c->r[RSI] = VA;
        c->r[RDI] = VA + 0x102;
        c->r[RCX] = 4;
        REFUSED(g, "\xf3\xa5"); /* rep movsl */
        assert_int_equal(c->r[RCX], 4);
}

static void test_nobody_else_is(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        c->cr0 &= ~(uint64_t) CR0_AM;
        cpu_mode_changed(c);
        assert_int_equal(RUN(g, "\x8b\x03"), EXC_UD);
        user_mode(g, 3);
        cpu_set_flags(c, 0, FLAG_AC);
        assert_int_equal(RUN(g, "\x8b\x03"), EXC_UD);
        user_mode(g, 0);
        assert_int_equal(RUN(g, "\x8b\x03"), EXC_UD);
}

static void test_what_is_not_canonical_is_seen_before_and_what_is_not_there_behind(void **state) {
        SoftGuest *g = *state;

        g->cpu->r[RBX] = UINT64_C(0x7ffffffffffd);
        assert_int_equal(RUN(g, "\x8b\x03"), EXC_GP);
        g->cpu->r[RBX] = VA + 0x100001;
        REFUSED(g, "\x8b\x03");
        g->cpu->r[RBX] = VA + 0x100000;
        assert_int_equal(RUN(g, "\x8b\x03"), EXC_PF);
}

/* The flag rises while a loop that has been translated runs. */
static void test_translated_code_is_told_too(void **state) {
        /* 1: mov (%rbx), %eax; dec %ecx; jnz 1b; popf; mov $100, %ecx; jmp 1b */
        static const char code[] = "\x8b\x03\xff\xc9\x75\xfa\x9d\xb9\x64\x00\x00\x00\xeb\xf2";
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        cpu_set_flags(c, 0, FLAG_AC);
        c->native_heat = 2;
        c->r[RCX] = 100;
        soft_guest_memory(g, GPA + 0x802)[0] = FLAG_AC >> 16;
        assert_int_equal(RUN(g, code), EXC_AC);
        assert_int_equal(c->rip, CODE_VA);
        assert_int_equal(c->r[RCX], 100);
        assert_int_equal(c->r[RSP], VA + 0x808);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_user_mode_is_told_of_what_is_not_aligned),
                TEST(test_nobody_else_is),
                TEST(test_what_is_not_canonical_is_seen_before_and_what_is_not_there_behind),
                TEST(test_translated_code_is_told_too),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
