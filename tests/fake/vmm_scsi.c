/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/vmm_scsi.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/be.h"
#include "base/iov.h"

static int finish(FakeImage *image, char what, BlockDoneFn done, void *userdata) {
        const size_t n = strlen(image->log);

        assert(n < FAKE_SCSI_LOG);
        image->log[n] = what;
        if (image->hold) {
                image->done = done;
                image->userdata = userdata;
                return 0;
        }
        done(userdata, image->error);
        return 0;
}

static int image_readv(BlockDev *dev, uint64_t offset, const struct iovec *iov, unsigned n,
                       BlockDoneFn done, void *userdata) {
        FakeImage *image = (FakeImage *) dev;
        const uint64_t len = iov_total(iov, n);

        assert(len > 0 && offset + len <= dev->size_bytes);
        (void) iov_scatter(iov, n, 0, image->bytes + offset, len);
        return finish(image, 'r', done, userdata);
}

static int image_writev(BlockDev *dev, uint64_t offset, const struct iovec *iov, unsigned n,
                        BlockDoneFn done, void *userdata) {
        FakeImage *image = (FakeImage *) dev;
        const uint64_t len = iov_total(iov, n);

        assert(!dev->read_only && len > 0 && offset + len <= dev->size_bytes);
        if (!image->forgetful)
                (void) iov_gather(iov, n, 0, image->bytes + offset, len);
        return finish(image, 'w', done, userdata);
}

static int image_flush(BlockDev *dev, BlockDoneFn done, void *userdata) {
        return finish((FakeImage *) dev, 'f', done, userdata);
}

static int image_discard(BlockDev *dev, uint64_t offset, uint64_t len, BlockDoneFn done,
                         void *userdata) {
        FakeImage *image = (FakeImage *) dev;

        assert(!dev->read_only && offset + len <= dev->size_bytes);
        memset(image->bytes + offset, 0xdd, len);
        return finish(image, 'd', done, userdata);
}

static int image_zeroes(BlockDev *dev, uint64_t offset, uint64_t len, bool unmap, BlockDoneFn done,
                        void *userdata) {
        FakeImage *image = (FakeImage *) dev;

        assert(!dev->read_only && offset + len <= dev->size_bytes);
        memset(image->bytes + offset, 0, len);
        return finish(image, unmap ? 'u' : 'z', done, userdata);
}

static int image_resize(BlockDev *dev, uint64_t size_bytes) {
        dev->size_bytes = size_bytes;
        return 0;
}

static BlockDev *image_free(BlockDev *dev) {
        FakeImage *image = (FakeImage *) dev;

        if (image->done)
                image->done(image->userdata, 0);
        free(image);
        return NULL;
}

static const BlockOps image_ops = {
        .name = "fake",
        .readv = image_readv,
        .writev = image_writev,
        .flush = image_flush,
        .discard = image_discard,
        .write_zeroes = image_zeroes,
        .resize = image_resize,
        .free = image_free,
};

static void stepped(ScsiTask *task, int r) {
        scsi_task_proceed(task, r);
}

static void ended(ScsiTask *task) {
        FakeScsi *f = CONTAINER_OF(task, FakeScsi, task);

        assert(!f->ended);
        f->ended = true;
}

/** fake_scsi_init() - a disk of blocks of 512 bytes, each full of its number, that has been told of its start */
void fake_scsi_init(FakeScsi *f, bool read_only) {
        const ScsiDiskConfig config = {
                .handler = {.stepped = stepped, .ended = ended},
                .block_size = 512,
                .target = 3,
                .id = read_only ? NULL : "serial-1",
        };
        int r;

        *f = (FakeScsi){.image = calloc(1, sizeof(FakeImage))};
        assert(f->image);
        f->image->dev = (BlockDev){.ops = &image_ops,
                                   .size_bytes = FAKE_SCSI_BYTES,
                                   .align_bytes = 1,
                                   .optimal_bytes = 4096,
                                   .read_only = read_only,
                                   .discards = true};
        for (unsigned i = 0; i < FAKE_SCSI_BYTES; i++)
                f->image->bytes[i] = (uint8_t) (i / 512);
        r = scsi_disk_new(&f->image->dev, &config, &f->disk, NULL);
        assert(r == 0);
        (void) SCSI_SAY(f, 0, 0, 0, 0, 0, 0);
}

/** fake_scsi_deinit() - what is held ends */
void fake_scsi_deinit(FakeScsi *f) {
        (void) scsi_disk_free(f->disk);
}

/** fake_scsi_release() - the call that is held ends with @r */
void fake_scsi_release(FakeScsi *f, int r) {
        BlockDoneFn done = f->image->done;

        f->image->done = NULL;
        done(f->image->userdata, r);
}

/** fake_scsi_begin() - start a command with @len bytes of f->data for the disk or from it */
void fake_scsi_begin(FakeScsi *f, const uint8_t *cdb, size_t cdb_len, bool to_disk, size_t len) {
        assert(cdb_len <= SCSI_CDB_MAX && len <= sizeof(f->data));
        f->task = (ScsiTask){.lun = f->lun, .to_disk = to_disk, .data_bytes = len};
        memcpy(f->task.cdb, cdb, cdb_len);
        f->iov[0] = (struct iovec){f->data, len / 2};
        f->iov[1] = (struct iovec){f->data + len / 2, len - len / 2};
        f->task.data = f->iov;
        f->task.n_data = 2;
        f->ended = false;
        f->image->log[0] = 0;
        memset(f->image->log, 0, sizeof(f->image->log));
        scsi_task_start(&f->task, f->disk);
}

/** fake_scsi_run() - the same, to its end. Return: 0 for GOOD, FAKE_SENSE(), or FAKE_SCSI_OVERRUN. */
uint32_t fake_scsi_run(FakeScsi *f, const uint8_t *cdb, size_t cdb_len, bool to_disk, size_t len) {
        fake_scsi_begin(f, cdb, cdb_len, to_disk, len);
        assert(f->ended);
        if (f->task.overrun)
                return FAKE_SCSI_OVERRUN;
        if (f->task.status == SCSI_GOOD)
                return 0;
        assert(f->task.status == SCSI_CHECK_CONDITION && f->task.sense[0] == 0x70 &&
               f->task.sense[7] == 10);
        return FAKE_SENSE(f->task.sense[2], f->task.sense[12], f->task.sense[13]);
}
