/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Output that goes to the host line by line. */

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "vmm/chardev/host_fd.h"

typedef enum CharFormat {
        CHAR_BYTES,     /* as they come */
        CHAR_DATAGRAMS, /* each line is a message of a datagram socket */
        CHAR_LOG,       /* each line is one of the VMM's own log, at level info */
} CharFormat;

#define CHAR_RECORD_MAX 1024u /* bytes of a line; longer ones are several */

ssize_t char_record_write(const HostFd *host, CharFormat format, const struct iovec *iov, size_t n);
