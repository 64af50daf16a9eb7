/* SPDX-License-Identifier: Apache-2.0 */
#include "service/vm/vm.h"

#include <systemd/sd-id128.h>

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "service/vm/runtime_dir.h"
#include "service/vm/fields.h"
#include "service/vm/internal.h"

/** vm_count_vcpus() - that a VM of this config has on this host */
uint32_t vm_count_vcpus(const VmConfig *config) {
        cpu_set_t set;

        switch (config->cpu_topology) {
        case VM_CPUS_COUNT:
                return config->n_vcpus;
        case VM_CPUS_MATCH_HOST:
                if (sched_getaffinity(0, sizeof(set), &set) < 0)
                        return 1;
                return MIN((uint32_t) CPU_COUNT(&set), VM_VCPUS_MAX);
        }
        return 1;
}

static int choose_name(const VmRequest *request, uint32_t cid, char **ret) {
        const char *wanted = request->name ? request->name : request->config.name;

        if (wanted)
                *ret = strdup(wanted);
        else if (asprintf(ret, VM_NAME_BY_CID, cid) < 0)
                *ret = NULL;
        return *ret ? 0 : -ENOMEM;
}

static int make_id(char ret[static SD_ID128_STRING_MAX]) {
        sd_id128_t id;
        int r;

        r = sd_id128_randomize(&id);
        if (r >= 0)
                (void) sd_id128_to_string(id, ret);
        return r;
}

/* After the id, which nobody else has and every unit name can hold. */
static int name_unit(Vm *vm) {
        bool has = vm->env->scopes && scopes_available(vm->env->scopes);

        if (asprintf(&vm->info.unit, has ? "vm-%s.scope" : "%.0s", vm->info.id) < 0) {
                vm->info.unit = NULL;
                return -ENOMEM;
        }
        return 0;
}

/* The last components of their paths. @ret: NULL for none. */
static int name_devices(const StrVec *paths, char **ret) {
        _cleanup_(strbuf_deinit) StrBuf names = {0};

        for (size_t i = 0; i < paths->n; i++)
                strbuf_printf(&names, "%s%s", i > 0 ? " " : "", strrchr(paths->items[i], '/') + 1);
        return paths->n == 0 ? 0 : strbuf_finish(&names, ret);
}

/**
 * vm_new() - make a VM in state "not-started"
 * @env:     borrowed, outlives the VM
 * @request: taken over on success, empty then
 * @cid:     the VM does not own it
 *
 * Return: 0 or negative errno.
 */
int vm_new(const VmEnv *env, VmRequest *request, uint32_t cid, const VmOwner *owner, Vm **ret) {
        _cleanup_(vm_freep) Vm *vm = NULL;
        int r;

        vm = malloc(sizeof(*vm));
        if (!vm)
                return -ENOMEM;
        *vm = (Vm){
                .info = {.cid = cid,
                         .state = VM_NOT_STARTED,
                         .payload = VM_PAYLOAD_STARTING,
                         .hypervisor = request->hypervisor,
                         .owner_uid = owner->uid,
                         .owner_pid = (uint32_t) owner->pid,
                         .owner_bus_name = strdup(owner->bus_name),
                         .owner_bus_id = strdup(env->bus_id),
                         .vhost_vsock = request->config.vhost_vsock,
                         .detached = request->detach,
                         .auto_balloon = request->config.auto_memory_balloon,
                         .memory_bytes = request->config.memory_mib << 20,
                         .n_vcpus = vm_count_vcpus(&request->config),
                         .created_usec = clock_realtime_usec(),
                         .created_monotonic_usec = clock_monotonic_usec(),
                         .record = {.exit_status = -1}},
                .env = env,
                .phase = VM_PHASE_IDLE,
                .record_file = -EBADF,
        };
        request_init(&vm->request);
        TAILQ_INIT(&vm->operations);
        if (!vm->info.owner_bus_name || !vm->info.owner_bus_id)
                return -ENOMEM;
        r = choose_name(request, cid, &vm->info.name);
        if (r < 0)
                return r;
        r = make_id(vm->info.id);
        if (r < 0)
                return r;
        r = name_unit(vm);
        if (r < 0)
                return r;
        r = name_devices(&request->config.devices, &vm->info.devices);
        if (r < 0)
                return r;
        /* The last that may fail, for vm_free() leaves it to the next daemon. */
        r = runtime_dir_create(env->runtime_dir, cid, &vm->dir);
        if (r < 0)
                return r;
        vm->boot_timeout_usec = vm_boot_timeout(request);
        vm->limits = request->config.limits;
        vm->request = *request;
        request_init(request);
        *ret = TAKE(vm);
        return 0;
}

/** vm_keep() - have a VM that was just made outlive the daemon: its files first, then the state that names them */
void vm_keep(Vm *vm) {
        vm_store_files(vm);
        vm_save(vm);
}

/**
 * vm_free() - release a VM
 *
 * One that is active goes on without this object, for the next daemon to find; of any other nothing stays but its state
 * file. Return: NULL.
 */
