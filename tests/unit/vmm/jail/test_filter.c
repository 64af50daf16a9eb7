/* SPDX-License-Identifier: Apache-2.0 */

/* Filters as the kernel sees them: each test makes a process, takes one there and does something. */

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/jail/jail_internal.h"

#define TEXT_MAX 512u
#define RULES_MAX 256u

typedef struct Outcome {
        int status;          /* of waitpid() */
        char text[TEXT_MAX]; /* what was written to standard error */
} Outcome;

typedef void (*Act)(void);

/* The rules of @role less those for the call @without, or the one rule @less. */
static void take_filter_less(JailRole role, const char *without, const JailRule *less,
                             bool log_failures) {
        const JailRuleSet *set = jail_role_rules(role);
        JailRule rules[RULES_MAX];
        JailTable table = {.rules = rules};
        JailFilter filter;

        for (size_t t = 0; t < set->n_tables; t++)
                for (size_t i = 0; i < set->tables[t].n_rules; i++) {
                        const JailRule *rule = &set->tables[t].rules[i];

                        if (rule != less && (!without || strcmp(rule->name, without) != 0))
                                rules[table.n_rules++] = *rule;
                }
        if (jail_filter_compile(&table, 1, log_failures, &filter) < 0 ||
            jail_violation_prepare() < 0 || jail_violation_unblock() < 0 ||
            prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || jail_filter_install(&filter) < 0)
                _exit(99);
}

static void take_filter(JailRole role, const char *without, bool log_failures) {
        take_filter_less(role, without, NULL, log_failures);
}

static Outcome run(JailRole role, const char *without, bool log_failures, Act act) {
        Outcome outcome = {0};
        size_t len = 0;
        ssize_t n;
        int fds[2];
        pid_t pid;

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void) dup2(fds[1], STDERR_FILENO);
                (void) prctl(PR_SET_DUMPABLE, 0);
                take_filter(role, without, log_failures);
                act();
                _exit(0);
        }
        (void) close(fds[1]);
        while (len < TEXT_MAX - 1 && (n = read(fds[0], outcome.text + len, TEXT_MAX - 1 - len)) > 0)
                len += (size_t) n;
        (void) close(fds[0]);
        assert_int_equal(waitpid(pid, &outcome.status, 0), pid);
        return outcome;
}

static void assert_killed(const Outcome *outcome, const char *words) {
        assert_true(WIFSIGNALED(outcome->status));
        assert_int_equal(WTERMSIG(outcome->status), SIGSYS);
        if (!strstr(outcome->text, words))
                fail_msg("'%s' does not tell '%s'", outcome->text, words);
}

static void assert_done(const Outcome *outcome) {
        assert_string_equal(outcome->text, "");
        assert_true(WIFEXITED(outcome->status));
        assert_int_equal(WEXITSTATUS(outcome->status), 0);
}

static void draw_random(void) {
        char byte;

        if (getrandom(&byte, 1, 0) != 1)
                _exit(1);
}

static void test_a_rule_that_is_missing_is_noticed_and_named(void **state) {
        for (unsigned role = 0; role < JAIL_ROLES; role++) {
                const Outcome with = run((JailRole) role, NULL, false, draw_random);
                const Outcome without = run((JailRole) role, "getrandom", false, draw_random);

                assert_done(&with);
                assert_killed(&without, "' may not call getrandom (318)\n");
        }
}

/* Makes the call of @rule as the rule allows it, with arguments that are of no use otherwise. */
static void make_call(const JailRule *rule) {
        long args[6] = {-1, -1, -1, -1, -1, -1};

        switch (rule->match) {
        case JAIL_IS:
        case JAIL_HAS:
                args[rule->arg] = (long) rule->value;
                break;
        case JAIL_IS_NOT:
                args[rule->arg] = (long) rule->value + 1;
                break;
        case JAIL_LACKS:
                args[rule->arg] = 0;
                break;
        case JAIL_IS_OWN_PID:
                args[rule->arg] = getpid();
                break;
        case JAIL_ALWAYS:
        case JAIL_FAILS:
                break;
        }
        (void) syscall(rule->number, args[0], args[1], args[2], args[3], args[4], args[5]);
}

/* Return: whether a process with the filter of @role, less @less, is killed by it for the call of @rule. */
static bool is_killed(JailRole role, const JailRule *rule, const JailRule *less) {
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                (void) close(STDERR_FILENO);
                (void) prctl(PR_SET_DUMPABLE, 0);
                take_filter_less(role, NULL, less, false);
                make_call(rule);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

/* Tables that roles share are looked at once. */
static void test_every_rule_is_what_allows_its_call(void **state) {
        static const JailRole roles[] = {JAIL_LOOP, JAIL_VCPU_KVM, JAIL_DISK, JAIL_SWAP};
        const JailRule *seen[16];
        size_t n_seen = 0;

        for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
                const JailRuleSet *set = jail_role_rules(roles[i]);

                for (size_t t = 0; t < set->n_tables; t++) {
                        const JailTable *table = &set->tables[t];
                        bool again = false;

                        for (size_t n = 0; n < n_seen; n++)
                                again |= seen[n] == table->rules;
                        for (size_t n = 0; n < table->n_rules && !again; n++) {
                                const JailRule *rule = &table->rules[n];

                                if (is_killed(roles[i], rule, NULL))
                                        fail_msg("%s %s is not allowed", rule->name,
                                                 rule->value_name ?: "");
                                if (!is_killed(roles[i], rule, rule))
                                        fail_msg("%s %s needs no rule", rule->name,
                                                 rule->value_name ?: "");
                        }
                        seen[n_seen++] = table->rules;
                }
        }
}

