/* SPDX-License-Identifier: Apache-2.0 */
/* The extensions of virtual-8086 mode and virtual interrupts of protected mode: CR4.VME and CR4.PVI. */
#include "tests/unit/vmm/hv/soft/legacy_guest.h"

#define IOPL2 0x2000u
#define IVT_SEG 0x5ff0u
#define IVT_IP 0x140u /* the same place as LOW + 0x40 */
#define AT_HANDLER (LOW + 0x40u)
#define REDIRECTION (TSS + 0x68u)
#define IO_MAP 0x88u

static void vme_mode(SoftGuest *g, uint32_t flags) {
        le16_store(soft_guest_memory(g, TSS + 0x66), IO_MAP);
        memset(soft_guest_memory(g, REDIRECTION), 0, 32); /* all to the program's own handlers */
        le16_store(soft_guest_memory(g, 0x21 * 4), IVT_IP);
        le16_store(soft_guest_memory(g, 0x21 * 4 + 2), IVT_SEG);
        memcpy(soft_guest_memory(g, AT_HANDLER), "\x0f\x0b", 2);
        v86_mode(g, flags);
        g->cpu->cr4 = CR4_VME;
}

static uint16_t word16(SoftGuest *g, uint64_t at) {
        return le16_load(soft_guest_memory(g, at));
}

static void refuse(SoftGuest *g) {
        assert_int_equal(g->cpu->fault_code, 0);
        assert_int_equal(g->cpu->rip, 0);
        assert_int_equal(g->cpu->r[RSP], 0x8000);
}

static void test_cli_and_sti_are_about_vif(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        vme_mode(g, IOPL2 | FLAG_IF);
        assert_int_equal(RUN86(g, "\xfb"), EXC_UD); /* sti */
        assert_int_equal(c->flags & (FLAG_IF | FLAG_VIF), FLAG_IF | FLAG_VIF);
        assert_int_equal(c->shadow, 0);
        assert_int_equal(RUN86(g, "\xfa"), EXC_UD); /* cli */
        assert_int_equal(c->flags & (FLAG_IF | FLAG_VIF), FLAG_IF);
        c->flags |= FLAG_VIP;
        assert_int_equal(RUN86(g, "\xfb"), EXC_GP);
        refuse(g);
        assert_int_equal(c->flags & FLAG_VIF, 0);
        assert_int_equal(RUN86(g, "\xfa"), EXC_UD);
}

static void test_with_iopl_3_the_real_flag_is_meant(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        vme_mode(g, IOPL3 | FLAG_VIF);
        assert_int_equal(RUN86(g, "\xfb\x90\x9c\x58"), EXC_UD); /* sti; nop; pushf; pop %ax */
        assert_int_equal(c->r[RAX] & 0xffff, FLAG_FIXED | FLAG_IF | IOPL3);
        assert_int_equal(RUN86(g, "\xfa"), EXC_UD);
        assert_int_equal(c->flags & (FLAG_IF | FLAG_VIF), FLAG_VIF);
        assert_int_equal(RUN86(g, "\x66\x9c\x66\x58"), EXC_UD); /* pushfd; pop %eax */
        assert_int_equal(c->r[RAX], FLAG_FIXED | IOPL3 | FLAG_VIF);
}

static void test_flags_are_pushed_with_vif_for_if(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        vme_mode(g, FLAG_IF);
        assert_int_equal(RUN86(g, "\x9c\x58"), EXC_UD); /* pushf; pop %ax */
        assert_int_equal(c->r[RAX] & 0xffff, FLAG_FIXED | IOPL3);
        c->flags = (c->flags & ~FLAG_IF) | FLAG_VIF;
        assert_int_equal(RUN86(g, "\x9c\x58"), EXC_UD);
        assert_int_equal(c->r[RAX] & 0xffff, FLAG_FIXED | IOPL3 | FLAG_IF);
        assert_int_equal(RUN86(g, "\x66\x9c"), EXC_GP); /* pushfd */
        refuse(g);
}

