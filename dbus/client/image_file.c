/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/image_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fd.h"
#include "base/str.h"
#include "dbus/client/client.h"

#define COPY_BYTES (64u * 1024u)
#define SIZE_MAX_BYTES (UINT64_C(1) << 60)

/**
 * image_file_create() - a new empty file
 * @ret: release with image_file_deinit(), which removes it unless image_file_keep() was called
 *
 * Return: 0; negative errno with @reterr set.
 */
int image_file_create(const char *path, ImageFile *ret, TextError *reterr) {
        ImageFile image = {.fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)};

        if (image.fd < 0 && errno == EEXIST)
                return text_error_set(reterr, -EEXIST,
                                      "\"%s\" exists already\nRemove it, or choose another name.",
                                      path);
        if (image.fd < 0)
                return text_error_set(reterr, -errno, "cannot make \"%s\": %s", path,
                                      strerror(errno));
        image.path = strdup(path);
        if (!image.path) {
                (void) unlink(path);
                (void) fd_close(image.fd);
                return -ENOMEM;
        }
        *ret = image;
        return 0;
}

/** image_file_keep() - it is complete */
void image_file_keep(ImageFile *image) {
        free(TAKE(image->path));
}

/** image_file_deinit() - remove the file unless it was kept, and close it */
void image_file_deinit(ImageFile *image) {
        if (image->path)
                (void) unlink(image->path);
        free(TAKE(image->path));
        image->fd = fd_close(image->fd);
}

static int failed(const ImageFile *image, int r, TextError *reterr) {
        return text_error_set(reterr, r, "cannot write \"%s\": %s", image->path, strerror(-r));
}

/** image_file_write() - put @data at @offset. Return: 0; negative errno with @reterr set. */
int image_file_write(const ImageFile *image, const void *data, size_t len, uint64_t offset,
                     TextError *reterr) {
        const char *bytes = data;

        while (len > 0) {
                ssize_t n = pwrite(image->fd, bytes, len, (off_t) offset);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return failed(image, n < 0 ? -errno : -EIO, reterr);
                bytes += n;
                len -= (size_t) n;
                offset += (uint64_t) n;
        }
        return 0;
}

static bool is_zero(const char *bytes, size_t len) {
        return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

/**
 * image_file_copy() - put the first @len bytes of @from at @offset; zeros stay holes
 *
 * Return: 0; negative errno with @reterr set.
 */
int image_file_copy(const ImageFile *image, int from, uint64_t len, uint64_t offset,
                    TextError *reterr) {
        _cleanup_(freep) char *buffer = malloc(COPY_BYTES);

        if (!buffer)
                return -ENOMEM;
        for (uint64_t done = 0; done < len;) {
                size_t n = (size_t) MIN((uint64_t) COPY_BYTES, len - done);
                int r = fd_pread_all(from, buffer, n, done);

                if (r < 0)
                        return text_error_set(reterr, r, "cannot read it: %s", strerror(-r));
                if (!is_zero(buffer, n))
                        r = image_file_write(image, buffer, n, offset + done, reterr);
                if (r < 0)
                        return r;
                done += n;
        }
        return 0;
}

/** image_file_grow() - make it @size bytes long, zeros where nothing was written. Return: as image_file_write(). */
int image_file_grow(const ImageFile *image, uint64_t size, TextError *reterr) {
        return ftruncate(image->fd, (off_t) size) < 0 ? failed(image, -errno, reterr) : 0;
}

/**
 * image_parse_size() - "4096", "64K", "10M", "8G", "1T"; units are powers of 1024
 *
 * Return: 0; CLIENT_E_USAGE with @reterr set.
 */
int image_parse_size(const char *text, uint64_t *ret, TextError *reterr) {
        static const char units[] = "KMGT";
        size_t len = strlen(text), digits = strspn(text, "0123456789");
        const char *unit = digits + 1 == len ? strchr(units, text[digits]) : NULL;
        uint64_t number, factor = 1;
        char copy[24];

        if (digits == 0 || digits >= sizeof(copy) || (digits < len && !unit))
                return text_error_set(reterr, CLIENT_E_USAGE,
                                      "expected a size such as 512M or 8G, not \"%s\"", text);
        memcpy(copy, text, digits);
        copy[digits] = '\0';
        if (unit)
                factor = UINT64_C(1024) << (10 * (unsigned) (unit - units));
        if (parse_u64(copy, &number) < 0 || !MUL_CHECKED(number, factor, &number) || number == 0 ||
            number > SIZE_MAX_BYTES)
                return text_error_set(reterr, CLIENT_E_USAGE,
                                      "size \"%s\": expected 1 byte to 1 EiB", text);
        *ret = number;
        return 0;
}
