/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Commands are read while the guest's driver is there, and wait in the socket until then; the peer hears when it comes and
 * goes. Messages are bounded and nothing waits for the peer: one that says what it should not, or does not read what it
 * asked for, is disconnected, and the balloon keeps its size.
 */

#include "vmm/machine/balloon_tube.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"
#include "vmm/mem/memmap.h"

#define ASKED_MAX 16u /* questions for statistics that wait for the guest */

struct BalloonTube {
        VirtioDevice *device;  /* borrowed */
        char *name;            /* owned: for the log */
        int fd;                /* owned; -EBADF once the peer has gone */
        LoopSource *source;    /* owned; NULL likewise */
        LoopSource *answering; /* owned: a timer */
        uint64_t memory_bytes;
        bool served;
        bool owes_not_ready, owes_ready; /* in this order */
        bool adjusting;                  /* the peer is told when the guest reaches @target_bytes */
        uint64_t target_bytes;
        unsigned n_asked;
        bool has_stats; /* @stats have come, and are not told yet */
        VirtioBalloonStats stats;
        char buffer[BALLOON_MESSAGE_MAX + 1];
};

/* ---- the connection ---- */

static void disconnect(BalloonTube *tube) {
        loop_remove(TAKE(tube->source));
        tube->fd = fd_close(tube->fd);
        tube->adjusting = false;
        tube->n_asked = 0;
}

static void watch(BalloonTube *tube) {
        const bool owes = tube->owes_not_ready || tube->owes_ready;

        (void) loop_set_events(tube->source, (tube->served ? (uint32_t) EPOLLIN : 0) |
                                                     (owes ? (uint32_t) EPOLLOUT : 0));
}

