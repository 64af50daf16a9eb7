/* SPDX-License-Identifier: Apache-2.0 */

/* The memory balloon and what the control socket asks of it. A guest may be slow to answer, or never do. */

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/checked.h"
#include "base/fd.h"
#include "vmm/machine/machine_internal.h"
#include "vmm/mem/memmap.h"
#include "vmm/virtio/devices.h"

#define STATS_NSEC (10 * NSEC_PER_SEC)
#define ADJUST_NSEC (60 * NSEC_PER_SEC)

static void fail_call(ControlCall **call, const char *why) {
        if (*call)
                control_call_fail(TAKE(*call), "%s", why);
}

/* ---- the guest answers ---- */

static void got_stats(void *userdata, const VirtioBalloonStats *stats) {
        Machine *machine = userdata;
        MachineBalloon *balloon = &machine->balloon;

        balloon->stats = *stats;
        balloon->has_stats = true;
        (void) loop_set_timer(balloon->timer, 1); /* answer outside of the device's lock */
}

static void answer_stats(MachineBalloon *balloon) {
        ControlAnswer answer = {.kind = CONTROL_ANSWER_BALLOON};

        balloon_tube_name_stats(&balloon->stats, virtio_balloon_actual(balloon->device),
                                &answer.balloon);
        for (unsigned i = 0; i < balloon->n_asking; i++)
                control_call_answer(balloon->asking[i], &answer);
        balloon->n_asking = 0;
}

static void resized(void *userdata) {
        Machine *machine = userdata;
        MachineBalloon *balloon = &machine->balloon;

        if (balloon->adjusting && virtio_balloon_actual(balloon->device) == balloon->target_bytes)
                control_call_ok(TAKE(balloon->adjusting));
}

/* ---- time ---- */

static void arm(MachineBalloon *balloon) {
        uint64_t due = UINT64_MAX;

        if (balloon->has_stats)
                due = 1;
        else if (balloon->n_asking > 0)
                due = balloon->asked_until_nsec;
        if (balloon->adjusting)
                due = MIN(due, balloon->adjust_until_nsec);
        if (due != UINT64_MAX)
                (void) loop_set_timer(balloon->timer, due);
}

static void timer_fires(void *userdata) {
        Machine *machine = userdata;
        MachineBalloon *balloon = &machine->balloon;
        uint64_t now = clock_monotonic_nsec();

        if (balloon->has_stats) {
                balloon->has_stats = false;
                answer_stats(balloon);
        }
        if (balloon->n_asking > 0 && balloon->asked_until_nsec <= now)
                while (balloon->n_asking > 0)
                        fail_call(&balloon->asking[--balloon->n_asking],
                                  "the guest does not answer");
        if (balloon->adjusting && balloon->adjust_until_nsec <= now)
                fail_call(&balloon->adjusting, "the guest has not reached that size in time");
        arm(balloon);
}

/* ---- requests ---- */

static void on_adjust(void *userdata, ControlCall *call) {
        Machine *machine = userdata;
        MachineBalloon *balloon = &machine->balloon;
        const ControlRequest *request = control_call_request(call);

        if (request->bytes > machine->mem->size_bytes) {
                control_call_fail(call, "the guest has less memory than that");
                return;
        }
        fail_call(&balloon->adjusting, "another size was asked for");
        balloon->target_bytes = align_down(request->bytes, MEMMAP_PAGE_SIZE);
        virtio_balloon_set_target(balloon->device, balloon->target_bytes);
        if (!request->flag) {
                control_call_ok(call);
                return;
        }
        balloon->adjusting = call;
        balloon->adjust_until_nsec = clock_monotonic_nsec() + ADJUST_NSEC;
        resized(machine);
        arm(balloon);
}