static void test_flags_are_popped_into_vif(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;
        uint8_t *stack = soft_guest_memory(g, LOW + 0x8000);

        vme_mode(g, IOPL2 | FLAG_IF);
        le16_store(stack, FLAG_IF | FLAG_CF | FLAG_DF);
        assert_int_equal(RUN86(g, "\x9d"), EXC_UD); /* popf */
        assert_int_equal(cpu_flags(c),
                         FLAG_FIXED | FLAG_VM | IOPL2 | FLAG_IF | FLAG_VIF | FLAG_CF | FLAG_DF);
        assert_int_equal(c->r[RSP], 0x8002);
        c->r[RSP] = 0x8000;
        le16_store(stack, IOPL3);
        assert_int_equal(RUN86(g, "\x9d"), EXC_UD);
        assert_int_equal(cpu_flags(c), FLAG_FIXED | FLAG_VM | IOPL2 | FLAG_IF);

        c->r[RSP] = 0x8000;
        assert_int_equal(RUN86(g, "\x66\x9d"), EXC_GP); /* popfd */
        refuse(g);
        le16_store(stack, FLAG_TF);
        assert_int_equal(RUN86(g, "\x9d"), EXC_GP);
        refuse(g);
        c->flags |= FLAG_VIP;
        le16_store(stack, FLAG_IF);
        assert_int_equal(RUN86(g, "\x9d"), EXC_GP);
        refuse(g);
        le16_store(stack, 0);
        assert_int_equal(RUN86(g, "\x9d"), EXC_UD);
}

static void test_iret_of_16_bits_returns_within_the_mode(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;
        uint8_t *stack = soft_guest_memory(g, LOW + 0x8000);

        vme_mode(g, 0);
        le16_store(stack, IVT_IP);
        le16_store(stack + 2, IVT_SEG);
        le16_store(stack + 4, FLAG_IF | FLAG_ZF | IOPL3);
        assert_int_equal(RUN86(g, "\xcf"), EXC_UD);
        assert_int_equal(c->rip, IVT_IP);
        assert_int_equal(c->seg[SEG_CS].selector, IVT_SEG);
        assert_int_equal(c->r[RSP], 0x8006);
        assert_int_equal(cpu_flags(c), FLAG_FIXED | FLAG_VM | FLAG_VIF | FLAG_ZF);

        vme_mode(g, FLAG_VIP);
        assert_int_equal(RUN86(g, "\xcf"), EXC_GP);
        refuse(g);
        assert_int_equal(c->seg[SEG_CS].selector, LOW_SEG);
        vme_mode(g, 0);
        assert_int_equal(RUN86(g, "\x66\xcf"), EXC_GP);
        refuse(g);
        le16_store(stack + 4, FLAG_TF);
        assert_int_equal(RUN86(g, "\xcf"), EXC_GP);
        refuse(g);
}

static void test_interrupts_are_redirected_to_the_programs_own_handler(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        vme_mode(g, IOPL2 | FLAG_IF | FLAG_VIF);
        memset(soft_guest_memory(g, REDIRECTION), 0xff, 32);
        soft_guest_memory(g, REDIRECTION)[0x21 / 8] = (uint8_t) ~(1u << 0x21 % 8);
        assert_int_equal(RUN86(g, "\xcd\x21"), EXC_UD);
        assert_true(cpu_v86(c));
        assert_int_equal(c->rip, IVT_IP);
        assert_int_equal(c->seg[SEG_CS].selector, IVT_SEG);
        assert_int_equal(c->r[RSP], 0x7ffa);
        assert_int_equal(word16(g, LOW + 0x7ffa), 2);
        assert_int_equal(word16(g, LOW + 0x7ffc), LOW_SEG);
        assert_int_equal(word16(g, LOW + 0x7ffe), FLAG_FIXED | FLAG_IF | IOPL3);
        assert_int_equal(cpu_flags(c), FLAG_FIXED | FLAG_VM | FLAG_IF | IOPL2);

        /* With IOPL 3 it is the real flag. */
        vme_mode(g, IOPL3 | FLAG_IF | FLAG_VIF);
        assert_int_equal(RUN86(g, "\xcd\x21"), EXC_UD);
        assert_int_equal(word16(g, LOW + 0x7ffe), FLAG_FIXED | FLAG_IF | IOPL3);
        assert_int_equal(cpu_flags(c), FLAG_FIXED | FLAG_VM | FLAG_VIF | IOPL3);
}

static void test_what_is_not_redirected_asks_for_iopl_and_the_gate(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        set_interrupt(g, 0x21, gate(GATE_INTERRUPT32, 3, CS0, HANDLER, 0));
        set_interrupt(g, EXC_BP, gate(GATE_INTERRUPT32, 3, CS0, HANDLER, 0));
        vme_mode(g, IOPL2);
        soft_guest_memory(g, REDIRECTION)[0x21 / 8] = 1u << 0x21 % 8;
        assert_int_equal(RUN86(g, "\xcd\x21"), EXC_GP);
        refuse(g);
        assert_int_equal(RUN86(g, "\xcc"), EXC_UD); /* int3 is not INT 3 */
        assert_int_equal(c->rip, HANDLER);
        vme_mode(g, IOPL3 | FLAG_VIF | FLAG_IF);
        soft_guest_memory(g, REDIRECTION)[0x21 / 8] = 1u << 0x21 % 8;
        assert_int_equal(RUN86(g, "\xcd\x21"), EXC_UD);
        assert_int_equal(c->rip, HANDLER);
        assert_false(cpu_v86(c));
        assert_int_equal(word32(g, c->r[RSP] + 8),
                         FLAG_FIXED | FLAG_VM | FLAG_VIF | FLAG_IF | IOPL3);
}

