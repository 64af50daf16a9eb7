/* SPDX-License-Identifier: Apache-2.0 */
#include "service/vm/sampling.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "service/vm/internal.h"

/*
 * What a VM uses is read at once, whenever it has become twice as old, and in the end every 10 s. From then on it is in
 * the round: a queue in the order of what is due, with one timer, for a thousand timers cost more than what they are
 * for. A reading that failed is repeated by a timer of the VM's own.
 */

#define SAMPLE_SOON_USEC USEC_PER_SEC
#define SAMPLE_FRESH_USEC (500 * USEC_PER_MSEC)
#define SAMPLE_FIRST_USEC (10 * USEC_PER_MSEC)
#define SAMPLE_INTERVAL_USEC (10 * USEC_PER_SEC)
/* Lets the timers of young VMs share their wake-ups, and takes those of the round together that are due so closely. */
#define SAMPLE_ACCURACY_USEC (250 * USEC_PER_MSEC)
/* In one turn of the loop, so that nobody else waits for them. */
#define SAMPLES_PER_TURN 32u

struct SampleRound {
        sd_event_source *timer; /* owned; for the first of the queue */
        TAILQ_HEAD(, Vm) queue; /* by what is due; borrowed */
};

/* Return: 0 or negative errno. */
static int arm_round(SampleRound *round) {
        const Vm *first = TAILQ_FIRST(&round->queue);
        int r;

        if (!first)
                return 0;
        r = sd_event_source_set_time(round->timer, first->sample_due);
        return r < 0 ? r : sd_event_source_set_enabled(round->timer, SD_EVENT_ONESHOT);
}

static void join_round(Vm *vm, usec_t now) {
        SampleRound *round = vm->env->round;

        vm->sampler = sd_event_source_disable_unref(vm->sampler);
        vm->sample_due = now + SAMPLE_INTERVAL_USEC;
        vm->in_round = true;
        TAILQ_INSERT_TAIL(&round->queue, vm, round_link);
}

static void leave_round(Vm *vm) {
        if (vm->in_round)
                TAILQ_REMOVE(&vm->env->round->queue, vm, round_link);
        vm->in_round = false;
}

/* All but the time of the reading. */
static bool same_usage(const Usage *a, const Usage *b) {
        return a->guest_cpu_usec == b->guest_cpu_usec && a->rss_peak_bytes == b->rss_peak_bytes &&
               a->rss_guest_bytes == b->rss_guest_bytes &&
               a->rss_guest_peak_bytes == b->rss_guest_peak_bytes &&
               a->rss_vmm_bytes == b->rss_vmm_bytes &&
               a->rss_vmm_peak_bytes == b->rss_vmm_peak_bytes;
}

/* Return: 0 or negative errno. */
static int take_sample(Vm *vm, usec_t now) {
        const Usage before = vm->info.usage;
        int r;

        r = vm->vmm ? sample_usage(process_pid(vm->vmm), vm->info.hypervisor == VMM_HYPERVISOR_SOFT,
                                   &vm->info.usage)
                    : -ESRCH;
        if (r < 0)
                log_line(LOG_LEVEL_DEBUG, vm->info.name, "sample usage: %s, trying again",
                         strerror(-r));
        else
                vm->info.usage.sampled_usec = now;
        /* A thousand VMs that rest are no news, and no load on the bus. */
        if (!same_usage(&before, &vm->info.usage))
                vm->env->changed(vm->env->userdata, vm, VM_CHANGED_USAGE);
        return r;
}

static void give_up(const Vm *vm, int r) {
        if (r < 0)
                log_line(LOG_LEVEL_WARNING, vm->info.name, "sample usage: %s, ignoring",
                         strerror(-r));
}

static int on_own_timer(sd_event_source *source, uint64_t usec, void *userdata);

