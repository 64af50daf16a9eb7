/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Memory of a guest that the host takes back, again and again, and brings in as it is touched (MADV_PAGEOUT). */

#include <stdint.h>

#include "vmm/block/aio.h"

typedef struct Pageout Pageout;

typedef struct PageoutConfig {
        Loop *loop;             /* borrowed */
        Aio *aio;               /* that asks the host, which may take its time; borrowed */
        uint8_t *host;          /* whole pages; borrowed */
        uint64_t size_bytes;    /* of @host */
        uint64_t interval_nsec; /* from one time to the next; not 0 */
} PageoutConfig;

int pageout_new(const PageoutConfig *config, Pageout **ret);
Pageout *pageout_free(Pageout *pageout);
