/* SPDX-License-Identifier: Apache-2.0 */

/* The balloon between a guest that does what it likes and a host that asks for memory and statistics. */

#include <assert.h>

#include "tests/fake/vmm_virtio_fuzz.h"
#include "vmm/virtio/devices.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(void *userdata, unsigned queue, uint32_t offset, uint64_t value) {
        VirtioDevice *dev = userdata;

        if (offset & 1)
                virtio_balloon_set_target(dev, value);
        else
                (void) virtio_balloon_request_stats(dev);
        (void) virtio_balloon_actual(dev);
}

static void take_stats(void *userdata, const VirtioBalloonStats *stats) {
}

static void resized(void *userdata) {
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        VirtioBalloonConfig config = {.reporting = true, .stats = take_stats, .resized = resized};
        VirtioDevice *dev;
        FuzzedDevice f;
        int r;

        fuzzed_init(&f);
        config.loop = f.board->loop;
        r = virtio_balloon_new(&config, &dev);
        assert(r == 0);
        dev->offered |= VIRTIO_F_RING_PACKED;
        fuzzed_attach(&f, dev);
        fuzzed_run(&f, data, size, ask, dev);
        fuzzed_deinit(&f);
        return 0;
}
