/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/le.h"
#include "tests/fake/vmm_virtio_driver.h"
#include "vmm/virtio/devices.h"

typedef struct Fixture {
        FakeBoard *board;
        FakeDriver driver;
        int fd;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        VirtioDevice *dev;

        assert_non_null(f);
        f->board = fake_board_new(FAKE_DOORBELLS | FAKE_ROUTES);
        f->fd = memfd_create("pmem", MFD_CLOEXEC);
        assert_true(f->fd >= 0);
        assert_int_equal(virtio_pmem_new(&(VirtioPmemConfig){.loop = f->board->loop,
                                                             .gpa = UINT64_C(0x123400000000),
                                                             .size_bytes = 0x400000,
                                                             .fd = f->fd},
                                         &dev),
                         0);
        assert_int_equal(le64_load(dev->config), UINT64_C(0x123400000000));
        assert_int_equal(le64_load(dev->config + 8), 0x400000);
        fake_board_add(f->board, dev, 1);
        fake_driver_probe(&f->driver, f->board, 1);
        fake_board_run(f->board);
        fake_driver_start(&f->driver, VIRTIO_F_INDIRECT_DESC, 1, true);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        fake_board_free(f->board);
        if (f->fd >= 0)
                (void) close(f->fd);
        free(f);
        return 0;
}

static uint32_t ask(Fixture *f, uint32_t type) {
        const uint64_t request = fake_alloc(f->board, 4), response = fake_alloc(f->board, 4);
        const FakeBuffer buffers[] = {{request, 4, false}, {response, 4, true}};
        uint8_t bytes[4], poison[4] = {0xee, 0xee, 0xee, 0xee};
        uint16_t head;
        uint32_t len = 0;

        le32_store(bytes, type);
        assert_int_equal(guest_mem_write(f->board->mem, request, bytes, 4), 0);
        assert_int_equal(guest_mem_write(f->board->mem, response, poison, 4), 0);
        fake_queue_add(f->driver.queues, buffers, 2);
        fake_queue_kick(f->driver.queues);
        assert_true(fake_queue_wait(f->driver.queues, &head, &len));
        assert_int_equal(len, 4);
        assert_int_equal(guest_mem_read(f->board->mem, response, bytes, 4), 0);
        return le32_load(bytes);
}

static void test_a_flush_is_answered_when_the_file_is_written(void **state) {
        for (unsigned i = 0; i < 100; i++) /* more than the device keeps at a time */
                assert_int_equal(ask(*state, 0), 0);
}

static void test_a_file_that_cannot_be_written_down_is_an_error_of_the_guests(void **state) {
        Fixture *f = *state;

        assert_int_equal(close(f->fd), 0); /* fdatasync() has no file any more */
        f->fd = -1;
        assert_int_equal(ask(f, 0), 1);
}

static void test_other_requests_are_refused_and_the_next_flush_works(void **state) {
        assert_int_equal(ask(*state, 1), 1);
        assert_int_equal(ask(*state, UINT32_MAX), 1);
        assert_int_equal(ask(*state, 0), 0);
}

static void test_a_request_without_room_for_its_answer_breaks_the_device(void **state) {
        Fixture *f = *state;
        const FakeBuffer buffers[] = {{fake_alloc(f->board, 4), 4, false},
                                      {fake_alloc(f->board, 4), 3, true}};

        fake_queue_add(f->driver.queues, buffers, 2);
        fake_queue_kick(f->driver.queues);
        assert_true(fake_driver_wait_status(&f->driver, VIRTIO_STATUS_NEEDS_RESET,
                                            VIRTIO_STATUS_NEEDS_RESET));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_a_flush_is_answered_when_the_file_is_written,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(
                        test_a_file_that_cannot_be_written_down_is_an_error_of_the_guests, setup,
                        teardown),
                cmocka_unit_test_setup_teardown(
                        test_other_requests_are_refused_and_the_next_flush_works, setup, teardown),
                cmocka_unit_test_setup_teardown(
                        test_a_request_without_room_for_its_answer_breaks_the_device, setup,
                        teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
