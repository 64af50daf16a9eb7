/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/le.h"
#include "tests/fake/vmm_tiny_guest.h"
#include "vmm/hv/kvm/kvm.h"
#include "vmm/mem/memmap.h"

/* Guests here use real mode and plain instructions only, so that they also run where KVM interprets them. */

#define STOP_PORT 0xf4

static TinyGuest *guest_or_skip(unsigned n_vcpus) {
        _cleanup_(text_error_deinit) TextError error = {0};
        TinyGuest *guest = NULL;
        int r;

        if (access("/dev/kvm", R_OK | W_OK) < 0) {
                print_message("no usable /dev/kvm on this machine, skipping\n");
                skip();
        }
        r = tiny_guest_new(&kvm_hv_ops, n_vcpus, &guest, &error);
        if (r < 0)
                fail_msg("cannot build a guest: %s", text_error_message(&error, r));
        guest->stop_port = STOP_PORT;
        return guest;
}

static void test_port_output_reaches_the_machine_in_all_widths(void **state) {
        static const uint8_t code[] = {
                0xb0, 0x11,                              /* mov al, 0x11 */
                0xe6, 0x80,                              /* out 0x80, al */
                0xb8, 0x33, 0x22,                        /* mov ax, 0x2233 */
                0xba, 0xf8, 0x03,                        /* mov dx, 0x3f8 */
                0xef,                                    /* out dx, ax */
                0x66, 0xb8, 0x78,      0x56, 0x34, 0x12, /* mov eax, 0x12345678 */
                0x66, 0xe7, STOP_PORT,                   /* out STOP_PORT, eax */
                0xf4,                                    /* hlt */
        };
        _cleanup_(tiny_guest_freep) TinyGuest *guest = guest_or_skip(1);

        assert_int_equal(tiny_guest_start(guest, code, sizeof(code)), 0);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(guest->n_events, 3);
        assert_int_equal(guest->events[0].address, 0x80);
        assert_int_equal(guest->events[0].size, 1);
        assert_int_equal(guest->events[0].value, 0x11);
        assert_int_equal(guest->events[1].address, 0x3f8);
        assert_int_equal(guest->events[1].size, 2);
        assert_int_equal(guest->events[1].value, 0x2233);
        assert_int_equal(guest->events[2].size, 4);
        assert_int_equal(guest->events[2].value, 0x12345678);
}

static void test_string_output_arrives_element_by_element(void **state) {
        static const uint8_t code[] = {
                0xfc,                                            /* cld */
                0xbe, 0x0e,      0x10,                           /* mov si, text */
                0xb9, 0x05,      0x00,                           /* mov cx, 5 */
                0xba, 0xf8,      0x03,                           /* mov dx, 0x3f8 */
                0xf3, 0x6e,                                      /* rep outsb */
                0xe6, STOP_PORT, 'h',  'e', 'l', 'l', 'o', 0xf4, /* out STOP_PORT, al */
        };
        _cleanup_(tiny_guest_freep) TinyGuest *guest = guest_or_skip(1);

        assert_int_equal(tiny_guest_start(guest, code, sizeof(code)), 0);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(guest->n_events, 6);
        for (unsigned i = 0; i < 5; i++) {
                assert_int_equal(guest->events[i].address, 0x3f8);
                assert_int_equal(guest->events[i].value, "hello"[i]);
        }
}

static void test_port_input_reaches_the_register_before_a_stop(void **state) {
        static const uint8_t code[] = {
                0x31, 0xc0,      /* xor ax, ax */
                0xe4, 0x60,      /* in al, 0x60 */
                0xe6, STOP_PORT, /* out STOP_PORT, al */
                0xf4,
        };
        _cleanup_(tiny_guest_freep) TinyGuest *guest = guest_or_skip(1);
        VcpuRegisters registers;

        guest->read_value = 0x5a;
        assert_int_equal(tiny_guest_start(guest, code, sizeof(code)), 0);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(guest->events[1].value, 0x5a);
        assert_int_equal(guest->vcpu->ops->get_state(guest->vcpu, VCPU_STATE_REGISTERS, &registers),
                         0);
        assert_int_equal(registers.rax, 0x5a);
        /* The exit was committed: rip is behind the OUT. */
        assert_int_equal(registers.rip, TINY_CODE + 6);
}

