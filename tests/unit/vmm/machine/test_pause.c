/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "tests/fake/vmm_hv_fake.h"
#include "tests/fake/vmm_kernel_image.h"
#include "vmm/machine/machine_internal.h"

#define N_VCPUS 3u
#define ROUNDS 200u

typedef struct Fixture {
        VmmConfig config;
        int kernel_fd;
        Machine *machine;
        TextError error;
        LoopSource *timer;
        unsigned n_checks;
} Fixture;

static atomic_uint n_inside;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        StrBuf elf = {0};

        assert_non_null(f);
        hv_fake_reset();
        atomic_store(&n_inside, 0);
        log_set_level(LOG_LEVEL_ERROR);
        kernel_image_make(&elf, UNPACK_FORMAT_UNKNOWN);
        f->kernel_fd = fd_memfd_from("kernel", elf.data, elf.len);
        strbuf_deinit(&elf);
        assert_int_equal(fd_set_cloexec(f->kernel_fd, false), 0);
        vmm_config_init(&f->config);
        assert_true(asprintf(&f->config.kernel, "/proc/self/fd/%d", f->kernel_fd) > 0);
        f->config.memory_bytes = KERNEL_IMAGE_RAM;
        f->config.n_vcpus = N_VCPUS;
        f->config.no_rng = true;
        assert_int_equal(machine_new(&f->config, &hv_fake_ops, &f->machine, &f->error), 0);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        (void) machine_free(f->machine);
        vmm_config_deinit(&f->config);
        text_error_deinit(&f->error);
        (void) fd_close(f->kernel_fd);
        free(f);
        return 0;
}

/* Runs the machine with @fn called on its loop. */
static HaltReason run(Fixture *f, LoopTimerFn fn) {
        HaltReason reason = HALT_NONE;

        assert_int_equal(loop_add_timer(f->machine->loop, fn, f, &f->timer), 0);
        assert_int_equal(loop_set_timer(f->timer, 1), 0);
        assert_int_equal(machine_run(f->machine, &reason, &f->error), 0);
        return reason;
}

static HaltReason script_inside(unsigned index, const CpuIo *io) {
        atomic_fetch_add(&n_inside, 1);
        return HALT_NONE;
}

static bool all_parked(const Machine *machine) {
        for (unsigned i = 0; i < N_VCPUS; i++)
                if (machine->vcpus[i].place != MACHINE_VCPU_PARKED)
                        return false;
        return true;
}

static void look_at_thread(Vcpu *vcpu, void *userdata) {
        pthread_t *threads = userdata;

        threads[vcpu->index] = pthread_self();
}

static void pause_and_resume(void *userdata) {
        Fixture *f = userdata;
        pthread_t threads[N_VCPUS];

        for (unsigned round = 0; round < ROUNDS; round++) {
                uint64_t now;

                machine_pause(f->machine);
                now = guest_clock_now_nsec(f->machine->clock);
                assert_true(hv_fake()->time_paused);
                for (unsigned i = 0; i < N_VCPUS; i++) {
                        assert_int_equal(machine_on_vcpu(f->machine, i, look_at_thread, threads),
                                         0);
                        assert_true(pthread_equal(threads[i], f->machine->vcpus[i].thread));
                }
                assert_true(all_parked(f->machine));
                assert_true(guest_clock_now_nsec(f->machine->clock) == now);
                machine_resume(f->machine);
                assert_false(hv_fake()->time_paused);
        }
        assert_int_equal(hv_fake()->n_time_changes, 2 * ROUNDS);
        assert_int_equal(f->machine->park.n_stops, ROUNDS);
        assert_in_range(f->machine->park.longest_stop_nsec, 1, f->machine->park.stop_nsec);
        f->n_checks++;
        machine_halt(f->machine, HALT_STOP);
}

static void test_a_pause_parks_all_vcpus_stops_time_and_runs_jobs_on_their_threads(void **state) {
        Fixture *f = *state;

        hv_fake()->script = script_inside;
        assert_int_equal(run(f, pause_and_resume), HALT_STOP);
        assert_int_equal(f->n_checks, 1);
        assert_int_equal(hv_fake()->n_freed, N_VCPUS);
}

