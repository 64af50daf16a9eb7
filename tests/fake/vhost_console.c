/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vhost-user process that serves a virtio console (virtio 1.2 section 5.3), of 80 columns and 25 rows, and
 * of 100 and 40 from when the driver runs it:
 *
 *     vhost_console SOCKET [PORTS]
 *
 * It waits for one client at SOCKET, and ends with it. What the guest writes to the first port is written to standard output,
 * standard input goes to the guest. With PORTS, 2 or more, the device has that many: the first is a console, each other one
 * is called "echo" and gives back what is written to it. Nothing here is checked: who serves a VMM need not doubt it.
 */
#include <assert.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/vhost_user/message.h"

#define PORTS_MAX 7u
#define QUEUES_MAX (2 * (PORTS_MAX + 1))
#define CONTROL_RECEIVE                                                                            \
        2u /* the queues of a port are one for the guest to receive, and one to send */
#define CONTROL_SEND 3u
#define TEXT_MAX 65536u

#define F_PROTOCOL_FEATURES (UINT64_C(1) << 30)
#define PROTOCOL_FEATURES UINT64_C(0x221) /* several queues, requests of ours, configuration */
#define REPLY 5u
#define UNASKED 1u

typedef struct Message {
        uint32_t request, flags, len;
        union {
                uint64_t u64;
                struct {
                        uint32_t index, num;
                } state;
                struct {
                        uint32_t index, flags;
                        uint64_t desc, used, avail, log;
                } address;
                struct {
                        uint32_t n, padding;
                        struct {
                                uint64_t gpa, size, user, offset;
                        } regions[VHOST_FDS_MAX];
                } table;
                struct {
                        uint32_t offset, size, flags;
                        struct virtio_console_config console;
                } config;
                uint8_t bytes[VHOST_PAYLOAD_MAX];
        };
} __attribute__((packed)) Message;

typedef struct Region {
        uint64_t gpa, user, size;
        uint8_t *map;
} Region;

typedef struct Queue {
        uint32_t size;
        struct vring_desc *desc;
        struct vring_avail *avail;
        struct vring_used *used;
        uint16_t taken; /* entries of @avail */
        int kick, call; /* owned; @kick is -1 while the queue rests */
        /* What waits for room in the guest, of a queue to receive by. Control messages are one to a buffer. */
        uint8_t text[TEXT_MAX];
        size_t len;
} Queue;

typedef struct Server {
        int fd;      /* owned: the client */
        int back_fd; /* owned: where it hears what it did not ask for */
        bool grown;
        unsigned n_ports, n_queues;
        Region regions[VHOST_FDS_MAX];
        uint32_t n_regions;
        Queue queues[QUEUES_MAX];
} Server;

/* ---- the guest's memory ---- */

static void *of_user(const Server *s, uint64_t address) {
        for (uint32_t i = 0; i < s->n_regions; i++)
                if (address - s->regions[i].user < s->regions[i].size)
                        return s->regions[i].map + (address - s->regions[i].user);
        abort();
}

static void *of_guest(const Server *s, uint64_t gpa) {
        for (uint32_t i = 0; i < s->n_regions; i++)
                if (gpa - s->regions[i].gpa < s->regions[i].size)
                        return s->regions[i].map + (gpa - s->regions[i].gpa);
        abort();
}

static void map_memory(Server *s, const Message *m, const int *fds) {
        s->n_regions = m->table.n;
        for (uint32_t i = 0; i < s->n_regions; i++) {
                Region *region = &s->regions[i];
                uint64_t offset = m->table.regions[i].offset;
                uint8_t *map;

                region->gpa = m->table.regions[i].gpa;
                region->user = m->table.regions[i].user;
                region->size = m->table.regions[i].size;
                map = mmap(NULL, region->size + offset, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i],
                           0);
                assert(map != MAP_FAILED);
                region->map = map + offset;
                close(fds[i]);
        }
}

/* ---- queues ---- */

static bool queue_has(const Queue *q) {
        return q->kick >= 0 && q->taken != __atomic_load_n(&q->avail->idx, __ATOMIC_ACQUIRE);
}

static uint16_t queue_pop(Queue *q) {
        return q->avail->ring[q->taken++ % q->size];
}

static void queue_push(Queue *q, uint16_t head, uint32_t written) {
        q->used->ring[q->used->idx % q->size] = (struct vring_used_elem){head, written};
        __atomic_store_n(&q->used->idx, q->used->idx + 1, __ATOMIC_RELEASE);
        (void) eventfd_write(q->call, 1);
}

/* Bytes for the guest, kept until it has room for them. */
static void queue_say(Queue *q, const void *data, size_t len) {
        assert(len <= TEXT_MAX - q->len);
        memcpy(q->text + q->len, data, len);
        q->len += len;
}

