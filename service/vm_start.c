/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "config/launch_plan.h"
#include "service/fd_budget.h"
#include "service/text.h"
#include "service/vm_internal.h"

/*
 * The start chain: pipes → launch plan → launcher → execution of the VMM.
 *
 * The launcher holds a status pipe that its execve() of the VMM closes. What arrives there before is the sentence of
 * a failed launch. Should the pipe close without a word, the process is the VMM now, unless it ended and still
 * carries the launcher's name.
 *
 * Whatever fails, the chain ends in vm_end(), which undoes all of it and leaves one record.
 */

/* A launch takes some 2 ms; one that hangs, say on a dead network file system, must not hang the client for ever. */
#define LAUNCH_TIMEOUT_USEC (10 * USEC_PER_SEC)
#define LAUNCH_TIMEOUT_ACCURACY_USEC (250 * USEC_PER_MSEC)

/* The writing ends that go to the launcher; the daemon keeps none of them. */
typedef struct LaunchEnds {
        int status, failure, console, vmm_stderr; /* owned */
        int plan;                                 /* owned memfd */
} LaunchEnds;

static void launch_ends_deinit(LaunchEnds *ends) {
        (void) fd_close(ends->status);
        (void) fd_close(ends->failure);
        (void) fd_close(ends->console);
        (void) fd_close(ends->vmm_stderr);
        (void) fd_close(ends->plan);
}

/* Answers the pending Start(), if there is one. */
void vm_answer_start(Vm *vm, int r, const char *message) {
        VmWaiter waiter = vm->start_waiter;

        vm->start_waiter = (VmWaiter){0};
        if (waiter.done)
                waiter.done(waiter.userdata, r, message);
}

/* Keeps the first reason. */
static void set_start_error(Vm *vm, const char *text) {
        if (!vm->start_error)
                vm->start_error = strdup(text);
}

static void now_running(Vm *vm) {
        vm->deadline = sd_event_source_disable_unref(vm->deadline);
        vm->status = drain_free(vm->status);
        request_deinit(&vm->request); /* the VMM has its own copies of the descriptors */
        vm->phase = VM_PHASE_EXECUTED;
        vm_set_state(vm, VM_RUNNING);
        vm->info.pid = (uint32_t) process_pid(vm->process);
        vm_start_sampling(vm);
        log_line(LOG_LEVEL_INFO, vm->info.name, "running as process %u, CID %u", vm->info.pid,
                 vm->info.cid);
        vm->env->changed(vm->env->userdata, vm, VM_CHANGED_STATE | VM_CHANGED_START);
        vm_answer_start(vm, 0, NULL);
}

/* Takes the launcher's sentence, without the newline at its end, as the reason why the start failed. It names files,
 * whose names may hold anything, and may have been cut. */
static void take_launcher_error(Vm *vm) {
        _cleanup_(freep) char *raw = NULL, *text = NULL;
        size_t len;

        if (drain_total(vm->status) == 0 || drain_copy(vm->status, &raw, &len) < 0 ||
            text_sanitize(raw, strcspn(raw, "\n"), &text) < 0)
                return;
        set_start_error(vm, text);
}

/**
 * vm_launch_settle() - find out how the launch went, after the status pipe closed or the process ended
 *
 * Return: true when the process became the VMM, and the VM is running.
 */
bool vm_launch_settle(Vm *vm) {
        bool closed = drain_now(vm->status), ending = process_is_ending(vm->process);

        take_launcher_error(vm);
        if (vm->start_error || (!closed && !ending))
                return false;
        if (ending && process_runs_program(vm->process, vm->env->launcher_path))
                return false;
        now_running(vm);
        return true;
}

static void on_status_closed(void *userdata) {
        Vm *vm = userdata;

        if (vm_launch_settle(vm))
                return;
        /* The rest follows when the process has ended, which a launcher that failed does by itself. */
        (void) process_kill(vm->process, SIGKILL);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        Vm *vm = userdata;

        set_start_error(vm, "the launcher did not execute the VMM within 10 s");
        (void) process_kill(vm->process, SIGKILL);
        return 0;
}

static int make_pipes(Vm *vm, LaunchEnds *ends) {
        sd_event *event = vm->env->event;
        int r;

        r = drain_new(event, DRAIN_KEEP_HEAD, LAUNCH_ERROR_BYTES_MAX, on_status_closed, vm,
                      &vm->status, &ends->status);
        if (r < 0)
                return r;
        r = drain_new(event, DRAIN_KEEP_HEAD, FAILURE_BYTES_MAX, NULL, NULL, &vm->failure,
                      &ends->failure);
        if (r < 0)
                return r;
        r = drain_new(event, DRAIN_KEEP_TAIL, STDERR_TAIL_BYTES, NULL, NULL, &vm->vmm_stderr,
                      &ends->vmm_stderr);
        if (r < 0 || vm->request.console_out >= 0)
                return r;
        return drain_new(event, DRAIN_KEEP_TAIL, CONSOLE_TAIL_BYTES, NULL, NULL, &vm->console,
                         &ends->console);
}

