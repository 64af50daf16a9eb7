/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/le.h"
#include "tests/fake/vmm_vhost_guest.h"
#include "vmm/virtio/devices.h"

#define QUEUE 1u /* of requests */
#define HEADER 40u
#define UNIQUE UINT64_C(0x1122334455667788)

static int setup(void **state) {
        VhostUserConfig config = {.min_queues = VIRTIO_FS_QUEUES, .max_queues = VIRTIO_FS_QUEUES};
        VirtioDevice *dev;
        VhostUser *vhost;
        VhostGuest *f;

        if (vhost_guest_setup(state) < 0)
                return -1;
        f = *state;
        config.mem = f->board->mem;
        config.loop = f->board->loop;
        assert_int_equal(
                vhost_user_new_consume(fake_vhost_connect(&f->process), &config, &vhost, NULL), 0);
        assert_int_equal(virtio_fs_new(vhost, "work", &dev, NULL), 0);
        fake_vhost_meet(&f->process);
        le64_store((uint8_t *) fake_host(f->board, f->out, HEADER) + 8, UNIQUE);
        vhost_guest_attach(f, dev);
        fake_driver_start(&f->driver, 0, VIRTIO_FS_QUEUES, true);
        return 0;
}

static void ask(VhostGuest *f) {
        vhost_guest_ask(f, QUEUE, HEADER, 64);
}

/* The next request that the device ends carries the answer of a server that is no more. */
static void assert_refused(VhostGuest *f) {
        const uint8_t *answer = fake_host(f->board, f->in, 64);
        uint16_t head;
        uint32_t len;

        assert_true(fake_queue_wait(f->driver.queues + QUEUE, &head, &len));
        assert_int_equal(len, 16);
        assert_int_equal(le32_load(answer), 16);
        assert_int_equal((int32_t) le32_load(answer + 4), -ENOTCONN);
        assert_true(le64_load(answer + 8) == UNIQUE);
}

static void test_requests_go_to_the_process_and_their_ends_come_back(void **state) {
        VhostGuest *f = *state;
        uint16_t head;
        uint32_t len;

        ask(f);
        assert_true(fake_vhost_take(&f->process, QUEUE, &head));
        fake_vhost_end(&f->process, QUEUE, head, 24);
        assert_true(fake_queue_wait(f->driver.queues + QUEUE, &head, &len));
        assert_int_equal(len, 24);
}

static void test_what_a_lost_process_had_is_answered_with_an_error(void **state) {
        VhostGuest *f = *state;
        uint16_t head;

        ask(f);
        assert_true(fake_vhost_take(&f->process, QUEUE, &head));
        fake_vhost_hang_up(&f->process);
        assert_refused(f);
        assert_false(fake_driver_status(&f->driver) & VIRTIO_STATUS_NEEDS_RESET);
}

static void test_so_is_what_the_guest_asks_afterwards(void **state) {
        VhostGuest *f = *state;
        uint16_t head;

        ask(f);
        assert_true(fake_vhost_take(&f->process, QUEUE, &head));
        fake_vhost_hang_up(&f->process);
        assert_refused(f);
        ask(f);
        assert_refused(f);
}

static void test_a_request_without_room_for_an_answer_just_ends(void **state) {
        VhostGuest *f = *state;
        const FakeBuffer forget = {f->out, HEADER, false};
        uint16_t head;
        uint32_t len;

        fake_vhost_hang_up(&f->process);
        (void) fake_queue_add(f->driver.queues, &forget, 1);
        fake_queue_kick(f->driver.queues);
        assert_true(fake_queue_wait(f->driver.queues, &head, &len));
        assert_int_equal(len, 0);
}

static void test_a_process_that_ends_what_it_was_not_given_is_lost(void **state) {
        VhostGuest *f = *state;
        uint16_t head;

        ask(f);
        assert_true(fake_vhost_take(&f->process, QUEUE, &head));
        fake_vhost_end(&f->process, QUEUE, head + 1u, 24);
        assert_refused(f);
}

static void test_a_reset_that_waits_for_the_process_ends_with_it(void **state) {
        VhostGuest *f = *state;
        uint16_t head;

        ask(f);
        assert_true(fake_vhost_take(&f->process, QUEUE, &head));
        fake_write(&f->driver, f->driver.common + 0x14, 1, 0);
        assert_true(fake_driver_status(&f->driver) != 0);
        fake_vhost_hang_up(&f->process);
        assert_true(fake_driver_wait_status(&f->driver, 0xff, 0));
        fake_driver_start(&f->driver, 0, VIRTIO_FS_QUEUES, true);
        ask(f);
        assert_refused(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, vhost_guest_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_requests_go_to_the_process_and_their_ends_come_back),
                TEST(test_what_a_lost_process_had_is_answered_with_an_error),
                TEST(test_so_is_what_the_guest_asks_afterwards),
                TEST(test_a_request_without_room_for_an_answer_just_ends),
                TEST(test_a_process_that_ends_what_it_was_not_given_is_lost),
                TEST(test_a_reset_that_waits_for_the_process_ends_with_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
