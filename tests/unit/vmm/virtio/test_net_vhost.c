/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/le.h"
#include "tests/fake/vmm_kernel_vhost.h"
#include "tests/fake/vmm_net_fake.h"
#include "tests/fake/vmm_virtio_driver.h"
#include "vmm/virtio/devices.h"

/* A card whose frames the host's kernel moves. What is of queues alone is in test_vhost_vsock.c. */

#define PAIRS 2u
#define CONTROL (2 * PAIRS)
#define HEADER 12u

#define F_MRG_RXBUF (UINT64_C(1) << 15)
#define F_CTRL_VQ (UINT64_C(1) << 17)
#define F_MQ (UINT64_C(1) << 22)
#define RING_FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX)

typedef struct Fixture {
        FakeBoard *board;
        FakeDriver driver;
        FakeNet *net;
        KernelVhost *kernels[PAIRS];
        VirtioDevice *dev;
        int wire;
} Fixture;

static Vhost **open_kernels(Fixture *f, uint64_t features) {
        const VhostConfig config = {
                .ops = &kernel_vhost_fake_ops, .mem = f->board->mem, .loop = f->board->loop};
        Vhost **vhosts = calloc(PAIRS, sizeof(Vhost *));

        assert_non_null(vhosts);
        for (unsigned i = 0; i < PAIRS; i++) {
                f->kernels[i] = kernel_vhost_new(features);
                assert_int_equal(vhost_new_consume(f->kernels[i]->fd, &config, &vhosts[i], NULL),
                                 0);
        }
        return vhosts;
}

static Fixture *fixture_new(uint64_t features) {
        Fixture *f = calloc(1, sizeof(*f));
        VirtioNetConfig config = {.mac = {2, 0, 0, 0, 0, 9}, .mergeable = true};

        assert_non_null(f);
        f->board = fake_board_new(FAKE_ROUTES | FAKE_DOORBELLS);
        f->net = fake_net_new(f->board->loop, PAIRS, &f->wire);
        config.vhosts = open_kernels(f, features);
        config.loop = f->board->loop;
        assert_int_equal(virtio_net_new(&f->net->net, &config, &f->dev), 0);
        fake_board_add(f->board, f->dev, 1);
        fake_driver_probe(&f->driver, f->board, 1);
        fake_board_run(f->board);
        return f;
}

static void fixture_free(Fixture **f) {
        fake_board_free((*f)->board);
        for (unsigned i = 0; i < PAIRS; i++)
                kernel_vhost_free((*f)->kernels[i]);
        fd_close((*f)->wire);
        free(*f);
}

static void start(Fixture *f) {
        fake_driver_start(&f->driver, F_CTRL_VQ | F_MQ, 2 * PAIRS + 1, true);
        assert_true(kernel_vhost_wait(f->kernels[0], 0, true));
        assert_true(kernel_vhost_wait(f->kernels[0], 1, true));
}

/* A frame from the guest reaches the kernel, which says that it sent it. */
static void expect_sent_by_kernel(Fixture *f, unsigned pair) {
        FakeQueue *queue = f->driver.queues + 2 * pair + 1;
        FakeBuffer buffer = {fake_alloc(f->board, 64), 64, false};
        uint16_t head = fake_queue_add(queue, &buffer, 1), got;
        uint32_t len;

        fake_queue_kick(queue);
        assert_true(kernel_vhost_kicked(f->kernels[pair], 1));
        assert_int_equal(kernel_vhost_serve(f->kernels[pair], 1, 0), 1);
        kernel_vhost_call(f->kernels[pair], 1);
        assert_true(fake_queue_wait(queue, &got, &len));
        assert_int_equal(got, head);
}

static uint8_t command(Fixture *f, uint8_t class, uint8_t number, uint16_t data) {
        FakeQueue *queue = f->driver.queues + CONTROL;
        FakeBuffer buffers[] = {{fake_alloc(f->board, 4), 4, false},
                                {fake_alloc(f->board, 1), 1, true}};
        uint8_t *bytes = fake_host(f->board, buffers[0].gpa, 4);
        uint16_t head;
        uint32_t len;

        bytes[0] = class;
        bytes[1] = number;
        le16_store(bytes + 2, data);
        fake_queue_add(queue, buffers, 2);
        fake_queue_kick(queue);
        assert_true(fake_queue_wait(queue, &head, &len));
        return *(uint8_t *) fake_host(f->board, buffers[1].gpa, 1);
}

