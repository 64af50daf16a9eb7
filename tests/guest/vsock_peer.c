/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Both ends of the socket tests: linked statically, it runs in the guest and on the host.
 *
 *   vsock_peer serve ADDRESS          answer any number of connections, until killed
 *   vsock_peer put ADDRESS BYTES      send a pattern and have it verified
 *   vsock_peer get ADDRESS BYTES      be sent a pattern and verify it
 *   vsock_peer many ADDRESS N         N connections at once, each spoken on twice and then half closed, which the answer to
 *                                     a last word and the end of the other half must outlive
 *   vsock_peer say ADDRESS            standard input to ADDRESS, and what it answers to standard output
 *
 * ADDRESS is vsock:CID:PORT, unix:PATH, or dial:PATH:PORT for a host's socket that takes CONNECT PORT.
 * A connection begins with 16 bytes: what is wanted, and of how many bytes. Prints one line and exits with 0 when all
 * was as it should be.
 */

#include <errno.h>
#include <inttypes.h>
#include <linux/vm_sockets.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 65536u
#define CONNS_MAX 20000
#define BACKLOG 4096

enum { WANT_SINK = 1, WANT_SOURCE, WANT_ECHO };

typedef struct Hello {
        uint64_t want, n;
} Hello;

typedef struct Conn {
        int fd;
        Hello hello;
        size_t n_hello;
        uint64_t done;
        bool bad, replied;
} Conn;

static uint8_t pattern[2 * BLOCK];

static void fill_pattern(void) {
        uint64_t x = 88172645463325252;

        for (size_t i = 0; i < BLOCK; i += 8) {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                memcpy(pattern + i, &x, 8);
        }
        memcpy(pattern + BLOCK, pattern, BLOCK);
}

/* The bytes at @at of the stream: they differ from block to block by where they start. */
static const uint8_t *pattern_at(uint64_t at, size_t *ret_len) {
        size_t inside = at % BLOCK, shift = (at / BLOCK * 40503) % BLOCK;

        *ret_len = BLOCK - inside;
        if (inside + shift >= BLOCK)
                return pattern + inside + shift - BLOCK;
        return pattern + inside + shift;
}

static bool verify(const uint8_t *data, size_t n, uint64_t at) {
        while (n > 0) {
                size_t len;
                const uint8_t *want = pattern_at(at, &len);

                len = len < n ? len : n;
                if (memcmp(data, want, len) != 0)
                        return false;
                data += len;
                at += len;
                n -= len;
        }
        return true;
}

static int die(const char *what) {
        fprintf(stderr, "vsock_peer: %s: %s\n", what, strerror(errno));
        return 1;
}

/* ---- addresses ---- */

