/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The last words of a thread that makes a call its filter does not allow. The kernel would tell the number, and only in
 * its log, so the filter sends SIGSYS instead, and this handler writes the name to standard error, where whoever runs VMs
 * finds it. It then dies of SIGSYS as if the kernel had killed it: it asks for SIGSYS's own action, which every filter
 * answers with the end of the process. That is also why the handler cannot be replaced by who broke in.
 */

#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "vmm/jail/jail_internal.h"

#define CALLS_MAX 512
#define NAME_MAX_BYTES 32
#define THREAD_NAME_BYTES 16

/* By number; resolved before, because a handler must not allocate. */
static char names[CALLS_MAX][NAME_MAX_BYTES];

static size_t append(char *line, size_t size, size_t len, const char *text) {
        while (*text && len < size)
                line[len++] = *text++;
        return len;
}

static const char *number_text(int number, char buf[static 12]) {
        char *p = buf + 11;
        unsigned n = (unsigned) number;

        *p = '\0';
        do
                *--p = (char) ('0' + n % 10);
        while ((n /= 10) > 0);
        return p;
}

static void on_violation(int signal, siginfo_t *info, void *context) {
        const int number = info->si_syscall;
        char line[160], digits[12], thread[THREAD_NAME_BYTES + 1] = {0};
        size_t n = 0;

        (void) prctl(PR_GET_NAME, thread);
        n = append(line, sizeof(line), n, "vivarium-vmm: seccomp: thread '");
        n = append(line, sizeof(line), n, thread);
        n = append(line, sizeof(line), n, "' may not call ");
        n = append(line, sizeof(line), n,
                   number >= 0 && number < CALLS_MAX && names[number][0] ? names[number]
                                                                         : "number");
        n = append(line, sizeof(line), n, " (");
        n = append(line, sizeof(line), n, number_text(number, digits));
        n = append(line, sizeof(line), n, ")\n");
        if (write(STDERR_FILENO, line, n) < 0) {
                /* Nobody reads it; the signal says the rest. */
        }
        (void) sigaction(SIGSYS, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
        (void) raise(SIGSYS); /* only if there was no filter after all: somebody sent us SIGSYS */
}

/** jail_violation_prepare() - tell names from now on; before the first filter. Return: 0 or negative errno. */
int jail_violation_prepare(void) {
        struct sigaction action = {.sa_sigaction = on_violation, .sa_flags = SA_SIGINFO};

        for (int i = 0; i < CALLS_MAX; i++) {
                char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, i);

                if (name)
                        (void) snprintf(names[i], sizeof(names[i]), "%s", name);
                free(name);
        }
        sigfillset(&action.sa_mask);
        return sigaction(SIGSYS, &action, NULL) < 0 ? -errno : 0;
}

/** jail_violation_unblock() - let the calling thread speak: blocked, SIGSYS would kill without a word */
int jail_violation_unblock(void) {
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGSYS);
        return -pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
