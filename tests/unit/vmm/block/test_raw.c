/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/log.h"
#include "tests/fake/vmm_disk.h"
#include "vmm/block/block_internal.h"

#define DISK_BYTES (UINT64_C(4) << 20)

typedef int (*EngineFn)(Loop *loop, Aio **ret);

typedef struct Fixture {
        FakeDisk disk;
        Aio *aio;
        char *path;
        int fd; /* borrowed from the disk */
} Fixture;

static void fixture_deinit(Fixture *f) {
        f->aio = aio_unref(f->aio);
        fake_disk_deinit(&f->disk);
        temp_file_freep(&f->path);
}

static int fixture_init(Fixture *f, EngineFn engine, const BlockFile *like) {
        BlockFile file = *like;
        int r;

        file.size_bytes = DISK_BYTES;
        file.optimal_bytes = 4096;
        file.sparse = true;

        *f = (Fixture){0};
        assert_int_equal(loop_new(&f->disk.loop), 0);
        r = engine(f->disk.loop, &f->aio);
        if (r < 0) {
                loop_free(f->disk.loop);
                return r;
        }
        f->path = temp_file_new(NULL, 0, DISK_BYTES);
        file.fd = f->fd = open(f->path, O_RDWR | O_CLOEXEC);
        assert_true(file.fd >= 0);
        file.name = strdup("the image");
        assert_non_null(file.name);
        assert_int_equal(raw_new(&file, f->aio, &f->disk.dev), 0);
        assert_int_equal(file.fd, -EBADF);
        return 0;
}

/* Runs @test with both engines; where the host has no io_uring, with one. */
static void with_files(void (*test)(Fixture *f), const BlockFile *like) {
        static const EngineFn engines[] = {aio_workers_new, aio_uring_new};

        for (size_t i = 0; i < ELEMENTSOF(engines); i++) {
                _cleanup_(fixture_deinit) Fixture f = {0};
                int r = fixture_init(&f, engines[i], like);

                if (r < 0)
                        print_message("no io_uring here: errno %d\n", -r);
                else
                        test(&f);
        }
}

static void with_engines(void (*test)(Fixture *f), uint32_t align) {
        with_files(test, &(BlockFile){.align_bytes = align});
}

static void check_read_write(Fixture *f) {
        uint8_t out[3000], in[3000], file[3000];
        struct iovec iov[] = {{in, 1}, {in + 1, 511}, {in + 512, 2488}};

        for (size_t i = 0; i < sizeof(out); i++)
                out[i] = (uint8_t) (i * 7);
        assert_int_equal(fake_disk_write(&f->disk, 512, out, sizeof(out)), 0);
        assert_int_equal(fake_disk_flush(&f->disk), 0);
        assert_int_equal(pread(f->fd, file, sizeof(file), 512), sizeof(file));
        assert_memory_equal(file, out, sizeof(out));
        assert_int_equal(fake_disk_readv(&f->disk, 512, iov, 3), 0);
        assert_memory_equal(in, out, sizeof(out));
        assert_int_equal(fake_disk_read(&f->disk, DISK_BYTES - 512, in, 512), 0);
        assert_int_equal(in[511], 0);
}

static void test_both_engines_read_write_and_flush(void **state) {
        with_engines(check_read_write, 1);
}

static void check_uncached(Fixture *f) {
        static uint8_t out[1 << 16], in[1 << 16];

        for (size_t i = 0; i < sizeof(out); i++)
                out[i] = (uint8_t) (i * 13 >> 4);
        assert_int_equal(fake_disk_write(&f->disk, 0, out, sizeof(out)), 0);
        assert_int_equal(fake_disk_flush(&f->disk), 0);
        assert_int_equal(fake_disk_read(&f->disk, 0, in, sizeof(in)), 0);
        assert_memory_equal(in, out, sizeof(out));
}

/* An engine on a host that does not know the flag. */
typedef struct OldHost {
        Aio aio;
        AioFifo started;
        unsigned n_uncached, n_cached;
} OldHost;

static void old_host_start(Aio *aio, AioRequest *req) {
        aio_fifo_push(&((OldHost *) aio)->started, req);
}

static void old_host_submit(Aio *aio) {
        OldHost *host = (OldHost *) aio;
        AioRequest *req;

        while ((req = aio_fifo_pop(&host->started))) {
                host->n_uncached += req->uncached;
                host->n_cached += !req->uncached;
                req->done(req, req->uncached ? -EOPNOTSUPP : (int64_t) req->iov->iov_len);
        }
}

