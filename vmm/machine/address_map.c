/* SPDX-License-Identifier: Apache-2.0 */

/* Where RAM ends and PCI devices have their memory. */

#include <errno.h>
#include <inttypes.h>

#include "base/checked.h"
#include "vmm/machine/machine_internal.h"
#include "vmm/mem/memmap.h"

static bool overlap(const VmmRange *a, const VmmRange *b) {
        return a->start < b->start + b->size && b->start < a->start + a->size;
}

/**
 * machine_plan_low_map() - the 32-bit PCI window and configuration space, as --pci and --mmio-address-range have them
 * @ret_low_end: where RAM below 4 GiB has to end
 *
 * Return: 0; -EINVAL with a sentence.
 */
int machine_plan_low_map(Machine *machine, const VmmConfig *config, gpa_t *ret_low_end,
                         TextError *reterr) {
        const VmmBoard *board = &config->board;
        VmmRange mem = board->pci_mem, ecam = board->pci_ecam;

        if (config->bios) {
                *ret_low_end = MEMMAP_FIRMWARE_LOW_RAM_END;
                return 0;
        }
        if (mem.size == 0)
                mem = (VmmRange){MEMMAP_PCI32_BASE, MEMMAP_PCI32_SIZE};
        if (ecam.size == 0)
                ecam = (VmmRange){MEMMAP_ECAM_BASE, MEMMAP_ECAM_SIZE};
        if (overlap(&mem, &ecam))
                return text_error_set(reterr, -EINVAL,
                                      "--pci: mem, from 0x%" PRIx64 " to 0x%" PRIx64
                                      ", and ecam, from 0x%" PRIx64 ", overlap",
                                      mem.start, mem.start + mem.size - 1, ecam.start);
        *ret_low_end = MIN(mem.start, ecam.start);
        *ret_low_end = MIN(*ret_low_end, MEMMAP_LOW_RAM_END);
        machine->ecam = ecam;
        machine->pci32 = vmm_board_limit(board, mem);
        if (machine->pci32.size == 0)
                return text_error_set(reterr, -EINVAL,
                                      "--mmio-address-range: leaves nothing of the PCI window from "
                                      "0x%" PRIx64 " to 0x%" PRIx64,
                                      mem.start, mem.start + mem.size - 1);
        return 0;
}

/**
 * machine_plan_high_map() - files of the host above RAM, and the 64-bit PCI window above them
 *
 * The window is cut to what the processor can address.
 *
 * Return: 0; -E2BIG when RAM is more than that; other negative errno; all with a sentence.
 */
int machine_plan_high_map(Machine *machine, const VmmConfig *config, unsigned physical_bits,
                          TextError *reterr) {
        const GuestRegion *last = &machine->mem->regions[machine->mem->n_regions - 1];
        const uint64_t limit = UINT64_C(1) << physical_bits;
        uint64_t end = MAX(last->gpa + last->size_bytes, MEMMAP_HIGH_RAM_BASE);
        VmmRange window = {0};
        int r;

        r = machine_map_files(machine, config, &end, reterr);
        if (r == 0)
                r = machine_map_pmems(machine, config, &end, reterr);
        if (r == 0)
                r = machine_map_pstore(machine, config, &end, reterr);
        if (r < 0)
                return r;
        if (end > limit)
                return text_error_set(reterr, -E2BIG,
                                      "%" PRIu64 " MiB of memory are more than the processor's %u "
                                      "address bits reach",
                                      machine->mem->size_bytes >> 20, physical_bits);
        window.start = align_up(end, MEMMAP_PCI64_ALIGN);
        if (window.start < limit)
                window.size = config->bios ? limit - window.start /* it places BARs in all of it */
                                           : MIN(MEMMAP_PCI64_SIZE, limit - window.start);
        machine->pci64 = vmm_board_limit(&config->board, window);
        return 0;
}