static void *draw_in_thread(void *userdata) {
        (void) prctl(PR_SET_NAME, "a worker");
        draw_random();
        return NULL;
}

/* Threads of the VMM block all signals; the name is told all the same, and all threads end. */
static void draw_in_a_thread(void) {
        pthread_t thread;

        if (pthread_create(&thread, NULL, draw_in_thread, NULL) != 0)
                _exit(1);
        (void) pthread_join(thread, NULL);
}

static void test_a_thread_takes_the_process_with_it(void **state) {
        const Outcome with = run(JAIL_LOOP, NULL, false, draw_in_a_thread);
        const Outcome without = run(JAIL_LOOP, "getrandom", false, draw_in_a_thread);

        assert_done(&with);
        assert_killed(&without, "thread 'a worker' may not call getrandom");
}

static void open_a_file(void) {
        if (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
                _exit(1);
}

static void test_files_are_refused_to_the_loop_and_deadly_to_vcpus(void **state) {
        const Outcome loop = run(JAIL_LOOP, NULL, false, open_a_file);
        const Outcome soft = run(JAIL_VCPU_SOFT, NULL, false, open_a_file);
        const Outcome kvm = run(JAIL_VCPU_KVM, NULL, false, open_a_file);
        const Outcome disk = run(JAIL_DISK, NULL, false, open_a_file);

        assert_done(&loop);
        assert_killed(&soft, "may not call openat");
        assert_killed(&kvm, "may not call openat");
        assert_killed(&disk, "may not call openat");
}

static void execute(void) {
        char *argv[] = {NULL};

        (void) execve("/bin/true", argv, argv);
}

static void make_process(void) {
        (void) syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static void signal_another(void) {
        (void) syscall(SYS_tgkill, 1, 1, 0);
}

static void map_code(void) {
        (void) mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void make_internet_socket(void) {
        (void) socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void make_ring(void) {
        (void) syscall(SYS_io_uring_register, -1, 0, NULL, 0);
}

static void inject_input(void) {
        (void) syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x");
}

static void take_peer(void) {
        (void) syscall(SYS_getsockopt, 0, SOL_SOCKET, 77 /* SO_PEERPIDFD */, NULL, NULL);
}

static void ask_for_pidfds(void) {
        int on = 1;

        (void) setsockopt(0, SOL_SOCKET, 76 /* SO_PASSPIDFD */, &on, sizeof(on));
}

static void stop_by_pidfd(void) {
        (void) syscall(SYS_pidfd_send_signal, 0, SIGSTOP, NULL, 0);
}

static void test_what_an_intruder_would_do_ends_the_process(void **state) {
        static const struct {
                Act act;
                const char *words;
        } acts[] = {
                {execute, "may not call execve"},
                {make_process, "may not call clone"},
                {signal_another, "may not call tgkill"},
                {map_code, "may not call mmap"},
                {make_internet_socket, "may not call socket"},
                {make_ring, "may not call io_uring_register"},
                {inject_input, "may not call ioctl"},
                {take_peer, "may not call getsockopt"},
                {ask_for_pidfds, "may not call setsockopt"},
                {stop_by_pidfd, "may not call pidfd_send_signal"},
        };

        for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
                const Outcome outcome = run(JAIL_LOOP, NULL, false, acts[i].act);

                assert_killed(&outcome, acts[i].words);
        }
}

static void survive(int signal) {
}

static void replace_handler_and_execute(void) {
        (void) signal(SIGSYS, survive);
        execute();
}

static void test_who_broke_in_cannot_catch_the_signal(void **state) {
        const Outcome outcome = run(JAIL_LOOP, NULL, false, replace_handler_and_execute);

        assert_true(WIFSIGNALED(outcome.status));
        assert_int_equal(WTERMSIG(outcome.status), SIGSYS);
}

static void test_with_log_failures_it_is_done_all_the_same(void **state) {
        const Outcome outcome = run(JAIL_LOOP, "getrandom", true, draw_random);

        assert_done(&outcome);
}

int main(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
        print_message("SKIP test_filter: a sanitizer's own system calls are in no filter\n");
        return 0;
#endif
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_rule_that_is_missing_is_noticed_and_named),
                cmocka_unit_test(test_every_rule_is_what_allows_its_call),
                cmocka_unit_test(test_a_thread_takes_the_process_with_it),
                cmocka_unit_test(test_files_are_refused_to_the_loop_and_deadly_to_vcpus),
                cmocka_unit_test(test_what_an_intruder_would_do_ends_the_process),
                cmocka_unit_test(test_who_broke_in_cannot_catch_the_signal),
                cmocka_unit_test(test_with_log_failures_it_is_done_all_the_same),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
