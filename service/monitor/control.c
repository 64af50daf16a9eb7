/* SPDX-License-Identifier: Apache-2.0 */
#include "service/monitor/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "service/monitor/unix_name.h"

#define BACKLOG 127 /* crosvm's */
#define ACCURACY_USEC (50 * USEC_PER_MSEC)

struct ControlCall {
        int fd; /* owned, non-blocking */
        sd_event_source *readable, *deadline;
        ControlDoneFn done;
        void *userdata; /* borrowed */
};

/** control_listen() - the socket that a VMM is given. Return: descriptor, owned by the caller; negative errno. */
int control_listen(int dir_fd, const char *name) {
        return unix_name_listen(dir_fd, name, SOCK_SEQPACKET, BACKLOG);
}

static void finish(ControlCall *call, int r, const ControlAnswer *answer, const char *text) {
        call->done(call->userdata, r, answer, text);
        (void) control_call_free(call);
}

static void take_answer(ControlCall *call, const char *json) {
        ControlAnswer answer;
        int r = control_answer_parse(json, &answer, NULL);

        if (r < 0) {
                finish(call, r == -ENOMEM ? r : -EBADMSG, NULL, NULL);
                return;
        }
        switch (answer.kind) {
        case CONTROL_ERR:
                finish(call, -EREMOTEIO, NULL, strerror(answer.error));
                break;
        case CONTROL_ERR_STRING:
                finish(call, -EREMOTEIO, NULL, answer.text);
                break;
        case CONTROL_OK:
        case CONTROL_ANSWER_BALLOON:
        case CONTROL_ANSWER_HOTPLUG:
        case CONTROL_ANSWER_DISKS:
        case CONTROL_ANSWER_VCPUS:
        case CONTROL_ANSWER_STATS:
        case CONTROL_ANSWER_STATE:
        case CONTROL_ANSWER_SWAP:
        case CONTROL_ANSWER_OTHER:
                finish(call, 0, &answer, NULL);
                break;
        }
        free(answer.text);
}

/* Descriptors that come along are not taken. */
static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        _cleanup_(freep) char *json = malloc(CONTROL_ANSWER_MAX + 1);
        ControlCall *call = userdata;
        ssize_t n;

        if (!json) {
                finish(call, -ENOMEM, NULL, NULL);
                return 0;
        }
        n = recv(fd, json, CONTROL_ANSWER_MAX, MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n < 0)
                finish(call, -errno, NULL, NULL);
        else if (n == 0)
                finish(call, -ECONNRESET, NULL, NULL);
        else if ((size_t) n > CONTROL_ANSWER_MAX || memchr(json, '\0', (size_t) n))
                finish(call, -EBADMSG, NULL, NULL);
        else {
                json[n] = '\0';
                take_answer(call, json);
        }
        return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        finish(userdata, -ETIMEDOUT, NULL, NULL);
        return 0;
}

static int send_request(int fd, const ControlRequest *request, int file) {
        _cleanup_(freep) char *json = NULL;
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = {.header = {.cmsg_level = SOL_SOCKET,
                                .cmsg_type = SCM_RIGHTS,
                                .cmsg_len = CMSG_LEN(sizeof(int))}};
        struct iovec part;
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        int r = control_request_format(request, &json);

        if (r < 0)
                return r;
        part = (struct iovec){json, strlen(json)};
        if (file >= 0) {
                memcpy(CMSG_DATA(&control.header), &file, sizeof(file));
                message.msg_control = &control;
                message.msg_controllen = sizeof(control.bytes);
        }
        return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/**
 * control_call_new() - send a request
 * @fd:   connection to the VMM's socket, non-blocking; consumed
 * @file: that the request is about, sent along with it; borrowed; -EBADF for none
 * @done: called later and once, unless the call is freed before
 *
 * Return: 0; negative errno when it could not be sent.
 */
int control_call_new(sd_event *event, int fd, const ControlRequest *request, int file,
                     usec_t timeout_usec, ControlDoneFn done, void *userdata, ControlCall **ret) {
        ControlCall *call = calloc(1, sizeof(*call));
        int r;

        if (!call) {
                (void) fd_close(fd);
                return -ENOMEM;
        }
        *call = (ControlCall){.fd = fd, .done = done, .userdata = userdata};
        r = send_request(fd, request, file);
        if (r >= 0)
                r = sd_event_add_io(event, &call->readable, fd, EPOLLIN, on_readable, call);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &call->deadline, CLOCK_MONOTONIC,
                                               timeout_usec, ACCURACY_USEC, on_deadline, call);
        if (r < 0) {
                (void) control_call_free(call);
                return r;
        }
        *ret = call;
        return 0;
}

/** control_call_free() - forget a call without a word; the VMM may act on it all the same. Return: NULL. */
ControlCall *control_call_free(ControlCall *call) {
        if (!call)
                return NULL;
        (void) sd_event_source_disable_unref(call->readable);
        (void) sd_event_source_disable_unref(call->deadline);
        (void) fd_close(call->fd);
        free(call);
        return NULL;
}
