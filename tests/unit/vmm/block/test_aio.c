/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/block/aio.h"

/* Name of what is made for @engine, or NULL. */
static const char *made_for(AioEngine engine) {
        _cleanup_(loop_freep) Loop *loop = NULL;
        _cleanup_(aio_unrefp) Aio *aio = NULL;

        assert_int_equal(loop_new(&loop), 0);
        return aio_new(engine, loop, &aio) < 0 ? NULL : aio->ops->name;
}

static void test_threads_are_had_when_they_are_asked_for(void **state) {
        assert_string_equal(made_for(AIO_ENGINE_WORKERS), "threads");
}

static void test_nothing_stands_in_for_io_uring(void **state) {
        const char *name = made_for(AIO_ENGINE_URING);

        assert_string_equal(name ?: "io_uring", "io_uring");
        assert_string_equal(made_for(AIO_ENGINE_ANY), name ?: "threads");
}

typedef struct PageoutTest {
        AioRequest aio;
        Loop *loop;
        int64_t answer;
} PageoutTest;

static void pageout_done(AioRequest *aio, int64_t result) {
        PageoutTest *test = CONTAINER_OF(aio, PageoutTest, aio);

        test->answer = result;
        loop_exit(test->loop);
}

/* KiB of the mapping at @base that are in our page tables. */
static unsigned long resident_kib(const void *base) {
        FILE *maps = fopen("/proc/self/smaps", "re");
        unsigned long start, kib = 0;
        bool inside = false;
        char line[512];

        assert_non_null(maps);
        while (fgets(line, sizeof(line), maps)) {
                if (sscanf(line, "%lx-", &start) == 1 && strchr(line, '-'))
                        inside = start == (unsigned long) base;
                if (inside && sscanf(line, "Rss: %lu", &kib) == 1)
                        break;
        }
        assert_int_equal(fclose(maps), 0);
        return kib;
}

#define PAGEOUT_BYTES ((size_t) 8 << 20)

static void check_pageout(AioEngine engine) {
        _cleanup_(loop_freep) Loop *loop = NULL;
        _cleanup_(aio_unrefp) Aio *aio = NULL;
        struct iovec range = {.iov_len = PAGEOUT_BYTES};
        PageoutTest test = {
                .aio = {.kind = AIO_PAGEOUT,
                        .fd = -1,
                        .iov = &range,
                        .n_iov = 1,
                        .done = pageout_done},
                .answer = 1,
        };
        int fd = memfd_create("pageout", MFD_CLOEXEC);

        assert_int_equal(loop_new(&loop), 0);
        if (aio_new(engine, loop, &aio) < 0) {
                (void) close(fd);
                return; /* no io_uring here */
        }
        test.loop = loop;
        assert_int_equal(ftruncate(fd, (off_t) PAGEOUT_BYTES), 0);
        range.iov_base = mmap(NULL, PAGEOUT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_true(range.iov_base != MAP_FAILED);
        memset(range.iov_base, 0x5a, PAGEOUT_BYTES);
        assert_int_equal(resident_kib(range.iov_base), PAGEOUT_BYTES >> 10);

        aio_start(aio, &test.aio);
        aio_submit(aio);
        if (test.answer > 0)
                assert_int_equal(loop_run(loop), 0);
        assert_int_equal(test.answer, 0);
        /* A few pages are on lists of other processors, where the kernel leaves them. */
        assert_true(resident_kib(range.iov_base) < PAGEOUT_BYTES >> 11);
        for (size_t i = 0; i < PAGEOUT_BYTES; i += 4096)
                assert_int_equal(((uint8_t *) range.iov_base)[i], 0x5a);
        assert_int_equal(munmap(range.iov_base, PAGEOUT_BYTES), 0);
        assert_int_equal(close(fd), 0);
}

static void test_pages_that_are_paged_out_leave_our_page_tables_and_come_back(void **state) {
        check_pageout(AIO_ENGINE_WORKERS);
        check_pageout(AIO_ENGINE_URING);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_threads_are_had_when_they_are_asked_for),
                cmocka_unit_test(test_nothing_stands_in_for_io_uring),
                cmocka_unit_test(test_pages_that_are_paged_out_leave_our_page_tables_and_come_back),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