static void test_the_kernel_moves_frames_of_the_pairs_in_use(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(RING_FEATURES | F_MRG_RXBUF);

        start(f);
        assert_int_equal(f->kernels[0]->rings[0].backend, f->net->fd);
        assert_int_equal(f->kernels[0]->rings[1].backend, f->net->fd);
        assert_true(f->kernels[0]->features == VIRTIO_F_VERSION_1);
        assert_true(kernel_vhost_wait(f->kernels[1], 0, false));
        expect_sent_by_kernel(f, 0);
        assert_true(fake_wait_msi(f->board, 2, 1));

        assert_int_equal(command(f, 4, 0, 2), 0);
        assert_true(kernel_vhost_wait(f->kernels[1], 1, true));
        expect_sent_by_kernel(f, 1);
        assert_int_equal(command(f, 4, 0, 1), 0);
        assert_true(kernel_vhost_wait(f->kernels[1], 0, false));
        assert_true(kernel_vhost_wait(f->kernels[0], 0, true));
        expect_sent_by_kernel(f, 0);
}

static void test_the_card_offers_what_the_kernel_can(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(VIRTIO_F_VERSION_1);

        fake_driver_negotiate(&f->driver, VIRTIO_F_VERSION_1);
        assert_true(f->driver.offered & F_MQ);
        assert_int_equal(f->driver.offered & (F_MRG_RXBUF | VIRTIO_F_EVENT_IDX), 0);
}

static void test_a_kernel_too_old_is_refused(void **state) {
        Fixture f = {.board = fake_board_new(0)};
        VirtioNetConfig config = {.loop = f.board->loop};
        VirtioDevice *dev = NULL;

        f.net = fake_net_new(f.board->loop, PAIRS, &f.wire);
        config.vhosts = open_kernels(&f, VIRTIO_F_EVENT_IDX);
        assert_int_equal(virtio_net_new(&f.net->net, &config, &dev), -EOPNOTSUPP);
        for (unsigned i = 0; i < PAIRS; i++) {
                vhost_free(config.vhosts[i]);
                kernel_vhost_free(f.kernels[i]);
        }
        free(config.vhosts);
        net_free(&f.net->net);
        fd_close(f.wire);
        fake_board_free(f.board);
}

static void test_suspended_the_kernel_touches_nothing(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(RING_FEATURES);

        start(f);
        expect_sent_by_kernel(f, 0);
        pci_root_set_suspended(f->board->root, true);
        for (unsigned ring = 0; ring < 2; ring++)
                assert_true(kernel_vhost_wait(f->kernels[0], ring, false));
        pci_root_set_suspended(f->board->root, false);
        assert_true(kernel_vhost_wait(f->kernels[0], 1, true));
        assert_int_equal(f->kernels[0]->rings[1].base, 1);
        expect_sent_by_kernel(f, 0);
}

/* While the cable is out frames are lost as on a wire, by us: the kernel would keep them. */
static void test_without_a_cable_frames_are_lost_and_later_flow_again(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(RING_FEATURES);
        FakeQueue *queue = f->driver.queues + 1;
        FakeBuffer buffer = {fake_alloc(f->board, 64), 64, false};
        uint8_t frame[100];
        uint16_t got;
        uint32_t len;

        start(f);
        expect_sent_by_kernel(f, 0);
        virtio_net_set_link(f->dev, false);
        assert_true(kernel_vhost_wait(f->kernels[0], 0, false));
        fake_queue_add(queue, &buffer, 1);
        fake_queue_kick(queue);
        assert_true(fake_queue_wait(queue, &got, &len));
        assert_int_equal(recv(f->wire, frame, sizeof(frame), MSG_DONTWAIT), -1);
        virtio_net_set_link(f->dev, true);
        assert_true(kernel_vhost_wait(f->kernels[0], 1, true));
        assert_int_equal(f->kernels[0]->rings[1].base, 2);
        expect_sent_by_kernel(f, 0);
}

