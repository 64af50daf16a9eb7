/* SPDX-License-Identifier: Apache-2.0 */
/* What a debugger and whoever moves memory ask of a backend: the software processor, and KVM where it runs kernels. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/fake/vmm_tiny_guest.h"
#include "vmm/hv/kvm/kvm.h"
#include "vmm/hv/soft/soft.h"

#define STOP_PORT 0x10u
#define HANDLER_PORT 0x20u
#define WATCHED 0x3000u

static const HvOps *backend;

static TinyGuest *start(const void *code, size_t len) {
        TinyGuest *guest = NULL;

        assert_int_equal(tiny_guest_new(backend, 1, &guest, NULL), 0);
        guest->stop_port = STOP_PORT;
        assert_int_equal(tiny_guest_start(guest, code, len), 0);
        return guest;
}

static int debug(TinyGuest *guest, const VcpuDebug *want) {
        return guest->partition->debug->set_debug(guest->vcpu, want);
}

static uint64_t rip(TinyGuest *guest) {
        VcpuRegisters registers;

        assert_int_equal(guest->vcpu->ops->get_state(guest->vcpu, VCPU_STATE_REGISTERS, &registers),
                         0);
        return registers.rip;
}

/* nop; out %al, $STOP_PORT; hlt; handler of #DB: out %al, $HANDLER_PORT; out %al, $STOP_PORT; hlt */
static const uint8_t own_break_code[] = {0x90,         0xe6, STOP_PORT, 0xf4, 0xe6,
                                         HANDLER_PORT, 0xe6, STOP_PORT, 0xf4};

/* Whether the guest meets a breakpoint of its own that came with its state: no debugger has a part in it. */
static bool guest_meets_its_breakpoint(void) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest =
                start(own_break_code, sizeof(own_break_code));
        const VcpuDebugRegisters registers = {
                .dr0 = TINY_CODE + 1, .dr6 = 0xffff0ff0, .dr7 = 0x402};
        const uint32_t vector = TINY_CODE + 4;

        assert_int_equal(guest_mem_write(guest->mem, 1 * 4, &vector, sizeof(vector)), 0);
        assert_int_equal(
                guest->vcpu->ops->set_state(guest->vcpu, VCPU_STATE_DEBUG_REGISTERS, &registers),
                0);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        return guest->events[0].address == HANDLER_PORT;
}

/* What is so on no processor but one that is emulated is the emulator's fault. */
static void skip_on_emulated_svm(const char *why) {
        assert_ptr_equal(backend, &kvm_hv_ops);
        assert_true(tiny_host_emulates_svm());
        print_message("the host's processor is QEMU's, which %s: skipping\n", why);
        skip();
}

/* No stop would come, however right KVM is asked. */
static void need_breakpoints(void) {
        if (!guest_meets_its_breakpoint())
                skip_on_emulated_svm("does not arm a guest's breakpoints");
}

static void assert_stops(TinyGuest *guest, VcpuDebugCause cause, unsigned which, uint64_t at) {
        assert_int_equal(tiny_guest_run(guest), HALT_DEBUG);
        assert_int_equal(guest->vcpu->debug_stop.cause, cause);
        assert_int_equal(guest->vcpu->debug_stop.which, which);
        assert_int_equal(rip(guest), at);
}

/* nop; nop; out %al, $STOP_PORT; hlt */
static const uint8_t plain_code[] = {0x90, 0x90, 0xe6, STOP_PORT, 0xf4};

static void test_steps_are_single_instructions_until_the_debugger_goes(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = start(plain_code, sizeof(plain_code));
        const VcpuDebug step = {.single_step = true};

        assert_int_equal(debug(guest, &step), 0);
        assert_stops(guest, VCPU_DEBUG_STEP, 0, TINY_CODE + 1);
        assert_stops(guest, VCPU_DEBUG_STEP, 0, TINY_CODE + 2);
        assert_int_equal(debug(guest, NULL), 0);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(guest->events[0].address, STOP_PORT);
}