static Aio *old_host_free(Aio *aio) {
        return NULL;
}

static void test_a_host_that_caches_all_is_asked_once_not_to(void **state) {
        static const AioOps ops = {
                .name = "old host",
                .start = old_host_start,
                .submit = old_host_submit,
                .drain = old_host_submit,
                .free = old_host_free,
        };
        OldHost host = {.aio = {.ops = &ops, .refs = 1}};
        BlockFile file = {
                .fd = -EBADF, .size_bytes = DISK_BYTES, .align_bytes = 1, .dontcache = true};
        FakeDisk disk = {0};
        uint8_t data[512] = {0};

        assert_int_equal(loop_new(&disk.loop), 0);
        assert_int_equal(raw_new(&file, &host.aio, &disk.dev), 0);
        assert_int_equal(fake_disk_read(&disk, 4096, data, sizeof(data)), 0);
        assert_int_equal(fake_disk_write(&disk, 0, data, sizeof(data)), 0); /* is bounced */
        assert_int_equal(fake_disk_write(&disk, 4096, data, sizeof(data)), 0);
        assert_int_equal(host.n_uncached, 1);
        assert_int_equal(host.n_cached, 3);
        fake_disk_deinit(&disk);
}

static void check_bounds(Fixture *f) {
        uint8_t data[1024] = {0};

        assert_int_equal(fake_disk_read(&f->disk, DISK_BYTES, data, 512), -EINVAL);
        assert_int_equal(fake_disk_read(&f->disk, DISK_BYTES - 512, data, 1024), -EINVAL);
        assert_int_equal(fake_disk_write(&f->disk, UINT64_MAX - 511, data, 1024), -EINVAL);
        assert_int_equal(fake_disk_discard(&f->disk, DISK_BYTES - 512, 1024), -EINVAL);
        assert_int_equal(fake_disk_write_zeroes(&f->disk, UINT64_MAX, 2, false), -EINVAL);
        assert_int_equal(fake_disk_read(&f->disk, 0, data, 0), -EINVAL);
}

static void test_what_is_not_to_be_cached_arrives_all_the_same(void **state) {
        with_files(check_uncached, &(BlockFile){.align_bytes = 1, .dontcache = true});
}

static void test_ranges_outside_the_disk_are_refused(void **state) {
        with_engines(check_bounds, 1);
}

static void check_truncated(Fixture *f) {
        uint8_t data[1024];

        assert_int_equal(ftruncate(f->fd, 512), 0);
        assert_int_equal(fake_disk_read(&f->disk, 0, data, 512), 0);
        assert_int_equal(fake_disk_read(&f->disk, 0, data, 1024), -EIO);
        assert_int_equal(fake_disk_read(&f->disk, 4096, data, 512), -EIO);
}

static void test_an_image_cut_short_behind_our_back_is_an_io_error(void **state) {
        with_engines(check_truncated, 1);
}

static char warned[256];
static unsigned n_warned;

static void remember(LogLevel level, const char *vm, const char *line) {
        n_warned += level == LOG_LEVEL_WARNING;
        (void) snprintf(warned, sizeof(warned), "%s", line);
}

static void check_complaints(Fixture *f) {
        uint8_t data[512];

        n_warned = 0;
        log_set_sink(remember);
        assert_int_equal(ftruncate(f->fd, 512), 0);
        for (unsigned i = 0; i < 100; i++)
                assert_int_equal(fake_disk_read(&f->disk, 4096, data, 512), -EIO);
        assert_in_range(n_warned, 1, 50); /* one that fails always does not fill the log */
        assert_string_equal(warned, "the image: cannot read at byte 4096: Input/output error");
}

static void test_the_log_tells_what_the_guest_cannot_know_of_an_error(void **state) {
        with_engines(check_complaints, 1);
}

static blkcnt_t blocks(Fixture *f) {
        struct stat st;

        assert_int_equal(fstat(f->fd, &st), 0);
        return st.st_blocks;
}

