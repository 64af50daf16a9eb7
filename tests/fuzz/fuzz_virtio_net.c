/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The network device under a guest that writes what it likes into registers, rings and frames, and a wire that carries what
 * it likes. Input: records of 16 bytes: act, spare, size, spare, u32 offset, u64 value, all little endian.
 */

#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/le.h"
#include "tests/fake/vmm_net_fake.h"
#include "tests/fake/vmm_virtio_driver.h"
#include "vmm/virtio/devices.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORD 16u
#define RECORDS_MAX 256u
#define SLOT 1u
#define OFFERED UINT64_C(0x1c0000430c3bbaf) /* what the device offers over the fake wire */

enum { ACT_START, ACT_BAR_READ, ACT_BAR_WRITE, ACT_MEMORY, ACT_OFFER, ACT_WIRE, ACT_TURN, ACTS };

typedef struct Fuzzed {
        FakeBoard *board;
        FakeDriver driver;
        LoopSource *stop;
        bool started;
        int wire;
} Fuzzed;

static void end_turn(void *userdata) {
        loop_exit(userdata);
}

static void fuzzed_init(Fuzzed *f) {
        VirtioNetConfig net_config = {.mergeable = true, .packed = true};
        VirtioDevice *dev;
        int r;

        f->board = fake_board_new(FAKE_DOORBELLS | FAKE_ROUTES);
        r = virtio_net_new(&fake_net_new(f->board->loop, 2, &f->wire)->net, &net_config, &dev);
        assert(r == 0);
        fake_board_add(f->board, dev, SLOT);
        fake_driver_probe(&f->driver, f->board, SLOT);
        r = loop_add_timer(f->board->loop, end_turn, f->board->loop, &f->stop);
        assert(r == 0);
}

/* Lets the loop look at its sources once; a kick that is pending is seen before the timer that is set now. */
static void turn(Fuzzed *f) {
        (void) loop_set_timer(f->stop, clock_monotonic_nsec() + 20000);
        (void) loop_run(f->board->loop);
}

/* A driver that begins well, once: what comes later reaches the queues. */
static void start(Fuzzed *f, uint64_t features) {
        if (f->started)
                return;
        f->started = true;
        fake_driver_start(&f->driver, features, 3, true);
}

static void offer(Fuzzed *f, unsigned queue, uint64_t value, uint32_t offset) {
        FakeQueue *q = f->driver.queues + queue % 3;
        FakeBuffer buffers[] = {
                {offset % FAKE_MEM_BYTES, (uint32_t) value & 0x1ffff, value >> 32 & 1},
                {value >> 40, (uint32_t) (value >> 33) & 0xffff, true}};

        if (!f->started)
                return;
        fake_queue_add(q, buffers, value >> 63 ? 2 : 1);
        fake_queue_kick(q);
}

static void perform(Fuzzed *f, const uint8_t *record) {
        static const uint8_t frame[66000];
        unsigned size = 1u << (record[2] % 4);
        uint32_t offset = le32_load(record + 4);
        uint64_t value = le64_load(record + 8);

        switch (record[0] % ACTS) {
        case ACT_START:
                start(f, value & OFFERED);
                break;
        case ACT_BAR_READ:
                (void) fake_read(&f->driver, f->driver.bar + offset % 0x8000, size);
                break;
        case ACT_BAR_WRITE:
                fake_write(&f->driver, f->driver.bar + offset % 0x8000, size, value);
                break;
        case ACT_MEMORY:
                (void) guest_mem_write(f->board->mem, offset % 0x40000, &value, size);
                break;
        case ACT_OFFER:
                offer(f, record[1], value, offset);
                break;
        case ACT_WIRE:
                (void) send(f->wire, frame, offset % sizeof(frame), MSG_DONTWAIT | MSG_NOSIGNAL);
                break;
        case ACT_TURN:
                turn(f);
                break;
        default:
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Fuzzed f = {0};

        fuzzed_init(&f);
        for (size_t i = 0; i < RECORDS_MAX && (i + 1) * RECORD <= size; i++)
                perform(&f, data + i * RECORD);
        turn(&f);
        loop_remove(f.stop);
        pci_root_free(f.board->root);
        f.board->root = NULL;
        fake_board_free(f.board);
        (void) fd_close(f.wire);
        return 0;
}
