/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "vmm/hv/hv.h"
#include "vmm/hv/state_set.h"

/* A vCPU that keeps what it is told, and notes the order. */
typedef struct MemoryVcpu {
        Vcpu base;
        VcpuStates states;
        VcpuStateId first_asked, last_set;
        unsigned n_asked, n_set;
        VcpuStateId deny; /* 0: none */
} MemoryVcpu;

static void *element(VcpuStates *states, VcpuStateId id, size_t *ret_size) {
        switch (id) {
#define ELEMENT(number, NAME, type, name)                                                          \
        case VCPU_STATE_##NAME:                                                                    \
                *ret_size = sizeof(states->name);                                                  \
                return &states->name;
                VCPU_STATE_TABLE(ELEMENT)
#undef ELEMENT
        }
        return NULL;
}

static int memory_get(Vcpu *base, VcpuStateId id, void *ret) {
        MemoryVcpu *vcpu = CONTAINER_OF(base, MemoryVcpu, base);
        size_t size;
        const void *from = element(&vcpu->states, id, &size);

        if (vcpu->n_asked++ == 0)
                vcpu->first_asked = id;
        memcpy(ret, from, size);
        return 0;
}

static int memory_set(Vcpu *base, VcpuStateId id, const void *state) {
        MemoryVcpu *vcpu = CONTAINER_OF(base, MemoryVcpu, base);
        size_t size;
        void *to = element(&vcpu->states, id, &size);

        if (id == vcpu->deny)
                return -EINVAL;
        vcpu->n_set++;
        vcpu->last_set = id;
        memcpy(to, state, size);
        return 0;
}

static const VcpuOps memory_ops = {.get_state = memory_get, .set_state = memory_set};

static MemoryVcpu from, to;

static int setup(void **state) {
        const VcpuResetInfo info = {.boot_processor = true, .has_xsave = true, .has_tsc_aux = true};

        memset(&from, 0, sizeof(from));
        from.base = (Vcpu){.ops = &memory_ops, .reset_info = info};
        to = from;
        assert_int_equal(vcpu_state_reset_all(&from.base), 0);
        from.states.registers.rip = 0x1234;
        from.states.activity.run_state = VCPU_HALTED;
        from.states.other_msrs.n = 2;
        from.states.other_msrs.msrs[1] = (VcpuMsr){.index = 0x6e0, .value = 77};
        return 0;
}

static void save(Snapshot *s, VcpuStates *states) {
        snapshot_init_saving(s);
        assert_int_equal(vcpu_states_get(&from.base, states), 0);
        vcpu_states_snapshot(states, 0, s);
        assert_int_equal(s->error, 0);
}

static void test_a_processor_takes_over_all_of_another(void **state) {
        static VcpuStates states, read;
        const char *name;
        Snapshot saved, s;

        save(&saved, &states);
        snapshot_init_restoring(&s, saved.bytes, saved.len);
        vcpu_states_snapshot(&read, 0, &s);
        assert_true(snapshot_restored(&s));
        assert_int_equal(vcpu_states_set(&to.base, &read, &name), 0);
        assert_memory_equal(&to.states, &from.states, sizeof(to.states));
        snapshot_deinit(&s);
        snapshot_deinit(&saved);
}

/* Asking for it lets an INIT take effect on everything else; setting it is what makes the processor go on. */
static void test_the_activity_is_asked_for_first_and_set_last(void **state) {
        static VcpuStates states;
        const char *name;

        assert_int_equal(vcpu_states_get(&from.base, &states), 0);
        assert_int_equal(from.first_asked, VCPU_STATE_ACTIVITY);
        assert_int_equal(vcpu_states_set(&to.base, &states, &name), 0);
        assert_int_equal(to.last_set, VCPU_STATE_ACTIVITY);
}