/* Descriptors keep their numbers from here to the launcher, so the plan can name ours. */
static int make_plan(Vm *vm, LaunchEnds *ends) {
        _cleanup_(launch_plan_deinit) LaunchPlan plan;
        _cleanup_(freep) char *json = NULL;
        const char *log_level = vm->env->vmm_log_level;
        int r;

        launch_plan_init(&plan);
        plan.vmm_path = strdup(vm->env->vmm_path);
        plan.vm_name = strdup(vm->info.name);
        plan.log_level = log_level ? strdup(log_level) : NULL;
        if (!plan.vmm_path || !plan.vm_name || (log_level && !plan.log_level))
                return -ENOMEM;
        plan.cid = vm->info.cid;
        plan.hypervisor = vm->request.hypervisor;
        plan.console_out = ends->console >= 0 ? ends->console : vm->request.console_out;
        plan.console_in = vm->request.console_in;
        plan.log_out = vm->request.log_out;
        plan.failure_out = ends->failure;
        plan.vmm_stderr = ends->vmm_stderr;
        plan.status = ends->status;
        /* A start happens once, so the plan may take the config. */
        plan.config = vm->request.config;
        vm_config_init(&vm->request.config);
        for (size_t i = 0; i < vm->request.n_files; i++) {
                r = launch_plan_add_file(&plan, vm->request.files[i].name, vm->request.files[i].fd);
                if (r < 0)
                        return r;
        }
        r = launch_plan_to_json(&plan, &json);
        if (r < 0)
                return r;
        ends->plan = fd_memfd_from("vivarium-plan", json, strlen(json));
        if (ends->plan < 0)
                return ends->plan;
        /* The last one made, so those of the pipes are within the budget if it is. */
        return fd_budget_check(ends->plan);
}

static int spawn_launcher(Vm *vm, const LaunchEnds *ends) {
        const VmRequest *request = &vm->request;
        const int roles[] = {ends->plan,          ends->status,    ends->failure,
                             ends->vmm_stderr,    ends->console,   request->console_out,
                             request->console_in, request->log_out};
        _cleanup_(freep) int *fds = calloc(request->n_files + ELEMENTSOF(roles), sizeof(*fds));
        _cleanup_(freep) char *path = strdup(vm->env->launcher_path);
        char option[sizeof(LAUNCH_PLAN_OPTION) + 12];
        char *argv[] = {path, option, NULL};
        ProcessSpec spec;
        size_t n = 0;

        if (!fds || !path)
                return -ENOMEM;
        (void) snprintf(option, sizeof(option), LAUNCH_PLAN_OPTION "%d", ends->plan);
        for (size_t i = 0; i < ELEMENTSOF(roles); i++)
                if (roles[i] >= 0)
                        fds[n++] = roles[i];
        for (size_t i = 0; i < request->n_files; i++)
                fds[n++] = request->files[i].fd;
        spec = (ProcessSpec){.argv = argv, .fds = fds, .n_fds = n, .stdout_fd = -EBADF};
        return process_spawn(vm->env->event, &spec, vm_on_process_ended, vm, &vm->process);
}

static int launch_failed(Vm *vm, int r, const char *act, const char *object) {
        if (!vm->start_error && asprintf(&vm->start_error, "%s%s%s: %s", act, *object ? " " : "",
                                         object, strerror(-r)) < 0)
                vm->start_error = NULL;
        return r;
}

static int launch(Vm *vm) {
        _cleanup_(launch_ends_deinit) LaunchEnds ends = {-EBADF, -EBADF, -EBADF, -EBADF, -EBADF};
        int r;

        r = make_pipes(vm, &ends);
        if (r < 0)
                return launch_failed(vm, r, "make pipes", "");
        r = make_plan(vm, &ends);
        if (r < 0)
                return launch_failed(vm, r, "make the launch plan", "");
        r = sd_event_add_time_relative(vm->env->event, &vm->deadline, CLOCK_MONOTONIC,
                                       LAUNCH_TIMEOUT_USEC, LAUNCH_TIMEOUT_ACCURACY_USEC,
                                       on_deadline, vm);
        if (r < 0)
                return launch_failed(vm, r, "set a deadline", "");
        r = spawn_launcher(vm, &ends);
        if (r < 0)
                return launch_failed(vm, r, "execute", vm->env->launcher_path);
        return 0;
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
        if (vm->phase != VM_PHASE_IDLE)
                return text_error_set(reterr, SERVICE_E_ALREADY_STARTED,
                                      "start VM \"%s\": it is %s, and a VM is started once only",
                                      vm->info.name, vm_state_to_string(vm->info.state));
        vm->phase = VM_PHASE_LAUNCHING;
        vm->start_waiter = (VmWaiter){done, userdata};
        vm->info.started_usec = clock_realtime_usec();
        vm->info.started_monotonic_usec = clock_monotonic_usec();
        vm->oom_count = oom_watch_count(vm->env->oom);
        if (launch(vm) < 0)
                vm_end(vm, /* ran= */ false);
        return 0;
}
