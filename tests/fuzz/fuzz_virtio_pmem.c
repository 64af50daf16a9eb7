/* SPDX-License-Identifier: Apache-2.0 */

/* Persistent memory under a guest that does what it likes; the file is one in memory. */

#include <assert.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "tests/fake/vmm_virtio_fuzz.h"
#include "vmm/virtio/devices.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        VirtioPmemConfig config = {.gpa = UINT64_C(1) << 33, .size_bytes = 1 << 21};
        VirtioDevice *dev;
        FuzzedDevice f;
        int r;

        fuzzed_init(&f);
        config.loop = f.board->loop;
        config.fd = memfd_create("pmem", MFD_CLOEXEC);
        assert(config.fd >= 0);
        r = virtio_pmem_new(&config, &dev);
        assert(r == 0);
        dev->offered |= VIRTIO_F_RING_PACKED;
        fuzzed_attach(&f, dev);
        fuzzed_run(&f, data, size, NULL, NULL);
        fuzzed_deinit(&f);
        (void) fd_close(config.fd);
        return 0;
}
