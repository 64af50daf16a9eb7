/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whether the kernel knows a guest by a CID: one of another program, whose connections a VM of ours would get. */

#include <stdbool.h>
#include <stdint.h>

typedef struct CidProbe {
        int fd; /* owned; of /dev/vhost-vsock; -EBADF where there is none */
} CidProbe;

void cid_probe_init(CidProbe *probe, const char *device);
void cid_probe_deinit(CidProbe *probe);
bool cid_probe_is_free(CidProbe *probe, uint32_t cid);
