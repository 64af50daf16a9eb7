/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/log.h"
#include "service/vm/internal.h"

/* A guest that is asked for a part of its memory is asked first how much it has, and then for so much of it. */

/* Return: 0 or -EOPNOTSUPP. */
static int choose(const VmInfo *info, const VmTrim *trim, const ControlBalloon *balloon,
                  uint64_t *ret) {
        const TrimGuest guest = {.memory = info->memory_bytes,
                                 .total = balloon->total_memory,
                                 .available = balloon->available_memory,
                                 .given = balloon->balloon_actual,
                                 .asked = info->balloon_bytes,
                                 .own_choice = info->balloon_choice};

        return trim->way == VM_TRIM_TO_LEVEL
                       ? trim_to_level(&guest, trim->level, ret)
                       : trim_by_pressure(&guest, trim->level, trim->way == VM_TRIM_RISING, ret);
}

/* Return: as vm_question(). */
static int ask(Vm *vm, const VmTrim *trim, const ControlRequest *request, VmReplyFn done,
               void *userdata, TextError *reterr) {
        return vm_question(vm,
                           &(VmQuestion){.request = request,
                                         .file = -EBADF,
                                         .act = "trim",
                                         .done = done,
                                         .userdata = userdata,
                                         .trim = *trim},
                           reterr);
}

/* vm_trim_by_stats() - the guest told how its memory is; @done is called now or later */
void vm_trim_by_stats(Vm *vm, const VmTrim *trim, const ControlBalloon *balloon, VmReplyFn done,
                      void *userdata) {
        _cleanup_(text_error_deinit) TextError error = {0};
        ControlRequest request = {.kind = CONTROL_BALLOON_ADJUST, .fd_index = -1};
        int r = choose(&vm->info, trim, balloon, &request.bytes);

        if (r < 0)
                r = text_error_set(&error, SERVICE_E_UNSUPPORTED,
                                   "trim VM \"%s\": its guest does not tell how much memory it has",
                                   vm->info.name);
        else
                r = ask(vm, trim, &request, done, userdata, &error);
        if (r != 0)
                done(userdata, r, 0, text_error_message(&error, r));
}

static const ControlRequest how_it_is = {.kind = CONTROL_BALLOON_STATS, .fd_index = -1};

/**
 * vm_trim() - ask the guest to give up a part of the memory that it says it has, no more and no less
 * @done: gets the bytes that it was asked for
 *
 * Return: as vm_ask(); @done gets SERVICE_E_UNSUPPORTED of a guest that does not say.
 */
int vm_trim(Vm *vm, TrimLevel level, VmReplyFn done, void *userdata, TextError *reterr) {
        return ask(vm, &(VmTrim){VM_TRIM_TO_LEVEL, level}, &how_it_is, done, userdata, reterr);
}

static void on_followed(void *userdata, int r, uint64_t value, const char *message) {
        const Vm *vm = userdata;

        if (r != 0)
                log_line(LOG_LEVEL_DEBUG, vm->info.name, "%s, ignoring", message);
        else
                log_line(LOG_LEVEL_INFO, vm->info.name, "asked for %llu MiB",
                         (unsigned long long) (value >> 20));
}

/** vm_follow_pressure() - the host's pressure came to @level; a guest that cannot follow, or need not, does not */
void vm_follow_pressure(Vm *vm, TrimLevel level, bool rising) {
        /* Who gets all back is not asked how it is. */
        const ControlRequest all_back = {
                .kind = CONTROL_BALLOON_ADJUST, .fd_index = -1, .bytes = vm->info.balloon_choice};
        const VmTrim trim = {rising ? VM_TRIM_RISING : VM_TRIM_FALLING, level};
        _cleanup_(text_error_deinit) TextError error = {0};
        int r;

        if (!vm->info.auto_balloon || vm->info.state != VM_RUNNING || vm->info.suspended ||
            (!rising && !vm_is_trimmed(vm)))
                return;
        r = ask(vm, &trim, level == TRIM_NONE ? &all_back : &how_it_is, on_followed, vm, &error);
        if (r != 0)
                on_followed(vm, r, 0, text_error_message(&error, r));
}

/** vm_is_trimmed() - whether the host's pressure has the guest give up more than its owner wants */
bool vm_is_trimmed(const Vm *vm) {
        return vm->info.auto_balloon && vm->info.state == VM_RUNNING &&
               vm->info.balloon_bytes > vm->info.balloon_choice;
}
