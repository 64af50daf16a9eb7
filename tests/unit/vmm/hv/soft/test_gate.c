/* SPDX-License-Identifier: Apache-2.0 */
/* Call gates: to more privilege with parameters, to the same, and all that may be wrong with them. */
#include "tests/unit/vmm/hv/soft/legacy_guest.h"

#define CALL "\x9a\x78\x56\x34\x12\x30\x00" /* lcall $GATE, $0x12345678: the offset means nothing */
#define CALL_LENGTH 7u
#define JUMP "\xea\x78\x56\x34\x12\x30\x00"
#define TYPE_CALL16 4u
#define TYPE_CALL32 12u

/* From user mode, with two words on its stack. */
static void user_with_parameters(SoftGuest *g) {
        protected_mode(g, 3);
        g->cpu->r[RSP] = STACK3 - 8;
        le32_store(soft_guest_memory(g, STACK3 - 8), 0x11111111);
        le32_store(soft_guest_memory(g, STACK3 - 4), 0x22222222);
}

static void test_call_to_more_privilege_takes_parameters_to_the_new_stack(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;
        const uint32_t frame[] = {CODE + CALL_LENGTH, CS3, 0x11111111, 0x22222222, STACK3 - 8, DS3};

        set_descriptor(g, GATE, gate(TYPE_CALL32, 3, CS0, HANDLER, 2));
        user_with_parameters(g);
        assert_int_equal(RUN(g, CALL), EXC_UD);
        assert_int_equal(c->rip, HANDLER);
        assert_int_equal(c->cpl, 0);
        assert_int_equal(c->seg[SEG_CS].selector, CS0);
        assert_int_equal(c->seg[SEG_SS].selector, DS0);
        assert_int_equal(c->seg[SEG_DS].selector, DS3);
        assert_int_equal(c->r[RSP], STACK0 - sizeof(frame));
        for (unsigned i = 0; i < 6; i++)
                assert_int_equal(word32(g, STACK0 - sizeof(frame) + i * 4), frame[i]);
}

static void test_return_drops_the_parameters_from_both_stacks(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        set_descriptor(g, GATE, gate(TYPE_CALL32, 3, CS0, HANDLER, 2));
        memcpy(soft_guest_memory(g, HANDLER), "\xca\x08\x00", 3); /* lret $8 */
        user_with_parameters(g);
        assert_int_equal(RUN(g, CALL), EXC_UD);
        assert_int_equal(c->rip, CODE + CALL_LENGTH);
        assert_int_equal(c->cpl, 3);
        assert_int_equal(c->r[RSP], STACK3);
        assert_int_equal(c->seg[SEG_SS].selector, DS3);
}

static void test_gate_of_sixteen_bits_moves_words(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;
        const uint16_t frame[] = {CALL_LENGTH, CS3, 0x1111, 0x1111, (STACK3 - 8) & 0xffff, DS3};

        /* The offset has 16 bits, so the handler's segment begins at it. */
        set_descriptor(g, CS0, UINT64_C(0x00009a000000ffff) | (uint64_t) HANDLER << 16);
        set_descriptor(g, GATE, gate(TYPE_CALL16, 3, CS0, 0xffff0000, 2));
        user_with_parameters(g);
        c->seg[SEG_CS].base = CODE;
        assert_int_equal(legacy_run(g, CODE, 0, CALL, CALL_LENGTH), EXC_UD);
        assert_int_equal(c->rip, 0);
        assert_int_equal(c->seg[SEG_CS].base, HANDLER);
        assert_int_equal(c->r[RSP], STACK0 - sizeof(frame));
        for (unsigned i = 0; i < 6; i++)
                assert_int_equal(le16_load(soft_guest_memory(g, c->r[RSP] + i * 2)), frame[i]);
        assert_int_equal(le64_load(soft_guest_memory(g, GDT + CS0)) >> 40 & 1, 1); /* accessed */
}

