/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "service/share/share_sockets.h"

static void test_both_ends_are_there_and_no_name(void **state) {
        char dir[] = "/tmp/vivarium-share-XXXXXX", byte = 'x';
        _cleanup_(vm_config_deinit) VmConfig config = {0};
        ShareSockets sockets = {0};
        _cleanup_(fd_closep) int peer = -EBADF;

        assert_non_null(mkdtemp(dir));
        assert_int_equal(vm_config_parse("{\"kernel\":\"fd:k\",\"shared_paths\":["
                                         "{\"tag\":\"a\",\"path\":\"fd:a\"},"
                                         "{\"tag\":\"b\",\"socket\":\"fd:b\"},"
                                         "{\"tag\":\"c\",\"path\":\"fd:c\"}]}",
                                         &config, NULL),
                         0);
        assert_int_equal(share_sockets_make(dir, &config, &sockets), 0);
        assert_int_equal(sockets.n, 3);
        assert_int_equal(sockets.items[1].listen, -EBADF);
        assert_int_equal(sockets.items[1].connect, -EBADF);
        peer = accept(sockets.items[2].listen, NULL, NULL);
        assert_true(peer >= 0);
        assert_int_equal(write(sockets.items[2].connect, &byte, 1), 1);
        assert_int_equal(read(peer, &byte, 1), 1);
        /* Empty, or this would fail. */
        assert_int_equal(rmdir(dir), 0);
        share_sockets_close(&sockets);
        assert_int_equal(sockets.n, 0);
}

static void test_without_shares_no_directory_is_needed(void **state) {
        VmConfig config = {0};
        ShareSockets sockets = {0};

        assert_int_equal(share_sockets_make("/nonexistent", &config, &sockets), 0);
        assert_int_equal(sockets.n, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_both_ends_are_there_and_no_name),
                cmocka_unit_test(test_without_shares_no_directory_is_needed),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
