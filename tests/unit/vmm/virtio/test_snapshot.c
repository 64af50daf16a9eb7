/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that go on where they were, on another board with the same memory: to the driver nothing has happened. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/le.h"
#include "tests/fake/vmm_disk.h"
#include "tests/fake/vmm_net_fake.h"
#include "tests/fake/vmm_virtio_driver.h"
#include "vmm/virtio/devices.h"

#define SLOT 3u
#define HEADER 12u
#define RECEIVE 0u
#define NET_QUEUES 2u
#define SCSI_QUEUES 3u
#define SCSI_REQUESTS 2u    /* the queue */
#define SCSI_SENSE_SIZE 20u /* in its configuration */
#define SCSI_SENSE 32u
#define DISK_BYTES (UINT64_C(1) << 20)

typedef struct Fixture {
        FakeBoard *from, *to;
        int from_wire, to_wire;
        FakeDriver driver;
        Snapshot saved;
        char why[256]; /* restore() failed */
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
        const VirtioNetConfig config = {
                .mac = {2, 0, 0, 0, 0, last_of_mac}, .mergeable = true, .packed = true};
        FakeNet *net = fake_net_new(board->loop, 1, ret_wire);
        VirtioDevice *dev;

        assert_int_equal(virtio_net_new(&net->net, &config, &dev), 0);
        fake_board_add(board, dev, SLOT);
}

/* A controller with a disk for each of @n sizes. */
static void add_scsi(FakeBoard *board, const uint64_t *sizes, unsigned n, const char *id) {
        VirtioDevice *dev;

        assert_int_equal(virtio_scsi_new(1, &dev), 0);
        for (unsigned i = 0; i < n; i++) {
                _cleanup_(temp_file_freep) char *path = temp_file_new(NULL, 0, sizes[i]);
                const BlockOpenOptions options = {0};
                BlockDev *image;

                assert_int_equal(block_open(path, &options, board->loop, &image, NULL), 0);
                assert_int_equal(virtio_scsi_add(dev, image, 512, id, NULL), 0);
        }
        fake_board_add(board, dev, SLOT);
}

static void start_with(Fixture *f, unsigned n_queues, uint64_t features) {
        fake_driver_probe(&f->driver, f->from, SLOT);
        fake_board_run(f->from);
        fake_driver_start(&f->driver, VIRTIO_F_INDIRECT_DESC | features, n_queues, true);
}

