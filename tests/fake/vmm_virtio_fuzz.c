/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/vmm_virtio_fuzz.h"

#include <assert.h>

#include "base/clock.h"
#include "base/le.h"

#define RECORD 16u
#define RECORDS_MAX 256u
#define REQUESTS 0x80000u /* where they are put, in guest memory */
#define BAR_BYTES 0x8000u
#define STATUS 0x14u /* in the common configuration */

typedef enum Act {
        ACT_START,
        ACT_BAR_READ,
        ACT_BAR_WRITE,
        ACT_CONFIG_READ,
        ACT_CONFIG_WRITE,
        ACT_MEMORY,
        ACT_REQUEST,
        ACT_HOST,
        ACT_SUSPEND,
        ACT_TURN,
} Act;
#define ACTS (ACT_TURN + 1)

static void end_turn(void *userdata) {
        loop_exit(userdata);
}

/** fuzzed_init() - a board without a device; fuzzed_attach() follows */
void fuzzed_init(FuzzedDevice *f) {
        int r;

        *f = (FuzzedDevice){.board = fake_board_new(FAKE_DOORBELLS | FAKE_ROUTES)};
        r = loop_add_timer(f->board->loop, end_turn, f->board->loop, &f->stop);
        assert(r == 0);
}

/** fuzzed_attach() - put @dev, consumed, on the board's bus */
void fuzzed_attach(FuzzedDevice *f, VirtioDevice *dev) {
        f->dev = dev;
        f->n_queues = dev->n_queues;
        fake_board_add(f->board, dev, FUZZ_SLOT);
        fake_driver_probe(&f->driver, f->board, FUZZ_SLOT);
}

/** fuzzed_turn() - let the loop look at its sources once; a kick that is pending is seen before the timer that is set now */
void fuzzed_turn(FuzzedDevice *f) {
        (void) loop_set_timer(f->stop, clock_monotonic_nsec() + 20000);
        (void) loop_run(f->board->loop);
}

/* A driver that begins well, once: what comes later reaches the queues. What came before may be in its way. */
static void start(FuzzedDevice *f, uint64_t features) {
        if (f->started)
                return;
        fake_driver_probe(&f->driver, f->board, FUZZ_SLOT);
        fake_write(&f->driver, f->driver.common + STATUS, 1, 0);
        fuzzed_turn(f);
        if (fake_driver_status(&f->driver) != 0)
                return;
        f->started = true;
        fake_driver_start(&f->driver, features & f->dev->offered, f->n_queues, true);
}

/* @len bytes to the device, and room for @room bytes from it. */
static void request(FuzzedDevice *f, unsigned queue, const uint8_t *bytes, size_t len,
                    uint32_t room) {
        FakeQueue *q = f->driver.queues + queue;
        gpa_t at = REQUESTS + 0x1000u * (q->avail_index % 64u);
        FakeBuffer buffers[2];
        unsigned n = 0;

        if (!f->started)
                return;
        if (len > 0) {
                (void) guest_mem_write(f->board->mem, at, bytes, len);
                buffers[n++] = (FakeBuffer){at, (uint32_t) len, false};
        }
        if (room > 0 || n == 0)
                buffers[n++] = (FakeBuffer){at + 0x800, room, true};
        fake_queue_add(q, buffers, n);
        fake_queue_kick(q);
}

static void suspend(FuzzedDevice *f, bool on) {
        pci_root_set_suspended(f->board->root, on);
}

/** fuzzed_run() - play the script @data */
void fuzzed_run(FuzzedDevice *f, const uint8_t *data, size_t size, FuzzHostFn host,
                void *userdata) {
        for (unsigned i = 0; i < RECORDS_MAX && size >= RECORD; i++) {
                const unsigned queue = data[1] % f->n_queues, width = 1u << (data[2] % 4);
                const uint32_t offset = le32_load(data + 4);
                const uint64_t value = le64_load(data + 8);
                const Act act = (Act) (data[0] % ACTS);
                size_t len = 0;

                size -= RECORD;
                if (act == ACT_REQUEST)
                        len = MIN((size_t) data[2], size);
                data += RECORD;
                switch (act) {
                case ACT_START:
                        start(f, value);
                        break;
                case ACT_BAR_READ:
                        (void) fake_read(&f->driver, f->driver.bar + offset % BAR_BYTES, width);
                        break;
                case ACT_BAR_WRITE:
                        fake_write(&f->driver, f->driver.bar + offset % BAR_BYTES, width, value);
                        break;
                case ACT_CONFIG_READ:
                        (void) fake_config_read(f->board, FUZZ_SLOT, offset % 4096, MIN(width, 4u));
                        break;
                case ACT_CONFIG_WRITE:
                        fake_config_write(f->board, FUZZ_SLOT, offset % 4096, MIN(width, 4u),
                                          (uint32_t) value);
                        break;
                case ACT_MEMORY:
                        (void) guest_mem_write(f->board->mem, offset % 0x100000, &value, width);
                        break;
                case ACT_REQUEST:
                        request(f, queue, data, len, offset % 0x20000);
                        break;
                case ACT_HOST:
                        if (host)
                                host(userdata, queue, offset, value);
                        break;
                case ACT_SUSPEND:
                        suspend(f, value & 1);
                        break;
                case ACT_TURN:
                        fuzzed_turn(f);
                        break;
                }
                data += len;
                size -= len;
        }
        fuzzed_turn(f);
}

/** fuzzed_deinit() - release board and device; what the device borrowed is still the caller's */
void fuzzed_deinit(FuzzedDevice *f) {
        loop_remove(f->stop);
        pci_root_free(f->board->root);
        f->board->root = NULL;
        fake_board_free(f->board);
}
