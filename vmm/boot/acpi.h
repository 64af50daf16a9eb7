/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The ACPI tables of the board (ACPI 6.4), placed where the kernel's scan and the boot parameters find them. */

#include "base/str.h"
#include "base/text_error.h"
#include "vmm/boot/board.h"
#include "vmm/mem/guest_mem.h"

int acpi_write(const GuestMem *mem, const BoardInfo *board, gpa_t *ret_rsdp);

/* All tables as bytes, and what in them depends on where they are put. */
#define ACPI_RSDP_SIZE 36u

typedef struct AcpiPointer {
        uint32_t offset; /* in the image */
        uint8_t size;    /* bytes: 4 or 8 */
} AcpiPointer;

typedef struct AcpiRange {
        uint32_t offset, length;
} AcpiRange;

typedef struct AcpiImage {
        gpa_t base;
        StrBuf bytes;
        uint8_t rsdp[ACPI_RSDP_SIZE];
        unsigned n_pointers, n_tables;
        AcpiPointer pointers[8 + VMM_ACPI_TABLES_MAX]; /* to other places of the image */
        AcpiRange tables[8 + VMM_ACPI_TABLES_MAX];     /* those with a checksum */
} AcpiImage;

/* Tables that the owner adds, each checked. */
typedef struct AcpiUserTables {
        StrBuf tables[VMM_ACPI_TABLES_MAX];
        unsigned n;
} AcpiUserTables;

int acpi_check_user_table(const void *data, size_t len, TextError *reterr);
int acpi_user_tables_load(const StrVec *paths, AcpiUserTables *ret, TextError *reterr);
void acpi_user_tables_deinit(AcpiUserTables *tables);

int acpi_image_build(const BoardInfo *board, gpa_t base, AcpiImage *ret);
void acpi_image_deinit(AcpiImage *image);

/* For firmware: fw_cfg's files, in the form that says how to put the tables in place. */
#define ACPI_FILE_TABLES "etc/acpi/tables"
#define ACPI_FILE_RSDP "etc/acpi/rsdp"
#define ACPI_FILE_LOADER "etc/table-loader"

typedef struct AcpiFiles {
        StrBuf tables, rsdp, loader;
} AcpiFiles;

int acpi_files_build(const BoardInfo *board, AcpiFiles *ret);
void acpi_files_deinit(AcpiFiles *files);

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