/* mov $3, %cx; mov $0x3000, %di; rep stosb; hlt */
static const uint8_t repeat_code[] = {0xb9, 0x03, 0x00, 0xbf, 0x00, 0x30, 0xf3, 0xaa, 0xf4};

static void test_a_step_of_a_repeated_instruction_is_one_element(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = start(repeat_code, sizeof(repeat_code));
        const VcpuDebug step = {.single_step = true};

        assert_int_equal(debug(guest, &step), 0);
        assert_stops(guest, VCPU_DEBUG_STEP, 0, TINY_CODE + 3);
        assert_stops(guest, VCPU_DEBUG_STEP, 0, TINY_CODE + 6);
        assert_stops(guest, VCPU_DEBUG_STEP, 0, TINY_CODE + 6);
        assert_stops(guest, VCPU_DEBUG_STEP, 0, TINY_CODE + 6);
        assert_stops(guest, VCPU_DEBUG_STEP, 0, TINY_CODE + 8);
}

static void test_an_execute_break_stops_before_its_instruction_again_and_again(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = start(plain_code, sizeof(plain_code));
        const VcpuDebug want = {
                .n_breaks = 2,
                .breaks = {{.kind = VCPU_BREAK_EXECUTE, .gva = 0x5000, .size = 1},
                           {.kind = VCPU_BREAK_EXECUTE, .gva = TINY_CODE + 2, .size = 1}}};

        need_breakpoints();
        assert_int_equal(debug(guest, &want), 0);
        assert_stops(guest, VCPU_DEBUG_BREAK, 1, TINY_CODE + 2);
        assert_stops(guest, VCPU_DEBUG_BREAK, 1, TINY_CODE + 2);
        assert_int_equal(guest->n_events, 0);
}

/* mov %ax, 0x2ffe; mov 0x3000, %ax; mov %al, 0x3001; out %al, $STOP_PORT; hlt */
static const uint8_t data_code[] = {0xa3, 0xfe, 0x2f, 0xa1, 0x00,      0x30,
                                    0xa2, 0x01, 0x30, 0xe6, STOP_PORT, 0xf4};

static void test_watches_stop_after_the_access_that_they_are_for(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = start(data_code, sizeof(data_code));
        VcpuDebug want = {.n_breaks = 1,
                          .breaks = {{.kind = VCPU_BREAK_WRITE, .gva = WATCHED, .size = 2}}};

        need_breakpoints();
        assert_int_equal(debug(guest, &want), 0);
        assert_stops(guest, VCPU_DEBUG_BREAK, 0, TINY_CODE + 9);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        (void) tiny_guest_free(guest);

        guest = start(data_code, sizeof(data_code));
        want.breaks[0].kind = VCPU_BREAK_READ_WRITE;
        assert_int_equal(debug(guest, &want), 0);
        assert_stops(guest, VCPU_DEBUG_BREAK, 0, TINY_CODE + 6);
        assert_stops(guest, VCPU_DEBUG_BREAK, 0, TINY_CODE + 9);
}

/* int3; out %al, $STOP_PORT; hlt; handler: out %al, $HANDLER_PORT; iret */
static const uint8_t int3_code[] = {0xcc, 0xe6, STOP_PORT, 0xf4, 0xe6, HANDLER_PORT, 0xcf};

static void test_a_breakpoint_instruction_is_caught_or_given_back(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = start(int3_code, sizeof(int3_code));
        const VcpuDebug want = {.catch_breakpoints = true};
        const uint32_t vector = TINY_CODE + 4;
        VcpuActivity activity;

        assert_int_equal(guest_mem_write(guest->mem, 3 * 4, &vector, sizeof(vector)), 0);
        assert_int_equal(debug(guest, &want), 0);
        if (tiny_guest_run(guest) == HALT_STOP && guest->events[0].address == HANDLER_PORT)
                skip_on_emulated_svm("gives INT3 to the guest");
        assert_int_equal(guest->vcpu->debug_stop.cause, VCPU_DEBUG_BREAKPOINT);
        assert_int_equal(rip(guest), TINY_CODE);
        assert_int_equal(guest->vcpu->ops->get_state(guest->vcpu, VCPU_STATE_ACTIVITY, &activity),
                         0);
        activity.exception_injected = true;
        activity.exception_vector = 3;
        assert_int_equal(guest->vcpu->ops->set_state(guest->vcpu, VCPU_STATE_ACTIVITY, &activity),
                         0);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(guest->events[0].address, HANDLER_PORT);
        assert_int_equal(guest->events[1].address, STOP_PORT);
}

