/* SPDX-License-Identifier: Apache-2.0 */
#include "config/vmm_board.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/cleanup.h"

/*
 * Below 4 GiB the guest's RAM ends where the first of the PCI windows begins, and the interrupt controllers begin at
 * 0xfec00000. A quarter of a GiB of RAM is the least that boots something.
 */
#define LOW_START UINT64_C(0x10000000)
#define LOW_END UINT64_C(0xfec00000)
#define ECAM_ALIGN UINT64_C(0x100000) /* of one bus */
#define WINDOW_ALIGN UINT64_C(0x1000)

/** vmm_board_deinit() - release what @board owns */
void vmm_board_deinit(VmmBoard *board) {
        free(board->smbios.bios_vendor);
        free(board->smbios.bios_version);
        free(board->smbios.manufacturer);
        free(board->smbios.product_name);
        free(board->smbios.serial_number);
        strvec_deinit(&board->acpi_tables);
        *board = (VmmBoard){0};
}

static int check_window(const char *name, const VmmRange *range, uint64_t align,
                        TextError *reterr) {
        uint64_t end;

        if (range->size == 0)
                return 0;
        if ((range->start | range->size) % align != 0)
                return text_error_set(reterr, -EINVAL,
                                      "--pci: %s: expected multiples of 0x%" PRIx64, name, align);
        if (!ADD_CHECKED(range->start, range->size, &end) || range->start < LOW_START ||
            end > LOW_END)
                return text_error_set(reterr, -EINVAL,
                                      "--pci: %s: expected a range from 0x%" PRIx64
                                      " to 0x%" PRIx64,
                                      name, LOW_START, LOW_END);
        return 0;
}

static int check_stubs(const VmmBoard *board, TextError *reterr) {
        for (size_t i = 0; i < board->n_stubs; i++)
                for (size_t j = 0; j < i; j++)
                        if (board->stubs[i].slot == board->stubs[j].slot)
                                return text_error_set(reterr, -EINVAL,
                                                      "--stub-pci-device: 00:%02x.0 is given twice",
                                                      board->stubs[i].slot);
        return 0;
}

/**
 * vmm_board_validate() - whether the options make sense together
 * @firmware: --bios is given
 *
 * Return: 0; -EINVAL with a sentence that names the options.
 */
int vmm_board_validate(const VmmBoard *board, bool firmware, TextError *reterr) {
        int r;

        if (board->acpi_tables.n > VMM_ACPI_TABLES_MAX)
                return text_error_set(reterr, -EINVAL, "--acpi-table: more than %u",
                                      VMM_ACPI_TABLES_MAX);
        if (firmware &&
            (board->pci_mem.size > 0 || board->pci_ecam.size > 0 || board->n_mmio_ranges > 0))
                return text_error_set(reterr, -EINVAL,
                                      "--pci, --mmio-address-range: firmware (--bios) places PCI "
                                      "devices by itself");
        if (firmware && board->no_config_ports)
                return text_error_set(reterr, -EINVAL,
                                      "--break-linux-pci-config-io: firmware (--bios) needs the "
                                      "ports");
        r = check_window("mem", &board->pci_mem, WINDOW_ALIGN, reterr);
        if (r < 0)
                return r;
        r = check_window("ecam", &board->pci_ecam, ECAM_ALIGN, reterr);
        if (r < 0)
                return r;
        return check_stubs(board, reterr);
}

/** vmm_board_limit() - the largest part of @window that --mmio-address-range leaves; size 0: nothing of it */
VmmRange vmm_board_limit(const VmmBoard *board, VmmRange window) {
        VmmRange best = {.start = window.start};

        if (board->n_mmio_ranges == 0)
                return window;
        for (size_t i = 0; i < board->n_mmio_ranges; i++) {
                const VmmRange *range = &board->mmio_ranges[i];
                const uint64_t start = MAX(window.start, range->start);
                const uint64_t end = MIN(window.start + window.size, range->start + range->size);

                if (start < end && end - start > best.size)
                        best = (VmmRange){.start = start, .size = end - start};
        }
        return best;
}
