/* SPDX-License-Identifier: Apache-2.0 */
#include "service/net/tap_job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/fd.h"
#include "service/fd_budget.h"

/*
 * One connection a VM, one request at a time. Interfaces live as long as their descriptors: whatever ends this early
 * leaves none.
 */

#define TIMEOUT_USEC (8 * USEC_PER_SEC)
#define ACCURACY_USEC (250 * USEC_PER_MSEC)

struct TapJob {
        int fd; /* owned, non-blocking */
        sd_event_source *readable, *deadline;
        NetRequest request; /* the part that all have */
        const VmNetwork *networks;
        Cards *cards;
        size_t index; /* of the card that is asked for */
        bool cancelled;
        TapsMadeFn made;
        void *userdata; /* borrowed */
};

static int connect_to(const char *path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        _cleanup_(fd_closep) int fd = -EBADF;

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path) + 1);
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int send_request(int fd, const NetRequest *request) {
        _cleanup_(freep) char *json = NULL;
        int r = net_request_format(request, &json);

        if (r < 0)
                return r;
        return send(fd, json, strlen(json), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Return: 1 when the next request is on its way; 0 when there is none to make; negative errno. */
static int ask_next(TapJob *job) {
        const VmNetwork *network;
        int r;

        while (job->index < job->cards->n &&
               job->cards->items[job->index].type != VM_NETWORK_BRIDGE)
                job->index++;
        if (job->index == job->cards->n)
                return 0;
        network = &job->networks[job->index];
        (void) snprintf(job->request.network, sizeof(job->request.network), "%s",
                        network->name ?: VM_NETWORK_NAME_DEFAULT);
        job->request.index = (uint32_t) job->index;
        job->request.queues = network->queues;
        job->request.isolated = network->isolated;
        r = send_request(job->fd, &job->request);
        return r < 0 ? r : 1;
}

static void finish(TapJob *job, int r, const char *message) {
        TapsMadeFn made = job->made;
        void *userdata = job->userdata;

        (void) tap_job_free(job);
        made(userdata, r, message);
}

static void fail(TapJob *job, int r, const char *cause) {
        _cleanup_(text_error_deinit) TextError error = {0};

        text_error_set(&error, r, "network[%zu]: vivarium-netd: %s", job->index,
                       cause ? cause : strerror(-r));
        finish(job, r, text_error_message(&error, r));
}

/* The first VM_NETWORK_QUEUES_MAX descriptors of a message; there is no room for more. */
static size_t take_fds(struct msghdr *msg, int *fds) {
        size_t n = 0;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
                        size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

                        here = MIN(here, VM_NETWORK_QUEUES_MAX - n);
                        memcpy(fds + n, CMSG_DATA(c), here * sizeof(int));
                        n += here;
                }
        return n;
}

static ssize_t receive(int fd, char *buf, size_t size, LaunchCard *card) {
        union {
                char bytes[CMSG_SPACE(sizeof(int) * VM_NETWORK_QUEUES_MAX)];
                struct cmsghdr align;
        } control;
        struct iovec iov = {.iov_base = buf, .iov_len = size};
        struct msghdr msg = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control)};
        ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

        if (n < 0)
                return -errno;
        card->n_queues = take_fds(&msg, card->queues);
        return msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -EBADMSG : n;
}

static int check_answer(const TapJob *job, const LaunchCard *card) {
        if (card->n_queues != job->request.queues)
                return -EBADMSG;
        for (size_t i = 0; i < card->n_queues; i++)
                if (fd_budget_check(card->queues[i]) < 0)
                        return -EMFILE;
        return 0;
}

