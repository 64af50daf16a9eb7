/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fd.h"
#include "base/log.h"
#include "config/vmm_config.h"
#include "service/vm/runtime_dir.h"
#include "service/vm/internal.h"

/*
 * The end of a VM, in an order that clients may rely on: what is left of its processes is killed, the pipes are
 * drained, the keeper's record is read, the end is on record, everything is released, and only then is the death told. A client that starts
 * the next VM on hearing of it finds nothing in its way.
 */

/* A record never fails for want of memory: what cannot be copied is missing in it. */
static void copy_tail(Drain *drain, char **text, size_t *len) {
        if (!drain)
                return;
        (void) drain_now(drain);
        if (drain_copy(drain, SIZE_MAX, text, len) < 0)
                *len = 0;
}

/* Viewers and the journal have the last words before the end is told. */
static void finish_consoles(Vm *vm) {
        DeathRecord *record = &vm->info.record;

        if (vm->log)
                console_finish(vm->log);
        if (!vm->console)
                return;
        console_finish(vm->console);
        if (console_copy_tail(vm->console, CONSOLE_TAIL_BYTES, &record->console_tail,
                              &record->console_tail_len) < 0)
                record->console_tail_len = 0;
}

static void collect_texts(Vm *vm) {
        DeathRecord *record = &vm->info.record;
        _cleanup_(freep) char *raw = NULL;
        size_t len = 0;

        copy_tail(vm->failure, &raw, &len);
        record->failure_bytes = vm->failure ? drain_total(vm->failure) : 0;
        if (death_split_failure(raw ? raw : "", len, &record->failure_text, &record->failure_info) <
            0)
                log_line(LOG_LEVEL_WARNING, vm->info.name, "keep the failure text: no memory");
        finish_consoles(vm);
        copy_tail(vm->vmm_stderr, &record->stderr_tail, &record->stderr_tail_len);
}

static void take_exit(Vm *vm, DeathFacts *facts, bool exited, int status, bool core_dumped) {
        DeathRecord *record = &vm->info.record;

        facts->exit = exited ? EXIT_STATUS : EXIT_SIGNAL;
        facts->status = status;
        record->exited = exited;
        record->exit_status = exited ? status : -1;
        record->exit_signal = exited ? 0 : status;
        record->core_dumped = core_dumped;
}

/* As the keeper saw it. */
static void take_witness(Vm *vm, const KeeperRecord *seen, DeathFacts *facts) {
        bool software = vm->info.hypervisor == VMM_HYPERVISOR_SOFT;
        uint64_t usec;

        take_exit(vm, facts, seen->end == KEEPER_END_EXITED, seen->status,
                  seen->end == KEEPER_END_DUMPED);
        if (MUL_CHECKED(software ? seen->user_ticks : seen->guest_ticks, USEC_PER_SEC, &usec))
                vm->info.usage.guest_cpu_usec =
                        MAX(vm->info.usage.guest_cpu_usec, usec / (uint64_t) sysconf(_SC_CLK_TCK));
        vm->info.usage.rss_peak_bytes = MAX(vm->info.usage.rss_peak_bytes, seen->peak_bytes);
        facts->oom_kill = facts->exit == EXIT_SIGNAL && seen->status == SIGKILL && !vm->kill_sent &&
                          (seen->oom_kills > 0 || oom_watch_attribute(vm->env->oom, vm->oom_count));
}

/* The keeper was killed before it could tell. The kernel tells us if it gave us the VMM as a child. */
static void take_orphan(Vm *vm, DeathFacts *facts) {
        ProcessExit end;

        facts->exit = EXIT_UNSEEN;
        vm->info.record.message = strdup("the VMM's keeper was killed, so nobody saw how it ended");
        if (!vm->vmm)
                return;
        process_kill_group(vm->vmm);
        (void) sample_guest_cpu(process_pid(vm->vmm), vm->info.hypervisor == VMM_HYPERVISOR_SOFT,
                                &vm->info.usage);
        if (process_reap(vm->vmm, &end) < 0)
                return;
        free(TAKE(vm->info.record.message));
        take_exit(vm, facts, end.exited, end.status, end.core_dumped);
        vm->info.usage.rss_peak_bytes = MAX(vm->info.usage.rss_peak_bytes, end.peak_bytes);
        facts->oom_kill = !end.exited && end.status == SIGKILL && !vm->kill_sent &&
                          oom_watch_attribute(vm->env->oom, vm->oom_count);
}

