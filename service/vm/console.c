/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "service/fd_budget.h"
#include "service/vm/internal.h"

/*
 * The console and the log of a VM as far as its creator passed no descriptors for them. Keys are the service's only if
 * the console is, and nobody else feeds it.
 */

#define CONSOLE_FILE "console"
#define LOG_FILE "log"

static bool tell_line(Vm *vm, VmStreamKind stream, LineKind kind, const char *line) {
        return vm->env->line(vm->env->userdata, vm, stream, kind, line);
}

static bool on_console_line(void *userdata, LineKind kind, const char *line) {
        return tell_line(userdata, VM_STREAM_CONSOLE, kind, line);
}

static bool on_log_line(void *userdata, LineKind kind, const char *line) {
        return tell_line(userdata, VM_STREAM_LOG, kind, line);
}

static Console **console_of(Vm *vm, VmStreamKind stream) {
        return stream == VM_STREAM_CONSOLE ? &vm->console : &vm->log;
}

/* To a new pipe if @ret_write_fd is not NULL, else to the reading end in @read_fd, which is consumed. */
static int make(Vm *vm, VmStreamKind stream, int read_fd, int *ret_write_fd) {
        const bool log = stream == VM_STREAM_LOG;
        _cleanup_(fd_closep) int kept = vm_open_kept(vm, log ? LOG_FILE : CONSOLE_FILE);
        const ConsoleSpec spec = {.file = kept,
                                  .line = log ? on_log_line : on_console_line,
                                  .shared = vm->env->lines,
                                  .userdata = vm};
        Console **ret = console_of(vm, stream);

        return ret_write_fd ? console_new(vm->env->event, &spec, ret, ret_write_fd)
                            : console_attach(vm->env->event, &spec, read_fd, ret);
}

/**
 * vm_make_consoles() - the streams that the request leaves to the service
 * @ends: gets the VMM's ends of their pipes, owned by the caller; -EBADF where the VM's creator has the stream
 *
 * Return: 0 or negative errno.
 */
int vm_make_consoles(Vm *vm, VmConsoleEnds *ends) {
        const VmRequest *request = &vm->request;
        int r = 0;

        if (request->console_out < 0)
                r = make(vm, VM_STREAM_CONSOLE, -EBADF, &ends->console);
        if (r == 0 && vm->console && request->console_in < 0)
                r = console_make_keys(vm->console, &ends->keys);
        if (r == 0 && request->log_out < 0)
                r = make(vm, VM_STREAM_LOG, -EBADF, &ends->log);
        return r;
}

/**
 * vm_attach_console() - go on with a stream that an earlier daemon made
 * @read_fd:  of its pipe; consumed
 * @write_fd: of the pipe for keys, -EBADF if there is none; consumed
 *
 * Return: 0 or negative errno.
 */
int vm_attach_console(Vm *vm, VmStreamKind stream, int read_fd, int write_fd) {
        int r = make(vm, stream, read_fd, NULL);

        if (r < 0) {
                (void) fd_close(write_fd);
                return r;
        }
        return write_fd < 0 ? 0 : console_attach_keys(*console_of(vm, stream), write_fd);
}

/** vm_open_console() - one more viewer of a stream
 * @ret_fd: its socket, owned by the caller
 *
 * Return: 0; SERVICE_E_NOT_RUNNING; SERVICE_E_UNSUPPORTED when the VM's creator has that stream;
 * SERVICE_E_QUOTA_EXCEEDED; negative errno.
 */
int vm_open_console(Vm *vm, VmStreamKind stream, int *ret_fd, TextError *reterr) {
        const char *what = stream == VM_STREAM_CONSOLE ? "console" : "log";
        Console *console = *console_of(vm, stream);
        int r;

        if (!vm_is_active(vm))
                return text_error_set(reterr, SERVICE_E_NOT_RUNNING,
                                      "open the %s of VM \"%s\": it is %s, not running", what,
                                      vm->info.name, vm_state_to_string(vm->info.state));
        if (!console)
                return text_error_set(reterr, SERVICE_E_UNSUPPORTED,
                                      "open the %s of VM \"%s\": its creator passed a descriptor "
                                      "for it, and has it alone",
                                      what, vm->info.name);
        r = console_view(console, ret_fd);
        if (r == 0 && fd_budget_check(*ret_fd) < 0) {
                *ret_fd = fd_close(*ret_fd);
                r = -EMFILE;
        }
        if (r == -EUSERS)
                return text_error_set(reterr, SERVICE_E_QUOTA_EXCEEDED,
                                      "open the %s of VM \"%s\": %u others have it open already",
                                      what, vm->info.name, CONSOLE_VIEWERS_MAX);
        if (r == -EMFILE)
                return text_error_set(reterr, SERVICE_E_QUOTA_EXCEEDED,
                                      "open the %s of VM \"%s\": VMs hold as many descriptors as "
                                      "they may",
                                      what, vm->info.name);
        return r;
}