static void test_memory_mapped_access_reaches_the_machine(void **state) {
        static const uint8_t code[] = {
                0xc6, 0x06,      0x10, 0xf0, 0x77, /* mov byte [0xf010], 0x77 */
                0xa0, 0x12,      0xf0,             /* mov al, [0xf012] */
                0xe6, STOP_PORT, 0xf4,
        };
        _cleanup_(tiny_guest_freep) TinyGuest *guest = guest_or_skip(1);
        VcpuSystemRegisters system;

        guest->read_value = 0x99;
        assert_int_equal(tiny_guest_start(guest, code, sizeof(code)), 0);
        assert_int_equal(
                guest->vcpu->ops->get_state(guest->vcpu, VCPU_STATE_SYSTEM_REGISTERS, &system), 0);
        system.ds.base = 0xd0000000;
        assert_int_equal(
                guest->vcpu->ops->set_state(guest->vcpu, VCPU_STATE_SYSTEM_REGISTERS, &system), 0);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(guest->events[0].kind, TINY_MMIO_WRITE);
        assert_int_equal(guest->events[0].address, 0xd000f010);
        assert_int_equal(guest->events[0].value, 0x77);
        assert_int_equal(guest->events[1].kind, TINY_MMIO_READ);
        assert_int_equal(guest->events[1].address, 0xd000f012);
        assert_int_equal(guest->events[2].value, 0x99);
}

static void test_a_triple_fault_ends_the_vcpu_with_words(void **state) {
        static const uint8_t code[] = {
                0x0f, 0x01, 0x1e, 0x00, 0x20, /* lidt [0x2000], which is empty */
                0xcc,                         /* int3 */
        };
        _cleanup_(tiny_guest_freep) TinyGuest *guest = guest_or_skip(1);

        _cleanup_(text_error_deinit) TextError error = {0};

        if (kvm_hv_ops.probe(NULL, &error) < 0) {
                print_message("this KVM interprets guests and ignores the limit of the interrupt "
                              "table, skipping\n");
                /* skip() leaves without running the clean-ups. */
                text_error_deinit(&error);
                (void) tiny_guest_free(guest);
                skip();
        }
        assert_int_equal(tiny_guest_start(guest, code, sizeof(code)), 0);
        if (tiny_guest_run(guest) != HALT_TRIPLE_FAULT)
                fail_msg("%s", guest->vcpu->error);
        assert_non_null(strstr(guest->vcpu->error, "triple fault"));
}

typedef struct Kicker {
        TinyGuest *guest;
        pthread_barrier_t *start;
} Kicker;

static void *stop_and_kick(void *userdata) {
        Kicker *kicker = userdata;

        pthread_barrier_wait(kicker->start);
        atomic_store(&kicker->guest->stop, true);
        kicker->guest->partition->ops->kick(kicker->guest->partition, 0);
        return NULL;
}

/* Many rounds, so that the kick meets the vCPU before, at and after its entry into the guest. */
static void test_a_kick_ends_a_loop_or_a_halt_however_it_races(void **state) {
        static const uint8_t spin[] = {0xeb, 0xfe}, halt[] = {0xfa, 0xf4, 0xeb, 0xfd};
        _cleanup_(tiny_guest_freep) TinyGuest *guest = guest_or_skip(1);
        pthread_barrier_t start;
        Kicker kicker = {.guest = guest, .start = &start};

        pthread_barrier_init(&start, NULL, 2);
        assert_int_equal(tiny_guest_start(guest, spin, sizeof(spin)), 0);
        for (unsigned i = 0; i < 200; i++) {
                pthread_t thread;

                if (i == 100)
                        assert_int_equal(guest_mem_write(guest->mem, TINY_CODE, halt, sizeof(halt)),
                                         0);
                atomic_store(&guest->stop, false);
                assert_int_equal(pthread_create(&thread, NULL, stop_and_kick, &kicker), 0);
                pthread_barrier_wait(&start);
                assert_int_equal(tiny_guest_run(guest), HALT_STOP);
                pthread_join(thread, NULL);
        }
        pthread_barrier_destroy(&start);
}

static void test_a_kick_without_a_bound_vcpu_is_harmless(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = guest_or_skip(2);

        guest->partition->ops->kick(guest->partition, 1);
}

