/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/fake/vmm_kernel_vhost.h"
#include "tests/fake/vmm_virtio_driver.h"
#include "vmm/virtio/devices.h"

/* Also what the transport does for queues that the host's kernel serves: both kinds of device do it in the same way. */

#define RECEIVE 0u
#define TRANSMIT 1u
#define SLOT 1u
#define VECTOR 1u /* of all queues */
#define SEQPACKET (UINT64_C(1) << 1)
#define ALL_FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | SEQPACKET)

typedef struct Fixture {
        FakeBoard *board;
        FakeDriver driver;
        KernelVhost *kernel;
        VirtioDevice *dev;
} Fixture;

static Vhost *new_vhost(const FakeBoard *board, const KernelVhost *kernel) {
        const VhostConfig config = {
                .ops = &kernel_vhost_fake_ops, .mem = board->mem, .loop = board->loop};
        Vhost *vhost = NULL;

        assert_int_equal(vhost_new_consume(kernel->fd, &config, &vhost, NULL), 0);
        return vhost;
}

static Fixture *fixture_new(unsigned flags, uint64_t features) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        f->board = fake_board_new(flags);
        f->kernel = kernel_vhost_new(features);
        assert_int_equal(virtio_vhost_vsock_new(new_vhost(f->board, f->kernel), 42, f->board->loop,
                                                &f->dev, NULL),
                         0);
        fake_board_add(f->board, f->dev, SLOT);
        fake_driver_probe(&f->driver, f->board, SLOT);
        fake_board_run(f->board);
        return f;
}

static void fixture_free(Fixture **f) {
        fake_board_free((*f)->board);
        kernel_vhost_free((*f)->kernel);
        free(*f);
}

static void start(Fixture *f, bool msix) {
        fake_driver_start(&f->driver, 0, 3, msix);
        assert_true(kernel_vhost_wait(f->kernel, RECEIVE, true));
}

static uint16_t offer(Fixture *f, unsigned queue) {
        FakeBuffer buffer = {fake_alloc(f->board, 64), 64, queue == RECEIVE};
        uint16_t head = fake_queue_add(f->driver.queues + queue, &buffer, 1);

        fake_queue_kick(f->driver.queues + queue);
        return head;
}

/* The request goes to the kernel and back, and the driver hears of it. */
static void expect_served(Fixture *f, unsigned queue) {
        uint16_t head = offer(f, queue), got;
        uint32_t len;

        assert_true(kernel_vhost_kicked(f->kernel, queue));
        assert_int_equal(kernel_vhost_serve(f->kernel, queue, 33), 1);
        kernel_vhost_call(f->kernel, queue);
        assert_true(fake_queue_wait(f->driver.queues + queue, &got, &len));
        assert_int_equal(got, head);
        assert_int_equal(len, 33);
}

static void set_suspended(Fixture *f, bool suspended) {
        pci_root_set_suspended(f->board->root, suspended);
}

static void test_the_guest_is_offered_what_the_kernel_can(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(0, ALL_FEATURES | UINT64_C(1) << 26);
        _cleanup_(fixture_free) Fixture *old = fixture_new(0, VIRTIO_F_VERSION_1);

        fake_driver_negotiate(&f->driver, VIRTIO_F_VERSION_1);
        assert_true(f->driver.offered == ALL_FEATURES);
        assert_int_equal(f->kernel->cid, 42);
        assert_int_equal(fake_read(&f->driver, f->driver.device, 4), 42);
        fake_driver_negotiate(&old->driver, VIRTIO_F_VERSION_1);
        assert_true(old->driver.offered == VIRTIO_F_VERSION_1);
}

static void test_a_kernel_or_an_id_that_will_not_do_is_refused(void **state) {
        FakeBoard *board = fake_board_new(0);
        KernelVhost *kernel = kernel_vhost_new(VIRTIO_F_INDIRECT_DESC);
        _cleanup_(text_error_deinit) TextError error = {0}, taken = {0};
        Vhost *vhost = new_vhost(board, kernel);
        VirtioDevice *dev = NULL;

        assert_int_equal(virtio_vhost_vsock_new(vhost, 5, board->loop, &dev, &error), -EOPNOTSUPP);
        assert_non_null(strstr(error.message, "knows nothing of virtio 1"));
        vhost_free(vhost);
        kernel_vhost_free(kernel);

        kernel = kernel_vhost_new(ALL_FEATURES);
        vhost = new_vhost(board, kernel);
        kernel_vhost_refuse(kernel, KERNEL_VHOST_SET_CID, EADDRINUSE);
        assert_int_equal(virtio_vhost_vsock_new(vhost, 5, board->loop, &dev, &taken), -EADDRINUSE);
        assert_non_null(strstr(taken.message, "context id 5 belongs to another VM"));
        vhost_free(vhost);
        kernel_vhost_free(kernel);
        fake_board_free(board);
}

