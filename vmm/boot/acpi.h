/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The ACPI tables of the board (ACPI 6.4), placed where the kernel's scan and the boot parameters find them. */

#include "base/str.h"
#include "vmm/boot/board.h"
#include "vmm/mem/guest_mem.h"

int acpi_write(const GuestMem *mem, const BoardInfo *board, gpa_t *ret_rsdp);

#define ACPI_HEADER_SIZE 36u /* of every table but RSDP and FACS */

/* Inside vmm/boot: byte images of tables under construction. */
void acpi_begin_table(StrBuf *table, const char signature[static 4], uint8_t revision);
void acpi_end_table(StrBuf *table);
uint8_t acpi_checksum(const void *data, size_t len);
void acpi_build_dsdt(StrBuf *table, const BoardInfo *board);
void acpi_build_wdat(StrBuf *table);
struct Aml;
void acpi_add_pci_hotplug(struct Aml *aml);
void acpi_add_pci_hotplug_event(struct Aml *aml);
