/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "vmm/jail/jail_internal.h"

/*
 * Filters are made of their tables by libseccomp once, at the start, and kept as the kernel's own program: a thread that
 * takes its role makes one system call and needs neither memory nor time.
 */

static void release(scmp_filter_ctx *context) {
        if (*context)
                seccomp_release(*context);
}

/* In libseccomp's words; values known only at run time are filled in. */
static struct scmp_arg_cmp comparison(const JailRule *rule) {
        const unsigned arg = rule->arg;

        switch (rule->match) {
        case JAIL_IS:
                return SCMP_CMP64(arg, SCMP_CMP_EQ, rule->value);
        case JAIL_HAS:
                return SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, rule->value, rule->value);
        case JAIL_LACKS:
                return SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, rule->value, 0);
        case JAIL_IS_NOT:
                return SCMP_CMP64(arg, SCMP_CMP_NE, rule->value);
        case JAIL_IS_OWN_PID:
                return SCMP_CMP64(arg, SCMP_CMP_EQ, (uint64_t) getpid());
        case JAIL_ALWAYS:
        case JAIL_FAILS:
                break;
        }
        return (struct scmp_arg_cmp){0};
}

static int add_rule(scmp_filter_ctx context, const JailRule *rule) {
        const struct scmp_arg_cmp compare = comparison(rule);

        if (rule->match == JAIL_FAILS)
                return seccomp_rule_add_array(context, SCMP_ACT_ERRNO(rule->value), rule->number, 0,
                                              NULL);
        return seccomp_rule_add_array(context, SCMP_ACT_ALLOW, rule->number,
                                      rule->match == JAIL_ALWAYS ? 0 : 1, &compare);
}

/* The way of violation.c to end the process, and nobody else's to get hold of SIGSYS. */
static int add_end(scmp_filter_ctx context) {
        return seccomp_rule_add(context, SCMP_ACT_KILL_PROCESS, SCMP_SYS(rt_sigaction), 1,
                                SCMP_A0_64(SCMP_CMP_EQ, SIGSYS));
}

/* libseccomp 2.5 writes programs to descriptors alone. */
static int export(scmp_filter_ctx context, JailFilter *ret) {
        _cleanup_(fd_closep) int fd = memfd_create("seccomp", MFD_CLOEXEC);
        struct sock_filter *code;
        struct stat st;
        int r;

        if (fd < 0)
                return -errno;
        r = seccomp_export_bpf(context, fd);
        if (r < 0)
                return r;
        if (fstat(fd, &st) < 0)
                return -errno;
        code = malloc((size_t) st.st_size);
        if (!code)
                return -ENOMEM;
        r = fd_pread_all(fd, code, (size_t) st.st_size, 0);
        if (r < 0) {
                free(code);
                return r;
        }
        ret->program = (struct sock_fprog){
                .len = (unsigned short) ((size_t) st.st_size / sizeof(*code)),
                .filter = code,
        };
        return 0;
}

/**
 * jail_filter_compile() - the filter that allows what is in @tables
 * @log_failures: what is not is logged by the kernel, and allowed
 * @ret:          set on success only; release with jail_filter_deinit()
 *
 * Return: 0 or negative errno.
 */
int jail_filter_compile(const JailTable *tables, size_t n_tables, bool log_failures,
                        JailFilter *ret) {
        _cleanup_(release) scmp_filter_ctx context =
                seccomp_init(log_failures ? SCMP_ACT_LOG : SCMP_ACT_TRAP);
        int r;

        if (!context)
                return -ENOMEM;
        r = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
        if (r < 0)
                return r;
        /* KVM_RUN is the call that is made most; what has no condition, the kernel need not ask the filter about. */
        r = seccomp_syscall_priority(context, SCMP_SYS(ioctl), UINT8_MAX);
        if (r < 0)
                return r;
        for (size_t t = 0; t < n_tables; t++)
                for (size_t i = 0; i < tables[t].n_rules; i++) {
                        r = add_rule(context, &tables[t].rules[i]);
                        if (r < 0 && r != -EEXIST)
                                return r;
                }
        r = log_failures ? 0 : add_end(context);
        return r < 0 ? r : export(context, ret);
}

/**
 * jail_filter_install() - for the calling thread and those that it will make; no_new_privs is set
 *
 * Return: 0 or negative errno.
 */
int jail_filter_install(const JailFilter *filter) {
        /* The kernel's log tells of violations too, if it can be told so. */
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_LOG,
                    &filter->program) == 0)
                return 0;
        /* A filter around us may not know seccomp(2) but what was before it. */
        return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter->program) < 0 ? -errno : 0;
}

/** jail_filter_deinit() - release what jail_filter_compile() made */
void jail_filter_deinit(JailFilter *filter) {
        free(filter->program.filter);
        *filter = (JailFilter){0};
}
