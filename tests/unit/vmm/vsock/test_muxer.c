/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "vmm/vsock/muxer.h"
#include "vmm/vsock/packet.h"

#define GUEST_CID 7u
#define GUEST_PORT 1000u
#define HOST_PORT 52u
#define PEER_CREDIT 100000u
#define PACKET_MAX 70000u

typedef struct Fixture {
        Loop *loop;
        VsockMuxer *muxer;
        char dir[32];
        int service; /* listens for the guest on HOST_PORT */
        VsockHeader last;
        uint8_t data[PACKET_MAX];
        uint32_t host_port; /* of the connection under test */
        bool inside;
} Fixture;

static void enter(void *device) {
        Fixture *f = device;

        assert_false(f->inside);
        f->inside = true;
}

static void leave(void *device) {
        Fixture *f = device;

        assert_true(f->inside);
        f->inside = false;
        loop_exit(f->loop);
}

static const VsockMuxerOps ops = {.enter = enter, .leave = leave};

static struct sockaddr_un address(const Fixture *f, const char *name) {
        struct sockaddr_un un = {.sun_family = AF_UNIX};

        assert_true(snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s", f->dir, name) > 0);
        return un;
}

static int listen_at(const Fixture *f, const char *name) {
        struct sockaddr_un un = address(f, name);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (struct sockaddr *) &un, sizeof(un)), 0);
        assert_int_equal(listen(fd, 1024), 0);
        return fd;
}

static int connect_to(const Fixture *f, const char *name) {
        struct sockaddr_un un = address(f, name);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(connect(fd, (struct sockaddr *) &un, sizeof(un)), 0);
        return fd;
}