/* Return: 0 or negative errno. */
static int wait_alone(Vm *vm, usec_t usec) {
        const usec_t accuracy = MAX(MIN(usec / 4, SAMPLE_ACCURACY_USEC), (usec_t) 1);
        int r;

        if (!vm->sampler)
                return sd_event_add_time_relative(vm->env->event, &vm->sampler, CLOCK_MONOTONIC,
                                                  usec, accuracy, on_own_timer, vm);
        r = sd_event_source_set_time_accuracy(vm->sampler, accuracy);
        if (r >= 0)
                r = sd_event_source_set_time_relative(vm->sampler, usec);
        return r < 0 ? r : sd_event_source_set_enabled(vm->sampler, SD_EVENT_ONESHOT);
}

static int on_own_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Vm *vm = userdata;
        const usec_t now = clock_monotonic_usec(), age = now - vm->info.started_monotonic_usec;

        if (take_sample(vm, now) < 0)
                return wait_alone(vm, SAMPLE_SOON_USEC);
        /* Whatever its age, a VM was seen when it had lived half as long; a short life grows as much as a long one. */
        if (age < SAMPLE_INTERVAL_USEC)
                return wait_alone(vm, MAX(age, SAMPLE_FIRST_USEC));
        join_round(vm, now);
        return arm_round(vm->env->round);
}

static int on_round(sd_event_source *source, uint64_t usec, void *userdata) {
        const usec_t now = clock_monotonic_usec();
        SampleRound *round = userdata;

        for (unsigned i = 0; i < SAMPLES_PER_TURN; i++) {
                Vm *vm = TAILQ_FIRST(&round->queue);

                if (!vm || vm->sample_due > now + SAMPLE_ACCURACY_USEC)
                        break;
                leave_round(vm);
                if (take_sample(vm, now) < 0)
                        give_up(vm, wait_alone(vm, SAMPLE_SOON_USEC));
                else
                        join_round(vm, now);
        }
        return arm_round(round);
}

/** sample_round_new() - the round of all VMs; @event is borrowed. Return: 0 or negative errno. */
int sample_round_new(sd_event *event, SampleRound **ret) {
        _cleanup_(sample_round_freep) SampleRound *round = calloc(1, sizeof(*round));
        int r;

        if (!round)
                return -ENOMEM;
        TAILQ_INIT(&round->queue);
        r = sd_event_add_time(event, &round->timer, CLOCK_MONOTONIC, 0, SAMPLE_ACCURACY_USEC,
                              on_round, round);
        if (r >= 0)
                r = sd_event_source_set_enabled(round->timer, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE(round);
        return 0;
}

/** sample_round_free() - no VM may be in it any more. Return: NULL. */
SampleRound *sample_round_free(SampleRound *round) {
        if (!round)
                return NULL;
        assert(TAILQ_EMPTY(&round->queue));
        (void) sd_event_source_disable_unref(round->timer);
        free(round);
        return NULL;
}

/**
 * vm_sample_soon() - read anew what @vm uses, in a later turn of the event loop, unless that was just done
 *
 * Somebody watches: usual samples are too far apart for an eye.
 */
void vm_sample_soon(Vm *vm) {
        SampleRound *round = vm->env->round;
        bool first;

        if (clock_monotonic_usec() - vm->info.usage.sampled_usec < SAMPLE_FRESH_USEC)
                return;
        if (vm->sampler)
                give_up(vm, wait_alone(vm, 0));
        if (!vm->in_round)
                return;
        leave_round(vm);
        first = TAILQ_EMPTY(&round->queue) || TAILQ_FIRST(&round->queue)->sample_due > 0;
        vm->in_round = true;
        vm->sample_due = 0;
        TAILQ_INSERT_HEAD(&round->queue, vm, round_link);
        if (first)
                give_up(vm, arm_round(round));
}

/* vm_start_sampling() - at the next turn of the event loop and from then on; without memory for a timer there are no samples */
void vm_start_sampling(Vm *vm) {
        give_up(vm, wait_alone(vm, 0));
}

/* vm_stop_sampling() - there is nothing to sample any more */
void vm_stop_sampling(Vm *vm) {
        leave_round(vm);
        vm->sampler = sd_event_source_disable_unref(vm->sampler);
}
