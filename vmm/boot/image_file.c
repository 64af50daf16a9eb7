/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/boot/image_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "base/fd.h"
#include "base/fd_path.h"

/**
 * image_file_from_fd_consume() - take over @fd as an image
 * @fd: consumed on success and failure
 *
 * Return: 0; -EISDIR, -EINVAL for what is not a regular file; -ENODATA for an empty one; other negative errno.
 */
int image_file_from_fd_consume(int fd, ImageFile *ret, TextError *reterr) {
        _cleanup_(fd_closep) int owned = fd;
        struct stat st;

        if (fstat(owned, &st) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        if (!S_ISREG(st.st_mode))
                return text_error_set(reterr, -EINVAL, "it is not a regular file");
        if (st.st_size <= 0)
                return text_error_set(reterr, -ENODATA, "the file is empty");
        *ret = (ImageFile){.fd = TAKE_FD(owned), .size = (uint64_t) st.st_size};
        return 0;
}

/**
 * image_file_open() - open @path, or duplicate the descriptor that /proc/self/fd/N names
 * @ret: set on success only; release with image_file_deinit()
 *
 * Return: as image_file_from_fd_consume(), or what opening gave.
 */
int image_file_open(const char *path, ImageFile *ret, TextError *reterr) {
        int fd = fd_path_open(path, O_RDONLY | O_NONBLOCK, 0);

        if (fd < 0)
                return fd;
        return image_file_from_fd_consume(fd, ret, reterr);
}

/** image_file_deinit() - close the file; zero-initialised and already released ones are left alone */
void image_file_deinit(ImageFile *file) {
        if (file->size == 0)
                return;
        (void) fd_close(file->fd);
        *file = (ImageFile){.fd = -EBADF};
}

static int image_file_check(const ImageFile *file, uint64_t offset, uint64_t len,
                            TextError *reterr) {
        if (range_within(offset, len, file->size))
                return 0;
        return text_error_set(reterr, -ENODATA,
                              "the file is truncated: it has %" PRIu64 " bytes, but %" PRIu64
                              " at offset %" PRIu64 " are needed",
                              file->size, len, offset);
}

/**
 * image_file_read() - read exactly @len bytes
 *
 * Return: 0; -ENODATA when the range is not all inside the file; other negative errno.
 */
int image_file_read(const ImageFile *file, uint64_t offset, void *data, size_t len,
                    TextError *reterr) {
        int r;

        r = image_file_check(file, offset, len, reterr);
        if (r < 0)
                return r;
        r = fd_pread_all(file->fd, data, len, offset);
        if (r < 0)
                return text_error_set(reterr, r, "reading %zu bytes at offset %" PRIu64 ": %s", len,
                                      offset, strerror(-r));
        return 0;
}

/**
 * image_file_load() - read a range of the file into guest RAM
 *
 * Pages are made present in one go first: a fault for each of them would take longer than the reading.
 *
 * Return: 0; -EFAULT when the destination is not all inside RAM; otherwise as image_file_read().
 */
int image_file_load(const ImageFile *file, uint64_t offset, uint64_t len, const GuestMem *mem,
                    gpa_t gpa, TextError *reterr) {
        void *host = guest_mem_ptr(mem, gpa, len);
        int r;

        r = image_file_check(file, offset, len, reterr);
        if (r < 0)
                return r;
        if (!host)
                return text_error_set(reterr, -EFAULT,
                                      "%" PRIu64 " bytes at guest address 0x%" PRIx64
                                      " are outside the %" PRIu64 " MiB of RAM",
                                      len, gpa, mem->size_bytes >> 20);
        guest_mem_populate(mem, gpa, len);
        return image_file_read(file, offset, host, len, reterr);
}
