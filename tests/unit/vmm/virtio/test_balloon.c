/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/le.h"
#include "tests/fake/vmm_virtio_driver.h"
#include "vmm/virtio/devices.h"

#define QUEUE_INFLATE 0
#define QUEUE_STATS 2
#define QUEUE_REPORTING 3
#define F_STATS_VQ (UINT64_C(1) << 1)
#define F_REPORTING (UINT64_C(1) << 5)
#define PAGE 4096u
#define TARGET (UINT64_C(8) << 20)

typedef struct Fixture {
        FakeBoard *board;
        FakeDriver driver;
        VirtioDevice *dev;
        VirtioBalloonStats stats;
        unsigned n_stats;   /* changed by the loop's thread, read when it has stopped */
        unsigned n_resized; /* atomic */
} Fixture;

static void got_stats(void *userdata, const VirtioBalloonStats *stats) {
        Fixture *f = userdata;

        f->stats = *stats;
        f->n_stats++;
}

static void resized(void *userdata) {
        __atomic_add_fetch(&((Fixture *) userdata)->n_resized, 1, __ATOMIC_RELAXED);
}

static bool was_resized(void *userdata) {
        return __atomic_load_n(&((Fixture *) userdata)->n_resized, __ATOMIC_RELAXED) >= 1;
}

static int setup(void **state) {
        Fixture *f = calloc(1, sizeof(*f));
        VirtioBalloonConfig config = {
                .reporting = true,
                .target_bytes = TARGET,
                .stats = got_stats,
                .resized = resized,
                .userdata = f,
        };

        assert_non_null(f);
        f->board = fake_board_new(FAKE_DOORBELLS | FAKE_ROUTES);
        config.loop = f->board->loop;
        assert_int_equal(virtio_balloon_new(&config, &f->dev), 0);
        fake_board_add(f->board, f->dev, 1);
        fake_driver_probe(&f->driver, f->board, 1);
        fake_board_run(f->board);
        fake_driver_start(&f->driver, F_STATS_VQ | F_REPORTING, 4, true);
        *state = f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        fake_board_free(f->board);
        free(f);
        return 0;
}

static uint64_t host_blocks(const Fixture *f) {
        struct stat st;

        assert_int_equal(fstat(f->board->mem->fd, &st), 0);
        return (uint64_t) st.st_blocks;
}

/* Return: whether the device gave the request back. */
static bool give_up(Fixture *f, const uint32_t *pfns, unsigned n) {
        FakeQueue *queue = f->driver.queues + QUEUE_INFLATE;
        gpa_t gpa = fake_alloc(f->board, n * sizeof(*pfns));
        uint16_t head;
        uint32_t len;

        for (unsigned i = 0; i < n; i++)
                le32_store((uint8_t *) fake_host(f->board, gpa, n * sizeof(*pfns)) + 4 * i,
                           pfns[i]);
        fake_queue_add(queue, &(FakeBuffer){gpa, n * (uint32_t) sizeof(*pfns), false}, 1);
        fake_queue_kick(queue);
        return fake_queue_wait(queue, &head, &len);
}

static void test_pages_given_up_leave_the_host_and_read_as_zeros(void **state) {
        Fixture *f = *state;
        gpa_t area = fake_alloc(f->board, 64 * PAGE);
        uint8_t *host = fake_host(f->board, area, 64 * PAGE);
        uint32_t first = (uint32_t) (area / PAGE), pfns[64], nowhere = UINT32_MAX;
        uint64_t before;

        assert_true(give_up(f, &nowhere, 1)); /* the rings are touched */
        memset(host, 0xaa, 64 * PAGE);
        before = host_blocks(f);
        /* Every second page, from the top; one of them twice. */
        for (unsigned i = 0; i < 32; i++)
                pfns[i] = first + 62 - 2 * i;
        pfns[31] = pfns[30];
        assert_true(give_up(f, pfns, 32));
        /* The list of them may have taken one. */
        assert_in_range(before - host_blocks(f), 30 * PAGE / 512, 31 * PAGE / 512);
        for (unsigned i = 0; i < 64; i++)
                assert_int_equal(host[i * PAGE + 5], i % 2 == 0 && i > 0 ? 0 : 0xaa);
}

static void test_pages_outside_of_memory_are_ignored(void **state) {
        Fixture *f = *state;
        uint32_t pfns[] = {UINT32_MAX, FAKE_MEM_BYTES / PAGE, 0xfee00, UINT32_MAX - 1};
        uint64_t before = host_blocks(f);

        assert_true(give_up(f, pfns, 4));
        assert_true(host_blocks(f) >= before);
}

static void test_an_endless_request_breaks_the_device(void **state) {
        Fixture *f = *state;
        FakeQueue *queue = f->driver.queues + QUEUE_INFLATE;

        fake_queue_add(queue, &(FakeBuffer){0x100000, 0x100000, false}, 1);
        fake_queue_kick(queue);
        assert_true(fake_driver_wait_status(&f->driver, VIRTIO_STATUS_NEEDS_RESET,
                                            VIRTIO_STATUS_NEEDS_RESET));
}