/* One buffer of the guest's is filled with the first of the bytes that wait, at most @most. */
static void queue_fill(const Server *s, Queue *q, size_t most) {
        uint16_t head = queue_pop(q);
        const struct vring_desc *desc = &q->desc[head];
        size_t n = q->len < most ? q->len : most;

        n = n < desc->len ? n : desc->len;
        memcpy(of_guest(s, desc->addr), q->text, n);
        memmove(q->text, q->text + n, q->len - n);
        q->len -= n;
        queue_push(q, head, (uint32_t) n);
}

static size_t queue_read(const Server *s, Queue *q, uint8_t *buf) {
        uint16_t head = queue_pop(q);
        const struct vring_desc *desc = &q->desc[head];
        size_t len = 0;

        for (;; desc = &q->desc[desc->next]) {
                assert(desc->len <= TEXT_MAX - len);
                memcpy(buf + len, of_guest(s, desc->addr), desc->len);
                len += desc->len;
                if (!(desc->flags & VRING_DESC_F_NEXT))
                        break;
        }
        queue_push(q, head, 0);
        return len;
}

/* ---- the console ---- */

/* Drivers look at the name in the one message that has any. */
typedef struct Control {
        struct virtio_console_control head;
        char name[4];
} Control;

static void control(Server *s, uint32_t port, uint16_t event) {
        const Control message = {{port, event, 1}, {'e', 'c', 'h', 'o'}};

        queue_say(&s->queues[CONTROL_RECEIVE], &message, sizeof(message));
}

static void hear_control(Server *s, const uint8_t *data) {
        struct virtio_console_control message;

        memcpy(&message, data, sizeof(message));
        if (message.event == VIRTIO_CONSOLE_DEVICE_READY) {
                for (uint32_t i = 0; i < s->n_ports; i++)
                        control(s, i, VIRTIO_CONSOLE_PORT_ADD);
        } else if (message.event == VIRTIO_CONSOLE_PORT_READY && message.id == 0) {
                control(s, 0, VIRTIO_CONSOLE_CONSOLE_PORT);
        } else if (message.event == VIRTIO_CONSOLE_PORT_READY) {
                control(s, message.id, VIRTIO_CONSOLE_PORT_NAME);
                control(s, message.id, VIRTIO_CONSOLE_PORT_OPEN);
        }
}

/* What the guest has sent by @index. */
static void hear(Server *s, unsigned index) {
        static uint8_t buf[TEXT_MAX];

        while (queue_has(&s->queues[index])) {
                size_t len = queue_read(s, &s->queues[index], buf);

                if (index == CONTROL_SEND && s->n_ports > 1)
                        hear_control(s, buf);
                else if (index > CONTROL_SEND)
                        queue_say(&s->queues[index - 1], buf, len);
                else
                        for (size_t done = 0; done < len;) {
                                ssize_t n = write(STDOUT_FILENO, buf + done, len - done);

                                assert(n > 0);
                                done += (size_t) n;
                        }
        }
}

static void serve_queues(Server *s) {
        for (unsigned i = 1; i < s->n_queues; i += 2)
                hear(s, i);
        for (unsigned i = 0; i < s->n_queues; i += 2) {
                Queue *q = &s->queues[i];
                bool controls = i == CONTROL_RECEIVE;

                while (q->len > 0 && queue_has(q))
                        queue_fill(s, q, controls ? sizeof(Control) : TEXT_MAX);
        }
}

/* ---- the protocol ---- */

static void reply(const Server *s, Message *m, uint32_t len) {
        ssize_t n;

        m->flags = REPLY;
        m->len = len;
        n = send(s->fd, m, VHOST_HEADER_LEN + len, MSG_NOSIGNAL);
        assert(n == (ssize_t) (VHOST_HEADER_LEN + len));
}

static uint64_t features(const Server *s) {
        return UINT64_C(1) << VIRTIO_F_VERSION_1 | F_PROTOCOL_FEATURES |
               UINT64_C(1) << VIRTIO_CONSOLE_F_SIZE |
               (uint64_t) (s->n_ports > 1) << VIRTIO_CONSOLE_F_MULTIPORT;
}

static void answer(const Server *s, Message *m) {
        switch (m->request) {
        case VHOST_GET_FEATURES:
                m->u64 = features(s);
                reply(s, m, 8);
                break;
        case VHOST_GET_PROTOCOL_FEATURES:
                m->u64 = PROTOCOL_FEATURES;
                reply(s, m, 8);
                break;
        case VHOST_GET_QUEUE_NUM:
                m->u64 = s->n_queues;
                reply(s, m, 8);
                break;
        case VHOST_GET_CONFIG:
                m->config.console = (struct virtio_console_config){.cols = s->grown ? 100 : 80,
                                                                   .rows = s->grown ? 40 : 25,
                                                                   .max_nr_ports = s->n_ports};
                reply(s, m, m->len);
                break;
        default:
                break;
        }
}

