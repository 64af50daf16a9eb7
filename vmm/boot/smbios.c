/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/boot/smbios.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/le.h"
#include "vmm/boot/acpi.h"
#include "vmm/mem/memmap.h"

#define SMBIOS_VENDOR "Vivarium"
#define SMBIOS_PRODUCT "Virtual Machine"
#define SMBIOS_DATE "01/01/2026" /* kernels take the year for the firmware's age */

#define SMBIOS_TABLE_BASE (MEMMAP_SMBIOS_BASE + 32)
#define SMBIOS_NO_HANDLE 0xffffu
#define SMBIOS_NO_ERROR_INFO 0xfffeu
#define SMBIOS_OEM_STRINGS_MAX 255u

/* Structures of the specification's chapter 7, after their four-byte header. String fields number from 1; 0 = none. */
typedef struct __attribute__((packed)) SmbiosBios {
        uint8_t vendor, version;
        uint16_t start_segment;
        uint8_t date, rom_size;
        uint64_t characteristics;
        uint8_t extension1, extension2, major, minor, ec_major, ec_minor;
        uint16_t extended_rom_size;
} SmbiosBios;

#define BIOS_NO_CHARACTERISTICS (UINT64_C(1) << 3)
#define BIOS_VIRTUAL_MACHINE (1u << 4)

typedef struct __attribute__((packed)) SmbiosSystem {
        uint8_t manufacturer, product, version, serial;
        uint8_t uuid[16];
        uint8_t wake_up, sku, family;
} SmbiosSystem;

#define SYSTEM_WAKE_UP_POWER_SWITCH 6u

typedef struct __attribute__((packed)) SmbiosChassis {
        uint8_t manufacturer, type, version, serial, asset, boot_state, power_state, thermal_state,
                security;
        uint32_t oem;
        uint8_t height, power_cords, n_contained, contained_size, sku;
} SmbiosChassis;

#define CHASSIS_OTHER 1u
#define CHASSIS_STATE_SAFE 3u
#define CHASSIS_SECURITY_UNKNOWN 2u

typedef struct __attribute__((packed)) SmbiosProcessor {
        uint8_t socket, type, family, manufacturer;
        uint64_t id;
        uint8_t version, voltage;
        uint16_t external_clock, max_speed, current_speed;
        uint8_t status, upgrade;
        uint16_t l1, l2, l3;
        uint8_t serial, asset, part, n_cores, n_enabled, n_threads;
        uint16_t characteristics, family2, n_cores2, n_enabled2, n_threads2;
} SmbiosProcessor;

#define PROCESSOR_CENTRAL 3u
#define PROCESSOR_FAMILY_UNKNOWN 2u
#define PROCESSOR_ENABLED 0x41u /* the socket is populated */
#define PROCESSOR_UPGRADE_OTHER 1u
#define PROCESSOR_64_BIT (1u << 2)

typedef struct __attribute__((packed)) SmbiosMemoryArray {
        uint8_t location, use, error_correction;
        uint32_t capacity_kib;
        uint16_t error_handle, n_devices;
        uint64_t capacity_bytes;
} SmbiosMemoryArray;

#define MEMORY_ARRAY_OTHER 1u
#define MEMORY_ARRAY_SYSTEM 3u
#define MEMORY_ARRAY_NO_CORRECTION 3u
#define MEMORY_ARRAY_EXTENDED 0x80000000u /* capacity is in the other field */

typedef struct __attribute__((packed)) SmbiosMemoryDevice {
        uint16_t array, error_handle, total_width, data_width, size_mib;
        uint8_t form_factor, set, locator, bank, type;
        uint16_t detail, speed;
        uint8_t manufacturer, serial, asset, part, attributes;
        uint32_t extended_size_mib;
        uint16_t configured_speed, minimum_voltage, maximum_voltage, configured_voltage;
} SmbiosMemoryDevice;

#define MEMORY_DEVICE_UNKNOWN_WIDTH 0xffffu
#define MEMORY_DEVICE_EXTENDED 0x7fffu /* size is in the other field */
#define MEMORY_DEVICE_DIMM 9u
#define MEMORY_DEVICE_RAM 7u
#define MEMORY_DEVICE_DETAIL_OTHER 2u

