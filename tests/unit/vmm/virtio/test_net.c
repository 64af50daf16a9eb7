/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/le.h"
#include "tests/fake/vmm_net_fake.h"
#include "tests/fake/vmm_virtio_driver.h"
#include "vmm/virtio/devices.h"

#define RECEIVE 0u
#define TRANSMIT 1u
#define CONTROL 2u /* without NET_F_MQ */
#define HEADER 12u

/* Our own numbers, so that a mistake in the device's is seen. */
#define F_CSUM (UINT64_C(1) << 0)
#define F_GUEST_CSUM (UINT64_C(1) << 1)
#define F_GUEST_TSO4 (UINT64_C(1) << 7)
#define F_HOST_TSO4 (UINT64_C(1) << 11)
#define F_MRG_RXBUF (UINT64_C(1) << 15)
#define F_CTRL_VQ (UINT64_C(1) << 17)
#define F_MQ (UINT64_C(1) << 22)
#define F_CTRL_MAC_ADDR (UINT64_C(1) << 23)

typedef struct Fixture {
        FakeBoard *board;
        FakeDriver driver;
        FakeNet *net;
        int wire;
} Fixture;

static int setup(void **state) {
        static const VirtioNetConfig config = {
                .mac = {2, 0, 0, 0, 0, 9}, .mergeable = true, .packed = true};
        Fixture *f = calloc(1, sizeof(*f));
        VirtioDevice *dev;

        assert_non_null(f);
        f->board = fake_board_new(FAKE_ROUTES);
        f->net = fake_net_new(f->board->loop, 2, &f->wire);
        assert_int_equal(virtio_net_new(&f->net->net, &config, &dev), 0);
        fake_board_add(f->board, dev, 1);
        fake_driver_probe(&f->driver, f->board, 1);
        fake_board_run(f->board);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        fake_board_free(f->board);
        fd_close(f->wire);
        free(f);
        return 0;
}

static void fill(uint8_t *data, size_t len, unsigned seed) {
        for (size_t i = 0; i < len; i++)
                data[i] = (uint8_t) (i * 7 + seed + (i >> 8));
}

/* A frame of @len bytes from the guest, whose header has @flags and @gso. */
static void transmit(Fixture *f, uint32_t len, uint8_t flags, uint8_t gso) {
        FakeBuffer buffers[] = {{fake_alloc(f->board, HEADER), HEADER, false},
                                {fake_alloc(f->board, len), len, false}};
        uint8_t *header = fake_host(f->board, buffers[0].gpa, HEADER);

        memset(header, 0, HEADER);
        header[0] = flags;
        header[1] = gso;
        fill(fake_host(f->board, buffers[1].gpa, len), len, len);
        fake_queue_add(f->driver.queues + TRANSMIT, buffers, 2);
        fake_queue_kick(f->driver.queues + TRANSMIT);
}

static void wait_transmitted(Fixture *f) {
        uint16_t head;
        uint32_t len;

        assert_true(fake_queue_wait(f->driver.queues + TRANSMIT, &head, &len));
        assert_int_equal(len, 0);
}

/* The next frame on the wire has @len bytes of the guest's. */
static void expect_frame(Fixture *f, uint32_t len, uint8_t flags, uint8_t gso) {
        static uint8_t frame[70000], want[70000];

        assert_int_equal(recv(f->wire, frame, sizeof(frame), 0), HEADER + len);
        assert_int_equal(frame[0], flags);
        assert_int_equal(frame[1], gso);
        fill(want, len, len);
        assert_memory_equal(frame + HEADER, want, len);
}

static void put_on_wire(Fixture *f, size_t len) {
        uint8_t *frame = calloc(1, HEADER + len);

        assert_non_null(frame);
        fill(frame + HEADER, len, (unsigned) len);
        assert_int_equal(send(f->wire, frame, HEADER + len, 0), HEADER + len);
        free(frame);
}

static gpa_t offer(Fixture *f, uint32_t len) {
        FakeBuffer buffer = {fake_alloc(f->board, len), len, true};

        fake_queue_add(f->driver.queues + RECEIVE, &buffer, 1);
        return buffer.gpa;
}

