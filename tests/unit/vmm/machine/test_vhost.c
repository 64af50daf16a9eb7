/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/text_error.h"
#include "vmm/machine/machine_internal.h"

#define MISSING "/nonexistent/vhost"

static void written(void *userdata, gpa_t gpa, uint64_t len) {
}

/* How far a machine comes that wants a device of the kernel's. */
static int open_with(bool watched, bool foreign_writers) {
        _cleanup_(guest_mem_freep) GuestMem *mem = NULL;
        _cleanup_(text_error_deinit) TextError error = {0};
        Machine machine = {.foreign_writers = foreign_writers};
        Vhost *vhost = NULL;
        int r;

        assert_int_equal(guest_mem_new(UINT64_C(1) << 20, &mem), 0);
        machine.mem = mem;
        if (watched)
                guest_mem_watch(mem, written, NULL);
        r = machine_open_vhost(&machine, MISSING, &vhost, &error);
        assert_null(vhost);
        assert_non_null(strstr(error.message,
                               r == -EOPNOTSUPP ? "started without a device of vhost" : MISSING));
        return r;
}

static void test_a_processor_that_watches_memory_must_know_of_the_kernels_writes(void **state) {
        assert_int_equal(open_with(true, false), -EOPNOTSUPP);
        assert_int_equal(open_with(true, true), -ENOENT);
        assert_int_equal(open_with(false, false), -ENOENT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(
                        test_a_processor_that_watches_memory_must_know_of_the_kernels_writes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
