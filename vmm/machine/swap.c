/* SPDX-License-Identifier: Apache-2.0 */

/* Guest memory that is moved away on request: --swap, and what the control socket asks of it. */

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/fd.h"
#include "vmm/machine/machine_internal.h"
#include "vmm/swap/swap.h"

struct MachineSwap {
        Swap *swap;         /* owned */
        int wake_fd;        /* owned eventfd: @result is there */
        LoopSource *wake;   /* owned */
        ControlCall *call;  /* owned: of an enable that is under way, or NULL */
        _Atomic int result; /* of that; written by the thread of @swap */
};

static void moved(void *userdata, int r) {
        MachineSwap *swap = userdata;

        atomic_store(&swap->result, r);
        (void) eventfd_write(swap->wake_fd, 1);
}

static void on_moved(void *userdata, int fd, uint32_t events) {
        MachineSwap *swap = userdata;
        eventfd_t count;
        int r;

        (void) eventfd_read(fd, &count);
        r = atomic_load(&swap->result);
        if (!swap->call)
                return;
        if (r == 0)
                control_call_ok(TAKE(swap->call));
        else
                control_call_fail(TAKE(swap->call), "%s",
                                  r == -ECANCELED ? "another request came" : strerror(-r));
}

static const char *state_name(SwapState state) {
        switch (state) {
        case SWAP_READY:
                return "Ready";
        case SWAP_FAILED:
                return "Failed";
        case SWAP_PENDING:
                return "Pending";
        case SWAP_TRIM_IN_PROGRESS:
                return "TrimInProgress";
        case SWAP_OUT_IN_PROGRESS:
                return "SwapOutInProgress";
        case SWAP_ACTIVE:
                return "Active";
        case SWAP_IN_IN_PROGRESS:
                return "SwapInInProgress";
        }
        return "Failed";
}

static void on_status(void *userdata, ControlCall *call) {
        const MachineSwap *swap = userdata;
        ControlAnswer answer = {.kind = CONTROL_ANSWER_SWAP};
        SwapStatus status;

        swap_status(swap->swap, &status);
        answer.swap = (ControlSwap){
                .state = state_name(status.state),
                .resident_pages = status.resident,
                .copied_from_file_pages = status.counts.from_file,
                .copied_from_staging_pages = status.counts.from_staging,
                .zeroed_pages = status.counts.zeroed,
                .redundant_pages = status.counts.redundant,
                .staging_pages = status.staged,
                .swap_pages = status.filed,
                .transition_pages = status.transition.pages,
                .transition_ms = status.transition.nsec / (NSEC_PER_SEC / 1000),
        };
        control_call_answer(call, &answer);
}

static SwapCommand command_of(const ControlRequest *request) {
        switch ((unsigned) request->kind) {
        case CONTROL_SWAP_TRIM:
                return SWAP_TRIM;
        case CONTROL_SWAP_OUT:
                return SWAP_OUT;
        case CONTROL_SWAP_DISABLE:
                return request->flag ? SWAP_DISABLE_SLOWLY : SWAP_DISABLE;
        default:
                return SWAP_ENABLE;
        }
}

/* All but Enable are answered when they have begun, as in crosvm: Status tells of their end. */
static void on_command(void *userdata, ControlCall *call) {
        const SwapCommand command = command_of(control_call_request(call));
        MachineSwap *swap = userdata;
        SwapStatus status;

        if (command == SWAP_ENABLE && swap->call) {
                control_call_fail(call, "memory is being moved already");
                return;
        }
        if (swap_command(swap->swap, command) < 0) {
                swap_status(swap->swap, &status);
                control_call_fail(call, "not while it is %s%s", state_name(status.state),
                                  status.moving ? ", and memory is still being moved" : "");
                return;
        }
        if (command == SWAP_ENABLE)
                swap->call = call;
        else
                control_call_ok(call);
}

static void on_none(void *userdata, ControlCall *call) {
        control_call_fail(call, "the VM was started without --swap");
}

static const ControlKind kinds[] = {
        CONTROL_SWAP_ENABLE,
        CONTROL_SWAP_TRIM,
        CONTROL_SWAP_OUT,
        CONTROL_SWAP_DISABLE,
};

static int open_swap(Machine *machine, const char *directory, TextError *reterr) {
        MachineSwap *swap = machine->swap = calloc(1, sizeof(*swap));
        const SwapConfig config = {
                .mem = machine->mem,
                .directory = directory,
                .moved = moved,
                .userdata = swap,
        };
        int r;

        if (!swap)
                return -ENOMEM;
        swap->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (swap->wake_fd < 0)
                return -errno;
        r = loop_add_fd(machine->loop, swap->wake_fd, EPOLLIN, on_moved, swap, &swap->wake);
        if (r < 0)
                return r;
        r = swap_new(&config, &swap->swap, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "--swap");
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                control_server_handle(machine->control, kinds[i], on_command, swap);
        control_server_handle(machine->control, CONTROL_SWAP_STATUS, on_status, swap);
        return 0;
}

/**
 * machine_open_swap() - open what --swap takes, if it is there, and serve its requests
 *
 * After the memory is there and before anything is in it. Return: 0; negative errno with a sentence.
 */
int machine_open_swap(Machine *machine, const VmmConfig *config, TextError *reterr) {
        if (config->swap) {
                /* Huge pages would be given to the guest in place of pages that are away. */
                (void) guest_mem_use_small_pages(machine->mem);
                return open_swap(machine, config->swap, reterr);
        }
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                control_server_handle(machine->control, kinds[i], on_none, machine);
        control_server_handle(machine->control, CONTROL_SWAP_STATUS, on_none, machine);
        return 0;
}

/**
 * machine_check_swap_disk() - whether @disk can be used beside --swap
 *
 * Its file may have been opened for direct access by whoever passed it, which no option tells.
 * Return: 0; -EINVAL with a sentence.
 */
int machine_check_swap_disk(const Machine *machine, const BlockDev *disk, TextError *reterr) {
        if (!machine->swap || !block_is_direct(disk))
                return 0;
        return text_error_set(reterr, -EINVAL,
                              "a disk with direct access and --swap exclude each other: the host's "
                              "kernel writes to pages that may have left meanwhile");
}

/** machine_start_swap() - make the thread that serves faults; before the loop takes its filter */
int machine_start_swap(Machine *machine) {
        return machine->swap ? swap_start(machine->swap->swap) : 0;
}

/** machine_hold_memory() - nothing is moved away from guest memory until as many machine_release_memory() */
void machine_hold_memory(const Machine *machine) {
        if (machine->swap)
                swap_hold(machine->swap->swap);
}

/** machine_release_memory() - undo one machine_hold_memory() */
void machine_release_memory(const Machine *machine) {
        if (machine->swap)
                swap_release(machine->swap->swap);
}

/** machine_swap_free() - release; nobody needs guest memory any more. Return: NULL. */
MachineSwap *machine_swap_free(MachineSwap *swap) {
        if (!swap)
                return NULL;
        (void) swap_free(swap->swap);
        (void) loop_remove(swap->wake);
        (void) fd_close(swap->wake_fd);
        free(swap);
        return NULL;
}
