/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/fd.h"
#include "base/le.h"
#include "tests/fake/vmm_virtio_driver.h"
#include "tests/fake/vmm_wait.h"
#include "vmm/machine/balloon_tube.h"

#define QUEUE_STATS 2u
#define F_STATS_VQ (UINT64_C(1) << 1)
#define PAGE 4096u

typedef struct Fixture {
        FakeBoard *board;
        FakeDriver driver;
        VirtioDevice *dev;
        BalloonTube *tube;
        int peer;
} Fixture;

static int setup(void **state) {
        const struct timeval patience = {.tv_sec = FAKE_WAIT_SECONDS};
        Fixture *f = calloc(1, sizeof(*f));
        VirtioBalloonConfig config = {
                .stats = balloon_tube_got_stats,
                .resized = balloon_tube_resized,
                .served = balloon_tube_served,
        };
        int fds[2];

        assert_non_null(f);
        f->board = fake_board_new(FAKE_DOORBELLS | FAKE_ROUTES);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
        f->peer = fds[0];
        /* The least that there is: a few messages. */
        assert_int_equal(setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &(int){0}, sizeof(int)), 0);
        assert_int_equal(setsockopt(f->peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)),
                         0);
        assert_int_equal(
                balloon_tube_new_consume(f->board->loop, fds[1], "test", FAKE_MEM_BYTES, &f->tube),
                0);
        config.loop = f->board->loop;
        config.userdata = f->tube;
        assert_int_equal(virtio_balloon_new(&config, &f->dev), 0);
        balloon_tube_set_device(f->tube, f->dev);
        fake_board_add(f->board, f->dev, 1);
        fake_driver_probe(&f->driver, f->board, 1);
        fake_board_run(f->board);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        fake_board_stop(f->board);
        (void) balloon_tube_free(f->tube);
        fake_board_free(f->board);
        (void) fd_close(f->peer);
        free(f);
        return 0;
}

static void start_driver(Fixture *f) {
        fake_driver_start(&f->driver, F_STATS_VQ, 3, true);
}

static void say(Fixture *f, const char *message) {
        assert_int_equal(send(f->peer, message, strlen(message), MSG_NOSIGNAL), strlen(message));
}

static void hears(Fixture *f, const char *expected) {
        char message[4096];
        ssize_t n = recv(f->peer, message, sizeof(message) - 1, 0);

        assert_true(n >= 0);
        message[n] = '\0';
        assert_string_equal(message, expected);
}

static void is_disconnected(Fixture *f) {
        char byte;

        assert_int_equal(recv(f->peer, &byte, 1, 0), 0);
}

static uint64_t target(Fixture *f) {
        return fake_read(&f->driver, f->driver.device, 4) * PAGE;
}

/* What the guest says that it has given up. */
static void give_up(Fixture *f, uint32_t bytes) {
        fake_write(&f->driver, f->driver.device + 4, 4, bytes / PAGE);
}

static void test_the_peer_hears_of_the_driver(void **state) {
        Fixture *f = *state;

        start_driver(f);
        hears(f, "\"Ready\"");
        fake_write(&f->driver, f->driver.common + 0x14, 1, 0);
        hears(f, "\"NotReady\"");
        start_driver(f);
        hears(f, "\"Ready\"");
}

static void test_a_size_is_answered_when_the_guest_has_reached_it(void **state) {
        Fixture *f = *state;

        start_driver(f);
        hears(f, "\"Ready\"");
        say(f, "{\"Adjust\":{\"num_bytes\":1052672,\"allow_failure\":true}}");
        assert_true(fake_wait_msi(f->board, 0, 1));
        assert_int_equal(target(f), 1052672);
        give_up(f, 8192); /* on its way */
        give_up(f, 1052672);
        hears(f, "{\"Adjusted\":{\"num_bytes\":1052672}}");
        say(f, "{\"Adjust\":{\"num_bytes\":1052673,\"allow_failure\":true}}");
        hears(f, "{\"Adjusted\":{\"num_bytes\":1052672}}"); /* whole pages, and there already */
}

static void test_a_size_without_the_wish_for_an_answer_has_none(void **state) {
        Fixture *f = *state;

        start_driver(f);
        hears(f, "\"Ready\"");
        say(f, "{\"Adjust\":{\"num_bytes\":0,\"allow_failure\":false}}");
        say(f, "{\"Adjust\":{\"num_bytes\":0,\"allow_failure\":true}}");
        hears(f, "{\"Adjusted\":{\"num_bytes\":0}}");
}

static void test_no_more_is_asked_of_the_guest_than_it_has(void **state) {
        Fixture *f = *state;

        start_driver(f);
        hears(f, "\"Ready\"");
        say(f, "{\"Adjust\":{\"num_bytes\":9223372036854775807,\"allow_failure\":false}}");
        assert_true(fake_wait_msi(f->board, 0, 1));
        assert_int_equal(target(f), FAKE_MEM_BYTES);
}

static void offer_stats(Fixture *f, gpa_t gpa, uint32_t len) {
        fake_queue_add(f->driver.queues + QUEUE_STATS, &(FakeBuffer){gpa, len, false}, 1);
        fake_queue_kick(f->driver.queues + QUEUE_STATS);
}