static void test_a_doorbell_signals_without_an_exit(void **state) {
        static const uint8_t code[] = {
                0xba, 0x00,      0x10,       /* mov dx, 0x1000 */
                0xb8, 0x03,      0x00, 0xef, /* mov ax, 3; out dx, ax: rings */
                0xb8, 0x04,      0x00, 0xef, /* mov ax, 4; out dx, ax: another value, an exit */
                0xe6, STOP_PORT, 0xf4,
        };
        _cleanup_(tiny_guest_freep) TinyGuest *guest = guest_or_skip(1);
        _cleanup_(fd_closep) int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        const Doorbell bell = {
                .address = 0x1000, .size = 2, .pio = true, .match_value = true, .value = 3};
        uint64_t count = 0;

        assert_int_equal(guest->partition->doorbells->add(guest->partition, &bell, fd), 0);
        assert_int_equal(tiny_guest_start(guest, code, sizeof(code)), 0);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(guest->n_events, 2);
        assert_int_equal(guest->events[0].value, 4);
        assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
        assert_int_equal(count, 1);
        assert_int_equal(guest->partition->doorbells->remove(guest->partition, &bell, fd), 0);
}

/* The handler of vector 0x30 writes port 0x81; the main program enables the APIC through its page and waits. */
static const uint8_t wait_for_interrupt[] = {
        0xfa,                               /* cli */
        0xc7, 0x06, 0xc0, 0x00, 0x40, 0x10, /* mov word [0x30 * 4], 0x1040 */
        0xc7, 0x06, 0xc2, 0x00, 0x00, 0x00, /* mov word [0x30 * 4 + 2], 0 */
        0xe6, 0x82,                         /* out 0x82, al: ready */
        0xfb,                               /* sti */
        0xf4,                               /* hlt */
        0xeb, 0xfd,                         /* jmp back to hlt */
};
static const uint8_t interrupt_handler[] = {0xe6, STOP_PORT, 0xf4}; /* out STOP_PORT, al */

static void enable_apic(TinyGuest *guest, uint32_t lint0) {
        VcpuApic apic;

        assert_int_equal(guest->vcpu->ops->get_state(guest->vcpu, VCPU_STATE_APIC, &apic), 0);
        le32_store(apic.registers + 0xf0, 0x1ff);
        le32_store(apic.registers + VCPU_APIC_LVT_LINT0, lint0);
        assert_int_equal(guest->vcpu->ops->set_state(guest->vcpu, VCPU_STATE_APIC, &apic), 0);
}

static void start_waiting_guest(TinyGuest *guest, uint32_t lint0) {
        assert_int_equal(
                guest_mem_write(guest->mem, 0x1040, interrupt_handler, sizeof(interrupt_handler)),
                0);
        assert_int_equal(tiny_guest_start(guest, wait_for_interrupt, sizeof(wait_for_interrupt)),
                         0);
        enable_apic(guest, lint0);
}

static const MsiMessage vector_0x30 = {.address = 0xfee00000, .data = 0x30};

static void test_an_msi_wakes_the_guest(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = guest_or_skip(1);

        start_waiting_guest(guest, VCPU_APIC_LVT_MASKED);
        assert_int_equal(guest->partition->ops->signal_msi(guest->partition, &vector_0x30), 0);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(guest->n_events, 2);
        assert_int_equal(guest->events[0].address, 0x82);
        assert_int_equal(guest->events[1].address, STOP_PORT);
}

static void test_an_eventfd_becomes_an_msi_once_it_is_routed(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = guest_or_skip(1);
        _cleanup_(fd_closep) int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        const MsiRouteOps *ops = guest->partition->msi_routes;
        MsiRoute *route = NULL, *unused = NULL;

        start_waiting_guest(guest, VCPU_APIC_LVT_MASKED);
        assert_int_equal(ops->add(guest->partition, fd, &unused), 0);
        assert_int_equal(ops->add(guest->partition, fd, &route), 0);
        ops->remove(unused);
        assert_int_equal(eventfd_write(fd, 1), 0); /* while masked: stays pending */
        assert_int_equal(ops->set(route, &vector_0x30), 0);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(guest->events[1].address, STOP_PORT);

        assert_int_equal(ops->set(route, NULL), 0);
        assert_int_equal(eventfd_write(fd, 1), 0);
        eventfd_t count = 0;
        assert_int_equal(eventfd_read(fd, &count), 0);
        assert_int_equal(count, 1);
        ops->remove(route);
}

