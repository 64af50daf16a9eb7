/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/le.h"
#include "tests/fake/vmm_virtio_driver.h"
#include "vmm/virtio/devices.h"
#include "vmm/vsock/packet.h"

#define QUEUE_RECEIVE 0
#define QUEUE_TRANSMIT 1
#define QUEUE_EVENT 2
#define GUEST_CID 9u
#define BUFFER 4096u

typedef struct Fixture {
        FakeBoard *board;
        FakeDriver driver;
        char dir[32];
        int service;
} Fixture;

static int listen_at(const Fixture *f, const char *name) {
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_true(snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s", f->dir, name) > 0);
        assert_int_equal(bind(fd, (struct sockaddr *) &un, sizeof(un)), 0);
        assert_int_equal(listen(fd, 16), 0);
        return fd;
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        VirtioVsockConfig config = {.guest_cid = GUEST_CID};
        VirtioDevice *dev;

        assert_non_null(f);
        strcpy(f->dir, "/tmp/vsock-test.XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        f->service = listen_at(f, "vsock_52");
        f->board = fake_board_new(FAKE_DOORBELLS | FAKE_ROUTES);
        config.loop = f->board->loop;
        config.dir = f->dir;
        assert_int_equal(virtio_vsock_new(&config, &dev, NULL), 0);
        fake_board_add(f->board, dev, 1);
        fake_driver_probe(&f->driver, f->board, 1);
        fake_board_run(f->board);
        fake_driver_start(&f->driver, 0, 3, true);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;
        char path[64];

        fake_board_free(f->board);
        fd_close(f->service);
        assert_true(snprintf(path, sizeof(path), "%s/vsock_52", f->dir) > 0);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(f->dir), 0);
        free(f);
        return 0;
}

static void offer(Fixture *f, unsigned queue, gpa_t gpa, uint32_t len) {
        fake_queue_add(f->driver.queues + queue, &(FakeBuffer){gpa, len, true}, 1);
        fake_queue_kick(f->driver.queues + queue);
}

static void send_packet(Fixture *f, unsigned op, const char *text) {
        FakeQueue *queue = f->driver.queues + QUEUE_TRANSMIT;
        VsockHeader header = {
                .src_cid = GUEST_CID,
                .dst_cid = VSOCK_CID_HOST,
                .src_port = 1000,
                .dst_port = 52,
                .len = (uint32_t) strlen(text),
                .type = VSOCK_TYPE_STREAM,
                .op = (uint16_t) op,
                .buf_alloc = 65536,
        };
        gpa_t gpa = fake_alloc(f->board, BUFFER);
        uint8_t *packet = fake_host(f->board, gpa, BUFFER);
        FakeBuffer buffers[] = {{gpa, VSOCK_HEADER_LEN, false},
                                {gpa + VSOCK_HEADER_LEN, header.len, false}};
        uint16_t head;
        uint32_t len;

        vsock_header_store(packet, &header);
        memcpy(packet + VSOCK_HEADER_LEN, text, header.len);
        fake_queue_add(queue, buffers, header.len > 0 ? 2 : 1);
        fake_queue_kick(queue);
        assert_true(fake_queue_wait(queue, &head, &len));
        assert_int_equal(len, 0);
}

/* Offers a buffer and waits for it. Return: the packet in it. */
static const uint8_t *receive(Fixture *f, VsockHeader *ret) {
        gpa_t gpa = fake_alloc(f->board, BUFFER);
        uint16_t head;
        uint32_t len;

        offer(f, QUEUE_RECEIVE, gpa, BUFFER);
        assert_true(fake_queue_wait(f->driver.queues + QUEUE_RECEIVE, &head, &len));
        vsock_header_load(fake_host(f->board, gpa, BUFFER), ret);
        assert_int_equal(len, VSOCK_HEADER_LEN + ret->len);
        return (const uint8_t *) fake_host(f->board, gpa, BUFFER) + VSOCK_HEADER_LEN;
}

static int connect_guest(Fixture *f) {
        VsockHeader header;
        int fd;

        send_packet(f, VSOCK_OP_REQUEST, "");
        receive(f, &header);
        assert_int_equal(header.op, VSOCK_OP_RESPONSE);
        fd = accept4(f->service, NULL, NULL, SOCK_CLOEXEC);
        assert_true(fd >= 0);
        return fd;
}

static void test_the_driver_reads_its_context_id(void **state) {
        Fixture *f = *state;

        assert_int_equal(fake_read(&f->driver, f->driver.device, 4), GUEST_CID);
        assert_int_equal(fake_read(&f->driver, f->driver.device + 4, 4), 0);
}

static void test_bytes_go_both_ways_and_interrupt_the_driver(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int fd = connect_guest(f);
        unsigned before = fake_msi_count(f->board, QUEUE_RECEIVE + 1);
        const uint8_t *data;
        VsockHeader header;
        char got[5];

        send_packet(f, VSOCK_OP_RW, "hello");
        assert_int_equal(recv(fd, got, sizeof(got), MSG_WAITALL), 5);
        assert_memory_equal(got, "hello", 5);
        assert_int_equal(write(fd, "world", 5), 5);
        data = receive(f, &header);
        assert_int_equal(header.op, VSOCK_OP_RW);
        assert_memory_equal(data, "world", 5);
        assert_true(fake_wait_msi(f->board, QUEUE_RECEIVE + 1, before + 1));
}

static void test_a_reset_closes_connections_and_the_device_works_again(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int fd = connect_guest(f), again = -EBADF;
        char byte;

        fake_write(&f->driver, f->driver.common + 0x14, 1, 0);
        assert_true(fake_driver_wait_status(&f->driver, 0xff, 0));
        assert_int_equal(recv(fd, &byte, 1, 0), 0);
        fake_driver_start(&f->driver, 0, 3, true);
        again = connect_guest(f);
}

/* Runs on the loop, as the machine does it. */
static void set_suspended(Fixture *f, bool suspended) {
        fake_board_stop(f->board);
        pci_root_set_suspended(f->board->root, suspended);
        fake_board_run(f->board);
}

static void test_a_suspended_machine_loses_its_connections_and_hears_of_it(void **state) {
        Fixture *f = *state;
        _cleanup_(fd_closep) int fd = connect_guest(f), again = -EBADF;
        gpa_t event = fake_alloc(f->board, BUFFER);
        uint16_t head;
        uint32_t len;
        char byte;

        *(uint32_t *) fake_host(f->board, event, 4) = UINT32_MAX;
        offer(f, QUEUE_EVENT, event, 4);
        set_suspended(f, true);
        assert_int_equal(recv(fd, &byte, 1, 0), 0);
        set_suspended(f, false);
        assert_true(fake_queue_wait(f->driver.queues + QUEUE_EVENT, &head, &len));
        assert_int_equal(len, 4);
        assert_int_equal(le32_load(fake_host(f->board, event, 4)), VSOCK_EVENT_TRANSPORT_RESET);
        again = connect_guest(f);
}

static void test_a_buffer_that_holds_no_packet_breaks_the_device(void **state) {
        Fixture *f = *state;

        offer(f, QUEUE_RECEIVE, fake_alloc(f->board, BUFFER), VSOCK_HEADER_LEN);
        send_packet(f, VSOCK_OP_RW, "x");
        assert_true(fake_driver_wait_status(&f->driver, VIRTIO_STATUS_NEEDS_RESET,
                                            VIRTIO_STATUS_NEEDS_RESET));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_the_driver_reads_its_context_id),
                TEST(test_bytes_go_both_ways_and_interrupt_the_driver),
                TEST(test_a_reset_closes_connections_and_the_device_works_again),
                TEST(test_a_suspended_machine_loses_its_connections_and_hears_of_it),
                TEST(test_a_buffer_that_holds_no_packet_breaks_the_device),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
