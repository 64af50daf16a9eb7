/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The file system device between a guest that does what it likes and a process that ends requests which it may not have
 * been given, scribbles into the rings that it shares with us, and dies.
 */

#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "tests/fake/vmm_vhost_fake.h"
#include "tests/fake/vmm_virtio_fuzz.h"
#include "vmm/virtio/devices.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void act(void *userdata, unsigned queue, uint32_t offset, uint64_t value) {
        FakeVhost *process = userdata;

        switch (value >> 62) {
        case 0:
                fake_vhost_end(process, queue, offset, (uint32_t) value);
                break;
        case 1: /* in order, as a good one does */
                fake_vhost_end(process, queue, process->ended[queue], (uint32_t) value & 0xff);
                break;
        case 2:
                memcpy(process->rings + offset % (2 * VHOST_RING_BYTES - 8), &value, sizeof(value));
                break;
        default:
                fake_vhost_hang_up(process);
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        VhostUserConfig config = {.min_queues = VIRTIO_FS_QUEUES, .max_queues = VIRTIO_FS_QUEUES};
        FakeVhost process;
        VirtioDevice *dev;
        VhostUser *vhost;
        FuzzedDevice f;
        int r;

        log_set_level(LOG_LEVEL_OFF);
        fuzzed_init(&f);
        config.mem = f.board->mem;
        config.loop = f.board->loop;
        r = vhost_user_new_consume(fake_vhost_connect(&process), &config, &vhost, NULL);
        assert(r == 0);
        r = virtio_fs_new(vhost, "work", &dev, NULL);
        assert(r == 0);
        fake_vhost_meet(&process);
        fuzzed_attach(&f, dev);
        fuzzed_run(&f, data, size, act, &process);
        fuzzed_deinit(&f);
        fake_vhost_deinit(&process);
        return 0;
}