static void check_holes(Fixture *f) {
        static uint8_t data[1 << 20], in[1 << 20];
        blkcnt_t full;

        memset(data, 0xaa, sizeof(data));
        assert_int_equal(fake_disk_write(&f->disk, 0, data, sizeof(data)), 0);
        assert_int_equal(fake_disk_flush(&f->disk), 0);
        full = blocks(f);

        assert_int_equal(fake_disk_write_zeroes(&f->disk, 4096, 8192, false), 0);
        assert_int_equal(fake_disk_write_zeroes(&f->disk, 65536, 131072, true), 0);
        assert_int_equal(fake_disk_discard(&f->disk, 524288, 262144), 0);
        assert_int_equal(fake_disk_discard(&f->disk, 0, 0), 0);
        assert_int_equal(fake_disk_read(&f->disk, 0, in, sizeof(in)), 0);
        assert_int_equal(in[4095], 0xaa);
        for (size_t i = 4096; i < 4096 + 8192; i++)
                assert_int_equal(in[i], 0);
        assert_int_equal(in[4096 + 8192], 0xaa);
        for (size_t i = 65536; i < 65536 + 131072; i++)
                assert_int_equal(in[i], 0);
        assert_int_equal(in[sizeof(in) - 1], 0xaa);
        assert_true(blocks(f) < full);
}

static void test_zeroes_and_discards_make_holes(void **state) {
        with_engines(check_holes, 1);
}

/* tmpfs has holes but cannot zero a range in place. */
static void check_zero_fallback(Fixture *f) {
        static uint8_t in[3 << 20];
        int memfd = memfd_create("zeroes", MFD_CLOEXEC);

        assert_true(memfd >= 0);
        assert_int_equal(ftruncate(memfd, (off_t) DISK_BYTES), 0);
        assert_int_equal(dup3(memfd, f->fd, O_CLOEXEC), f->fd);
        fd_close(memfd);
        memset(in, 0xbb, sizeof(in));
        assert_int_equal(fake_disk_write(&f->disk, 512, in, sizeof(in)), 0);
        assert_int_equal(fake_disk_write_zeroes(&f->disk, 1024, sizeof(in) - 1024, false), 0);
        assert_int_equal(fake_disk_read(&f->disk, 512, in, sizeof(in)), 0);
        assert_int_equal(in[511], 0xbb);
        for (size_t i = 512; i < sizeof(in) - 512; i++)
                assert_int_equal(in[i], 0);
        assert_int_equal(in[sizeof(in) - 512], 0xbb);
}

static void test_zeroes_are_written_where_the_file_system_knows_no_better(void **state) {
        with_engines(check_zero_fallback, 1);
}

static void check_bounce(Fixture *f) {
        static _Alignas(4096) uint8_t raw[600 * 1024 + 1], back[600 * 1024 + 1];
        uint8_t *data = raw + 1, *in = back + 1;
        size_t len = 600 * 1024; /* more than one buffer full */

        for (size_t i = 0; i < len; i++)
                data[i] = (uint8_t) (i ^ (i >> 8));
        assert_int_equal(fake_disk_write(&f->disk, 4096, data, len), 0);
        assert_int_equal(fake_disk_read(&f->disk, 4096, in, len), 0);
        assert_memory_equal(data, in, len);
        assert_int_equal(fake_disk_read(&f->disk, 256, in, 512), -EINVAL);
        assert_int_equal(fake_disk_read(&f->disk, 512, in, 100), -EINVAL);
}

static void test_buffers_not_aligned_for_direct_access_are_bounced(void **state) {
        with_engines(check_bounce, 512);
}

static void check_composite_magic(Fixture *f) {
        uint8_t sector[1024] = COMPOSITE_MAGIC, back[16];
        struct iovec split[] = {{sector, 3}, {sector + 3, 509}};

        assert_int_equal(fake_disk_write(&f->disk, 0, sector, 512), -EPERM);
        assert_int_equal(fake_disk_writev(&f->disk, 0, split, 2), -EPERM);
        assert_int_equal(pread(f->fd, back, 16, 0), 16);
        assert_int_equal(back[0], 0);
        sector[14] = 'x';
        assert_int_equal(fake_disk_write(&f->disk, 0, sector, 1024), 0);
        assert_int_equal(pread(f->fd, back, 16, 0), 16);
        assert_memory_equal(back, "composite_diskx", 15);
}

static void test_a_guest_cannot_make_its_disk_a_composite_one(void **state) {
        with_engines(check_composite_magic, 1);
}

