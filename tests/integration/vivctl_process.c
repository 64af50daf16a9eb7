/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/integration/vivctl_process.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "tests/integration/bus_host.h"

#define OUTPUT_BYTES_MAX (1u << 20)
#define ARGUMENTS_MAX 32u

void vivctl_result_deinit(VivctlResult *result) {
        free(result->out);
        free(result->err);
}

/**
 * vivctl_start() - start vivctl of this build
 * @address: of the bus; NULL if @arguments say which
 * @in: becomes its standard input; borrowed; negative for /dev/null
 */
Vivctl vivctl_start(const char *address, int in, const char *const *arguments) {
        char program[PATH_MAX], option[300];
        const char *argv[ARGUMENTS_MAX] = {program};
        const char *build = getenv("VIVARIUM_BUILD");
        int out[2], err[2];
        Vivctl vivctl;
        size_t n = 1;

        assert_non_null(build);
        (void) snprintf(program, sizeof(program), "%s/vivctl", build);
        if (address) {
                (void) snprintf(option, sizeof(option), "--address=%s", address);
                argv[n++] = option;
        }
        for (size_t i = 0; arguments[i]; i++)
                argv[n++] = arguments[i];
        assert_true(n < ARGUMENTS_MAX);
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        assert_int_equal(pipe2(err, O_CLOEXEC), 0);
        vivctl = (Vivctl){.pid = fork(), .out = out[0], .err = err[0]};
        if (vivctl.pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (in < 0)
                        in = open("/dev/null", O_RDONLY);
                if (dup2(in, 0) < 0 || dup2(out[1], 1) < 0 || dup2(err[1], 2) < 0)
                        _exit(126);
                execv(program, (char *const *) (uintptr_t) argv);
                _exit(127);
        }
        assert_true(vivctl.pid > 0);
        (void) fd_close(out[1]);
        (void) fd_close(err[1]);
        return vivctl;
}

/** vivctl_await() - read standard error into @err until @text was seen in it */
void vivctl_await(const Vivctl *vivctl, StrBuf *err, const char *text) {
        while (!err->data || !strstr(err->data, text)) {
                struct pollfd p = {.fd = vivctl->err, .events = POLLIN};
                char chunk[512];
                ssize_t n;

                assert_int_equal(poll(&p, 1, HOST_TIMEOUT_USEC / 1000), 1);
                n = read(vivctl->err, chunk, sizeof(chunk));
                if (n <= 0)
                        fail_msg("\"%s\" did not come, but: %s", text, err->data ? err->data : "");
                strbuf_append_bytes(err, chunk, (size_t) n);
        }
}

/** vivctl_finish() - wait for its end and collect what was not read yet; release with vivctl_result_deinit() */
VivctlResult vivctl_finish(const Vivctl *vivctl) {
        VivctlResult result = {0};
        int status;

        assert_int_equal(fd_read_bounded(vivctl->out, OUTPUT_BYTES_MAX, &result.out, NULL), 0);
        assert_int_equal(fd_read_bounded(vivctl->err, OUTPUT_BYTES_MAX, &result.err, NULL), 0);
        assert_int_equal(waitpid(vivctl->pid, &status, 0), vivctl->pid);
        result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        (void) fd_close(vivctl->out);
        (void) fd_close(vivctl->err);
        return result;
}

/** vivctl_run() - start it and wait for its end */
VivctlResult vivctl_run(const char *address, const char *const *arguments) {
        Vivctl vivctl = vivctl_start(address, -1, arguments);

        return vivctl_finish(&vivctl);
}

/** vivctl_expect() - fail the test with all that was said unless it is as expected; NULL is anything */
void vivctl_expect(const VivctlResult *result, int status, const char *out, const char *err) {
        if (result->status != status || (out && strcmp(result->out, out) != 0) ||
            (err && strcmp(result->err, err) != 0))
                fail_msg("status %d, standard output:\n%s\nstandard error:\n%s", result->status,
                         result->out, result->err);
}
