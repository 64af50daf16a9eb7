/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/le.h"
#include "tests/fake/vmm_disk.h"
#include "tests/fake/vmm_virtio_driver.h"
#include "vmm/virtio/devices.h"

/* The controller: its queues, its configuration and its control queue; tests/unit/vmm/scsi/ has what disks answer. */

#define DISK_BYTES (UINT64_C(1) << 20)
#define SLOT 1u
#define CONTROL 0u
#define EVENT 1u
#define REQUEST 2u
#define DATA 0x1000u /* beside the response, in the memory for requests */

#define HEAD_LEN 51u
#define RESPONSE_LEN 108u

#define S_OK 0u
#define S_OVERRUN 1u
#define S_BAD_TARGET 3u
#define S_FAILURE 9u
#define S_SUCCEEDED 10u
#define S_REJECTED 11u
#define S_INCORRECT_LUN 12u
#define UNTOUCHED 0xeeu

#define ABORT_TASK 0u
#define UNIT_RESET 5u
#define QUERY_TASK 6u
#define NEXUS_RESET 4u

#define F_CHANGE (UINT64_C(1) << 2)

/* An image that takes requests and ends them when the test says so, on its loop. */
typedef struct HeldImage {
        BlockDev dev;
        Loop *loop; /* left with each request that comes */
        unsigned n_held;
        BlockDoneFn done[8];
        void *userdata[8];
} HeldImage;

static int held_readv(BlockDev *dev, uint64_t offset, const struct iovec *iov, unsigned n_iov,
                      BlockDoneFn done, void *userdata) {
        HeldImage *held = (HeldImage *) dev;

        held->done[held->n_held] = done;
        held->userdata[held->n_held++] = userdata;
        loop_exit(held->loop);
        return 0;
}

static void release(HeldImage *held) {
        unsigned n = held->n_held;

        held->n_held = 0;
        for (unsigned i = 0; i < n; i++)
                held->done[i](held->userdata[i], 0);
}

static BlockDev *held_free(BlockDev *dev) {
        release((HeldImage *) dev);
        free(dev);
        return NULL;
}

static const BlockOps held_ops = {.name = "held", .readv = held_readv, .free = held_free};

typedef struct Fixture {
        FakeBoard *board;
        FakeDriver driver;
        VirtioDevice *dev; /* borrowed from the board */
        char *path;
        HeldImage *held; /* the device's */
        gpa_t request,
                answer; /* one page for the former; response, and data at DATA, in the latter */
} Fixture;

static void attach(Fixture *f) {
        fake_board_add(f->board, f->dev, SLOT);
        fake_driver_probe(&f->driver, f->board, SLOT);
        f->request = fake_alloc(f->board, 4096);
        f->answer = fake_alloc(f->board, 8192);
}

/* Target 0 is a file, target 1 a read-only one. */
static void fixture_init(Fixture *f, uint64_t features) {
        *f = (Fixture){.board = fake_board_new(FAKE_DOORBELLS | FAKE_ROUTES)};
        f->path = temp_file_new("first block", 11, DISK_BYTES);
        assert_int_equal(virtio_scsi_new(2, &f->dev), 0);
        for (unsigned i = 0; i < 2; i++) {
                const BlockOpenOptions options = {.read_only = i == 1};
                BlockDev *image;

                assert_int_equal(block_open(f->path, &options, f->board->loop, &image, NULL), 0);
                assert_int_equal(virtio_scsi_add(f->dev, image, 512, NULL, NULL), 0);
        }
        attach(f);
        fake_board_run(f->board);
        fake_driver_start(&f->driver, features, 4, true);
}

/* The board's loop runs in the test's thread, and only until the image has a request. */
static void fixture_init_held(Fixture *f) {
        *f = (Fixture){.board = fake_board_new(0)};
        f->held = calloc(1, sizeof(*f->held));
        assert_non_null(f->held);
        f->held->dev = (BlockDev){.ops = &held_ops, .size_bytes = DISK_BYTES, .align_bytes = 1};
        f->held->loop = f->board->loop;
        assert_int_equal(virtio_scsi_new(1, &f->dev), 0);
        assert_int_equal(virtio_scsi_add(f->dev, &f->held->dev, 512, NULL, NULL), 0);
        attach(f);
        fake_driver_start(&f->driver, 0, 3, true);
}