/* Waits for the @n buffers of @each bytes at @gpas and compares what is in them with a frame of @len bytes. */
static void expect_received(Fixture *f, const gpa_t *gpas, unsigned n, uint32_t each, size_t len) {
        static uint8_t got[70000], want[70000];
        size_t done = 0;

        for (unsigned i = 0; i < n; i++) {
                uint16_t head;
                uint32_t part;

                assert_true(fake_queue_wait(f->driver.queues + RECEIVE, &head, &part));
                assert_int_equal(part, MIN((size_t) each, HEADER + len - done));
                memcpy(got + done, fake_host(f->board, gpas[i], each), part);
                done += part;
        }
        assert_int_equal(done, HEADER + len);
        assert_int_equal(le16_load(got + 10), n);
        fill(want, len, (unsigned) len);
        assert_memory_equal(got + HEADER, want, len);
}

/* Frames over one and over several buffers, both ways, many laps around the rings. */
static void test_frames_go_both_ways_through_packed_queues(void **state) {
        Fixture *f = *state;

        fake_driver_start(&f->driver, F_MRG_RXBUF | VIRTIO_F_RING_PACKED | VIRTIO_F_EVENT_IDX, 2,
                          true);
        for (unsigned i = 0; i < 400; i++) {
                const gpa_t rings_end = f->board->next_alloc;
                gpa_t gpas[3];

                transmit(f, 60 + i, 0, 0);
                wait_transmitted(f);
                expect_frame(f, 60 + i, 0, 0);
                for (unsigned k = 0; k < ELEMENTSOF(gpas); k++)
                        gpas[k] = offer(f, 1000);
                fake_queue_kick(f->driver.queues + RECEIVE);
                put_on_wire(f, 2000);
                expect_received(f, gpas, 3, 1000, 2000);
                f->board->next_alloc = rings_end; /* the buffers are free again */
        }
}

static void test_a_frame_from_the_guest_reaches_the_wire(void **state) {
        Fixture *f = *state;

        fake_driver_start(&f->driver, F_CSUM | F_HOST_TSO4, 2, true);
        transmit(f, 60, 0, 0);
        wait_transmitted(f);
        expect_frame(f, 60, 0, 0);
        transmit(f, 40000, 1, 1);
        wait_transmitted(f);
        expect_frame(f, 40000, 1, 1);
}

static void test_what_was_not_negotiated_is_not_passed_on(void **state) {
        Fixture *f = *state;

        fake_driver_start(&f->driver, 0, 2, true);
        transmit(f, 3000, 1, 1); /* a segment to cut: lost */
        transmit(f, 61, 0xff, 0);
        wait_transmitted(f);
        wait_transmitted(f);
        expect_frame(f, 61, 0, 0);
}

static void test_frames_shorter_or_longer_than_any_are_lost(void **state) {
        Fixture *f = *state;
        FakeBuffer header = {fake_alloc(f->board, HEADER), HEADER, false};
        FakeBuffer big = {fake_alloc(f->board, 80000), 80000, false};

        fake_driver_start(&f->driver, 0, 2, true);
        fake_queue_add(f->driver.queues + TRANSMIT, &header, 1);
        fake_queue_add(f->driver.queues + TRANSMIT, &big, 1);
        transmit(f, 62, 0, 0);
        for (unsigned i = 0; i < 3; i++)
                wait_transmitted(f);
        expect_frame(f, 62, 0, 0);
}

static void test_a_full_wire_makes_frames_wait_in_order(void **state) {
        Fixture *f = *state;
        const unsigned n = 100;

        fake_driver_start(&f->driver, F_CSUM | F_HOST_TSO4, 2, true);
        for (unsigned i = 0; i < n; i++)
                transmit(f, 30000 + i, 0, 1);
        for (unsigned i = 0; i < n; i++)
                expect_frame(f, 30000 + i, 0, 1);
        for (unsigned i = 0; i < n; i++)
                wait_transmitted(f);
}

static void test_a_frame_is_spread_over_buffers(void **state) {
        Fixture *f = *state;
        gpa_t gpas[64];

        fake_driver_start(&f->driver, F_MRG_RXBUF | F_GUEST_CSUM | F_GUEST_TSO4, 2, true);
        for (unsigned i = 0; i < 64; i++)
                gpas[i] = offer(f, 1526);
        fake_queue_kick(f->driver.queues + RECEIVE);
        put_on_wire(f, 1000);
        expect_received(f, gpas, 1, 1526, 1000);
        put_on_wire(f, 60000);
        expect_received(f, gpas + 1, 40, 1526, 60000);
        put_on_wire(f, 1526 - HEADER);
        expect_received(f, gpas + 41, 1, 1526, 1526 - HEADER);
        assert_true(fake_wait_msi(f->board, RECEIVE + 1, 1));
}