static void test_the_redirection_map_must_be_within_a_tss_of_32_bits(void **state) {
        SoftGuest *g = *state;

        vme_mode(g, IOPL3);
        g->cpu->tr.limit = 0x66;
        assert_int_equal(RUN86(g, "\xcd\x21"), EXC_GP);
        refuse(g);
        vme_mode(g, IOPL3);
        g->cpu->tr.attr &= (uint16_t) ~8u;
        assert_int_equal(RUN86(g, "\xcd\x21"), EXC_GP);
        refuse(g);
        vme_mode(g, IOPL3);
        le16_store(soft_guest_memory(g, TSS + 0x66), 0x8000);
        assert_int_equal(RUN86(g, "\xcd\x21"), EXC_GP);
        refuse(g);
        vme_mode(g, IOPL3);
        le16_store(soft_guest_memory(g, TSS + 0x66), 2); /* the map begins before the TSS */
        assert_int_equal(RUN86(g, "\xcd\x21"), EXC_GP);
        refuse(g);
}

static void test_a_stack_without_room_leaves_all_as_it_was(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        vme_mode(g, FLAG_VIF);
        c->r[RSP] = 3;
        assert_int_equal(RUN86(g, "\xcd\x21"), EXC_SS);
        assert_int_equal(c->r[RSP], 3);
        assert_int_equal(c->rip, 0);
        assert_int_equal(c->flags & FLAG_VIF, FLAG_VIF);
}

/* IRET of privilege 0 to code that an interrupt waits for and that takes interrupts. */
static void test_what_waits_is_told_before_the_first_instruction(void **state) {
        const uint32_t both = FLAG_FIXED | FLAG_VIF | FLAG_VIP;
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;
        uint8_t *frame = soft_guest_memory(g, STACK0 - 36);

        memset(frame, 0, 36);
        le32_store(frame + 4, LOW_SEG);
        le32_store(frame + 8, both | FLAG_VM);
        for (unsigned pass = 0; pass < 3; pass++) {
                protected_mode(g, 0);
                memcpy(soft_guest_memory(g, LOW), "\x0f\x0b", 2);
                c->cr4 = pass == 1 ? 0 : CR4_VME;
                le32_store(frame + 8, pass == 2 ? both | FLAG_VM | IOPL3 : both | FLAG_VM);
                c->r[RSP] = STACK0 - 36;
                assert_int_equal(RUN(g, "\xcf"), pass == 0 ? EXC_GP : EXC_UD);
                assert_true(cpu_v86(c));
                assert_int_equal(c->rip, 0);
                assert_int_equal(c->fault_code, 0);
        }
        for (unsigned pass = 0; pass < 2; pass++) {
                protected_mode(g, 0);
                c->cr4 = pass == 1 ? CR4_VME : CR4_PVI;
                le32_store(frame, HANDLER);
                le32_store(frame + 4, CS3);
                le32_store(frame + 8, both);
                le32_store(frame + 12, STACK3);
                le32_store(frame + 16, DS3);
                c->r[RSP] = STACK0 - 36;
                assert_int_equal(RUN(g, "\xcf"), pass == 0 ? EXC_GP : EXC_UD);
                assert_int_equal(c->cpl, 3);
                assert_int_equal(c->rip, HANDLER);
        }
}

static void test_user_programs_of_protected_mode_have_cli_and_sti_with_pvi(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        protected_mode(g, 3);
        c->cr4 = CR4_PVI;
        c->flags |= FLAG_IF;
        assert_int_equal(RUN(g, "\xfb"), EXC_UD); /* sti */
        assert_int_equal(c->flags & (FLAG_VIF | FLAG_IF), FLAG_VIF | FLAG_IF);
        assert_int_equal(RUN(g, "\x9c\x58"), EXC_UD); /* pushf; pop %eax */
        assert_int_equal(c->r[RAX], FLAG_FIXED | FLAG_IF | FLAG_VIF);
        c->r[RAX] = 0;
        assert_int_equal(RUN(g, "\x50\x9d"), EXC_UD); /* push %eax; popf */
        assert_int_equal(c->flags & (FLAG_VIF | FLAG_IF), FLAG_VIF | FLAG_IF);
        assert_int_equal(RUN(g, "\xfa"), EXC_UD); /* cli */
        assert_int_equal(c->flags & (FLAG_VIF | FLAG_IF), FLAG_IF);
        c->flags |= FLAG_VIP;
        assert_int_equal(RUN(g, "\xfb"), EXC_GP);
        c->cr4 = CR4_VME; /* which is for the other mode */
        assert_int_equal(RUN(g, "\xfa"), EXC_GP);
        protected_mode(g, 0);
        c->cr4 = CR4_PVI;
        assert_int_equal(RUN(g, "\xfb\x90"), EXC_UD);
        assert_int_equal(c->flags & (FLAG_VIF | FLAG_IF), FLAG_IF);
}

