/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/log.h"
#include "service/vm/internal.h"

/*
 * A VM is stopped down the ladder of stop_ladder.h. Whoever asks while that is under way waits for the same end, which
 * can only come sooner by it. The ladder is in the state file, so that the next daemon goes on at its step.
 */

#define STEP_ACCURACY_USEC (10 * USEC_PER_MSEC)

static void climb(Vm *vm);
static void next_step(Vm *vm);

/* The VMM refused, or did not answer: this way is closed. */
static void on_asked(void *userdata, int r, uint64_t value, const char *message) {
        Vm *vm = userdata;

        if (r == 0 || r == SERVICE_E_NOT_RUNNING)
                return;
        log_line(LOG_LEVEL_INFO, vm->info.name, "stop by %s: %s",
                 stop_step_to_string(vm->ladder.step), message ? message : strerror(-r));
        if (vm->ladder.step == STOP_STEP_POWER_BUTTON || vm->ladder.step == STOP_STEP_VMM_STOP)
                next_step(vm);
}

static int on_step_due(sd_event_source *source, uint64_t usec, void *userdata) {
        next_step(userdata);
        return 0;
}

static int ask(Vm *vm, ControlKind kind) {
        const ControlRequest request = {.kind = kind, .fd_index = -1};

        return vm_ask(vm, &request, "stop", on_asked, vm, NULL);
}

/* Return: 0 when the way is open. */
static int try_step(Vm *vm) {
        switch (vm->ladder.step) {
        case STOP_STEP_POWER_BUTTON:
                /* A guest that stands still hears no button. */
                return vm->info.suspended ? -EHOSTDOWN : ask(vm, CONTROL_POWERBTN);
        case STOP_STEP_VMM_STOP:
                return ask(vm, CONTROL_EXIT);
        case STOP_STEP_SIGTERM:
                return vm->vmm ? process_kill(vm->vmm, SIGTERM) : -ESRCH;
        case STOP_STEP_NONE:
        case STOP_STEP_SIGKILL:
                break;
        }
        return vm_kill(vm, &vm->stop, NULL, NULL, NULL);
}

/* Without a timer there is no later: then it is SIGKILL's turn. */
static void await_step(Vm *vm) {
        int r;

        vm->step_timer = sd_event_source_disable_unref(vm->step_timer);
        if (vm->ladder.step == STOP_STEP_SIGKILL)
                return;
        r = sd_event_add_time(vm->env->event, &vm->step_timer, CLOCK_MONOTONIC, vm->ladder.due_usec,
                              STEP_ACCURACY_USEC, on_step_due, vm);
        if (r < 0) {
                vm->ladder.step = STOP_STEP_SIGKILL;
                climb(vm);
        }
}

/* Begins with the step that it is, or with the first one behind it whose way is open. */
static void climb(Vm *vm) {
        for (;;) {
                StopStep step = vm->ladder.step;
                int r;

                /* On record before its effect can be seen. */
                vm_save(vm);
                r = try_step(vm);
                if (r == 0 || step == STOP_STEP_SIGKILL)
                        break;
                log_line(LOG_LEVEL_DEBUG, vm->info.name, "stop by %s: not possible",
                         stop_step_to_string(step));
                stop_ladder_advance(&vm->ladder, clock_monotonic_usec());
        }
        await_step(vm);
}

static void next_step(Vm *vm) {
        stop_ladder_advance(&vm->ladder, clock_monotonic_usec());
        climb(vm);
}

/**
 * vm_stop() - end the VM by the gentlest means that works within a time
 * @by:           recorded unless somebody else was first
 * @timeout_usec: of all means but SIGKILL, which comes then; 0: at once
 * @done:         optional; called when the death record exists
 *
 * A start that is under way is killed. Return: 0, and @done will be called; SERVICE_E_NOT_RUNNING;
 * SERVICE_E_QUOTA_EXCEEDED; negative errno.
 */
int vm_stop(Vm *vm, const StopRequest *by, usec_t timeout_usec, VmDoneFn done, void *userdata,
            TextError *reterr) {
        usec_t now = clock_monotonic_usec();
        StopStep before = vm->ladder.step;
        int r;

        if (vm->phase != VM_PHASE_EXECUTED || vm->kill_sent)
                return vm_kill(vm, by, done, userdata, reterr);
        r = done ? vm_add_death_waiter(vm, done, userdata, reterr) : 0;
        if (r != 0)
                return r;
        if (vm->stop.by == STOP_BY_NOBODY)
                vm->stop = *by;
        if (before == STOP_STEP_NONE)
                stop_ladder_begin(&vm->ladder, now, timeout_usec);
        else
                stop_ladder_hurry(&vm->ladder, now, timeout_usec);
        if (vm->ladder.step != before)
                climb(vm);
        else
                await_step(vm);
        return 0;
}

/** vm_resume_stop() - go on with what an earlier daemon began */
void vm_resume_stop(Vm *vm) {
        if (vm->ladder.step != STOP_STEP_NONE && !vm->kill_sent)
                climb(vm);
}