static void on_stats(void *userdata, ControlCall *call) {
        Machine *machine = userdata;
        MachineBalloon *balloon = &machine->balloon;

        if (balloon->n_asking == ELEMENTSOF(balloon->asking)) {
                control_call_fail(call, "too many ask at once");
                return;
        }
        if (machine_snapshot_is_taken(machine)) { /* asking writes to the guest's memory */
                control_call_fail(call, "a snapshot is being taken");
                return;
        }
        if (virtio_balloon_request_stats(balloon->device) < 0) {
                control_call_fail(call, "the guest has no balloon driver");
                return;
        }
        if (balloon->n_asking == 0)
                balloon->asked_until_nsec = clock_monotonic_nsec() + STATS_NSEC;
        balloon->asking[balloon->n_asking++] = call;
        arm(balloon);
}

/* ---- whoever else may tell it ---- */

static int check_packets(int fd, TextError *reterr) {
        socklen_t len = sizeof(int);
        int type;

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
                return text_error_set(reterr, -errno, "is no socket");
        return type == SOCK_SEQPACKET
                       ? 0
                       : text_error_set(reterr, -EPROTOTYPE, "is no socket of packets");
}

static int connect_tube(Machine *machine, const VmmConfig *config, TextError *reterr) {
        _cleanup_(fd_closep) int fd = -EBADF;
        char name[160];
        int r;

        (void) snprintf(name, sizeof(name), "--balloon-control %s", config->balloon_control);
        fd = machine_connect_process(config->balloon_control, SOCK_SEQPACKET, 0, reterr);
        if (fd < 0)
                return text_error_prefix(reterr, fd, "--balloon-control");
        r = check_packets(fd, reterr);
        if (r < 0)
                return text_error_prefix(reterr, r, "%s", name);
        return balloon_tube_new_consume(machine->loop, TAKE_FD(fd), name, config->memory_bytes,
                                        &machine->balloon.tube);
}

static void refuse(void *userdata, ControlCall *call) {
        control_call_fail(call, "the balloon is told by --balloon-control");
}

/* ---- life ---- */

static int new_device(Machine *machine, const VmmConfig *config) {
        MachineBalloon *balloon = &machine->balloon;
        VirtioBalloonConfig device = {
                .loop = machine->loop,
                .strict = config->strict_balloon,
                .reporting = config->balloon_page_reporting,
                .target_bytes = config->memory_bytes -
                                MIN(config->init_memory_bytes ?: UINT64_MAX, config->memory_bytes),
                .stats = got_stats,
                .resized = resized,
                .userdata = machine,
        };
        int r;

        if (balloon->tube) {
                device.stats = balloon_tube_got_stats;
                device.resized = balloon_tube_resized;
                device.served = balloon_tube_served;
                device.userdata = balloon->tube;
        }
        r = virtio_balloon_new(&device, &balloon->device);
        if (r < 0)
                return r;
        balloon->target_bytes = device.target_bytes;
        if (balloon->tube)
                balloon_tube_set_device(balloon->tube, balloon->device);
        return 0;
}

/**
 * machine_add_balloon() - the balloon, unless @config has none, and its requests
 * @slot: PCI slot to use; advanced past it if used
 *
 * Return: 0; negative errno, with a sentence if there is one.
 */
int machine_add_balloon(Machine *machine, const VmmConfig *config, unsigned *slot,
                        TextError *reterr) {
        MachineBalloon *balloon = &machine->balloon;
        int r;

        if (config->no_balloon)
                return 0;
        r = config->balloon_control ? connect_tube(machine, config, reterr) : 0;
        if (r == 0)
                r = loop_add_timer(machine->loop, timer_fires, machine, &balloon->timer);
        if (r == 0)
                r = new_device(machine, config);
        if (r < 0)
                return r;
        r = machine_add_virtio(machine, balloon->device, machine_next_slot(machine, slot, 0));
        if (r < 0)
                return r;
        control_server_handle(machine->control, CONTROL_BALLOON_ADJUST,
                              balloon->tube ? refuse : on_adjust, machine);
        control_server_handle(machine->control, CONTROL_BALLOON_STATS,
                              balloon->tube ? refuse : on_stats, machine);
        return 0;
}