static void test_reported_pages_leave_the_host(void **state) {
        Fixture *f = *state;
        FakeQueue *queue = f->driver.queues + QUEUE_REPORTING;
        gpa_t area = fake_alloc(f->board, 128 * PAGE);
        uint8_t *host = fake_host(f->board, area, 128 * PAGE);
        FakeBuffer buffers[] = {{area, 32 * PAGE, true},
                                {area + 64 * PAGE, 32 * PAGE, true},
                                {area + 40 * PAGE + 1, PAGE, true}, /* no page: left alone */
                                {area + 50 * PAGE, PAGE / 2, true}};
        uint64_t before;
        uint16_t head;
        uint32_t len;

        fake_queue_add(queue, buffers + 3, 1);
        fake_queue_kick(queue);
        assert_true(fake_queue_wait(queue, &head, &len)); /* the rings are touched */
        memset(host, 0xaa, 128 * PAGE);
        before = host_blocks(f);
        fake_queue_add(queue, buffers, 4);
        fake_queue_kick(queue);
        assert_true(fake_queue_wait(queue, &head, &len));
        assert_int_equal(before - host_blocks(f), 64 * PAGE / 512);
        assert_int_equal(host[0], 0);
        assert_int_equal(host[32 * PAGE], 0xaa);
        assert_int_equal(host[40 * PAGE + 1], 0xaa);
        assert_int_equal(host[50 * PAGE], 0xaa);
}

static void test_the_driver_reads_the_target_and_tells_the_size(void **state) {
        Fixture *f = *state;
        unsigned before = fake_msi_count(f->board, 0);

        assert_int_equal(fake_read(&f->driver, f->driver.device, 4), TARGET / PAGE);
        virtio_balloon_set_target(f->dev, 5 * PAGE + 1);
        assert_true(fake_wait_msi(f->board, 0, before + 1));
        assert_int_equal(fake_read(&f->driver, f->driver.device, 4), 5);
        assert_int_equal(virtio_balloon_actual(f->dev), 0);
        fake_write(&f->driver, f->driver.device + 4, 4, 3);
        assert_int_equal(virtio_balloon_actual(f->dev), 3 * PAGE);
        fake_write(&f->driver, f->driver.device, 4, 77);      /* not the driver's */
        fake_write(&f->driver, f->driver.device + 8, 4, 77);  /* nothing is there */
        fake_write(&f->driver, f->driver.device + 6, 8, ~0u); /* across the end */
        assert_int_equal(fake_read(&f->driver, f->driver.device, 4), 5);
        assert_int_equal(virtio_balloon_actual(f->dev), (uint64_t) 0xffff0003 * PAGE);
        assert_true(fake_wait(f->board, was_resized, f));
}

static void offer_stats(Fixture *f, gpa_t gpa, uint32_t len) {
        fake_queue_add(f->driver.queues + QUEUE_STATS, &(FakeBuffer){gpa, len, false}, 1);
        fake_queue_kick(f->driver.queues + QUEUE_STATS);
}

/* Asks until the device has taken the buffer that it was offered, and gives it back for the answer. */
static void ask_until_used(Fixture *f, uint16_t times_used) {
        FakeQueue *queue = f->driver.queues + QUEUE_STATS;
        uint16_t head;
        uint32_t len;

        while (le16_load(fake_host(f->board, queue->used + 2, 2)) != times_used)
                assert_int_equal(virtio_balloon_request_stats(f->dev), 0);
        assert_true(fake_queue_wait(queue, &head, &len));
}

static void test_statistics_are_those_that_follow_the_question(void **state) {
        Fixture *f = *state;
        gpa_t gpa = fake_alloc(f->board, 64);
        uint8_t *raw = fake_host(f->board, gpa, 64);

        memset(raw, 0, 64);
        offer_stats(f, gpa, 10); /* as a driver does when it starts */
        ask_until_used(f, 1);
        le16_store(raw, 5);
        le64_store(raw + 2, 123456);
        le16_store(raw + 10, 999); /* a tag of the future */
        le64_store(raw + 12, 1);
        le16_store(raw + 20, 4);
        le64_store(raw + 22, 7);
        offer_stats(f, gpa, 33); /* three and a piece */
        ask_until_used(f, 2);
        fake_board_stop(f->board);
        assert_true(f->n_stats >= 1);
        assert_int_equal(f->stats.values[5], 123456);
        assert_int_equal(f->stats.values[4], 7);
        assert_true(f->stats.values[0] == VIRTIO_BALLOON_UNKNOWN);
}

static void test_a_guest_without_a_driver_is_not_waited_for(void **state) {
        Fixture *f = *state;

        fake_write(&f->driver, f->driver.common + 0x14, 1, 0);
        assert_int_equal(virtio_balloon_request_stats(f->dev), -ENOTCONN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_pages_given_up_leave_the_host_and_read_as_zeros),
                TEST(test_pages_outside_of_memory_are_ignored),
                TEST(test_an_endless_request_breaks_the_device),
                TEST(test_reported_pages_leave_the_host),
                TEST(test_the_driver_reads_the_target_and_tells_the_size),
                TEST(test_statistics_are_those_that_follow_the_question),
                TEST(test_a_guest_without_a_driver_is_not_waited_for),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
