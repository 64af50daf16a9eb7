/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "service/fd_budget.h"
#include "service/monitor/control.h"
#include "service/monitor/dial.h"
#include "service/monitor/unix_name.h"
#include "service/vm/internal.h"

/*
 * The control socket of a VM, and what is asked of a running VMM: each request is an operation with a deadline,
 * and whatever becomes of the VM its caller is answered once.
 */

#define CONTROL_NAME "control"
#define GDB_NAME "gdb"

#define ENDED_BEFORE "the VM ended before its VMM answered"
#define OPERATIONS_MAX 16u /* of one VM at once; the VMM has room for twice that */
#define OPERATION_USEC (10 * USEC_PER_SEC)
/* For as much memory as there is, to as slow a disk as there is. */
#define DUMP_USEC (3600 * USEC_PER_SEC)

struct VmOperation {
        Vm *vm;            /* borrowed */
        ControlCall *call; /* owned until it is done; or else: */
        Dial *dial;        /* likewise */
        ControlKind kind;
        uint64_t bytes; /* for BALLOON_ADJUST */
        VmTrim trim;
        const char *act; /* static; for messages */
        VmReplyFn done;  /* of a call; or else: */
        VmAnswerFn answered;
        VmFdFn fd_done; /* of a dial */
        void *userdata;
        TAILQ_ENTRY(VmOperation) link;
};

/**
 * vm_make_control_sockets() - where the VMM listens for requests, and for a debugger
 * @ret_control: listens; owned by the caller
 * @ret_gdb:     listens; owned by the caller; untouched unless the config asks for it
 *
 * Return: 0 or negative errno.
 */
int vm_make_control_sockets(const Vm *vm, int *ret_control, int *ret_gdb) {
        _cleanup_(fd_closep) int dir = unix_name_open_dir(AT_FDCWD, vm->dir), control = -EBADF;

        if (dir < 0)
                return dir;
        control = control_listen(dir, CONTROL_NAME);
        if (control < 0)
                return control;
        if (vm->request.config.gdb_port > 0) {
                int gdb = unix_name_listen(dir, GDB_NAME, SOCK_STREAM, 1);

                if (gdb < 0)
                        return gdb;
                *ret_gdb = gdb;
        }
        *ret_control = TAKE_FD(control);
        return 0;
}

static void free_operation(VmOperation *operation) {
        Vm *vm = operation->vm;

        TAILQ_REMOVE(&vm->operations, operation, link);
        vm->n_operations--;
        (void) control_call_free(operation->call);
        (void) dial_free(operation->dial);
        free(operation);
}

/* What the VM is like since the VMM did as it was told. */
static void take_effect(Vm *vm, const VmOperation *operation) {
        switch ((unsigned) operation->kind) {
        case CONTROL_SUSPEND_VCPUS:
        case CONTROL_RESUME_VCPUS:
                vm->info.suspended = operation->kind == CONTROL_SUSPEND_VCPUS;
                vm_save(vm);
                vm->env->changed(vm->env->userdata, vm, VM_CHANGED_SUSPENDED);
                if (!vm->info.suspended)
                        vm_await_payload(vm, clock_monotonic_usec());
                break;
        case CONTROL_BALLOON_ADJUST:
                vm->info.balloon_bytes = operation->bytes;
                if (operation->trim.way < VM_TRIM_RISING)
                        vm->info.balloon_choice = operation->bytes;
                vm_save(vm);
                vm->env->changed(vm->env->userdata, vm, VM_CHANGED_BALLOON);
                break;
        default:
                break;
        }
}

static int condition_of(int r) {
        switch (r) {
        case -EREMOTEIO:
                return SERVICE_E_UNSUPPORTED;
        case -ETIMEDOUT:
                return SERVICE_E_TIMEOUT;
        default:
                return r;
        }
}

static void explain(const VmOperation *operation, int r, const char *text, TextError *reterr) {
        text_error_set(reterr, condition_of(r), "%s VM \"%s\": %s%s", operation->act,
                       operation->vm->info.name,
                       text ? "the VMM says: " : "the VMM's answer: ", text ? text : strerror(-r));
}

/* Whether @answer is one to that request. */
static bool answer_fits(ControlKind request, const ControlAnswer *answer) {
        switch ((unsigned) request) {
        case CONTROL_BALLOON_STATS:
                return answer->kind == CONTROL_ANSWER_BALLOON;
        case CONTROL_DISK_ADD:
                return answer->kind == CONTROL_ANSWER_HOTPLUG && answer->has_disk;
        case CONTROL_DISK_LIST:
                return answer->kind == CONTROL_ANSWER_DISKS;
        default:
                return true;
        }
}