static void test_the_pics_request_is_acknowledged_and_delivered(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = guest_or_skip(1);

        guest->pic_vector = 0x30;
        start_waiting_guest(guest, VCPU_APIC_LVT_EXTINT);
        guest->partition->ops->set_extint(guest->partition, true);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(guest->n_acks, 1);
        assert_int_equal(guest->events[0].address, 0x82); /* not before STI */
        assert_int_equal(guest->events[1].address, STOP_PORT);
}

static void test_the_end_of_a_level_triggered_interrupt_is_reported(void **state) {
        /* The handler writes the EOI register through a DS that points at the APIC's page. */
        static const uint8_t handler[] = {
                0x66, 0xc7,      0x06, 0xb0, 0x00, 0x00, 0x00, 0x00, 0x00, /* mov dword [0xb0], 0 */
                0xe6, 0x83,                                                /* out 0x83, al */
                0xe6, STOP_PORT, 0xf4,
        };
        static const uint8_t code[] = {0xfb, 0xf4, 0xeb, 0xfd};
        _cleanup_(tiny_guest_freep) TinyGuest *guest = guest_or_skip(1);
        const MsiMessage level = {.address = 0xfee00000, .data = 0x30 | 0x8000 | 0x4000};
        VcpuSystemRegisters system;

        assert_int_equal(guest_mem_write(guest->mem, 0x1040, handler, sizeof(handler)), 0);
        assert_int_equal(guest_mem_write(guest->mem, 0x30 * 4, "\x40\x10\0\0", 4), 0);
        assert_int_equal(tiny_guest_start(guest, code, sizeof(code)), 0);
        enable_apic(guest, VCPU_APIC_LVT_MASKED);
        assert_int_equal(
                guest->vcpu->ops->get_state(guest->vcpu, VCPU_STATE_SYSTEM_REGISTERS, &system), 0);
        system.ds.base = MEMMAP_LAPIC_BASE;
        assert_int_equal(
                guest->vcpu->ops->set_state(guest->vcpu, VCPU_STATE_SYSTEM_REGISTERS, &system), 0);
        assert_int_equal(guest->partition->ops->set_irq_route(guest->partition, 16, &level), 0);
        assert_int_equal(guest->partition->ops->signal_msi(guest->partition, &level), 0);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(guest->eoi_vector, 0x30);
}

static void test_all_state_is_as_after_a_reset(void **state) {
        static const uint8_t code[] = {0xb8, 0x34, 0x12, 0xe6, STOP_PORT, 0xf4};
        _cleanup_(tiny_guest_freep) TinyGuest *guest = guest_or_skip(1);
        const char *wrong;

        assert_int_equal(tiny_guest_start(guest, code, sizeof(code)), 0);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_non_null(vcpu_state_check_reset(guest->vcpu));
        assert_int_equal(guest->vcpu->ops->reset(guest->vcpu), 0);
        wrong = vcpu_state_check_reset(guest->vcpu);
        if (wrong)
                fail_msg("%s differs after a reset", wrong);
}

static void test_state_survives_set_and_get(void **state) {
        static const uint8_t code[] = {0xf4};
        _cleanup_(tiny_guest_freep) TinyGuest *guest = guest_or_skip(1);
        const VcpuOps *ops;
        VcpuRegisters registers, registers_back = {0};
        VcpuVirtualMsrs msrs, msrs_back = {0};
        VcpuMtrr mtrr, mtrr_back = {0};
        VcpuActivity activity, activity_back = {0};

        assert_int_equal(tiny_guest_start(guest, code, sizeof(code)), 0);
        ops = guest->vcpu->ops;
        vcpu_registers_at_reset(&guest->vcpu->reset_info, &registers);
        registers.r15 = 0x1122334455667788;
        registers.rbx = 0x99;
        assert_int_equal(ops->set_state(guest->vcpu, VCPU_STATE_REGISTERS, &registers), 0);
        assert_int_equal(ops->get_state(guest->vcpu, VCPU_STATE_REGISTERS, &registers_back), 0);
        assert_memory_equal(&registers, &registers_back, sizeof(registers));

        vcpu_virtual_msrs_at_reset(&guest->vcpu->reset_info, &msrs);
        msrs.lstar = 0xffffffff81000000;
        msrs.kernel_gs_base = 0xffff888000000000;
        assert_int_equal(ops->set_state(guest->vcpu, VCPU_STATE_VIRTUAL_MSRS, &msrs), 0);
        assert_int_equal(ops->get_state(guest->vcpu, VCPU_STATE_VIRTUAL_MSRS, &msrs_back), 0);
        assert_memory_equal(&msrs, &msrs_back, sizeof(msrs));

        vcpu_mtrr_at_reset(&guest->vcpu->reset_info, &mtrr);
        mtrr.def_type = 0xc06;
        mtrr.fixed[3] = 0x0606060606060606;
        assert_int_equal(ops->set_state(guest->vcpu, VCPU_STATE_MTRR, &mtrr), 0);
        assert_int_equal(ops->get_state(guest->vcpu, VCPU_STATE_MTRR, &mtrr_back), 0);
        assert_memory_equal(&mtrr, &mtrr_back, sizeof(mtrr));

        vcpu_activity_at_reset(&guest->vcpu->reset_info, &activity);
        activity.run_state = VCPU_HALTED;
        activity.nmi_masked = true;
        assert_int_equal(ops->set_state(guest->vcpu, VCPU_STATE_ACTIVITY, &activity), 0);
        assert_int_equal(ops->get_state(guest->vcpu, VCPU_STATE_ACTIVITY, &activity_back), 0);
        assert_memory_equal(&activity, &activity_back, sizeof(activity));
}

