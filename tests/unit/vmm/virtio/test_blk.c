/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/le.h"
#include "tests/fake/vmm_disk.h"
#include "tests/fake/vmm_virtio_driver.h"
#include "vmm/virtio/devices.h"

#define DISK_BYTES (UINT64_C(1) << 20)
#define SLOT 1u

#define T_IN 0u
#define T_OUT 1u
#define T_FLUSH 4u
#define T_GET_ID 8u
#define T_DISCARD 11u
#define T_WRITE_ZEROES 13u

#define OK 0u
#define IOERR 1u
#define UNSUPPORTED 2u

#define F_RO (UINT64_C(1) << 5)
#define F_FLUSH (UINT64_C(1) << 9)
#define F_MQ (UINT64_C(1) << 12)
#define F_DISCARD (UINT64_C(1) << 13)
#define F_WRITE_ZEROES (UINT64_C(1) << 14)
#define F_ALL (F_FLUSH | F_MQ | F_DISCARD | F_WRITE_ZEROES | VIRTIO_F_INDIRECT_DESC)

/* A disk that takes requests and ends them when the test says so. */
typedef struct HeldDisk {
        BlockDev dev;
        Loop *loop; /* left once @wanted requests are held */
        unsigned n_held, wanted, n_flushes, n_writes;
        BlockDoneFn done[64];
        void *userdata[64];
} HeldDisk;

static int hold(BlockDev *dev, BlockDoneFn done, void *userdata) {
        HeldDisk *held = (HeldDisk *) dev;

        held->done[held->n_held] = done;
        held->userdata[held->n_held++] = userdata;
        if (held->n_held == held->wanted)
                loop_exit(held->loop);
        return 0;
}

static int held_readv(BlockDev *dev, uint64_t offset, const struct iovec *iov, unsigned n_iov,
                      BlockDoneFn done, void *userdata) {
        return hold(dev, done, userdata);
}

static int held_writev(BlockDev *dev, uint64_t offset, const struct iovec *iov, unsigned n_iov,
                       BlockDoneFn done, void *userdata) {
        ((HeldDisk *) dev)->n_writes++;
        return hold(dev, done, userdata);
}

static int held_flush(BlockDev *dev, BlockDoneFn done, void *userdata) {
        ((HeldDisk *) dev)->n_flushes++;
        done(userdata, 0); /* at once, inside the call */
        return 0;
}

static void release(HeldDisk *held) {
        unsigned n = held->n_held;

        held->n_held = 0;
        for (unsigned i = 0; i < n; i++)
                held->done[i](held->userdata[i], 0);
}

static BlockDev *held_free(BlockDev *dev) {
        release((HeldDisk *) dev);
        free(dev);
        return NULL;
}

static const BlockOps held_ops = {.name = "held",
                                  .readv = held_readv,
                                  .writev = held_writev,
                                  .flush = held_flush,
                                  .free = held_free};

typedef struct Fixture {
        FakeBoard *board;
        FakeDriver driver;
        VirtioDevice *dev; /* borrowed from the board */
        char *path;
        gpa_t header, data, status;
} Fixture;

static void attach(Fixture *f, BlockDev *disk, const VirtioBlkConfig *config) {
        VirtioDevice *dev;

        assert_int_equal(virtio_blk_new(disk, config, &dev, NULL), 0);
        fake_board_add(f->board, dev, SLOT);
        f->dev = dev;
        fake_driver_probe(&f->driver, f->board, SLOT);
        f->header = fake_alloc(f->board, 4096);
        f->data = fake_alloc(f->board, 1 << 20);
        f->status = fake_alloc(f->board, 4096);
}

static void fixture_init(Fixture *f, BlockOpenOptions options, uint64_t features, bool start) {
        BlockDev *disk;

        *f = (Fixture){.board = fake_board_new(FAKE_DOORBELLS | FAKE_ROUTES)};
        f->path = temp_file_new("first sector", 12, DISK_BYTES);
        assert_int_equal(block_open(f->path, &options, f->board->loop, &disk, NULL), 0);
        attach(f, disk,
               &(VirtioBlkConfig){.n_queues = 2,
                                  .block_size = 512,
                                  .id = "serial-1",
                                  .packed = features & VIRTIO_F_RING_PACKED});
        fake_board_run(f->board);
        if (start)
                fake_driver_start(&f->driver, features, 2, true);
}

