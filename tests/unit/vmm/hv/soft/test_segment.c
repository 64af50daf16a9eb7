/* SPDX-License-Identifier: Apache-2.0 */
/* What segments allow outside 64-bit mode: rights and limits of operands, of the stack and of code. */
#include "tests/unit/vmm/hv/soft/legacy_guest.h"

#define DATA 0x105000u
#define LIMIT 0xffu

static void set_segment(SoftGuest *g, unsigned seg, uint16_t attr) {
        g->cpu->seg[seg] = (Segment){.selector = DS0, .base = DATA, .limit = LIMIT, .attr = attr};
        cpu_mode_changed(g->cpu);
}
#define WRITABLE 0x4093u
#define READ_ONLY 0x4091u
#define EXPAND_DOWN 0x4097u
#define EXECUTE_ONLY 0x4099u
#define READABLE_CODE 0x409bu

/* The instruction does not get past the segment, or gets past it to the UD2 behind. */
#define REFUSED(g, code)                                                                           \
        do {                                                                                       \
                assert_int_equal(RUN(g, code), EXC_GP);                                            \
                assert_int_equal((g)->cpu->fault_code, 0);                                         \
                assert_int_equal((g)->cpu->rip, CODE);                                             \
        } while (0)
#define ALLOWED(g, code) assert_int_equal(RUN(g, code), EXC_UD)

static void test_read_only_segments_are_not_written(void **state) {
        SoftGuest *g = *state;

        set_segment(g, SEG_DS, READ_ONLY);
        g->cpu->r[RBX] = 0x10;
        REFUSED(g, "\x89\x03");             /* mov %eax, (%ebx) */
        REFUSED(g, "\x01\x03");             /* add %eax, (%ebx) */
        REFUSED(g, "\x80\x03\x01");         /* addb $1, (%ebx) */
        REFUSED(g, "\xf7\x13");             /* notl (%ebx) */
        REFUSED(g, "\xff\x03");             /* incl (%ebx) */
        REFUSED(g, "\xd1\x23");             /* shll (%ebx) */
        REFUSED(g, "\x87\x03");             /* xchg %eax, (%ebx) */
        REFUSED(g, "\xa2\x10\x00\x00\x00"); /* mov %al, 0x10 */
        REFUSED(g, "\x8f\x03");             /* pop (%ebx) */
        REFUSED(g, "\x0f\x94\x03");         /* sete (%ebx) */
        REFUSED(g, "\x0f\xc1\x03");         /* xadd %eax, (%ebx) */
        REFUSED(g, "\x0f\xba\x2b\x01");     /* btsl $1, (%ebx) */
        REFUSED(g, "\x0f\xc7\x0b");         /* cmpxchg8b (%ebx) */
        REFUSED(g, "\xdd\x1b");             /* fstpl (%ebx) */
        REFUSED(g, "\xd9\x3b");             /* fnstcw (%ebx) */
        REFUSED(g, "\x0f\xae\x03");         /* fxsave (%ebx) */
        ALLOWED(g, "\x8b\x03");
        ALLOWED(g, "\x39\x03");                 /* cmp %eax, (%ebx) */
        ALLOWED(g, "\x80\x3b\x01");             /* cmpb $1, (%ebx) */
        ALLOWED(g, "\xf7\x03\x01\x00\x00\x00"); /* testl $1, (%ebx) */
        ALLOWED(g, "\xd9\x2b");                 /* fldcw (%ebx) */
        ALLOWED(g, "\x8d\x03");                 /* lea (%ebx), %eax */
}

static void test_code_segments_are_read_where_they_are_readable(void **state) {
        SoftGuest *g = *state;

        g->cpu->r[RBX] = 0x10;
        set_segment(g, SEG_ES, EXECUTE_ONLY);
        REFUSED(g, "\x26\x8b\x03"); /* mov %es:(%ebx), %eax */
        set_segment(g, SEG_ES, READABLE_CODE);
        ALLOWED(g, "\x26\x8b\x03");
        REFUSED(g, "\x26\x89\x03");
        set_segment(g, SEG_ES, 0); /* null */
        REFUSED(g, "\x26\x8b\x03");
}

static void test_the_last_byte_must_be_within_the_limit(void **state) {
        static const struct {
                const char *code;
                size_t len;
                unsigned bytes;
        } cases[] = {
                {"\x8a\x03", 2, 1},     /* mov (%ebx), %al */
                {"\x66\x8b\x03", 3, 2}, /* mov (%ebx), %ax */
                {"\x8b\x03", 2, 4},     /* mov (%ebx), %eax */
                {"\x0f\xb6\x03", 3, 1}, /* movzbl (%ebx), %eax */
                {"\x0f\xb7\x03", 3, 2}, /* movzwl (%ebx), %eax */
                {"\x83\x03\x01", 3, 4}, /* addl $1, (%ebx) */
                {"\xdd\x03", 2, 8},     /* fldl (%ebx) */
                {"\xdb\x2b", 2, 10},    /* fldt (%ebx) */
                {"\x0f\x01\x03", 3, 6}, /* sgdt (%ebx) */
                {"\x0f\xc7\x0b", 3, 8}, /* cmpxchg8b (%ebx) */
                {"\x0f\x45\x03", 3, 4}, /* cmovne (%ebx), %eax */
                {"\xf6\x03\x01", 3, 1}, /* testb $1, (%ebx) */
                {"\xff\x33", 2, 4},     /* push (%ebx) */
                {"\x62\x03", 2, 8},     /* bound %eax, (%ebx) */
                {"\x8c\x1b", 2, 2},     /* mov %ds, (%ebx) */
                {"\xaa\x0f\x0b", 1, 1}, /* stosb */
        };
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                for (unsigned beyond = 0; beyond < 2; beyond++) {
                        char code[16];

                        protected_mode(g, 0);
                        __asm__ volatile("fninit");
                        set_segment(g, SEG_DS, WRITABLE);
                        set_segment(g, SEG_ES, WRITABLE);
                        memset(soft_guest_memory(g, DATA), 0, 0x200);
                        memset(soft_guest_memory(g, DATA + LIMIT - 3), 0x7f, 4); /* of BOUND */
                        c->r[RAX] = 0;
                        c->r[RBX] = c->r[RDI] = LIMIT + 1 - cases[i].bytes + beyond;
                        memcpy(code, cases[i].code, cases[i].len);
                        memcpy(code + cases[i].len, "\x0f\x0b", 2);
                        assert_int_equal(legacy_run(g, CODE, CODE, code, cases[i].len + 2),
                                         beyond ? EXC_GP : EXC_UD);
                }
        __asm__ volatile("fninit");
}

