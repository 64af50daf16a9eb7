/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a disk can do, measured inside a guest. Reads and writes past the guest's page cache with the kernel's own
 * asynchronous I/O, one queue depth for each kernel.
 *
 * usage: disk_suite DEVICE MILLISECONDS
 *
 * Each kernel runs for so long and prints `disk NAME VALUE`: requests a second, or for seqread MiB a second. What is on the
 * device is overwritten.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_MAX 32u
#define SMALL_BYTES 4096u
#define LARGE_BYTES (256u * 1024u)

typedef struct Kernel {
        const char *name;
        unsigned depth; /* requests under way, 1..DEPTH_MAX */
        unsigned bytes; /* of each, at most LARGE_BYTES */
        bool write, sequential;
} Kernel;

static const Kernel kernels[] = {
        {"randread.qd1", 1, SMALL_BYTES, false, false},
        {"randread.qd32", 32, SMALL_BYTES, false, false},
        {"randwrite.qd1", 1, SMALL_BYTES, true, false},
        {"randwrite.qd32", 32, SMALL_BYTES, true, false},
        {"seqread", 4, LARGE_BYTES, false, true},
};

typedef struct Disk {
        int fd;
        uint64_t bytes;
        aio_context_t context;
        uint8_t *buffers; /* DEPTH_MAX of LARGE_BYTES */
        uint64_t random, next;
} Disk;

static uint64_t now_nsec(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * 1000000000u + (uint64_t) ts.tv_nsec;
}

static uint64_t next_offset(Disk *disk, const Kernel *kernel) {
        uint64_t n = disk->bytes / kernel->bytes;

        if (n == 0)
                n = 1;
        if (kernel->sequential)
                return disk->next++ % n * kernel->bytes;
        disk->random ^= disk->random << 13;
        disk->random ^= disk->random >> 7;
        disk->random ^= disk->random << 17;
        return disk->random % n * kernel->bytes;
}

static bool submit(Disk *disk, const Kernel *kernel, struct iocb *iocbs, unsigned n) {
        struct iocb *list[DEPTH_MAX];

        for (unsigned i = 0; i < n; i++) {
                iocbs[i].aio_offset = (int64_t) next_offset(disk, kernel);
                list[i] = &iocbs[i];
        }
        return syscall(SYS_io_submit, disk->context, (long) n, list) == (long) n;
}

/* Takes what has ended and offers each place again. Return: how many ended; negative on an error. */
static long turn(Disk *disk, const Kernel *kernel, struct iocb *iocbs, bool again) {
        struct io_event events[DEPTH_MAX];
        struct iocb *list[DEPTH_MAX];
        long n;

        n = syscall(SYS_io_getevents, disk->context, 1L, (long) DEPTH_MAX, events, NULL);
        for (long i = 0; i < n; i++) {
                if (events[i].res != (int64_t) kernel->bytes)
                        return -EIO;
                list[i] = &iocbs[events[i].data];
                list[i]->aio_offset = (int64_t) next_offset(disk, kernel);
        }
        if (n > 0 && again && syscall(SYS_io_submit, disk->context, n, list) != n)
                return -EIO;
        return n;
}

/* Return: requests in @nsec; negative on an error. */
static long run(Disk *disk, const Kernel *kernel, uint64_t length_nsec, uint64_t *ret_nsec) {
        struct iocb iocbs[DEPTH_MAX] = {0};
        const uint64_t start = now_nsec();
        unsigned under_way = kernel->depth;
        long done = 0;

        for (unsigned i = 0; i < kernel->depth; i++)
                iocbs[i] = (struct iocb){
                        .aio_data = i,
                        .aio_lio_opcode = kernel->write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
                        .aio_fildes = (uint32_t) disk->fd,
                        .aio_buf = (uint64_t) (uintptr_t) (disk->buffers + i * LARGE_BYTES),
                        .aio_nbytes = kernel->bytes,
                };
        if (!submit(disk, kernel, iocbs, kernel->depth))
                return -errno;
        while (under_way > 0) {
                bool again = now_nsec() - start < length_nsec;
                long n = turn(disk, kernel, iocbs, again);

                if (n < 0)
                        return n;
                if (!again)
                        under_way -= (unsigned) n;
                done += n;
        }
        *ret_nsec = now_nsec() - start;
        return done;
}

static int open_disk(const char *path, Disk *ret) {
        *ret = (Disk){.random = 88172645463325252u};
        ret->fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
        if (ret->fd < 0 || ioctl(ret->fd, BLKGETSIZE64, &ret->bytes) < 0 ||
            syscall(SYS_io_setup, (long) DEPTH_MAX, &ret->context) < 0)
                return -errno;
        ret->buffers = aligned_alloc(LARGE_BYTES, (size_t) DEPTH_MAX * LARGE_BYTES);
        if (!ret->buffers)
                return -ENOMEM;
        memset(ret->buffers, 0x5a, (size_t) DEPTH_MAX * LARGE_BYTES);
        return 0;
}

int main(int argc, char **argv) {
        Disk disk;

        if (argc != 3 || open_disk(argv[1], &disk) < 0) {
                (void) fprintf(stderr, "usage: disk_suite DEVICE MILLISECONDS (%s)\n",
                               strerror(errno));
                return 1;
        }
        for (size_t i = 0; i < sizeof(kernels) / sizeof(*kernels); i++) {
                const Kernel *kernel = &kernels[i];
                uint64_t nsec = 0;
                long n = run(&disk, kernel, strtoull(argv[2], NULL, 10) * 1000000u, &nsec);
                double rate = n < 0 ? 0 : (double) n * 1e9 / (double) nsec;

                if (n < 0) {
                        (void) fprintf(stderr, "disk_suite: %s: %s\n", kernel->name,
                                       strerror((int) -n));
                        return 1;
                }
                if (kernel->sequential)
                        rate = rate * kernel->bytes / (1024 * 1024);
                (void) printf("disk %s %.1f\n", kernel->name, rate);
        }
        return 0;
}