static int vsock_socket(const char *text, struct sockaddr_vm *ret) {
        unsigned cid, port;

        if (sscanf(text, "%u:%u", &cid, &port) != 2)
                return -1;
        *ret = (struct sockaddr_vm){.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
        return socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int unix_socket(const char *path, size_t len, struct sockaddr_un *ret) {
        *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
        if (len >= sizeof(ret->sun_path))
                return -1;
        memcpy(ret->sun_path, path, len);
        return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int read_line(int fd, char *line, size_t size) {
        size_t n = 0;

        while (n + 1 < size && read(fd, line + n, 1) == 1)
                if (line[n++] == '\n')
                        break;
        line[n] = '\0';
        return n > 0 && line[n - 1] == '\n' ? 0 : -1;
}

static int dial(const char *text) {
        const char *colon = strrchr(text, ':');
        struct sockaddr_un un;
        char line[64];
        int fd, n;

        if (!colon)
                return -1;
        fd = unix_socket(text, (size_t) (colon - text), &un);
        if (fd < 0 || connect(fd, (struct sockaddr *) &un, sizeof(un)) < 0)
                return -1;
        n = snprintf(line, sizeof(line), "CONNECT %s\n", colon + 1);
        if (write(fd, line, (size_t) n) != n || read_line(fd, line, sizeof(line)) < 0 ||
            strncmp(line, "OK ", 3) != 0) {
                close(fd);
                errno = ECONNREFUSED;
                return -1;
        }
        return fd;
}

static int open_address(const char *address, bool listening) {
        struct sockaddr_vm vm;
        struct sockaddr_un un;
        struct sockaddr *sa = (struct sockaddr *) &un;
        socklen_t len = sizeof(un);
        int fd;

        if (strncmp(address, "dial:", 5) == 0)
                return dial(address + 5);
        if (strncmp(address, "vsock:", 6) == 0) {
                fd = vsock_socket(address + 6, &vm);
                sa = (struct sockaddr *) &vm;
                len = sizeof(vm);
        } else
                fd = unix_socket(address + 5, strlen(address + 5), &un);
        if (fd < 0)
                return -1;
        if (listening ? bind(fd, sa, len) < 0 || listen(fd, BACKLOG) < 0
                      : connect(fd, sa, len) < 0) {
                close(fd);
                return -1;
        }
        return fd;
}

/* ---- the server ---- */

static void reply(Conn *conn, const void *data, size_t n) {
        if (write(conn->fd, data, n) != (ssize_t) n)
                conn->bad = true;
}

/* Return: whether the connection goes on. */
static bool take(Conn *conn, const uint8_t *data, size_t n) {
        while (n > 0 && conn->n_hello < sizeof(Hello)) {
                ((uint8_t *) &conn->hello)[conn->n_hello++] = *data++;
                n--;
        }
        if (conn->n_hello < sizeof(Hello))
                return true;
        if (conn->hello.want == WANT_SINK) {
                conn->bad = conn->bad || !verify(data, n, conn->done);
                conn->done += n;
        } else if (conn->hello.want == WANT_ECHO && n > 0)
                reply(conn, data, n);
        return true;
}

/* Sends until the socket is full. Return: whether there is more. */
static bool pour(Conn *conn) {
        while (conn->done < conn->hello.n) {
                size_t len;
                const uint8_t *data = pattern_at(conn->done, &len);
                ssize_t n;

                if (len > conn->hello.n - conn->done)
                        len = (size_t) (conn->hello.n - conn->done);
                n = send(conn->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n < 0)
                        return errno == EAGAIN;
                conn->done += (uint64_t) n;
        }
        return false;
}

/* Return: whether the connection goes on. */
static bool serve_conn(Conn *conn, uint32_t events) {
        static uint8_t buffer[4 * BLOCK];
        ssize_t n;

        if (events & EPOLLIN) {
                n = recv(conn->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
                if (n < 0)
                        return errno == EAGAIN;
                if (n == 0 && conn->hello.want == WANT_SINK) {
                        uint64_t answer[2] = {conn->done, !conn->bad};

                        reply(conn, answer, sizeof(answer));
                }
                if (n == 0)
                        return false;
                take(conn, buffer, (size_t) n);
        }
        if (conn->n_hello == sizeof(Hello) && conn->hello.want == WANT_SOURCE)
                return pour(conn);
        return !(events & (EPOLLHUP | EPOLLERR));
}

static void accept_conn(int epoll, int listener) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        Conn *conn = fd < 0 ? NULL : calloc(1, sizeof(*conn));
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};

        if (!conn)
                return;
        conn->fd = fd;
        (void) epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static int serve(const char *address) {
        int listener = open_address(address, true), epoll = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event event = {.events = EPOLLIN}, events[64];

        if (listener < 0 || epoll < 0)
                return die(address);
        (void) epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
        printf("vsock_peer: serving %s\n", address);
        fflush(stdout);
        for (;;) {
                int n = epoll_wait(epoll, events, 64, -1);

                for (int i = 0; i < n; i++) {
                        Conn *conn = events[i].data.ptr;

                        if (!conn)
                                accept_conn(epoll, listener);
                        else if (!serve_conn(conn, events[i].events)) {
                                close(conn->fd);
                                free(conn);
                        } else if (conn->hello.want == WANT_SOURCE) {
                                event = (struct epoll_event){.events = EPOLLOUT, .data.ptr = conn};
                                (void) epoll_ctl(epoll, EPOLL_CTL_MOD, conn->fd, &event);
                        }
                }
        }
}

/* ---- the client ---- */

static int connect_hello(const char *address, uint64_t want, uint64_t n) {
        Hello hello = {want, n};
        int fd = open_address(address, false);

        if (fd < 0 || write(fd, &hello, sizeof(hello)) != sizeof(hello))
                return -1;
        return fd;
}

static void report(const char *what, uint64_t n, const struct timespec *start) {
        struct timespec end;
        double seconds;

        clock_gettime(CLOCK_MONOTONIC, &end);
        seconds = (double) (end.tv_sec - start->tv_sec) +
                  (double) (end.tv_nsec - start->tv_nsec) / 1e9;
        printf("vsock_peer: %s %" PRIu64 " ok in %.3f s\n", what, n, seconds);
}

static int put(const char *address, uint64_t n) {
        Conn conn = {.hello = {WANT_SOURCE, n}, .n_hello = sizeof(Hello)};
        uint64_t answer[2];
        struct timespec start;

        clock_gettime(CLOCK_MONOTONIC, &start);
        conn.fd = connect_hello(address, WANT_SINK, n);
        if (conn.fd < 0)
                return die(address);
        while (conn.done < n) {
                size_t len;
                const uint8_t *data = pattern_at(conn.done, &len);
                ssize_t sent;

                if (len > n - conn.done)
                        len = (size_t) (n - conn.done);
                sent = write(conn.fd, data, len);
                if (sent <= 0)
                        return die("write");
                conn.done += (uint64_t) sent;
        }
        if (shutdown(conn.fd, SHUT_WR) < 0)
                return die("shutdown");
        if (recv(conn.fd, answer, sizeof(answer), MSG_WAITALL) != sizeof(answer))
                return die("answer");
        if (answer[0] != n || !answer[1]) {
                printf("vsock_peer: %" PRIu64 " of %" PRIu64 " bytes arrived, %s\n", answer[0], n,
                       answer[1] ? "all right" : "not all right");
                return 1;
        }
        report("put", n, &start);
        return 0;
}

static int get(const char *address, uint64_t n) {
        static uint8_t buffer[4 * BLOCK];
        struct timespec start;
        uint64_t done = 0;
        ssize_t got;
        int fd;

        clock_gettime(CLOCK_MONOTONIC, &start);
        fd = connect_hello(address, WANT_SOURCE, n);
        if (fd < 0)
                return die(address);
        while ((got = read(fd, buffer, sizeof(buffer))) > 0) {
                if (!verify(buffer, (size_t) got, done)) {
                        printf("vsock_peer: wrong bytes behind %" PRIu64 "\n", done);
                        return 1;
                }
                done += (uint64_t) got;
        }
        if (got < 0)
                return die("read");
        if (done != n) {
                printf("vsock_peer: %" PRIu64 " of %" PRIu64 " bytes arrived\n", done, n);
                return 1;
        }
        report("get", n, &start);
        return 0;
}

static int speak(int fd, uint64_t word) {
        uint64_t answer = ~word;

        if (write(fd, &word, sizeof(word)) != sizeof(word) ||
            recv(fd, &answer, sizeof(answer), MSG_WAITALL) != sizeof(answer))
                return die("echo");
        return answer == word ? 0 : 1;
}

/* A last word, and no more will come: the answer and the end still do. */
static int part(int fd, uint64_t word) {
        uint64_t answer = ~word;
        char byte;

        if (write(fd, &word, sizeof(word)) != sizeof(word) || shutdown(fd, SHUT_WR) < 0 ||
            recv(fd, &answer, sizeof(answer), MSG_WAITALL) != sizeof(answer) ||
            read(fd, &byte, 1) != 0)
                return die("half-closed");
        close(fd);
        return answer == word ? 0 : 1;
}

static int many(const char *address, int n) {
        static int fds[CONNS_MAX];
        struct timespec start;

        if (n < 1 || n > CONNS_MAX)
                return 1;
        clock_gettime(CLOCK_MONOTONIC, &start);
        for (int i = 0; i < n; i++) {
                fds[i] = connect_hello(address, WANT_ECHO, 0);
                if (fds[i] < 0) {
                        printf("vsock_peer: connection %d: %s\n", i, strerror(errno));
                        return 1;
                }
                if (speak(fds[i], (uint64_t) i) != 0)
                        return 1;
        }
        /* All are open now: each still has its own peer. */
        for (int i = n - 1; i >= 0; i--)
                if (speak(fds[i], UINT64_C(1) << 32 | (uint64_t) i) != 0)
                        return 1;
        for (int i = 0; i < n; i++)
                if (part(fds[i], UINT64_C(2) << 32 | (uint64_t) i) != 0)
                        return 1;
        report("many", (uint64_t) n, &start);
        return 0;
}

static bool copy(int from, int to) {
        char buffer[4096];
        ssize_t n;

        while ((n = read(from, buffer, sizeof(buffer))) > 0)
                if (write(to, buffer, (size_t) n) != n)
                        return false;
        return n == 0;
}

static int say(const char *address) {
        int fd = open_address(address, false);

        if (fd < 0)
                return die(address);
        if (!copy(STDIN_FILENO, fd) || shutdown(fd, SHUT_WR) < 0 || !copy(fd, STDOUT_FILENO))
                return die("say");
        return 0;
}

int main(int argc, char *argv[]) {
        struct rlimit limit = {CONNS_MAX + 100, CONNS_MAX + 100};

        (void) setrlimit(RLIMIT_NOFILE, &limit);
        fill_pattern();
        if (argc == 3 && strcmp(argv[1], "serve") == 0)
                return serve(argv[2]);
        if (argc == 4 && strcmp(argv[1], "put") == 0)
                return put(argv[2], strtoull(argv[3], NULL, 10));
        if (argc == 4 && strcmp(argv[1], "get") == 0)
                return get(argv[2], strtoull(argv[3], NULL, 10));
        if (argc == 4 && strcmp(argv[1], "many") == 0)
                return many(argv[2], (int) strtoull(argv[3], NULL, 10));
        if (argc == 3 && strcmp(argv[1], "say") == 0)
                return say(argv[2]);
        fprintf(stderr, "usage: vsock_peer serve|put|get|many|say ADDRESS [N]\n");
        return 2;
}
