/* SPDX-License-Identifier: Apache-2.0 */
/* What belongs to the operating system: ports, returns to user mode, control and model-specific registers, clocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/le.h"
#include "tests/fake/vmm_soft_guest.h"
#include "vmm/hv/soft/soft_internal.h"

#define CODE UINT64_C(0x100000) /* all memory of the test is mapped where it lies */
#define GDT UINT64_C(0x101000)
#define TSS UINT64_C(0x102000)
#define IO_MAP 104u
#define STACK UINT64_C(0x103800)
#define END UINT64_C(0x104000)
#define KERNEL_CS 8u
#define USER_DS 0x13u
#define USER_CS 0x1bu
#define N_PORTS 1024u

/* The map's last byte is followed by one of ones, as an operating system must. */
static void set_task_segment(SoftGuest *g) {
        g->cpu->tr = (Segment){
                .base = TSS, .limit = IO_MAP + N_PORTS / 8, .attr = 0x8b, .selector = 0x20};
}

static void user_mode(SoftGuest *g) {
        soft_guest_long_mode(g, 3);
        set_task_segment(g);
}

static int setup(void **state) {
        static SoftGuest guest;

        if (soft_guest_new(2, &guest) < 0)
                return -1;
        for (uint64_t at = CODE; at < END; at += 0x1000)
                soft_guest_map(&guest, at, at, SOFT_MAP_WRITE | SOFT_MAP_USER);
        soft_guest_long_mode(&guest, 0);
        le64_store(soft_guest_memory(&guest, GDT + KERNEL_CS), UINT64_C(0x00af9b000000ffff));
        le64_store(soft_guest_memory(&guest, GDT + 0x10), UINT64_C(0x00cff3000000ffff));
        le64_store(soft_guest_memory(&guest, GDT + 0x18), UINT64_C(0x00affb000000ffff));
        guest.cpu->gdt_base = GDT;
        guest.cpu->gdt_limit = 0x1f;
        set_task_segment(&guest);
        le16_store(soft_guest_memory(&guest, TSS + 102), IO_MAP);
        memset(soft_guest_memory(&guest, TSS + IO_MAP), 0xff, N_PORTS / 8 + 1);
        *state = &guest;
        return 0;
}

static int teardown(void **state) {
        soft_guest_deinit(*state);
        return 0;
}

/* Runs what ends in a fault. Return: its vector. */
static unsigned run(SoftGuest *g, const char *code, size_t len) {
        memcpy(soft_guest_memory(g, CODE), code, len);
        guest_mem_written(g->tiny->mem, CODE, len);
        g->cpu->rip = CODE;
        assert_int_equal(soft_guest_blocks(g, 64), 1);
        return g->cpu->fault_vector;
}
#define RUN(g, code) run(g, code "\x0f\x0b", sizeof(code) - 1 + 2) /* ud2 */

static void allow_port(SoftGuest *g, unsigned port) {
        soft_guest_memory(g, TSS + IO_MAP)[port / 8] &= (uint8_t) ~(1u << port % 8);
}

/* ---- ports in user mode ---- */

static void test_user_mode_reaches_the_ports_that_the_map_allows(void **state) {
        SoftGuest *g = *state;

        user_mode(g);
        allow_port(g, 0x80);
        assert_int_equal(RUN(g, "\xe6\x80"), EXC_UD); /* out %al, $0x80 */
        assert_int_equal(g->tiny->n_events, 1);
        assert_int_equal(RUN(g, "\xe4\x80"), EXC_UD); /* in $0x80, %al */
        assert_int_equal(g->tiny->n_events, 2);
        assert_int_equal(RUN(g, "\xe6\x81"), EXC_GP);
        assert_int_equal(g->cpu->fault_code, 0);
        assert_int_equal(g->cpu->rip, CODE);
        assert_int_equal(g->tiny->n_events, 2);
}