static void test_a_long_frame_waits_for_buffers(void **state) {
        Fixture *f = *state;
        gpa_t gpas[8];

        fake_driver_start(&f->driver, F_MRG_RXBUF | F_GUEST_CSUM | F_GUEST_TSO4, 2, true);
        put_on_wire(f, 5000);
        for (unsigned i = 0; i < 4; i++) {
                gpas[i] = offer(f, 1526);
                fake_queue_kick(f->driver.queues + RECEIVE);
        }
        expect_received(f, gpas, 4, 1526, 5000);
        gpas[0] = offer(f, 1526);
        fake_queue_kick(f->driver.queues + RECEIVE);
        put_on_wire(f, 100);
        expect_received(f, gpas, 1, 1526, 100);
}

static void test_a_frame_that_no_buffer_can_hold_is_lost(void **state) {
        Fixture *f = *state;
        gpa_t gpa;

        fake_driver_start(&f->driver, 0, 2, true);
        put_on_wire(f, 5000);
        put_on_wire(f, 200);
        gpa = offer(f, 1526);
        fake_queue_kick(f->driver.queues + RECEIVE);
        expect_received(f, &gpa, 1, 1526, 200);
}

static void test_buffers_without_room_are_given_back(void **state) {
        Fixture *f = *state;
        FakeBuffer none = {fake_alloc(f->board, 8), 8, false};
        uint16_t head;
        uint32_t len;
        gpa_t gpa;

        fake_driver_start(&f->driver, F_MRG_RXBUF, 2, true);
        fake_queue_add(f->driver.queues + RECEIVE, &none, 1);
        gpa = offer(f, 2000);
        put_on_wire(f, 300);
        fake_queue_kick(f->driver.queues + RECEIVE);
        assert_true(fake_queue_wait(f->driver.queues + RECEIVE, &head, &len));
        assert_int_equal(len, 0);
        expect_received(f, &gpa, 1, 2000, 300);
}

/* Return: the device's answer to a command of @n bytes. */
static uint8_t command(Fixture *f, unsigned queue, const uint8_t *bytes, uint32_t n) {
        FakeBuffer buffers[] = {{fake_alloc(f->board, n), n, false},
                                {fake_alloc(f->board, 1), 1, true}};
        uint16_t head;
        uint32_t len;

        memcpy(fake_host(f->board, buffers[0].gpa, n), bytes, n);
        *(uint8_t *) fake_host(f->board, buffers[1].gpa, 1) = 0xee;
        fake_queue_add(f->driver.queues + queue, buffers, 2);
        fake_queue_kick(f->driver.queues + queue);
        assert_true(fake_queue_wait(f->driver.queues + queue, &head, &len));
        assert_int_equal(len, 1);
        return *(uint8_t *) fake_host(f->board, buffers[1].gpa, 1);
}