static void fixture_deinit(Fixture *f) {
        fake_board_free(f->board);
        temp_file_freep(&f->path);
}

static uint8_t *response(Fixture *f) {
        return fake_host(f->board, f->answer, RESPONSE_LEN);
}

static uint8_t *data_of(Fixture *f) {
        return fake_host(f->board, f->answer + DATA, 4096);
}

static void put_lun(uint8_t *at, uint8_t target, uint16_t lun) {
        const uint8_t bytes[8] = {1, target, (uint8_t) (0x40 | lun >> 8), (uint8_t) lun};

        memcpy(at, bytes, sizeof(bytes));
}

/* Puts a command with the driver's number @id into guest memory. */
static void put_command(Fixture *f, uint8_t target, uint64_t id, const uint8_t *cdb, size_t len) {
        uint8_t *head = fake_host(f->board, f->request, HEAD_LEN);

        memset(head, 0, HEAD_LEN);
        put_lun(head, target, 0);
        le64_store(head + 8, id);
        memcpy(head + 19, cdb, len);
        memset(response(f), UNTOUCHED, RESPONSE_LEN);
}

/* Return: the controller's response; the disk's status is in it. */
static uint8_t run(Fixture *f, unsigned queue, const FakeBuffer *buffers, unsigned n) {
        FakeQueue *q = f->driver.queues + queue;
        uint16_t head, got;
        uint32_t written;

        head = fake_queue_add(q, buffers, n);
        fake_queue_kick(q);
        assert_true(fake_queue_wait(q, &got, &written));
        assert_int_equal(got, head);
        return response(f)[11];
}

static uint8_t command(Fixture *f, unsigned queue, uint8_t target, const uint8_t *cdb, size_t len,
                       uint32_t n_out, uint32_t n_in) {
        const FakeBuffer read[] = {{f->request, HEAD_LEN, false},
                                   {f->answer, RESPONSE_LEN, true},
                                   {f->answer + DATA, n_in, true}};
        const FakeBuffer write[] = {{f->request, HEAD_LEN, false},
                                    {f->answer + DATA, n_out, false},
                                    {f->answer, RESPONSE_LEN, true}};

        put_command(f, target, 1, cdb, len);
        if (n_out > 0)
                return run(f, queue, write, 3);
        return run(f, queue, read, n_in > 0 ? 3 : 2);
}

static const uint8_t ready[6] = {0};
static const uint8_t read_2[10] = {0x28, [8] = 2};
static const uint8_t write_at_3[10] = {0x2a, [5] = 3, [8] = 1};

static void test_the_configuration_describes_the_controller(void **state) {
        _cleanup_(fixture_deinit) Fixture f;
        FakeDriver *d;

        fixture_init(&f, 0);
        d = &f.driver;
        assert_int_equal(fake_read(d, d->device, 4), 2);
        assert_int_equal(fake_read(d, d->device + 16, 4), 16);
        assert_int_equal(fake_read(d, d->device + 20, 4), 96);
        assert_int_equal(fake_read(d, d->device + 24, 4), 32);
        assert_int_equal(fake_read(d, d->device + 28, 2), 0);
        assert_int_equal(fake_read(d, d->device + 30, 2), 1);
        assert_int_equal(fake_read(d, d->device + 32, 4), 0);
}

static void test_data_are_read_and_written_on_each_queue(void **state) {
        _cleanup_(fixture_deinit) Fixture f;

        fixture_init(&f, 0);
        (void) command(&f, REQUEST, 0, ready, sizeof(ready), 0, 0);
        assert_int_equal(command(&f, REQUEST, 0, read_2, sizeof(read_2), 0, 1024), S_OK);
        assert_int_equal(response(&f)[10], 0);
        assert_memory_equal(data_of(&f), "first block", 11);
        memset(data_of(&f), 0xa5, 512);
        assert_int_equal(command(&f, REQUEST + 1, 0, write_at_3, sizeof(write_at_3), 512, 0), S_OK);
        assert_int_equal(response(&f)[10], 0);
        memset(data_of(&f), 0, 512);
        assert_int_equal(command(&f, REQUEST + 1, 0,
                                 (const uint8_t[]){0x28, 0, 0, 0, 0, 3, 0, 0, 1, 0}, 10, 0, 512),
                         S_OK);
        assert_int_equal(data_of(&f)[0], 0xa5);
        assert_int_equal(data_of(&f)[511], 0xa5);
}