typedef struct __attribute__((packed)) SmbiosMemoryRange {
        uint32_t start_kib, end_kib;
        uint16_t array;
        uint8_t width;
        uint64_t start, end;
} SmbiosMemoryRange;

#define MEMORY_RANGE_EXTENDED 0xffffffffu

typedef struct SmbiosTable {
        StrBuf out;
        uint16_t next_handle;
} SmbiosTable;

static void smbios_table_deinit(SmbiosTable *table) {
        strbuf_deinit(&table->out);
}

/* Appends one structure with its strings, of which empty ones are not allowed. Return: its handle. */
static uint16_t smbios_add(SmbiosTable *table, uint8_t type, const void *body, size_t size,
                           const char *const *strings, size_t n_strings) {
        uint8_t header[4] = {type, (uint8_t) (sizeof(header) + size)};

        le16_store(header + 2, table->next_handle);
        strbuf_append_bytes(&table->out, header, sizeof(header));
        strbuf_append_bytes(&table->out, body, size);
        for (size_t i = 0; i < n_strings; i++)
                strbuf_append_bytes(&table->out, strings[i], strlen(strings[i]) + 1);
        strbuf_append_bytes(&table->out, "\0", n_strings > 0 ? 1 : 2);
        return table->next_handle++;
}

/* The name that the owner gave, or the usual one. */
#define NAME(member, usual) (board->smbios && board->smbios->member ? board->smbios->member : usual)

static void smbios_add_bios(SmbiosTable *table, const BoardInfo *board) {
        const char *strings[] = {NAME(bios_vendor, SMBIOS_VENDOR),
                                 NAME(bios_version, VIVARIUM_VERSION), SMBIOS_DATE};
        const SmbiosBios bios = {
                .vendor = 1,
                .version = 2,
                .date = 3,
                .characteristics = BIOS_NO_CHARACTERISTICS,
                .extension2 = BIOS_VIRTUAL_MACHINE,
                .major = 0xff,
                .minor = 0xff,
                .ec_major = 0xff,
                .ec_minor = 0xff,
        };

        (void) smbios_add(table, 0, &bios, sizeof(bios), strings, ELEMENTSOF(strings));
}

/* The first three fields are little-endian numbers in SMBIOS, and big-endian in text. */
static void smbios_set_uuid(uint8_t to[static 16], const uint8_t from[static 16]) {
        static const uint8_t order[] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

        for (size_t i = 0; i < ELEMENTSOF(order); i++)
                to[i] = from[order[i]];
}

static void smbios_add_system(SmbiosTable *table, const BoardInfo *board) {
        const char *strings[] = {NAME(manufacturer, SMBIOS_VENDOR),
                                 NAME(product_name, SMBIOS_PRODUCT), VIVARIUM_VERSION,
                                 NAME(serial_number, NULL)};
        const size_t n_strings = strings[3] ? 4 : 3;
        SmbiosSystem system = {
                .manufacturer = 1,
                .product = 2,
                .version = 3,
                .serial = strings[3] ? 4 : 0,
                .wake_up = SYSTEM_WAKE_UP_POWER_SWITCH,
        };

        if (board->smbios)
                smbios_set_uuid(system.uuid, board->smbios->uuid);
        (void) smbios_add(table, 1, &system, sizeof(system), strings, n_strings);
}

static void smbios_add_chassis(SmbiosTable *table) {
        const char *strings[] = {SMBIOS_VENDOR};
        const SmbiosChassis chassis = {
                .manufacturer = 1,
                .type = CHASSIS_OTHER,
                .boot_state = CHASSIS_STATE_SAFE,
                .power_state = CHASSIS_STATE_SAFE,
                .thermal_state = CHASSIS_STATE_SAFE,
                .security = CHASSIS_SECURITY_UNKNOWN,
        };

        (void) smbios_add(table, 3, &chassis, sizeof(chassis), strings, ELEMENTSOF(strings));
}