static int new_muxer(Fixture *f, VsockMuxer **ret) {
        return vsock_muxer_new(&(VsockMuxerConfig){.loop = f->loop,
                                                   .guest_cid = GUEST_CID,
                                                   .dir = f->dir,
                                                   .ops = &ops,
                                                   .device = f},
                               ret, NULL);
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        strcpy(f->dir, "/tmp/vsock-test.XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        assert_int_equal(loop_new(&f->loop), 0);
        assert_int_equal(new_muxer(f, &f->muxer), 0);
        f->service = listen_at(f, "vsock_52");
        f->host_port = HOST_PORT;
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        struct sockaddr_un un = address(f, "vsock_52");

        vsock_muxer_free(f->muxer);
        loop_free(f->loop);
        fd_close(f->service);
        assert_int_equal(unlink(un.sun_path), 0);
        assert_int_equal(rmdir(f->dir), 0); /* the muxer's own socket is gone */
        free(f);
        return 0;
}

/* ---- the guest ---- */

static void guest_sends(Fixture *f, VsockHeader header, const void *data, size_t len) {
        uint8_t raw[VSOCK_HEADER_LEN];
        struct iovec iov[2] = {{raw, sizeof(raw)}, {(void *) (uintptr_t) data, len}};

        vsock_header_store(raw, &header);
        vsock_muxer_receive(f->muxer, iov, len > 0 ? 2 : 1);
}

static VsockHeader header_of(const Fixture *f, unsigned op) {
        return (VsockHeader){
                .src_cid = GUEST_CID,
                .dst_cid = VSOCK_CID_HOST,
                .src_port = GUEST_PORT,
                .dst_port = f->host_port,
                .type = VSOCK_TYPE_STREAM,
                .op = (uint16_t) op,
                .buf_alloc = PEER_CREDIT,
        };
}

static void guest_says(Fixture *f, unsigned op) {
        guest_sends(f, header_of(f, op), NULL, 0);
}

static void guest_writes(Fixture *f, const void *data, uint32_t len) {
        VsockHeader header = header_of(f, VSOCK_OP_RW);

        header.len = len;
        guest_sends(f, header, data, len);
}

static void guest_shuts(Fixture *f, uint32_t flags) {
        VsockHeader header = header_of(f, VSOCK_OP_SHUTDOWN);

        header.flags = flags;
        guest_sends(f, header, NULL, 0);
}

/* Takes a packet if there is one; never waits. Return: whether there was. */
static bool guest_polls(Fixture *f) {
        uint8_t raw[VSOCK_HEADER_LEN];
        struct iovec iov[2] = {{raw, sizeof(raw)}, {f->data, sizeof(f->data)}};
        size_t n = vsock_muxer_send(f->muxer, iov, 2);

        if (n == 0)
                return false;
        assert_true(n >= sizeof(raw));
        vsock_header_load(raw, &f->last);
        assert_int_equal(n, sizeof(raw) + f->last.len);
        assert_int_equal(f->last.dst_cid, GUEST_CID);
        return true;
}

/* The next packet, whatever it takes. */
static void guest_gets(Fixture *f, unsigned op) {
        while (!guest_polls(f))
                assert_int_equal(loop_run(f->loop), 0);
        assert_int_equal(f->last.op, op);
        assert_int_equal(f->last.src_port, f->host_port);
        assert_int_equal(f->last.dst_port, GUEST_PORT);
}

/* Return: the host's end. */
static int connect_guest(Fixture *f) {
        int fd;

        guest_says(f, VSOCK_OP_REQUEST);
        guest_gets(f, VSOCK_OP_RESPONSE);
        fd = accept4(f->service, NULL, NULL, SOCK_CLOEXEC);
        assert_true(fd >= 0);
        return fd;
}

static void host_reads(int fd, const void *want, size_t len) {
        _cleanup_(freep) char *got = malloc(len);

        assert_non_null(got);
        assert_int_equal(recv(fd, got, len, MSG_WAITALL), len);
        assert_memory_equal(got, want, len);
}

static void host_reads_end(int fd) {
        char byte;

        assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

/* ---- connecting ---- */

static void test_the_guest_reaches_the_socket_of_its_port(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int fd = connect_guest(f);

        assert_int_equal(f->last.src_cid, VSOCK_CID_HOST);
        assert_int_equal(f->last.type, VSOCK_TYPE_STREAM);
        assert_int_equal(f->last.buf_alloc, VSOCK_CREDIT_MAX);
        guest_writes(f, "hello", 5);
        host_reads(fd, "hello", 5);
        assert_int_equal(write(fd, "world", 5), 5);
        guest_gets(f, VSOCK_OP_RW);
        assert_int_equal(f->last.len, 5);
        assert_memory_equal(f->data, "world", 5);
        assert_int_equal(f->last.fwd_cnt, 5);
}

static void test_a_port_without_a_service_is_refused(void **state) {
        Fixture *f = *state;

        f->host_port = 53;
        guest_says(f, VSOCK_OP_REQUEST);
        guest_gets(f, VSOCK_OP_RST);
        assert_false(guest_polls(f));
}

static int dial(Fixture *f, const char *line) {
        int fd = connect_to(f, "vsock");

        assert_int_equal(write(fd, line, strlen(line)), strlen(line));
        return fd;
}

/* Plays the guest up to its answer. */
static void answer_dial(Fixture *f, unsigned op) {
        while (!guest_polls(f))
                assert_int_equal(loop_run(f->loop), 0);
        assert_int_equal(f->last.op, VSOCK_OP_REQUEST);
        assert_int_equal(f->last.dst_port, GUEST_PORT);
        f->host_port = f->last.src_port;
        guest_says(f, op);
}

static void test_a_host_client_reaches_the_port_that_it_names(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int fd = dial(f, "CONNECT 1000\nand more");
        char ok[32];
        int n;

        answer_dial(f, VSOCK_OP_RESPONSE);
        n = snprintf(ok, sizeof(ok), "OK %u\n", f->host_port);
        host_reads(fd, ok, (size_t) n);
        guest_gets(f, VSOCK_OP_RW);
        assert_int_equal(f->last.len, 8);
        assert_memory_equal(f->data, "and more", 8);
        guest_writes(f, "yes", 3);
        host_reads(fd, "yes", 3);
}

static void test_a_host_client_is_closed_when_nobody_listens_in_the_guest(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int fd = dial(f, "CONNECT 1000\n");

        answer_dial(f, VSOCK_OP_RST);
        host_reads_end(fd);
        assert_false(guest_polls(f));
}

static void test_a_line_may_come_in_pieces(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int fd = dial(f, "CONN");

        assert_int_equal(loop_run(f->loop), 0);
        assert_int_equal(write(fd, "ECT 1000\n", 9), 9);
        answer_dial(f, VSOCK_OP_RESPONSE);
        host_reads(fd, "OK ", 3);
}

static void test_a_client_that_says_something_else_is_closed(void **state) {
        static const char *const lines[] = {
                "CONNECT\n",
                "CONNECT \n",
                "CONNECT -1\n",
                "CONNECT 4294967296\n",
                "\n",
                "CONNECT 1000 \n",
                "GET / HTTP/1.1\r\n",
                "CONNECT 000000000000000000000000000000000",
        };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                _cleanup_(fd_closep) int fd = dial(f, lines[i]);
                char byte;

                assert_int_equal(loop_run(f->loop), 0);
                assert_int_equal(loop_run(f->loop), 0);
                /* The rest of what it said may be lost with it. */
                assert_true(recv(fd, &byte, 1, 0) <= 0);
                assert_false(guest_polls(f));
        }
}

static void test_two_connections_to_one_port_are_told_apart(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int a = dial(f, "CONNECT 1000\n"), b = -EBADF;
        uint32_t first;

        answer_dial(f, VSOCK_OP_RESPONSE);
        first = f->host_port;
        b = dial(f, "CONNECT 1000\n");
        answer_dial(f, VSOCK_OP_RESPONSE);
        assert_int_not_equal(f->host_port, first);
        guest_writes(f, "b", 1);
        f->host_port = first;
        guest_writes(f, "a", 1);
        host_reads(a, "OK ", 3);
        host_reads(b, "OK ", 3);
}

/* ---- credit ---- */

static void test_the_guest_gets_no_more_than_its_credit(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int fd = -EBADF;
        VsockHeader update = header_of(f, VSOCK_OP_CREDIT_UPDATE);
        char data[50] = "0123456789012345678901234567890123456789";

        fd = connect_guest(f);
        update.buf_alloc = 30;
        guest_sends(f, update, NULL, 0);
        assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
        guest_gets(f, VSOCK_OP_RW);
        assert_int_equal(f->last.len, 30);
        guest_gets(f, VSOCK_OP_CREDIT_REQUEST);
        assert_false(guest_polls(f)); /* it asks once */
        update.fwd_cnt = 10;
        guest_sends(f, update, NULL, 0);
        guest_gets(f, VSOCK_OP_RW);
        assert_int_equal(f->last.len, 10);
        assert_memory_equal(f->data, data + 30, 10);
        update.fwd_cnt = 4000000000u; /* nonsense is no credit */
        guest_sends(f, update, NULL, 0);
        guest_gets(f, VSOCK_OP_CREDIT_REQUEST);
        assert_false(guest_polls(f));
}

static void test_what_a_slow_host_does_not_take_is_kept(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int fd = connect_guest(f);
        _cleanup_(freep) uint8_t *sent = malloc(1 << 20);
        uint32_t total = 0, credit = f->last.buf_alloc, told = 0;

        assert_non_null(sent);
        /* The socket takes some, then bytes are kept until the credit is used up. */
        while (true) {
                uint32_t room = credit - (total - told), n = MIN(room, 10000u);

                if (n == 0)
                        break;
                memset(sent + total, (int) (total / 10000), n);
                guest_writes(f, sent + total, n);
                total += n;
                while (guest_polls(f))
                        told = f->last.fwd_cnt;
                assert_true(total < 1 << 20);
        }
        assert_true(total > credit);
        guest_shuts(f, VSOCK_SHUTDOWN_SEND);
        for (uint32_t at = 0; at < total;) {
                uint8_t buffer[8192];
                ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);

                if (n < 0) {
                        assert_int_equal(errno, EAGAIN);
                        assert_int_equal(loop_run(f->loop), 0);
                        continue;
                }
                assert_true(n > 0);
                assert_memory_equal(buffer, sent + at, (size_t) n);
                at += (uint32_t) n;
        }
        host_reads_end(fd);
        while (guest_polls(f))
                told = f->last.fwd_cnt;
        assert_true(told > total / 2);
}