static void test_wide_access_needs_each_of_its_ports(void **state) {
        SoftGuest *g = *state;

        user_mode(g);
        for (unsigned port = 0x86; port < 0x8a; port++) /* over the end of a byte of the map */
                allow_port(g, port);
        assert_int_equal(RUN(g, "\xe7\x86"), EXC_UD); /* out %eax, $0x86 */
        assert_int_equal(RUN(g, "\xe7\x87"), EXC_GP);
        assert_int_equal(RUN(g, "\x66\xe7\x88"), EXC_UD); /* out %ax, $0x88 */
        assert_int_equal(RUN(g, "\x66\xe7\x89"), EXC_GP);
        assert_int_equal(g->tiny->n_events, 2);
}

static void test_string_output_asks_the_map_too(void **state) {
        SoftGuest *g = *state;

        user_mode(g);
        allow_port(g, 0x123);
        g->cpu->r[RDX] = 0x123;
        g->cpu->r[RSI] = CODE;
        assert_int_equal(RUN(g, "\x6e"), EXC_UD); /* outsb */
        assert_int_equal(g->tiny->n_events, 1);
        g->cpu->r[RDX] = 0x124;
        assert_int_equal(RUN(g, "\x6e"), EXC_GP);
}

static void test_ports_behind_the_end_of_the_map_are_forbidden(void **state) {
        SoftGuest *g = *state;

        user_mode(g);
        allow_port(g, N_PORTS - 1);
        g->cpu->r[RDX] = N_PORTS - 1;
        assert_int_equal(RUN(g, "\xee"), EXC_UD); /* out %al, %dx */
        g->cpu->tr.limit--;                       /* without the byte behind the last */
        assert_int_equal(RUN(g, "\xee"), EXC_GP);
        g->cpu->r[RDX] = 0xffff;
        assert_int_equal(RUN(g, "\xee"), EXC_GP);
        le16_store(soft_guest_memory(g, TSS + 102), 0xffff);
        g->cpu->r[RDX] = 0;
        assert_int_equal(RUN(g, "\xee"), EXC_GP);
}

static void test_iopl_makes_the_map_unnecessary(void **state) {
        SoftGuest *g = *state;

        user_mode(g);
        g->cpu->flags |= FLAG_IOPL;
        g->cpu->tr.attr = 0;
        assert_int_equal(RUN(g, "\xe6\x80"), EXC_UD);
        g->cpu->flags &= ~FLAG_IOPL;
        assert_int_equal(RUN(g, "\xe6\x80"), EXC_GP);
}

/* ---- to user mode ---- */

