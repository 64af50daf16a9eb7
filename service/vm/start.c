/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/launch_plan.h"
#include "service/text.h"
#include "service/unit/controllers.h"
#include "service/unit/scope.h"
#include "service/vm/internal.h"

/*
 * The start chain: interfaces → keeper → scope → go → launcher → execution of the VMM.
 *
 * Interfaces are asked of the network service, if there are to be any, and last as long as their descriptors.
 *
 * The keeper is there first, so that from the first moment the VM is somebody's child and its pipes have a reader. It
 * waits until systemd has put it into the VM's scope: so nothing of the VM ever runs outside of it. Then it forks the
 * launcher, sees it become the VMM or fail, writes that down and rings the bell.
 *
 * Whatever fails, the chain ends in vm_end(), which undoes all of it and leaves one record. A daemon that is killed in
 * the middle leaves a keeper, with which the next daemon goes on.
 */

/* A launch takes some 3 ms; one that hangs, say on a dead network file system, must not hang the client for ever. */
#define LAUNCH_TIMEOUT_USEC (10 * USEC_PER_SEC)
#define LAUNCH_TIMEOUT_ACCURACY_USEC (250 * USEC_PER_MSEC)

/* Answers the pending Start(), if there is one. */
void vm_answer_start(Vm *vm, int r, const char *message) {
        VmWaiter waiter = vm->start_waiter;

        vm->start_waiter = (VmWaiter){0};
        if (waiter.done)
                waiter.done(waiter.userdata, r, message);
}

/* Keeps the first reason. The launcher's names files, whose names may hold anything. */
void vm_set_start_error(Vm *vm, const char *text) {
        if (!vm->start_error && text_sanitize(text, strlen(text), &vm->start_error) < 0)
                vm->start_error = NULL;
}

/*
 * vm_register() - have machined list a VM that runs
 *
 * Its leader gets what machinectl sends: our VMM presses the power button on SIGRTMIN+4, which would end another one, so
 * there the keeper is named, which no such signal moves.
 */
void vm_register(Vm *vm) {
        Machined *machined = vm->env->scopes ? scopes_machined(vm->env->scopes) : NULL;
        Process *leader = vm->env->vmm_dialect == VMM_DIALECT_VIVARIUM ? vm->vmm : vm->keeper;
        char fallback[VM_ID_LEN + sizeof("vm-")];
        int r;

        if (!machined || !leader || !*vm->info.unit)
                return;
        (void) snprintf(fallback, sizeof(fallback), "vm-%s", vm->info.id);
        r = machined_register(machined,
                              &(MachinedSpec){.name = vm->info.name,
                                              .fallback = fallback,
                                              .id = vm->info.id,
                                              .leader = process_pid(leader)},
                              &vm->machine);
        if (r < 0)
                log_line(LOG_LEVEL_WARNING, vm->info.name, "register with machined: %s, ignoring",
                         strerror(-r));
}

/* The launcher became the VMM. */
void vm_now_running(Vm *vm, const KeeperRecord *record) {
        vm->deadline = sd_event_source_disable_unref(vm->deadline);
        vm->bell = drain_free(vm->bell);
        request_deinit(&vm->request); /* the VMM has its own copies of the descriptors */
        vm->phase = VM_PHASE_EXECUTED;
        vm_set_state(vm, VM_RUNNING);
        (void) vm_attach_vmm(vm, record);
        vm->info.pid = (uint32_t) record->vmm.pid;
        vm_save(vm);
        vm_unstore_files(vm);
        vm_store_processes(vm);
        vm_watch_servers(vm, record);
        if (vm->keeper)
                vm_watch_vmm(vm);
        vm_register(vm);
        vm_start_sampling(vm);
        vm_await_payload(vm, vm->info.started_monotonic_usec);
        log_line(LOG_LEVEL_INFO, vm->info.name, "running as process %u, CID %u", vm->info.pid,
                 vm->info.cid);
        vm->env->changed(vm->env->userdata, vm, VM_CHANGED_STATE | VM_CHANGED_START);
        vm_answer_start(vm, 0, NULL);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        Vm *vm = userdata;

        vm_set_start_error(vm, "the launcher did not execute the VMM within 10 s");
        (void) vm_kill_process(vm);
        return 0;
}

