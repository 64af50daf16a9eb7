/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "config/hypervisor_probe.h"

static void test_what_is_printed_is_read_back(void **state) {
        HypervisorProbe in = {.hypervisor = VMM_HYPERVISOR_KVM, .reason = "no /dev/kvm: gone"}, out;
        _cleanup_(freep) char *text = NULL;
        size_t len;
        FILE *file = open_memstream(&text, &len);

        assert_non_null(file);
        assert_int_equal(hypervisor_probe_print(file, &in), 0);
        assert_int_equal(fclose(file), 0);
        assert_string_equal(text, "kvm no no /dev/kvm: gone\n");
        assert_int_equal(hypervisor_probe_parse(text, &out), 0);
        assert_int_equal(out.hypervisor, VMM_HYPERVISOR_KVM);
        assert_false(out.available);
        assert_string_equal(out.reason, in.reason);
}

static void test_other_lines_are_refused(void **state) {
        const char *const lines[] = {"",         "\n",           "kvm",
                                     "kvm yes",  "kvm maybe x",  "auto yes x",
                                     "kvmyes x", "xen yes good", " kvm yes x"};
        HypervisorProbe out = {.reason = "kept"};

        for (size_t i = 0; i < ELEMENTSOF(lines); i++)
                assert_int_equal(hypervisor_probe_parse(lines[i], &out), -EBADMSG);
        assert_string_equal(out.reason, "kept");
}

static void test_a_long_reason_is_cut(void **state) {
        char line[1024] = "soft yes ";
        HypervisorProbe out;

        memset(line + strlen(line), 'x', sizeof(line) - strlen(line) - 1);
        assert_int_equal(hypervisor_probe_parse(line, &out), 0);
        assert_true(out.available);
        assert_int_equal(strlen(out.reason), sizeof(out.reason) - 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_is_printed_is_read_back),
                cmocka_unit_test(test_other_lines_are_refused),
                cmocka_unit_test(test_a_long_reason_is_cut),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