static void test_return_to_user_mode_clears_null_selectors(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;
        static const unsigned segs[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

        for (unsigned i = 0; i < 4; i++)
                c->seg[segs[i]] = (Segment){.selector = (uint16_t) i};
        c->seg[SEG_FS].base = 0x1234; /* of 64-bit mode, which the selector has no part in */
        c->r[RSP] = STACK;
        le64_store(soft_guest_memory(g, STACK), CODE + 0x100);
        le64_store(soft_guest_memory(g, STACK + 8), USER_CS);
        le64_store(soft_guest_memory(g, STACK + 16), FLAG_FIXED);
        le64_store(soft_guest_memory(g, STACK + 24), STACK + 0x400);
        le64_store(soft_guest_memory(g, STACK + 32), USER_DS);
        memcpy(soft_guest_memory(g, CODE + 0x100), "\x0f\x0b", 2);
        assert_int_equal(RUN(g, "\x48\xcf"), EXC_UD); /* iretq */
        assert_int_equal(c->rip, CODE + 0x100);
        assert_int_equal(c->cpl, 3);
        for (unsigned i = 0; i < 4; i++)
                assert_int_equal(c->seg[segs[i]].selector, 0);
        assert_int_equal(c->seg[SEG_FS].base, 0x1234);
}

/* ---- system calls ---- */

static void compatibility_mode(SoftGuest *g) {
        user_mode(g);
        g->cpu->seg[SEG_CS].attr = 0xc0fb;
        cpu_mode_changed(g->cpu);
}

static void test_compatibility_mode_has_syscall_once_its_target_is_set(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        memcpy(soft_guest_memory(g, CODE + 0x200), "\x0f\x0b", 2);
        c->efer |= EFER_SCE;
        c->star = (uint64_t) KERNEL_CS << 32;
        c->lstar = CODE + 0x300;
        c->cstar = 0;
        compatibility_mode(g);
        assert_int_equal(RUN(g, "\x0f\x05"), EXC_UD);
        assert_int_equal(c->rip, CODE);
        assert_int_equal(c->cpl, 3);

        c->cstar = CODE + 0x200;
        assert_int_equal(RUN(g, "\x0f\x05"), EXC_UD);
        assert_int_equal(c->rip, CODE + 0x200);
        assert_int_equal(c->cpl, 0);
        assert_int_equal(c->mode & MODE_CODE, MODE_64);
        assert_int_equal(c->r[RCX], CODE + 2);
        assert_int_equal(c->r[R11], cpu_flags(c) | FLAG_FIXED);
}

static void test_sysret_with_the_trap_flag_traps_before_the_next_instruction(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;

        memcpy(soft_guest_memory(g, CODE + 0x100), "\x0f\x0b", 2);
        c->efer |= EFER_SCE;
        c->star = (uint64_t) (USER_DS - 8) << 48;
        c->r[RCX] = CODE + 0x100;
        c->r[R11] = FLAG_FIXED | FLAG_TF;
        assert_int_equal(RUN(g, "\x48\x0f\x07"), EXC_DB);
        assert_int_equal(c->rip, CODE + 0x100);
        assert_int_equal(c->cpl, 3);
        assert_int_equal(c->dr[6] & 0x4000, 0x4000);
}

/* ---- clocks ---- */

static uint64_t tsc(Vcpu *vcpu) {
        VcpuTsc ret;

        assert_int_equal(vcpu->ops->get_state(vcpu, VCPU_STATE_TSC, &ret), 0);
        return ret.tsc;
}

static void test_processors_agree_about_the_time_stamp(void **state) {
        SoftGuest *g = *state;
        Partition *p = g->tiny->partition;
        Vcpu *other = NULL;

        assert_int_equal(p->ops->vcpu_bind(p, 1, &other), 0);
        assert_int_equal(p->ops->pause_time(p, true), 0);
        assert_int_equal(tsc(g->tiny->vcpu), tsc(other));
        assert_int_equal(other->ops->reset(other), 0);
        assert_int_equal(tsc(g->tiny->vcpu), tsc(other));
        (void) vcpu_free(other);
}

static void test_stable_clock_follows_a_write_to_the_time_stamp(void **state) {
        SoftGuest *g = *state;
        SoftCpu *c = g->cpu;
        Partition *p = g->tiny->partition;
        const uint64_t page = CODE + 0x800;

        assert_int_equal(p->ops->pause_time(p, true), 0);
        assert_true(msr_write(c, 0x4b564d01, page | 1));
        assert_true(msr_write(c, 0x10, 5000));
        /* system_time + (tsc - tsc_timestamp), a tick a nanosecond */
        assert_int_equal(le64_load(soft_guest_memory(g, page + 16)) + 5000 -
                                 le64_load(soft_guest_memory(g, page + 8)),
                         soft_time_nsec(c->partition));
}

/* ---- registers that only the operating system writes ---- */

static void test_reserved_bits_of_control_registers_fault(void **state) {
        SoftGuest *g = *state;

        g->cpu->r[RAX] = g->cpu->cr0 | UINT64_C(1) << 32;
        assert_int_equal(RUN(g, "\x0f\x22\xc0"), EXC_GP); /* mov %rax, %cr0 */
        g->cpu->r[RAX] = g->cpu->cr0 & ~(uint64_t) CR0_PE;
        assert_int_equal(RUN(g, "\x0f\x22\xc0"), EXC_GP); /* paging without protection */
        g->cpu->r[RAX] = g->cpu->cr4 | UINT64_C(1) << 31;
        assert_int_equal(RUN(g, "\x0f\x22\xe0"), EXC_GP); /* mov %rax, %cr4 */
        g->cpu->r[RAX] = g->cpu->cr4 & ~(uint64_t) CR4_PAE;
        assert_int_equal(RUN(g, "\x0f\x22\xe0"), EXC_GP); /* which long mode needs */
        g->cpu->r[RAX] = 0x10;
        assert_int_equal(RUN(g, "\x44\x0f\x22\xc0"), EXC_GP); /* mov %rax, %cr8 */
        assert_int_equal(RUN(g, "\x0f\x22\xc8"), EXC_UD);     /* mov %rax, %cr1 */
}

static void test_unknown_model_specific_registers_fault(void **state) {
        SoftGuest *g = *state;
        uint64_t v;

        assert_false(msr_read(g->cpu, 0xdeadbeef, &v));
        assert_false(msr_write(g->cpu, 0xdeadbeef, 0));
        assert_false(msr_write(g->cpu, 0xc0000082, UINT64_C(1) << 62)); /* LSTAR is an address */
        assert_false(msr_write(g->cpu, 0xc0000080, UINT64_C(1) << 40)); /* EFER */
        assert_true(msr_write(g->cpu, 0xc0000082, UINT64_C(0xffffffff81000000)));
        assert_true(msr_read(g->cpu, 0xc0000082, &v));
        assert_int_equal(v, UINT64_C(0xffffffff81000000));
}

static void test_user_mode_may_not(void **state) {
        static const struct {
                const char *code;
                size_t len;
        } forbidden[] = {
                {"\xf4", 1},         /* hlt */
                {"\xfa", 1},         /* cli */
                {"\xfb", 1},         /* sti */
                {"\x0f\x06", 2},     /* clts */
                {"\x0f\x09", 2},     /* wbinvd */
                {"\x0f\x30", 2},     /* wrmsr */
                {"\x0f\x32", 2},     /* rdmsr */
                {"\x0f\x20\xc0", 3}, /* mov %cr0, %rax */
                {"\x0f\x22\xd8", 3}, /* mov %rax, %cr3 */
                {"\x0f\x23\xf8", 3}, /* mov %rax, %dr7 */
                {"\x0f\x01\xf8", 3}, /* swapgs */
                {"\x0f\x01\x10", 3}, /* lgdt (%rax) */
                {"\x0f\x01\x18", 3}, /* lidt (%rax) */
                {"\x0f\x01\x38", 3}, /* invlpg (%rax) */
                {"\x0f\x01\xf0", 3}, /* lmsw %ax */
                {"\x0f\x00\xd0", 3}, /* lldt %ax */
                {"\x0f\x00\xd8", 3}, /* ltr %ax */
                {"\x0f\x07", 2},     /* sysret */
        };
        SoftGuest *g = *state;

        user_mode(g);
        for (unsigned i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
                g->cpu->r[RAX] = CODE;
                assert_int_equal(run(g, forbidden[i].code, forbidden[i].len), EXC_GP);
                assert_int_equal(g->cpu->fault_code, 0);
                assert_int_equal(g->cpu->rip, CODE);
        }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_user_mode_reaches_the_ports_that_the_map_allows),
                TEST(test_wide_access_needs_each_of_its_ports),
                TEST(test_string_output_asks_the_map_too),
                TEST(test_ports_behind_the_end_of_the_map_are_forbidden),
                TEST(test_iopl_makes_the_map_unnecessary),
                TEST(test_return_to_user_mode_clears_null_selectors),
                TEST(test_compatibility_mode_has_syscall_once_its_target_is_set),
                TEST(test_sysret_with_the_trap_flag_traps_before_the_next_instruction),
                TEST(test_processors_agree_about_the_time_stamp),
                TEST(test_stable_clock_follows_a_write_to_the_time_stamp),
                TEST(test_reserved_bits_of_control_registers_fault),
                TEST(test_unknown_model_specific_registers_fault),
                TEST(test_user_mode_may_not),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