static void test_a_failed_command_comes_with_its_sense(void **state) {
        _cleanup_(fixture_deinit) Fixture f;

        fixture_init(&f, 0);
        assert_int_equal(command(&f, REQUEST, 1, ready, sizeof(ready), 0, 0), S_OK);
        assert_int_equal(response(&f)[10], 2);
        assert_int_equal(le32_load(response(&f)), 18);
        assert_int_equal(response(&f)[12 + 12], 0x29);
        assert_int_equal(command(&f, REQUEST, 1, write_at_3, sizeof(write_at_3), 512, 0), S_OK);
        assert_int_equal(response(&f)[12 + 2], 7);
        assert_int_equal(le32_load(response(&f) + 4), 512); /* all is left over */
}

static void test_what_is_left_of_the_room_is_told(void **state) {
        _cleanup_(fixture_deinit) Fixture f;

        fixture_init(&f, 0);
        (void) command(&f, REQUEST, 0, ready, sizeof(ready), 0, 0);
        assert_int_equal(command(&f, REQUEST, 0, read_2, sizeof(read_2), 0, 1500), S_OK);
        assert_int_equal(le32_load(response(&f) + 4), 1500 - 1024);
        assert_int_equal(command(&f, REQUEST, 0, read_2, sizeof(read_2), 0, 1000), S_OVERRUN);
        assert_int_equal(le32_load(response(&f)), 0);
}

static void test_targets_that_are_not_there_are_bad(void **state) {
        _cleanup_(fixture_deinit) Fixture f;

        fixture_init(&f, 0);
        assert_int_equal(command(&f, REQUEST, 2, ready, sizeof(ready), 0, 0), S_BAD_TARGET);
        assert_int_equal(command(&f, REQUEST, 255, ready, sizeof(ready), 0, 0), S_BAD_TARGET);
        put_command(&f, 0, 1, ready, sizeof(ready));
        *(uint8_t *) fake_host(f.board, f.request, 1) = 0xc1; /* well-known units */
        assert_int_equal(run(&f, REQUEST,
                             (const FakeBuffer[]){{f.request, HEAD_LEN, false},
                                                  {f.answer, RESPONSE_LEN, true}},
                             2),
                         S_BAD_TARGET);
}

static void test_data_both_ways_were_not_agreed_on(void **state) {
        _cleanup_(fixture_deinit) Fixture f;

        fixture_init(&f, 0);
        put_command(&f, 0, 1, ready, sizeof(ready));
        assert_int_equal(run(&f, REQUEST,
                             (const FakeBuffer[]){{f.request, HEAD_LEN + 4, false},
                                                  {f.answer, RESPONSE_LEN + 4, true}},
                             2),
                         S_FAILURE);
}

static void test_a_request_without_room_breaks_the_device(void **state) {
        _cleanup_(fixture_deinit) Fixture f;
        FakeQueue *q;

        fixture_init(&f, 0);
        q = f.driver.queues + REQUEST;
        put_command(&f, 0, 1, ready, sizeof(ready));
        (void) fake_queue_add(q,
                              (const FakeBuffer[]){{f.request, HEAD_LEN - 1, false},
                                                   {f.answer, RESPONSE_LEN, true}},
                              2);
        fake_queue_kick(q);
        assert_true(fake_driver_wait_status(&f.driver, VIRTIO_STATUS_NEEDS_RESET,
                                            VIRTIO_STATUS_NEEDS_RESET));
}

