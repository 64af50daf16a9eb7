/* SPDX-License-Identifier: Apache-2.0 */

/*
 * BARs. What the kernel lets us map of them goes to the guest as memory while the BAR decodes, so that its accesses reach
 * the device without us; the rest, ports among it, is trapped and passed on in the width it was made. The MSI-X table and
 * its pending bits are ours: the device's own are the host's, and so are the pages around them, which are trapped.
 *
 * Trapped accesses go through the kernel and not through the mapping: to a device that does not answer the kernel returns
 * an error, where the mapping would raise a signal. For that reason a hypervisor that is a part of the VMM has no memory of
 * devices at all: the software processor's accesses are all trapped, each in the width that the guest's instruction has, and
 * it executes nothing there.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/checked.h"
#include "base/le.h"
#include "vmm/mem/memmap.h"
#include "vmm/vfio/vfio_internal.h"

#define BAR_IO 0x1u
#define BAR_TYPE_64 0x4u
#define BAR_TYPE 0x6u
#define BAR_PREFETCHABLE 0x8u

/* ---- which there are ---- */

static int add_bar(VfioFunction *fn, unsigned index, TextError *reterr) {
        const VfioRegion *region = &fn->device.bars[index];
        uint8_t *reg = fn->pci.config + PCI_BAR0 + 4 * index, raw[4];
        PciBarKind kind = PCI_BAR_MEM32;
        int r;

        if (!vfio_device_read(&fn->device, &fn->device.config, PCI_BAR0 + 4 * index, raw,
                              sizeof(raw)))
                return text_error_set(reterr, -EIO, "the device does not answer");
        if (raw[0] & BAR_IO)
                kind = PCI_BAR_IO;
        else if ((raw[0] & BAR_TYPE) == BAR_TYPE_64)
                kind = PCI_BAR_MEM64;
        r = pci_device_add_bar(&fn->pci, index, kind, region->size);
        if (r < 0 || (kind == PCI_BAR_MEM64 && fn->device.bars[index + 1].size != 0))
                return text_error_set(reterr, -EPROTO,
                                      "the device's BAR %u, of 0x%" PRIx64 " bytes, makes no sense",
                                      index, region->size);
        if (kind == PCI_BAR_MEM64 || kind == PCI_BAR_MEM32)
                reg[0] |= raw[0] & BAR_PREFETCHABLE;
        return 0;
}

/* ---- what of them the guest has as memory ---- */

static void add_area(VfioFunction *fn, unsigned bar, uint64_t start, uint64_t end) {
        const VfioRegion *region = &fn->device.bars[bar];
        void *host;

        if (start >= end || fn->n_areas == ELEMENTSOF(fn->areas))
                return;
        host = fn->device.ops->map(fn->device.fd, end - start, region->offset + start);
        if (!host)
                return; /* it is trapped, then */
        fn->areas[fn->n_areas++] = (VfioArea){
                .bar = bar,
                .offset = start,
                .size = end - start,
                .host = host,
                .slot = -1,
        };
}

typedef struct Hole {
        uint64_t first, last; /* page aligned; the same: there is none */
} Hole;

static Hole hole_of(bool here, uint64_t offset, uint64_t len) {
        if (!here || len == 0)
                return (Hole){0};
        return (Hole){align_down(offset, MEMMAP_PAGE_SIZE),
                      align_up(offset + len, MEMMAP_PAGE_SIZE)};
}

/* What the kernel would map, less the pages that the MSI-X table and the pending bits are in. */
static void add_areas(VfioFunction *fn, unsigned bar) {
        const VfioRegion *region = &fn->device.bars[bar];
        const VfioMsixPlace *place = &fn->msix_place;
        Hole holes[] = {
                hole_of(place->table_bar == bar, place->table_offset, place->table_size),
                hole_of(place->pba_bar == bar, place->pba_offset, place->pba_size),
        };

        if (holes[1].first < holes[0].first) {
                const Hole swapped = holes[0];

                holes[0] = holes[1];
                holes[1] = swapped;
        }
        for (unsigned i = 0; i < region->n_areas; i++) {
                uint64_t at = region->areas[i].offset;
                const uint64_t end = at + region->areas[i].size;

                for (unsigned h = 0; h < ELEMENTSOF(holes); h++) {
                        add_area(fn, bar, at, MIN(holes[h].first, end));
                        at = MAX(at, holes[h].last);
                }
                add_area(fn, bar, at, end);
        }
}

/**
 * vfio_bars_init() - give the function the BARs that its device has; behind vfio_config_init(), which found the MSI-X table
 *
 * Return: 0; negative errno with a sentence. vfio_bars_deinit() in either case.
 */
