/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/le.h"
#include "tests/fake/vmm_tiny_guest.h"
#include "vmm/hv/soft/soft.h"

#define STOP_PORT 0x10u
#define HANDLER_PORT 0x11u
#define HANDLER 0x1800u
#define VECTOR 0x20u
#define APIC_LINT0 0x350u
#define APIC_EXTINT 0x700u
#define NMI_VECTOR 2u
#define NMIS 3u
#define ACKS 3u

/* Long enough for whatever waits, then the end. */
static const uint8_t spin_code[] = {
        0xb9, 0xff,      0x0f, /* mov $0xfff, %cx */
        0xe2, 0xfe,            /* loop . */
        0xe6, STOP_PORT,       /* out %al, $STOP_PORT */
        0xf4,                  /* hlt */
};
static const uint8_t sti_and_spin_code[] = {0xfb, 0xb9, 0xff,      0x0f, 0xe2,
                                            0xfe, 0xe6, STOP_PORT, 0xf4};
static const uint8_t handler_code[] = {0xe6, HANDLER_PORT, 0xcf}; /* out; iret */

static unsigned count_port(const TinyGuest *guest, uint64_t port) {
        unsigned n = 0;

        for (unsigned i = 0; i < guest->n_events; i++)
                n += guest->events[i].address == port;
        return n;
}

static void make_guest(TinyGuest **ret, unsigned vector, const uint8_t *code, size_t len) {
        uint8_t entry[4] = {0};

        assert_int_equal(tiny_guest_new(&soft_hv_ops, 1, ret, NULL), 0);
        (*ret)->stop_port = STOP_PORT;
        le16_store(entry, HANDLER);
        assert_int_equal(guest_mem_write((*ret)->mem, 4 * vector, entry, sizeof(entry)), 0);
        assert_int_equal(guest_mem_write((*ret)->mem, HANDLER, handler_code, sizeof(handler_code)),
                         0);
        assert_int_equal(tiny_guest_start(*ret, code, len), 0);
}

/* A controller with more to deliver keeps its output high, which is no new event for the processor. */
static int acknowledge_one_of_many(void *machine) {
        TinyGuest *guest = machine;

        if (++guest->n_acks == ACKS)
                guest->partition->ops->set_extint(guest->partition, false);
        return VECTOR;
}

static void test_level_that_stays_high_interrupts_again(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = NULL;

        VcpuApic apic;

        make_guest(&guest, VECTOR, sti_and_spin_code, sizeof(sti_and_spin_code));
        assert_int_equal(guest->vcpu->ops->get_state(guest->vcpu, VCPU_STATE_APIC, &apic), 0);
        le32_store(apic.registers + APIC_LINT0, APIC_EXTINT);
        assert_int_equal(guest->vcpu->ops->set_state(guest->vcpu, VCPU_STATE_APIC, &apic), 0);
        guest->io.acknowledge_pic = acknowledge_one_of_many;
        guest->partition->ops->set_extint(guest->partition, true);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(guest->n_acks, ACKS);
        assert_int_equal(count_port(guest, HANDLER_PORT), ACKS);
}

/* Each NMI but the last comes while the one before is still being handled. */
static void nmi_in_handler(void *machine, uint16_t port, unsigned size, uint64_t value) {
        TinyGuest *guest = machine;
        unsigned n = atomic_fetch_add(&guest->n_events, 1);

        guest->events[n].address = port;
        if (port == STOP_PORT)
                atomic_store(&guest->stop, true);
        else if (n + 1 < NMIS)
                guest->partition->ops->pulse_nmi(guest->partition, 0);
}

static void test_nmi_during_an_nmi_is_delivered_after_it(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = NULL;

        make_guest(&guest, NMI_VECTOR, spin_code, sizeof(spin_code));
        guest->io.pio_write = nmi_in_handler;
        guest->partition->ops->pulse_nmi(guest->partition, 0);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(count_port(guest, HANDLER_PORT), NMIS);
}

static void test_nmi_that_meets_a_stop_is_delivered_when_the_processor_goes_on(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = NULL;

        make_guest(&guest, NMI_VECTOR, spin_code, sizeof(spin_code));
        guest->partition->ops->pulse_nmi(guest->partition, 0);
        atomic_store(&guest->stop, true);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(count_port(guest, HANDLER_PORT), 0);
        atomic_store(&guest->stop, false);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(count_port(guest, HANDLER_PORT), 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_level_that_stays_high_interrupts_again),
                cmocka_unit_test(test_nmi_during_an_nmi_is_delivered_after_it),
                cmocka_unit_test(
                        test_nmi_that_meets_a_stop_is_delivered_when_the_processor_goes_on),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
