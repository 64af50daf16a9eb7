/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#include <cmocka.h>
#include <seccomp.h>

#include "base/cleanup.h"
#include "vmm/jail/rules.h"

typedef void (*RuleFn)(const JailRule *rule);

static void for_each_rule(RuleFn fn) {
        for (unsigned role = 0; role < JAIL_ROLES; role++) {
                const JailRuleSet *set = jail_role_rules((JailRole) role);

                for (size_t t = 0; t < set->n_tables; t++)
                        for (size_t i = 0; i < set->tables[t].n_rules; i++)
                                fn(&set->tables[t].rules[i]);
        }
}

static int compare(const JailRule *a, const JailRule *b) {
        int order = strcmp(a->name, b->name);

        return order != 0 ? order : strcmp(a->value_name ?: "", b->value_name ?: "");
}

static void test_every_table_is_sorted_and_says_nothing_twice(void **state) {
        for (unsigned role = 0; role < JAIL_ROLES; role++) {
                const JailRuleSet *set = jail_role_rules((JailRole) role);

                for (size_t t = 0; t < set->n_tables; t++)
                        for (size_t i = 1; i < set->tables[t].n_rules; i++) {
                                const JailRule *rule = &set->tables[t].rules[i];

                                if (compare(rule - 1, rule) >= 0)
                                        fail_msg("role %u, table %zu: %s comes too late", role, t,
                                                 rule->name);
                        }
        }
}

static void check_number(const JailRule *rule) {
        assert_int_equal(seccomp_syscall_resolve_name(rule->name), rule->number);
}

static void test_every_name_is_that_of_its_number(void **state) {
        for_each_rule(check_number);
}

/* What would undo the sandbox if any role were allowed it. */
static void check_harmless(const JailRule *rule) {
        static const int never[] = {SYS_execve,
                                    SYS_execveat,
                                    SYS_fork,
                                    SYS_vfork,
                                    SYS_kill,
                                    SYS_ptrace,
                                    SYS_open,
                                    SYS_openat2,
                                    SYS_mount,
                                    SYS_setns,
                                    SYS_unshare,
                                    SYS_bind,
                                    SYS_capset,
                                    SYS_pidfd_open,
                                    SYS_prlimit64,
                                    SYS_setrlimit,
                                    SYS_pidfd_getfd,
                                    SYS_io_uring_register,
                                    SYS_process_vm_writev};

        for (size_t i = 0; i < ELEMENTSOF(never); i++)
                if (rule->number == never[i])
                        fail_msg("%s is allowed", rule->name);
}

static void test_nothing_that_undoes_the_sandbox_is_allowed(void **state) {
        for_each_rule(check_harmless);
}

/* Calls of which only one use is ours. */
static void check_conditions(const JailRule *rule) {
        static const int limited[] = {SYS_ioctl,      SYS_fcntl,
                                      SYS_prctl,      SYS_mmap,
                                      SYS_mprotect,   SYS_clone,
                                      SYS_clone3,     SYS_socket,
                                      SYS_tgkill,     SYS_rt_sigaction,
                                      SYS_openat,     SYS_setsockopt,
                                      SYS_getsockopt, SYS_pidfd_send_signal};

        for (size_t i = 0; i < ELEMENTSOF(limited); i++)
                if (rule->number == limited[i] && rule->match == JAIL_ALWAYS)
                        fail_msg("%s is allowed for every purpose", rule->name);
}

static void test_calls_of_many_purposes_are_allowed_for_ours_alone(void **state) {
        for_each_rule(check_conditions);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_table_is_sorted_and_says_nothing_twice),
                cmocka_unit_test(test_every_name_is_that_of_its_number),
                cmocka_unit_test(test_nothing_that_undoes_the_sandbox_is_allowed),
                cmocka_unit_test(test_calls_of_many_purposes_are_allowed_for_ours_alone),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