Vm *vm_free(Vm *vm) {
        if (!vm)
                return NULL;
        (void) sd_event_source_disable_unref(vm->deadline);
        vm_stop_sampling(vm);
        (void) sd_event_source_disable_unref(vm->later);
        (void) sd_event_source_disable_unref(vm->boot_timer);
        (void) sd_event_source_disable_unref(vm->step_timer);
        (void) notify_free(vm->notify);
        vm_drop_operations(vm, /* tell= */ false);
        (void) scope_job_forget(vm->scope);
        (void) machined_leave(vm->machine);
        (void) tap_job_free(vm->tap_job);
        vm_close_devices(vm);
        vm_leave_servers(vm);
        (void) process_leave(vm->keeper);
        (void) process_leave(vm->vmm);
        (void) drain_free(vm->bell);
        (void) drain_free(vm->failure);
        (void) console_free(vm->console);
        (void) console_free(vm->log);
        (void) drain_free(vm->vmm_stderr);
        (void) fd_close(vm->record_file);
        free(vm->dir);
        request_deinit(&vm->request);
        vm_info_deinit(&vm->info);
        free(vm->start_error);
        free(vm->death_waiters);
        free(vm);
        return NULL;
}

/** vm_forget() - have no later daemon know @vm */
void vm_forget(const Vm *vm) {
        if (unlinkat(vm->env->state_dir, vm->info.id, 0) < 0 && errno != ENOENT)
                log_line(LOG_LEVEL_WARNING, vm->info.name, "remove the state file: %m, ignoring");
}

/** vm_remove() - vm_free() of a VM that is not active and that nobody shall find again. Return: NULL. */
Vm *vm_remove(Vm *vm) {
        assert(!vm_is_active(vm));

        vm_release_all(vm);
        vm_forget(vm);
        return vm_free(vm);
}

/** vm_info() - what may be seen of @vm; borrowed, changes with it */
const VmInfo *vm_info(const Vm *vm) {
        return &vm->info;
}

/** vm_set_holder() - what the owner of @vm keeps it by; weak */
void vm_set_holder(Vm *vm, void *holder) {
        vm->holder = holder;
}

/** vm_holder() - what vm_set_holder() was told; borrowed */
void *vm_holder(const Vm *vm) {
        return vm->holder;
}

/** vm_is_active() - whether a process belongs to @vm: its start is under way, or it runs */
bool vm_is_active(const Vm *vm) {
        return vm->phase == VM_PHASE_LAUNCHING || vm->phase == VM_PHASE_EXECUTED;
}

/** vm_has_dir() - whether there is a directory of @vm; one that ended has none, unless it could not be removed */
bool vm_has_dir(const Vm *vm) {
        return vm->dir != NULL;
}

/** vm_count_files() - descriptors of the client that are kept until the VM is started */
unsigned vm_count_files(const Vm *vm) {
        return request_count_files(&vm->request);
}

/* The one place where the state changes; who calls it reports the change. */
void vm_set_state(Vm *vm, VmState state) {
        assert(vm_state_may_become(vm->info.state, state));

        log_line(LOG_LEVEL_DEBUG, vm->info.name, "%s -> %s", vm_state_to_string(vm->info.state),
                 vm_state_to_string(state));
        vm->info.state = state;
}

/* vm_add_death_waiter() - have @done called when the death record exists */
int vm_add_death_waiter(Vm *vm, VmDoneFn done, void *userdata, TextError *reterr) {
        VmWaiter *grown;

        if (vm->n_death_waiters >= VM_WAITERS_MAX)
                return text_error_set(reterr, SERVICE_E_QUOTA_EXCEEDED,
                                      "kill VM \"%s\": %u calls wait for its end already",
                                      vm->info.name, VM_WAITERS_MAX);
        grown = reallocarray(vm->death_waiters, vm->n_death_waiters + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        vm->death_waiters = grown;
        vm->death_waiters[vm->n_death_waiters++] = (VmWaiter){done, userdata};
        return 0;
}

/**
 * vm_kill() - SIGKILL the VMM, or the launcher of a start under way
 * @by:   who wants it; recorded unless somebody else was first
 * @done: optional; called when the death record exists
 *
 * Return: 0, and @done will be called; SERVICE_E_NOT_RUNNING; SERVICE_E_QUOTA_EXCEEDED; negative errno.
 */
int vm_kill(Vm *vm, const StopRequest *by, VmDoneFn done, void *userdata, TextError *reterr) {
        int r;

        if (!vm_is_active(vm))
                return text_error_set(reterr, SERVICE_E_NOT_RUNNING,
                                      "kill VM \"%s\": it is %s, not running", vm->info.name,
                                      vm_state_to_string(vm->info.state));
        if (done) {
                r = vm_add_death_waiter(vm, done, userdata, reterr);
                if (r != 0)
                        return r;
        }
        if (vm->stop.by == STOP_BY_NOBODY)
                vm->stop = *by;
        /* On record before the signal: whoever sees its effect must know whose it was. */
        if (!vm->kill_sent) {
                vm->kill_sent = true;
                vm_save(vm);
        }
        r = vm_kill_process(vm);
        if (r < 0) {
                if (done)
                        vm->n_death_waiters--;
                return text_error_set(reterr, r, "kill VM \"%s\", process %u: %s", vm->info.name,
                                      vm->info.pid, strerror(-r));
        }
        return 0;
}

/**
 * vm_terminate() - SIGTERM, upon which a VMM stops its guest and ends; a start under way is killed
 * @by: who wants it; recorded unless somebody else was first
 *
 * Return: 0, and the end follows unless the VMM has other ideas; SERVICE_E_NOT_RUNNING; negative errno.
 */
int vm_terminate(Vm *vm, const StopRequest *by) {
        if (!vm_is_active(vm))
                return SERVICE_E_NOT_RUNNING;
        if (vm->phase != VM_PHASE_EXECUTED)
                return vm_kill(vm, by, NULL, NULL, NULL);
        if (vm->stop.by == STOP_BY_NOBODY) {
                vm->stop = *by;
                vm_save(vm);
        }
        return vm->vmm ? process_kill(vm->vmm, SIGTERM) : 0;
}
