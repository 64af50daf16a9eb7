/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions in 64-bit mode: which one arrives, on which stack, with what frame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/le.h"
#include "tests/fake/vmm_soft_guest.h"

#define CODE UINT64_C(0x100000) /* all memory of the test is mapped where it lies */
#define HANDLERS UINT64_C(0x101000)
#define IDT UINT64_C(0x102000)
#define GDT UINT64_C(0x103000)
#define TSS UINT64_C(0x104000)
#define STACK_TOP UINT64_C(0x106000)
#define IST_TOP UINT64_C(0x107000)
#define END UINT64_C(0x107000)
#define ABSENT UINT64_C(0x108000)
#define STOP_PORT 0x10u
#define CODE_SELECTOR 8u

static int setup(void **state) {
        static SoftGuest guest;

        if (soft_guest_new(1, &guest) < 0)
                return -1;
        for (uint64_t at = CODE; at < END; at += 0x1000)
                soft_guest_map(&guest, at, at, SOFT_MAP_WRITE);
        soft_guest_long_mode(&guest, 0);
        le64_store(soft_guest_memory(&guest, GDT + CODE_SELECTOR), UINT64_C(0x00af9b000000ffff));
        le64_store(soft_guest_memory(&guest, TSS + 36), IST_TOP);
        guest.cpu->gdt_base = GDT;
        guest.cpu->gdt_limit = 0xf;
        guest.cpu->idt_base = IDT;
        guest.cpu->idt_limit = 0xfff;
        guest.cpu->tr = (Segment){.base = TSS, .limit = 0x67, .attr = 0x8b};
        guest.tiny->stop_port = STOP_PORT;
        *state = &guest;
        return 0;
}

static int teardown(void **state) {
        soft_guest_deinit(*state);
        return 0;
}

/* A handler that ends the run and tells nothing but that it was reached. */
static void set_gate(SoftGuest *g, unsigned vector, unsigned ist) {
        uint64_t at = HANDLERS + vector * 16;
        uint8_t *gate = soft_guest_memory(g, IDT + vector * 16);

        memcpy(soft_guest_memory(g, at), "\xe6\x10\xf4", 3); /* out %al, $STOP_PORT; hlt */
        le64_store(gate, (at & 0xffff) | CODE_SELECTOR << 16 | (uint64_t) ist << 32 |
                                 UINT64_C(0x8e00) << 32 | (at >> 16) << 48);
        le64_store(gate + 8, at >> 32);
}

static HaltReason run(SoftGuest *g, const char *code, size_t len) {
        memcpy(soft_guest_memory(g, CODE), code, len);
        g->cpu->rip = CODE;
        g->cpu->r[RSP] = STACK_TOP - 4; /* delivery aligns it */
        return tiny_guest_run(g->tiny);
}
#define RUN(g, code) run(g, code, sizeof(code) - 1)

static void assert_at_handler(SoftGuest *g, unsigned vector) {
        assert_int_equal(g->cpu->rip, HANDLERS + vector * 16 + 2); /* stopped by OUT */
}

static void test_fault_without_code_pushes_five_words_on_an_aligned_stack(void **state) {
        SoftGuest *g = *state;
        uint8_t *frame = soft_guest_memory(g, STACK_TOP - 16 - 40);

        set_gate(g, EXC_UD, 0);
        assert_int_equal(RUN(g, "\x90\x0f\x0b"), HALT_STOP); /* nop; ud2 */
        assert_at_handler(g, EXC_UD);
        assert_int_equal(g->cpu->r[RSP], STACK_TOP - 16 - 40);
        assert_int_equal(le64_load(frame), CODE + 1);
        assert_int_equal(le64_load(frame + 24), STACK_TOP - 4);
}

static void test_page_fault_tells_address_and_code(void **state) {
        SoftGuest *g = *state;
        uint8_t *frame = soft_guest_memory(g, STACK_TOP - 16 - 48);

        set_gate(g, EXC_PF, 0);
        g->cpu->r[RAX] = ABSENT + 7;
        assert_int_equal(RUN(g, "\xc6\x00\x01"), HALT_STOP); /* movb $1, (%rax) */
        assert_at_handler(g, EXC_PF);
        assert_int_equal(g->cpu->cr2, ABSENT + 7);
        assert_int_equal(le64_load(frame), 2);
        assert_int_equal(le64_load(frame + 8), CODE);
}

static void
test_fault_while_delivering_a_page_fault_is_a_double_fault_on_its_own_stack(void **state) {
        SoftGuest *g = *state;
        uint8_t *frame = soft_guest_memory(g, IST_TOP - 48);

        set_gate(g, EXC_DF, 1);
        g->cpu->r[RAX] = ABSENT;
        assert_int_equal(RUN(g, "\x8a\x00"), HALT_STOP); /* mov (%rax), %al: #PF has no gate */
        assert_at_handler(g, EXC_DF);
        assert_int_equal(g->cpu->r[RSP], IST_TOP - 48);
        assert_int_equal(le64_load(frame), 0);
        assert_int_equal(le64_load(frame + 8), CODE);
}

static void test_fault_while_delivering_a_double_fault_ends_the_machine(void **state) {
        SoftGuest *g = *state;

        assert_int_equal(RUN(g, "\x0f\x0b"), HALT_TRIPLE_FAULT);
}

static void test_breakpoint_returns_behind_itself(void **state) {
        SoftGuest *g = *state;

        set_gate(g, EXC_BP, 0);
        assert_int_equal(RUN(g, "\x90\xcc"), HALT_STOP);
        assert_at_handler(g, EXC_BP);
        assert_int_equal(le64_load(soft_guest_memory(g, g->cpu->r[RSP])), CODE + 2);
}

static void test_single_step_traps_after_the_next_instruction(void **state) {
        SoftGuest *g = *state;

        set_gate(g, EXC_DB, 0);
        /* pushf; orl $0x100, (%rsp); popf; nop; nop */
        assert_int_equal(RUN(g, "\x9c\x81\x0c\x24\x00\x01\x00\x00\x9d\x90\x90\x90"), HALT_STOP);
        assert_at_handler(g, EXC_DB);
        assert_int_equal(le64_load(soft_guest_memory(g, g->cpu->r[RSP])), CODE + 10);
        assert_int_equal(g->cpu->dr[6] & 0x4000, 0x4000);
        assert_int_equal(g->cpu->flags & FLAG_TF, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_fault_without_code_pushes_five_words_on_an_aligned_stack),
                TEST(test_page_fault_tells_address_and_code),
                TEST(test_fault_while_delivering_a_page_fault_is_a_double_fault_on_its_own_stack),
                TEST(test_fault_while_delivering_a_double_fault_ends_the_machine),
                TEST(test_breakpoint_returns_behind_itself),
                TEST(test_single_step_traps_after_the_next_instruction),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
