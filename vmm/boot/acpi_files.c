/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The tables as firmware takes them: it allocates memory for the files of fw_cfg, and follows a script that says which
 * bytes are pointers into which file and which are checksums (QEMU's "linker/loader" interface). Pointers hold offsets
 * until then, and checksums zero.
 */

#include <errno.h>
#include <string.h>

#include "base/le.h"
#include "vmm/boot/acpi.h"

#define NAME_SIZE 56u
#define COMMAND_SIZE 128u

enum { LOADER_ALLOCATE = 1, LOADER_ADD_POINTER = 2, LOADER_ADD_CHECKSUM = 3 };
enum { ZONE_HIGH = 1, ZONE_F_SEGMENT = 2 };

#define TABLES_ALIGN 64u
#define RSDP_ALIGN 16u
#define RSDP_CHECKSUM 8u
#define RSDP_V1_SIZE 20u
#define RSDP_XSDT 24u
#define RSDP_EXTENDED_CHECKSUM 32u
#define TABLE_CHECKSUM 9u

static void put_name(uint8_t *at, const char *name) {
        memcpy(at, name, strlen(name)); /* shorter than NAME_SIZE; what follows is zero */
}

static void add_allocate(StrBuf *loader, const char *file, uint32_t align, uint8_t zone) {
        uint8_t command[COMMAND_SIZE] = {LOADER_ALLOCATE};

        put_name(command + 4, file);
        le32_store(command + 4 + NAME_SIZE, align);
        command[8 + NAME_SIZE] = zone;
        strbuf_append_bytes(loader, command, sizeof(command));
}

static void add_pointer(StrBuf *loader, const char *file, uint32_t offset, uint8_t size) {
        uint8_t command[COMMAND_SIZE] = {LOADER_ADD_POINTER};

        put_name(command + 4, file);
        put_name(command + 4 + NAME_SIZE, ACPI_FILE_TABLES); /* all pointers lead there */
        le32_store(command + 4 + 2 * NAME_SIZE, offset);
        command[8 + 2 * NAME_SIZE] = size;
        strbuf_append_bytes(loader, command, sizeof(command));
}

static void add_checksum(StrBuf *loader, const char *file, uint32_t at, uint32_t start,
                         uint32_t length) {
        uint8_t command[COMMAND_SIZE] = {LOADER_ADD_CHECKSUM};

        put_name(command + 4, file);
        le32_store(command + 4 + NAME_SIZE, at);
        le32_store(command + 8 + NAME_SIZE, start);
        le32_store(command + 12 + NAME_SIZE, length);
        strbuf_append_bytes(loader, command, sizeof(command));
}

static void add_tables(AcpiFiles *files, AcpiImage *image) {
        add_allocate(&files->loader, ACPI_FILE_TABLES, TABLES_ALIGN, ZONE_HIGH);
        for (unsigned i = 0; i < image->n_pointers; i++)
                add_pointer(&files->loader, ACPI_FILE_TABLES, image->pointers[i].offset,
                            image->pointers[i].size);
        for (unsigned i = 0; i < image->n_tables; i++) {
                const AcpiRange *table = &image->tables[i];

                image->bytes.data[table->offset + TABLE_CHECKSUM] = 0;
                add_checksum(&files->loader, ACPI_FILE_TABLES, table->offset + TABLE_CHECKSUM,
                             table->offset, table->length);
        }
        strbuf_append_bytes(&files->tables, image->bytes.data, image->bytes.len);
}

static void add_rsdp(AcpiFiles *files, AcpiImage *image) {
        image->rsdp[RSDP_CHECKSUM] = image->rsdp[RSDP_EXTENDED_CHECKSUM] = 0;
        strbuf_append_bytes(&files->rsdp, image->rsdp, sizeof(image->rsdp));
        add_allocate(&files->loader, ACPI_FILE_RSDP, RSDP_ALIGN, ZONE_F_SEGMENT);
        add_pointer(&files->loader, ACPI_FILE_RSDP, RSDP_XSDT, 8);
        add_checksum(&files->loader, ACPI_FILE_RSDP, RSDP_CHECKSUM, 0, RSDP_V1_SIZE);
        add_checksum(&files->loader, ACPI_FILE_RSDP, RSDP_EXTENDED_CHECKSUM, 0, ACPI_RSDP_SIZE);
}

/**
 * acpi_files_build() - the tables of @board, their anchor, and the script
 * @ret: zeroed by the caller; release with acpi_files_deinit(), also on failure
 *
 * Return: 0 or -ENOMEM.
 */
int acpi_files_build(const BoardInfo *board, AcpiFiles *ret) {
        _cleanup_(acpi_image_deinit) AcpiImage image = {0};
        int r;

        r = acpi_image_build(board, /* base= */ 0, &image);
        if (r < 0)
                return r;
        add_tables(ret, &image);
        add_rsdp(ret, &image);
        return ret->tables.failed || ret->rsdp.failed || ret->loader.failed ? -ENOMEM : 0;
}

/** acpi_files_deinit() - release what acpi_files_build() made */
void acpi_files_deinit(AcpiFiles *files) {
        strbuf_deinit(&files->tables);
        strbuf_deinit(&files->rsdp);
        strbuf_deinit(&files->loader);
}
