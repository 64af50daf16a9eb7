/* SPDX-License-Identifier: Apache-2.0 */

/*
 * All device models behind the PCI transport, driven by a script of guest acts: accesses to configuration space and
 * BARs, writes to guest memory, kicks, and turns of the device's loop. The disk is a file in memory.
 *
 * Input: records of 16 bytes: act, slot, size, spare, u32 offset, u64 value, all little endian.
 */

#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/le.h"
#include "tests/fake/vmm_virtio_driver.h"
#include "vmm/block/block_internal.h"
#include "vmm/virtio/devices.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORD 16u
#define RECORDS_MAX 256u
#define DISK_BYTES 65536u

#define SLOT_BLK 1u
#define SLOT_CONSOLE 2u
#define SLOT_RNG 3u
#define SLOT_BALLOON 4u
#define SLOTS 5u

enum { ACT_CONFIG_READ, ACT_CONFIG_WRITE, ACT_BAR_READ, ACT_BAR_WRITE, ACT_MEMORY, ACT_TURN };

typedef struct Fuzzed {
        FakeBoard *board;
        CharDev *chardev;
        LoopSource *stop; /* a timer that ends a turn */
} Fuzzed;

static void attach(Fuzzed *f, VirtioDevice *dev, unsigned slot) {
        fake_board_add(f->board, dev, slot);
        fake_config_write(f->board, slot, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void attach_disk(Fuzzed *f) {
        BlockFile file = {.size_bytes = DISK_BYTES, .align_bytes = 1, .sparse = true};
        VirtioBlkConfig config = {.n_queues = 2, .block_size = 512, .packed = true};
        VirtioDevice *dev;
        BlockDev *disk;
        Aio *aio;
        int r;

        file.fd = memfd_create("disk", MFD_CLOEXEC);
        assert(file.fd >= 0);
        r = ftruncate(file.fd, DISK_BYTES);
        assert(r == 0);
        r = aio_workers_new(f->board->loop, &aio);
        assert(r == 0);
        r = raw_new(&file, aio, &disk);
        assert(r == 0);
        aio_unref(aio);
        r = virtio_blk_new(disk, &config, &dev, NULL);
        assert(r == 0);
        attach(f, dev, SLOT_BLK);
}

static void end_turn(void *userdata) {
        loop_exit(userdata);
}

static void fuzzed_init(Fuzzed *f) {
        VmmSerial sink = {.type = VMM_SERIAL_SINK, .num = 1};
        VirtioDevice *dev;
        int r;

        f->board = fake_board_new(FAKE_DOORBELLS | FAKE_ROUTES);
        attach_disk(f);
        r = char_new(&sink, f->board->loop, &f->chardev, NULL);
        assert(r == 0);
        r = virtio_console_new(f->chardev, &dev);
        assert(r == 0);
        attach(f, dev, SLOT_CONSOLE);
        r = virtio_rng_new(&dev);
        assert(r == 0);
        attach(f, dev, SLOT_RNG);
        r = virtio_balloon_new(&(VirtioBalloonConfig){.loop = f->board->loop, .reporting = true},
                               &dev);
        assert(r == 0);
        attach(f, dev, SLOT_BALLOON);
        r = loop_add_timer(f->board->loop, end_turn, f->board->loop, &f->stop);
        assert(r == 0);
}

/* Lets the loop look at its sources once; a kick that is pending is seen before the timer that is set now. */
static void turn(Fuzzed *f) {
        (void) loop_set_timer(f->stop, clock_monotonic_nsec() + 20000);
        (void) loop_run(f->board->loop);
}

static uint64_t bar_of(Fuzzed *f, unsigned slot) {
        return (fake_config_read(f->board, slot, PCI_BAR0, 4) & ~0xfu) |
               (uint64_t) fake_config_read(f->board, slot, PCI_BAR0 + 4, 4) << 32;
}

static void perform(Fuzzed *f, const uint8_t *record) {
        FakeDriver driver = {.board = f->board, .slot = record[1] % SLOTS};
        unsigned size = 1u << (record[2] % 4);
        uint32_t offset = le32_load(record + 4);
        uint64_t value = le64_load(record + 8);

        switch (record[0] % 6) {
        case ACT_CONFIG_READ:
                (void) fake_config_read(f->board, driver.slot, offset % 4096, size);
                break;
        case ACT_CONFIG_WRITE:
                fake_config_write(f->board, driver.slot, offset % 4096, size, (uint32_t) value);
                break;
        case ACT_BAR_READ:
                (void) fake_read(&driver, bar_of(f, driver.slot) + offset % 0x8000, size);
                break;
        case ACT_BAR_WRITE:
                fake_write(&driver, bar_of(f, driver.slot) + offset % 0x8000, size, value);
                break;
        case ACT_MEMORY:
                (void) guest_mem_write(f->board->mem, offset, &value, size);
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
        char_free(f.chardev);
        fake_board_free(f.board);
        return 0;
}