static void smbios_add_processor(SmbiosTable *table, const BoardInfo *board) {
        const char *strings[] = {"CPU 0", SMBIOS_VENDOR};
        const unsigned threads = board->n_vcpus, cores = threads / MAX(board->threads_per_core, 1u);
        const SmbiosProcessor processor = {
                .socket = 1,
                .type = PROCESSOR_CENTRAL,
                .family = PROCESSOR_FAMILY_UNKNOWN,
                .manufacturer = 2,
                .status = PROCESSOR_ENABLED,
                .upgrade = PROCESSOR_UPGRADE_OTHER,
                .l1 = SMBIOS_NO_HANDLE,
                .l2 = SMBIOS_NO_HANDLE,
                .l3 = SMBIOS_NO_HANDLE,
                .n_cores = (uint8_t) MIN(cores, 0xffu), /* 0xff: see the wide fields */
                .n_enabled = (uint8_t) MIN(cores, 0xffu),
                .n_threads = (uint8_t) MIN(threads, 0xffu),
                .characteristics = PROCESSOR_64_BIT,
                .family2 = PROCESSOR_FAMILY_UNKNOWN,
                .n_cores2 = (uint16_t) cores,
                .n_enabled2 = (uint16_t) cores,
                .n_threads2 = (uint16_t) threads,
        };

        (void) smbios_add(table, 4, &processor, sizeof(processor), strings, ELEMENTSOF(strings));
}

static int smbios_add_oem_strings(SmbiosTable *table, const StrVec *strings) {
        uint8_t count;

        if (!strings || strings->n == 0)
                return 0;
        if (strings->n > SMBIOS_OEM_STRINGS_MAX)
                return -ENOSPC;
        for (size_t i = 0; i < strings->n; i++)
                if (strings->items[i][0] == '\0')
                        return -EINVAL; /* would end the list */
        count = (uint8_t) strings->n;
        (void) smbios_add(table, 11, &count, sizeof(count),
                          (const char *const *) (const void *) strings->items, strings->n);
        return 0;
}

static uint16_t smbios_add_memory_array(SmbiosTable *table, uint64_t bytes) {
        const bool wide = bytes >> 10 >= MEMORY_ARRAY_EXTENDED;
        const SmbiosMemoryArray array = {
                .location = MEMORY_ARRAY_OTHER,
                .use = MEMORY_ARRAY_SYSTEM,
                .error_correction = MEMORY_ARRAY_NO_CORRECTION,
                .capacity_kib = wide ? MEMORY_ARRAY_EXTENDED : (uint32_t) (bytes >> 10),
                .error_handle = SMBIOS_NO_ERROR_INFO,
                .n_devices = 1,
                .capacity_bytes = wide ? bytes : 0,
        };

        return smbios_add(table, 16, &array, sizeof(array), NULL, 0);
}

static void smbios_add_memory_device(SmbiosTable *table, uint16_t array, uint64_t bytes) {
        const char *strings[] = {"DIMM 0", SMBIOS_VENDOR};
        const uint64_t mib = bytes >> 20;
        const bool wide = mib >= MEMORY_DEVICE_EXTENDED;
        const SmbiosMemoryDevice device = {
                .array = array,
                .error_handle = SMBIOS_NO_ERROR_INFO,
                .total_width = MEMORY_DEVICE_UNKNOWN_WIDTH,
                .data_width = MEMORY_DEVICE_UNKNOWN_WIDTH,
                .size_mib = wide ? MEMORY_DEVICE_EXTENDED : (uint16_t) mib,
                .form_factor = MEMORY_DEVICE_DIMM,
                .locator = 1,
                .type = MEMORY_DEVICE_RAM,
                .detail = MEMORY_DEVICE_DETAIL_OTHER,
                .manufacturer = 2,
                .extended_size_mib = wide ? (uint32_t) mib : 0,
        };

        (void) smbios_add(table, 17, &device, sizeof(device), strings, ELEMENTSOF(strings));
}

