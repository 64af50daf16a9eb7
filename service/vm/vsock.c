/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/log.h"
#include "service/fd_budget.h"
#include "service/monitor/unix_name.h"
#include "service/monitor/vsock_host.h"
#include "service/store/fdstore.h"
#include "service/vm/internal.h"

/*
 * The sockets of a VM's guest: either Unix sockets in the VM's directory, which the VMM connects, or the host kernel's,
 * where the VM has its context id. In both cases the guest tells of its payload at port CID of the host.
 */

#define VSOCK_DIR "vsock"
#define NOTIFY_NAME "vsock_%u"
#define DIAL_NAME "vsock" /* in VSOCK_DIR; the VMM's */

static int open_dir(const Vm *vm) {
        _cleanup_(fd_closep) int dir = unix_name_open_dir(AT_FDCWD, vm->dir);

        if (dir < 0)
                return dir;
        if (mkdirat(dir, VSOCK_DIR, 0700) < 0 && errno != EEXIST)
                return -errno;
        return unix_name_open_dir(dir, VSOCK_DIR);
}

static int hear_guest(Vm *vm, int fd) {
        int r;

        if (fd < 0)
                return fd;
        vm->notify = notify_free(vm->notify);
        r = notify_new(vm->env->event, fd, vm_payload_take, vm, &vm->notify);
        if (r >= 0 && vm->info.vhost_vsock)
                notify_require_cid(vm->notify, vm->info.cid);
        return r;
}

static int listen_in(const Vm *vm, int dir) {
        char name[sizeof(NOTIFY_NAME) + 10];

        (void) snprintf(name, sizeof(name), NOTIFY_NAME, vm->info.cid);
        return notify_listen(dir, name);
}

/**
 * vm_make_vsock() - what the VMM needs to connect its guest's sockets, and our ear among them
 * @ret: the member that the VM's kind of sockets needs is set, owned by the caller
 *
 * Return: 0; -EADDRINUSE when another VM of the host has the context id; other negative errno.
 */
int vm_make_vsock(Vm *vm, VmVsockEnds *ret) {
        _cleanup_(fd_closep) int fd =
                vm->info.vhost_vsock ? vsock_host_open(vm->info.cid) : open_dir(vm);
        int r;

        if (fd < 0)
                return fd;
        r = hear_guest(vm, vm->info.vhost_vsock ? notify_listen_vsock(vm->info.cid)
                                                : listen_in(vm, fd));
        if (r < 0)
                return r;
        *(vm->info.vhost_vsock ? &ret->vhost : &ret->dir) = TAKE_FD(fd);
        return 0;
}

/** vm_attach_vsock() - hear the guest of a VM that an earlier daemon started; failing that is logged */
void vm_attach_vsock(Vm *vm) {
        _cleanup_(fd_closep) int dir = -EBADF;
        int fd = fdstore_take(vm->env->fdstore, vm->info.id, "notify"), r;

        if (fd < 0 && vm->info.vhost_vsock)
                fd = notify_listen_vsock(vm->info.cid);
        else if (fd < 0) {
                dir = open_dir(vm);
                fd = dir < 0 ? dir : listen_in(vm, dir);
        }
        r = hear_guest(vm, fd);
        if (r < 0)
                log_line(LOG_LEVEL_WARNING, vm->info.name,
                         "listen for the guest: %s; its payload's state stays as it is",
                         strerror(-r));
}

static int connect_vmm(const Vm *vm) {
        _cleanup_(fd_closep) int dir = open_dir(vm);

        return dir < 0 ? dir : unix_name_connect(dir, DIAL_NAME, SOCK_STREAM);
}

/**
 * vm_dial() - begin a connection to @port of the guest
 * @done: as dial_new() says
 *
 * Return: 0; negative errno.
 */
int vm_dial(const Vm *vm, uint32_t port, usec_t timeout_usec, DialDoneFn done, void *userdata,
            Dial **ret) {
        _cleanup_(fd_closep) int fd = -EBADF;
        int r;

        fd = vm->info.vhost_vsock ? vsock_host_connect(vm->info.cid, port) : connect_vmm(vm);
        if (fd < 0)
                return fd;
        r = fd_budget_check(fd);
        if (r < 0)
                return r;
        if (vm->info.vhost_vsock)
                return dial_new_connecting(vm->env->event, TAKE_FD(fd), timeout_usec, done,
                                           userdata, ret);
        return dial_new(vm->env->event, TAKE_FD(fd), port, timeout_usec, done, userdata, ret);
}
