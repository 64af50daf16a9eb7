/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "vmm/net/net.h"

#define FRAME 60000u
#define PREFIX 4u

/* A helper that reads nothing before it is told to, and then says how much there was. */
static const char helper[] = "#!/bin/sh\n"
                             "echo \"$*\" >arguments\n"
                             "read go <go\n"
                             "dd iflag=nonblock bs=4096 <&3 2>/dev/null | wc -c >count\n"
                             "exec sleep 1000\n";

typedef struct Fixture {
        char dir[32];
        char *path; /* owned, as it was before */
        Loop *loop;
        NetDev *net;
} Fixture;

static char loopback[] = "127.0.0.1";

static int setup(void **state) {
        _cleanup_(fd_closep) int fd = -EBADF;
        Fixture *f = calloc(1, sizeof(*f));
        _cleanup_(freep) char *path = NULL;
        TextError error = {0};
        VmmForward forwards[] = {
                {.host_port = 8080, .guest_port = 80},
                {.udp = true, .address = loopback, .host_port = 53, .guest_port = 5353}};
        const VmmNet config = {.forwards = forwards, .n_forwards = ELEMENTSOF(forwards)};

        assert_non_null(f);
        strcpy(f->dir, "/tmp/test_user.XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        assert_int_equal(chdir(f->dir), 0);
        assert_int_equal(mkfifo("go", 0600), 0);
        assert_int_equal(mkfifo("count", 0600), 0);
        fd = open("passt", O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
        assert_int_equal(write(fd, helper, sizeof(helper) - 1), sizeof(helper) - 1);
        fd = fd_close(fd); /* what is open for writing cannot be run */
        f->path = strdup(getenv("PATH"));
        assert_true(asprintf(&path, "%s:%s", f->dir, f->path) > 0);
        assert_int_equal(setenv("PATH", path, 1), 0);
        assert_int_equal(loop_new(&f->loop), 0);
        assert_int_equal(net_user_new(&config, f->loop, &f->net, &error), 0);
        assert_int_equal(setenv("PATH", f->path, 1), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        static const char *const files[] = {"go", "count", "arguments", "passt"};
        Fixture *f = *state;

        net_free(f->net);
        loop_free(f->loop);
        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
                (void) unlink(files[i]);
        assert_int_equal(chdir("/"), 0);
        (void) rmdir(f->dir);
        free(f->path);
        free(f);
        return 0;
}

static uint64_t bytes_at_the_helper(void) {
        char text[32] = "";
        int fd = open("go", O_WRONLY | O_CLOEXEC);

        assert_int_equal(write(fd, "\n", 1), 1);
        (void) fd_close(fd);
        fd = open("count", O_RDONLY | O_CLOEXEC);
        assert_true(read(fd, text, sizeof(text) - 1) > 0);
        (void) fd_close(fd);
        return strtoull(text, NULL, 10);
}

static void test_a_helper_that_falls_behind_finds_whole_frames(void **state) {
        static uint8_t frame[NET_HEADER_LEN + FRAME];
        const struct iovec iov = {frame, sizeof(frame)};
        Fixture *f = *state;
        uint64_t n = 0;
        int r;

        while ((r = f->net->ops->send(f->net, 0, &iov, 1)) == 0)
                n++;
        assert_int_equal(r, -EAGAIN);
        assert_true(n > 0);
        assert_int_equal(bytes_at_the_helper(), n * (PREFIX + FRAME));
}

static void test_the_helper_is_told_of_forwards_and_kept_from_the_hosts_loopback(void **state) {
        _cleanup_(fd_closep) int fd = -EBADF;
        char text[256] = "";

        (void) bytes_at_the_helper(); /* it has written its arguments by then */
        fd = open("arguments", O_RDONLY | O_CLOEXEC);
        assert_true(read(fd, text, sizeof(text) - 1) > 0);
        assert_string_equal(text, "--foreground --quiet --no-map-gw --mtu=65520 --fd=3 "
                                  "--tcp-ports 8080:80 --udp-ports 127.0.0.1/53:5353\n");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_a_helper_that_falls_behind_finds_whole_frames,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(
                        test_the_helper_is_told_of_forwards_and_kept_from_the_hosts_loopback, setup,
                        teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
