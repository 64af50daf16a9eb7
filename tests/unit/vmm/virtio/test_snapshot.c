/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that go on where they were, on another board with the same memory: to the driver nothing has happened. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/fake/vmm_net_fake.h"
#include "tests/fake/vmm_virtio_driver.h"
#include "vmm/virtio/devices.h"

#define SLOT 3u
#define HEADER 12u
#define RECEIVE 0u
#define NET_QUEUES 2u

typedef struct Fixture {
        FakeBoard *from, *to;
        int from_wire, to_wire;
        FakeDriver driver;
        Snapshot saved;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        f->from_wire = f->to_wire = -EBADF;
        f->from = fake_board_new(FAKE_DOORBELLS | FAKE_ROUTES);
        f->to = fake_board_new(FAKE_DOORBELLS | FAKE_ROUTES);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        snapshot_deinit(&f->saved);
        fake_board_free(f->from);
        fake_board_free(f->to);
        fd_close(f->from_wire);
        fd_close(f->to_wire);
        free(f);
        return 0;
}

static void add_rng(FakeBoard *board) {
        VirtioDevice *dev;

        assert_int_equal(virtio_rng_new(&dev), 0);
        fake_board_add(board, dev, SLOT);
}

static void add_net(FakeBoard *board, int *ret_wire, uint8_t last_of_mac) {
        const VirtioNetConfig config = {.mac = {2, 0, 0, 0, 0, last_of_mac}, .mergeable = true};
        FakeNet *net = fake_net_new(board->loop, 1, ret_wire);
        VirtioDevice *dev;

        assert_int_equal(virtio_net_new(&net->net, &config, &dev), 0);
        fake_board_add(board, dev, SLOT);
}

static void start(Fixture *f, unsigned n_queues) {
        fake_driver_probe(&f->driver, f->from, SLOT);
        fake_board_run(f->from);
        fake_driver_start(&f->driver, VIRTIO_F_INDIRECT_DESC, n_queues, true);
}

static void save(Fixture *f) {
        fake_board_stop(f->from);
        pci_root_set_suspended(f->from->root, true);
        snapshot_init_saving(&f->saved);
        pci_root_snapshot(f->from->root, &f->saved);
}

static int restore(Fixture *f) {
        Snapshot s;
        int r;

        memcpy(f->to->mem->base, f->from->mem->base, FAKE_MEM_BYTES);
        snapshot_init_restoring(&s, f->saved.bytes, f->saved.len);
        pci_root_snapshot(f->to->root, &s);
        r = s.error;
        snapshot_deinit(&s);
        return r;
}

/* The driver does not notice. */
static void move(Fixture *f) {
        save(f);
        assert_int_equal(f->saved.error, 0);
        assert_int_equal(restore(f), 0);
        f->to->next_alloc = f->from->next_alloc;
        f->driver.board = f->to;
        fake_board_run(f->to);
}

static void offer(Fixture *f, unsigned queue, uint32_t len, gpa_t *ret) {
        FakeBuffer buffer = {fake_alloc(f->driver.board, len), len, true};

        fake_queue_add(f->driver.queues + queue, &buffer, 1);
        fake_queue_kick(f->driver.queues + queue);
        *ret = buffer.gpa;
}

static uint32_t filled(Fixture *f, unsigned queue) {
        uint16_t head;
        uint32_t len;

        assert_true(fake_queue_wait(f->driver.queues + queue, &head, &len));
        return len;
}

static void test_a_driver_goes_on_with_its_queues(void **state) {
        Fixture *f = *state;
        gpa_t gpa;

        add_rng(f->from);
        add_rng(f->to);
        start(f, 1);
        for (unsigned i = 0; i < 3; i++) {
                offer(f, 0, 64, &gpa);
                assert_int_equal(filled(f, 0), 64);
        }
        move(f);
        for (unsigned i = 0; i < 20; i++) { /* more than once around the ring */
                offer(f, 0, 64, &gpa);
                assert_int_equal(filled(f, 0), 64);
        }
}

static void test_a_request_that_was_not_seen_yet_is_served(void **state) {
        Fixture *f = *state;
        gpa_t gpa;

        add_rng(f->from);
        add_rng(f->to);
        start(f, 1);
        fake_board_stop(f->from); /* who would serve it */
        offer(f, 0, 64, &gpa);
        fake_board_run(f->from);
        move(f);
        assert_int_equal(filled(f, 0), 64);
}

static void test_receive_buffers_without_a_frame_are_the_drivers_again(void **state) {
        static const char frame[HEADER + 60] = {[HEADER] = 'f'};
        Fixture *f = *state;
        gpa_t gpas[3];

        add_net(f->from, &f->from_wire, 1);
        add_net(f->to, &f->to_wire, 2);
        start(f, NET_QUEUES);
        for (unsigned i = 0; i < ELEMENTSOF(gpas); i++)
                offer(f, RECEIVE, 1526, &gpas[i]);
        assert_int_equal(send(f->from_wire, frame, sizeof(frame), 0), sizeof(frame));
        (void) filled(f, RECEIVE); /* so that the others are taken */
        move(f);
        for (unsigned i = 1; i < ELEMENTSOF(gpas); i++) {
                assert_int_equal(send(f->to_wire, frame, sizeof(frame), 0), sizeof(frame));
                assert_int_equal(filled(f, RECEIVE), sizeof(frame));
                assert_int_equal(((char *) fake_host(f->to, gpas[i], 1526))[HEADER], 'f');
        }
        /* The card is the one that the driver knows. */
        assert_int_equal(fake_read(&f->driver, f->driver.device + 5, 1), 1);
}

static void test_another_device_is_refused(void **state) {
        Fixture *f = *state;

        add_rng(f->from);
        add_net(f->to, &f->to_wire, 2);
        save(f);
        assert_int_equal(f->saved.error, 0);
        assert_int_equal(restore(f), -EBADMSG);
}

static void test_rings_outside_of_memory_are_refused(void **state) {
        Fixture *f = *state;
        uint8_t *desc;

        add_rng(f->from);
        add_rng(f->to);
        start(f, 1);
        save(f);
        desc = memmem(f->saved.bytes, f->saved.len, &f->driver.queues[0].desc, 8);
        assert_non_null(desc);
        desc[7] = 0x40;
        assert_int_equal(restore(f), -EBADMSG);
}

static VirtioDevice *mute_free(VirtioDevice *dev) {
        free(dev);
        return NULL;
}

static const VirtioOps mute_ops = {.name = "mute", .type = VIRTIO_TYPE_RNG, .free = mute_free};

static void test_a_device_without_a_description_is_named(void **state) {
        Fixture *f = *state;
        VirtioDevice *dev = calloc(1, sizeof(*dev));

        assert_non_null(dev);
        dev->ops = &mute_ops;
        dev->n_queues = 1;
        dev->queue_size_max[0] = 8;
        fake_board_add(f->from, dev, SLOT);
        save(f);
        assert_int_equal(f->saved.error, -EOPNOTSUPP);
        assert_string_equal(text_error_message(&f->saved.text, 0), "pci 3: mute cannot be saved");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_a_driver_goes_on_with_its_queues),
                TEST(test_a_request_that_was_not_seen_yet_is_served),
                TEST(test_receive_buffers_without_a_frame_are_the_drivers_again),
                TEST(test_another_device_is_refused),
                TEST(test_rings_outside_of_memory_are_refused),
                TEST(test_a_device_without_a_description_is_named),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