/* What was asked for, if it is a number. */
static uint64_t value_of(const VmOperation *operation, const ControlAnswer *answer) {
        switch ((unsigned) operation->kind) {
        case CONTROL_BALLOON_STATS:
                return answer->balloon.balloon_actual;
        case CONTROL_BALLOON_ADJUST:
                return operation->bytes;
        case CONTROL_DISK_ADD:
                return answer->disk;
        default:
                return 0;
        }
}

static void on_answer(void *userdata, int r, const ControlAnswer *answer, const char *text) {
        _cleanup_(text_error_deinit) TextError error = {0};
        VmOperation *operation = userdata, own = *operation;

        operation->call = NULL; /* frees itself */
        if (r == 0 && !answer_fits(own.kind, answer))
                r = -EBADMSG;
        if (r == 0 && own.kind == CONTROL_BALLOON_STATS && own.trim.way != VM_TRIM_NOT) {
                free_operation(operation);
                vm_trim_by_stats(own.vm, &own.trim, &answer->balloon, own.done, own.userdata);
                return;
        }
        if (r == 0)
                take_effect(own.vm, operation);
        else
                explain(operation, r, text, &error);
        free_operation(operation);
        if (own.done)
                own.done(own.userdata, condition_of(r), r == 0 ? value_of(&own, answer) : 0,
                         r == 0 ? NULL : text_error_message(&error, r));
        if (own.answered)
                own.answered(own.userdata, condition_of(r), r == 0 ? answer : NULL,
                             r == 0 ? NULL : text_error_message(&error, r));
}

static int connect_in(const Vm *vm, const char *name, int type) {
        _cleanup_(fd_closep) int dir = unix_name_open_dir(AT_FDCWD, vm->dir), fd = -EBADF;
        int r;

        if (dir < 0)
                return dir;
        fd = unix_name_connect(dir, name, type);
        if (fd < 0)
                return fd;
        r = fd_budget_check(fd);
        return r < 0 ? r : TAKE_FD(fd);
}

static int connect_control(const Vm *vm) {
        return connect_in(vm, CONTROL_NAME, SOCK_SEQPACKET);
}

static int connect_gdb(const Vm *vm) {
        return connect_in(vm, GDB_NAME, SOCK_STREAM);
}

static int require_running(const Vm *vm, const char *act, TextError *reterr) {
        if (vm->phase != VM_PHASE_EXECUTED || vm->vmm_ended)
                return text_error_set(reterr, SERVICE_E_NOT_RUNNING,
                                      "%s VM \"%s\": it is %s, not running", act, vm->info.name,
                                      vm_state_to_string(vm->info.state));
        return 0;
}

/* Return: as vm_ask(). */
static int new_operation(Vm *vm, const char *act, void *userdata, VmOperation **ret,
                         TextError *reterr) {
        VmOperation *operation;
        int r = require_running(vm, act, reterr);

        if (r != 0)
                return r;
        if (vm->n_operations >= OPERATIONS_MAX)
                return text_error_set(reterr, SERVICE_E_QUOTA_EXCEEDED,
                                      "%s VM \"%s\": %u calls wait for its VMM already", act,
                                      vm->info.name, OPERATIONS_MAX);
        operation = calloc(1, sizeof(*operation));
        if (!operation)
                return -ENOMEM;
        *operation = (VmOperation){.vm = vm, .act = act, .userdata = userdata};
        TAILQ_INSERT_TAIL(&vm->operations, operation, link);
        vm->n_operations++;
        *ret = operation;
        return 0;
}

/**
 * vm_question() - send a request to the VMM
 *
 * Return: 0, and whoever is to hear of the answer does, later and once; SERVICE_E_NOT_RUNNING; SERVICE_E_QUOTA_EXCEEDED;
 * negative errno.
 */
