/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/le.h"
#include "vmm/hv/hv.h"

/* A vCPU that keeps what it is told. */
typedef struct MemoryVcpu {
        Vcpu base;
        bool deny; /* set_state() of @deny_id fails */
        VcpuStateId deny_id;
        unsigned n_set;
#define MEMBER(id, NAME, type, name) type name;
        VCPU_STATE_TABLE(MEMBER)
#undef MEMBER
} MemoryVcpu;

static int memory_get(Vcpu *base, VcpuStateId id, void *ret) {
        MemoryVcpu *vcpu = CONTAINER_OF(base, MemoryVcpu, base);

        switch (id) {
#define GET(number, NAME, type, name)                                                              \
        case VCPU_STATE_##NAME:                                                                    \
                memcpy(ret, &vcpu->name, sizeof(vcpu->name));                                      \
                return 0;
                VCPU_STATE_TABLE(GET)
#undef GET
        }
        return -EINVAL;
}

static int memory_set(Vcpu *base, VcpuStateId id, const void *state) {
        MemoryVcpu *vcpu = CONTAINER_OF(base, MemoryVcpu, base);

        if (vcpu->deny && vcpu->deny_id == id)
                return -EIO;
        vcpu->n_set++;
        switch (id) {
#define SET(number, NAME, type, name)                                                              \
        case VCPU_STATE_##NAME:                                                                    \
                memcpy(&vcpu->name, state, sizeof(vcpu->name));                                    \
                return 0;
                VCPU_STATE_TABLE(SET)
#undef SET
        }
        return -EINVAL;
}

static const VcpuOps memory_ops = {.get_state = memory_get, .set_state = memory_set};

static MemoryVcpu *vcpu_with(const VcpuResetInfo *info) {
        static MemoryVcpu vcpu;

        memset(&vcpu, 0, sizeof(vcpu));
        vcpu.base.ops = &memory_ops;
        vcpu.base.reset_info = *info;
        return &vcpu;
}

static const VcpuResetInfo boot_processor = {
        .boot_processor = true,
        .signature = 0x50654,
        .has_xsave = true,
        .has_tsc_aux = true,
        .has_pks = true,
};
static const VcpuResetInfo application_processor = {.apic_id = 3, .signature = 0x50654};

static void test_a_reset_processor_passes_the_check(void **state) {
        MemoryVcpu *vcpu = vcpu_with(&boot_processor);

        assert_non_null(vcpu_state_check_reset(&vcpu->base));
        assert_int_equal(vcpu_state_reset_all(&vcpu->base), 0);
        assert_null(vcpu_state_check_reset(&vcpu->base));
        assert_int_equal(vcpu->n_set, 14);
}

static void test_elements_that_a_processor_lacks_are_left_alone(void **state) {
        MemoryVcpu *vcpu = vcpu_with(&application_processor);

        assert_int_equal(vcpu_state_reset_all(&vcpu->base), 0);
        assert_int_equal(vcpu->n_set, 11);
        assert_int_equal(vcpu->xcr.xcr0, 0);
        assert_null(vcpu_state_check_reset(&vcpu->base));
}

static void test_lost_state_is_named(void **state) {
        MemoryVcpu *vcpu = vcpu_with(&boot_processor);

        assert_int_equal(vcpu_state_reset_all(&vcpu->base), 0);
        vcpu->debug_registers.dr7 = 0;
        assert_string_equal(vcpu_state_check_reset(&vcpu->base), "debug_registers");
        vcpu->debug_registers.dr7 = 0x400;
        vcpu->mtrr.fixed[10] = 6;
        assert_string_equal(vcpu_state_check_reset(&vcpu->base), "mtrr");
        vcpu->mtrr.fixed[10] = 0;
        vcpu->tsc.tsc = 12345; /* runs on */
        assert_null(vcpu_state_check_reset(&vcpu->base));
}

static void test_the_first_refused_element_ends_a_reset(void **state) {
        MemoryVcpu *vcpu = vcpu_with(&boot_processor);

        vcpu->deny = true;
        vcpu->deny_id = VCPU_STATE_SYSTEM_REGISTERS;
        assert_int_equal(vcpu_state_reset_all(&vcpu->base), -EIO);
        assert_int_equal(vcpu->n_set, 1);
}

static void test_processors_wake_up_where_the_architecture_says(void **state) {
        MemoryVcpu *vcpu = vcpu_with(&boot_processor);

        assert_int_equal(vcpu_state_reset_all(&vcpu->base), 0);
        assert_int_equal(vcpu->system_registers.cs.base + vcpu->registers.rip, 0xfffffff0);
        assert_int_equal(vcpu->registers.rdx, 0x50654);
        assert_int_equal(vcpu->activity.run_state, VCPU_RUNNING);
        assert_int_equal(vcpu->apic.base_msr, 0xfee00900);

        vcpu = vcpu_with(&application_processor);
        assert_int_equal(vcpu_state_reset_all(&vcpu->base), 0);
        assert_int_equal(vcpu->activity.run_state, VCPU_WAIT_FOR_INIT);
        assert_int_equal(vcpu->apic.base_msr, 0xfee00800);
        assert_int_equal(le32_load(vcpu->apic.registers + VCPU_APIC_ID), 3u << 24);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_reset_processor_passes_the_check),
                cmocka_unit_test(test_elements_that_a_processor_lacks_are_left_alone),
                cmocka_unit_test(test_lost_state_is_named),
                cmocka_unit_test(test_the_first_refused_element_ends_a_reset),
                cmocka_unit_test(test_processors_wake_up_where_the_architecture_says),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
