/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/fake/vmm_virtio_driver.h"
#include "vmm/virtio/devices.h"

typedef struct Fixture {
        FakeBoard *board;
        FakeDriver driver;
} Fixture;

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        VirtioDevice *dev;

        assert_non_null(f);
        f->board = fake_board_new(FAKE_DOORBELLS | FAKE_ROUTES);
        assert_int_equal(virtio_rng_new(&dev), 0);
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
        free(f);
        return 0;
}

static uint32_t ask(Fixture *f, const FakeBuffer *buffers, unsigned n) {
        uint16_t head;
        uint32_t len = 0;

        fake_queue_add(f->driver.queues, buffers, n);
        fake_queue_kick(f->driver.queues);
        assert_true(fake_queue_wait(f->driver.queues, &head, &len));
        return len;
}

static void test_buffers_are_filled_with_different_bytes(void **state) {
        Fixture *f = *state;
        FakeBuffer buffers[] = {{fake_alloc(f->board, 64), 64, true},
                                {fake_alloc(f->board, 100), 100, true}};
        const uint8_t *a = fake_host(f->board, buffers[0].gpa, 64);
        const uint8_t *b = fake_host(f->board, buffers[1].gpa, 101);

        assert_int_equal(ask(f, buffers, 2), 164);
        assert_memory_not_equal(a, b, 64);
        assert_int_equal(b[100], 0);
}

static void test_a_huge_request_gets_a_part(void **state) {
        Fixture *f = *state;
        FakeBuffer buffer = {fake_alloc(f->board, 1 << 20), 1 << 20, true};
        uint32_t len = ask(f, &buffer, 1);

        assert_in_range(len, 1, 1 << 16);
        assert_int_equal(((uint8_t *) fake_host(f->board, buffer.gpa, 1 << 20))[len], 0);
}

static void test_a_request_without_room_is_answered(void **state) {
        Fixture *f = *state;
        FakeBuffer buffer = {fake_alloc(f->board, 64), 64, false};

        assert_int_equal(ask(f, &buffer, 1), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_buffers_are_filled_with_different_bytes, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_a_huge_request_gets_a_part, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_request_without_room_is_answered, setup,
                                                teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