int vm_question(Vm *vm, const VmQuestion *question, TextError *reterr) {
        VmOperation *operation = NULL;
        int r = new_operation(vm, question->act, question->userdata, &operation, reterr), fd;

        if (r != 0)
                return r;
        assert(operation);
        operation->done = question->done;
        operation->answered = question->answered;
        operation->trim = question->trim;
        operation->kind = question->request->kind;
        operation->bytes = question->request->bytes;
        fd = connect_control(vm);
        r = fd < 0 ? fd
                   : control_call_new(vm->env->event, fd, question->request, question->file,
                                      question->timeout_usec ?: OPERATION_USEC, on_answer,
                                      operation, &operation->call);
        if (r < 0) {
                free_operation(operation);
                return text_error_set(reterr, r, "%s VM \"%s\": reach the VMM: %s", question->act,
                                      vm->info.name, strerror(-r));
        }
        return 0;
}

/**
 * vm_ask() - send a request to the VMM that has no file and is answered soon
 * @act:  static; what it is, for messages
 * @done: optional; called later and once
 *
 * Return: as vm_question().
 */
int vm_ask(Vm *vm, const ControlRequest *request, const char *act, VmReplyFn done, void *userdata,
           TextError *reterr) {
        const VmQuestion question = {
                .request = request, .file = -EBADF, .act = act, .done = done, .userdata = userdata};

        return vm_question(vm, &question, reterr);
}

