/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/vmm_disk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

typedef struct Wait {
        Loop *loop;
        int result;
        unsigned n_ends;
} Wait;

/* A file of @size_bytes that begins with @data. Return: its path; remove it with _cleanup_(temp_file_freep). */
char *temp_file_new(const void *data, size_t len, uint64_t size_bytes) {
        char *path = strdup("/tmp/vivarium-test-XXXXXX");
        int fd = path ? mkstemp(path) : -1, r;

        assert(fd >= 0);
        r = len > 0 ? fd_write_all(fd, data, len) : 0;
        assert(r == 0);
        r = ftruncate(fd, (off_t) size_bytes);
        assert(r == 0);
        fd_close(fd);
        return path;
}

void temp_file_freep(char **path) {
        if (!*path)
                return;
        (void) unlink(*path);
        free(*path);
        *path = NULL;
}

static void ended(void *userdata, int r) {
        Wait *wait = userdata;

        wait->result = r;
        wait->n_ends++;
        loop_exit(wait->loop);
}

static int wait_end(FakeDisk *disk, Wait *wait, int r) {
        if (r < 0)
                return r;
        block_submit(disk->dev);
        r = loop_run(disk->loop);
        assert(r == 0);
        assert(wait->n_ends == 1);
        return wait->result;
}

int fake_disk_readv(FakeDisk *disk, uint64_t offset, const struct iovec *iov, unsigned n) {
        Wait wait = {.loop = disk->loop};

        return wait_end(disk, &wait,
                        disk->dev->ops->readv(disk->dev, offset, iov, n, ended, &wait));
}

int fake_disk_writev(FakeDisk *disk, uint64_t offset, const struct iovec *iov, unsigned n) {
        Wait wait = {.loop = disk->loop};

        return wait_end(disk, &wait,
                        disk->dev->ops->writev(disk->dev, offset, iov, n, ended, &wait));
}

int fake_disk_read(FakeDisk *disk, uint64_t offset, void *data, size_t len) {
        struct iovec iov = {.iov_base = data, .iov_len = len};

        return fake_disk_readv(disk, offset, &iov, 1);
}

int fake_disk_write(FakeDisk *disk, uint64_t offset, const void *data, size_t len) {
        struct iovec iov = {.iov_base = (void *) (uintptr_t) data, .iov_len = len};

        return fake_disk_writev(disk, offset, &iov, 1);
}

int fake_disk_flush(FakeDisk *disk) {
        Wait wait = {.loop = disk->loop};

        return wait_end(disk, &wait, disk->dev->ops->flush(disk->dev, ended, &wait));
}

int fake_disk_discard(FakeDisk *disk, uint64_t offset, uint64_t len) {
        Wait wait = {.loop = disk->loop};

        return wait_end(disk, &wait, disk->dev->ops->discard(disk->dev, offset, len, ended, &wait));
}

int fake_disk_write_zeroes(FakeDisk *disk, uint64_t offset, uint64_t len, bool unmap) {
        Wait wait = {.loop = disk->loop};

        return wait_end(disk, &wait,
                        disk->dev->ops->write_zeroes(disk->dev, offset, len, unmap, ended, &wait));
}

void fake_disk_deinit(FakeDisk *disk) {
        disk->dev = block_free(disk->dev);
        disk->loop = loop_free(disk->loop);
}