static void fixture_deinit(Fixture *f) {
        fake_board_free(f->board);
        temp_file_freep(&f->path);
}

static uint8_t *data_of(Fixture *f) {
        return fake_host(f->board, f->data, 1 << 20);
}

static void put_header(Fixture *f, uint32_t type, uint64_t sector) {
        uint8_t *header = fake_host(f->board, f->header, 16);

        le32_store(header, type);
        le32_store(header + 4, 0);
        le64_store(header + 8, sector);
        *(uint8_t *) fake_host(f->board, f->status, 1) = 0xee;
}

/* One request on @queue whose data lies at f->data. Return: its status. */
static uint8_t request_on(Fixture *f, unsigned queue, uint32_t type, uint64_t sector, uint32_t len,
                          bool in) {
        FakeBuffer buffers[] = {{f->header, 16, false}, {f->data, len, in}, {f->status, 1, true}};
        uint16_t head, got;
        uint32_t written;

        put_header(f, type, sector);
        if (len == 0)
                buffers[1] = buffers[2];
        head = fake_queue_add(f->driver.queues + queue, buffers, len == 0 ? 2 : 3);
        fake_queue_kick(f->driver.queues + queue);
        assert_true(fake_queue_wait(f->driver.queues + queue, &got, &written));
        assert_int_equal(got, head);
        return *(uint8_t *) fake_host(f->board, f->status, 1);
}

static uint8_t request(Fixture *f, uint32_t type, uint64_t sector, uint32_t len, bool in) {
        return request_on(f, 0, type, sector, len, in);
}

static void put_range(Fixture *f, unsigned i, uint64_t sector, uint32_t sectors, uint32_t flags) {
        uint8_t *range = data_of(f) + 16 * i;

        le64_store(range, sector);
        le32_store(range + 8, sectors);
        le32_store(range + 12, flags);
}

static void test_the_configuration_describes_the_disk(void **state) {
        _cleanup_(fixture_deinit) Fixture f;

        fixture_init(&f, (BlockOpenOptions){.sparse = true}, 0, true);
        assert_int_equal(f.driver.offered & (F_RO | F_ALL), F_ALL);
        assert_int_equal(fake_read(&f.driver, f.driver.device, 8), DISK_BYTES / 512);
        assert_int_equal(fake_read(&f.driver, f.driver.device + 20, 4), 512);
        assert_int_equal(fake_read(&f.driver, f.driver.device + 34, 2), 2);
}

static HeldDisk *attach_held(Fixture *f) {
        HeldDisk *held = calloc(1, sizeof(*held));

        assert_non_null(held);
        held->dev = (BlockDev){.ops = &held_ops, .size_bytes = DISK_BYTES, .align_bytes = 1};
        *f = (Fixture){.board = fake_board_new(0)};
        attach(f, &held->dev, &(VirtioBlkConfig){.n_queues = 1, .block_size = 512});
        return held;
}

static void test_a_new_size_is_told_and_in_effect(void **state) {
        _cleanup_(fixture_deinit) Fixture f;
        uint8_t generation;

        fixture_init(&f, (BlockOpenOptions){0}, F_FLUSH, true);
        generation = (uint8_t) fake_read(&f.driver, f.driver.common + 0x15, 1);
        assert_int_equal(request(&f, T_IN, DISK_BYTES / 512, 512, true), IOERR);
        assert_int_equal(virtio_blk_resize(f.dev, 2 * DISK_BYTES), 0);
        assert_int_equal(fake_read(&f.driver, f.driver.device, 8), 2 * DISK_BYTES / 512);
        assert_int_not_equal(fake_read(&f.driver, f.driver.common + 0x15, 1), generation);
        assert_int_equal(request(&f, T_IN, DISK_BYTES / 512, 512, true), OK);
        assert_int_equal(virtio_blk_resize(f.dev, DISK_BYTES / 2), 0);
        assert_int_equal(request(&f, T_IN, DISK_BYTES / 1024, 512, true), IOERR);
        assert_int_equal(virtio_blk_resize(f.dev, 0), -EINVAL);
        assert_int_equal(virtio_blk_resize(f.dev, 513), -EINVAL);
}

static void test_a_disk_of_fixed_size_keeps_it(void **state) {
        _cleanup_(fixture_deinit) Fixture f, ro;

        (void) attach_held(&f);
        assert_int_equal(virtio_blk_resize(f.dev, DISK_BYTES), -EOPNOTSUPP);
        fixture_init(&ro, (BlockOpenOptions){.read_only = true}, F_RO, true);
        assert_int_equal(virtio_blk_resize(ro.dev, DISK_BYTES), -EROFS);
}