/* Return: 0; -EAGAIN when there is no room, which is nothing that was asked for; or it was disconnected. */
static int send_result(BalloonTube *tube, const BalloonResult *result) {
        _cleanup_(freep) char *json = NULL;
        int r = balloon_result_format(result, &json);

        if (r == 0 && send(tube->fd, json, strlen(json), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                r = -errno;
        return r;
}

/* What the peer has asked for: it must have kept room for that. */
static void answer(BalloonTube *tube, const BalloonResult *result) {
        int r = tube->source ? send_result(tube, result) : 0;

        if (r == 0)
                return;
        log_warning("%s: cannot answer, disconnecting it: %s", tube->name, strerror(-r));
        disconnect(tube);
}

/* How often a driver comes and goes is the guest's choice, so the peer need not have room for that. */
static void tell_served(BalloonTube *tube) {
        if (tube->owes_not_ready &&
            send_result(tube, &(BalloonResult){.kind = BALLOON_NOT_READY}) == 0)
                tube->owes_not_ready = false;
        if (!tube->owes_not_ready && tube->owes_ready &&
            send_result(tube, &(BalloonResult){.kind = BALLOON_READY}) == 0)
                tube->owes_ready = false;
        watch(tube);
}

/* ---- the guest ---- */

/** balloon_tube_served() - the guest's driver has come or gone; on the loop, without the device's lock */
void balloon_tube_served(void *userdata, bool by_driver) {
        BalloonTube *tube = userdata;

        tube->served = by_driver;
        if (!by_driver) {
                tube->adjusting = false;
                tube->n_asked = 0;
                tube->has_stats = false;
                tube->owes_not_ready = true;
        }
        tube->owes_ready = by_driver;
        if (tube->source)
                tell_served(tube);
}

/** balloon_tube_resized() - the guest may have reached the size; on the loop, without the device's lock */
void balloon_tube_resized(void *userdata) {
        BalloonTube *tube = userdata;

        if (!tube->adjusting || virtio_balloon_actual(tube->device) != tube->target_bytes)
                return;
        tube->adjusting = false;
        answer(tube, &(BalloonResult){.kind = BALLOON_ADJUSTED, .bytes = tube->target_bytes});
}

/** balloon_tube_got_stats() - the guest has answered; on the loop, with the device's lock */
void balloon_tube_got_stats(void *userdata, const VirtioBalloonStats *stats) {
        BalloonTube *tube = userdata;

        tube->stats = *stats;
        tube->has_stats = true;
        (void) loop_set_timer(tube->answering, 1); /* outside of the lock */
}

/** balloon_tube_name_stats() - a guest's answer as messages have it; @actual: the balloon's size in bytes */
void balloon_tube_name_stats(const VirtioBalloonStats *stats, uint64_t actual,
                             ControlBalloon *ret) {
        uint64_t *const members[] = {
                &ret->swap_in,          &ret->swap_out,    &ret->major_faults,
                &ret->minor_faults,     &ret->free_memory, &ret->total_memory,
                &ret->available_memory, &ret->disk_caches, &ret->hugetlb_allocations,
                &ret->hugetlb_failures,
        };

        _Static_assert(ELEMENTSOF(members) == VIRTIO_BALLOON_STATS, "each statistic has a name");
        *ret = (ControlBalloon){.shared_memory = CONTROL_UNKNOWN,
                                .unevictable_memory = CONTROL_UNKNOWN,
                                .balloon_actual = actual};
        for (unsigned i = 0; i < VIRTIO_BALLOON_STATS; i++)
                *members[i] = stats->values[i];
}

static void answer_stats(void *userdata) {
        BalloonTube *tube = userdata;
        BalloonResult result = {.kind = BALLOON_HAS_STATS};

        if (!tube->has_stats)
                return;
        tube->has_stats = false;
        balloon_tube_name_stats(&tube->stats, virtio_balloon_actual(tube->device), &result.stats);
        for (unsigned n = tube->n_asked; n > 0; n--)
                answer(tube, &result);
        tube->n_asked = 0;
}

/* ---- commands ---- */

static void adjust(BalloonTube *tube, const BalloonCommand *command) {
        const uint64_t bytes = MIN(command->bytes, tube->memory_bytes);

        tube->target_bytes = bytes - bytes % MEMMAP_PAGE_SIZE;
        tube->adjusting = command->allow_failure;
        virtio_balloon_set_target(tube->device, tube->target_bytes);
        balloon_tube_resized(tube);
}

static void ask_stats(BalloonTube *tube) {
        if (tube->n_asked == ASKED_MAX || virtio_balloon_request_stats(tube->device) < 0)
                log_debug("%s: statistics cannot be had now", tube->name);
        else
                tube->n_asked++;
}

static void perform(BalloonTube *tube, const BalloonCommand *command) {
        switch (command->kind) {
        case BALLOON_ADJUST:
                adjust(tube, command);
                return;
        case BALLOON_STATS:
                ask_stats(tube);
                return;
        case BALLOON_WORKING_SET:
        case BALLOON_WORKING_SET_CONFIG:
                log_debug("%s: the guest's driver knows of no working sets", tube->name);
                return;
        }
}

/* Return: 0; 1: nothing came; -ECONNRESET at the end; other negative errno with a sentence. */
static int receive(BalloonTube *tube, BalloonCommand *ret, TextError *reterr) {
        /* Descriptors that come along are closed by the kernel. */
        ssize_t n = recv(tube->fd, tube->buffer, BALLOON_MESSAGE_MAX, MSG_DONTWAIT | MSG_TRUNC);

        if (n < 0)
                return errno == EAGAIN ? 1 : -errno;
        if (n == 0)
                return -ECONNRESET;
        if (n > (ssize_t) BALLOON_MESSAGE_MAX)
                return text_error_set(reterr, -E2BIG, "a message of more than %u bytes",
                                      BALLOON_MESSAGE_MAX);
        tube->buffer[n] = '\0';
        if (strlen(tube->buffer) != (size_t) n)
                return text_error_set(reterr, -EINVAL, "a message holds a zero byte");
        return balloon_command_parse(tube->buffer, ret, reterr);
}

static void on_peer(void *userdata, int fd, uint32_t events) {
        _cleanup_(text_error_deinit) TextError error = {0};
        BalloonTube *tube = userdata;
        BalloonCommand command;
        int r = 1;

        if (events & EPOLLIN)
                r = receive(tube, &command, &error);
        else if (events & (EPOLLHUP | EPOLLERR))
                r = -ECONNRESET;
        if (r == -ECONNRESET)
                log_info("%s: its end", tube->name);
        else if (r < 0)
                log_warning("%s: %s; disconnecting it", tube->name, text_error_message(&error, r));
        if (r < 0) {
                disconnect(tube);
                return;
        }
        if (r == 0)
                perform(tube, &command);
        if (tube->source && (events & EPOLLOUT))
                tell_served(tube);
}

/* ---- life ---- */

/**
 * balloon_tube_new_consume() - serve a peer
 * @loop:         borrowed, outlives the tube
 * @fd:           connected, SOCK_SEQPACKET; owned from now on, also on failure
 * @name:         for the log; copied
 * @memory_bytes: of the guest; no larger size is asked of it
 * @ret:          needs balloon_tube_set_device() before the loop runs
 *
 * Return: 0 or negative errno.
 */
int balloon_tube_new_consume(Loop *loop, int fd, const char *name, uint64_t memory_bytes,
                             BalloonTube **ret) {
        _cleanup_(balloon_tube_freep) BalloonTube *tube = calloc(1, sizeof(*tube));
        int r;

        if (!tube) {
                (void) fd_close(fd);
                return -ENOMEM;
        }
        tube->fd = fd;
        tube->memory_bytes = memory_bytes;
        tube->name = strdup(name);
        if (!tube->name)
                return -ENOMEM;
        r = loop_add_timer(loop, answer_stats, tube, &tube->answering);
        if (r < 0)
                return r;
        r = loop_add_fd(loop, fd, 0, on_peer, tube, &tube->source);
        if (r < 0)
                return r;
        *ret = TAKE(tube);
        return 0;
}

/** balloon_tube_set_device() - the balloon, which the tube's handlers were given to; borrowed */
void balloon_tube_set_device(BalloonTube *tube, VirtioDevice *device) {
        tube->device = device;
}

/** balloon_tube_free() - disconnect; after the device was freed; NULL is fine. Return: NULL. */
BalloonTube *balloon_tube_free(BalloonTube *tube) {
        if (!tube)
                return NULL;
        disconnect(tube);
        loop_remove(tube->answering);
        free(tube->name);
        free(tube);
        return NULL;
}