static void test_call_within_a_privilege_stays_on_its_stack(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        set_descriptor(g, GATE, gate(TYPE_CALL32, 0, CS0, HANDLER, 2));
        assert_int_equal(RUN(g, CALL), EXC_UD);
        assert_int_equal(c->rip, HANDLER);
        assert_int_equal(c->r[RSP], STACK0 - 8);
        assert_int_equal(word32(g, STACK0 - 8), CODE + CALL_LENGTH);
        assert_int_equal(word32(g, STACK0 - 4), CS0);

        set_descriptor(g, GATE, gate(TYPE_CALL32, 3, CS_CONFORMING, HANDLER, 0));
        protected_mode(g, 3);
        assert_int_equal(RUN(g, CALL), EXC_UD);
        assert_int_equal(c->cpl, 3);
        assert_int_equal(c->seg[SEG_CS].selector, CS_CONFORMING | 3);
        assert_int_equal(c->r[RSP], STACK3 - 8);
}

static void test_jump_through_a_gate_changes_no_privilege(void **state) {
        SoftGuest *g = *state;

        set_descriptor(g, GATE, gate(TYPE_CALL32, 3, CS0, HANDLER, 0));
        assert_int_equal(RUN(g, JUMP), EXC_UD);
        assert_int_equal(g->cpu->rip, HANDLER);
        assert_int_equal(g->cpu->r[RSP], STACK0);
        protected_mode(g, 3);
        assert_int_equal(RUN(g, JUMP), EXC_GP);
        assert_int_equal(g->cpu->fault_code, CS0);
        set_descriptor(g, GATE, gate(TYPE_CALL32, 3, CS_CONFORMING, HANDLER, 0));
        assert_int_equal(RUN(g, JUMP), EXC_UD);
        assert_int_equal(g->cpu->cpl, 3);
}

static void test_each_check_has_its_own_error_code(void **state) {
        const uint64_t good = gate(TYPE_CALL32, 3, CS0, HANDLER, 2);
        const struct {
                unsigned selector; /* whose descriptor is bad */
                uint64_t descriptor;
                unsigned vector, code;
        } cases[] = {
                {GATE, gate(TYPE_CALL32, 0, CS0, HANDLER, 2), EXC_GP, GATE},
                {GATE, good & ~NOT_PRESENT, EXC_NP, GATE},
                {GATE, gate(TYPE_CALL32, 3, 0, HANDLER, 2), EXC_GP, 0},
                {GATE, gate(TYPE_CALL32, 3, DS0, HANDLER, 2), EXC_GP, DS0},
                {GATE, gate(TYPE_CALL32, 3, GDT_END, HANDLER, 2), EXC_GP, GDT_END},
                {CS0, DESCRIPTOR_CODE0 & ~NOT_PRESENT, EXC_NP, CS0},
                {CS0, UINT64_C(0x00409b000000ffff), EXC_GP, 0}, /* ends before the handler */
                {DS0, DESCRIPTOR_DATA0 & ~NOT_PRESENT, EXC_SS, DS0},
                {DS0, DESCRIPTOR_DATA0 & ~(UINT64_C(2) << 40), EXC_TS, DS0},
                {DS0, DESCRIPTOR_DATA0 | UINT64_C(3) << 45, EXC_TS, DS0},
                {DS0, UINT64_C(0x004093000000ffff), EXC_SS, DS0}, /* smaller than the stack */
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                SoftGuest *g = *state;

                set_descriptor(g, GATE, good);
                set_descriptor(g, CS0, DESCRIPTOR_CODE0);
                set_descriptor(g, DS0, DESCRIPTOR_DATA0);
                set_descriptor(g, cases[i].selector, cases[i].descriptor);
                user_with_parameters(g);
                assert_int_equal(RUN(g, CALL), cases[i].vector);
                assert_int_equal(g->cpu->fault_code, cases[i].code);
                assert_int_equal(g->cpu->rip, CODE);
                assert_int_equal(g->cpu->cpl, 3);
                assert_int_equal(g->cpu->r[RSP], STACK3 - 8);
        }
}

static void test_stacks_of_the_task_must_be_there(void **state) {
        SoftGuest *g = *state;

        set_descriptor(g, GATE, gate(TYPE_CALL32, 3, CS0, HANDLER, 0));
        protected_mode(g, 3);
        g->cpu->tr.limit = 8;
        assert_int_equal(RUN(g, CALL), EXC_TS);
        assert_int_equal(g->cpu->fault_code, TR);
        g->cpu->tr.limit = 0x67;
        set_tss32(g, 8, 0);
        assert_int_equal(RUN(g, CALL), EXC_TS);
        assert_int_equal(g->cpu->fault_code, 0);
        set_tss32(g, 8, DS3);
        assert_int_equal(RUN(g, CALL), EXC_TS);
        assert_int_equal(g->cpu->fault_code, DS3 & ~3u);
}