static void set_queue(Server *s, Message *m, int fd) {
        Queue *q = &s->queues[m->state.index % QUEUES_MAX];

        switch (m->request) {
        case VHOST_SET_VRING_NUM:
                q->size = m->state.num;
                break;
        case VHOST_SET_VRING_ADDR:
                q->desc = of_user(s, m->address.desc);
                q->avail = of_user(s, m->address.avail);
                q->used = of_user(s, m->address.used);
                break;
        case VHOST_SET_VRING_BASE:
                q->taken = (uint16_t) m->state.num;
                break;
        case VHOST_SET_VRING_KICK:
                q->kick = fd;
                break;
        case VHOST_SET_VRING_CALL:
                q->call = fd;
                break;
        case VHOST_GET_VRING_BASE:
                m->state.num = q->taken;
                close(q->kick);
                close(q->call);
                q->kick = q->call = -1;
                q->len = 0;
                reply(s, m, sizeof(m->state));
                break;
        default:
                break;
        }
}

static void grow(Server *s) {
        const uint32_t message[] = {VHOST_BACKEND_CONFIG_CHANGE, UNASKED, 0};
        ssize_t n;

        if (s->grown)
                return;
        s->grown = true;
        n = send(s->back_fd, message, sizeof(message), MSG_NOSIGNAL);
        assert(n == sizeof(message));
}

/* Return: false when the client is gone. */
static bool receive(const Server *s, Message *m, int *fds) {
        union {
                char bytes[CMSG_SPACE(VHOST_FDS_MAX * sizeof(int))];
                struct cmsghdr align;
        } room = {0};
        struct iovec iov = {m, VHOST_HEADER_LEN};
        struct msghdr message = {.msg_iov = &iov,
                                 .msg_iovlen = 1,
                                 .msg_control = &room,
                                 .msg_controllen = sizeof(room)};
        const struct cmsghdr *c;

        if (recvmsg(s->fd, &message, MSG_WAITALL | MSG_CMSG_CLOEXEC) != VHOST_HEADER_LEN)
                return false;
        assert(m->len <= sizeof(m->bytes));
        c = CMSG_FIRSTHDR(&message);
        if (c)
                memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
        return m->len == 0 || recv(s->fd, m->bytes, m->len, MSG_WAITALL) == (ssize_t) m->len;
}

static bool converse(Server *s) {
        int fds[VHOST_FDS_MAX] = {-1};
        Message m;

        if (!receive(s, &m, fds))
                return false;
        if (m.request == VHOST_SET_MEM_TABLE)
                map_memory(s, &m, fds);
        else if (m.request == VHOST_SET_BACKEND_REQ_FD)
                s->back_fd = fds[0];
        else if (m.request == VHOST_SET_VRING_ENABLE)
                grow(s);
        else if (m.request >= VHOST_SET_VRING_NUM && m.request <= VHOST_SET_VRING_CALL)
                set_queue(s, &m, fds[0]);
        else
                answer(s, &m);
        return true;
}

/* ---- the program ---- */

static int listen_and_accept(const char *path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), client;

        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        if (bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 || listen(fd, 1) < 0) {
                perror(path);
                exit(EXIT_FAILURE);
        }
        client = accept(fd, NULL, NULL);
        assert(client >= 0);
        close(fd);
        return client;
}

/* Return: false at the end of input, which is then not looked at any more. */
static bool read_input(Queue *q) {
        ssize_t n = read(STDIN_FILENO, q->text + q->len, TEXT_MAX - q->len);

        if (n > 0)
                q->len += (size_t) n;
        return n > 0;
}

static void serve(Server *s) {
        struct pollfd fds[QUEUES_MAX + 2];
        bool input = true;
        eventfd_t count;

        for (;;) {
                fds[0] = (struct pollfd){.fd = s->fd, .events = POLLIN};
                fds[1] = (struct pollfd){.fd = input && s->queues[0].kick >= 0 ? STDIN_FILENO : -1,
                                         .events = s->queues[0].len < TEXT_MAX ? POLLIN : 0};
                for (unsigned i = 0; i < s->n_queues; i++)
                        fds[i + 2] = (struct pollfd){.fd = s->queues[i].kick, .events = POLLIN};
                if (poll(fds, s->n_queues + 2, -1) < 0)
                        continue;
                for (unsigned i = 0; i < s->n_queues; i++)
                        if (fds[i + 2].revents)
                                (void) eventfd_read(fds[i + 2].fd, &count);
                if (fds[1].revents)
                        input = read_input(&s->queues[0]);
                if (fds[0].revents && !converse(s))
                        return;
                serve_queues(s);
        }
}

int main(int argc, char **argv) {
        static Server server;

        if (argc < 2 || argc > 3) {
                (void) fprintf(stderr, "usage: vhost_console SOCKET [PORTS]\n");
                return EXIT_FAILURE;
        }
        server.n_ports = argc > 2 ? (unsigned) strtoul(argv[2], NULL, 10) : 1;
        assert(server.n_ports >= 1 && server.n_ports <= PORTS_MAX);
        server.n_queues = server.n_ports > 1 ? 2 * (server.n_ports + 1) : 2;
        for (unsigned i = 0; i < QUEUES_MAX; i++)
                server.queues[i].kick = server.queues[i].call = -1;
        server.fd = listen_and_accept(argv[1]);
        serve(&server);
        return EXIT_SUCCESS;
}