static void test_guest_time_stands_still_while_paused(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = guest_or_skip(1);
        const PartitionOps *ops = guest->partition->ops;
        uint64_t paused_at;

        assert_int_equal(ops->pause_time(guest->partition, true), 0);
        paused_at = ops->reference_time_nsec(guest->partition);
        assert_true(paused_at > 0);
        assert_true(ops->reference_time_nsec(guest->partition) == paused_at);
        assert_int_equal(ops->pause_time(guest->partition, false), 0);
        assert_true(ops->reference_time_nsec(guest->partition) >= paused_at);
}

static void test_a_missing_device_is_named(void **state) {
        const HvConfig config = {.n_vcpus = 1, .threads_per_core = 1, .device = "/dev/null"};
        _cleanup_(text_error_deinit) TextError error = {0};
        ProtoPartition *proto = NULL;

        assert_true(kvm_hv_ops.proto_new(&config, &proto, &error) < 0);
        assert_non_null(strstr(error.message, "/dev/null is not KVM"));
        assert_null(proto);
}

/* Either answer is right for this machine; what matters is that there is one, and a sentence with a refusal. */
static void test_the_probe_answers_with_a_sentence(void **state) {
        _cleanup_(text_error_deinit) TextError error = {0};
        int r;

        if (access("/dev/kvm", R_OK | W_OK) < 0) {
                print_message("no usable /dev/kvm on this machine, skipping\n");
                skip();
        }
        r = kvm_hv_ops.probe(NULL, &error);
        if (r == 0)
                assert_null(error.message);
        else
                assert_non_null(strcasestr(error.message, "kvm"));
        if (error.message)
                print_message("probe: %s\n", error.message);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_port_output_reaches_the_machine_in_all_widths),
                cmocka_unit_test(test_string_output_arrives_element_by_element),
                cmocka_unit_test(test_port_input_reaches_the_register_before_a_stop),
                cmocka_unit_test(test_memory_mapped_access_reaches_the_machine),
                cmocka_unit_test(test_a_triple_fault_ends_the_vcpu_with_words),
                cmocka_unit_test(test_a_kick_ends_a_loop_or_a_halt_however_it_races),
                cmocka_unit_test(test_a_kick_without_a_bound_vcpu_is_harmless),
                cmocka_unit_test(test_a_doorbell_signals_without_an_exit),
                cmocka_unit_test(test_an_msi_wakes_the_guest),
                cmocka_unit_test(test_an_eventfd_becomes_an_msi_once_it_is_routed),
                cmocka_unit_test(test_the_pics_request_is_acknowledged_and_delivered),
                cmocka_unit_test(test_the_end_of_a_level_triggered_interrupt_is_reported),
                cmocka_unit_test(test_all_state_is_as_after_a_reset),
                cmocka_unit_test(test_state_survives_set_and_get),
                cmocka_unit_test(test_guest_time_stands_still_while_paused),
                cmocka_unit_test(test_a_missing_device_is_named),
                cmocka_unit_test(test_the_probe_answers_with_a_sentence),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
