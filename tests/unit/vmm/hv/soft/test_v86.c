/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual-8086 mode: the ways in and out, and what its programs may do. */
#include "tests/unit/vmm/hv/soft/legacy_guest.h"

#define TASK2 0x105000u
#define TASK2_SELECTOR 0x38u

static void test_return_of_privilege_0_enters_with_all_segments(void **state) {
        static const uint32_t frame[] = {0x10,   LOW_SEG, FLAG_VM | FLAG_FIXED | FLAG_IF | IOPL3,
                                         0x7ffe, 0x5000,  0x5001,
                                         0x5002, 0x5003,  0x5004};
        static const unsigned segs[] = {SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS};
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        for (unsigned i = 0; i < ELEMENTSOF(frame); i++)
                le32_store(soft_guest_memory(g, STACK0 - 36 + i * 4), frame[i]);
        c->r[RSP] = STACK0 - 36;
        memcpy(soft_guest_memory(g, LOW + 0x10), "\x0f\x0b", 2);
        assert_int_equal(RUN(g, "\xcf"), EXC_UD);
        assert_int_equal(c->rip, 0x10);
        assert_int_equal(c->cpl, 3);
        assert_int_equal(c->mode, MODE_16);
        assert_int_equal(cpu_flags(c), frame[2]);
        assert_int_equal(c->r[RSP], 0x7ffe);
        assert_int_equal(c->seg[SEG_CS].base, LOW);
        for (unsigned i = 0; i < 5; i++) {
                assert_int_equal(c->seg[segs[i]].selector, frame[4 + i]);
                assert_int_equal(c->seg[segs[i]].base, frame[4 + i] << 4);
                assert_int_equal(c->seg[segs[i]].limit, 0xffff);
        }
}

static void test_return_of_user_mode_does_not_enter(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        protected_mode(g, 3);
        c->r[RSP] = STACK3 - 12;
        le32_store(soft_guest_memory(g, STACK3 - 12), HANDLER);
        le32_store(soft_guest_memory(g, STACK3 - 8), CS3);
        le32_store(soft_guest_memory(g, STACK3 - 4), FLAG_VM | FLAG_FIXED);
        assert_int_equal(RUN(g, "\xcf"), EXC_UD);
        assert_int_equal(c->rip, HANDLER);
        assert_false(cpu_v86(c));
}

static void test_entry_beyond_the_segment_faults_before_it(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        c->r[RSP] = STACK0 - 36;
        le32_store(soft_guest_memory(g, STACK0 - 36), 0x10000);
        le32_store(soft_guest_memory(g, STACK0 - 28), FLAG_VM | FLAG_FIXED);
        assert_int_equal(RUN(g, "\xcf"), EXC_GP);
        assert_int_equal(c->rip, CODE);
        assert_int_equal(c->cpl, 0);
        assert_false(cpu_v86(c));
}