static void test_a_guest_that_ignores_its_credit_is_reset(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int fd = connect_guest(f);
        _cleanup_(freep) uint8_t *data = calloc(1, VSOCK_CREDIT_MAX + 1);

        guest_writes(f, data, VSOCK_CREDIT_MAX + 1);
        guest_gets(f, VSOCK_OP_RST);
        host_reads_end(fd);
}

static void test_credit_is_told_when_it_is_asked_for(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int fd = connect_guest(f);

        guest_writes(f, "abc", 3);
        guest_says(f, VSOCK_OP_CREDIT_REQUEST);
        guest_gets(f, VSOCK_OP_CREDIT_UPDATE);
        assert_int_equal(f->last.fwd_cnt, 3);
        assert_true(f->last.buf_alloc > 0);
}

/* ---- closing ---- */

static void test_the_guest_may_close_its_half(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int fd = connect_guest(f);

        guest_writes(f, "last", 4);
        guest_shuts(f, VSOCK_SHUTDOWN_SEND);
        host_reads(fd, "last", 4);
        host_reads_end(fd);
        assert_int_equal(write(fd, "answer", 6), 6);
        guest_gets(f, VSOCK_OP_RW);
        guest_shuts(f, VSOCK_SHUTDOWN_RECEIVE);
        guest_gets(f, VSOCK_OP_RST);
}

