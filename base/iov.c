/* SPDX-License-Identifier: Apache-2.0 */
#include "base/iov.h"

#include <string.h>

#include "base/cleanup.h"

/** iov_total() - bytes in all @n buffers; the caller knows that the sum fits 64 bits */
uint64_t iov_total(const struct iovec *iov, unsigned n) {
        uint64_t total = 0;

        for (unsigned i = 0; i < n; i++)
                total += iov[i].iov_len;
        return total;
}

/**
 * iov_slice() - the buffers of @len bytes that follow the first @skip
 * @ret:  at least @n entries; may be @iov itself
 *
 * Return: how many entries were set; empty ones are left out.
 */
unsigned iov_slice(const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len,
                   struct iovec *ret) {
        unsigned n_ret = 0;

        for (unsigned i = 0; i < n && len > 0; i++) {
                uint64_t first = MIN(skip, (uint64_t) iov[i].iov_len);
                uint64_t part = MIN((uint64_t) iov[i].iov_len - first, len);

                skip -= first;
                if (part == 0)
                        continue;
                ret[n_ret++] = (struct iovec){.iov_base = (uint8_t *) iov[i].iov_base + first,
                                              .iov_len = (size_t) part};
                len -= part;
        }
        return n_ret;
}

typedef void (*PartFn)(uint8_t *part, size_t len, uint64_t done, void *userdata);

static uint64_t for_each_part(const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len,
                              PartFn fn, void *userdata) {
        uint64_t done = 0;

        for (unsigned i = 0; i < n && done < len; i++) {
                uint64_t first = MIN(skip, (uint64_t) iov[i].iov_len);
                uint64_t part = MIN((uint64_t) iov[i].iov_len - first, len - done);

                skip -= first;
                if (part == 0)
                        continue;
                fn((uint8_t *) iov[i].iov_base + first, (size_t) part, done, userdata);
                done += part;
        }
        return done;
}

static void part_out(uint8_t *part, size_t len, uint64_t done, void *userdata) {
        memcpy((uint8_t *) userdata + done, part, len);
}

static void part_in(uint8_t *part, size_t len, uint64_t done, void *userdata) {
        memcpy(part, *(const uint8_t **) userdata + done, len);
}

static void part_zero(uint8_t *part, size_t len, uint64_t done, void *userdata) {
        memset(part, 0, len);
}

/** iov_gather() - copy @len bytes behind the first @skip to @data. Return: bytes copied. */
size_t iov_gather(const struct iovec *iov, unsigned n, uint64_t skip, void *data, size_t len) {
        return (size_t) for_each_part(iov, n, skip, len, part_out, data);
}

/** iov_scatter() - copy @len bytes of @data behind the first @skip of the buffers. Return: bytes copied. */
size_t iov_scatter(const struct iovec *iov, unsigned n, uint64_t skip, const void *data,
                   size_t len) {
        return (size_t) for_each_part(iov, n, skip, len, part_in, &data);
}

/** iov_zero() - clear @len bytes behind the first @skip of the buffers. Return: bytes cleared. */
uint64_t iov_zero(const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len) {
        return for_each_part(iov, n, skip, len, part_zero, NULL);
}