static void test_interrupt_pushes_nine_words_and_leaves_no_segments(void **state) {
        const uint32_t flags = FLAG_VM | FLAG_FIXED | IOPL3 | FLAG_IF;
        const uint32_t frame[] = {2,      LOW_SEG, flags,  0x8000, LOW_SEG,
                                  0x1110, 0x1111,  0x1112, 0x1113};
        static const unsigned segs[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        set_interrupt(g, 0x21, gate(GATE_INTERRUPT32, 3, CS0, HANDLER, 0));
        v86_mode(g, IOPL3);
        c->flags |= FLAG_IF;
        for (unsigned i = 0; i < 4; i++)
                v86_set_segment(c, segs[i], (uint16_t) (0x1110 + i));
        assert_int_equal(RUN86(g, "\xcd\x21"), EXC_UD);
        assert_int_equal(c->rip, HANDLER);
        assert_int_equal(c->cpl, 0);
        assert_int_equal(c->mode, MODE_32 | MODE_STACK32 | MODE_FLAT);
        assert_int_equal(c->flags & (FLAG_VM | FLAG_IF), 0);
        assert_int_equal(c->seg[SEG_SS].selector, DS0);
        assert_int_equal(c->r[RSP], STACK0 - sizeof(frame));
        for (unsigned i = 0; i < ELEMENTSOF(frame); i++)
                assert_int_equal(word32(g, c->r[RSP] + i * 4), frame[i]);
        for (unsigned i = 0; i < 4; i++) {
                assert_int_equal(c->seg[segs[i]].selector, 0);
                assert_int_equal(c->seg[segs[i]].attr & SEG_ATTR_P, 0);
        }
}

static void test_handlers_must_be_privilege_0s_own(void **state) {
        SoftGuest *g = *state;

        set_interrupt(g, 0x21, gate(GATE_INTERRUPT32, 3, CS3, HANDLER, 0));
        v86_mode(g, IOPL3);
        assert_int_equal(RUN86(g, "\xcd\x21"), EXC_GP);
        assert_int_equal(g->cpu->fault_code, CS3 & ~3u);
        set_interrupt(g, 0x21, gate(GATE_INTERRUPT32, 3, CS_CONFORMING, HANDLER, 0));
        assert_int_equal(RUN86(g, "\xcd\x21"), EXC_GP);
        assert_int_equal(g->cpu->fault_code, CS_CONFORMING);
        set_interrupt(g, 0x21, gate(GATE_INTERRUPT32, 0, CS0, HANDLER, 0));
        assert_int_equal(RUN86(g, "\xcd\x21"), EXC_GP);
        assert_int_equal(g->cpu->fault_code, 0x21 * 8 + 2);
        assert_true(cpu_v86(g->cpu));
}

static void test_what_iopl_guards_faults_without_it(void **state) {
        SoftGuest *g = *state;

        set_interrupt(g, 0x21, gate(GATE_INTERRUPT32, 3, CS0, HANDLER, 0));
        set_interrupt(g, EXC_BP, gate(GATE_INTERRUPT32, 3, CS0, HANDLER, 0));
        v86_mode(g, FLAG_IOPL & 0x2000);
#define FAULTS(code)                                                                               \
        do {                                                                                       \
                assert_int_equal(RUN86(g, code), EXC_GP);                                          \
                assert_int_equal(g->cpu->fault_code, 0);                                           \
                assert_int_equal(g->cpu->rip, 0);                                                  \
                assert_int_equal(g->cpu->r[RSP], 0x8000);                                          \
        } while (0)
        FAULTS("\xfa");     /* cli */
        FAULTS("\xfb");     /* sti */
        FAULTS("\x9c");     /* pushf */
        FAULTS("\x9d");     /* popf */
        FAULTS("\xcf");     /* iret */
        FAULTS("\xcd\x21"); /* int */
#undef FAULTS
        assert_int_equal(RUN86(g, "\xcc"), EXC_UD); /* int3 asks the gate alone */
        assert_int_equal(g->cpu->cpl, 0);
}

static void test_with_iopl_they_work_but_iopl_stays(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        v86_mode(g, IOPL3);
        assert_int_equal(RUN86(g, "\xfb\x66\x9c\x66\x58"), EXC_UD); /* sti; pushfd; pop %eax */
        assert_int_equal(c->r[RAX], FLAG_FIXED | FLAG_IF | IOPL3);  /* VM is never seen */
        c->r[RAX] = FLAG_VM | FLAG_DF;
        assert_int_equal(RUN86(g, "\x66\x50\x66\x9d"), EXC_UD); /* push %eax; popfd */
        assert_int_equal(cpu_flags(c), FLAG_FIXED | FLAG_VM | IOPL3 | FLAG_DF);

        le16_store(soft_guest_memory(g, LOW + 0x8000), 0x40);
        le16_store(soft_guest_memory(g, LOW + 0x8002), LOW_SEG - 1);
        le16_store(soft_guest_memory(g, LOW + 0x8004), FLAG_IF | FLAG_CF);
        memcpy(soft_guest_memory(g, LOW + 0x30), "\x0f\x0b", 2);
        assert_int_equal(RUN86(g, "\xcf"), EXC_UD);
        assert_int_equal(c->seg[SEG_CS].base, LOW - 0x10);
        assert_int_equal(c->rip, 0x40);
        assert_int_equal(c->r[RSP], 0x8006);
        assert_int_equal(cpu_flags(c), FLAG_FIXED | FLAG_VM | IOPL3 | FLAG_IF | FLAG_CF);
}

static void test_ports_are_asked_for_whatever_iopl_says(void **state) {
        SoftGuest *g = *state;

        v86_mode(g, IOPL3);
        assert_int_equal(RUN86(g, "\xe6\x80"), EXC_GP);
        soft_guest_memory(g, TSS + 0x68)[0x80 / 8] = 0xfe;
        assert_int_equal(RUN86(g, "\xe6\x80"), EXC_UD);
        assert_int_equal(g->tiny->n_events, 1);
}

static void test_instructions_about_descriptors_are_invalid(void **state) {
        SoftGuest *g = *state;

        for (unsigned real = 0; real < 2; real++) {
                v86_mode(g, IOPL3);
                if (real) {
                        g->cpu->cr0 &= ~(uint64_t) CR0_PE;
                        g->cpu->flags &= ~FLAG_VM;
                        g->cpu->cpl = 0;
                        cpu_mode_changed(g->cpu);
                }
#define INVALID(code)                                                                              \
        do {                                                                                       \
                assert_int_equal(RUN86(g, code), EXC_UD);                                          \
                assert_int_equal(g->cpu->rip, 0);                                                  \
        } while (0)
                INVALID("\x0f\x00\xc0"); /* sldt %ax */
                INVALID("\x0f\x00\xc8"); /* str %ax */
                INVALID("\x0f\x00\xd0"); /* lldt %ax */
                INVALID("\x0f\x00\xd8"); /* ltr %ax */
                INVALID("\x0f\x00\xe0"); /* verr %ax */
                INVALID("\x0f\x02\xc0"); /* lar %ax, %ax */
                INVALID("\x0f\x03\xc0"); /* lsl %ax, %ax */
                INVALID("\x63\xc0");     /* arpl %ax, %ax */
#undef INVALID
        }
        v86_mode(g, IOPL3);
        assert_int_equal(RUN86(g, "\xf4"), EXC_GP);         /* hlt */
        assert_int_equal(RUN86(g, "\x0f\x20\xc0"), EXC_GP); /* mov %cr0, %eax */
        assert_int_equal(RUN86(g, "\x0f\x01\x17"), EXC_GP); /* lgdt (%bx) */
}

static void test_segments_are_those_of_real_mode(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        v86_mode(g, 0);
        c->r[RAX] = LOW_SEG + 0x100;
        soft_guest_memory(g, LOW + 0x1005)[0] = 0x77;
        /* mov %ax, %ds; mov 5, %cl; ljmp $LOW_SEG - 1, $0x40 */
        memcpy(soft_guest_memory(g, LOW + 0x30), "\x0f\x0b", 2);
        assert_int_equal(RUN86(g, "\x8e\xd8\x8a\x0e\x05\x00\xea\x40\x00\xff\x5f"), EXC_UD);
        assert_int_equal(c->seg[SEG_DS].base, LOW + 0x1000);
        assert_int_equal(c->r[RCX] & 0xff, 0x77);
        assert_int_equal(c->seg[SEG_CS].selector, LOW_SEG - 1);
        assert_int_equal(c->rip, 0x40);
        assert_int_equal(c->seg[SEG_CS].limit, 0xffff);
}

static void test_offsets_end_with_the_segment(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        v86_mode(g, 0);
        c->r[RBX] = 0x10000;
        assert_int_equal(RUN86(g, "\x67\x8a\x03"), EXC_GP); /* mov (%ebx), %al */
        c->r[RSP] = 1;
        assert_int_equal(RUN86(g, "\x50"), EXC_SS); /* push %ax */
        assert_int_equal(c->r[RSP], 1);
        /* ljmpl $LOW_SEG, $0x10000 */
        assert_int_equal(RUN86(g, "\x66\xea\x00\x00\x01\x00\x00\x60"), EXC_GP);
        /* A program that runs past its end. */
        memcpy(soft_guest_memory(g, LOW + 0xffff), "\x90\x0f\x0b", 3);
        assert_int_equal(legacy_run(g, LOW, 0, "\xe9\xfc\xff", 3), EXC_GP); /* jmp 0xffff */
        assert_int_equal(c->rip, 0x10000);
}

static void test_a_task_may_be_one_of_this_mode_and_back(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;
        uint8_t *tss = soft_guest_memory(g, TASK2);

        set_descriptor(g, TASK2_SELECTOR, UINT64_C(0x0000890000000067) | (uint64_t) TASK2 << 16);
        le32_store(tss + 0x20, 0x10);                         /* EIP */
        le32_store(tss + 0x24, FLAG_VM | IOPL3 | FLAG_FIXED); /* EFLAGS */
        le32_store(tss + 0x38, 0x8000);                       /* ESP */
        for (unsigned i = 0; i < N_SEGS; i++)
                le16_store(tss + 0x48 + i * 4, (uint16_t) (LOW_SEG + (i == SEG_DS)));
        memcpy(soft_guest_memory(g, LOW + 0x10), "\x0f\x0b", 2);
        assert_int_equal(RUN(g, "\x9a\x00\x00\x00\x00\x38\x00"), EXC_UD); /* lcall */
        assert_true(cpu_v86(c));
        assert_int_equal(c->cpl, 3);
        assert_int_equal(c->rip, 0x10);
        assert_int_equal(c->r[RSP], 0x8000);
        assert_int_equal(c->seg[SEG_DS].base, LOW + 0x10);
        assert_int_equal(c->seg[SEG_CS].limit, 0xffff);
        assert_int_equal(c->tr.selector, TASK2_SELECTOR);

        set_interrupt(g, 0x21, gate(5, 3, TR, 0, 0)); /* a task gate to the first */
        set_descriptor(g, TR, UINT64_C(0x000089000000ffff) | (uint64_t) TSS << 16);
        c->rip = 0x20;
        c->flags &= ~FLAG_NT;
        assert_int_equal(legacy_run(g, LOW + 0x20, 0x20, "\xcd\x21\x0f\x0b", 4), EXC_UD);
        assert_false(cpu_v86(c));
        assert_int_equal(c->cpl, 0);
        assert_int_equal(c->rip, CODE + 7);
        assert_int_equal(le32_load(tss + 0x20), 0x22);
        assert_int_equal(le32_load(tss + 0x24) & FLAG_VM, FLAG_VM);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_return_of_privilege_0_enters_with_all_segments),
                TEST(test_return_of_user_mode_does_not_enter),
                TEST(test_entry_beyond_the_segment_faults_before_it),
                TEST(test_interrupt_pushes_nine_words_and_leaves_no_segments),
                TEST(test_handlers_must_be_privilege_0s_own),
                TEST(test_what_iopl_guards_faults_without_it),
                TEST(test_with_iopl_they_work_but_iopl_stays),
                TEST(test_ports_are_asked_for_whatever_iopl_says),
                TEST(test_instructions_about_descriptors_are_invalid),
                TEST(test_segments_are_those_of_real_mode),
                TEST(test_offsets_end_with_the_segment),
                TEST(test_a_task_may_be_one_of_this_mode_and_back),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