int vfio_bars_init(VfioFunction *fn, TextError *reterr) {
        for (unsigned i = 0; i < PCI_BARS; i++) {
                int r;

                if (fn->device.bars[i].size == 0)
                        continue;
                r = add_bar(fn, i, reterr);
                if (r < 0)
                        return r;
                if (fn->pci.bars[i].kind != PCI_BAR_IO && fn->partition->passthrough)
                        add_areas(fn, i);
        }
        return 0;
}

/** vfio_bars_deinit() - take the mappings away; no vCPU runs */
void vfio_bars_deinit(VfioFunction *fn) {
        for (unsigned i = 0; i < fn->n_areas; i++) {
                VfioArea *area = &fn->areas[i];

                if (area->slot >= 0)
                        fn->partition->passthrough->unmap(fn->partition, (unsigned) area->slot);
                fn->device.ops->unmap(area->host, area->size);
        }
        fn->n_areas = 0;
}

/** vfio_bar_moved() - PciDeviceOps.bar_moved: have the partition map what it can, where the BAR is now */
void vfio_bar_moved(PciDevice *pci, unsigned bar) {
        VfioFunction *fn = (VfioFunction *) pci;
        const PassthroughOps *ops = fn->partition->passthrough;

        for (unsigned i = 0; i < fn->n_areas; i++) {
                VfioArea *area = &fn->areas[i];
                unsigned slot;

                if (area->bar != bar)
                        continue;
                if (area->slot >= 0)
                        ops->unmap(fn->partition, (unsigned) area->slot);
                area->slot = -1;
                if (!pci->bars[bar].mapped || pci->bars[bar].address % MEMMAP_PAGE_SIZE != 0)
                        continue;
                /* One that the hypervisor refuses, as it lies where another does, is trapped. */
                if (ops->map(fn->partition, pci->bars[bar].address + area->offset, area->host,
                             area->size, &slot) >= 0)
                        area->slot = (int) slot;
        }
}

/* ---- trapped accesses ---- */

typedef enum Place { PLACE_DEVICE, PLACE_TABLE, PLACE_PENDING, PLACE_NOWHERE } Place;

static bool meets(uint64_t offset, unsigned size, uint64_t first, uint64_t len) {
        return offset < first + len && first < offset + size;
}

/* An access that is partly to the table would reach the host's: it goes nowhere. */
static Place place_of(const VfioFunction *fn, unsigned bar, uint64_t offset, unsigned size) {
        const VfioMsixPlace *msix = &fn->msix_place;

        if (msix->table_bar == bar && meets(offset, size, msix->table_offset, msix->table_size))
                return offset >= msix->table_offset && range_within(offset - msix->table_offset,
                                                                    size, msix->table_size)
                               ? PLACE_TABLE
                               : PLACE_NOWHERE;
        if (msix->pba_bar == bar && meets(offset, size, msix->pba_offset, msix->pba_size))
                return offset >= msix->pba_offset &&
                                       range_within(offset - msix->pba_offset, size, msix->pba_size)
                               ? PLACE_PENDING
                               : PLACE_NOWHERE;
        return PLACE_DEVICE;
}

static uint64_t read_device(VfioFunction *fn, unsigned bar, uint64_t offset, unsigned size) {
        uint8_t raw[8] = {0};

        fn->n_reads++;
        if (!vfio_device_read(&fn->device, &fn->device.bars[bar], offset, raw, size))
                return UINT64_MAX;
        return le64_load(raw);
}

/** vfio_bar_read() - PciDeviceOps.bar_read */
uint64_t vfio_bar_read(PciDevice *pci, unsigned bar, uint64_t offset, unsigned size) {
        VfioFunction *fn = (VfioFunction *) pci;

        switch (place_of(fn, bar, offset, size)) {
        case PLACE_TABLE:
                return msix_table_read(fn->interrupts.msix, offset - fn->msix_place.table_offset,
                                       size);
        case PLACE_PENDING:
                return msix_pba_read(fn->interrupts.msix, offset - fn->msix_place.pba_offset, size);
        case PLACE_NOWHERE:
                return UINT64_MAX;
        case PLACE_DEVICE:
                break;
        }
        return read_device(fn, bar, offset, size);
}

/** vfio_bar_write() - PciDeviceOps.bar_write */
void vfio_bar_write(PciDevice *pci, unsigned bar, uint64_t offset, unsigned size, uint64_t value) {
        VfioFunction *fn = (VfioFunction *) pci;
        uint8_t raw[8];

        switch (place_of(fn, bar, offset, size)) {
        case PLACE_TABLE:
                msix_table_write(fn->interrupts.msix, offset - fn->msix_place.table_offset, size,
                                 value);
                return;
        case PLACE_PENDING:
        case PLACE_NOWHERE:
                return;
        case PLACE_DEVICE:
                break;
        }
        fn->n_writes++;
        le64_store(raw, value);
        (void) vfio_device_write(&fn->device, &fn->device.bars[bar], offset, raw, size);
}