static void test_an_element_that_the_processor_lacks_is_refused(void **state) {
        static VcpuStates states;
        const char *name;

        assert_int_equal(vcpu_states_get(&from.base, &states), 0);
        to.base.reset_info.has_xsave = false;
        assert_int_equal(vcpu_states_set(&to.base, &states, &name), -EINVAL);
        assert_non_null(strstr(name, "xcr"));
}

static void test_an_element_that_the_backend_refuses_is_named(void **state) {
        static VcpuStates states;
        const char *name;

        assert_int_equal(vcpu_states_get(&from.base, &states), 0);
        to.deny = VCPU_STATE_PAT;
        assert_int_equal(vcpu_states_set(&to.base, &states, &name), -EINVAL);
        assert_non_null(strstr(name, "pat"));
}

/* What restoring @states, in which something is wrong, has to say. */
static void refuses(VcpuStates *states, const char *why) {
        static VcpuStates read;
        Snapshot saved, s;

        snapshot_init_saving(&saved);
        vcpu_states_snapshot(states, 0, &saved);
        snapshot_init_restoring(&s, saved.bytes, saved.len);
        vcpu_states_snapshot(&read, 0, &s);
        assert_int_equal(s.error, -EBADMSG);
        if (!strstr(text_error_message(&s.text, s.error), why))
                fail_msg("%s", text_error_message(&s.text, s.error));
        snapshot_deinit(&s);
        snapshot_deinit(&saved);
}

static void test_states_that_no_processor_can_be_in_are_refused(void **state) {
        static VcpuStates good, bad;

        assert_int_equal(vcpu_states_get(&from.base, &good), 0);
#define REFUSES(change, why)                                                                       \
        bad = good;                                                                                \
        change;                                                                                    \
        refuses(&bad, why)
        REFUSES(bad.system_registers.cr0 = UINT64_C(0x80000000), "without protected mode");
        REFUSES(bad.system_registers.efer = 0x400, "long mode that was not entered");
        REFUSES(bad.system_registers.cr4 = UINT64_C(1) << 32, "bits that they do not have");
        REFUSES(bad.registers.rflags = UINT64_C(1) << 40, "flags that there are not");
        REFUSES(bad.registers.rip = UINT64_C(1) << 48, "not canonical");
        REFUSES(bad.virtual_msrs.lstar = UINT64_C(1) << 63, "not canonical");
        REFUSES(bad.system_registers.gs.base = UINT64_C(1) << 47, "not canonical");
        REFUSES(bad.system_registers.cs.attributes = 0xffff, "cs.attributes");
        REFUSES(bad.activity.run_state = (VcpuRunState) 9, "run_state is 9");
        REFUSES(bad.activity.exception_vector = 32, "exception_vector is 32");
        REFUSES(bad.debug_registers.dr7 = UINT64_C(1) << 32, "dr7");
#undef REFUSES
}

static void test_more_registers_than_there_can_be_are_refused(void **state) {
        static VcpuStates read;
        VcpuStates *states = &from.states;
        Snapshot saved, s;
        uint8_t *count;

        states->present = 1u << VCPU_STATE_OTHER_MSRS;
        snapshot_init_saving(&saved);
        vcpu_states_snapshot(states, 0, &saved);
        count = saved.bytes + saved.len - 2 * 12 - 4;
        assert_int_equal(count[0], 2);
        count[1] = 2; /* 514 */
        snapshot_init_restoring(&s, saved.bytes, saved.len);
        vcpu_states_snapshot(&read, 0, &s);
        assert_int_equal(s.error, -EBADMSG);
        snapshot_deinit(&s);
        snapshot_deinit(&saved);
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_processor_takes_over_all_of_another),
                TEST(test_the_activity_is_asked_for_first_and_set_last),
                TEST(test_an_element_that_the_processor_lacks_is_refused),
                TEST(test_an_element_that_the_backend_refuses_is_named),
                TEST(test_states_that_no_processor_can_be_in_are_refused),
                TEST(test_more_registers_than_there_can_be_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
