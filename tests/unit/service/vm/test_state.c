/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/vm/state.h"

static void test_only_the_documented_edges_exist(void **state) {
        for (VmState from = VM_NOT_STARTED; from < (VmState) VM_STATE_COUNT; from++)
                for (VmState to = VM_NOT_STARTED; to < (VmState) VM_STATE_COUNT; to++) {
                        bool expected =
                                (from == VM_NOT_STARTED && (to == VM_RUNNING || to == VM_FAILED)) ||
                                (from == VM_RUNNING && to == VM_DEAD);

                        assert_int_equal(vm_state_may_become(from, to), expected);
                }
}

static void test_final_states_have_no_edge(void **state) {
        assert_true(vm_state_is_final(VM_DEAD));
        assert_true(vm_state_is_final(VM_FAILED));
        assert_false(vm_state_is_final(VM_NOT_STARTED));
        assert_false(vm_state_is_final(VM_RUNNING));
        assert_string_equal(vm_state_to_string(VM_NOT_STARTED), "not-started");
        assert_string_equal(vm_payload_state_to_string(VM_PAYLOAD_HANGUP), "hangup");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_only_the_documented_edges_exist),
                cmocka_unit_test(test_final_states_have_no_edge),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
