/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A function of the host that lies about everything, under a guest that does as it likes: configuration space and regions as
 * the device has them, then what guest and device do. The kernel of the tests checks that what it is asked for lies inside
 * what it has said, and that all is given back.
 *
 * Input: 256 bytes of configuration space; binary logarithms of the sizes of 6 BARs, 0 for none; flags of regions; numbers of
 * INTx, MSI and MSI-X; number of areas that can be mapped; what fails; 4 times u32 offset and u32 size of an area; then
 * records of 16 bytes: act, which, width, write, u32 offset, u64 value, little endian.
 */

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/le.h"
#include "base/text_error.h"
#include "tests/fake/vmm_vfio_kernel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SLOT 3u
#define HEAD (PCI_CONFIG_SIZE + PCI_BARS + 6u)
#define AREA 8u
#define RECORDS_AT (HEAD + 4u * AREA)
#define RECORD 16u
#define RECORDS_MAX 128u
#define SIZE_MAX_LOG2 20u

enum { ACT_CONFIG, ACT_BAR, ACT_SIGNAL, ACT_EOI, ACT_TURN, ACTS };
enum { FAIL_MAPS = 1, FAIL_SLOTS = 2, FAIL_BARS = 4, FAIL_VECTORS = 8, LOOPS = 16, INSIDE = 32 };

static FakeVfio *host; /* one for all inputs: it has a directory */

static void remove_sysfs(void) {
        host = fake_vfio_free(host);
}

static void end_turn(void *userdata) {
        loop_exit(userdata);
}

static void turn(const FakeVfio *fake, LoopSource *stop) {
        (void) loop_set_timer(stop, clock_monotonic_nsec() + 20000);
        (void) loop_run(fake->board->loop);
}

static void lie(FakeVfio *fake, const uint8_t *data) {
        const uint8_t *head = data + PCI_CONFIG_SIZE, *areas = data + HEAD;

        memcpy(fake->config, data, PCI_CONFIG_SIZE);
        for (unsigned i = 0; i < PCI_BARS; i++)
                fake->bar_sizes[i] = head[i] == 0 ? 0 : UINT64_C(1) << head[i] % SIZE_MAX_LOG2;
        head += PCI_BARS;
        fake->bar_flags = head[0] & (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
                                     VFIO_REGION_INFO_FLAG_MMAP);
        fake->n_irqs[VFIO_PCI_INTX_IRQ_INDEX] = head[1];
        fake->n_irqs[VFIO_PCI_MSI_IRQ_INDEX] = head[2];
        fake->n_irqs[VFIO_PCI_MSIX_IRQ_INDEX] = head[3];
        fake->n_sparse = head[4] % 6; /* more than there is room for */
        fake->refuse_maps = head[5] & FAIL_MAPS;
        fake->refuse_slots = head[5] & FAIL_SLOTS;
        fake->deaf = head[5] & FAIL_BARS;
        fake->vectors_max = head[5] & FAIL_VECTORS ? 2 : 0;
        fake->sparse_loops = head[5] & LOOPS;
        if (head[5] & INSIDE) { /* a hypervisor that is a part of the VMM */
                fake->board->partition.passthrough = NULL;
                fake->board->partition.msi_routes = NULL;
        }
        for (unsigned i = 0; i < ELEMENTSOF(fake->sparse); i++)
                fake->sparse[i] = (FakeVfioArea){le32_load(areas + i * AREA),
                                                 le32_load(areas + i * AREA + 4)};
}

/* Where the guest has put BAR @bar, or would have, and which bus that is. */
static uint64_t place_of(const FakeVfio *fake, unsigned bar, Bus **ret_bus) {
        const uint32_t low = fake_config_read(fake->board, SLOT, PCI_BAR0 + 4 * bar, 4);

        *ret_bus = low & 1 ? fake->board->pio : fake->board->mmio;
        if (low & 1)
                return low & ~3u & 0xffff;
        if ((low & 6) != 4 || bar + 1 == PCI_BARS)
                return low & ~0xfu;
        return (low & ~0xfu) |
               (uint64_t) fake_config_read(fake->board, SLOT, PCI_BAR0 + 4 * bar + 4, 4) << 32;
}

static void access_bar(const FakeVfio *fake, const uint8_t *record) {
        const unsigned width = 1u << record[2] % 4;
        Bus *bus;
        uint64_t at = place_of(fake, record[1] % PCI_BARS, &bus);

        at += le32_load(record + 4) % (UINT32_C(1) << SIZE_MAX_LOG2);
        if (bus == fake->board->pio)
                at &= 0xffff;
        if (record[3] & 1)
                bus_write(bus, at, width, le64_load(record + 8));
        else
                (void) bus_read(bus, at, width);
}

static void access_config(const FakeVfio *fake, const uint8_t *record) {
        const unsigned width = 1u << record[2] % 3, offset = le32_load(record + 4) % 0x200;

        if (record[3] & 1)
                fake_config_write(fake->board, SLOT, offset, width, le32_load(record + 8));
        else
                (void) fake_config_read(fake->board, SLOT, offset, width);
}

static void perform(const FakeVfio *fake, LoopSource *stop, const uint8_t *record) {
        const unsigned kind = record[1] % FAKE_VFIO_KINDS;

        switch (record[0] % ACTS) {
        case ACT_CONFIG:
                access_config(fake, record);
                break;
        case ACT_BAR:
                access_bar(fake, record);
                break;
        case ACT_SIGNAL:
                if (fake->n_events[kind] > 0)
                        fake_vfio_signal(fake, kind, record[2] % fake->n_events[kind]);
                break;
        case ACT_EOI:
                pci_root_handle_eoi(fake->board->root, pci_slot_gsi(SLOT));
                break;
        default:
                turn(fake, stop);
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(text_error_deinit) TextError why = {0};
        VfioContainer *container;
        VfioFunctionConfig config;
        LoopSource *stop;
        int r;

        if (size < RECORDS_AT)
                return 0;
        if (!host) {
                host = fake_vfio_new();
                (void) atexit(remove_sysfs);
        }
        lie(host, data);
        r = loop_add_timer(host->board->loop, end_turn, host->board->loop, &stop);
        assert(r == 0);
        r = vfio_container_new(&fake_vfio_ops, host->board->mem, &container);
        assert(r == 0);
        config = (VfioFunctionConfig){
                .container = container,
                .path = host->path,
                .root = host->board->root,
                .slot = SLOT,
                .partition = &host->board->partition,
                .loop = host->board->loop,
        };
        r = vfio_function_new(&config, &why);
        for (size_t i = 0; r == 0 && i < RECORDS_MAX && RECORDS_AT + (i + 1) * RECORD <= size; i++)
                perform(host, stop, data + RECORDS_AT + i * RECORD);
        loop_remove(stop);
        fake_vfio_renew(host);
        vfio_container_free(container);
        return 0;
}