static void test_data_is_read_and_written(void **state) {
        _cleanup_(fixture_deinit) Fixture f;
        char back[16] = "";

        fixture_init(&f, (BlockOpenOptions){0}, F_FLUSH | F_MQ, true);
        assert_int_equal(request(&f, T_IN, 0, 1024, true), OK);
        assert_memory_equal(data_of(&f), "first sector", 12);
        memcpy(data_of(&f), "written", 8);
        assert_int_equal(request_on(&f, 1, T_OUT, 3, 512, false), OK);
        assert_int_equal(request(&f, T_FLUSH, 0, 0, false), OK);
        {
                _cleanup_(fd_closep) int fd = open(f.path, O_RDONLY | O_CLOEXEC);

                assert_int_equal(pread(fd, back, 8, 3 * 512), 8);
                assert_string_equal(back, "written");
        }
}

/* Around the ring several times, with requests of as many descriptors as there are kinds of them. */
static void test_a_disk_with_packed_queues_does_the_same(void **state) {
        static const uint64_t features[] = {F_MQ | F_FLUSH, F_MQ | F_FLUSH | VIRTIO_F_EVENT_IDX};

        for (size_t i = 0; i < ELEMENTSOF(features); i++) {
                _cleanup_(fixture_deinit) Fixture f;

                fixture_init(&f, (BlockOpenOptions){0}, features[i] | VIRTIO_F_RING_PACKED, true);
                for (unsigned k = 0; k < 500; k++) {
                        uint32_t value = k * 0x01010101;

                        memcpy(data_of(&f), &value, sizeof(value));
                        assert_int_equal(request_on(&f, k % 2, T_OUT, k % 16, 512, false), OK);
                        assert_int_equal(request_on(&f, 1 - k % 2, T_FLUSH, 0, 0, false), OK);
                        memset(data_of(&f), 0xff, 512);
                        assert_int_equal(request_on(&f, k % 2, T_IN, k % 16, 512, true), OK);
                        assert_memory_equal(data_of(&f), &value, sizeof(value));
                }
        }
}

static void test_packed_queues_are_offered_when_asked_for_alone(void **state) {
        _cleanup_(fixture_deinit) Fixture f;
        _cleanup_(fixture_deinit) Fixture packed;

        fixture_init(&f, (BlockOpenOptions){0}, 0, true);
        assert_false(f.driver.offered & VIRTIO_F_RING_PACKED);
        fixture_init(&packed, (BlockOpenOptions){0}, VIRTIO_F_RING_PACKED, true);
        assert_true(packed.driver.offered & VIRTIO_F_RING_PACKED);
}

static void test_the_id_is_padded_with_zeroes(void **state) {
        _cleanup_(fixture_deinit) Fixture f;

        fixture_init(&f, (BlockOpenOptions){0}, 0, true);
        memset(data_of(&f), 'x', 32);
        assert_int_equal(request(&f, T_GET_ID, 0, 20, true), OK);
        assert_memory_equal(data_of(&f), "serial-1\0\0\0\0\0\0\0\0\0\0\0\0x", 21);
        assert_int_equal(request(&f, T_GET_ID, 0, 4, true), OK);
}

/* Every request that must not succeed, with its status. */
static void test_bad_requests_fail_with_a_status(void **state) {
        static const struct {
                uint32_t type;
                uint64_t sector;
                uint32_t len;
                bool in;
                uint8_t status;
        } table[] = {
                {T_IN, DISK_BYTES / 512, 512, true, IOERR},
                {T_IN, DISK_BYTES / 512 - 1, 1024, true, IOERR},
                {T_IN, UINT64_MAX, 512, true, IOERR},
                {T_IN, UINT64_MAX / 512 + 1, 512, true, IOERR},
                {T_IN, 0, 511, true, IOERR},
                {T_OUT, 0, 513, false, IOERR},
                {T_OUT, DISK_BYTES / 512, 512, false, IOERR},
                {2, 0, 512, true, UNSUPPORTED},
                {0xffffffff, 0, 512, false, UNSUPPORTED},
                {T_DISCARD, 0, 8, false, IOERR},
                {T_DISCARD, 0, 17 * 16, false, IOERR},
                {T_WRITE_ZEROES, 0, 0, false, IOERR},
        };
        _cleanup_(fixture_deinit) Fixture f;

        fixture_init(&f, (BlockOpenOptions){.sparse = true}, F_ALL, true);
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_int_equal(
                        request(&f, table[i].type, table[i].sector, table[i].len, table[i].in),
                        table[i].status);
        assert_int_equal(request(&f, T_IN, 0, 512, true), OK);
}