/* nop; nop; nop; nop; hlt; handler of the NMI: hlt */
static const uint8_t interrupts_code[] = {0x90, 0x90, 0x90, 0x90, 0xf4, 0xf4};

static void test_blocked_interrupts_wait_for_the_debugger(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest =
                start(interrupts_code, sizeof(interrupts_code));
        VcpuDebug want = {.single_step = true, .block_interrupts = true};
        const uint32_t vector = TINY_CODE + 5;

        assert_int_equal(guest_mem_write(guest->mem, 2 * 4, &vector, sizeof(vector)), 0);
        assert_int_equal(debug(guest, &want), 0);
        guest->partition->ops->pulse_nmi(guest->partition, 0);
        for (unsigned i = 1; i < 4; i++)
                assert_stops(guest, VCPU_DEBUG_STEP, 0, TINY_CODE + i);
        if (backend != &soft_hv_ops)
                return; /* whether a handler is entered with a step under way is KVM's affair */
        want.block_interrupts = false;
        assert_int_equal(debug(guest, &want), 0);
        assert_stops(guest, VCPU_DEBUG_STEP, 0, vector + 1);
}

/* hlt; nop; hlt; handler of the NMI: nop; hlt */
static const uint8_t halt_code[] = {0xf4, 0x90, 0xf4, 0x90, 0xf4};

static void test_a_blocked_interrupt_ends_a_halt_that_is_stepped(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = start(halt_code, sizeof(halt_code));
        VcpuDebug want = {.single_step = true, .block_interrupts = true};
        const uint32_t vector = TINY_CODE + 3;

        assert_int_equal(guest_mem_write(guest->mem, 2 * 4, &vector, sizeof(vector)), 0);
        assert_int_equal(debug(guest, &want), 0);
        assert_stops(guest, VCPU_DEBUG_STEP, 0, TINY_CODE + 1);
        guest->partition->ops->pulse_nmi(guest->partition, 0);
        assert_stops(guest, VCPU_DEBUG_STEP, 0, TINY_CODE + 2);
        if (backend != &soft_hv_ops)
                return; /* as above */
        want.block_interrupts = false;
        assert_int_equal(debug(guest, &want), 0);
        assert_stops(guest, VCPU_DEBUG_STEP, 0, vector + 1);
}

static void test_what_no_processor_can_watch_is_refused(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = start(plain_code, sizeof(plain_code));
        VcpuDebug want = {.n_breaks = VCPU_BREAKS_MAX + 1};

        assert_int_equal(debug(guest, &want), -EINVAL);
        want = (VcpuDebug){.n_breaks = 1,
                           .breaks = {{.kind = VCPU_BREAK_WRITE, .gva = WATCHED + 1, .size = 2}}};
        assert_int_equal(debug(guest, &want), -EINVAL);
        want.breaks[0] = (VcpuBreak){.kind = VCPU_BREAK_WRITE, .gva = WATCHED, .size = 3};
        assert_int_equal(debug(guest, &want), -EINVAL);
        want.breaks[0] = (VcpuBreak){.kind = VCPU_BREAK_EXECUTE, .gva = WATCHED, .size = 2};
        assert_int_equal(debug(guest, &want), -EINVAL);
}

