/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "service/store/state_file.h"
#include "service/vm/fields.h"
#include "service/vm/internal.h"

/*
 * A VM as the next daemon finds it. Its state file says what it is and what the daemon did with it; what became of its
 * process the keeper's record says; descriptors come from systemd's store or from the keeper. restore.c reads what
 * is written here.
 */

static const char *const process_names[] = {"keeper", "vmm", "failure", "console",
                                            "keys",   "log", "stderr",  "notify"};

/** vm_stream() - the @i-th of the request's streams, named as in the descriptor store */
int *vm_stream(VmRequest *request, size_t i, const char **ret_name) {
        static const char *const names[VM_STREAMS] = {"console-out", "console-in", "log-out"};
        int *const streams[VM_STREAMS] = {&request->console_out, &request->console_in,
                                          &request->log_out};

        *ret_name = names[i];
        return streams[i];
}

static bool same_open_file(int a, int b) {
        pid_t self = getpid();

        return syscall(SYS_kcmp, self, self, KCMP_FILE, (unsigned long) a, (unsigned long) b) == 0;
}

/* systemd keeps one of two descriptors of one open file, so the second is found under the name of the first. */
static size_t first_of_file(const VmRequest *request, size_t i) {
        for (size_t j = 0; j < i; j++)
                if (same_open_file(request->files[j].fd, request->files[i].fd))
                        return j;
        return i;
}

/** vm_store_files() - the client's descriptors go to the store until the VMM has them */
void vm_store_files(Vm *vm) {
        const char *name;
        char what[VM_FILE_KEY_MAX];

        for (size_t i = 0; i < vm->request.n_files; i++)
                if (first_of_file(&vm->request, i) == i)
                        fdstore_push(vm->env->fdstore, vm->info.id, vm_file_key(what, i),
                                     vm->request.files[i].fd);
        for (size_t i = 0; i < VM_STREAMS; i++) {
                int fd = *vm_stream(&vm->request, i, &name);

                fdstore_push(vm->env->fdstore, vm->info.id, name, fd);
        }
        vm->n_stored = vm->request.n_files;
        vm->files_stored = true;
}

/** vm_unstore_files() - take back what vm_store_files() gave, if it did */
void vm_unstore_files(Vm *vm) {
        VmRequest none;
        const char *name;
        char what[VM_FILE_KEY_MAX];

        if (!vm->files_stored)
                return;
        request_init(&none);
        for (size_t i = 0; i < vm->n_stored; i++)
                fdstore_remove(vm->env->fdstore, vm->info.id, vm_file_key(what, i));
        for (size_t i = 0; i < VM_STREAMS; i++) {
                (void) vm_stream(&none, i, &name);
                fdstore_remove(vm->env->fdstore, vm->info.id, name);
        }
        vm->files_stored = false;
}

/** vm_store_processes() - pidfds and pipes of a VM that runs */
void vm_store_processes(Vm *vm) {
        const struct {
                const char *what;
                int fd;
        } all[] = {{"keeper", vm->keeper ? process_pidfd(vm->keeper) : -EBADF},
                   {"vmm", vm->vmm ? process_pidfd(vm->vmm) : -EBADF},
                   {"failure", vm->failure ? drain_fd(vm->failure) : -EBADF},
                   {"console", vm->console ? console_fd(vm->console) : -EBADF},
                   {"keys", vm->console ? console_keys_fd(vm->console) : -EBADF},
                   {"log", vm->log ? console_fd(vm->log) : -EBADF},
                   {"stderr", vm->vmm_stderr ? drain_fd(vm->vmm_stderr) : -EBADF},
                   {"notify", vm->notify ? notify_fd(vm->notify) : -EBADF}};

        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                fdstore_push(vm->env->fdstore, vm->info.id, all[i].what, all[i].fd);
        vm->processes_stored = true;
}

/** vm_unstore_processes() - take back what vm_store_processes() gave, if it did */
void vm_unstore_processes(Vm *vm) {
        if (!vm->processes_stored)
                return;
        for (size_t i = 0; i < ELEMENTSOF(process_names); i++)
                fdstore_remove(vm->env->fdstore, vm->info.id, process_names[i]);
        vm->processes_stored = false;
}

/* What only the daemon itself needs to know. */
static void save_progress(const Vm *vm, Fields *fields) {
        fields_set_u64(fields, "LAUNCHING", vm->phase == VM_PHASE_LAUNCHING);
        fields_set_u64(fields, "OOM_COUNT", vm->oom_count);
        fields_set_u64(fields, "KILL_SENT", vm->kill_sent);
        fields_set_u64(fields, "TOLD", vm->told);
        fields_set_u64(fields, "HAS_TAPS", vm->has_taps);
        fields_set_u64(fields, "BOOT_TIMEOUT", vm->boot_timeout_usec);
        fields_set_u64(fields, "STOP_LADDER", vm->ladder.step);
        fields_set_u64(fields, "STOP_DEADLINE", vm->ladder.deadline_usec);
}

/* The client's request, as long as it may still be needed. */
static int save_request(Vm *vm, Fields *fields) {
        _cleanup_(freep) char *json = NULL;
        const char *name;
        char key[VM_FILE_KEY_MAX];
        int r;

        if (vm_state_is_final(vm->info.state) || vm->phase == VM_PHASE_EXECUTED ||
            (!vm->request.config.kernel && !vm->request.config.bootloader))
                return 0;
        r = vm_config_to_json(&vm->request.config, &json);
        if (r < 0)
                return r;
        fields_set(fields, "CONFIG", json);
        fields_set_u64(fields, "N_FILES", vm->request.n_files);
        for (size_t i = 0; i < vm->request.n_files; i++) {
                fields_set(fields, vm_file_key(key, i), vm->request.files[i].name);
                fields_set_u64(fields, vm_same_key(key, i), first_of_file(&vm->request, i) + 1);
        }
        for (size_t i = 0; i < VM_STREAMS; i++)
                if (*vm_stream(&vm->request, i, &name) >= 0)
                        fields_set_u64(fields, name, 1);
        return 0;
}

/** vm_save() - write the state file; what cannot be written now is tried again, for nothing that happens may wait for it */
void vm_save(Vm *vm) {
        _cleanup_(fields_deinit) Fields fields = {0};
        int r;

        vm_info_to_fields(&vm->info, &vm->stop, SIZE_MAX, &fields);
        save_progress(vm, &fields);
        r = save_request(vm, &fields);
        if (r == 0)
                r = state_file_save_fields(vm->env->state_dir, vm->info.id, &fields,
                                           /* sync= */ true);
        if (r < 0 && !vm->unsaved)
                log_line(LOG_LEVEL_ERROR, vm->info.name,
                         "write the state file: %s; until that succeeds it would not survive a "
                         "restart of the service as it is",
                         strerror(-r));
        vm->unsaved = r < 0;
        if (r < 0)
                vm->env->unsaved(vm->env->userdata);
}

/** vm_is_saved() - whether the next daemon would find @vm as it is */
bool vm_is_saved(const Vm *vm) {
        return !vm->unsaved;
}

/** vm_died_was_told() - whoever wanted to know of the end knows */
void vm_died_was_told(Vm *vm) {
        vm->told = true;
        vm_save(vm);
}

/** vm_death_is_told() - whether that was so, perhaps under an earlier daemon */
bool vm_death_is_told(const Vm *vm) {
        return vm->told;
}
