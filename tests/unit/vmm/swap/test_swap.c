/* SPDX-License-Identifier: Apache-2.0 */

/* With the kernel's own userfaultfd, where it gives one. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "tests/fake/vmm_wait.h"
#include "vmm/swap/swap.h"

#define PAGES 2000u
#define PAGE SWAP_PAGE_SIZE

typedef struct Bench {
        GuestMem *mem;
        Swap *swap; /* NULL: the kernel gives no userfaultfd */
        int moved_fd;
        _Atomic int result;
} Bench;

static void moved(void *userdata, int r) {
        Bench *bench = userdata;

        atomic_store(&bench->result, r);
        (void) eventfd_write(bench->moved_fd, 1);
}

static int setup(void **state) {
        static Bench bench;
        SwapConfig config = {.directory = "/tmp", .moved = moved, .userdata = &bench};

        bench = (Bench){.moved_fd = eventfd(0, EFD_CLOEXEC)};
        assert_int_equal(guest_mem_new(PAGES * PAGE, &bench.mem), 0);
        assert_int_equal(guest_mem_use_small_pages(bench.mem), 0);
        config.mem = bench.mem;
        if (swap_new(&config, &bench.swap, NULL) == 0)
                assert_int_equal(swap_start(bench.swap), 0);
        *state = &bench;
        return 0;
}

static int teardown(void **state) {
        Bench *bench = *state;

        (void) swap_free(bench->swap);
        (void) guest_mem_free(bench->mem);
        (void) fd_close(bench->moved_fd);
        return 0;
}

static Bench *need(void **state) {
        Bench *bench = *state;

        if (!bench->swap) {
                print_message("no userfaultfd for faults of the kernel\n");
                skip();
        }
        return bench;
}

static void fill(const Bench *bench) {
        for (uint64_t page = 0; page < PAGES; page += 2)
                memset(bench->mem->base + page * PAGE, (int) (page % 251 + 1), PAGE);
}

static void expect(const Bench *bench, uint64_t page) {
        const uint8_t expected = page % 2 ? 0 : (uint8_t) (page % 251 + 1);

        for (uint64_t i = 0; i < PAGE; i++)
                if (bench->mem->base[page * PAGE + i] != expected)
                        fail_msg("byte %u of page %u is wrong", (unsigned) i, (unsigned) page);
}

static int enable(Bench *bench) {
        struct pollfd fd = {.fd = bench->moved_fd, .events = POLLIN};
        eventfd_t n;

        assert_int_equal(swap_command(bench->swap, SWAP_ENABLE), 0);
        assert_int_equal(poll(&fd, 1, FAKE_WAIT_SECONDS * 1000), 1);
        assert_int_equal(eventfd_read(bench->moved_fd, &n), 0);
        return atomic_load(&bench->result);
}

static SwapStatus status(const Bench *bench) {
        SwapStatus status;

        swap_status(bench->swap, &status);
        return status;
}

static void command(const Bench *bench, SwapCommand command, SwapState end) {
        assert_int_equal(swap_command(bench->swap, command), 0);
        while (status(bench).state != end)
                (void) poll(NULL, 0, 1);
}

static void test_reading_and_writing_bring_back_what_was_moved(void **state) {
        Bench *bench = need(state);

        fill(bench);
        assert_int_equal(enable(bench), 0);
        assert_int_equal(status(bench).state, SWAP_PENDING);
        assert_int_equal(status(bench).resident, 0);
        assert_int_equal(status(bench).staged, PAGES / 2);
        expect(bench, 100);
        expect(bench, 101);
        bench->mem->base[200 * PAGE + 5] = 7;
        assert_int_equal(bench->mem->base[200 * PAGE + 6], 201);
        command(bench, SWAP_OUT, SWAP_ACTIVE);
        assert_int_equal(status(bench).filed, PAGES / 2 - 2);
        expect(bench, 102);
        command(bench, SWAP_DISABLE, SWAP_READY);
        assert_int_equal(bench->mem->base[200 * PAGE + 5], 7);
        bench->mem->base[200 * PAGE + 5] = 201;
        for (uint64_t page = 0; page < PAGES; page++)
                expect(bench, page);
}

static void test_system_calls_reach_what_was_moved(void **state) {
        Bench *bench = need(state);
        _cleanup_(fd_closep) int file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        uint8_t read_back[2 * PAGE];

        fill(bench);
        assert_int_equal(enable(bench), 0);
        command(bench, SWAP_OUT, SWAP_ACTIVE);
        assert_int_equal(pwrite(file, bench->mem->base + 10 * PAGE, 2 * PAGE, 0), 2 * PAGE);
        assert_int_equal(pread(file, read_back, sizeof(read_back), 0), sizeof(read_back));
        assert_memory_equal(read_back, bench->mem->base + 10 * PAGE, sizeof(read_back));
        assert_int_equal(pread(file, bench->mem->base + 20 * PAGE, 2 * PAGE, 0), 2 * PAGE);
        assert_memory_equal(read_back, bench->mem->base + 20 * PAGE, sizeof(read_back));
        expect(bench, 22);
}