typedef struct Many {
        Loop *loop;
        unsigned n_left, n_ok, n_cancelled;
} Many;

static void one_of_many(void *userdata, int r) {
        Many *many = userdata;

        many->n_ok += r == 0;
        many->n_cancelled += r == -ECANCELED;
        if (--many->n_left == 0)
                loop_exit(many->loop);
}

#define MANY 1000u

static void start_many(Fixture *f, Many *many, struct iovec *iov) {
        *many = (Many){.loop = f->disk.loop, .n_left = MANY};
        for (unsigned i = 0; i < MANY; i++)
                assert_int_equal(
                        f->disk.dev->ops->writev(f->disk.dev, i * 4096, iov, 1, one_of_many, many),
                        0);
        block_submit(f->disk.dev);
}

static void check_many(Fixture *f) {
        static uint8_t data[4096];
        struct iovec iov = {data, sizeof(data)};
        Many many;

        start_many(f, &many, &iov);
        assert_int_equal(loop_run(f->disk.loop), 0);
        assert_int_equal(many.n_ok, MANY);
}

static void test_more_requests_than_the_engine_is_deep_all_end(void **state) {
        with_engines(check_many, 1);
}

static void check_free(Fixture *f) {
        static uint8_t data[4096];
        struct iovec iov = {data, sizeof(data)};
        Many many;

        start_many(f, &many, &iov);
        f->disk.dev = block_free(f->disk.dev);
        assert_int_equal(many.n_left, 0);
        assert_int_equal(many.n_ok + many.n_cancelled, MANY);
}

static void test_freeing_a_disk_ends_every_request_once(void **state) {
        with_engines(check_free, 1);
}

static void check_bounced_free(Fixture *f) {
        static _Alignas(4096) uint8_t data[4097];
        struct iovec iov = {data + 1, 4096};
        Many many;

        start_many(f, &many, &iov);
        f->disk.dev = block_free(f->disk.dev);
        assert_int_equal(many.n_left, 0);
}

static void test_freeing_a_disk_ends_requests_that_wait_for_the_bounce_buffer(void **state) {
        with_engines(check_bounced_free, 512);
}

static void check_resize(Fixture *f) {
        uint8_t data[512] = {1, 2, 3};

        assert_int_equal(f->disk.dev->ops->resize(f->disk.dev, 2 * DISK_BYTES), 0);
        assert_int_equal(f->disk.dev->size_bytes, 2 * DISK_BYTES);
        assert_int_equal(fake_disk_write(&f->disk, 2 * DISK_BYTES - 512, data, 512), 0);
        assert_int_equal(f->disk.dev->ops->resize(f->disk.dev, DISK_BYTES), 0);
        assert_int_equal(fake_disk_read(&f->disk, DISK_BYTES, data, 512), -EINVAL);
        assert_int_equal(lseek(f->fd, 0, SEEK_END), DISK_BYTES);
        assert_int_equal(f->disk.dev->ops->resize(f->disk.dev, UINT64_MAX), -EINVAL);
        assert_int_equal(f->disk.dev->size_bytes, DISK_BYTES);
}

static void test_a_disk_grows_and_shrinks(void **state) {
        with_engines(check_resize, 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_both_engines_read_write_and_flush),
                cmocka_unit_test(test_what_is_not_to_be_cached_arrives_all_the_same),
                cmocka_unit_test(test_a_host_that_caches_all_is_asked_once_not_to),
                cmocka_unit_test(test_ranges_outside_the_disk_are_refused),
                cmocka_unit_test(test_an_image_cut_short_behind_our_back_is_an_io_error),
                cmocka_unit_test(test_the_log_tells_what_the_guest_cannot_know_of_an_error),
                cmocka_unit_test(test_zeroes_and_discards_make_holes),
                cmocka_unit_test(test_zeroes_are_written_where_the_file_system_knows_no_better),
                cmocka_unit_test(test_buffers_not_aligned_for_direct_access_are_bounced),
                cmocka_unit_test(test_a_disk_grows_and_shrinks),
                cmocka_unit_test(test_a_guest_cannot_make_its_disk_a_composite_one),
                cmocka_unit_test(test_more_requests_than_the_engine_is_deep_all_end),
                cmocka_unit_test(test_freeing_a_disk_ends_every_request_once),
                cmocka_unit_test(test_freeing_a_disk_ends_requests_that_wait_for_the_bounce_buffer),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