static void test_the_driver_chooses_the_lengths_of_cdb_and_sense(void **state) {
        _cleanup_(fixture_deinit) Fixture f;
        FakeDriver *d;

        fixture_init(&f, 0);
        d = &f.driver;
        fake_write(d, d->device + 20, 4, 8);
        fake_write(d, d->device + 24, 4, 16);
        assert_int_equal(fake_read(d, d->device + 20, 4), 8);
        assert_int_equal(fake_read(d, d->device + 24, 4), 16);
        put_command(&f, 0, 1, ready, sizeof(ready));
        assert_int_equal(
                run(&f, REQUEST,
                    (const FakeBuffer[]){{f.request, 19 + 16, false}, {f.answer, 12 + 8, true}}, 2),
                S_OK);
        assert_int_equal(le32_load(response(&f)), 8);
        assert_int_equal(response(&f)[12 + 2], 6);
        assert_int_equal(response(&f)[12 + 8], UNTOUCHED);
        fake_write(d, d->device + 20, 4, 1 << 20);
        fake_write(d, d->device + 24, 4, 0);
        assert_int_equal(fake_read(d, d->device + 20, 4), 8);
        assert_int_equal(fake_read(d, d->device + 24, 4), 16);
}

/* ---- the control queue ---- */

static void put_management(Fixture *f, uint32_t function, uint8_t target, uint16_t lun,
                           uint64_t id) {
        uint8_t *request = fake_host(f->board, f->request + 2048, 24);

        le32_store(request, 0);
        le32_store(request + 4, function);
        put_lun(request + 8, target, lun);
        le64_store(request + 16, id);
        *(uint8_t *) fake_host(f->board, f->answer + 512, 1) = UNTOUCHED;
}

static void send_management(Fixture *f) {
        FakeQueue *q = f->driver.queues + CONTROL;

        (void) fake_queue_add(
                q, (const FakeBuffer[]){{f->request + 2048, 24, false}, {f->answer + 512, 1, true}},
                2);
        fake_queue_kick(q);
}

static uint8_t managed(Fixture *f) {
        return *(const uint8_t *) fake_host(f->board, f->answer + 512, 1);
}

static uint8_t manage(Fixture *f, uint32_t function, uint8_t target, uint16_t lun) {
        uint16_t head;
        uint32_t written;

        put_management(f, function, target, lun, 1);
        send_management(f);
        assert_true(fake_queue_wait(f->driver.queues + CONTROL, &head, &written));
        assert_int_equal(written, 1);
        return managed(f);
}

static void test_task_management_is_answered(void **state) {
        _cleanup_(fixture_deinit) Fixture f;

        fixture_init(&f, 0);
        assert_int_equal(manage(&f, ABORT_TASK, 0, 0), S_OK);
        assert_int_equal(manage(&f, QUERY_TASK, 0, 0), S_OK);
        assert_int_equal(manage(&f, 2, 0, 0), S_REJECTED);
        assert_int_equal(manage(&f, 99, 0, 0), S_REJECTED);
        assert_int_equal(manage(&f, ABORT_TASK, 2, 0), S_BAD_TARGET);
        assert_int_equal(manage(&f, ABORT_TASK, 0, 1), S_INCORRECT_LUN);
        (void) command(&f, REQUEST, 0, ready, sizeof(ready), 0, 0);
        assert_int_equal(manage(&f, UNIT_RESET, 0, 0), S_OK);
        assert_int_equal(command(&f, REQUEST, 0, ready, sizeof(ready), 0, 0), S_OK);
        assert_int_equal(response(&f)[12 + 13], 3); /* it was reset */
        assert_int_equal(manage(&f, NEXUS_RESET, 0, 5), S_OK);
        assert_int_equal(command(&f, REQUEST, 0, ready, sizeof(ready), 0, 0), S_OK);
        assert_int_equal(response(&f)[12 + 13], 7);
}

static void test_notifications_are_none(void **state) {
        _cleanup_(fixture_deinit) Fixture f;
        FakeQueue *q;
        uint8_t *request;
        uint32_t written;
        uint16_t head;

        fixture_init(&f, 0);
        q = f.driver.queues + CONTROL;
        request = fake_host(f.board, f.request, 16);
        memset(request, 0, 16);
        le32_store(request, 2);
        put_lun(request + 4, 0, 0);
        le32_store(request + 12, UINT32_MAX);
        memset(response(&f), UNTOUCHED, RESPONSE_LEN);
        (void) fake_queue_add(q, (const FakeBuffer[]){{f.request, 16, false}, {f.answer, 5, true}},
                              2);
        fake_queue_kick(q);
        assert_true(fake_queue_wait(q, &head, &written));
        assert_int_equal(written, 5);
        assert_int_equal(le32_load(response(&f)), 0);
        assert_int_equal(response(&f)[4], S_OK);
}

