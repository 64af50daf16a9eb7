/* SPDX-License-Identifier: Apache-2.0 */
/* What segments allow outside 64-bit mode: rights and limits of operands, of the stack and of code. */
#include "tests/unit/vmm/hv/soft/legacy_guest.h"
#include "vmm/hv/soft/handlers.h"

#define DATA 0x105000u
#define LIMIT 0xffu
#define VECTOR_DATA 0x109000u /* aligned as all need it; at VECTOR_AT in the segment */
#define VECTOR_AT 0x40u

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

/* @code with operands of @bytes at (%ebx), which must fit before the limit of the segment; register @reg is @value. */
typedef struct VectorCase {
        const char *code;
        size_t len;
        unsigned bytes;
        unsigned reg;
        uint64_t value;
} VectorCase;

static void assert_last_byte_counts(SoftGuest *g, const VectorCase *v) {
        SoftCpu *c = g->cpu;

        for (unsigned beyond = 0; beyond < 2; beyond++) {
                char code[16];

                protected_mode(g, 0);
                c->cr4 = CR4_OSFXSR | CR4_OSXSAVE;
                c->xcr0 = XSTATE_X87 | XSTATE_SSE | XSTATE_PKRU;
                __asm__ volatile("fninit");
                memset(soft_guest_memory(g, VECTOR_DATA), 0, 0x1000);
                set_segment(g, SEG_DS, WRITABLE);
                c->seg[SEG_DS].base = VECTOR_DATA - VECTOR_AT;
                c->seg[SEG_DS].limit = VECTOR_AT + v->bytes - 1 - beyond;
                cpu_mode_changed(c);
                c->r[RAX] = c->r[RCX] = c->r[RDX] = 0;
                c->r[RBX] = c->r[RDI] = VECTOR_AT;
                c->r[v->reg] = v->value;
                memcpy(code, v->code, v->len);
                memcpy(code + v->len, "\x0f\x0b", 2);
                assert_int_equal(legacy_run(g, CODE, CODE, code, v->len + 2),
                                 beyond ? EXC_GP : EXC_UD);
                assert_int_equal(c->rip, beyond ? CODE : CODE + v->len);
        }
        __asm__ volatile("fninit");
}

