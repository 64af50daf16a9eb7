/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A disk, a network card, a console and so on between a guest that does what it likes and a process that ends requests which it
 * may not have been given, answers what it likes when it likes, scribbles into the rings that it shares with us, and dies.
 * Input: a byte that chooses the device, then the script of tests/fake/vmm_virtio_fuzz.h.
 */

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

#include "base/le.h"
#include "base/log.h"
#include "tests/fake/vmm_vhost_fake.h"
#include "tests/fake/vmm_virtio_fuzz.h"
#include "vmm/virtio/devices.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CONFIG_MAX 60u

static const struct {
        uint16_t type;
        unsigned n_queues;
        size_t config_len;
} devices[] = {
        {VIRTIO_TYPE_BLOCK, 2, CONFIG_MAX}, {VIRTIO_TYPE_NET, 2, 12},
        {VIRTIO_TYPE_VSOCK, 2, 8},          {VIRTIO_TYPE_RNG, 1, 0},
        {VIRTIO_TYPE_CONSOLE, 6, 8}, /* of two ports */
};

/* A word on one of the sockets. The frontend hangs up on what is wrong, so that it may not be heard. */
static void say(int fd, uint32_t request, uint32_t flags, const void *payload, size_t len) {
        uint8_t message[VHOST_HEADER_LEN + 80] = {0};

        le32_store(message, request);
        le32_store(message + 4, flags);
        le32_store(message + 8, (uint32_t) len);
        memcpy(message + VHOST_HEADER_LEN, payload, len);
        (void) !send(fd, message, VHOST_HEADER_LEN + len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void answer(FakeVhost *process, uint32_t offset, uint64_t value) {
        uint8_t payload[VHOST_CONFIG_HEADER_LEN + CONFIG_MAX];

        memset(payload, (uint8_t) value, sizeof(payload));
        switch (offset % 4) {
        case 0: /* a queue has stopped */
                le64_store(payload, value % 8);
                say(process->fd, VHOST_GET_VRING_BASE, FAKE_VHOST_REPLY, payload, 8);
                break;
        case 1: /* the configuration */
                le32_store(payload, 0);
                le32_store(payload + 4, (uint32_t) (value >> 8) % 64);
                le32_store(payload + 8, 0);
                say(process->fd, VHOST_GET_CONFIG, FAKE_VHOST_REPLY, payload,
                    VHOST_CONFIG_HEADER_LEN + (value >> 8) % 61);
                break;
        case 2:
                say(process->back_fd, VHOST_BACKEND_CONFIG_CHANGE, FAKE_VHOST_UNASKED, payload, 0);
                break;
        default:
                say(process->fd, (uint32_t) value, (uint32_t) (value >> 32) % 8, payload,
                    value % 61);
                break;
        }
}

static void act(void *userdata, unsigned queue, uint32_t offset, uint64_t value) {
        FakeVhost *process = userdata;

        fake_vhost_meet(process);
        queue %= process->n_queues;
        switch (value >> 61) {
        case 0:
                fake_vhost_end(process, queue, offset, (uint32_t) value);
                break;
        case 1:
        case 2: /* in order, as a good one does */
                fake_vhost_end(process, queue, process->ended[queue], (uint32_t) value & 0xff);
                break;
        case 3:
                memcpy(process->rings + offset % (process->n_queues * VHOST_RING_BYTES - 8), &value,
                       sizeof(value));
                break;
        case 4:
        case 5:
        case 6:
                answer(process, offset, value);
                break;
        default:
                fake_vhost_hang_up(process);
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        uint8_t told[CONFIG_MAX];
        VirtioVhostUserConfig config = {.n_vcpus = 2, .name = "device"};
        FakeVhostOptions options = {.features = UINT64_C(0xffffffff), .config = told};
        FakeVhost process;
        VirtioDevice *dev;
        FuzzedDevice f;
        unsigned which;
        int r;

        if (size < 1)
                return 0;
        which = data[0] % ELEMENTSOF(devices);
        log_set_level(LOG_LEVEL_OFF);
        fuzzed_init(&f);
        config.type = devices[which].type;
        config.mem = f.board->mem;
        config.loop = f.board->loop;
        config.queue_size = data[0] & 0x80 ? 16 : 0;
        options.n_queues = devices[which].n_queues;
        options.config_len = devices[which].config_len;
        memset(told, data[0], sizeof(told));
        r = virtio_vhost_user_new_consume(fake_vhost_connect_as(&process, &options), &config, &dev,
                                          NULL);
        assert(r == 0);
        fake_vhost_meet(&process);
        fuzzed_attach(&f, dev);
        fuzzed_run(&f, data + 1, size - 1, act, &process);
        fuzzed_deinit(&f);
        fake_vhost_deinit(&process);
        return 0;
}