static void test_expand_down_segments_begin_above_the_limit(void **state) {
        SoftGuest *g = *state;

        set_segment(g, SEG_DS, EXPAND_DOWN);
        g->cpu->r[RBX] = LIMIT;
        REFUSED(g, "\x8a\x03");
        g->cpu->r[RBX] = LIMIT + 1;
        ALLOWED(g, "\x8b\x03");
        g->cpu->r[RBX] = UINT32_MAX - 2;
        REFUSED(g, "\x8b\x03");
}

static void test_strings_read_one_segment_and_write_the_other(void **state) {
        SoftGuest *g = *state;

        set_segment(g, SEG_DS, READ_ONLY);
        set_segment(g, SEG_ES, WRITABLE);
        g->cpu->r[RSI] = g->cpu->r[RDI] = 0;
        ALLOWED(g, "\xa5"); /* movsl */
        set_segment(g, SEG_ES, READ_ONLY);
        REFUSED(g, "\xa5");
        REFUSED(g, "\xab"); /* stosl */
        ALLOWED(g, "\xaf"); /* scasl */
        ALLOWED(g, "\xa7"); /* cmpsl */
        ALLOWED(g, "\xad"); /* lodsl */
}

static void test_operands_in_the_stack_segment_fault_as_the_stack_does(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        set_segment(g, SEG_SS, WRITABLE);
        c->r[RBP] = LIMIT - 2;
        assert_int_equal(RUN(g, "\x8b\x45\x00"), EXC_SS); /* mov (%ebp), %eax */
        assert_int_equal(c->fault_code, 0);
        c->r[RSP] = 2;
        assert_int_equal(RUN(g, "\x50"), EXC_SS); /* push %eax */
        assert_int_equal(c->r[RSP], 2);
        c->r[RSP] = LIMIT - 2;
        assert_int_equal(RUN(g, "\x58"), EXC_SS); /* pop %eax */
        assert_int_equal(c->r[RSP], LIMIT - 2);
        c->r[RSP] = LIMIT - 3;
        assert_int_equal(RUN(g, "\x58"), EXC_UD);
        assert_int_equal(c->r[RSP], LIMIT + 1);
        assert_int_equal(RUN(g, "\xc3"), EXC_SS); /* ret */
}

static void test_real_mode_has_limits_and_no_rights(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        c->cr0 &= ~(uint64_t) CR0_PE;
        for (unsigned i = 0; i < N_SEGS; i++)
                c->seg[i] = (Segment){.base = CODE, .limit = 0xffff, .attr = 0x93};
        c->seg[SEG_CS].attr = 0x9b;
        cpu_mode_changed(c);
        c->r[RBX] = 0xffff;
#define RUN16(code) legacy_run(g, CODE, 0, code "\x0f\x0b", sizeof(code) - 1 + 2)
        assert_int_equal(RUN16("\x8b\x07"), EXC_GP); /* mov (%bx), %ax */
        assert_int_equal(RUN16("\x8a\x07"), EXC_UD); /* mov (%bx), %al */
        c->r[RBX] = 0x100;
        assert_int_equal(RUN16("\x2e\x89\x07"), EXC_UD); /* mov %ax, %cs:(%bx) */
        c->seg[SEG_DS] = (Segment){0};                   /* as protected mode left it */
        assert_int_equal(RUN16("\x8b\x07"), EXC_GP);
        c->r[RAX] = CODE >> 4;
        assert_int_equal(RUN16("\x8e\xd8\x8b\x07"), EXC_UD); /* mov %ax, %ds; mov (%bx), %ax */
#undef RUN16
}

static void test_frames_keep_what_is_above_a_stack_pointer_of_16_bits(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        set_segment(g, SEG_SS, 0x93);
        c->seg[SEG_SS].limit = 0xffff;
        cpu_mode_changed(c);
        c->r[RSP] = 0x10000;
        c->r[RBP] = 0x12345678;
        assert_int_equal(RUN(g, "\xc8\x08\x00\x00"), EXC_UD); /* enter $8, $0 */
        assert_int_equal(c->r[RBP], 0x1fffc);
        assert_int_equal(c->r[RSP], 0x1fff4);
        assert_int_equal(word32(g, DATA + 0xfffc), 0x12345678);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_read_only_segments_are_not_written),
                TEST(test_code_segments_are_read_where_they_are_readable),
                TEST(test_the_last_byte_must_be_within_the_limit),
                TEST(test_expand_down_segments_begin_above_the_limit),
                TEST(test_strings_read_one_segment_and_write_the_other),
                TEST(test_operands_in_the_stack_segment_fault_as_the_stack_does),
                TEST(test_real_mode_has_limits_and_no_rights),
                TEST(test_frames_keep_what_is_above_a_stack_pointer_of_16_bits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