static void test_a_page_that_the_guest_frees_reads_as_zeros(void **state) {
        Bench *bench = need(state);

        fill(bench);
        assert_int_equal(enable(bench), 0);
        guest_mem_release(bench->mem, 30 * PAGE, 2 * PAGE);
        command(bench, SWAP_OUT, SWAP_ACTIVE);
        guest_mem_release(bench->mem, 34 * PAGE, PAGE);
        assert_int_equal(bench->mem->base[30 * PAGE], 0);
        assert_int_equal(bench->mem->base[34 * PAGE], 0);
        expect(bench, 32);
        guest_mem_release(bench->mem, 32 * PAGE, PAGE);
        command(bench, SWAP_DISABLE, SWAP_READY);
        assert_int_equal(bench->mem->base[30 * PAGE], 0);
        assert_int_equal(bench->mem->base[32 * PAGE], 0);
        assert_int_equal(bench->mem->base[34 * PAGE], 0);
        expect(bench, 36);
}

static void test_who_looks_for_contents_finds_what_is_away(void **state) {
        Bench *bench = need(state);
        uint64_t at = 0, from, to, n = 0;

        fill(bench);
        assert_int_equal(enable(bench), 0);
        expect(bench, 50); /* back */
        swap_hold(bench->swap);
        while (guest_mem_next_data(bench->mem, at, &from, &to) > 0) {
                for (uint64_t page = from / PAGE; page < to / PAGE; page++)
                        expect(bench, page);
                n += (to - from) / PAGE;
                at = to;
        }
        swap_release(bench->swap);
        assert_int_equal(n, PAGES / 2);
        assert_int_equal(status(bench).counts.zeroed, 0);
}

static void test_nothing_leaves_while_memory_is_held(void **state) {
        Bench *bench = need(state);

        fill(bench);
        swap_hold(bench->swap);
        assert_int_equal(swap_command(bench->swap, SWAP_ENABLE), 0);
        while (!status(bench).moving)
                (void) poll(NULL, 0, 1);
        assert_int_equal(status(bench).staged, 0);
        assert_int_equal(swap_command(bench->swap, SWAP_OUT), -EBUSY);
        swap_release(bench->swap);
        while (status(bench).moving)
                (void) poll(NULL, 0, 1);
        assert_int_equal(status(bench).staged, PAGES / 2);
}

/* ---- writers beside it ---- */

#define WRITERS 3u

typedef struct Writer {
        const Bench *bench;
        unsigned index;
        _Atomic bool *stop;
        uint8_t last[PAGES];
} Writer;

/* Each has a byte of its own in every page, and finds there what it wrote last. */
static void *write_much(void *userdata) {
        Writer *writer = userdata;
        uint8_t value = 0;

        for (unsigned n = 0; !atomic_load(writer->stop) || n % PAGES != 0; n++) {
                const unsigned page = n * 7 % PAGES;
                _Atomic uint8_t *byte = (_Atomic uint8_t *) (void *) (writer->bench->mem->base +
                                                                      page * PAGE + writer->index);

                if (atomic_load(byte) != writer->last[page])
                        return writer; /* that byte is not what was written last */
                atomic_store(byte, ++value);
                writer->last[page] = value;
        }
        return NULL;
}

static void test_writers_lose_nothing_while_memory_goes_and_comes(void **state) {
        Bench *bench = need(state);
        static Writer writers[WRITERS];
        _Atomic bool stop = false;
        pthread_t threads[WRITERS];

        for (unsigned i = 0; i < WRITERS; i++) {
                writers[i] = (Writer){.bench = bench, .index = i, .stop = &stop};
                assert_int_equal(pthread_create(&threads[i], NULL, write_much, &writers[i]), 0);
        }
        for (unsigned i = 0; i < 4; i++) {
                assert_int_equal(enable(bench), 0);
                assert_int_equal(enable(bench), 0);
                command(bench, SWAP_TRIM, SWAP_PENDING);
                while (swap_command(bench->swap, SWAP_OUT) < 0)
                        (void) poll(NULL, 0, 1);
                while (status(bench).state != SWAP_ACTIVE)
                        (void) poll(NULL, 0, 1);
                command(bench, i % 2 ? SWAP_DISABLE : SWAP_DISABLE_SLOWLY, SWAP_READY);
        }
        atomic_store(&stop, true);
        for (unsigned i = 0; i < WRITERS; i++) {
                void *loser;

                assert_int_equal(pthread_join(threads[i], &loser), 0);
                assert_null(loser);
        }
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                TEST(test_reading_and_writing_bring_back_what_was_moved),
                TEST(test_system_calls_reach_what_was_moved),
                TEST(test_a_page_that_the_guest_frees_reads_as_zeros),
                TEST(test_who_looks_for_contents_finds_what_is_away),
                TEST(test_nothing_leaves_while_memory_is_held),
                TEST(test_writers_lose_nothing_while_memory_goes_and_comes),
        };
#undef TEST

        return cmocka_run_group_tests(tests, NULL, NULL);
}