/* Receive buffers that the VMM held while the cable was out are offered to the kernel again. */
static void test_buffers_that_wait_go_to_the_kernel(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(RING_FEATURES);
        FakeQueue *queue = f->driver.queues;
        FakeBuffer buffer = {fake_alloc(f->board, 2048), 2048, true};
        uint16_t got;
        uint32_t len;

        start(f);
        virtio_net_set_link(f->dev, false);
        assert_true(kernel_vhost_wait(f->kernels[0], 0, false));
        fake_queue_add(queue, &buffer, 1);
        fake_queue_kick(queue);
        (void) command(f, 4, 0, 1); /* the loop took it meanwhile */
        virtio_net_set_link(f->dev, true);
        assert_true(kernel_vhost_wait(f->kernels[0], 0, true));
        assert_int_equal(f->kernels[0]->rings[0].base, 0);
        assert_int_equal(kernel_vhost_serve(f->kernels[0], 0, 77), 1);
        kernel_vhost_call(f->kernels[0], 0);
        assert_true(fake_queue_wait(queue, &got, &len));
        assert_int_equal(len, 77);
}

static void test_a_lost_interface_leaves_the_kernel(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(RING_FEATURES);

        start(f);
        f->wire = fd_close(f->wire);
        assert_true(kernel_vhost_wait(f->kernels[0], 0, false));
        assert_int_equal(fake_driver_status(&f->driver) & VIRTIO_STATUS_NEEDS_RESET, 0);
}

static void test_a_reset_stops_all_pairs(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(RING_FEATURES);

        for (unsigned i = 0; i < 2; i++) {
                start(f);
                assert_int_equal(command(f, 4, 0, 2), 0);
                assert_true(kernel_vhost_wait(f->kernels[1], 1, true));
                fake_write(&f->driver, f->driver.common + 0x14, 1, 0);
                assert_true(fake_driver_wait_status(&f->driver, 0xff, 0));
                for (unsigned pair = 0; pair < PAIRS; pair++)
                        assert_true(kernel_vhost_wait(f->kernels[pair], 0, false));
        }
}

static void test_what_the_kernel_refuses_asks_for_a_reset(void **state) {
        static const KernelVhostRequest requests[] = {KERNEL_VHOST_SET_OWNER, KERNEL_VHOST_SET_KICK,
                                                      KERNEL_VHOST_SET_BACKEND};

        for (size_t i = 0; i < ELEMENTSOF(requests); i++) {
                _cleanup_(fixture_free) Fixture *f = fixture_new(RING_FEATURES);

                kernel_vhost_refuse(f->kernels[0], requests[i], EBUSY);
                fake_driver_start(&f->driver, F_CTRL_VQ | F_MQ, 2 * PAIRS + 1, true);
                assert_true(fake_driver_wait_status(&f->driver, VIRTIO_STATUS_NEEDS_RESET,
                                                    VIRTIO_STATUS_NEEDS_RESET));
                kernel_vhost_refuse(f->kernels[0], KERNEL_VHOST_NOTHING, 0);
                fake_write(&f->driver, f->driver.common + 0x14, 1, 0);
                assert_true(fake_driver_wait_status(&f->driver, 0xff, 0));
                start(f);
                expect_sent_by_kernel(f, 0);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_kernel_moves_frames_of_the_pairs_in_use),
                cmocka_unit_test(test_the_card_offers_what_the_kernel_can),
                cmocka_unit_test(test_a_kernel_too_old_is_refused),
                cmocka_unit_test(test_suspended_the_kernel_touches_nothing),
                cmocka_unit_test(test_without_a_cable_frames_are_lost_and_later_flow_again),
                cmocka_unit_test(test_buffers_that_wait_go_to_the_kernel),
                cmocka_unit_test(test_a_lost_interface_leaves_the_kernel),
                cmocka_unit_test(test_a_reset_stops_all_pairs),
                cmocka_unit_test(test_what_the_kernel_refuses_asks_for_a_reset),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
