/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/block/aio.h"

#include <assert.h>

#include "base/log.h"

/**
 * aio_new() - an engine
 * @loop:  borrowed, outlives the engine
 *
 * io_uring is missing on old kernels and refused in many containers; only trying tells.
 * Return: 0; negative errno when @engine cannot be had, of AIO_ENGINE_ANY not even threads.
 */
int aio_new(AioEngine engine, Loop *loop, Aio **ret) {
        int r;

        if (engine == AIO_ENGINE_WORKERS)
                return aio_workers_new(loop, ret);
        r = aio_uring_new(loop, ret);
        if (r >= 0 || engine == AIO_ENGINE_URING)
                return r;
        log_debug("io_uring is not available (errno %d), using threads for disks", -r);
        return aio_workers_new(loop, ret);
}

/** aio_ref() - one more owner. Return: @aio. */
Aio *aio_ref(Aio *aio) {
        aio->refs++;
        return aio;
}

/** aio_unref() - one owner fewer; the last one drains and frees. NULL is fine. Return: NULL. */
Aio *aio_unref(Aio *aio) {
        if (!aio)
                return NULL;
        assert(aio->refs > 0);
        if (--aio->refs > 0)
                return NULL;
        aio->ops->drain(aio);
        return aio->ops->free(aio);
}