#define COMMAND(queue, ...)                                                                        \
        command(f, (queue), (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void test_commands_are_obeyed_or_refused(void **state) {
        Fixture *f = *state;

        fake_driver_start(&f->driver, F_CTRL_VQ | F_CTRL_MAC_ADDR, 3, true);
        assert_int_equal(fake_read(&f->driver, f->driver.device + 5, 1), 9);
        assert_int_equal(COMMAND(CONTROL, 1, 1, 2, 0, 0, 0, 0, 0x77), 0);
        assert_int_equal(fake_read(&f->driver, f->driver.device + 5, 1), 0x77);
        assert_int_equal(COMMAND(CONTROL, 1, 1, 2, 0, 0), 1);
        assert_int_equal(COMMAND(CONTROL, 4, 0, 2, 0), 1); /* pairs, which were not negotiated */
        assert_int_equal(COMMAND(CONTROL, 0, 0, 1), 1);    /* promiscuous, which is not offered */
        assert_int_equal(COMMAND(CONTROL, 9), 1);
        assert_int_equal(COMMAND(CONTROL, 1, 1, 2, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7), 1);
}

static void test_pairs_are_those_that_exist(void **state) {
        Fixture *f = *state;

        assert_int_equal(fake_read(&f->driver, f->driver.device + 8, 2), 2);
        fake_driver_start(&f->driver, F_CTRL_VQ | F_MQ, 5, true);
        assert_int_equal(COMMAND(4, 4, 0, 2, 0), 0);
        assert_int_equal(f->net->pairs_told, 2);
        assert_int_equal(COMMAND(4, 4, 0, 3, 0), 1);
        assert_int_equal(COMMAND(4, 4, 0, 0, 0), 1);
        assert_int_equal(f->net->pairs_told, 2);
}

static void test_the_backend_learns_what_may_be_in_frames(void **state) {
        Fixture *f = *state;
        gpa_t gpa;

        fake_driver_start(&f->driver, F_MRG_RXBUF | F_GUEST_CSUM | F_GUEST_TSO4, 2, true);
        gpa = offer(f, 2000);
        fake_queue_kick(f->driver.queues + RECEIVE);
        put_on_wire(f, 100);
        expect_received(f, &gpa, 1, 2000, 100);
        assert_int_equal(f->net->offloads_told, NET_OFFLOAD_CSUM | NET_OFFLOAD_TSO4);
}

static void test_a_lost_backend_takes_the_link_down(void **state) {
        Fixture *f = *state;

        fake_driver_start(&f->driver, 0, 2, true);
        assert_int_equal(fake_read(&f->driver, f->driver.device + 6, 2), 1);
        f->wire = fd_close(f->wire);
        assert_true(fake_wait_msi(f->board, 0, 1)); /* configuration changed */
        assert_int_equal(fake_read(&f->driver, f->driver.device + 6, 2), 0);
}

static void test_a_pulled_cable_loses_frames_until_it_is_plugged(void **state) {
        Fixture *f = *state;
        VirtioDevice *dev = f->net->net.handler.frontend;
        gpa_t gpa;

        fake_driver_start(&f->driver, F_MRG_RXBUF, 2, true);
        gpa = offer(f, 2000);
        fake_queue_kick(f->driver.queues + RECEIVE);
        virtio_net_set_link(dev, false);
        assert_true(fake_wait_msi(f->board, 0, 1)); /* configuration changed */
        assert_int_equal(fake_read(&f->driver, f->driver.device + 6, 2), 0);
        transmit(f, 100, 0, 0);
        wait_transmitted(f);

        virtio_net_set_link(dev, true);
        assert_true(fake_wait_msi(f->board, 0, 2));
        assert_int_equal(fake_read(&f->driver, f->driver.device + 6, 2), 1);
        transmit(f, 102, 0, 0);
        expect_frame(f, 102, 0, 0);
        put_on_wire(f, 103);
        expect_received(f, &gpa, 1, 2000, 103);
}

static void test_a_broken_ring_is_mended_by_a_reset(void **state) {
        Fixture *f = *state;
        FakeBuffer wild = {UINT64_C(1) << 40, 100, false};
        gpa_t gpa;

        fake_driver_start(&f->driver, F_MRG_RXBUF, 2, true);
        (void) offer(f, 1526);
        fake_queue_kick(f->driver.queues + RECEIVE);
        fake_queue_add(f->driver.queues + TRANSMIT, &wild, 1);
        fake_queue_kick(f->driver.queues + TRANSMIT);
        assert_true(fake_driver_wait_status(&f->driver, VIRTIO_STATUS_NEEDS_RESET,
                                            VIRTIO_STATUS_NEEDS_RESET));
        fake_write(&f->driver, f->driver.common + 0x14, 1, 0);
        fake_driver_start(&f->driver, F_MRG_RXBUF, 2, true);
        gpa = offer(f, 1526);
        fake_queue_kick(f->driver.queues + RECEIVE);
        put_on_wire(f, 77);
        expect_received(f, &gpa, 1, 1526, 77);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_frame_from_the_guest_reaches_the_wire),
                TEST(test_frames_go_both_ways_through_packed_queues),
                TEST(test_what_was_not_negotiated_is_not_passed_on),
                TEST(test_frames_shorter_or_longer_than_any_are_lost),
                TEST(test_a_full_wire_makes_frames_wait_in_order),
                TEST(test_a_frame_is_spread_over_buffers),
                TEST(test_a_long_frame_waits_for_buffers),
                TEST(test_a_frame_that_no_buffer_can_hold_is_lost),
                TEST(test_buffers_without_room_are_given_back),
                TEST(test_commands_are_obeyed_or_refused),
                TEST(test_pairs_are_those_that_exist),
                TEST(test_the_backend_learns_what_may_be_in_frames),
                TEST(test_a_lost_backend_takes_the_link_down),
                TEST(test_a_pulled_cable_loses_frames_until_it_is_plugged),
                TEST(test_a_broken_ring_is_mended_by_a_reset),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
