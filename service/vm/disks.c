/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/vm/internal.h"

/*
 * Disks of a VM that runs. Which there are the VMM knows alone, since its guest may let go of one at any time: nothing is
 * remembered here, so that there is nothing to forget either. Of a file that is added only the VMM keeps a descriptor.
 */

/* A guest has 10 s to let go of a disk; then the VMM says that it did not. */
#define REMOVE_USEC (15 * USEC_PER_SEC)

/* Disks come and go by requests that our VMM has and a crosvm has not. */
static int require_hotplug(const Vm *vm, const char *act, TextError *reterr) {
        if (vm->env->vmm_dialect == VMM_DIALECT_VIVARIUM)
                return 0;
        return text_error_set(reterr, SERVICE_E_UNSUPPORTED,
                              "%s VM \"%s\": its VMM is a crosvm, whose disks stay as they are",
                              act, vm->info.name);
}

/** vm_list_disks() - what there is now, as CONTROL_ANSWER_DISKS. Return: as vm_ask(); SERVICE_E_UNSUPPORTED. */
int vm_list_disks(Vm *vm, VmAnswerFn done, void *userdata, TextError *reterr) {
        const ControlRequest request = {.kind = CONTROL_DISK_LIST, .fd_index = -1};
        const VmQuestion question = {.request = &request,
                                     .file = -EBADF,
                                     .act = "list the disks of",
                                     .answered = done,
                                     .userdata = userdata};
        int r = require_hotplug(vm, question.act, reterr);

        return r != 0 ? r : vm_question(vm, &question, reterr);
}

/* What a guest can have as a file's name below /dev/disk/by-id, and a list of options as a value. */
static bool is_serial(const char *text) {
        static const char allowed[] =
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
        size_t len = strlen(text);

        return len > 0 && len <= CONTROL_DISK_ID_MAX && strspn(text, allowed) == len;
}

/**
 * vm_add_disk() - plug a disk into a VM that runs
 * @disk: its file is borrowed; the VMM gets one of its own
 * @done: its value is the disk's number
 *
 * Return: as vm_ask(); SERVICE_E_INVALID_CONFIG for a file or a serial number that is none; SERVICE_E_UNSUPPORTED.
 */
int vm_add_disk(Vm *vm, const VmNewDisk *disk, VmReplyFn done, void *userdata, TextError *reterr) {
        char list[sizeof("ro=false,id=") + CONTROL_DISK_ID_MAX];
        ControlRequest request = {.kind = CONTROL_DISK_ADD, .fd_index = 0, .text = list};
        const VmQuestion question = {.request = &request,
                                     .file = disk->file,
                                     .act = "add a disk to",
                                     .done = done,
                                     .userdata = userdata};
        int r = require_hotplug(vm, question.act, reterr);

        if (r == 0)
                r = request_check_image(disk->file, "file", disk->writable, reterr);
        if (r != 0)
                return r;
        if (disk->serial && !is_serial(disk->serial))
                return text_error_set(reterr, SERVICE_E_INVALID_CONFIG,
                                      "option \"serial\": expected 1 to %u letters, digits, dots, "
                                      "dashes and underscores",
                                      CONTROL_DISK_ID_MAX);
        (void) snprintf(list, sizeof(list), "ro=%s%s%s", disk->writable ? "false" : "true",
                        disk->serial ? ",id=" : "", disk->serial ?: "");
        return vm_question(vm, &question, reterr);
}

/**
 * vm_remove_disk() - have the guest let go of a disk
 *
 * Return: as vm_ask(); SERVICE_E_INVALID_TRANSITION for a suspended VM, whose guest cannot; SERVICE_E_UNSUPPORTED.
 */
int vm_remove_disk(Vm *vm, uint32_t number, VmReplyFn done, void *userdata, TextError *reterr) {
        const ControlRequest request = {
                .kind = CONTROL_DISK_REMOVE, .fd_index = -1, .flag = true, .index = number};
        const VmQuestion question = {.request = &request,
                                     .file = -EBADF,
                                     .timeout_usec = REMOVE_USEC,
                                     .act = "remove a disk of",
                                     .done = done,
                                     .userdata = userdata};
        int r = require_hotplug(vm, question.act, reterr);

        if (r != 0)
                return r;
        if (vm->info.suspended)
                return text_error_set(reterr, SERVICE_E_INVALID_TRANSITION,
                                      "remove a disk of VM \"%s\": it is suspended, and its guest "
                                      "cannot let go",
                                      vm->info.name);
        return vm_question(vm, &question, reterr);
}

/**
 * vm_resize_disk() - change the size of a disk and of its file, and tell the guest
 *
 * Return: as vm_ask(); what cannot be the VMM says.
 */
int vm_resize_disk(Vm *vm, uint32_t number, uint64_t bytes, VmReplyFn done, void *userdata,
                   TextError *reterr) {
        const ControlRequest request = {
                .kind = CONTROL_DISK_RESIZE, .fd_index = -1, .index = number, .bytes = bytes};

        /* The protocol's numbers are JSON's, which have a sign. */
        if (bytes > INT64_MAX - 1)
                return text_error_set(reterr, SERVICE_E_INVALID_CONFIG,
                                      "resize a disk of VM \"%s\": no disk is that large",
                                      vm->info.name);
        return vm_ask(vm, &request, "resize a disk of", done, userdata, reterr);
}
