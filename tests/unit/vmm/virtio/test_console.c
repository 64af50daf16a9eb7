/* SPDX-License-Identifier: Apache-2.0 */
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/le.h"
#include "tests/fake/vmm_virtio_driver.h"
#include "vmm/virtio/devices.h"

#define RECEIVE 0u
#define TRANSMIT 1u

/* A console between two pipes. */
typedef struct Fixture {
        FakeBoard *board;
        FakeDriver driver;
        CharDev *chardev;
        int to_guest, from_guest;
        LoopSource *turn; /* a timer of ours on the board's loop */
        sem_t turned;
} Fixture;

static void turned(void *userdata) {
        sem_post(userdata);
}

/* Returns when the loop has done what it could do before, and what followed from that. */
static void wait_for_loop(Fixture *f) {
        for (unsigned i = 0; i < 4; i++) {
                assert_int_equal(loop_set_timer(f->turn, 1), 0);
                assert_int_equal(sem_wait(&f->turned), 0);
        }
}

static void make_pipe(int *ret_ours, int *ret_inherited, bool ours_reads) {
        int fds[2];

        assert_int_equal(pipe2(fds, 0), 0); /* inherited descriptors are not CLOEXEC */
        *ret_ours = fds[ours_reads ? 0 : 1];
        *ret_inherited = fds[ours_reads ? 1 : 0];
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        char output[32], input[32];
        VmmSerial serial = {.type = VMM_SERIAL_FILE,
                            .hardware = VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE,
                            .num = 1,
                            .path = output,
                            .input = input};
        int out, in;
        VirtioDevice *dev;

        assert_non_null(f);
        make_pipe(&f->to_guest, &in, false);
        make_pipe(&f->from_guest, &out, true);
        (void) snprintf(output, sizeof(output), "/proc/self/fd/%d", out);
        (void) snprintf(input, sizeof(input), "/proc/self/fd/%d", in);
        f->board = fake_board_new(FAKE_ROUTES);
        assert_int_equal(char_new(&serial, f->board->loop, &f->chardev, NULL), 0);
        fd_close(out);
        fd_close(in);
        assert_int_equal(virtio_console_new(f->chardev, &dev), 0);
        fake_board_add(f->board, dev, 1);
        assert_int_equal(sem_init(&f->turned, 0, 0), 0);
        assert_int_equal(loop_add_timer(f->board->loop, turned, &f->turned, &f->turn), 0);
        fake_driver_probe(&f->driver, f->board, 1);
        fake_board_run(f->board);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        fake_board_stop(f->board);
        loop_remove(f->turn);
        sem_destroy(&f->turned);
        char_free(f->chardev);
        fake_board_free(f->board);
        fd_close(f->to_guest);
        fd_close(f->from_guest);
        free(f);
        return 0;
}

static void test_what_the_guest_sends_comes_out(void **state) {
        Fixture *f = *state;
        FakeBuffer buffers[] = {{fake_alloc(f->board, 16), 6, false},
                                {fake_alloc(f->board, 16), 6, false}};
        uint16_t head;
        uint32_t len;
        char text[12];

        fake_driver_start(&f->driver, 0, 2, true);
        memcpy(fake_host(f->board, buffers[0].gpa, 6), "hello ", 6);
        memcpy(fake_host(f->board, buffers[1].gpa, 6), "world\n", 6);
        fake_queue_add(f->driver.queues + TRANSMIT, buffers, 2);
        fake_queue_kick(f->driver.queues + TRANSMIT);
        assert_true(fake_queue_wait(f->driver.queues + TRANSMIT, &head, &len));
        assert_int_equal(len, 0);
        assert_int_equal(read(f->from_guest, text, sizeof(text)), 12);
        assert_memory_equal(text, "hello world\n", 12);
}

/* Offers one receive buffer of @len bytes and returns what came. */
static uint32_t receive(Fixture *f, char *text, uint32_t len) {
        FakeBuffer buffer = {fake_alloc(f->board, len), len, true};
        uint16_t head;
        uint32_t got;

        fake_queue_add(f->driver.queues + RECEIVE, &buffer, 1);
        fake_queue_kick(f->driver.queues + RECEIVE);
        assert_true(fake_queue_wait(f->driver.queues + RECEIVE, &head, &got));
        assert_in_range(got, 1, len);
        memcpy(text, fake_host(f->board, buffer.gpa, len), got);
        return got;
}

static void speak(Fixture *f);