static void test_statistics_are_the_guests(void **state) {
        Fixture *f = *state;
        gpa_t gpa = fake_alloc(f->board, 64);
        uint8_t *raw = fake_host(f->board, gpa, 64);
        char expected[512];
        uint16_t head;
        uint32_t len;

        start_driver(f);
        hears(f, "\"Ready\"");
        offer_stats(f, gpa, 10);
        say(f, "\"WorkingSet\""); /* which has no answer */
        say(f, "\"Stats\"");
        assert_true(fake_queue_wait(f->driver.queues + QUEUE_STATS, &head, &len));
        le16_store(raw, 5);
        le64_store(raw + 2, 123456);
        give_up(f, 8192);
        offer_stats(f, gpa, 10);
        (void) snprintf(expected, sizeof(expected),
                        "{\"Stats\":{\"stats\":{\"swap_in\":null,\"swap_out\":null,"
                        "\"major_faults\":null,\"minor_faults\":null,\"free_memory\":null,"
                        "\"total_memory\":123456,\"available_memory\":null,\"disk_caches\":null,"
                        "\"hugetlb_allocations\":null,\"hugetlb_failures\":null,"
                        "\"shared_memory\":null,\"unevictable_memory\":null},"
                        "\"balloon_actual\":%u}}",
                        8192u);
        hears(f, expected);
}

static void test_commands_wait_for_the_driver(void **state) {
        Fixture *f = *state;

        say(f, "{\"Adjust\":{\"num_bytes\":4096,\"allow_failure\":true}}");
        start_driver(f);
        hears(f, "\"Ready\"");
        assert_true(fake_wait_msi(f->board, 0, 1));
        assert_int_equal(target(f), 4096);
        give_up(f, 4096);
        hears(f, "{\"Adjusted\":{\"num_bytes\":4096}}");
}

static void test_a_peer_that_says_what_it_should_not_is_disconnected(void **state) {
        static const char *const messages[] = {"\"Ready\"", "{", "{\"Adjust\":{}}"};
        Fixture *f = *state;

        start_driver(f);
        hears(f, "\"Ready\"");
        say(f, messages[(uintptr_t) f % ELEMENTSOF(messages)]);
        is_disconnected(f);
        give_up(f, 4096); /* nobody wants to know */
        fake_write(&f->driver, f->driver.common + 0x14, 1, 0);
        start_driver(f);
}

static void test_a_message_that_is_too_long_disconnects(void **state) {
        char message[BALLOON_MESSAGE_MAX + 2];
        Fixture *f = *state;

        start_driver(f);
        hears(f, "\"Ready\"");
        memset(message, ' ', sizeof(message));
        memcpy(message, "\"Stats\"", 7);
        assert_int_equal(send(f->peer, message, BALLOON_MESSAGE_MAX + 1, MSG_NOSIGNAL),
                         BALLOON_MESSAGE_MAX + 1);
        is_disconnected(f);
}

static void test_a_zero_byte_disconnects(void **state) {
        Fixture *f = *state;

        start_driver(f);
        hears(f, "\"Ready\"");
        assert_int_equal(send(f->peer, "\"Stats\"", 8, MSG_NOSIGNAL), 8);
        is_disconnected(f);
}

static bool is_target(void *userdata) {
        return target(userdata) == 0;
}

static void test_the_balloon_stays_when_the_peer_goes(void **state) {
        Fixture *f = *state;

        start_driver(f);
        hears(f, "\"Ready\"");
        say(f, "{\"Adjust\":{\"num_bytes\":8192,\"allow_failure\":true}}");
        assert_true(fake_wait_msi(f->board, 0, 1));
        f->peer = fd_close(f->peer);
        give_up(f, 8192);
        assert_false(is_target(f));
        assert_int_equal(target(f), 8192);
}

static void test_a_driver_that_comes_and_goes_needs_no_room_of_the_peer(void **state) {
        char message[64];
        Fixture *f = *state;
        ssize_t n;

        /* The peer reads nothing meanwhile: the last state must come, however much is left out. */
        for (unsigned i = 0; i < 50; i++) {
                start_driver(f);
                fake_write(&f->driver, f->driver.common + 0x14, 1, 0);
        }
        start_driver(f);
        do {
                n = recv(f->peer, message, sizeof(message) - 1, 0);
                assert_true(n > 0);
                message[n] = '\0';
        } while (strcmp(message, "\"Ready\"") != 0);
        say(f, "{\"Adjust\":{\"num_bytes\":0,\"allow_failure\":true}}");
        do {
                n = recv(f->peer, message, sizeof(message) - 1, 0);
                assert_true(n > 0);
                message[n] = '\0';
        } while (strstr(message, "eady"));
        assert_string_equal(message, "{\"Adjusted\":{\"num_bytes\":0}}");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_the_peer_hears_of_the_driver),
                TEST(test_a_size_is_answered_when_the_guest_has_reached_it),
                TEST(test_a_size_without_the_wish_for_an_answer_has_none),
                TEST(test_no_more_is_asked_of_the_guest_than_it_has),
                TEST(test_statistics_are_the_guests),
                TEST(test_commands_wait_for_the_driver),
                TEST(test_a_peer_that_says_what_it_should_not_is_disconnected),
                TEST(test_a_message_that_is_too_long_disconnects),
                TEST(test_a_zero_byte_disconnects),
                TEST(test_the_balloon_stays_when_the_peer_goes),
                TEST(test_a_driver_that_comes_and_goes_needs_no_room_of_the_peer),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