static void test_what_fails_for_the_host_is_counted_and_no_mistake_of_the_driver(void **state) {
        _cleanup_(fixture_deinit) Fixture f;

        fixture_init(&f, (BlockOpenOptions){0}, F_FLUSH, true);
        assert_int_equal(request(&f, T_IN, DISK_BYTES / 512, 512, true), IOERR);
        assert_int_equal(f.dev->n_host_errors, 0);
        assert_int_equal(truncate(f.path, 512), 0);
        assert_int_equal(request(&f, T_IN, 1, 512, true), IOERR);
        assert_int_equal(f.dev->n_host_errors, 1);
        assert_int_equal(request(&f, T_IN, 0, 512, true), OK);
        assert_int_equal(f.dev->n_host_errors, 1);
}

static void test_ranges_are_discarded_and_zeroed(void **state) {
        _cleanup_(fixture_deinit) Fixture f;

        fixture_init(&f, (BlockOpenOptions){.sparse = true}, F_ALL, true);
        memset(data_of(&f), 'x', 65536);
        assert_int_equal(request(&f, T_OUT, 8, 65536, false), OK);
        put_range(&f, 0, 8, 1, 0);
        put_range(&f, 1, 10, 2, 1);
        put_range(&f, 2, 20, 0, 0);
        assert_int_equal(request(&f, T_WRITE_ZEROES, 0, 48, false), OK);
        put_range(&f, 0, 64, 8, 0);
        assert_int_equal(request(&f, T_DISCARD, 0, 16, false), OK);
        assert_int_equal(request(&f, T_IN, 8, 65536, true), OK);
        assert_int_equal(data_of(&f)[0], 0);
        assert_int_equal(data_of(&f)[512], 'x');
        assert_int_equal(data_of(&f)[1024], 0);
        assert_int_equal(data_of(&f)[2047], 0);
        assert_int_equal(data_of(&f)[2048], 'x');

        put_range(&f, 0, DISK_BYTES / 512 - 1, 2, 0);
        assert_int_equal(request(&f, T_WRITE_ZEROES, 0, 16, false), IOERR);
        put_range(&f, 0, 0, 0xffffffff, 0);
        assert_int_equal(request(&f, T_DISCARD, 0, 16, false), IOERR);
        put_range(&f, 0, 0, 1, 1); /* unmap is no flag of discard */
        assert_int_equal(request(&f, T_DISCARD, 0, 16, false), UNSUPPORTED);
        put_range(&f, 0, 0, 1, 2);
        assert_int_equal(request(&f, T_WRITE_ZEROES, 0, 16, false), UNSUPPORTED);
}

static void test_a_read_only_disk_refuses_changes(void **state) {
        _cleanup_(fixture_deinit) Fixture f;

        fixture_init(&f, (BlockOpenOptions){.read_only = true, .sparse = true}, F_RO, true);
        assert_int_equal(f.driver.offered & (F_RO | F_DISCARD | F_WRITE_ZEROES | F_FLUSH), F_RO);
        assert_int_equal(request(&f, T_OUT, 0, 512, false), IOERR);
        put_range(&f, 0, 0, 1, 0);
        assert_int_equal(request(&f, T_DISCARD, 0, 16, false), UNSUPPORTED);
        assert_int_equal(request(&f, T_WRITE_ZEROES, 0, 16, false), UNSUPPORTED);
        assert_int_equal(request(&f, T_FLUSH, 0, 0, false), OK);
        assert_int_equal(request(&f, T_IN, 0, 512, true), OK);
}