static void smbios_add_memory_range(SmbiosTable *table, uint16_t array, const GuestRegion *region) {
        const uint64_t last = region->gpa + region->size_bytes - 1;
        const bool wide = last >> 10 >= MEMORY_RANGE_EXTENDED;
        const SmbiosMemoryRange range = {
                .start_kib = wide ? MEMORY_RANGE_EXTENDED : (uint32_t) (region->gpa >> 10),
                .end_kib = wide ? MEMORY_RANGE_EXTENDED : (uint32_t) (last >> 10),
                .array = array,
                .width = 1,
                .start = wide ? region->gpa : 0,
                .end = wide ? last : 0,
        };

        (void) smbios_add(table, 19, &range, sizeof(range), NULL, 0);
}

static void smbios_add_end(SmbiosTable *table) {
        const uint8_t boot_status[7] = {0}; /* six are reserved; no error */

        (void) smbios_add(table, 32, boot_status, sizeof(boot_status), NULL, 0);
        (void) smbios_add(table, 127, NULL, 0, NULL, 0);
}

/* Section 5.2.2, the 64-bit entry point. */
static void smbios_build_entry(uint8_t entry[static SMBIOS_ENTRY_SIZE], size_t table_size,
                               gpa_t table) {
        memset(entry, 0, SMBIOS_ENTRY_SIZE);
        memcpy(entry, "_SM3_", 5);
        entry[6] = SMBIOS_ENTRY_SIZE;
        entry[7] = 3; /* version 3.3 */
        entry[8] = 3;
        entry[10] = 1; /* revision of this structure */
        le32_store(entry + 12, (uint32_t) table_size);
        le64_store(entry + 16, table);
        entry[5] = acpi_checksum(entry, SMBIOS_ENTRY_SIZE);
}

static int smbios_build_table(const GuestMem *mem, const BoardInfo *board, SmbiosTable *table) {
        uint16_t array;
        int r;

        smbios_add_bios(table, board);
        smbios_add_system(table, board);
        smbios_add_chassis(table);
        smbios_add_processor(table, board);
        r = smbios_add_oem_strings(table, board->oem_strings);
        if (r < 0)
                return r;
        array = smbios_add_memory_array(table, mem->size_bytes);
        smbios_add_memory_device(table, array, mem->size_bytes);
        for (unsigned i = 0; i < mem->n_regions; i++)
                smbios_add_memory_range(table, array, &mem->regions[i]);
        smbios_add_end(table);
        return table->out.failed ? -ENOMEM : 0;
}

/**
 * smbios_build() - the tables and their entry point for whoever places them, which is firmware
 * @ret_entry: the address in it is 0
 * @ret_table: zeroed by the caller; release with strbuf_deinit(), also on failure
 *
 * Return: as smbios_write().
 */
int smbios_build(const GuestMem *mem, const BoardInfo *board,
                 uint8_t ret_entry[static SMBIOS_ENTRY_SIZE], StrBuf *ret_table) {
        _cleanup_(smbios_table_deinit) SmbiosTable table = {0};
        int r;

        r = smbios_build_table(mem, board, &table);
        if (r < 0)
                return r;
        smbios_build_entry(ret_entry, table.out.len, 0);
        *ret_table = table.out;
        table.out = (StrBuf){0};
        return 0;
}

/**
 * smbios_write() - build the tables and write them where a scan for their anchor finds them
 *
 * Return: 0; -ENOSPC when OEM strings are too many or too long; -EINVAL for an empty one; other negative errno.
 */
int smbios_write(const GuestMem *mem, const BoardInfo *board) {
        _cleanup_(smbios_table_deinit) SmbiosTable table = {0};
        uint8_t entry[SMBIOS_ENTRY_SIZE];
        int r;

        r = smbios_build_table(mem, board, &table);
        if (r < 0)
                return r;
        if (!range_within(SMBIOS_TABLE_BASE - MEMMAP_SMBIOS_BASE, table.out.len,
                          MEMMAP_SMBIOS_SIZE))
                return -ENOSPC;
        r = guest_mem_write(mem, SMBIOS_TABLE_BASE, table.out.data, table.out.len);
        if (r < 0)
                return r;
        smbios_build_entry(entry, table.out.len, SMBIOS_TABLE_BASE);
        return guest_mem_write(mem, MEMMAP_SMBIOS_BASE, entry, sizeof(entry));
}