static void test_the_last_byte_of_vectors_must_be_within_the_limit(void **state) {
        static const VectorCase cases[] = {
                {"\x0f\x10\x03", 3, 16, RSI, 0},                 /* movups (%ebx), %xmm0 */
                {"\x0f\x11\x03", 3, 16, RSI, 0},                 /* movups %xmm0, (%ebx) */
                {"\xf3\x0f\x10\x03", 4, 4, RSI, 0},              /* movss (%ebx), %xmm0 */
                {"\xf2\x0f\x11\x03", 4, 8, RSI, 0},              /* movsd %xmm0, (%ebx) */
                {"\x0f\x12\x03", 3, 8, RSI, 0},                  /* movlps (%ebx), %xmm0 */
                {"\x0f\x17\x03", 3, 8, RSI, 0},                  /* movhps %xmm0, (%ebx) */
                {"\x0f\x28\x03", 3, 16, RSI, 0},                 /* movaps (%ebx), %xmm0 */
                {"\x66\x0f\xe7\x03", 4, 16, RSI, 0},             /* movntdq %xmm0, (%ebx) */
                {"\x0f\xe7\x03", 3, 8, RSI, 0},                  /* movntq %mm0, (%ebx) */
                {"\x66\x0f\x6e\x03", 4, 4, RSI, 0},              /* movd (%ebx), %xmm0 */
                {"\xf3\x0f\x7e\x03", 4, 8, RSI, 0},              /* movq (%ebx), %xmm0 */
                {"\x66\x0f\xd6\x03", 4, 8, RSI, 0},              /* movq %xmm0, (%ebx) */
                {"\x0f\x58\x03", 3, 16, RSI, 0},                 /* addps (%ebx), %xmm0 */
                {"\xf3\x0f\x58\x03", 4, 4, RSI, 0},              /* addss (%ebx), %xmm0 */
                {"\x0f\x5a\x03", 3, 8, RSI, 0},                  /* cvtps2pd (%ebx), %xmm0 */
                {"\xf3\x0f\xe6\x03", 4, 8, RSI, 0},              /* cvtdq2pd (%ebx), %xmm0 */
                {"\xf2\x0f\x2a\x03", 4, 4, RSI, 0},              /* cvtsi2sd (%ebx), %xmm0 */
                {"\x0f\x2a\x03", 3, 8, RSI, 0},                  /* cvtpi2ps (%ebx), %xmm0 */
                {"\x66\x0f\x2c\x03", 4, 16, RSI, 0},             /* cvttpd2pi (%ebx), %mm0 */
                {"\xf3\x0f\x2d\x03", 4, 4, RSI, 0},              /* cvtss2si (%ebx), %eax */
                {"\x66\x0f\x2f\x03", 4, 8, RSI, 0},              /* comisd (%ebx), %xmm0 */
                {"\x0f\xfc\x03", 3, 8, RSI, 0},                  /* paddb (%ebx), %mm0 */
                {"\x0f\x60\x03", 3, 4, RSI, 0},                  /* punpcklbw (%ebx), %mm0 */
                {"\x66\x0f\x60\x03", 4, 16, RSI, 0},             /* punpcklbw (%ebx), %xmm0 */
                {"\x66\x0f\xc4\x03\x01", 5, 2, RSI, 0},          /* pinsrw $1, (%ebx), %xmm0 */
                {"\xf2\x0f\xf0\x03", 4, 16, RSI, 0},             /* lddqu (%ebx), %xmm0 */
                {"\x0f\xc3\x03", 3, 4, RSI, 0},                  /* movnti %eax, (%ebx) */
                {"\x0f\x38\xf1\x03", 4, 4, RSI, 0},              /* movbe %eax, (%ebx) */
                {"\x0f\xf7\xc1", 3, 8, RSI, 0},                  /* maskmovq %mm1, %mm0 */
                {"\x66\x0f\xf7\xc1", 4, 16, RSI, 0},             /* maskmovdqu %xmm1, %xmm0 */
                {"\x66\x0f\x38\x82\x03", 5, 16, RSI, 0},         /* invpcid (%ebx), %eax */
                {"\x0f\xae\x03", 3, 512, RSI, 0},                /* fxsave (%ebx) */
                {"\x0f\xae\x0b", 3, 512, RSI, 0},                /* fxrstor (%ebx) */
                {"\x0f\xae\x1b", 3, 4, RSI, 0},                  /* stmxcsr (%ebx) */
                {"\x0f\xae\x23", 3, 576, RAX, 3},                /* xsave (%ebx) */
                {"\x0f\xae\x2b", 3, 576, RAX, 3},                /* xrstor (%ebx) */
                {"\x0f\xae\x23", 3, XSAVE_PKRU + 8, RAX, 0x200}, /* xsave (%ebx) */
                {"\xd9\x33", 2, 28, RSI, 0},                     /* fnstenv (%ebx) */
                {"\x66\xd9\x23", 3, 14, RSI, 0},                 /* fldenvs (%ebx) */
                {"\xdd\x33", 2, 108, RSI, 0},                    /* fnsave (%ebx) */
                {"\x66\xdd\x33", 3, 94, RSI, 0},                 /* fnsaves (%ebx) */
                {"\x0f\xa3\x03", 3, 4, RAX, 31},                 /* bt %eax, (%ebx) */
                {"\x0f\xab\x03", 3, 8, RAX, 32},                 /* bts %eax, (%ebx) */
                {"\x66\x0f\xb3\x03", 4, 4, RAX, 16},             /* btr %ax, (%ebx) */
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_last_byte_counts(*state, &cases[i]);
}

static void test_newer_vectors_have_limits_and_rights_too(void **state) {
        static const VectorCase cases[] = {
                {"\x66\x0f\x38\x30\x03", 5, 8, RSI, 0},      /* pmovzxbw (%ebx), %xmm0 */
                {"\x66\x0f\x38\x22\x03", 5, 2, RSI, 0},      /* pmovsxbq (%ebx), %xmm0 */
                {"\x66\x0f\x38\x2a\x03", 5, 16, RSI, 0},     /* movntdqa (%ebx), %xmm0 */
                {"\x0f\x38\x00\x03", 4, 8, RSI, 0},          /* pshufb (%ebx), %mm0 */
                {"\x66\x0f\x3a\x14\x03\x01", 6, 1, RSI, 0},  /* pextrb $1, %xmm0, (%ebx) */
                {"\x66\x0f\x3a\x16\x03\x01", 6, 4, RSI, 0},  /* pextrd $1, %xmm0, (%ebx) */
                {"\x66\x0f\x3a\x20\x03\x01", 6, 1, RSI, 0},  /* pinsrb $1, (%ebx), %xmm0 */
                {"\x66\x0f\x3a\x0b\x03\x01", 6, 8, RSI, 0},  /* roundsd $1, (%ebx), %xmm0 */
                {"\x66\x0f\x3a\x63\x03\x01", 6, 16, RSI, 0}, /* pcmpistri $1, (%ebx), %xmm0 */
                {"\xf2\x0f\x38\xf1\x03", 5, 4, RSI, 0},      /* crc32l (%ebx), %eax */
        };
        SoftGuest *g = *state;

        if (!thunk_host_has(g->cpu->thunks, HOST_SSE41) ||
            !thunk_host_has(g->cpu->thunks, HOST_SSE42) ||
            !thunk_host_has(g->cpu->thunks, HOST_SSSE3))
                skip();
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_last_byte_counts(g, &cases[i]);
        protected_mode(g, 0);
        g->cpu->cr4 = CR4_OSFXSR;
        set_segment(g, SEG_DS, READ_ONLY);
        g->cpu->r[RBX] = 0x10;
        REFUSED(g, "\x66\x0f\x3a\x16\x03\x01"); /* pextrd $1, %xmm0, (%ebx) */
        REFUSED(g, "\x0f\x38\xf1\x03");         /* movbe %eax, (%ebx) */
        REFUSED(g, "\x0f\x29\x03");             /* movaps %xmm0, (%ebx) */
        ALLOWED(g, "\xf2\x0f\x38\xf1\x03");     /* crc32l (%ebx), %eax */
        ALLOWED(g, "\x66\x0f\x3a\x20\x03\x01"); /* pinsrb $1, (%ebx), %xmm0 */
        ALLOWED(g, "\x0f\x28\x03");
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

static void test_instructions_end_within_the_code_segment(void **state) {
        static const struct {
                const char *code;
                size_t len;
        } cases[] = {
                {"\x90", 1},
                {"\x89\xc0", 2},                                  /* mov %eax, %eax */
                {"\x81\xc0\x01\x02\x03\x04", 6},                  /* add $0x4030201, %eax */
                {"\xc7\x05\x00\x00\x10\x00\x07\x00\x00\x00", 10}, /* movl $7, CODE */
        };
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                for (unsigned at = 0; at < 2; at++)
                        for (unsigned missing = 0; missing < 2; missing++) {
                                /* In the middle of a page and before its end; two instructions before make a block. */
                                const uint32_t end = at ? CODE + 0x1000 : CODE + 0x20;
                                const uint32_t begin = end - 2 - (uint32_t) cases[i].len;
                                char code[16] = "\x90\x90";

                                protected_mode(g, 0);
                                c->seg[SEG_CS].limit = end - 1 - missing;
                                cpu_mode_changed(c);
                                memcpy(code + 2, cases[i].code, cases[i].len);
                                memset(soft_guest_memory(g, CODE + 0x1000), 0x0f, 2);
                                assert_int_equal(
                                        legacy_run(g, begin, begin, code, 2 + cases[i].len),
                                        EXC_GP);
                                assert_int_equal(c->fault_code, 0);
                                assert_int_equal(c->rip, missing ? begin + 2 : end);
                        }
}

static void test_nothing_is_fetched_behind_the_code_segment(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;
        const uint32_t end = CODE + 0x1000, tables = 0x10a000;

        /* The page behind the segment is not there. */
        le32_store(soft_guest_memory(g, tables), (tables + 0x1000) | 3);
        for (uint32_t i = 0; i < 1024; i++)
                le32_store(soft_guest_memory(g, tables + 0x1000 + i * 4),
                           i << 12 == end ? 0 : i << 12 | 3);
        c->cr3 = tables;
        c->cr0 |= CR0_PG;
        tlb_flush_all(c);
        assert_int_equal(legacy_run(g, end - 1, end - 1, "\x89", 1), EXC_PF);
        assert_int_equal(c->cr2, end);
        c->seg[SEG_CS].limit = end - 1;
        cpu_mode_changed(c);
        assert_int_equal(legacy_run(g, end - 1, end - 1, "\x89", 1), EXC_GP);
        c->seg[SEG_CS].limit = end;
        cpu_mode_changed(c);
        assert_int_equal(legacy_run(g, end - 1, end - 1, "\x89", 1), EXC_PF);
}

static void test_a_smaller_code_segment_counts_for_blocks_that_are_known(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        /* jmp to the ud2 behind: once with room, then without */
        assert_int_equal(RUN(g, "\xeb\x01\x90"), EXC_UD);
        assert_int_equal(c->rip, CODE + 3);
        c->seg[SEG_CS].limit = CODE + 3;
        cpu_mode_changed(c);
        assert_int_equal(RUN(g, "\xeb\x01\x90"), EXC_GP);
        assert_int_equal(c->rip, CODE + 3);
        c->seg[SEG_CS].limit = CODE + 2;
        cpu_mode_changed(c);
        assert_int_equal(RUN(g, "\xeb\x01\x90"), EXC_GP);
        assert_int_equal(c->rip, CODE); /* the jump itself */
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
                TEST(test_the_last_byte_of_vectors_must_be_within_the_limit),
                TEST(test_newer_vectors_have_limits_and_rights_too),
                TEST(test_expand_down_segments_begin_above_the_limit),
                TEST(test_strings_read_one_segment_and_write_the_other),
                TEST(test_operands_in_the_stack_segment_fault_as_the_stack_does),
                TEST(test_real_mode_has_limits_and_no_rights),
                TEST(test_instructions_end_within_the_code_segment),
                TEST(test_nothing_is_fetched_behind_the_code_segment),
                TEST(test_a_smaller_code_segment_counts_for_blocks_that_are_known),
                TEST(test_frames_keep_what_is_above_a_stack_pointer_of_16_bits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