static void test_the_host_may_close_its_half(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int fd = connect_guest(f);

        assert_int_equal(write(fd, "last", 4), 4);
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        guest_gets(f, VSOCK_OP_RW);
        guest_gets(f, VSOCK_OP_SHUTDOWN);
        assert_int_equal(f->last.flags, VSOCK_SHUTDOWN_SEND);
        guest_writes(f, "answer", 6);
        host_reads(fd, "answer", 6);
}

static void test_a_host_that_is_gone_leaves_its_last_bytes(void **state) {
        Fixture *f = *state;
        int fd = connect_guest(f);
        unsigned n = 0;

        assert_int_equal(write(fd, "last", 4), 4);
        fd_close(fd);
        do {
                while (!guest_polls(f))
                        assert_int_equal(loop_run(f->loop), 0);
                if (f->last.op == VSOCK_OP_RW)
                        n += f->last.len;
                else
                        assert_int_equal(f->last.op, VSOCK_OP_SHUTDOWN);
        } while (f->last.op != VSOCK_OP_SHUTDOWN || f->last.flags != VSOCK_SHUTDOWN_BOTH);
        assert_int_equal(n, 4);
        guest_writes(f, "nobody hears", 12);
        guest_says(f, VSOCK_OP_RST);
        assert_false(guest_polls(f));
        guest_writes(f, "late", 4); /* the connection is over */
        guest_gets(f, VSOCK_OP_RST);
}

static void test_a_guest_that_closes_leaves_what_it_had_sent(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int fd = connect_guest(f);
        _cleanup_(freep) uint8_t *data = calloc(1, VSOCK_CREDIT_MAX);

        guest_writes(f, data, VSOCK_CREDIT_MAX);
        guest_shuts(f, VSOCK_SHUTDOWN_BOTH);
        while (guest_polls(f))
                ;
        assert_int_equal(f->last.op, VSOCK_OP_RST);
        /* The ports are free again although bytes are still on their way. */
        guest_says(f, VSOCK_OP_REQUEST);
        guest_gets(f, VSOCK_OP_RESPONSE);
        for (size_t left = VSOCK_CREDIT_MAX; left > 0;) {
                ssize_t n = recv(fd, data, MIN(left, (size_t) 4096), MSG_DONTWAIT);

                if (n < 0)
                        assert_int_equal(loop_run(f->loop), 0);
                else
                        left -= (size_t) n;
        }
        host_reads_end(fd);
}

/* ---- what makes no sense ---- */

static void test_packets_of_others_are_not_taken(void **state) {
        Fixture *f = *state;
        VsockHeader header = header_of(f, VSOCK_OP_REQUEST);
        uint8_t cut[VSOCK_HEADER_LEN - 1] = {0};

        header.src_cid = GUEST_CID + 1;
        guest_sends(f, header, NULL, 0);
        header = header_of(f, VSOCK_OP_RW);
        header.len = 5; /* more than there is */
        guest_sends(f, header, "abcd", 4);
        vsock_muxer_receive(f->muxer, &(struct iovec){cut, sizeof(cut)}, 1);
        vsock_muxer_receive(f->muxer, NULL, 0);
        assert_false(guest_polls(f));
}

static void test_what_is_not_for_the_host_is_refused(void **state) {
        Fixture *f = *state;
        VsockHeader header = header_of(f, VSOCK_OP_REQUEST);

        header.dst_cid = 8;
        guest_sends(f, header, NULL, 0);
        guest_gets(f, VSOCK_OP_RST);
        assert_int_equal(f->last.src_cid, 8);
        header = header_of(f, VSOCK_OP_REQUEST);
        header.type = 2; /* seqpacket was not offered */
        guest_sends(f, header, NULL, 0);
        guest_gets(f, VSOCK_OP_RST);
        assert_int_equal(f->last.type, 2);
        header.op = VSOCK_OP_RST; /* no answer to an answer */
        guest_sends(f, header, NULL, 0);
        guest_says(f, VSOCK_OP_RST);
        assert_false(guest_polls(f));
}

static void test_operations_out_of_turn_end_a_connection(void **state) {
        static const unsigned wrong[] = {VSOCK_OP_REQUEST, VSOCK_OP_RESPONSE, 0, 8, 65535};
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                _cleanup_(fd_closep) int fd = connect_guest(f);

                guest_says(f, wrong[i]);
                guest_gets(f, VSOCK_OP_RST);
                host_reads_end(fd);
        }
}

