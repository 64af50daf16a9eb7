/* SPDX-License-Identifier: Apache-2.0 */

/* Tables that the owner adds. */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "vmm/boot/acpi.h"
#include "vmm/boot/image_file.h"

#define ACPI_USER_TABLE_MAX 0x8000u /* all tables share 64 KiB */

/* The board's own: a second one would say something else of the same thing. */
static const char of_the_board[][5] = {"RSDT", "XSDT", "FACP", "FACS",
                                       "DSDT", "APIC", "MCFG", "WDAT"};

/**
 * acpi_check_user_table() - whether @len bytes are a table that may stand beside the board's
 *
 * Header, length and checksum are looked at; what is behind the header is the guest's to judge.
 *
 * Return: 0; -EINVAL with a sentence.
 */
int acpi_check_user_table(const void *data, size_t len, TextError *reterr) {
        const uint8_t *table = data;

        if (len < ACPI_HEADER_SIZE)
                return text_error_set(reterr, -EINVAL, "it is shorter than a table's header");
        for (unsigned i = 0; i < 4; i++)
                if (!isupper(table[i]) && !isdigit(table[i]))
                        return text_error_set(reterr, -EINVAL,
                                              "it does not begin with a table's signature");
        for (size_t i = 0; i < ELEMENTSOF(of_the_board); i++)
                if (memcmp(of_the_board[i], table, 4) == 0)
                        return text_error_set(reterr, -EINVAL, "the board has a %s of its own",
                                              of_the_board[i]);
        if (le32_load(table + 4) != len)
                return text_error_set(reterr, -EINVAL,
                                      "its header says %u bytes, and the file has %zu",
                                      le32_load(table + 4), len);
        if (acpi_checksum(table, len) != 0)
                return text_error_set(reterr, -EINVAL, "its checksum is wrong");
        return 0;
}

static int read_table(const ImageFile *file, StrBuf *ret, TextError *reterr) {
        _cleanup_(freep) uint8_t *data = NULL;
        int r;

        if (file->size > ACPI_USER_TABLE_MAX)
                return text_error_set(reterr, -EFBIG, "a table has at most %u bytes",
                                      ACPI_USER_TABLE_MAX);
        data = malloc(file->size);
        if (!data)
                return -ENOMEM;
        r = image_file_read(file, 0, data, file->size, reterr);
        if (r == 0)
                r = acpi_check_user_table(data, file->size, reterr);
        if (r < 0)
                return r;
        strbuf_append_bytes(ret, data, file->size);
        return ret->failed ? -ENOMEM : 0;
}

/**
 * acpi_user_tables_load() - read and check tables
 * @ret: zeroed by the caller; release with acpi_user_tables_deinit(), also on failure
 *
 * Return: 0, or negative errno with a sentence that names the file.
 */
int acpi_user_tables_load(const StrVec *paths, AcpiUserTables *ret, TextError *reterr) {
        for (size_t i = 0; i < paths->n && i < VMM_ACPI_TABLES_MAX; i++) {
                _cleanup_(image_file_deinit) ImageFile file = {.fd = -EBADF};
                int r = image_file_open(paths->items[i], &file, reterr);

                if (r >= 0)
                        r = read_table(&file, &ret->tables[ret->n], reterr);
                if (r < 0)
                        return text_error_prefix(reterr, r, "--acpi-table: %s", paths->items[i]);
                ret->n++;
        }
        return 0;
}

/** acpi_user_tables_deinit() - release what acpi_user_tables_load() read */
void acpi_user_tables_deinit(AcpiUserTables *tables) {
        for (unsigned i = 0; i < VMM_ACPI_TABLES_MAX; i++)
                strbuf_deinit(&tables->tables[i]);
        *tables = (AcpiUserTables){0};
}
