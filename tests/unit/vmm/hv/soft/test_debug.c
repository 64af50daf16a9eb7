/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/le.h"
#include "tests/fake/vmm_tiny_guest.h"
#include "vmm/hv/soft/soft.h"

/*
 * Programs for real mode at TINY_CODE. Each begins with
 *   xor %ax, %ax; mov %ax, %ds; mov %ax, %ss; mov $0x8000, %sp
 * and makes the vector of its handler. Handlers of #DB write the IP of their frame to IP_PORT and DR6 to DR6_PORT.
 */
#define STOP_PORT 0x10u
#define IP_PORT 0x20u
#define DR6_PORT 0x22u
#define NEXT_PORT 0x24u
#define NMI_PORT 0x26u

/* ...; mov %ss, %bx; set TF; mov %bx, %ss; nop; nop; out %al, $STOP_PORT */
static const uint8_t step_code[] = {0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x80, 0xc7,
                                    0x06, 0x04, 0x00, 0x25, 0x10, 0xc7, 0x06, 0x06, 0x00, 0x00,
                                    0x00, 0x8c, 0xd3, 0x9c, 0x58, 0x0d, 0x00, 0x01, 0x50, 0x9d,
                                    0x8e, 0xd3, 0x90, 0x90, 0xe6, 0x10, 0xf4, 0x55, 0x89, 0xe5,
                                    0x8b, 0x46, 0x02, 0xe7, 0x20, 0x5d, 0xcf};
#define STEP_FIRST 0x1021u

/* ...; DR0 = 0x9000, DR7: write of 2 bytes; mov 0x9000, %ax; movw $1, 0x8fff; nop; out %al, $STOP_PORT */
static const uint8_t watch_code[] = {
        0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x80, 0xc7, 0x06, 0x04, 0x00, 0x34,
        0x10, 0xc7, 0x06, 0x06, 0x00, 0x00, 0x00, 0x66, 0xb8, 0x00, 0x90, 0x00, 0x00, 0x0f,
        0x23, 0xc0, 0x66, 0xb8, 0x02, 0x04, 0x05, 0x00, 0x0f, 0x23, 0xf8, 0xa1, 0x00, 0x90,
        0xc7, 0x06, 0xff, 0x8f, 0x01, 0x00, 0x90, 0xe6, 0x10, 0xf4, 0x55, 0x89, 0xe5, 0x8b,
        0x46, 0x02, 0xe7, 0x20, 0x0f, 0x21, 0xf0, 0xe7, 0x22, 0x5d, 0xcf};
#define WATCH_AFTER 0x1030u

/* ...; DR3 = BREAK_AT, DR7: execute; nop; BREAK_AT: out %al, $NEXT_PORT; out %al, $STOP_PORT; handler: DR7 = 0 */
static const uint8_t break_code[] = {
        0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x80, 0xc7, 0x06, 0x04, 0x00, 0x2d,
        0x10, 0xc7, 0x06, 0x06, 0x00, 0x00, 0x00, 0x66, 0xb8, 0x28, 0x10, 0x00, 0x00, 0x0f,
        0x23, 0xd8, 0x66, 0xb8, 0x80, 0x04, 0x00, 0x00, 0x0f, 0x23, 0xf8, 0x90, 0xe6, 0x24,
        0xe6, 0x10, 0xf4, 0x55, 0x89, 0xe5, 0x8b, 0x46, 0x02, 0xe7, 0x20, 0x0f, 0x21, 0xf0,
        0xe7, 0x22, 0x66, 0x31, 0xc0, 0x0f, 0x23, 0xf8, 0x5d, 0xcf};
#define BREAK_AT 0x1028u

/* ...; CR4.DE; DR1 = $NEXT_PORT, DR7: I/O of a byte; out %al, $NEXT_PORT; out %al, $STOP_PORT; handler as in watch_code */
static const uint8_t port_code[] = {
        0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x80, 0xc7, 0x06, 0x04, 0x00, 0x34,
        0x10, 0xc7, 0x06, 0x06, 0x00, 0x00, 0x00, 0x66, 0xb8, 0x08, 0x00, 0x00, 0x00, 0x0f,
        0x22, 0xe0, 0xb0, 0x24, 0x0f, 0x23, 0xc8, 0x66, 0xb8, 0x04, 0x04, 0x20, 0x00, 0x0f,
        0x23, 0xf8, 0xe6, 0x24, 0xe6, 0x26, 0xe6, 0x10, 0xf4, 0x90, 0x55, 0x89, 0xe5, 0x8b,
        0x46, 0x02, 0xe7, 0x20, 0x0f, 0x21, 0xf0, 0xe7, 0x22, 0x5d, 0xcf};
#define PORT_AFTER 0x102eu