static int on_answer(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        _cleanup_(net_answer_deinit) NetAnswer answer = {0};
        char json[NET_MESSAGE_MAX + 1];
        TapJob *job = userdata;
        LaunchCard *card = &job->cards->items[job->index];
        ssize_t n = receive(fd, json, NET_MESSAGE_MAX, card);
        int r;

        if (n == -EAGAIN || n == -EINTR)
                return 0;
        if (n <= 0) {
                fail(job, n < 0 ? (int) n : -ECONNRESET, NULL);
                return 0;
        }
        json[n] = '\0';
        r = memchr(json, '\0', (size_t) n) ? -EBADMSG : net_answer_parse(json, &answer, NULL);
        if (r == 0 && answer.error) {
                fail(job, -EREMOTEIO, answer.error);
                return 0;
        }
        if (r == 0)
                r = check_answer(job, card);
        if (r == 0)
                memcpy(job->cards->interfaces[job->index], answer.interface,
                       sizeof(answer.interface));
        job->index += r == 0;
        if (r == 0)
                r = ask_next(job);
        if (r < 0)
                fail(job, r, NULL);
        else if (r == 0)
                finish(job, 0, NULL);
        return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        TapJob *job = userdata;

        fail(job, job->cancelled ? -ECANCELED : -ETIMEDOUT, NULL);
        return 0;
}

static int begin(TapJob *job, sd_event *event, const char *socket_path) {
        int r;

        job->fd = connect_to(socket_path);
        if (job->fd < 0)
                return job->fd;
        r = ask_next(job);
        if (r >= 0)
                r = sd_event_add_io(event, &job->readable, job->fd, EPOLLIN, on_answer, job);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &job->deadline, CLOCK_MONOTONIC, TIMEOUT_USEC,
                                               ACCURACY_USEC, on_deadline, job);
        return r < 0 ? r : 0;
}

/**
 * tap_job_new() - ask for an interface for each card of type VM_NETWORK_BRIDGE; there is one
 * @made: called later and once, unless the job is freed before
 *
 * Return: 0; negative errno when nobody can be asked.
 */
int tap_job_new(sd_event *event, const char *socket_path, const TapSpec *spec, TapsMadeFn made,
                void *userdata, TapJob **ret) {
        _cleanup_(tap_job_freep) TapJob *job = calloc(1, sizeof(*job));
        int r;

        if (!job)
                return -ENOMEM;
        *job = (TapJob){.fd = -EBADF,
                        .request = {.kind = NET_REQUEST_TAP, .cid = spec->cid},
                        .networks = spec->networks,
                        .cards = spec->cards,
                        .made = made,
                        .userdata = userdata};
        (void) snprintf(job->request.vm_id, sizeof(job->request.vm_id), "%s", spec->vm_id);
        (void) snprintf(job->request.vm_name, sizeof(job->request.vm_name), "%s", spec->vm_name);
        r = begin(job, event, socket_path);
        if (r < 0)
                return r;
        *ret = TAKE(job);
        return 0;
}

/** tap_job_cancel() - have it fail at the next turn of the loop */
void tap_job_cancel(TapJob *job) {
        job->cancelled = true;
        (void) sd_event_source_set_time(job->deadline, 0);
}

/** tap_job_free() - forget it without a word. Return: NULL. */
TapJob *tap_job_free(TapJob *job) {
        if (!job)
                return NULL;
        (void) sd_event_source_disable_unref(job->readable);
        (void) sd_event_source_disable_unref(job->deadline);
        (void) fd_close(job->fd);
        free(job);
        return NULL;
}

/**
 * taps_release() - have what is left of a VM's interfaces removed
 *
 * They went with the VMM; this is for one whose descriptor got elsewhere. Nobody waits for the answer. Return: 0 or
 * negative errno.
 */
int taps_release(const char *socket_path, const char *vm_id) {
        NetRequest request = {.kind = NET_REQUEST_RELEASE};
        _cleanup_(fd_closep) int fd = connect_to(socket_path);

        if (fd < 0)
                return fd;
        (void) snprintf(request.vm_id, sizeof(request.vm_id), "%s", vm_id);
        return send_request(fd, &request);
}
