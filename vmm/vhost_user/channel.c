/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/le.h"
#include "vmm/vhost_user/vhost_user_internal.h"

/*
 * What the process says while the machine runs: answers to what it was asked, each within five seconds, and on a socket
 * of its own that its configuration has changed. Anything else is a mistake, after which it is not listened to any more.
 */

/** vhost_user_hang_up() - have nothing more to do with the process */
void vhost_user_hang_up(VhostUser *vhost) {
        vhost->gone = true;
        vhost->source = loop_remove(vhost->source);
        vhost->timer = loop_remove(vhost->timer);
        vhost->back = loop_remove(vhost->back);
        for (unsigned i = 0; i < vhost->n_queues; i++)
                vhost->queues[i].source = loop_remove(vhost->queues[i].source);
        vhost->fd = fd_close(vhost->fd);
        vhost->back_fd = fd_close(vhost->back_fd);
}

static void lose(VhostUser *vhost, const char *cause) {
        vhost_user_hang_up(vhost);
        if (vhost->handler.gone)
                vhost->handler.gone(vhost->handler.userdata, cause);
}

/* ---- questions ---- */

static int set_deadline(VhostUser *vhost) {
        uint64_t due = vhost->n_questions > 0 ? clock_monotonic_nsec() + VHOST_USER_ANSWER_NSEC : 0;

        return loop_set_timer(vhost->timer, due);
}

/** vhost_user_ask() - send a request whose answer comes later. Return: 0; negative errno. */
int vhost_user_ask(VhostUser *vhost, const VhostQuestion *question, const void *payload,
                   size_t len) {
        int r;

        assert(vhost->n_questions < ELEMENTSOF(vhost->questions));

        r = vhost_message_send(vhost->fd, question->request, payload, len, NULL, 0);
        if (r < 0)
                return r;
        vhost->questions[vhost->n_questions++] = *question;
        return set_deadline(vhost);
}

/** vhost_user_ask_config() - read the configuration anew, now or after the answer that is awaited. Return: as vhost_user_ask(). */
int vhost_user_ask_config(VhostUser *vhost) {
        uint8_t payload[VHOST_CONFIG_HEADER_LEN + VHOST_USER_CONFIG_MAX] = {0};
        int r;

        if (vhost->config_asked) {
                vhost->config_stale = true;
                return 0;
        }
        le32_store(payload + 4, (uint32_t) vhost->config_len);
        r = vhost_user_ask(vhost, &(VhostQuestion){.request = VHOST_GET_CONFIG}, payload,
                           VHOST_CONFIG_HEADER_LEN + vhost->config_len);
        if (r == 0)
                vhost->config_asked = true;
        return r;
}

static int take_config(VhostUser *vhost, const uint8_t *payload, size_t len) {
        int r = 0;

        if (len != VHOST_CONFIG_HEADER_LEN + vhost->config_len || le32_load(payload) != 0 ||
            le32_load(payload + 4) != vhost->config_len)
                return -EPROTO;
        vhost->config_asked = false;
        memcpy(vhost->config, payload + VHOST_CONFIG_HEADER_LEN, vhost->config_len);
        if (vhost->config_stale) {
                vhost->config_stale = false;
                r = vhost_user_ask_config(vhost);
        }
        if (vhost->handler.config_changed)
                vhost->handler.config_changed(vhost->handler.userdata);
        return r;
}

/* Where the process stopped does not matter: the ring begins anew. */
static int take_base(VhostUser *vhost, unsigned queue, const uint8_t *payload, size_t len) {
        if (len != 8 || le32_load(payload) != queue)
                return -EPROTO;
        if (--vhost->n_stopping == 0 && vhost->handler.stopped)
                vhost->handler.stopped(vhost->handler.userdata);
        return 0;
}

/* The message in the inbox. */
static int take_answer(VhostUser *vhost) {
        const uint8_t *payload = vhost->inbox.bytes + VHOST_HEADER_LEN;
        VhostQuestion question = vhost->questions[0];
        size_t len;
        int r;

        vhost->inbox.have = 0;
        if (vhost->n_questions == 0)
                return -EPROTO;
        r = vhost_message_check_reply(vhost->inbox.bytes, question.request, &len);
        if (r < 0)
                return r;
        vhost->n_questions--;
        memmove(vhost->questions, vhost->questions + 1,
                vhost->n_questions * sizeof(*vhost->questions));
        r = set_deadline(vhost);
        if (r < 0)
                return r;
        return question.request == VHOST_GET_CONFIG
                       ? take_config(vhost, payload, len)
                       : take_base(vhost, question.queue, payload, len);
}

static const char *cause_of(int r) {
        switch (r) {
        case -EPROTO:
                return "it sent a message that was not asked for";
        case -EAGAIN:
                return "it does not read its messages";
        default:
                return "it closed the connection";
        }
}

static void on_socket(void *userdata, int fd, uint32_t events) {
        VhostUser *vhost = userdata;
        int r = vhost_inbox_read(&vhost->inbox, fd);

        if (r == 0)
                r = take_answer(vhost);
        if (r < 0 && !vhost->gone)
                lose(vhost, cause_of(r));
}

static void on_back_channel(void *userdata, int fd, uint32_t events) {
        VhostUser *vhost = userdata;
        int r = vhost_inbox_read(&vhost->back_inbox, fd);

        if (r == 0) {
                vhost->back_inbox.have = 0;
                r = vhost_message_is_request(vhost->back_inbox.bytes, VHOST_BACKEND_CONFIG_CHANGE)
                            ? vhost_user_ask_config(vhost)
                            : -EPROTO;
        }
        if (r < 0)
                lose(vhost, cause_of(r));
}

static void on_deadline(void *userdata) {
        VhostUser *vhost = userdata;

        if (vhost->n_questions > 0)
                lose(vhost, "it did not answer within five seconds");
}

static void on_call(void *userdata, int fd, uint32_t events) {
        VhostQueue *queue = userdata;
        eventfd_t count;

        (void) eventfd_read(fd, &count);
        if (queue->vhost->handler.completed)
                queue->vhost->handler.completed(queue->vhost->handler.userdata, queue->index);
}

/** vhost_user_listen() - hear the process on the loop from now on. Return: 0; negative errno. */
int vhost_user_listen(VhostUser *vhost) {
        int r;

        for (unsigned i = 0; i < vhost->n_queues; i++) {
                VhostQueue *queue = &vhost->queues[i];

                queue->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                queue->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                if (queue->kick_fd < 0 || queue->call_fd < 0)
                        return -errno;
                r = loop_add_fd(vhost->loop, queue->call_fd, EPOLLIN, on_call, queue,
                                &queue->source);
                if (r < 0)
                        return r;
        }
        r = loop_add_timer(vhost->loop, on_deadline, vhost, &vhost->timer);
        if (r == 0 && vhost->back_fd >= 0)
                r = loop_add_fd(vhost->loop, vhost->back_fd, EPOLLIN, on_back_channel, vhost,
                                &vhost->back);
        return r < 0 ? r
                     : loop_add_fd(vhost->loop, vhost->fd, EPOLLIN | EPOLLRDHUP, on_socket, vhost,
                                   &vhost->source);
}
