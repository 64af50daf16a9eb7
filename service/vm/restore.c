/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/shortage.h"
#include "service/vm/runtime_dir.h"
#include "service/store/fdstore.h"
#include "service/vm/fields.h"
#include "service/vm/internal.h"

/*
 * A VM that an earlier daemon left, in two steps. vm_restore() makes the object of its state file, without a look at
 * any process; vm_resume() has it go on at the first turn of the event loop, before the bus is listened to: attached
 * to its keeper, launched anew if it had not got that far, or ended if its process has.
 */

/* A VM whose files the client would have to pass again cannot start; there is no call for that. */
#define FILES_LOST "the files it was created with were lost with the service that held them"

static int restore_file(Vm *vm, const Fields *state, size_t i) {
        char key[VM_FILE_KEY_MAX];
        const char *name = fields_get(state, vm_file_key(key, i));
        uint64_t first = fields_get_u64(state, vm_same_key(key, i), i + 1) - 1;
        _cleanup_(fd_closep) int fd = -EBADF;

        if (!name || first > i)
                return -EBADMSG;
        if (first < i)
                return request_add_file(&vm->request, name, vm->request.files[first].fd, NULL);
        fd = fdstore_take(vm->env->fdstore, vm->info.id, vm_file_key(key, i));
        return fd < 0 ? -ENOENT : request_add_file(&vm->request, name, fd, NULL);
}

static int restore_streams(Vm *vm, const Fields *state) {
        for (size_t i = 0; i < VM_STREAMS; i++) {
                const char *name;
                int *fd = vm_stream(&vm->request, i, &name);

                if (fields_get_u64(state, name, 0) == 0)
                        continue;
                *fd = fdstore_take(vm->env->fdstore, vm->info.id, name);
                if (*fd < 0)
                        return -ENOENT;
        }
        return 0;
}

/* Return: 0; -ENOENT when a descriptor did not come; other than 0 when the request is not what a client was let pass. */
static int restore_request(Vm *vm, const Fields *state) {
        const char *json = fields_get(state, "CONFIG");
        uint64_t n = fields_get_u64(state, "N_FILES", 0);
        int r;

        if (!json)
                return -ENOENT;
        vm->request.hypervisor = vm->info.hypervisor;
        vm->request.detach = vm->info.detached;
        for (size_t i = 0; i < n; i++) {
                r = restore_file(vm, state, i);
                if (r != 0)
                        return r;
        }
        r = restore_streams(vm, state);
        return r < 0 ? r : request_set_config(&vm->request, json, NULL);
}

/* Of the request even when its files did not come: a keeper may wait for its scope with them. */
static void restore_limits(Vm *vm, const Fields *state) {
        _cleanup_(vm_config_deinit) VmConfig config = {0};
        const char *json = fields_get(state, "CONFIG");

        if (json && vm_config_parse(json, &config, NULL) == 0)
                vm->limits = config.limits;
}

static VmPhase phase_of(const Vm *vm, const Fields *state) {
        if (vm_state_is_final(vm->info.state))
                return VM_PHASE_ENDED;
        if (vm->info.state == VM_RUNNING)
                return VM_PHASE_EXECUTED;
        return fields_get_u64(state, "LAUNCHING", 0) ? VM_PHASE_LAUNCHING : VM_PHASE_IDLE;
}

static void restore_ladder(Vm *vm, const Fields *state) {
        uint64_t step = fields_get_u64(state, "STOP_LADDER", STOP_STEP_NONE);

        if (step >= STOP_STEP_COUNT)
                return;
        vm->ladder.step = (StopStep) step;
        stop_ladder_resume(&vm->ladder, clock_monotonic_usec(),
                           fields_get_u64(state, "STOP_DEADLINE", 0));
}

/**
 * vm_restore() - the VM of a state file
 * @env: borrowed, outlives the VM
 *
 * Return: 0; -EBADMSG when the fields make no VM; what is_shortage().
 */
int vm_restore(const VmEnv *env, const Fields *state, Vm **ret) {
        _cleanup_(vm_freep) Vm *vm = calloc(1, sizeof(*vm));
        int r;

        if (!vm)
                return -ENOMEM;
        vm->env = env;
        vm->record_file = -EBADF;
        request_init(&vm->request);
        TAILQ_INIT(&vm->operations);
        r = vm_info_from_fields(state, &vm->info);
        if (r < 0)
                return r;
        vm->stop = vm->info.record.stop;
        vm->phase = phase_of(vm, state);
        vm->told = fields_get_u64(state, "TOLD", 0) != 0;
        vm->kill_sent = fields_get_u64(state, "KILL_SENT", 0) != 0;
        vm->has_taps = fields_get_u64(state, "HAS_TAPS", 0) != 0;
        vm->oom_count = fields_get_u64(state, "OOM_COUNT", 0);
        vm->boot_timeout_usec = fields_get_u64(state, "BOOT_TIMEOUT", 0);
        restore_ladder(vm, state);
        if (vm->phase != VM_PHASE_ENDED) {
                r = runtime_dir_of(env->runtime_dir, vm->info.cid, &vm->dir);
                if (r < 0)
                        return r;
        }
        if (vm->phase == VM_PHASE_IDLE || vm->phase == VM_PHASE_LAUNCHING) {
                restore_limits(vm, state);
                r = restore_request(vm, state);
                if (is_shortage(r))
                        return r;
                vm->files_lost = r != 0;
                vm->n_stored = (size_t) fields_get_u64(state, "N_FILES", 0);
                vm->files_stored = true;
        }
        vm->processes_stored = vm->phase == VM_PHASE_EXECUTED;
        *ret = TAKE(vm);
        return 0;
}