/* ---- long mode: gates of 16 bytes, and no parameters ---- */

static void long_mode(SoftGuest *g) {
        SoftCpu *c = g->cpu;

        for (uint64_t at = CODE; at < CODE + 0x10000; at += 0x1000)
                soft_guest_map(g, at, at, SOFT_MAP_WRITE | SOFT_MAP_USER);
        soft_guest_long_mode(g, 3);
        c->gdt_base = GDT;
        c->gdt_limit = GDT_END - 1;
        c->tr = (Segment){.selector = TR, .base = TSS, .limit = 0x67, .attr = 0x8b};
        le64_store(soft_guest_memory(g, TSS + 4), STACK0);
        /* lcall *(%rbx) */
        c->r[RBX] = CODE + 0x800;
        le32_store(soft_guest_memory(g, CODE + 0x804), GATE);
        c->r[RSP] = STACK3;
}
#define CALL64 "\xff\x1b"

static void test_long_mode_pushes_four_words_and_loads_a_null_stack(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        set_descriptor(g, GATE, gate(TYPE_CALL32, 3, CS0_64, HANDLER, 0));
        set_descriptor(g, GATE + 8, 0);
        long_mode(g);
        assert_int_equal(RUN(g, CALL64), EXC_UD);
        assert_int_equal(c->rip, HANDLER);
        assert_int_equal(c->cpl, 0);
        assert_int_equal(c->seg[SEG_CS].selector, CS0_64);
        assert_int_equal(c->seg[SEG_SS].selector, 0);
        assert_int_equal(c->r[RSP], STACK0 - 32);
        assert_int_equal(le64_load(soft_guest_memory(g, STACK0 - 32)), CODE + 2);
        assert_int_equal(le64_load(soft_guest_memory(g, STACK0 - 24)), 0x33);
        assert_int_equal(le64_load(soft_guest_memory(g, STACK0 - 16)), STACK3);
        assert_int_equal(le64_load(soft_guest_memory(g, STACK0 - 8)), 0x2b);
}

static void test_long_mode_wants_64_bit_code_behind_a_whole_gate(void **state) {
        SoftGuest *g = *state;

        set_descriptor(g, GATE, gate(TYPE_CALL32, 3, CS0, HANDLER, 0));
        set_descriptor(g, GATE + 8, 0);
        long_mode(g);
        assert_int_equal(RUN(g, CALL64), EXC_GP);
        assert_int_equal(g->cpu->fault_code, CS0);
        set_descriptor(g, GATE, gate(TYPE_CALL32, 3, CS0_64, HANDLER, 0));
        set_descriptor(g, GATE + 8, UINT64_C(1) << 40); /* a type in the upper half */
        assert_int_equal(RUN(g, CALL64), EXC_GP);
        assert_int_equal(g->cpu->fault_code, GATE);
        set_descriptor(g, GATE + 8, 0x8000); /* an offset that is not canonical */
        assert_int_equal(RUN(g, CALL64), EXC_GP);
        assert_int_equal(g->cpu->fault_code, 0);
        set_descriptor(g, GATE + 8, 0);
        g->cpu->gdt_limit = GATE + 7;
        assert_int_equal(RUN(g, CALL64), EXC_GP);
        assert_int_equal(g->cpu->fault_code, GATE);
        g->cpu->gdt_limit = GDT_END - 1;
        set_descriptor(g, GATE, gate(TYPE_CALL16, 3, CS0_64, HANDLER, 0)); /* does not exist */
        assert_int_equal(RUN(g, CALL64), EXC_GP);
        assert_int_equal(g->cpu->fault_code, GATE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_call_to_more_privilege_takes_parameters_to_the_new_stack),
                TEST(test_return_drops_the_parameters_from_both_stacks),
                TEST(test_gate_of_sixteen_bits_moves_words),
                TEST(test_call_within_a_privilege_stays_on_its_stack),
                TEST(test_jump_through_a_gate_changes_no_privilege),
                TEST(test_each_check_has_its_own_error_code),
                TEST(test_stacks_of_the_task_must_be_there),
                TEST(test_long_mode_pushes_four_words_and_loads_a_null_stack),
                TEST(test_long_mode_wants_64_bit_code_behind_a_whole_gate),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