/* The VMM writes at offsets of its choice, and waits for what it writes to. */
static int check_dump_file(const Vm *vm, int file, TextError *reterr) {
        int flags = fcntl(file, F_GETFL);
        struct stat st;

        if (flags < 0 || fstat(file, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || (flags & O_ACCMODE) == O_RDONLY ||
            (flags & (O_APPEND | O_PATH)))
                return text_error_set(reterr, SERVICE_E_INVALID_CONFIG,
                                      "dump VM \"%s\": the file must be a regular one, open for "
                                      "writing at any place",
                                      vm->info.name);
        return 0;
}

/**
 * vm_dump_memory() - have the VMM write the guest's memory and registers to @file, as an ELF core
 * @file: borrowed
 *
 * The guest stands still meanwhile. Return: as vm_ask(); SERVICE_E_INVALID_CONFIG.
 */
int vm_dump_memory(Vm *vm, int file, VmReplyFn done, void *userdata, TextError *reterr) {
        const ControlRequest request = {.kind = CONTROL_RAMDUMP, .fd_index = 0};
        const VmQuestion question = {.request = &request,
                                     .file = file,
                                     .timeout_usec = DUMP_USEC,
                                     .act = "dump",
                                     .done = done,
                                     .userdata = userdata};
        int r = check_dump_file(vm, file, reterr);

        return r != 0 ? r : vm_question(vm, &question, reterr);
}

/** vm_drop_operations() - the VM is over: answer all who wait for its VMM, or forget them if @tell is false */
void vm_drop_operations(Vm *vm, bool tell) {
        VmOperation *operation;

        while ((operation = TAILQ_FIRST(&vm->operations))) {
                VmOperation own = *operation;

                free_operation(operation);
                if (tell && own.done)
                        own.done(own.userdata, SERVICE_E_NOT_RUNNING, 0, ENDED_BEFORE);
                if (tell && own.answered)
                        own.answered(own.userdata, SERVICE_E_NOT_RUNNING, NULL, ENDED_BEFORE);
                if (tell && own.fd_done)
                        own.fd_done(own.userdata, SERVICE_E_NOT_RUNNING, -EBADF, ENDED_BEFORE);
        }
}

/** vm_suspend() - have all vCPUs leave the guest. Return: as vm_ask(); SERVICE_E_INVALID_TRANSITION. */
int vm_suspend(Vm *vm, VmReplyFn done, void *userdata, TextError *reterr) {
        const ControlRequest request = {.kind = CONTROL_SUSPEND_VCPUS, .fd_index = -1};

        if (vm->info.suspended)
                return text_error_set(reterr, SERVICE_E_INVALID_TRANSITION,
                                      "suspend VM \"%s\": it is suspended already", vm->info.name);
        return vm_ask(vm, &request, "suspend", done, userdata, reterr);
}

/** vm_wake() - have the vCPUs of a suspended VM go on. Return: as vm_ask(); SERVICE_E_NOT_SUSPENDED. */
int vm_wake(Vm *vm, VmReplyFn done, void *userdata, TextError *reterr) {
        const ControlRequest request = {.kind = CONTROL_RESUME_VCPUS, .fd_index = -1};
        int r = require_running(vm, "resume", reterr);

        if (r != 0)
                return r;
        if (!vm->info.suspended)
                return text_error_set(reterr, SERVICE_E_NOT_SUSPENDED,
                                      "resume VM \"%s\": it is not suspended", vm->info.name);
        return vm_ask(vm, &request, "resume", done, userdata, reterr);
}

/** vm_get_balloon() - how many bytes the guest has given up. Return: as vm_ask(). */
int vm_get_balloon(Vm *vm, VmReplyFn done, void *userdata, TextError *reterr) {
        const ControlRequest request = {.kind = CONTROL_BALLOON_STATS, .fd_index = -1};

        return vm_ask(vm, &request, "read the balloon of", done, userdata, reterr);
}

/**
 * vm_set_balloon() - ask the guest to give up @bytes of its memory, no more and no less
 *
 * The guest does so as it can. Return: as vm_ask(); SERVICE_E_INVALID_CONFIG for more than it has.
 */
int vm_set_balloon(Vm *vm, uint64_t bytes, VmReplyFn done, void *userdata, TextError *reterr) {
        const ControlRequest request = {
                .kind = CONTROL_BALLOON_ADJUST, .fd_index = -1, .bytes = bytes};

        if (bytes > vm->info.memory_bytes)
                return text_error_set(reterr, SERVICE_E_INVALID_CONFIG,
                                      "set the balloon of VM \"%s\": its guest has %llu MiB, "
                                      "less than it is asked for",
                                      vm->info.name,
                                      (unsigned long long) vm->info.memory_bytes >> 20);
        return vm_ask(vm, &request, "set the balloon of", done, userdata, reterr);
}

static void on_dialled(void *userdata, int r, int fd) {
        _cleanup_(text_error_deinit) TextError error = {0};
        VmOperation *operation = userdata, own = *operation;

        operation->dial = NULL; /* frees itself */
        free_operation(operation);
        if (r < 0)
                text_error_set(&error, r, "%s VM \"%s\": %s", own.act, own.vm->info.name,
                               r == -ECONNREFUSED ? "nothing listens at that port of its guest"
                                                  : strerror(-r));
        own.fd_done(own.userdata, r == -ETIMEDOUT ? SERVICE_E_TIMEOUT : r, fd,
                    r < 0 ? text_error_message(&error, r) : NULL);
}

/**
 * vm_connect_vsock() - a connection to a port of the guest
 * @port: at least VM_VSOCK_PORT_MIN
 *
 * Return: as vm_ask(); SERVICE_E_INVALID_CONFIG for a port below.
 */
int vm_connect_vsock(Vm *vm, uint32_t port, VmFdFn done, void *userdata, TextError *reterr) {
        VmOperation *operation = NULL;
        int r;

        if (port < VM_VSOCK_PORT_MIN)
                return text_error_set(reterr, SERVICE_E_INVALID_CONFIG,
                                      "connect to VM \"%s\": ports below %u are privileged",
                                      vm->info.name, VM_VSOCK_PORT_MIN);
        r = new_operation(vm, "connect to", userdata, &operation, reterr);
        if (r != 0)
                return r;
        assert(operation);
        operation->fd_done = done;
        r = vm_dial(vm, port, OPERATION_USEC, on_dialled, operation, &operation->dial);
        if (r < 0) {
                free_operation(operation);
                return text_error_set(reterr, r, "connect to VM \"%s\": reach its sockets: %s",
                                      vm->info.name, strerror(-r));
        }
        return 0;
}

/**
 * vm_open_gdb() - a connection to the stub that serves gdb
 * @ret_fd: owned by the caller
 *
 * Return: 0; SERVICE_E_NOT_RUNNING; SERVICE_E_UNSUPPORTED without a stub; negative errno.
 */
int vm_open_gdb(const Vm *vm, int *ret_fd, TextError *reterr) {
        int r = require_running(vm, "debug", reterr), fd;

        if (r != 0)
                return r;
        fd = connect_gdb(vm);
        if (fd == -ENOENT)
                return text_error_set(reterr, SERVICE_E_UNSUPPORTED,
                                      "debug VM \"%s\": its config asks for no gdb_port, or it is "
                                      "served at that port",
                                      vm->info.name);
        r = fd < 0 ? fd : fd_set_nonblock(fd, false);
        if (r < 0) {
                (void) fd_close(fd);
                return text_error_set(reterr, r, "debug VM \"%s\": reach the VMM: %s",
                                      vm->info.name, strerror(-r));
        }
        *ret_fd = fd;
        return 0;
}
