/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/le.h"
#include "tests/fake/vmm_tiny_guest.h"
#include "vmm/hv/soft/cpu.h"
#include "vmm/hv/soft/soft.h"

#define ROUNDS 40u
#define STOP_PORT 0x10u

/* out %al, $STOP_PORT; hlt */
static const uint8_t stop_code[] = {0xe6, STOP_PORT, 0xf4};

typedef struct Sender {
        Partition *partition;
        atomic_bool started, end;
} Sender;

static void send_all(Partition *partition) {
        const MsiMessage message = {.address = 0xfee00000, .data = 0x40};

        partition->ops->kick(partition, 0);
        (void) partition->ops->signal_msi(partition, &message);
        partition->ops->set_extint(partition, true);
        partition->ops->set_extint(partition, false);
        partition->ops->pulse_nmi(partition, 0);
}

static void *sender_main(void *userdata) {
        Sender *sender = userdata;

        do {
                send_all(sender->partition);
                atomic_store(&sender->started, true);
        } while (!atomic_load(&sender->end));
        return NULL;
}

/* One processor's thread ends while a device, or whoever halts the machine, is still sending to it. */
static void test_processor_may_be_signalled_while_its_thread_ends(void **state) {
        for (unsigned i = 0; i < ROUNDS; i++) {
                _cleanup_(tiny_guest_freep) TinyGuest *guest = NULL;
                Sender sender = {0};
                pthread_t thread;

                assert_int_equal(tiny_guest_new(&soft_hv_ops, 1, &guest, NULL), 0);
                guest->stop_port = STOP_PORT;
                assert_int_equal(tiny_guest_start(guest, stop_code, sizeof(stop_code)), 0);
                sender.partition = guest->partition;
                assert_int_equal(pthread_create(&thread, NULL, sender_main, &sender), 0);
                while (!atomic_load(&sender.started))
                        sched_yield();
                guest->vcpu = vcpu_free(guest->vcpu);
                send_all(guest->partition);
                atomic_store(&sender.end, true);
                assert_int_equal(pthread_join(thread, NULL), 0);
        }
}

static void test_processor_is_bound_once(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = NULL;
        Vcpu *again = NULL;

        assert_int_equal(tiny_guest_new(&soft_hv_ops, 1, &guest, NULL), 0);
        guest->stop_port = STOP_PORT;
        assert_int_equal(tiny_guest_start(guest, stop_code, sizeof(stop_code)), 0);
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(guest->partition->ops->vcpu_bind(guest->partition, 0, &again), -EEXIST);
        guest->vcpu = vcpu_free(guest->vcpu);
        assert_int_equal(guest->partition->ops->vcpu_bind(guest->partition, 0, &again), -EEXIST);
        assert_int_equal(guest->partition->ops->vcpu_bind(guest->partition, 1, &again), -EINVAL);
}

/* Something else of each element, as far as a program could have made it so. */
static void change_registers(VcpuRegisters *v) {
        *v = (VcpuRegisters){
                .rax = 1, .rbx = UINT64_MAX, .r15 = 15, .rip = 0x1234, .rflags = 0x2d7};
}
static void change_system_registers(VcpuSystemRegisters *v) {
        v->cr2 = 0x12345678;
        v->cr8 = 5;
        v->idtr = (VcpuTableRegister){.base = 0x5000, .limit = 0x3ff};
        v->gs.base = UINT64_C(0xffff888000000000);
        v->ldtr.unusable = true;
        v->ldtr.attributes = 0;
        v->efer = 0x801;
}
static void change_xcr(VcpuXcr *v) {
        v->xcr0 = 3;
}
static void change_xsave(VcpuXsave *v) {
        memset(v->area + 32, 0x5a, 10);   /* the first x87 register */
        memset(v->area + 160, 0xa5, 256); /* XMM0 to XMM15 */
        v->area[24] = 0x9f;               /* MXCSR */
        v->area[XSAVE_HEADER + 1] = XSTATE_PKRU >> 8;
        le32_store(v->area + XSAVE_PKRU, 0x55555554);
}
static void change_apic(VcpuApic *v) {
        le32_store(v->registers + VCPU_APIC_LVT_LINT0, VCPU_APIC_LVT_EXTINT);
        le32_store(v->registers + VCPU_APIC_LVT_LINT1, VCPU_APIC_LVT_NMI);
}
static void change_mtrr(VcpuMtrr *v) {
        v->def_type = 0xc06;
        v->fixed[10] = 5;
        v->mask[7] = 0x800;
}
static void change_pat(VcpuPat *v) {
        v->pat = 0x0606060606060606;
}
static void change_virtual_msrs(VcpuVirtualMsrs *v) {
        *v = (VcpuVirtualMsrs){.star = 1,
                               .lstar = 2,
                               .cstar = 3,
                               .sfmask = 4,
                               .kernel_gs_base = 5,
                               .sysenter_cs = 6,
                               .sysenter_esp = 7,
                               .sysenter_eip = 8,
                               .misc_enable = 1};
}
static void change_debug_registers(VcpuDebugRegisters *v) {
        *v = (VcpuDebugRegisters){
                .dr0 = 1, .dr1 = 2, .dr2 = 3, .dr3 = 4, .dr6 = 0xffff0ff1, .dr7 = 0x402};
}
static void change_tsc(VcpuTsc *v) {
        v->tsc = UINT64_C(1) << 50;
}
static void change_tsc_aux(VcpuTscAux *v) {
        v->tsc_aux = 7;
}
static void change_pkrs(VcpuPkrs *v) {
        v->pkrs = 0x55555554;
}