static void test_any_split_of_header_data_and_status_works(void **state) {
        _cleanup_(fixture_deinit) Fixture f;
        FakeBuffer buffers[6];
        uint16_t head;
        uint32_t written;

        fixture_init(&f, (BlockOpenOptions){0}, VIRTIO_F_INDIRECT_DESC | F_FLUSH, true);
        put_header(&f, T_IN, 0);
        buffers[0] = (FakeBuffer){f.header, 3, false};
        buffers[1] = (FakeBuffer){f.header + 3, 13, false};
        buffers[2] = (FakeBuffer){f.data, 5, true};
        buffers[3] = (FakeBuffer){f.data + 5, 508, true}; /* 507 of data, then the status */
        fake_queue_add_indirect(f.driver.queues, buffers, 4);
        fake_queue_kick(f.driver.queues);
        assert_true(fake_queue_wait(f.driver.queues, &head, &written));
        assert_int_equal(written, 513);
        assert_memory_equal(data_of(&f), "first sector", 12);
        assert_int_equal(data_of(&f)[512], OK);
}

static void test_a_request_without_header_or_status_breaks_the_device(void **state) {
        for (unsigned i = 0; i < 3; i++) {
                _cleanup_(fixture_deinit) Fixture f;
                FakeBuffer buffers[] = {{0, 16, false}, {0, 512, false}, {0, 1, true}};

                fixture_init(&f, (BlockOpenOptions){0}, 0, true);
                put_header(&f, T_OUT, 0);
                buffers[0].gpa = f.header;
                buffers[1].gpa = f.data;
                buffers[2].gpa = f.status;
                if (i == 0)
                        fake_queue_add(f.driver.queues, buffers, 2);
                else if (i == 1)
                        fake_queue_add(f.driver.queues, buffers + 2, 1);
                else {
                        buffers[1].len = 15;
                        fake_queue_add(f.driver.queues, buffers + 1, 2);
                }
                fake_queue_kick(f.driver.queues);
                assert_true(fake_driver_wait_status(&f.driver, VIRTIO_STATUS_NEEDS_RESET,
                                                    VIRTIO_STATUS_NEEDS_RESET));
        }
}

static void offer(Fixture *f, uint32_t type) {
        FakeBuffer buffers[] = {
                {f->header, 16, false}, {f->data, 512, type == T_IN}, {f->status, 1, true}};

        put_header(f, type, 0);
        fake_queue_add(f->driver.queues, buffers, 3);
        fake_queue_kick(f->driver.queues);
}

/* Runs the loop on this thread until the disk holds @n requests. */
static void wait_held(FakeBoard *board, HeldDisk *held, unsigned n) {
        held->loop = board->loop;
        held->wanted = n;
        assert_int_equal(loop_run(board->loop), 0);
        assert_int_equal(held->n_held, n);
}

static void test_a_reset_waits_for_requests_under_way_and_forgets_them(void **state) {
        _cleanup_(fixture_deinit) Fixture f;
        HeldDisk *held = attach_held(&f);
        uint8_t *used;

        fake_driver_start(&f.driver, F_FLUSH, 1, false);
        offer(&f, T_IN);
        offer(&f, T_IN);
        wait_held(f.board, held, 2);

        fake_write(&f.driver, f.driver.common + 0x14, 1, 0);
        assert_int_not_equal(fake_driver_status(&f.driver), 0);
        release(held);
        assert_int_equal(fake_driver_status(&f.driver), 0);
        /* The old rings and the status byte were left alone. */
        used = fake_host(f.board, f.driver.queues[0].used + 2, 2);
        assert_int_equal(le16_load(used), 0);
        assert_int_equal(*(uint8_t *) fake_host(f.board, f.status, 1), 0xee);

        fake_driver_start(&f.driver, F_FLUSH, 1, false);
        offer(&f, T_IN);
        wait_held(f.board, held, 1);
        release(held);
        assert_int_equal(*(uint8_t *) fake_host(f.board, f.status, 1), OK);
}

static void test_without_the_flush_feature_writes_are_flushed(void **state) {
        _cleanup_(fixture_deinit) Fixture f;
        HeldDisk *held = attach_held(&f);

        fake_driver_start(&f.driver, 0, 1, false);
        offer(&f, T_OUT);
        wait_held(f.board, held, 1);
        assert_int_equal(held->n_flushes, 0);
        release(held);
        assert_int_equal(held->n_flushes, 1);
        offer(&f, T_IN);
        wait_held(f.board, held, 1);
        release(held);
        assert_int_equal(held->n_flushes, 1);
}

static void test_a_device_freed_with_requests_under_way_lets_them_end(void **state) {
        _cleanup_(fixture_deinit) Fixture f;
        HeldDisk *held = attach_held(&f);

        fake_driver_start(&f.driver, 0, 1, false);
        offer(&f, T_OUT);
        offer(&f, T_OUT);
        wait_held(f.board, held, 2);
        /* held_free() ends them, the write without a flush to follow. */
}