/* vm_set_deadline() - of the launch that is under way. Return: 0 or negative errno. */
int vm_set_deadline(Vm *vm) {
        int r = sd_event_add_time_relative(vm->env->event, &vm->deadline, CLOCK_MONOTONIC,
                                           LAUNCH_TIMEOUT_USEC, LAUNCH_TIMEOUT_ACCURACY_USEC,
                                           on_deadline, vm);

        return r < 0 ? r : 0;
}

static void go(Vm *vm) {
        (void) process_kill(vm->keeper, KEEPER_GO_SIGNAL);
}

static void on_scope_made(void *userdata, int r, const char *message) {
        _cleanup_(text_error_deinit) TextError error = {0};
        Vm *vm = userdata;

        if (!vm->keeper)
                return;
        if (r == 0) {
                r = controllers_check(process_pid(vm->keeper), &vm->limits, &error);
                message = text_error_message(&error, r);
        }
        if (r < 0) {
                vm_set_start_error(vm, message);
                (void) vm_kill_process(vm);
                return;
        }
        go(vm);
}

/* vm_begin() - with the keeper in its scope, let it launch. Return: 0; negative errno, with the reason set. */
int vm_begin(Vm *vm) {
        ScopeSpec spec = {.unit = vm->info.unit,
                          .name = vm->info.name,
                          .pid = process_pid(vm->keeper),
                          .limits = &vm->limits};
        int r;

        if (!vm->env->scopes || !scopes_available(vm->env->scopes)) {
                go(vm);
                return 0;
        }
        r = scope_make(vm->env->scopes, &spec, on_scope_made, vm, &vm->scope);
        if (r < 0)
                vm_set_start_error(vm, "ask systemd for a scope: the bus takes no call");
        return r;
}

/* vm_launch_keeper() - all that the VMM is to have is there. Return: 0; negative errno, with the reason set. */
int vm_launch_keeper(Vm *vm) {
        int r = vm_spawn_keeper(vm);

        vm_close_devices(vm);
        return r < 0 ? r : vm_begin(vm);
}

/* vm_launch() - the start chain, with the state on record before there is anything to be found. */
int vm_launch(Vm *vm) {
        bool wait;
        int r;

        vm->phase = VM_PHASE_LAUNCHING;
        vm_save(vm);
        r = vm_set_deadline(vm);
        if (r < 0) {
                vm_set_start_error(vm, "set a deadline: no memory");
                return r;
        }
        r = vm_make_devices(vm, &wait);
        return r < 0 || wait ? r : vm_launch_keeper(vm);
}

/**
 * vm_start() - launch the VMM
 * @done: called when the VMM runs, or with SERVICE_E_START_FAILED after everything is undone; may be called before
 *        vm_start() returns
 *
 * Return: 0, and @done is called; SERVICE_E_ALREADY_STARTED with nothing changed.
 */
int vm_start(Vm *vm, VmDoneFn done, void *userdata, TextError *reterr) {
        if (vm->phase == VM_PHASE_LAUNCHING)
                return text_error_set(reterr, SERVICE_E_ALREADY_STARTED,
                                      "start VM \"%s\": its start is under way", vm->info.name);
        if (vm->phase != VM_PHASE_IDLE || vm->files_lost)
                return text_error_set(reterr, SERVICE_E_ALREADY_STARTED,
                                      "start VM \"%s\": it is %s, and a VM is started once only",
                                      vm->info.name, vm_state_to_string(vm->info.state));
        vm->start_waiter = (VmWaiter){done, userdata};
        vm->info.started_usec = clock_realtime_usec();
        vm->info.started_monotonic_usec = clock_monotonic_usec();
        vm->oom_count = oom_watch_count(vm->env->oom);
        if (vm_launch(vm) < 0)
                vm_end(vm, /* ran= */ false);
        return 0;
}