static void test_nothing_is_served_before_the_driver_is_ready(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(0, ALL_FEATURES);

        fake_driver_negotiate(&f->driver, VIRTIO_F_VERSION_1);
        fake_driver_setup_queue(&f->driver, RECEIVE);
        fake_driver_setup_queue(&f->driver, TRANSMIT);
        assert_false(f->kernel->owned);
}

/* The interrupt follows the request, of RECEIVE first. */
static void expect_interrupt(Fixture *f, unsigned queue, bool msix) {
        if (msix) {
                assert_true(fake_wait_msi(f->board, VECTOR, 1 + queue));
                assert_int_equal(f->board->n_edges, 0);
                return;
        }
        assert_true(fake_wait_wire(f->board, SLOT, true));
        assert_int_equal(fake_read(&f->driver, f->driver.isr, 1), 1);
        assert_true(fake_wait_wire(f->board, SLOT, false));
}

static void run_with(unsigned flags, bool msix) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(flags, ALL_FEATURES);

        start(f, msix);
        assert_true(f->kernel->features == VIRTIO_F_VERSION_1);
        expect_served(f, RECEIVE);
        expect_interrupt(f, RECEIVE, msix);
        expect_served(f, TRANSMIT);
        expect_interrupt(f, TRANSMIT, msix);
}

static void test_queues_run_with_every_kind_of_kick_and_call(void **state) {
        for (unsigned flags = 0; flags <= (FAKE_ROUTES | FAKE_DOORBELLS); flags++) {
                run_with(flags, false);
                run_with(flags, true);
        }
}

static void test_a_route_that_is_refused_is_forwarded(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(FAKE_ROUTES, ALL_FEATURES);

        f->board->refuse_routes = true;
        start(f, true);
        expect_served(f, TRANSMIT);
        assert_true(fake_wait_msi(f->board, VECTOR, 1));
}

static void test_the_queues_share_a_vector(void **state) {
        for (unsigned flags = 0; flags <= FAKE_ROUTES; flags++) {
                _cleanup_(fixture_free) Fixture *f = fixture_new(flags, ALL_FEATURES);

                start(f, true);
                assert_int_equal(f->driver.n_vectors, 2);
                kernel_vhost_call(f->kernel, RECEIVE);
                assert_true(fake_wait_msi(f->board, VECTOR, 1));
                kernel_vhost_call(f->kernel, TRANSMIT);
                assert_true(fake_wait_msi(f->board, VECTOR, 2));
        }
}

static uint64_t msix_entry(Fixture *f, unsigned vector) {
        return f->driver.bar + 0x4000 + 16 * vector;
}

static uint32_t pending_bits(Fixture *f) {
        return (uint32_t) fake_read(&f->driver, f->driver.bar + 0x5000, 4);
}

static bool is_pending(void *userdata) {
        return pending_bits(userdata) == 1u << VECTOR;
}

static void mask(unsigned flags) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(flags, ALL_FEATURES);

        start(f, true);
        fake_write(&f->driver, msix_entry(f, VECTOR) + 12, 4, 1);
        kernel_vhost_call(f->kernel, RECEIVE);
        kernel_vhost_call(f->kernel, RECEIVE);
        assert_true(fake_wait(f->board, is_pending, f));
        assert_int_equal(fake_msi_count(f->board, VECTOR), 0);
        /* It goes where the vector points when the mask goes. */
        fake_write(&f->driver, msix_entry(f, VECTOR) + 8, 4, 9);
        fake_write(&f->driver, msix_entry(f, VECTOR) + 12, 4, 0);
        assert_true(fake_wait_msi(f->board, 9, 1));
        assert_int_equal(pending_bits(f), 0);
        assert_int_equal(fake_msi_count(f->board, VECTOR), 0);
        kernel_vhost_call(f->kernel, RECEIVE);
        assert_true(fake_wait_msi(f->board, 9, 2));
}

static void test_a_masked_vector_keeps_the_call_for_later(void **state) {
        mask(0);
        mask(FAKE_ROUTES);
}

static void test_calls_follow_a_switch_between_messages_and_the_wire(void **state) {
        _cleanup_(fixture_free) Fixture *f =
                fixture_new(FAKE_ROUTES | FAKE_DOORBELLS, ALL_FEATURES);

        start(f, false);
        fake_driver_setup_msix(&f->driver, 4);
        fake_write(&f->driver, f->driver.common + 0x16, 2, RECEIVE);
        fake_write(&f->driver, f->driver.common + 0x1a, 2, VECTOR);
        kernel_vhost_call(f->kernel, RECEIVE);
        assert_true(fake_wait_msi(f->board, VECTOR, 1));
        assert_int_equal(f->board->n_edges, 0);
}

static void test_a_reset_ends_when_the_kernel_has_let_go(void **state) {
        _cleanup_(fixture_free) Fixture *f =
                fixture_new(FAKE_ROUTES | FAKE_DOORBELLS, ALL_FEATURES);

        for (unsigned i = 0; i < 3; i++) {
                start(f, true);
                expect_served(f, RECEIVE);
                kernel_vhost_call(f->kernel, TRANSMIT); /* nobody hears of it any more */
                fake_write(&f->driver, f->driver.common + 0x14, 1, 0);
                assert_true(fake_driver_wait_status(&f->driver, 0xff, 0));
                assert_true(kernel_vhost_wait(f->kernel, RECEIVE, false));
        }
        assert_int_equal(f->kernel->n_owners, 1);
        start(f, true);
        assert_int_equal(f->kernel->rings[RECEIVE].base, 0);
}