static void change_other_msrs(VcpuOtherMsrs *v) {
        assert_int_equal(v->n, 2); /* the page of kvmclock and, not in use, the TSC deadline */
        v->msrs[0].value = 0x3001;
}

static void change_activity(VcpuActivity *v) {
        v->run_state = VCPU_HALTED;
        v->nmi_pending = v->nmi_masked = v->interrupt_shadow_sti = true;
        v->exception_injected = v->exception_has_error_code = true;
        v->exception_vector = 13;
        v->exception_error_code = 0x18;
        v->sipi_vector = 0x9a;
}

static TinyGuest *start(const void *code, size_t len) {
        TinyGuest *guest = NULL;

        assert_int_equal(tiny_guest_new(&soft_hv_ops, 1, &guest, NULL), 0);
        guest->stop_port = 0x10;
        assert_int_equal(tiny_guest_start(guest, code, len), 0);
        return guest;
}

static void test_a_device_stops_the_processor_that_called_it_without_a_kick(void **state) {
        static const uint8_t code[] = {0xe6, 0x10, 0xeb, 0xfe}; /* out %al, $0x10; jmp . */
        _cleanup_(tiny_guest_freep) TinyGuest *guest = start(code, sizeof(code));

        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(guest->n_events, 1);
}

static void test_all_state_is_as_after_a_reset(void **state) {
        static const uint8_t code[] = {0xb8, 0x34, 0x12, 0x8e, 0xd8, 0x0f, 0x22, 0xd0,
                                       0xdb, 0xe3, 0xd9, 0xe8, 0xfb, 0xe6, 0x10, 0xf4};
        _cleanup_(tiny_guest_freep) TinyGuest *guest = start(code, sizeof(code));

        assert_string_equal(vcpu_state_check_reset(guest->vcpu) ?: "none", "registers");
        assert_int_equal(tiny_guest_run(guest), HALT_STOP);
        assert_int_equal(guest->vcpu->ops->reset(guest->vcpu), 0);
        assert_string_equal(vcpu_state_check_reset(guest->vcpu) ?: "none", "none");
}

static void test_application_processors_are_as_after_a_reset_too(void **state) {
        _cleanup_(tiny_guest_freep) TinyGuest *guest = NULL;
        Vcpu *vcpu = NULL;

        assert_int_equal(tiny_guest_new(&soft_hv_ops, 2, &guest, NULL), 0);
        assert_int_equal(guest->partition->ops->vcpu_bind(guest->partition, 1, &vcpu), 0);
        assert_string_equal(vcpu_state_check_reset(vcpu) ?: "none", "none");
        (void) vcpu_free(vcpu);
}

/* A function for each element: together they would not fit into one stack frame. */
#define DEFINE_GET_SET_GET(id, NAME, type, name)                                                   \
        static void get_set_get_##name(Vcpu *vcpu) {                                               \
                type before, after;                                                                \
                                                                                                   \
                memset(&before, 0, sizeof(before));                                                \
                memset(&after, 0, sizeof(after));                                                  \
                assert_int_equal(vcpu->ops->get_state(vcpu, VCPU_STATE_##NAME, &before), 0);       \
                change_##name(&before);                                                            \
                assert_int_equal(vcpu->ops->set_state(vcpu, VCPU_STATE_##NAME, &before), 0);       \
                assert_int_equal(vcpu->ops->get_state(vcpu, VCPU_STATE_##NAME, &after), 0);        \
                if (memcmp(&before, &after, sizeof(before)) != 0)                                  \
                        fail_msg("%s is lost", #name);                                             \
        }
VCPU_STATE_TABLE(DEFINE_GET_SET_GET)
#undef DEFINE_GET_SET_GET

static void test_every_element_of_state_reads_as_it_was_set(void **state) {
        static const uint8_t code[] = {0xf4};
        _cleanup_(tiny_guest_freep) TinyGuest *guest = start(code, sizeof(code));
        Vcpu *vcpu = guest->vcpu;

        guest->partition->ops->pause_time(guest->partition, true); /* or the TSC would move on */
#define GET_SET_GET(id, NAME, type, name)                                                          \
        if (vcpu_state_present(VCPU_STATE_##NAME, &vcpu->reset_info))                              \
                get_set_get_##name(vcpu);
        VCPU_STATE_TABLE(GET_SET_GET)
#undef GET_SET_GET
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_processor_may_be_signalled_while_its_thread_ends),
                cmocka_unit_test(test_processor_is_bound_once),
                cmocka_unit_test(test_a_device_stops_the_processor_that_called_it_without_a_kick),
                cmocka_unit_test(test_all_state_is_as_after_a_reset),
                cmocka_unit_test(test_application_processors_are_as_after_a_reset_too),
                cmocka_unit_test(test_every_element_of_state_reads_as_it_was_set),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