/* Fills in how the VMM ended. */
static void collect_exit(Vm *vm, DeathFacts *facts) {
        _cleanup_(keeper_record_deinit) KeeperRecord seen = {0};
        int r = vm_read_record(vm, &seen);

        if (r < 0)
                log_line(LOG_LEVEL_ERROR, vm->info.name, "read the keeper's record: %s",
                         strerror(-r));
        if (r == 0)
                vm_tell_server_ends(vm, &seen);
        if (r == 0 && seen.end != KEEPER_END_NONE)
                take_witness(vm, &seen, facts);
        else
                take_orphan(vm, facts);
}

/*
 * A dump is whole if the VMM lived to say that its guest panicked. What a guest wrote by itself, to another VMM's hvc1,
 * it may have ended in any way behind.
 */
static void collect_ramdump(Vm *vm, bool ran) {
        DeathRecord *record = &vm->info.record;
        bool whole = (record->exited && record->exit_status == VMM_EXIT_GUEST_PANIC) ||
                     vm->env->vmm_dialect != VMM_DIALECT_VIVARIUM;
        int r;

        r = ramdumps_end(vm->env->ramdumps, vm->info.id, ran && whole, &record->ramdump);
        if (r == -ENOSPC)
                log_line(LOG_LEVEL_WARNING, vm->info.name,
                         "the dump of its memory is larger than all dumps may be, and was dropped");
        else if (r < 0)
                log_line(LOG_LEVEL_WARNING, vm->info.name, "keep the dump of its memory: %s",
                         strerror(-r));
}

/**
 * vm_open_ramdump() - the memory of a guest that panicked, for reading
 * @ret_fd: owned by the caller
 *
 * Return: 0; SERVICE_E_UNSUPPORTED when there is none; negative errno.
 */
int vm_open_ramdump(const Vm *vm, int *ret_fd, TextError *reterr) {
        int fd = vm->info.record.ramdump ? ramdumps_open(vm->env->ramdumps, vm->info.id) : -ENOENT;

        if (fd == -ENOENT)
                return text_error_set(
                        reterr, SERVICE_E_UNSUPPORTED,
                        "open the memory dump of VM \"%s\": there is none, because its config "
                        "asked for none, its guest did not panic, or newer ones needed the room",
                        vm->info.name);
        if (fd < 0)
                return text_error_set(reterr, fd, "open the memory dump of VM \"%s\": %s",
                                      vm->info.name, strerror(-fd));
        *ret_fd = fd;
        return 0;
}

/* What cannot be removed now is tried again when the VM goes; until then nobody else gets its place. */
static void release_dir(Vm *vm) {
        int r = vm->dir ? runtime_dir_remove(vm->dir) : 0;

        if (r < 0) {
                log_line(LOG_LEVEL_WARNING, vm->info.name, "remove %s: %s, for now", vm->dir,
                         strerror(-r));
                return;
        }
        free(TAKE(vm->dir));
}

/* vm_release_all() - everything that is there for the sake of a process; none is left by now */
void vm_release_all(Vm *vm) {
        vm->deadline = sd_event_source_disable_unref(vm->deadline);
        vm_stop_sampling(vm);
        vm->later = sd_event_source_disable_unref(vm->later);
        vm->boot_timer = sd_event_source_disable_unref(vm->boot_timer);
        vm->step_timer = sd_event_source_disable_unref(vm->step_timer);
        vm->notify = notify_free(vm->notify);
        vm->scope = scope_job_forget(vm->scope);
        vm->machine = machined_unregister(vm->machine);
        vm_release_devices(vm);
        vm->keeper = process_free(vm->keeper);
        vm->vmm = process_leave(vm->vmm);
        vm->bell = drain_free(vm->bell);
        vm->failure = drain_free(vm->failure);
        vm->console = console_free(vm->console);
        vm->log = console_free(vm->log);
        vm->vmm_stderr = drain_free(vm->vmm_stderr);
        vm->record_file = fd_close(vm->record_file);
        vm_unstore_files(vm);
        vm_unstore_processes(vm);
        request_deinit(&vm->request);
        release_dir(vm);
        vm->info.pid = 0;
}