static void test_suspended_queues_go_on_where_they_stopped(void **state) {
        _cleanup_(fixture_free) Fixture *f =
                fixture_new(FAKE_ROUTES | FAKE_DOORBELLS, ALL_FEATURES);
        uint16_t got;
        uint32_t len;

        start(f, true);
        expect_served(f, TRANSMIT);
        set_suspended(f, true);
        assert_true(kernel_vhost_wait(f->kernel, TRANSMIT, false));
        (void) offer(f, TRANSMIT); /* by a vCPU that was on its way out */
        set_suspended(f, false);
        assert_true(kernel_vhost_wait(f->kernel, TRANSMIT, true));
        assert_int_equal(f->kernel->rings[TRANSMIT].base, 1);
        assert_true(kernel_vhost_kicked(f->kernel, TRANSMIT));
        assert_int_equal(kernel_vhost_serve(f->kernel, TRANSMIT, 1), 1);
        assert_true(fake_queue_wait(f->driver.queues + TRANSMIT, &got, &len));
        set_suspended(f, true);
        set_suspended(f, false);
        expect_served(f, RECEIVE);
}

static void test_a_call_before_the_suspension_is_not_lost(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(0, ALL_FEATURES);

        start(f, true);
        fake_write(&f->driver, msix_entry(f, 1) + 12, 4, 1);
        kernel_vhost_call(f->kernel, RECEIVE);
        set_suspended(f, true);
        set_suspended(f, false);
        fake_write(&f->driver, msix_entry(f, 1) + 12, 4, 0);
        assert_true(fake_wait_msi(f->board, 1, 1));
}

static void test_an_error_in_a_ring_asks_for_a_reset(void **state) {
        _cleanup_(fixture_free) Fixture *f = fixture_new(FAKE_ROUTES, ALL_FEATURES);

        start(f, true);
        kernel_vhost_fail(f->kernel, TRANSMIT);
        assert_true(fake_driver_wait_status(&f->driver, VIRTIO_STATUS_NEEDS_RESET,
                                            VIRTIO_STATUS_NEEDS_RESET));
        assert_true(kernel_vhost_wait(f->kernel, TRANSMIT, false));
        fake_write(&f->driver, f->driver.common + 0x14, 1, 0);
        assert_true(fake_driver_wait_status(&f->driver, 0xff, 0));
        start(f, true);
        expect_served(f, TRANSMIT);
}

static void test_a_kernel_that_refuses_leaves_the_queues_to_us(void **state) {
        static const KernelVhostRequest requests[] = {KERNEL_VHOST_SET_OWNER, KERNEL_VHOST_SET_KICK,
                                                      KERNEL_VHOST_SET_RUNNING};

        for (size_t i = 0; i < ELEMENTSOF(requests); i++) {
                _cleanup_(fixture_free) Fixture *f = fixture_new(FAKE_ROUTES, ALL_FEATURES);

                kernel_vhost_refuse(f->kernel, requests[i], ENOMEM);
                fake_driver_start(&f->driver, 0, 3, true);
                assert_true(fake_driver_wait_status(&f->driver, VIRTIO_STATUS_NEEDS_RESET,
                                                    VIRTIO_STATUS_NEEDS_RESET));
                kernel_vhost_refuse(f->kernel, KERNEL_VHOST_NOTHING, 0);
                fake_write(&f->driver, f->driver.common + 0x14, 1, 0);
                assert_true(fake_driver_wait_status(&f->driver, 0xff, 0));
                start(f, true);
                expect_served(f, RECEIVE);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_guest_is_offered_what_the_kernel_can),
                cmocka_unit_test(test_a_kernel_or_an_id_that_will_not_do_is_refused),
                cmocka_unit_test(test_nothing_is_served_before_the_driver_is_ready),
                cmocka_unit_test(test_queues_run_with_every_kind_of_kick_and_call),
                cmocka_unit_test(test_a_route_that_is_refused_is_forwarded),
                cmocka_unit_test(test_the_queues_share_a_vector),
                cmocka_unit_test(test_a_masked_vector_keeps_the_call_for_later),
                cmocka_unit_test(test_calls_follow_a_switch_between_messages_and_the_wire),
                cmocka_unit_test(test_a_reset_ends_when_the_kernel_has_let_go),
                cmocka_unit_test(test_suspended_queues_go_on_where_they_stopped),
                cmocka_unit_test(test_a_call_before_the_suspension_is_not_lost),
                cmocka_unit_test(test_an_error_in_a_ring_asks_for_a_reset),
                cmocka_unit_test(test_a_kernel_that_refuses_leaves_the_queues_to_us),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