static void nest(void *userdata) {
        Fixture *f = userdata;
        unsigned runs;

        machine_pause(f->machine);
        machine_pause(f->machine);
        runs = atomic_load(&n_inside);
        machine_resume(f->machine);
        assert_true(hv_fake()->time_paused);
        assert_int_equal(hv_fake()->n_time_changes, 1);
        assert_int_equal(atomic_load(&n_inside), runs);
        machine_resume(f->machine);
        assert_false(hv_fake()->time_paused);
        machine_halt(f->machine, HALT_STOP);
}

static void test_pauses_nest(void **state) {
        hv_fake()->script = script_inside;
        assert_int_equal(run(*state, nest), HALT_STOP);
}

static void halt_while_paused(void *userdata) {
        Fixture *f = userdata;

        machine_pause(f->machine);
        machine_halt(f->machine, HALT_POWER_OFF);
        machine_halt(f->machine, HALT_STOP);
}

static void test_a_paused_machine_can_be_ended(void **state) {
        assert_int_equal(run(*state, halt_while_paused), HALT_POWER_OFF);
        assert_int_equal(hv_fake()->n_freed, N_VCPUS);
}

static void halt_only(void *userdata) {
        Fixture *f = userdata;

        assert_int_equal(machine_on_vcpu(f->machine, N_VCPUS, look_at_thread, NULL), -EINVAL);
        machine_halt(f->machine, HALT_STOP);
}

static void test_a_machine_paused_before_it_runs_does_not_enter_the_guest(void **state) {
        Fixture *f = *state;

        hv_fake()->script = script_inside;
        assert_int_equal(machine_on_vcpu(f->machine, 0, look_at_thread, NULL), -ESRCH);
        machine_pause(f->machine);
        assert_int_equal(run(f, halt_only), HALT_STOP);
        assert_int_equal(atomic_load(&n_inside), 0);
}

/* vCPU 1 ends the machine by itself while the others are being paused. */
static HaltReason script_one_ends(unsigned index, const CpuIo *io) {
        return index == 1 ? HALT_TRIPLE_FAULT : HALT_NONE;
}

static void test_a_vcpu_that_ended_does_not_hold_up_a_pause(void **state) {
        HaltReason reason;

        hv_fake()->script = script_one_ends;
        reason = run(*state, halt_while_paused);
        assert_true(reason == HALT_TRIPLE_FAULT || reason == HALT_POWER_OFF);
        assert_int_equal(hv_fake()->n_freed, N_VCPUS);
}

static void suspend_steps(void *userdata) {
        Fixture *f = userdata;

        machine_suspend(f->machine, /* devices= */ false);
        machine_suspend(f->machine, /* devices= */ false);
        assert_true(hv_fake()->time_paused);
        machine_suspend(f->machine, /* devices= */ true);
        assert_int_equal(machine_unsuspend(f->machine, /* devices= */ false), -EBUSY);
        assert_true(hv_fake()->time_paused);
        assert_int_equal(machine_unsuspend(f->machine, /* devices= */ true), 0);
        assert_false(hv_fake()->time_paused);
        assert_int_equal(machine_unsuspend(f->machine, /* devices= */ true), 0);
        machine_halt(f->machine, HALT_STOP);
}

static void test_suspending_twice_is_resumed_once_and_with_its_devices(void **state) {
        assert_int_equal(run(*state, suspend_steps), HALT_STOP);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_pause_parks_all_vcpus_stops_time_and_runs_jobs_on_their_threads),
                TEST(test_pauses_nest),
                TEST(test_a_paused_machine_can_be_ended),
                TEST(test_a_machine_paused_before_it_runs_does_not_enter_the_guest),
                TEST(test_a_vcpu_that_ended_does_not_hold_up_a_pause),
                TEST(test_suspending_twice_is_resumed_once_and_with_its_devices),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