static void test_addresses_translate_as_the_processor_would(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = start(plain_code, sizeof(plain_code));
        gpa_t gpa;

        assert_int_equal(guest->partition->debug->translate(guest->vcpu, 0x1234, &gpa), 0);
        assert_int_equal(gpa, 0x1234);
        if (backend == &soft_hv_ops) /* KVM answers with what the caller finds to be no memory */
                assert_int_equal(
                        guest->partition->debug->translate(guest->vcpu, UINT64_C(1) << 40, &gpa),
                        -EFAULT);
}

static uint64_t dirty_word(TinyGuest *guest) {
        uint64_t bitmap[8];

        assert_int_equal(guest_mem_dirty_words(guest->mem, 0), ELEMENTSOF(bitmap));
        assert_int_equal(guest->partition->dirty->fetch(guest->partition, 0, bitmap), 0);
        for (size_t i = 1; i < ELEMENTSOF(bitmap); i++)
                assert_int_equal(bitmap[i], 0);
        return bitmap[0];
}

static void test_pages_that_a_processor_or_a_device_wrote_are_told_once(void **state) {
        /* mov %al, 0x3000; mov %ax, 0x4fff; mov 0x6000, %al; out %al, $0x10; the same again */
        static const uint8_t code[] = {0xa2, 0x00, 0x30, 0xa3, 0xff, 0x4f, 0xa0,
                                       0x00, 0x60, 0xe6, 0x10, 0xeb, 0xf3, 0xf4};
        _cleanup_(tiny_guest_freep) TinyGuest *guest = start(code, sizeof(code));
        const DirtyOps *dirty = guest->partition->dirty;
        uint64_t bitmap[8];

        assert_int_equal(dirty->fetch(guest->partition, 0, bitmap), -EINVAL);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP); /* with translations to forget */

        assert_int_equal(dirty->start(guest->partition), 0);
        for (unsigned round = 0; round < 2; round++) {
                assert_int_equal(dirty_word(guest), 0);
                atomic_store(&guest->stop, false);
                assert_int_equal(tiny_guest_run(guest), HALT_STOP);
                assert_int_equal(guest_mem_write(guest->mem, 0x8ffe, "1234", 4), 0);
                assert_int_equal(dirty_word(guest),
                                 1u << 3 | 1u << 4 | 1u << 5 | 1u << 8 | 1u << 9);
        }
        assert_int_equal(dirty->fetch(guest->partition, 1, bitmap), -EINVAL);
        assert_int_equal(dirty->stop(guest->partition), 0);
        assert_int_equal(guest_mem_write(guest->mem, 0x8000, "1", 1), 0);
        assert_int_equal(dirty->start(guest->partition), 0);
        assert_int_equal(dirty_word(guest), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_steps_are_single_instructions_until_the_debugger_goes),
                cmocka_unit_test(test_a_step_of_a_repeated_instruction_is_one_element),
                cmocka_unit_test(
                        test_an_execute_break_stops_before_its_instruction_again_and_again),
                cmocka_unit_test(test_watches_stop_after_the_access_that_they_are_for),
                cmocka_unit_test(test_a_breakpoint_instruction_is_caught_or_given_back),
                cmocka_unit_test(test_blocked_interrupts_wait_for_the_debugger),
                cmocka_unit_test(test_a_blocked_interrupt_ends_a_halt_that_is_stepped),
                cmocka_unit_test(test_what_no_processor_can_watch_is_refused),
                cmocka_unit_test(test_addresses_translate_as_the_processor_would),
                cmocka_unit_test(test_pages_that_a_processor_or_a_device_wrote_are_told_once),
        };

        _cleanup_(text_error_deinit) TextError error = {0};
        int failed;

        backend = &soft_hv_ops;
        failed = cmocka_run_group_tests_name("soft", tests, NULL, NULL);
        if (kvm_hv_ops.probe(NULL, &error) < 0) {
                print_message("not on KVM: %s\n", error.message ?: "no reason given");
                return failed;
        }
        backend = &kvm_hv_ops;
        return failed + cmocka_run_group_tests_name("kvm", tests, NULL, NULL);
}
