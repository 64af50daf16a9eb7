/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "vmm/block/aio.h"

/* Return: the descriptor of a ring of this process, or -ENOENT. */
static int find_ring(void) {
        DIR *dir = opendir("/proc/self/fd");
        const struct dirent *entry;
        int found = -ENOENT;

        assert_non_null(dir);
        while (found < 0 && (entry = readdir(dir))) {
                char text[64];
                int fd = atoi(entry->d_name);

                if (fd_describe(fd, text, sizeof(text)) >= 0 && strstr(text, "[io_uring]"))
                        found = fd;
        }
        (void) closedir(dir);
        return found;
}

/* Who broke in could otherwise give it buffers, files and, by them, operations that no filter of system calls sees. */
static void test_a_ring_that_runs_takes_no_registration(void **state) {
        _cleanup_(loop_freep) Loop *loop = NULL;
        Aio *aio;
        int event_fd, r;

        assert_int_equal(loop_new(&loop), 0);
        r = aio_uring_new(loop, &aio);
        if (r < 0) {
                print_message("no io_uring for us (%s), skipping\n", strerror(-r));
                skip();
        }
        event_fd = eventfd(0, EFD_CLOEXEC);
        assert_int_equal(
                syscall(SYS_io_uring_register, find_ring(), IORING_REGISTER_FILES, &event_fd, 1),
                -1);
        assert_int_equal(errno, EACCES);
        (void) close(event_fd);
        aio_unref(aio);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_ring_that_runs_takes_no_registration),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