static void test_data_behind_the_end_is_a_mistake(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int fd = connect_guest(f);

        guest_shuts(f, VSOCK_SHUTDOWN_SEND);
        guest_writes(f, "x", 1);
        guest_gets(f, VSOCK_OP_RST);
        host_reads_end(fd);
}

static void test_unanswerable_packets_do_not_pile_up(void **state) {
        Fixture *f = *state;
        unsigned n = 0;

        for (unsigned i = 0; i < 100000; i++)
                guest_says(f, VSOCK_OP_RW);
        while (guest_polls(f))
                n++;
        assert_in_range(n, 1, 4096);
}

/* ---- all of them ---- */

#define MANY 300u

static void test_many_connections_keep_their_bytes_apart(void **state) {
        Fixture *f = *state;
        int fds[MANY];

        for (uint32_t i = 0; i < MANY; i++) {
                VsockHeader header = header_of(f, VSOCK_OP_REQUEST);

                header.src_port = 5000 + i;
                guest_sends(f, header, NULL, 0);
                assert_true(guest_polls(f));
                assert_int_equal(f->last.op, VSOCK_OP_RESPONSE);
                fds[i] = accept4(f->service, NULL, NULL, SOCK_CLOEXEC);
                assert_true(fds[i] >= 0);
        }
        for (uint32_t i = 0; i < MANY; i++) {
                VsockHeader header = header_of(f, VSOCK_OP_RW);

                header.src_port = 5000 + i;
                header.len = sizeof(i);
                guest_sends(f, header, &i, sizeof(i));
                host_reads(fds[i], &i, sizeof(i));
                assert_int_equal(write(fds[i], &i, sizeof(i)), sizeof(i));
        }
        for (uint32_t i = 0; i < MANY; i++) {
                uint32_t who;

                while (!guest_polls(f))
                        assert_int_equal(loop_run(f->loop), 0);
                assert_int_equal(f->last.op, VSOCK_OP_RW);
                memcpy(&who, f->data, sizeof(who));
                assert_int_equal(f->last.dst_port, 5000 + who);
        }
        vsock_muxer_reset(f->muxer);
        assert_false(guest_polls(f));
        for (uint32_t i = 0; i < MANY; i++) {
                host_reads_end(fds[i]);
                fd_close(fds[i]);
        }
}

static void test_a_socket_that_was_left_behind_is_replaced_but_not_one_in_use(void **state) {
        Fixture *f = *state;
        struct sockaddr_un un = address(f, "vsock");
        VsockMuxer *second = NULL;
        int left;

        assert_int_equal(new_muxer(f, &second), -EADDRINUSE);
        f->muxer = vsock_muxer_free(f->muxer);
        left = listen_at(f, "vsock");
        fd_close(left);
        assert_int_equal(new_muxer(f, &f->muxer), 0);
        assert_int_equal(access(un.sun_path, F_OK), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_the_guest_reaches_the_socket_of_its_port),
                TEST(test_a_port_without_a_service_is_refused),
                TEST(test_a_host_client_reaches_the_port_that_it_names),
                TEST(test_a_host_client_is_closed_when_nobody_listens_in_the_guest),
                TEST(test_a_line_may_come_in_pieces),
                TEST(test_a_client_that_says_something_else_is_closed),
                TEST(test_two_connections_to_one_port_are_told_apart),
                TEST(test_the_guest_gets_no_more_than_its_credit),
                TEST(test_what_a_slow_host_does_not_take_is_kept),
                TEST(test_a_guest_that_ignores_its_credit_is_reset),
                TEST(test_credit_is_told_when_it_is_asked_for),
                TEST(test_the_guest_may_close_its_half),
                TEST(test_the_host_may_close_its_half),
                TEST(test_a_host_that_is_gone_leaves_its_last_bytes),
                TEST(test_a_guest_that_closes_leaves_what_it_had_sent),
                TEST(test_packets_of_others_are_not_taken),
                TEST(test_what_is_not_for_the_host_is_refused),
                TEST(test_operations_out_of_turn_end_a_connection),
                TEST(test_data_behind_the_end_is_a_mistake),
                TEST(test_unanswerable_packets_do_not_pile_up),
                TEST(test_many_connections_keep_their_bytes_apart),
                TEST(test_a_socket_that_was_left_behind_is_replaced_but_not_one_in_use),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
