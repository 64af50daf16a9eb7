/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/iov.h"
#include "base/le.h"
#include "vmm/block/aio.h"
#include "vmm/virtio/devices.h"
#include "vmm/virtio/pageout.h"

/*
 * The persistent memory device (virtio 1.2 section 5.19). The guest reads and writes the file's pages as its memory;
 * the device only tells where they are, and has the host write them down when the guest asks.
 */

#define PMEM_QUEUE_SIZE 32u
#define PMEM_CONFIG_LEN 16u
#define PMEM_REQUEST_LEN 4u
#define PMEM_RESPONSE_LEN 4u
#define PMEM_T_FLUSH 0u
#define PMEM_OK 0u
#define PMEM_EIO 1u

typedef struct VirtioPmem VirtioPmem;

typedef struct PmemRequest {
        AioRequest aio;
        VirtioPmem *pmem; /* weak */
        uint32_t head;
        uint8_t *response; /* PMEM_RESPONSE_LEN bytes of the guest's */
        bool used;
} PmemRequest;

struct VirtioPmem {
        VirtioDevice dev;
        uint8_t config[PMEM_CONFIG_LEN];
        int fd;
        Aio *aio;         /* owned */
        Pageout *pageout; /* owned, optional */
        unsigned n_pending;
        bool resetting; /* until @n_pending is 0 */
        bool closing;
        bool locked; /* loop thread: the lock is held further up the stack */
        PmemRequest requests[PMEM_QUEUE_SIZE];
};

static void pmem_answer(VirtioPmem *pmem, uint32_t head, uint8_t *response, uint32_t result) {
        le32_store(response, result);
        virtq_push(pmem->dev.queues, head, PMEM_RESPONSE_LEN);
}

/* From the engine, on the loop: inside pmem_notify(), which holds the lock, or from a turn of its own. */
static void pmem_synced(AioRequest *aio, int64_t result) {
        PmemRequest *req = CONTAINER_OF(aio, PmemRequest, aio);
        VirtioPmem *pmem = req->pmem;
        const bool locked = pmem->locked;

        req->used = false;
        if (pmem->closing)
                return;
        if (!locked)
                virtio_device_lock(&pmem->dev);
        pmem->n_pending--;
        if (result < 0)
                pmem->dev.n_host_errors++;
        if (!pmem->resetting) {
                pmem_answer(pmem, req->head, req->response, result < 0 ? PMEM_EIO : PMEM_OK);
                virtio_device_interrupt(&pmem->dev, 0);
        } else if (pmem->n_pending == 0) {
                pmem->resetting = false;
                virtio_device_reset_done(&pmem->dev);
        }
        if (pmem->n_pending == 0)
                virtio_device_rested(&pmem->dev);
        if (!locked)
                virtio_device_unlock(&pmem->dev);
}

static PmemRequest *free_request(VirtioPmem *pmem) {
        for (unsigned i = 0; i < PMEM_QUEUE_SIZE; i++)
                if (!pmem->requests[i].used)
                        return &pmem->requests[i];
        return NULL;
}

static void pmem_handle(VirtioDevice *dev, unsigned queue, const VirtqChain *chain) {
        VirtioPmem *pmem = (VirtioPmem *) dev;
        const struct iovec *in = chain->iov + chain->n_out;
        PmemRequest *req = free_request(pmem);
        uint8_t type[PMEM_REQUEST_LEN];

        /* A response of four bytes in one piece is what drivers give; no other is worth a copy. */
        if (iov_gather(chain->iov, chain->n_out, 0, type, sizeof(type)) < sizeof(type) ||
            chain->n_in == 0 || in->iov_len < PMEM_RESPONSE_LEN) {
                virtio_device_broken(dev, "persistent memory request without room for its parts");
                return;
        }
        /* No more chains than the queue has entries are out at a time, unless the driver offers one twice. */
        if (!req || le32_load(type) != PMEM_T_FLUSH) {
                pmem_answer(pmem, chain->head, in->iov_base, PMEM_EIO);
                return;
        }
        *req = (PmemRequest){
                .aio = {.kind = AIO_SYNC, .fd = pmem->fd, .done = pmem_synced},
                .pmem = pmem,
                .head = chain->head,
                .response = in->iov_base,
                .used = true,
        };
        pmem->n_pending++;
        aio_start(pmem->aio, &req->aio);
}

static void pmem_notify(VirtioDevice *dev, unsigned queue) {
        VirtioPmem *pmem = (VirtioPmem *) dev;

        pmem->locked = true;
        virtio_device_drain(dev, queue, pmem_handle);
        aio_submit(pmem->aio);
        pmem->locked = false;
}

static int pmem_reset(VirtioDevice *dev) {
        VirtioPmem *pmem = (VirtioPmem *) dev;

        if (pmem->n_pending == 0)
                return 0;
        pmem->resetting = true;
        return VIRTIO_E_PENDING;
}

static bool pmem_busy(const VirtioDevice *dev) {
        return ((const VirtioPmem *) dev)->n_pending > 0;
}

static VirtioDevice *pmem_free(VirtioDevice *dev) {
        VirtioPmem *pmem = (VirtioPmem *) dev;

        pmem->closing = true;
        if (pmem->aio)
                aio_drain(pmem->aio);
        (void) pageout_free(pmem->pageout);
        (void) aio_unref(pmem->aio);
        free(pmem);
        return NULL;
}

static const VirtioOps pmem_ops = {
        .name = "virtio-pmem",
        .type = VIRTIO_TYPE_PMEM,
        .notify = pmem_notify,
        .reset = pmem_reset,
        .busy = pmem_busy,
        .free = pmem_free,
};

static int begin_pageout(VirtioPmem *pmem, const VirtioPmemConfig *config) {
        const PageoutConfig pageout = {
                .loop = config->loop,
                .aio = pmem->aio,
                .host = config->host,
                .size_bytes = config->size_bytes,
                .interval_nsec = config->pageout_nsec,
        };

        return config->pageout_nsec > 0 ? pageout_new(&pageout, &pmem->pageout) : 0;
}

/** virtio_pmem_new() - persistent memory at a place that the guest has already. Return: 0 or negative errno. */
int virtio_pmem_new(const VirtioPmemConfig *config, VirtioDevice **ret) {
        VirtioPmem *pmem = calloc(1, sizeof(*pmem));
        int r;

        if (!pmem)
                return -ENOMEM;
        r = aio_new(config->engine, config->loop, &pmem->aio);
        if (r >= 0)
                r = begin_pageout(pmem, config);
        if (r < 0) {
                (void) pmem_free(&pmem->dev);
                return r;
        }
        le64_store(pmem->config, config->gpa);
        le64_store(pmem->config + 8, config->size_bytes);
        pmem->fd = config->fd;
        pmem->dev.ops = &pmem_ops;
        pmem->dev.config = pmem->config;
        pmem->dev.config_len = sizeof(pmem->config);
        pmem->dev.n_queues = 1;
        pmem->dev.queue_size_max[0] = PMEM_QUEUE_SIZE;
        *ret = &pmem->dev;
        return 0;
}
