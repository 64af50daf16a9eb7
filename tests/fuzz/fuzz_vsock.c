/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The socket multiplexer, between a guest that sends what it likes and host clients that do as well.
 *
 * Input: records of 20 bytes: act, op, ports (two nibbles), flags, u32 len, buf_alloc, fwd_cnt, spare.
 */

#include <assert.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/le.h"
#include "vmm/vsock/muxer.h"
#include "vmm/vsock/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORD 20u
#define RECORDS_MAX 200u
#define GUEST_CID 3u
#define PACKET_MAX 5000u
#define CLIENTS 4u

enum {
        ACT_PACKET,
        ACT_POLL,
        ACT_TURN,
        ACT_DIAL,
        ACT_HOST_WRITE,
        ACT_HOST_READ,
        ACT_HOST_CLOSE,
        N_ACTS
};

typedef struct Fuzzed {
        Loop *loop;
        LoopSource *stop;
        VsockMuxer *muxer;
        char dir[32];
        int service;
        int clients[CLIENTS];
} Fuzzed;

static void enter(void *device) {
}

static void end_turn(void *userdata) {
        loop_exit(userdata);
}

static const VsockMuxerOps ops = {.enter = enter, .leave = enter};

static int socket_at(const Fuzzed *f, const char *name, bool listening) {
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

        assert(fd >= 0);
        (void) snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s", f->dir, name);
        r = listening ? bind(fd, (struct sockaddr *) &un, sizeof(un)) | listen(fd, 64)
                      : connect(fd, (struct sockaddr *) &un, sizeof(un));
        return r < 0 ? fd_close(fd) : fd;
}

static Fuzzed the_fuzzed;

static void remove_dir(void) {
        (void) rmdir(the_fuzzed.dir);
}

/* Once: making and releasing an epoll set costs more than a whole run. */
static void board_init(Fuzzed *f) {
        int r;

        (void) signal(SIGPIPE, SIG_IGN);
        strcpy(f->dir, "/tmp/fuzz-vsock.XXXXXX");
        r = mkdtemp(f->dir) ? loop_new(&f->loop) : -1;
        assert(r == 0);
        r = loop_add_timer(f->loop, end_turn, f->loop, &f->stop);
        assert(r == 0);
        (void) atexit(remove_dir);
}

static void fuzzed_init(Fuzzed *f) {
        VsockMuxerConfig config = {
                .guest_cid = GUEST_CID, .dir = f->dir, .ops = &ops, .device = f, .loop = f->loop};
        int r = vsock_muxer_new(&config, &f->muxer, NULL);

        assert(r == 0);
        f->service = socket_at(f, "vsock_1", true);
        for (unsigned i = 0; i < CLIENTS; i++)
                f->clients[i] = -EBADF;
}

static void fuzzed_deinit(Fuzzed *f) {
        char path[64];

        vsock_muxer_free(f->muxer);
        for (unsigned i = 0; i < CLIENTS; i++)
                fd_close(f->clients[i]);
        fd_close(f->service);
        (void) snprintf(path, sizeof(path), "%s/vsock_1", f->dir);
        (void) unlink(path);
}

/* Ports that clients were given are far up; the guest finds the first ones. */
static uint32_t port_of(unsigned nibble) {
        return nibble < 8 ? nibble : (UINT32_C(1) << 30) + nibble - 8;
}

static void send_packet(Fuzzed *f, const uint8_t *record) {
        static uint8_t payload[PACKET_MAX];
        uint32_t len = le32_load(record + 4);
        VsockHeader header = {
                .src_cid = GUEST_CID,
                .dst_cid = record[16] == 255 ? 9 : VSOCK_CID_HOST,
                .src_port = record[2] & 15,
                .dst_port = port_of(record[2] >> 4),
                .len = record[17] == 255 ? len : len % PACKET_MAX,
                .type = record[18] == 255 ? 2 : VSOCK_TYPE_STREAM,
                .op = record[1] % 10,
                .flags = record[3],
                .buf_alloc = le32_load(record + 8),
                .fwd_cnt = le32_load(record + 12),
        };
        uint8_t raw[VSOCK_HEADER_LEN];
        struct iovec iov[2] = {{raw, sizeof(raw)}, {payload, len % PACKET_MAX}};

        vsock_header_store(raw, &header);
        vsock_muxer_receive(f->muxer, iov, 2);
}

static void poll_packet(Fuzzed *f, const uint8_t *record) {
        uint8_t packet[VSOCK_HEADER_LEN + 256];
        struct iovec iov = {packet, VSOCK_HEADER_LEN + 1 + record[1]};
        size_t n = vsock_muxer_send(f->muxer, &iov, 1);

        assert(n == 0 || (n >= VSOCK_HEADER_LEN && n <= iov.iov_len));
}

static void turn(Fuzzed *f) {
        (void) loop_set_timer(f->stop, clock_monotonic_nsec() + 1);
        (void) loop_run(f->loop);
}

static void host_writes(Fuzzed *f, int fd, const uint8_t *record) {
        char text[32];
        int n = snprintf(text, sizeof(text), "CONNECT %u\n", record[2] & 15u);

        if (record[1] & 1)
                (void) !write(fd, text, (size_t) n);
        else
                (void) !write(fd, record, RECORD);
}

static void perform(Fuzzed *f, const uint8_t *record) {
        int *client = &f->clients[record[3] % CLIENTS];
        char buffer[4096];

        switch (record[0] % N_ACTS) {
        case ACT_PACKET:
                send_packet(f, record);
                break;
        case ACT_POLL:
                poll_packet(f, record);
                break;
        case ACT_TURN:
                turn(f);
                break;
        case ACT_DIAL:
                fd_close(*client);
                *client = record[1] & 1
                                  ? socket_at(f, "vsock", false)
                                  : accept4(f->service, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                break;
        case ACT_HOST_WRITE:
                if (*client >= 0)
                        host_writes(f, *client, record);
                break;
        case ACT_HOST_READ:
                if (*client >= 0)
                        (void) !read(*client, buffer, sizeof(buffer));
                break;
        default:
                if (*client >= 0 && record[1] & 1)
                        (void) shutdown(*client, record[1] & 2 ? SHUT_WR : SHUT_RD);
                else
                        *client = fd_close(*client);
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Fuzzed *f = &the_fuzzed;

        if (!f->loop)
                board_init(f);
        fuzzed_init(f);
        for (size_t i = 0; i < RECORDS_MAX && (i + 1) * RECORD <= size; i++)
                perform(f, data + i * RECORD);
        turn(f);
        fuzzed_deinit(f);
        return 0;
}