/* ...; sti; nop; cli; out %al, $NEXT_PORT; handler of vector 0x30: out %al, $STOP_PORT; hlt */
static const uint8_t window_code[] = {0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0, 0xbc, 0x00, 0x80, 0xc7,
                                      0x06, 0xc0, 0x00, 0x1a, 0x10, 0xc7, 0x06, 0xc2, 0x00, 0x00,
                                      0x00, 0xfb, 0x90, 0xfa, 0xe6, 0x24, 0xe6, 0x10, 0xf4};

/* out %al, $STOP_PORT; hlt; handler: out %al, $NMI_PORT; iret */
static const uint8_t nmi_code[] = {0xe6, STOP_PORT, 0xf4, 0xe6, NMI_PORT, 0xcf};
#define NMI_HANDLER (TINY_CODE + 3)

static TinyGuest *start(const void *code, size_t len) {
        TinyGuest *guest = NULL;

        assert_int_equal(tiny_guest_new(&soft_hv_ops, 1, &guest, NULL), 0);
        guest->stop_port = STOP_PORT;
        assert_int_equal(tiny_guest_start(guest, code, len), 0);
        return guest;
}

/* The 8259's wire, as the firmware opens it. */
static void open_lint0(Vcpu *vcpu) {
        VcpuApic apic;

        assert_int_equal(vcpu->ops->get_state(vcpu, VCPU_STATE_APIC, &apic), 0);
        le32_store(apic.registers + VCPU_APIC_LVT_LINT0, VCPU_APIC_LVT_EXTINT);
        assert_int_equal(vcpu->ops->set_state(vcpu, VCPU_STATE_APIC, &apic), 0);
}

static void assert_event(const TinyGuest *guest, unsigned i, uint64_t port, uint64_t value) {
        assert_in_range(i + 1, 1, atomic_load(&guest->n_events));
        assert_int_equal(guest->events[i].address, port);
        assert_int_equal(guest->events[i].value & 0xffff, value);
}

static void test_steps_are_told_but_not_that_of_mov_ss(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = start(step_code, sizeof(step_code));

        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_event(guest, 0, IP_PORT, STEP_FIRST);
        assert_event(guest, 1, IP_PORT, STEP_FIRST + 1);
}

static void test_a_watched_write_is_told_after_it_and_a_read_is_not(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = start(watch_code, sizeof(watch_code));

        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_event(guest, 0, IP_PORT, WATCH_AFTER);
        assert_event(guest, 1, DR6_PORT, 0x0ff1);
        assert_int_equal(guest->events[2].address, STOP_PORT);
}

static void test_a_breakpoint_is_told_before_its_instruction(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = start(break_code, sizeof(break_code));

        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_event(guest, 0, IP_PORT, BREAK_AT);
        assert_event(guest, 1, DR6_PORT, 0x0ff8);
        assert_int_equal(guest->events[2].address, NEXT_PORT);
        assert_int_equal(guest->events[3].address, STOP_PORT);
}

static void test_a_watched_port_is_told_after_its_access(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = start(port_code, sizeof(port_code));

        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(guest->events[0].address, NEXT_PORT);
        assert_event(guest, 1, IP_PORT, PORT_AFTER);
        assert_event(guest, 2, DR6_PORT, 0x0ff2);
        assert_int_equal(guest->events[3].address, NMI_PORT);
        assert_int_equal(guest->events[4].address, STOP_PORT);
}

static void test_an_interrupt_comes_between_the_instruction_after_sti_and_cli(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = start(window_code, sizeof(window_code));

        open_lint0(guest->vcpu);
        guest->pic_vector = 0x30;
        guest->partition->ops->set_extint(guest->partition, true);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(guest->events[0].address, STOP_PORT);
}

static void test_two_nmis_that_arrive_together_are_both_delivered(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = start(nmi_code, sizeof(nmi_code));
        const uint32_t vector = NMI_HANDLER;

        assert_int_equal(guest_mem_write(guest->mem, 2 * 4, &vector, sizeof(vector)), 0);
        guest->partition->ops->pulse_nmi(guest->partition, 0);
        guest->partition->ops->pulse_nmi(guest->partition, 0);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(guest->events[0].address, NMI_PORT);
        assert_int_equal(guest->events[1].address, NMI_PORT);
        assert_int_equal(guest->events[2].address, STOP_PORT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_steps_are_told_but_not_that_of_mov_ss),
                cmocka_unit_test(test_a_watched_write_is_told_after_it_and_a_read_is_not),
                cmocka_unit_test(test_a_breakpoint_is_told_before_its_instruction),
                cmocka_unit_test(test_a_watched_port_is_told_after_its_access),
                cmocka_unit_test(test_an_interrupt_comes_between_the_instruction_after_sti_and_cli),
                cmocka_unit_test(test_two_nmis_that_arrive_together_are_both_delivered),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