/* A driver with the event index notifies only for the entry that the device asked for. */
static void test_device_asks_to_be_told_of_buffers_when_they_run_out(void **state) {
        Fixture *f = *state;
        FakeQueue *queue = f->driver.queues + RECEIVE;
        FakeBuffer buffer = {fake_alloc(f->board, 4), 4, true};
        uint16_t head;
        uint32_t len;

        fake_driver_start(&f->driver, VIRTIO_F_EVENT_IDX, 2, true);
        speak(f);
        for (uint16_t i = 1; i <= 3; i++) {
                const uint8_t *event;

                fake_queue_add(queue, &buffer, 1);
                fake_queue_kick(queue);
                assert_int_equal(write(f->to_guest, "0123456", 7), 7);
                assert_true(fake_queue_wait(queue, &head, &len));
                wait_for_loop(f);
                event = fake_host(f->board, queue->used + 4 + 8 * (uint64_t) queue->size, 2);
                assert_int_equal(le16_load(event), i);
        }
}

/* Buffers without room in them are given back, and the input waits for others. */
static void test_buffers_that_hold_nothing_do_not_stop_the_loop(void **state) {
        Fixture *f = *state;
        FakeQueue *queue = f->driver.queues + RECEIVE;
        FakeBuffer none = {fake_alloc(f->board, 4), 4, false};
        char text[16];
        uint16_t head;
        uint32_t len;

        fake_driver_start(&f->driver, 0, 2, true);
        speak(f);
        for (unsigned i = 0; i < 4; i++)
                fake_queue_add(queue, &none, 1);
        assert_int_equal(write(f->to_guest, "input", 5), 5);
        for (unsigned i = 0; i < 4; i++) {
                fake_queue_kick(queue);
                assert_true(fake_queue_wait(queue, &head, &len));
                assert_int_equal(len, 0);
        }
        assert_int_equal(receive(f, text, sizeof(text)), 5);
        assert_memory_equal(text, "input", 5);
}

static void speak(Fixture *f) {
        FakeBuffer buffer = {fake_alloc(f->board, 1), 1, false};
        uint16_t head;
        uint32_t len;

        fake_queue_add(f->driver.queues + TRANSMIT, &buffer, 1);
        fake_queue_kick(f->driver.queues + TRANSMIT);
        assert_true(fake_queue_wait(f->driver.queues + TRANSMIT, &head, &len));
}

static void test_input_waits_for_the_driver_and_its_buffers(void **state) {
        Fixture *f = *state;
        char text[16];
        uint32_t have = 0;

        assert_int_equal(write(f->to_guest, "typed early", 11), 11);
        fake_driver_start(&f->driver, 0, 2, true);
        speak(f);
        while (have < 11)
                have += receive(f, text + have, 4);
        assert_memory_equal(text, "typed early", 11);
        assert_true(fake_wait_msi(f->board, RECEIVE + 1, 1));
        assert_int_equal(write(f->to_guest, "later", 5), 5);
        assert_int_equal(receive(f, text, 16), 5);
        assert_memory_equal(text, "later", 5);
}

/* Linux's driver throws away what comes before its port is registered, which is before it prints. */
static void test_input_waits_until_the_guest_has_spoken(void **state) {
        Fixture *f = *state;
        FakeBuffer buffer = {fake_alloc(f->board, 16), 16, true};
        uint16_t head;
        uint32_t len;

        assert_int_equal(write(f->to_guest, "early", 5), 5);
        fake_driver_start(&f->driver, 0, 2, true);
        fake_queue_add(f->driver.queues + RECEIVE, &buffer, 1);
        fake_queue_kick(f->driver.queues + RECEIVE);
        wait_for_loop(f);
        assert_int_equal(le16_load(fake_host(f->board, f->driver.queues[RECEIVE].used + 2, 2)), 0);
        speak(f);
        assert_true(fake_queue_wait(f->driver.queues + RECEIVE, &head, &len));
        assert_int_equal(len, 5);
}

static void test_output_nobody_reads_does_not_stop_the_guest(void **state) {
        Fixture *f = *state;
        FakeBuffer buffer = {fake_alloc(f->board, 65536), 65536, false};
        uint16_t head;
        uint32_t len;

        fake_driver_start(&f->driver, 0, 2, true);
        for (unsigned i = 0; i < 64; i++) {
                fake_queue_add(f->driver.queues + TRANSMIT, &buffer, 1);
                fake_queue_kick(f->driver.queues + TRANSMIT);
                assert_true(fake_queue_wait(f->driver.queues + TRANSMIT, &head, &len));
        }
        assert_true(char_dropped_bytes(f->chardev) > 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_what_the_guest_sends_comes_out, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_input_waits_for_the_driver_and_its_buffers,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_input_waits_until_the_guest_has_spoken, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(
                        test_device_asks_to_be_told_of_buffers_when_they_run_out, setup, teardown),
                cmocka_unit_test_setup_teardown(test_buffers_that_hold_nothing_do_not_stop_the_loop,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_output_nobody_reads_does_not_stop_the_guest,
                                                setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