static void test_a_control_request_that_is_cut_short_breaks_the_device(void **state) {
        _cleanup_(fixture_deinit) Fixture f;
        FakeQueue *q;

        fixture_init(&f, 0);
        q = f.driver.queues + CONTROL;
        put_management(&f, ABORT_TASK, 0, 0, 1);
        (void) fake_queue_add(
                q, (const FakeBuffer[]){{f.request + 2048, 23, false}, {f.answer + 512, 1, true}},
                2);
        fake_queue_kick(q);
        assert_true(fake_driver_wait_status(&f.driver, VIRTIO_STATUS_NEEDS_RESET,
                                            VIRTIO_STATUS_NEEDS_RESET));
}

/* Offers a read that the image holds; runs the loop until it has it. */
static void begin_read(Fixture *f, uint64_t id) {
        FakeQueue *q = f->driver.queues + REQUEST;

        put_command(f, 0, id, read_2, sizeof(read_2));
        (void) fake_queue_add(q,
                              (const FakeBuffer[]){{f->request, HEAD_LEN, false},
                                                   {f->answer, RESPONSE_LEN, true},
                                                   {f->answer + DATA, 1024, true}},
                              3);
        fake_queue_kick(q);
        assert_int_equal(loop_run(f->board->loop), 0);
        assert_int_equal(f->held->n_held, 1);
}

/* One turn of the loop, for a control request that does not reach the image. */
static void stop_loop(void *userdata) {
        loop_exit(userdata);
}

static void turn(Fixture *f) {
        LoopSource *timer;

        assert_int_equal(loop_add_timer(f->board->loop, stop_loop, f->board->loop, &timer), 0);
        assert_int_equal(loop_set_timer(timer, 1), 0);
        assert_int_equal(loop_run(f->board->loop), 0);
        loop_remove(timer);
}

/* The first command after the start only hears of it. */
static void hear_of_start(Fixture *f) {
        FakeQueue *q = f->driver.queues + REQUEST;

        put_command(f, 0, 1, ready, sizeof(ready));
        (void) fake_queue_add(q,
                              (const FakeBuffer[]){{f->request, HEAD_LEN, false},
                                                   {f->answer, RESPONSE_LEN, true}},
                              2);
        fake_queue_kick(q);
        turn(f);
        assert_int_equal(response(f)[12 + 12], 0x29);
}

static void test_who_aborts_a_command_is_answered_when_it_has_ended(void **state) {
        _cleanup_(fixture_deinit) Fixture f;

        fixture_init_held(&f);
        hear_of_start(&f);
        begin_read(&f, 7);
        put_management(&f, QUERY_TASK, 0, 0, 7);
        send_management(&f);
        turn(&f);
        assert_int_equal(managed(&f), S_SUCCEEDED);
        put_management(&f, QUERY_TASK, 0, 0, 8);
        send_management(&f);
        turn(&f);
        assert_int_equal(managed(&f), S_OK);
        put_management(&f, ABORT_TASK, 0, 0, 7);
        send_management(&f);
        turn(&f);
        assert_int_equal(managed(&f), UNTOUCHED);
        assert_int_equal(response(&f)[11], UNTOUCHED);
        release(f.held);
        assert_int_equal(response(&f)[11], S_OK);
        assert_int_equal(managed(&f), S_OK);
}

static void test_a_reset_forgets_who_waits_and_ends_with_the_last_command(void **state) {
        _cleanup_(fixture_deinit) Fixture f;

        fixture_init_held(&f);
        hear_of_start(&f);
        begin_read(&f, 7);
        put_management(&f, UNIT_RESET, 0, 0, 7);
        send_management(&f);
        turn(&f);
        fake_write(&f.driver, f.driver.common + 0x14, 1, 0);
        assert_int_not_equal(fake_driver_status(&f.driver), 0);
        release(f.held);
        assert_int_equal(fake_driver_status(&f.driver), 0);
        assert_int_equal(managed(&f), UNTOUCHED);
        assert_int_equal(response(&f)[11], UNTOUCHED);
}

