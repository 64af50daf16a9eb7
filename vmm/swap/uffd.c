/* SPDX-License-Identifier: Apache-2.0 */

/*
 * userfaultfd(2), for faults of the kernel as well: of KVM, and of system calls that read or write guest memory. Missing
 * pages and pages that are protected against writing both make whoever touches them wait.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "vmm/swap/faults.h"
#include "vmm/swap/store.h"

#ifndef USERFAULTFD_IOC_NEW /* Linux 6.1 */
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12) /* Linux 5.19 */
#endif
#define UFFD_DEVICE "/dev/userfaultfd"

struct Uffd {
        int fd;        /* owned */
        uint64_t base; /* address of the memfd's mapping */
        uint64_t size_bytes;
};

static int open_uffd(TextError *reterr) {
        _cleanup_(fd_closep) int device = open(UFFD_DEVICE, O_RDWR | O_CLOEXEC);
        int fd, r;

        fd = device < 0 ? (int) syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK)
                        : ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
        if (fd >= 0)
                return fd;
        r = -errno;
        if (r == -EPERM || r == -EACCES)
                return text_error_set(reterr, r,
                                      "following guest memory needs " UFFD_DEVICE
                                      " to be readable and writable, or CAP_SYS_PTRACE");
        return text_error_set(reterr, r, "the host's kernel has no userfaultfd: %s", strerror(-r));
}

/**
 * uffd_new() - open a userfaultfd; follows nothing yet
 * @base: the mapping of the memfd, @size_bytes long; outlives it
 * @ret:  set on success only; release with uffd_free()
 *
 * Before the sandbox. Return: 0; negative errno with a sentence.
 */
int uffd_new(uint8_t *base, uint64_t size_bytes, Uffd **ret, TextError *reterr) {
        struct uffdio_api api = {
                .api = UFFD_API,
                .features = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
        };
        _cleanup_(fd_closep) int fd = open_uffd(reterr);
        Uffd *uffd;

        if (fd < 0)
                return fd;
        if (ioctl(fd, UFFDIO_API, &api) < 0)
                return text_error_set(reterr, -EOPNOTSUPP,
                                      "the host's kernel cannot protect shared memory against "
                                      "writing by userfaultfd: Linux 5.19 can");
        uffd = malloc(sizeof(*uffd));
        if (!uffd)
                return -ENOMEM;
        *uffd = (Uffd){.fd = TAKE_FD(fd), .base = (uintptr_t) base, .size_bytes = size_bytes};
        *ret = uffd;
        return 0;
}

/** uffd_free() - release; nothing is followed any more. Return: NULL. */
Uffd *uffd_free(Uffd *uffd) {
        if (uffd)
                (void) fd_close(uffd->fd);
        free(uffd);
        return NULL;
}

/** uffd_fd() - readable when somebody waits */
int uffd_fd(const Uffd *uffd) {
        return uffd->fd;
}

static int call(const Uffd *uffd, unsigned long request, void *argument) {
        return ioctl(uffd->fd, request, argument) < 0 ? -errno : 0;
}

static struct uffdio_range range_of(const Uffd *uffd, uint64_t offset, uint64_t len) {
        return (struct uffdio_range){.start = uffd->base + offset, .len = len};
}

static int follow(void *faults, bool on) {
        const Uffd *uffd = faults;
        struct uffdio_register all = {
                .range = range_of(uffd, 0, uffd->size_bytes),
                .mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
        };

        return on ? call(uffd, UFFDIO_REGISTER, &all) : call(uffd, UFFDIO_UNREGISTER, &all.range);
}

static int protect(void *faults, uint64_t offset, uint64_t len, bool on) {
        const Uffd *uffd = faults;
        struct uffdio_writeprotect change = {
                .range = range_of(uffd, offset, len),
                .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
        };
        int r;

        do /* while another call changes the address space */
                r = call(uffd, UFFDIO_WRITEPROTECT, &change);
        while (r == -EAGAIN);
        return r;
}

static int place(void *faults, uint64_t offset, const uint8_t *bytes, uint64_t len,
                 uint64_t *ret_len) {
        const Uffd *uffd = faults;
        struct uffdio_copy copy = {
                .dst = uffd->base + offset,
                .src = (uintptr_t) bytes,
                .len = len,
                .mode = UFFDIO_COPY_MODE_WP | UFFDIO_COPY_MODE_DONTWAKE,
        };
        int r = call(uffd, UFFDIO_COPY, &copy);

        *ret_len = copy.copy > 0 ? (uint64_t) copy.copy : 0;
        return r;
}

static int zero(void *faults, uint64_t offset) {
        const Uffd *uffd = faults;
        struct uffdio_zeropage page = {.range = range_of(uffd, offset, SWAP_PAGE_SIZE)};

        return call(uffd, UFFDIO_ZEROPAGE, &page);
}

static int next(void *faults, uint64_t *ret_offset) {
        const Uffd *uffd = faults;
        struct uffd_msg message;
        ssize_t n = read(uffd->fd, &message, sizeof(message));
        uint64_t offset;

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n != sizeof(message) || message.event != UFFD_EVENT_PAGEFAULT)
                return -EBADMSG;
        offset = message.arg.pagefault.address - uffd->base;
        if (offset >= uffd->size_bytes)
                return -EBADMSG;
        *ret_offset = offset / SWAP_PAGE_SIZE * SWAP_PAGE_SIZE;
        return 1;
}

const SwapFaultOps uffd_ops = {
        .follow = follow,
        .protect = protect,
        .place = place,
        .zero = zero,
        .next = next,
};