static void complete_record(Vm *vm, const DeathFacts *facts) {
        DeathRecord *record = &vm->info.record;

        vm->info.died_usec = clock_realtime_usec();
        vm->info.died_monotonic_usec = clock_monotonic_usec();
        record->reason = death_decide(facts);
        record->run_time_usec =
                vm->phase != VM_PHASE_EXECUTED
                        ? 0
                        : vm->info.died_monotonic_usec - vm->info.started_monotonic_usec;
        record->guest_cpu_usec = vm->info.usage.guest_cpu_usec;
        record->rss_peak_bytes = vm->info.usage.rss_peak_bytes;
        record->rss_guest_peak_bytes = vm->info.usage.rss_guest_peak_bytes;
        record->rss_vmm_peak_bytes = vm->info.usage.rss_vmm_peak_bytes;
        record->stop = vm->stop;
        record->stop_step = vm->ladder.step;
        vm->info.suspended = false;
        vm->info.pid = 0;
        vm->info.usage.rss_guest_bytes = 0;
        vm->info.usage.rss_vmm_bytes = 0;
}

static void answer_failed_start(Vm *vm) {
        _cleanup_(text_error_deinit) TextError text = {0};
        const char *cause = vm->info.record.message;

        text_error_set(&text, SERVICE_E_START_FAILED, "start VM \"%s\": %s", vm->info.name,
                       cause ? cause : "no memory");
        vm_answer_start(vm, SERVICE_E_START_FAILED, text.message);
}

static void answer_all(Vm *vm, bool ran) {
        VmWaiter *waiters = TAKE(vm->death_waiters);
        size_t n = vm->n_death_waiters;

        vm->n_death_waiters = 0;
        if (!ran)
                answer_failed_start(vm);
        vm_drop_operations(vm, /* tell= */ true);
        for (size_t i = 0; i < n; i++)
                if (waiters[i].done)
                        waiters[i].done(waiters[i].userdata, 0, NULL);
        free(waiters);
}

/**
 * vm_end() - the end of @vm: undo everything, keep the record, tell it
 * @ran: the VMM was executed; else the start failed
 */
void vm_end(Vm *vm, bool ran) {
        DeathRecord *record = &vm->info.record;
        DeathFacts facts = {.exit = EXIT_NEVER_RAN,
                            .kill_sent = vm->kill_sent,
                            .payload_hangup = vm->info.payload == VM_PAYLOAD_HANGUP};

        collect_texts(vm);
        facts.failure_text = record->failure_text ? record->failure_text : "";
        if (ran)
                collect_exit(vm, &facts);
        if (record->exit_signal == SIGSYS)
                death_find_system_call(record->stderr_tail, record->stderr_tail_len,
                                       record->system_call);
        if (!ran) {
                record->message = TAKE(vm->start_error);
                facts.exit = vm->files_lost ? EXIT_UNSEEN : EXIT_NEVER_RAN;
        }
        collect_ramdump(vm, ran);
        complete_record(vm, &facts);
        vm->phase = VM_PHASE_ENDED;
        vm_set_state(vm, ran ? VM_DEAD : VM_FAILED);
        /* Before that goes from which a next daemon would learn it, and before it is told: better twice than never. */
        vm_save(vm);
        vm_release_all(vm);
        vm->env->changed(vm->env->userdata, vm,
                         VM_CHANGED_STATE | VM_CHANGED_START | VM_CHANGED_DEATH | VM_CHANGED_USAGE |
                                 VM_CHANGED_SUSPENDED);
        vm->env->ended(vm->env->userdata, vm);
        answer_all(vm, ran);
}