static void test_what_is_under_way_at_the_end_is_forgotten(void **state) {
        _cleanup_(fixture_deinit) Fixture f;

        fixture_init_held(&f);
        hear_of_start(&f);
        begin_read(&f, 7);
        put_management(&f, ABORT_TASK, 0, 0, 7);
        send_management(&f);
        turn(&f);
}

/* ---- events ---- */

static void test_a_new_size_is_an_event(void **state) {
        _cleanup_(fixture_deinit) Fixture f;
        const uint8_t *event;
        FakeQueue *q;
        uint32_t written;
        uint16_t head;

        fixture_init(&f, F_CHANGE);
        q = f.driver.queues + EVENT;
        (void) fake_queue_add(q, &(FakeBuffer){f.answer, 16, true}, 1);
        fake_queue_kick(q);
        assert_int_equal(virtio_scsi_resize(f.dev, 0, 2 * DISK_BYTES), 0);
        assert_true(fake_queue_wait(q, &head, &written));
        event = response(&f);
        assert_int_equal(written, 16);
        assert_int_equal(le32_load(event), 3);
        assert_int_equal(event[4] << 8 | event[5], 0x0100);
        assert_int_equal(le32_load(event + 12), 0x092a);
        assert_int_equal(virtio_scsi_resize(f.dev, 1, 2 * DISK_BYTES), -EROFS);
        assert_int_equal(virtio_scsi_resize(f.dev, 0, 1), -EINVAL);
}

static void test_an_event_without_a_buffer_is_missed_and_said_to_be_so(void **state) {
        _cleanup_(fixture_deinit) Fixture f;
        FakeQueue *q;
        uint32_t written;
        uint16_t head;

        fixture_init(&f, F_CHANGE);
        q = f.driver.queues + EVENT;
        assert_int_equal(virtio_scsi_resize(f.dev, 0, 2 * DISK_BYTES), 0);
        (void) fake_queue_add(q, &(FakeBuffer){f.answer, 16, true}, 1);
        fake_queue_kick(q);
        assert_true(fake_queue_wait(q, &head, &written));
        assert_int_equal(le32_load(response(&f)), UINT32_C(0x80000000));
        assert_int_equal(le32_load(response(&f) + 12), 0);
}

static void test_who_did_not_ask_for_events_gets_none(void **state) {
        _cleanup_(fixture_deinit) Fixture f;

        fixture_init(&f, 0);
        memset(response(&f), UNTOUCHED, 16);
        (void) fake_queue_add(f.driver.queues + EVENT, &(FakeBuffer){f.answer, 16, true}, 1);
        assert_int_equal(virtio_scsi_resize(f.dev, 0, 2 * DISK_BYTES), 0);
        assert_int_equal(response(&f)[0], UNTOUCHED);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_configuration_describes_the_controller),
                cmocka_unit_test(test_data_are_read_and_written_on_each_queue),
                cmocka_unit_test(test_a_failed_command_comes_with_its_sense),
                cmocka_unit_test(test_what_is_left_of_the_room_is_told),
                cmocka_unit_test(test_targets_that_are_not_there_are_bad),
                cmocka_unit_test(test_data_both_ways_were_not_agreed_on),
                cmocka_unit_test(test_a_request_without_room_breaks_the_device),
                cmocka_unit_test(test_the_driver_chooses_the_lengths_of_cdb_and_sense),
                cmocka_unit_test(test_task_management_is_answered),
                cmocka_unit_test(test_notifications_are_none),
                cmocka_unit_test(test_a_control_request_that_is_cut_short_breaks_the_device),
                cmocka_unit_test(test_who_aborts_a_command_is_answered_when_it_has_ended),
                cmocka_unit_test(test_a_reset_forgets_who_waits_and_ends_with_the_last_command),
                cmocka_unit_test(test_what_is_under_way_at_the_end_is_forgotten),
                cmocka_unit_test(test_a_new_size_is_an_event),
                cmocka_unit_test(test_an_event_without_a_buffer_is_missed_and_said_to_be_so),
                cmocka_unit_test(test_who_did_not_ask_for_events_gets_none),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