static void start(Fixture *f, unsigned n_queues) {
        start_with(f, n_queues, 0);
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
        (void) snprintf(f->why, sizeof(f->why), "%s", text_error_message(&s.text, r));
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

static void receive_before_and_after(Fixture *f, uint64_t features) {
        static const char frame[HEADER + 60] = {[HEADER] = 'f'};
        gpa_t gpas[3];

        add_net(f->from, &f->from_wire, 1);
        add_net(f->to, &f->to_wire, 2);
        start_with(f, NET_QUEUES, features);
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

static void test_receive_buffers_without_a_frame_are_the_drivers_again(void **state) {
        receive_before_and_after(*state, 0);
}

static void test_so_are_those_of_a_packed_ring(void **state) {
        receive_before_and_after(*state, VIRTIO_F_RING_PACKED);
}

/* TEST UNIT READY. Return: the sense key, 0 for success. */
static uint8_t ask_disk(Fixture *f, uint32_t response_len) {
        FakeBuffer buffers[] = {{fake_alloc(f->driver.board, 64), 51, false},
                                {fake_alloc(f->driver.board, 256), response_len, true}};
        static const uint8_t lun[] = {1, 0, 0x40, 0};
        const uint8_t *response;
        uint16_t head;
        uint32_t len;

        memcpy(fake_host(f->driver.board, buffers[0].gpa, 51), lun, sizeof(lun));
        fake_queue_add(f->driver.queues + SCSI_REQUESTS, buffers, 2);
        fake_queue_kick(f->driver.queues + SCSI_REQUESTS);
        assert_true(fake_queue_wait(f->driver.queues + SCSI_REQUESTS, &head, &len));
        assert_int_equal(len, response_len);
        response = fake_host(f->driver.board, buffers[1].gpa, response_len);
        return response[10] == 0 ? 0 : response[14] & 0xf;
}

static void test_a_scsi_disk_tells_no_news_twice(void **state) {
        const uint64_t sizes[] = {DISK_BYTES};
        Fixture *f = *state;

        add_scsi(f->from, sizes, 1, "id");
        add_scsi(f->to, sizes, 1, "id");
        start(f, SCSI_QUEUES);
        fake_write(&f->driver, f->driver.device + SCSI_SENSE_SIZE, 4, SCSI_SENSE);
        assert_int_equal(ask_disk(f, 12 + SCSI_SENSE), 6); /* it was switched on */
        move(f);
        assert_int_equal(ask_disk(f, 12 + SCSI_SENSE), 0);
        assert_int_equal(fake_read(&f->driver, f->driver.device + SCSI_SENSE_SIZE, 4), SCSI_SENSE);
}

static void test_news_of_a_scsi_disk_are_told_by_the_other_machine(void **state) {
        const uint64_t sizes[] = {DISK_BYTES};
        Fixture *f = *state;

        add_scsi(f->from, sizes, 1, "id");
        add_scsi(f->to, sizes, 1, "id");
        start(f, SCSI_QUEUES);
        move(f);
        assert_int_equal(ask_disk(f, 12 + 96), 6);
        assert_int_equal(ask_disk(f, 12 + 96), 0);
}

static void test_scsi_disks_that_differ_are_refused(void **state) {
        const uint64_t sizes[] = {DISK_BYTES, 2 * DISK_BYTES};
        const struct {
                const uint64_t *sizes;
                unsigned n;
                const char *id, *why;
        } table[] = {
                {sizes, 2, "id", "the number of SCSI disks is 1 in the snapshot and 2 here"},
                {sizes + 1, 1, "id", "SCSI disk in blocks is 2048 in the snapshot and 4096 here"},
                {sizes, 1, "other",
                 "the serial number of a SCSI disk is id in the snapshot and other here"},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Fixture *f;
                void *fresh;

                assert_int_equal(setup(&fresh), 0);
                f = fresh;
                add_scsi(f->from, sizes, 1, "id");
                add_scsi(f->to, table[i].sizes, table[i].n, table[i].id);
                save(f);
                assert_int_equal(f->saved.error, 0);
                assert_int_equal(restore(f), -EBADMSG);
                assert_non_null(strstr(f->why, table[i].why));
                teardown(&fresh);
        }
}

static void test_impossible_lengths_of_a_scsi_driver_are_refused(void **state) {
        const uint64_t sizes[] = {DISK_BYTES};
        Fixture *f = *state;
        uint8_t *lengths;

        add_scsi(f->from, sizes, 1, NULL);
        add_scsi(f->to, sizes, 1, NULL);
        save(f);
        lengths = memmem(f->saved.bytes, f->saved.len, "\x60\0\0\0\x20\0\0\0", 8);
        assert_non_null(lengths);
        lengths[5] = 1; /* a CDB of 288 bytes */
        assert_int_equal(restore(f), -EBADMSG);
        assert_non_null(strstr(f->why, "commands of 288"));
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
                TEST(test_so_are_those_of_a_packed_ring),
                TEST(test_a_scsi_disk_tells_no_news_twice),
                TEST(test_news_of_a_scsi_disk_are_told_by_the_other_machine),
                cmocka_unit_test(test_scsi_disks_that_differ_are_refused),
                TEST(test_impossible_lengths_of_a_scsi_driver_are_refused),
                TEST(test_another_device_is_refused),
                TEST(test_rings_outside_of_memory_are_refused),
                TEST(test_a_device_without_a_description_is_named),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
