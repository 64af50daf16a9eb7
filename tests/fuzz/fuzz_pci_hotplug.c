/* SPDX-License-Identifier: Apache-2.0 */

/*
 * PCI functions that come and go under a guest that reads and writes configuration space, BARs and the registers of
 * hotplug as it likes, and hands back what nobody asked for.
 *
 * Input: records of 16 bytes: act, slot, width, spare, u32 offset, u64 value, little endian.
 */

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/le.h"
#include "tests/fake/vmm_virtio_driver.h"
#include "vmm/mem/memmap.h"
#include "vmm/pci/hotplug.h"
#include "vmm/virtio/devices.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORD 16u
#define RECORDS_MAX 256u
#define SLOTS 6u

enum { ACT_CONFIG, ACT_MECHANISM, ACT_MEMORY, ACT_REGISTERS, ACT_PLUG, ACT_ASK, ACT_TURN, ACTS };

typedef struct Fuzzed {
        FakeBoard *board;
        PciHotplug *hotplug;
        LoopSource *stop;
        bool taken[PCI_SLOTS];
} Fuzzed;

static void end_turn(void *userdata) {
        loop_exit(userdata);
}

static void on_ejected(void *userdata, unsigned slot) {
        Fuzzed *f = userdata;

        assert(f->taken[slot]);
        f->taken[slot] = false;
        pci_root_unplug(f->board->root, slot);
}

static void plug(Fuzzed *f, bool plugged) {
        VirtioPciConfig config = {.root = f->board->root,
                                  .slot = pci_root_free_slot(f->board->root),
                                  .partition = &f->board->partition,
                                  .mem = f->board->mem,
                                  .loop = f->board->loop,
                                  .plugged = plugged};
        VirtioDevice *dev;
        int r;

        if (config.slot == 0 || config.slot >= SLOTS)
                return;
        r = virtio_rng_new(&dev);
        assert(r == 0);
        if (virtio_pci_new(dev, &config) < 0)
                return;
        f->taken[config.slot] = true;
        pci_hotplug_set_removable(f->hotplug, config.slot, true);
        if (plugged)
                pci_hotplug_announce(f->hotplug, config.slot);
}

static void access(Bus *bus, bool write, uint64_t address, unsigned width, uint64_t value) {
        if (write)
                (void) bus_write(bus, address, width, value);
        else
                (void) bus_read(bus, address, width);
}

static void turn(Fuzzed *f) {
        (void) loop_set_timer(f->stop, clock_monotonic_nsec() + 20000);
        (void) loop_run(f->board->loop);
}

static uint64_t bar_of(Fuzzed *f, unsigned slot) {
        return (fake_config_read(f->board, slot, PCI_BAR0, 4) & ~0xfu) |
               (uint64_t) fake_config_read(f->board, slot, PCI_BAR0 + 4, 4) << 32;
}

static void perform(Fuzzed *f, const uint8_t *record) {
        const unsigned slot = record[1] % SLOTS, width = 1u << (record[2] % 4);
        const uint32_t offset = le32_load(record + 4);
        const uint64_t value = le64_load(record + 8);
        const bool write = record[3] & 1;

        switch (record[0] % ACTS) {
        case ACT_CONFIG:
                if (write)
                        fake_config_write(f->board, slot, offset % 4096, MIN(width, 4u),
                                          (uint32_t) value);
                else
                        (void) fake_config_read(f->board, slot, offset % 4096, MIN(width, 4u));
                break;
        case ACT_MECHANISM:
                access(f->board->pio, write, IOPORT_PCI_CONFIG_ADDRESS + offset % 8, MIN(width, 4u),
                       value);
                break;
        case ACT_MEMORY:
                access(f->board->mmio, write, bar_of(f, slot) + offset % 0x10000, width, value);
                break;
        case ACT_REGISTERS:
                access(f->board->pio, write, IOPORT_PCI_HOTPLUG + offset % PCI_HOTPLUG_SIZE,
                       MIN(width, 4u), value);
                break;
        case ACT_PLUG:
                plug(f, true);
                break;
        case ACT_ASK:
                pci_hotplug_request(f->hotplug, slot);
                break;
        default:
                turn(f);
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Fuzzed f = {.board = fake_board_new(FAKE_DOORBELLS | FAKE_ROUTES)};
        int r;

        r = pci_hotplug_new(f.board->root, f.board->pio, f.board->loop, on_ejected, &f, &f.hotplug);
        assert(r == 0);
        r = loop_add_timer(f.board->loop, end_turn, f.board->loop, &f.stop);
        assert(r == 0);
        plug(&f, false);
        for (size_t i = 0; i < RECORDS_MAX && (i + 1) * RECORD <= size; i++)
                perform(&f, data + i * RECORD);
        turn(&f);
        loop_remove(f.stop);
        pci_hotplug_free(f.hotplug);
        pci_root_free(f.board->root);
        f.board->root = NULL;
        fake_board_free(f.board);
        return 0;
}