static void end_without_start(Vm *vm, const char *why) {
        vm_set_start_error(vm, why);
        vm_end(vm, /* ran= */ false);
}

/* The keeper that was to launch it does not exist, or never got its go: nothing ran. */
static void launch_anew(Vm *vm) {
        if (vm->kill_sent)
                end_without_start(vm, "it was killed before the VMM ran");
        else if (vm->files_lost)
                end_without_start(vm, FILES_LOST);
        else if (vm_launch(vm) < 0)
                vm_end(vm, /* ran= */ false);
}

/* The launch is under way: told to go or about to be. */
static void go_on_launching(Vm *vm, const KeeperRecord *record) {
        vm->files_lost = false; /* the keeper has them */
        if (vm_set_deadline(vm) < 0)
                vm_set_start_error(vm, "set a deadline: no memory");
        if (record->executed)
                vm_now_running(vm, record);
        else if (vm->kill_sent || vm->start_error)
                (void) vm_kill_process(vm);
        else if (!record->failed && record->vmm.pid == 0 && vm_begin(vm) < 0)
                (void) vm_kill_process(vm);
}

/* Return: 0; what is_shortage(), nothing is known of it. */
static int resume_launch(Vm *vm, const KeeperRecord *record) {
        int r = record->keeper.pid > 0 ? vm_attach_keeper(vm, record) : -ESRCH;

        if (is_shortage(r))
                return r;
        if (r == 0) {
                go_on_launching(vm, record);
                return 0;
        }
        if (r == -ESRCH && record->vmm.pid == 0 && !record->failed) {
                vm->failure = drain_free(vm->failure);
                vm->console = console_free(vm->console);
                vm->log = console_free(vm->log);
                vm->vmm_stderr = drain_free(vm->vmm_stderr);
                launch_anew(vm);
                return 0;
        }
        vm->files_lost = false;
        if (record->executed) {
                vm_now_running(vm, record);
                if (!vm_watch_keeperless(vm, record))
                        vm_end(vm, /* ran= */ true);
                return 0;
        }
        (void) vm_watch_keeperless(vm, record); /* ends what became no VMM */
        end_without_start(vm,
                          record->failed ? record->failed : "the launcher ended without a word");
        return 0;
}

/* Return: likewise. */
static int resume_running(Vm *vm, const KeeperRecord *record) {
        int r = record->keeper.pid > 0 ? vm_attach_keeper(vm, record) : -ESRCH,
            gone = vm_attach_vmm(vm, record);

        if (is_shortage(r) || is_shortage(gone))
                return is_shortage(r) ? r : gone;
        if (r < 0 && !vm_watch_keeperless(vm, record)) {
                vm_end(vm, /* ran= */ true);
                return 0;
        }
        vm_watch_servers(vm, record);
        if (vm->keeper)
                vm_watch_vmm(vm);
        vm_register(vm);
        vm_start_sampling(vm);
        vm_await_payload(vm, vm->info.started_monotonic_usec);
        vm_resume_stop(vm);
        if (vm->kill_sent)
                (void) vm_kill_process(vm); /* the signal may not have been sent */
        log_line(LOG_LEVEL_INFO, vm->info.name, "still running as process %u, CID %u", vm->info.pid,
                 vm->info.cid);
        return 0;
}

/* Return: 0; what is_shortage(). */
static int go_on(Vm *vm) {
        _cleanup_(keeper_record_deinit) KeeperRecord record = {0};
        int r = vm_open_record(vm);

        if (r == 0)
                r = vm_read_record(vm, &record);
        if (is_shortage(r))
                return r;
        if (r < 0)
                record = (KeeperRecord){0};
        vm_attach_vsock(vm);
        return vm->phase == VM_PHASE_LAUNCHING ? resume_launch(vm, &record)
                                               : resume_running(vm, &record);
}

/* A daemon that has no means to look whether the VM lives must not say that it does not: the next one looks again. */
static int on_later(sd_event_source *source, void *userdata) {
        Vm *vm = userdata;
        int r;

        vm->later = sd_event_source_disable_unref(vm->later);
        if (vm->phase == VM_PHASE_IDLE) {
                end_without_start(vm, FILES_LOST);
                return 0;
        }
        r = go_on(vm);
        if (r == 0)
                return 0;
        log_line(LOG_LEVEL_ERROR, vm->info.name, "take over process %u: %s", vm->info.pid,
                 strerror(-r));
        return sd_event_exit(vm->env->event, EXIT_FAILURE);
}

/** vm_resume() - have a restored VM go on when the event loop runs */
void vm_resume(Vm *vm) {
        int r;

        if (vm->phase == VM_PHASE_ENDED || (vm->phase == VM_PHASE_IDLE && !vm->files_lost))
                return;
        r = sd_event_add_defer(vm->env->event, &vm->later, on_later, vm);
        if (r >= 0)
                r = sd_event_source_set_priority(vm->later, SD_EVENT_PRIORITY_IMPORTANT);
        if (r < 0)
                log_line(LOG_LEVEL_ERROR, vm->info.name, "resume: %s", strerror(-r));
}
