/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Runs a VMM until its guest prints a word, and says how long that took and what the VMM then cost.
 *
 * usage: bench_run SECONDS WORD PROGRAM ARGUMENT...
 *
 * The program's standard output is the guest's console. One line is printed: milliseconds from before fork to the word,
 * resident KiB of the program without shared memory, which is the guest's RAM in every VMM, but with our software processor's
 * translated code, which is shared between two mappings. Then the program is killed. A program that does not get there in
 * SECONDS is killed too, and is an error.
 */

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/str.h"

enum { WINDOW_BYTES = 64 * 1024 };

/* Reads until @word was seen. Return: 0; -ENODATA at the end of the stream; -ETIMEDOUT. */
static int wait_for_word(int fd, const char *word, usec_t deadline) {
        static char window[WINDOW_BYTES];
        size_t fill = 0, length = strlen(word);

        for (;;) {
                struct pollfd readable = {.fd = fd, .events = POLLIN};
                usec_t now = clock_monotonic_usec();
                ssize_t n;

                if (now >= deadline)
                        return -ETIMEDOUT;
                if (poll(&readable, 1, (int) ((deadline - now) / USEC_PER_MSEC + 1)) <= 0)
                        continue;
                n = read(fd, window + fill, sizeof(window) - fill);
                if (n <= 0)
                        return n < 0 ? -errno : -ENODATA;
                fill += (size_t) n;
                if (memmem(window, fill, word, length))
                        return 0;
                if (fill == sizeof(window)) {
                        /* the word may be cut in two */
                        memmove(window, window + fill - length, length);
                        fill = length;
                }
        }
}

static uint64_t field_kib(const char *status, const char *name) {
        const char *at = strstr(status, name);
        uint64_t value;

        return at && sscanf(at + strlen(name), " %" SCNu64, &value) == 1 ? value : 0;
}

DEFINE_CLEANUP(FILE *, fclose)

/* Our software processor's code: each mapping has its part of what both share. Return: 0, or negative errno. */
static int code_memory_kib(pid_t pid, uint64_t *ret) {
        _cleanup_(fclosep) FILE *maps = NULL;
        char path[64], line[512];
        uint64_t part, sum = 0;
        bool is_code = false;

        (void) snprintf(path, sizeof(path), "/proc/%d/smaps", (int) pid);
        maps = fopen(path, "re");
        if (!maps)
                return -errno;
        while (fgets(line, sizeof(line), maps)) {
                if (isdigit((unsigned char) line[0]) || islower((unsigned char) line[0]))
                        is_code = strstr(line, "/memfd:vivarium-");
                if (is_code && sscanf(line, "Pss: %" SCNu64, &part) == 1)
                        sum += part;
        }
        *ret = sum;
        return 0;
}

/* Return: 0, or negative errno. */
static int own_memory_kib(pid_t pid, uint64_t *ret) {
        _cleanup_(fd_closep) int fd = -EBADF;
        char path[64], text[8192];
        uint64_t code = 0;
        ssize_t n;
        int r;

        (void) snprintf(path, sizeof(path), "/proc/%d/status", (int) pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        n = read(fd, text, sizeof(text) - 1);
        if (n < 0)
                return -errno;
        text[n] = 0;
        r = code_memory_kib(pid, &code);
        if (r < 0)
                return r;
        *ret = field_kib(text, "VmRSS:") - field_kib(text, "RssShmem:") + code;
        return 0;
}

static void run_program(char **argv, int out) {
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

        if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
                _exit(126);
        (void) execvp(argv[0], argv);
        _exit(127);
}

int main(int argc, char **argv) {
        uint64_t start, end, seconds, kib = 0;
        int pipes[2], status, r;
        pid_t pid;

        if (argc < 4 || parse_u64(argv[1], &seconds) < 0 || seconds > 3600) {
                (void) fprintf(stderr, "usage: %s SECONDS WORD PROGRAM ARGUMENT...\n", argv[0]);
                return EXIT_FAILURE;
        }
        if (pipe2(pipes, O_CLOEXEC) < 0)
                return EXIT_FAILURE;
        start = clock_monotonic_usec();
        pid = fork();
        if (pid < 0)
                return EXIT_FAILURE;
        if (pid == 0)
                run_program(argv + 3, pipes[1]);
        pipes[1] = fd_close(pipes[1]);
        r = wait_for_word(pipes[0], argv[2], start + seconds * USEC_PER_SEC);
        end = clock_monotonic_usec();
        if (r >= 0)
                r = own_memory_kib(pid, &kib);
        (void) kill(pid, SIGKILL);
        (void) waitpid(pid, &status, 0);
        pipes[0] = fd_close(pipes[0]);
        if (r < 0) {
                (void) fprintf(stderr, "%s: %s\n", argv[3], strerror(-r));
                return EXIT_FAILURE;
        }
        (void) printf("%" PRIu64 ".%03" PRIu64 " %" PRIu64 "\n", (end - start) / 1000,
                      (end - start) % 1000, kib);
        return EXIT_SUCCESS;
}
