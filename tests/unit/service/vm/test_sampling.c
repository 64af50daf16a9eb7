/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/proc_stat.h"
#include "service/vm/internal.h"

/* A wait for what must come; only a test that failed sees its end. */
#define PATIENCE_USEC (60 * USEC_PER_SEC)

typedef struct Fixture {
        VmEnv env;
        pid_t pid;
        unsigned n_changed;
} Fixture;

static void on_changed(void *userdata, Vm *vm, unsigned changes) {
        Fixture *fixture = userdata;

        assert_int_equal(changes, VM_CHANGED_USAGE);
        fixture->n_changed++;
}

static int set_up(void **state) {
        Fixture *fixture = calloc(1, sizeof(*fixture));
        sd_event *event = NULL;

        assert_non_null(fixture);
        assert_true(sd_event_new(&event) >= 0);
        fixture->env = (VmEnv){.event = event, .changed = on_changed, .userdata = fixture};
        assert_int_equal(sample_round_new(event, &fixture->env.round), 0);
        fixture->pid = fork();
        assert_true(fixture->pid >= 0);
        if (fixture->pid == 0) {
                (void) raise(SIGSTOP);
                _exit(0);
        }
        assert_int_equal(waitpid(fixture->pid, NULL, WUNTRACED), fixture->pid);
        *state = fixture;
        return 0;
}

static int tear_down(void **state) {
        Fixture *fixture = *state;

        assert_int_equal(kill(fixture->pid, SIGKILL), 0);
        assert_int_equal(waitpid(fixture->pid, NULL, 0), fixture->pid);
        (void) sample_round_free(fixture->env.round);
        (void) sd_event_unref(fixture->env.event);
        free(fixture);
        return 0;
}

static void begin(Fixture *fixture, Vm *vm, usec_t age_usec) {
        static char name[] = "sampled";
        uint64_t start_time;

        *vm = (Vm){.env = &fixture->env,
                   .info = {.name = name,
                            .started_monotonic_usec = clock_monotonic_usec() - age_usec}};
        assert_int_equal(proc_stat_read(fixture->pid, PROC_STAT_START_TIME, &start_time), 0);
        assert_int_equal(process_attach(fixture->pid, start_time, -EBADF, &vm->vmm), 0);
        vm_start_sampling(vm);
}

static void end(Vm *vm) {
        vm_stop_sampling(vm);
        (void) process_leave(vm->vmm);
}

/* Whether a sample of @vm was taken; nothing else is in the loop. */
static bool turn_until_sampled(Fixture *fixture, Vm *vm) {
        const usec_t before = vm->info.usage.sampled_usec;
        int r = 1;

        while (r > 0 && vm->info.usage.sampled_usec == before)
                r = sd_event_run(fixture->env.event, PATIENCE_USEC);
        return vm->info.usage.sampled_usec != before;
}

static void test_a_young_vm_has_a_timer_of_its_own(void **state) {
        Fixture *fixture = *state;
        Vm vm;

        begin(fixture, &vm, 0);
        assert_true(turn_until_sampled(fixture, &vm));
        assert_int_equal(fixture->n_changed, 1);
        assert_false(vm.in_round);
        assert_non_null(vm.sampler);
        assert_true(turn_until_sampled(fixture, &vm));
        assert_int_equal(fixture->n_changed, 1); /* nothing had */
        end(&vm);
}

static void test_an_old_vm_joins_the_round(void **state) {
        Fixture *fixture = *state;
        Vm vm;

        begin(fixture, &vm, 3600 * USEC_PER_SEC);
        assert_true(turn_until_sampled(fixture, &vm));
        assert_true(vm.in_round);
        assert_null(vm.sampler);
        assert_true(vm.sample_due > clock_monotonic_usec());
        end(&vm);
        assert_false(vm.in_round);
}

static void test_whoever_watches_gets_samples_of_the_round_at_once(void **state) {
        Fixture *fixture = *state;
        Vm vms[3];

        for (size_t i = 0; i < 3; i++) {
                begin(fixture, &vms[i], 3600 * USEC_PER_SEC);
                assert_true(turn_until_sampled(fixture, &vms[i]));
        }
        for (size_t i = 0; i < 3; i++) {
                vms[i].info.usage.sampled_usec = 1;
                vm_sample_soon(&vms[i]);
                vm_sample_soon(&vms[i]);
        }
        for (size_t i = 0; i < 3; i++)
                if (vms[i].info.usage.sampled_usec == 1)
                        assert_true(turn_until_sampled(fixture, &vms[i]));
        for (size_t i = 0; i < 3; i++)
                end(&vms[i]);
}

static void test_what_failed_is_tried_again_outside_of_the_round(void **state) {
        Fixture *fixture = *state;
        Process *vmm;
        Vm vm;

        begin(fixture, &vm, 3600 * USEC_PER_SEC);
        assert_true(turn_until_sampled(fixture, &vm));
        vmm = vm.vmm;
        vm.vmm = NULL;
        vm.info.usage.sampled_usec = 1;
        vm_sample_soon(&vm);
        while (vm.in_round)
                assert_true(sd_event_run(fixture->env.event, PATIENCE_USEC) >= 0);
        assert_non_null(vm.sampler);
        vm.vmm = vmm;
        vm_sample_soon(&vm);
        assert_true(turn_until_sampled(fixture, &vm));
        assert_true(vm.in_round);
        end(&vm);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_a_young_vm_has_a_timer_of_its_own, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(test_an_old_vm_joins_the_round, set_up, tear_down),
                cmocka_unit_test_setup_teardown(
                        test_whoever_watches_gets_samples_of_the_round_at_once, set_up, tear_down),
                cmocka_unit_test_setup_teardown(
                        test_what_failed_is_tried_again_outside_of_the_round, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
