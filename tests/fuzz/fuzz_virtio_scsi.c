/* SPDX-License-Identifier: Apache-2.0 */

/* The SCSI controller under a guest that does what it likes, with a disk in memory and a read-only one. */

#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fake/vmm_virtio_fuzz.h"
#include "vmm/block/block_internal.h"
#include "vmm/virtio/devices.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DISK_BYTES 65536u

static void add_disk(FuzzedDevice *f, VirtioDevice *dev, bool read_only) {
        BlockFile file = {.size_bytes = DISK_BYTES, .align_bytes = 1, .sparse = true};
        BlockDev *disk;
        Aio *aio;
        int r;

        file.fd = memfd_create("disk", MFD_CLOEXEC);
        assert(file.fd >= 0);
        r = ftruncate(file.fd, DISK_BYTES);
        assert(r == 0);
        file.read_only = read_only;
        r = aio_workers_new(f->board->loop, &aio);
        assert(r == 0);
        r = raw_new(&file, aio, &disk);
        assert(r == 0);
        aio_unref(aio);
        r = virtio_scsi_add(dev, disk, 512, "fuzz", NULL);
        assert(r == 0);
}

/* The host changes a disk's size. */
static void resize(void *userdata, unsigned queue, uint32_t offset, uint64_t value) {
        FuzzedDevice *f = userdata;

        (void) virtio_scsi_resize(f->dev, queue % 2, 512 * (uint64_t) (offset % 256));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        VirtioDevice *dev;
        FuzzedDevice f;
        int r;

        fuzzed_init(&f);
        r = virtio_scsi_new(1, &dev);
        assert(r == 0);
        add_disk(&f, dev, /* read_only= */ false);
        add_disk(&f, dev, /* read_only= */ true);
        dev->offered |= VIRTIO_F_RING_PACKED;
        fuzzed_attach(&f, dev);
        fuzzed_run(&f, data, size, resize, &f);
        fuzzed_deinit(&f);
        return 0;
}
