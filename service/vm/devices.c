/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "service/vm/internal.h"

/*
 * What a VM gets besides its client's files: network interfaces and the sockets of those who serve its folders. All of
 * it is descriptors, which the keeper's spawn passes on, and of which nothing stays here after it.
 */

/* Names without spaces, with spaces between them. */
static int take_names(Vm *vm) {
        _cleanup_(strbuf_deinit) StrBuf names = {0};

        for (size_t i = 0; i < vm->cards.n; i++) {
                const char *name = vm->cards.interfaces[i];

                if (*name)
                        strbuf_printf(&names, "%s%s", names.len > 0 ? " " : "", name);
        }
        free(TAKE(vm->info.interfaces)); /* of a start that the last daemon did not finish */
        return strbuf_finish(&names, &vm->info.interfaces);
}

static void on_taps_made(void *userdata, int r, const char *message) {
        Vm *vm = userdata;

        vm->tap_job = NULL; /* frees itself */
        if (r == 0)
                r = take_names(vm);
        if (r == 0)
                r = vm_launch_keeper(vm);
        else
                vm_set_start_error(vm,
                                   vm->kill_sent ? "it was killed before the VMM ran" : message);
        if (r < 0)
                vm_end(vm, /* ran= */ false);
}

static int ask_for_taps(Vm *vm) {
        const TapSpec spec = {.vm_id = vm->info.id,
                              .vm_name = vm->info.name,
                              .cid = vm->info.cid,
                              .networks = vm->request.config.networks,
                              .cards = &vm->cards};
        _cleanup_(text_error_deinit) TextError error = {0};
        int r;

        /* On record before there is one. */
        vm->has_taps = true;
        vm_save(vm);
        r = tap_job_new(vm->env->event, vm->env->netd_socket, &spec, on_taps_made, vm,
                        &vm->tap_job);
        if (r < 0) {
                text_error_set(&error, r, "reach vivarium-netd at %s: %s", vm->env->netd_socket,
                               strerror(-r));
                vm_set_start_error(vm, text_error_message(&error, r));
        }
        return r;
}

/**
 * vm_make_devices() - what vm_launch_keeper() needs
 * @ret_wait: it is not there yet; the start goes on by itself when it is
 *
 * Return: 0; negative errno, with the reason set.
 */
int vm_make_devices(Vm *vm, bool *ret_wait) {
        _cleanup_(text_error_deinit) TextError error = {0};
        int r;

        r = cards_prepare(&vm->request.config, vm->info.name, vm->env->netd_socket != NULL,
                          &vm->cards, &error);
        if (r == 0) {
                r = share_sockets_make(vm->dir, &vm->request.config, &vm->shares);
                if (r < 0)
                        text_error_set(&error, r, "make sockets in %s: %s", vm->dir, strerror(-r));
        }
        if (r < 0) {
                vm_set_start_error(vm, text_error_message(&error, r));
                return r;
        }
        *ret_wait = cards_have_bridges(&vm->cards);
        return *ret_wait ? ask_for_taps(vm) : 0;
}

/** vm_close_devices() - the keeper has them, or nobody will */
void vm_close_devices(Vm *vm) {
        cards_close(&vm->cards);
        share_sockets_close(&vm->shares);
}

/* The keeper reaps it, or we if there is no keeper any more. */
static void on_server_ended(void *userdata) {
        VmServer *server = userdata;
        const Vm *vm = server->vm;
        ProcessExit end;

        (void) process_reap(server->process, &end);
        if (!vm->vmm_ended)
                log_line(LOG_LEVEL_INFO, vm->info.name, "what served shared_paths[%zu] ended",
                         (size_t) (server - vm->servers));
        server->process = process_leave(server->process);
}

/** vm_watch_servers() - know the processes that serve the VM's folders */
void vm_watch_servers(Vm *vm, const KeeperRecord *record) {
        for (size_t i = 0; i < VM_SHARES_MAX; i++) {
                const KeeperProcess *process = &record->servers[i].process;
                VmServer *server = &vm->servers[i];

                server->vm = vm;
                if (process->pid == 0 ||
                    process_attach(process->pid, process->start_time, -EBADF, &server->process) < 0)
                        continue;
                if (process_watch(server->process, vm->env->event, on_server_ended, server) < 0)
                        server->process = process_leave(server->process);
        }
}

/** vm_leave_servers() - know them no more, whatever becomes of them */
void vm_leave_servers(Vm *vm) {
        for (size_t i = 0; i < VM_SHARES_MAX; i++)
                vm->servers[i].process = process_leave(vm->servers[i].process);
}

/** vm_tell_server_ends() - in the record of the VM's death: which ended badly before the VMM */
void vm_tell_server_ends(Vm *vm, const KeeperRecord *record) {
        for (size_t i = 0; i < VM_SHARES_MAX; i++) {
                const KeeperServer *server = &record->servers[i];
                _cleanup_(freep) char *text = NULL;

                if (server->end == KEEPER_END_NONE)
                        continue;
                if (asprintf(&text, "what served shared_paths[%zu] had ended before with %s %d", i,
                             server->end == KEEPER_END_EXITED ? "status" : "signal",
                             server->status) < 0) {
                        text = NULL;
                        continue;
                }
                log_line(LOG_LEVEL_WARNING, vm->info.name, "%s", text);
                if (!vm->info.record.message)
                        vm->info.record.message = TAKE(text);
        }
}

/** vm_release_devices() - the VM is over */
void vm_release_devices(Vm *vm) {
        int r;

        vm->tap_job = tap_job_free(vm->tap_job);
        vm_close_devices(vm);
        for (size_t i = 0; i < VM_SHARES_MAX; i++)
                if (vm->servers[i].process)
                        (void) process_kill(vm->servers[i].process, SIGKILL);
        vm_leave_servers(vm);
        free(TAKE(vm->info.interfaces));
        if (!vm->has_taps || !vm->env->netd_socket)
                return;
        vm->has_taps = false;
        r = taps_release(vm->env->netd_socket, vm->info.id);
        if (r < 0)
                log_line(LOG_LEVEL_DEBUG, vm->info.name, "reach vivarium-netd: %s, ignoring",
                         strerror(-r));
}
