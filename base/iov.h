/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Lists of buffers seen as one run of bytes. Ranges past the end are cut short. */

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

uint64_t iov_total(const struct iovec *iov, unsigned n);
size_t iov_gather(const struct iovec *iov, unsigned n, uint64_t skip, void *data, size_t len);
size_t iov_scatter(const struct iovec *iov, unsigned n, uint64_t skip, const void *data,
                   size_t len);
uint64_t iov_zero(const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len);
unsigned iov_slice(const struct iovec *iov, unsigned n, uint64_t skip, uint64_t len,
                   struct iovec *ret);
