/* SPDX-License-Identifier: Apache-2.0 */

/* The entropy device and the transport under it, from the side of a guest that does what it likes. */

#include <assert.h>

#include "tests/fake/vmm_virtio_fuzz.h"
#include "vmm/virtio/devices.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        VirtioDevice *dev;
        FuzzedDevice f;
        int r;

        fuzzed_init(&f);
        r = virtio_rng_new(&dev);
        assert(r == 0);
        dev->offered |= VIRTIO_F_RING_PACKED;
        fuzzed_attach(&f, dev);
        fuzzed_run(&f, data, size, NULL, NULL);
        fuzzed_deinit(&f);
        return 0;
}