static void test_a_task_with_an_interrupt_waiting_is_told(void **state) {
        static const uint16_t selectors[N_SEGS] = {DS3, CS3, DS3, DS3, DS3, DS3};
        const uint32_t task2 = 0x105000;
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;
        uint8_t *tss = soft_guest_memory(g, task2);

        set_descriptor(g, 0x38, UINT64_C(0x0000890000000067) | (uint64_t) task2 << 16);
        le32_store(tss + 0x20, HANDLER);
        le32_store(tss + 0x24, FLAG_FIXED | FLAG_VIF | FLAG_VIP);
        le32_store(tss + 0x38, STACK3);
        for (unsigned i = 0; i < N_SEGS; i++)
                le16_store(tss + 0x48 + i * 4, selectors[i]);
        c->cr4 = CR4_PVI;
        assert_int_equal(RUN(g, "\xea\x00\x00\x00\x00\x38\x00"), EXC_GP); /* ljmp */
        assert_int_equal(c->rip, HANDLER);
        assert_int_equal(c->cpl, 3);
}

static void test_nmis_are_unmasked_by_an_iret_that_faults(void **state) {
        SoftGuest *g = *state;

        v86_mode(g, 0);
        g->cpu->nmi_masked = true;
        assert_int_equal(RUN86(g, "\xcf"), EXC_GP);
        assert_false(g->cpu->nmi_masked);
}

static void test_hidden_extensions_do_not_exist(void **state) {
        const uint32_t both = FLAG_VIF | FLAG_VIP;
        CpuFeatureChange change = {0};
        SoftModel model;
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;
        uint8_t *frame = soft_guest_memory(g, STACK0 - 36);
        TextError error = {0};

        cpu_feature_set_put(&change.hide, CPU_FEATURE_VME, true);
        assert_int_equal(soft_model_init(&model, 1, &change, &error), 0);
        assert_int_equal(soft_cr4_known(&model) & (CR4_VME | CR4_PVI), 0);
        assert_int_equal(soft_cr4_known(c->model) & (CR4_VME | CR4_PVI), CR4_VME | CR4_PVI);

        c->model = &model;
        c->cr4_known = soft_cr4_known(&model);
        c->r[RAX] = CR4_VME;
        assert_int_equal(RUN(g, "\x0f\x22\xe0"), EXC_GP); /* mov %eax, %cr4 */
        memset(frame, 0, 36);
        le32_store(frame + 4, LOW_SEG);
        le32_store(frame + 8, FLAG_FIXED | FLAG_VM | both | 0x80000000u);
        memcpy(soft_guest_memory(g, LOW), "\x0f\x0b", 2);
        c->r[RSP] = STACK0 - 36;
        assert_int_equal(RUN(g, "\xcf"), EXC_UD);
        assert_int_equal(cpu_flags(c), FLAG_FIXED | FLAG_VM);
        c->model = &c->partition->model;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_cli_and_sti_are_about_vif),
                TEST(test_with_iopl_3_the_real_flag_is_meant),
                TEST(test_flags_are_pushed_with_vif_for_if),
                TEST(test_flags_are_popped_into_vif),
                TEST(test_iret_of_16_bits_returns_within_the_mode),
                TEST(test_interrupts_are_redirected_to_the_programs_own_handler),
                TEST(test_what_is_not_redirected_asks_for_iopl_and_the_gate),
                TEST(test_the_redirection_map_must_be_within_a_tss_of_32_bits),
                TEST(test_a_stack_without_room_leaves_all_as_it_was),
                TEST(test_what_waits_is_told_before_the_first_instruction),
                TEST(test_user_programs_of_protected_mode_have_cli_and_sti_with_pvi),
                TEST(test_a_task_with_an_interrupt_waiting_is_told),
                TEST(test_nmis_are_unmasked_by_an_iret_that_faults),
                TEST(test_hidden_extensions_do_not_exist),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