static void test_impossible_configurations_are_refused(void **state) {
        HeldDisk held = {.dev = {.ops = &held_ops, .size_bytes = 4096, .align_bytes = 4096}};
        static const VirtioBlkConfig table[] = {
                {.n_queues = 0, .block_size = 4096},
                {.n_queues = 17, .block_size = 4096},
                {.n_queues = 1, .block_size = 256},
                {.n_queues = 1, .block_size = 8192},
                {.n_queues = 1, .block_size = 3000},
                {.n_queues = 1, .block_size = 512}, /* less than direct access needs */
                {.n_queues = 1, .block_size = 4096, .id = "123456789012345678901"},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(text_error_deinit) TextError error = {0};
                VirtioDevice *dev;

                assert_int_equal(virtio_blk_new(&held.dev, &table[i], &dev, &error), -EINVAL);
                assert_non_null(error.message);
        }
}

static void count_rest(void *userdata) {
        ++*(unsigned *) userdata;
}

static void test_a_suspended_disk_is_at_rest_when_the_last_request_ended(void **state) {
        _cleanup_(fixture_deinit) Fixture f;
        HeldDisk *held = attach_held(&f);
        unsigned n_rests = 0;

        pci_root_set_rest_handler(f.board->root, count_rest, &n_rests);
        fake_driver_start(&f.driver, F_FLUSH, 1, false);
        pci_root_set_suspended(f.board->root, true);
        assert_true(pci_root_is_at_rest(f.board->root));
        pci_root_set_suspended(f.board->root, false);

        offer(&f, T_IN);
        offer(&f, T_IN);
        wait_held(f.board, held, 2);
        pci_root_set_suspended(f.board->root, true);
        assert_false(pci_root_is_at_rest(f.board->root));
        held->done[1](held->userdata[1], 0);
        assert_int_equal(n_rests, 0);
        held->n_held = 1;
        release(held);
        assert_int_equal(n_rests, 1);
        assert_true(pci_root_is_at_rest(f.board->root));

        pci_root_set_suspended(f.board->root, false);
        offer(&f, T_IN);
        wait_held(f.board, held, 1);
        release(held);
        assert_int_equal(n_rests, 1); /* nobody was waiting */
}

static void test_a_busy_disk_that_is_unplugged_is_waited_for_no_more(void **state) {
        _cleanup_(fixture_deinit) Fixture f;
        HeldDisk *held = attach_held(&f);
        unsigned n_rests = 0;

        pci_root_set_rest_handler(f.board->root, count_rest, &n_rests);
        fake_driver_start(&f.driver, F_FLUSH, 1, false);
        offer(&f, T_IN);
        wait_held(f.board, held, 1);
        pci_root_set_suspended(f.board->root, true);
        pci_root_unplug(f.board->root, SLOT);
        assert_int_equal(n_rests, 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_configuration_describes_the_disk),
                cmocka_unit_test(test_a_new_size_is_told_and_in_effect),
                cmocka_unit_test(test_a_disk_of_fixed_size_keeps_it),
                cmocka_unit_test(test_data_is_read_and_written),
                cmocka_unit_test(test_a_disk_with_packed_queues_does_the_same),
                cmocka_unit_test(test_packed_queues_are_offered_when_asked_for_alone),
                cmocka_unit_test(test_the_id_is_padded_with_zeroes),
                cmocka_unit_test(test_bad_requests_fail_with_a_status),
                cmocka_unit_test(
                        test_what_fails_for_the_host_is_counted_and_no_mistake_of_the_driver),
                cmocka_unit_test(test_ranges_are_discarded_and_zeroed),
                cmocka_unit_test(test_a_read_only_disk_refuses_changes),
                cmocka_unit_test(test_any_split_of_header_data_and_status_works),
                cmocka_unit_test(test_a_request_without_header_or_status_breaks_the_device),
                cmocka_unit_test(test_a_reset_waits_for_requests_under_way_and_forgets_them),
                cmocka_unit_test(test_without_the_flush_feature_writes_are_flushed),
                cmocka_unit_test(test_a_device_freed_with_requests_under_way_lets_them_end),
                cmocka_unit_test(test_a_suspended_disk_is_at_rest_when_the_last_request_ended),
                cmocka_unit_test(test_a_busy_disk_that_is_unplugged_is_waited_for_no_more),
                cmocka_unit_test(test_impossible_configurations_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
