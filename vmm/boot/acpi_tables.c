/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The fixed tables. Not hardware-reduced: the board has the classic power management block, so that power button,
 * power-off and PM timer work with any guest's oldest driver.
 */

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/checked.h"
#include "base/le.h"
#include "vmm/boot/acpi.h"
#include "vmm/mem/memmap.h"

#define ACPI_OEM_ID "VIVARM"
#define ACPI_OEM_TABLE_ID "VIVARIUM"
#define ACPI_CREATOR_ID "VIVA"
#define ACPI_REVISION 1u

#define ACPI_TABLE_ALIGN 64u /* the FACS needs it */

/* Generic address structure (section 5.2.3.2): ports only. */
typedef struct __attribute__((packed)) AcpiAddress {
        uint8_t space, bit_width, bit_offset, access_size;
        uint64_t address;
} AcpiAddress;

#define ACPI_PORT(port, bytes, access)                                                             \
        { .space = 1, .bit_width = (bytes) *8, .access_size = (access), .address = (port) }
#define ACPI_ACCESS_BYTE 1u
#define ACPI_ACCESS_WORD 2u
#define ACPI_ACCESS_DWORD 3u

/* Section 5.2.9, after the header. */
typedef struct __attribute__((packed)) AcpiFadt {
        uint32_t facs, dsdt;
        uint8_t reserved0, preferred_profile;
        uint16_t sci_interrupt;
        uint32_t smi_command;
        uint8_t acpi_enable, acpi_disable, s4bios_request, pstate_control;
        uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0,
                gpe1;
        uint8_t pm1_event_size, pm1_control_size, pm2_control_size, pm_timer_size, gpe0_size,
                gpe1_size;
        uint8_t gpe1_base, cst_control;
        uint16_t c2_latency, c3_latency, flush_size, flush_stride;
        uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
        uint16_t boot_architecture;
        uint8_t reserved1;
        uint32_t flags;
        AcpiAddress reset_register;
        uint8_t reset_value;
        uint16_t arm_boot_architecture;
        uint8_t minor_version;
        uint64_t x_facs, x_dsdt;
        AcpiAddress x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control, x_pm2_control,
                x_pm_timer, x_gpe0, x_gpe1, sleep_control, sleep_status;
        uint8_t hypervisor_vendor[8];
} AcpiFadt;

_Static_assert(sizeof(AcpiFadt) + ACPI_HEADER_SIZE == 276, "length of FADT revision 6");

#define FADT_WBINVD (1u << 0)
#define FADT_PROC_C1 (1u << 2)
#define FADT_RTC_WAKE_ABSENT (1u << 6)
#define FADT_TIMER_32_BIT (1u << 8)
#define FADT_RESET_REGISTER (1u << 10)
#define FADT_LOW_POWER_S0 (1u << 21)

#define FADT_BOOT_LEGACY_DEVICES (1u << 0)
#define FADT_BOOT_8042 (1u << 1)
#define FADT_BOOT_VGA_ABSENT (1u << 2)
#define FADT_BOOT_NO_ASPM (1u << 4)
#define FADT_BOOT_RTC_ABSENT (1u << 5)

#define RESET_VALUE_HARD 6u /* what port 0xcf9 takes as a full reset */
#define RTC_REGISTER_CENTURY 0x32u
#define C_STATE_ABSENT 0x0fffu

/* Section 5.2.12: interrupt controller structures of the MADT. */
#define MADT_PCAT_COMPAT 1u /* an 8259 pair exists as well */

typedef struct __attribute__((packed)) MadtLocalApic {
        uint8_t type, length, uid, apic_id;
        uint32_t flags;
} MadtLocalApic;

typedef struct __attribute__((packed)) MadtX2Apic {
        uint8_t type, length;
        uint16_t reserved;
        uint32_t apic_id, flags, uid;
} MadtX2Apic;

typedef struct __attribute__((packed)) MadtIoApic {
        uint8_t type, length, id, reserved;
        uint32_t address, gsi_base;
} MadtIoApic;

typedef struct __attribute__((packed)) MadtOverride {
        uint8_t type, length, bus, source;
        uint32_t gsi;
        uint16_t flags;
} MadtOverride;

typedef struct __attribute__((packed)) MadtLocalNmi {
        uint8_t type, length, uid;
        uint16_t flags;
        uint8_t lint;
} MadtLocalNmi;

#define MADT_ENABLED 1u
#define MADT_XAPIC_ID_MAX 254u
#define MADT_BUS_DEFAULT 0u
#define MADT_LEVEL_HIGH 0x000du /* level triggered, active high */

typedef struct __attribute__((packed)) AcpiMcfg {
        uint64_t reserved;
        uint64_t base;
        uint16_t segment;
        uint8_t first_bus, last_bus;
        uint32_t reserved1;
} AcpiMcfg;

/** acpi_checksum() - the byte that makes @len bytes sum to 0 together with it */
uint8_t acpi_checksum(const void *data, size_t len) {
        const uint8_t *p = data;
        uint8_t sum = 0;

        for (size_t i = 0; i < len; i++)
                sum = (uint8_t) (sum + p[i]);
        return (uint8_t) -sum;
}

/** acpi_begin_table() - append a header (section 5.2.6) that acpi_end_table() completes; @table was empty */
void acpi_begin_table(StrBuf *table, const char signature[static 4], uint8_t revision) {
        uint8_t header[ACPI_HEADER_SIZE] = {0};

        memcpy(header, signature, 4);
        header[8] = revision;
        memcpy(header + 10, ACPI_OEM_ID, 6);
        memcpy(header + 16, ACPI_OEM_TABLE_ID, 8);
        le32_store(header + 24, ACPI_REVISION);
        memcpy(header + 28, ACPI_CREATOR_ID, 4);
        le32_store(header + 32, ACPI_REVISION);
        strbuf_append_bytes(table, header, sizeof(header));
}

/** acpi_end_table() - fill in length and checksum */
void acpi_end_table(StrBuf *table) {
        if (table->failed)
                return;
        le32_store(table->data + 4, (uint32_t) table->len);
        table->data[9] = (char) acpi_checksum(table->data, table->len);
}

static void acpi_build_fadt(StrBuf *table, const BoardInfo *board, gpa_t facs, gpa_t dsdt) {
        const AcpiFadt fadt = {
                .facs = (uint32_t) facs,
                .dsdt = (uint32_t) dsdt,
                .sci_interrupt = GSI_SCI,
                .pm1a_event = IOPORT_PM_BASE,
                .pm1a_control = IOPORT_PM_CONTROL,
                .pm_timer = IOPORT_PM_TIMER,
                .gpe0 = IOPORT_PM_GPE0,
                .pm1_event_size = 4,
                .pm1_control_size = 2,
                .pm_timer_size = 4,
                .gpe0_size = 4,
                .c2_latency = C_STATE_ABSENT,
                .c3_latency = C_STATE_ABSENT,
                .century = board->rtc ? RTC_REGISTER_CENTURY : 0,
                .boot_architecture =
                        (uint16_t) (FADT_BOOT_LEGACY_DEVICES | FADT_BOOT_VGA_ABSENT |
                                    FADT_BOOT_NO_ASPM | (board->i8042 ? FADT_BOOT_8042 : 0) |
                                    (board->rtc ? 0 : FADT_BOOT_RTC_ABSENT)),
                /* Both buttons are fixed features: neither is said to be absent. */
                .flags = FADT_WBINVD | FADT_PROC_C1 | FADT_RTC_WAKE_ABSENT | FADT_TIMER_32_BIT |
                         FADT_RESET_REGISTER | (board->s2idle ? FADT_LOW_POWER_S0 : 0),
                .reset_register = ACPI_PORT(IOPORT_RESET_CONTROL, 1, ACPI_ACCESS_BYTE),
                .reset_value = RESET_VALUE_HARD,
                .minor_version = 4,
                .x_dsdt = dsdt, /* not x_facs: one of the two fields must be 0 */
                .x_pm1a_event = ACPI_PORT(IOPORT_PM_BASE, 4, ACPI_ACCESS_WORD),
                .x_pm1a_control = ACPI_PORT(IOPORT_PM_CONTROL, 2, ACPI_ACCESS_WORD),
                .x_pm_timer = ACPI_PORT(IOPORT_PM_TIMER, 4, ACPI_ACCESS_DWORD),
                .x_gpe0 = ACPI_PORT(IOPORT_PM_GPE0, 4, ACPI_ACCESS_BYTE),
                .hypervisor_vendor = {'V', 'i', 'v', 'a', 'r', 'i', 'u', 'm'},
        };

        acpi_begin_table(table, "FACP", 6);
        strbuf_append_bytes(table, &fadt, sizeof(fadt));
        acpi_end_table(table);
}

/* Section 5.2.10. The system looks for its global lock there; it has neither checksum nor revision. */
static void acpi_build_facs(StrBuf *table) {
        uint8_t facs[64] = {'F', 'A', 'C', 'S'};

        le32_store(facs + 4, sizeof(facs));
        facs[32] = 2; /* version */
        strbuf_append_bytes(table, facs, sizeof(facs));
}

static void madt_add_processor(StrBuf *table, unsigned index) {
        if (index <= MADT_XAPIC_ID_MAX) {
                const MadtLocalApic apic = {0, sizeof(apic), (uint8_t) index, (uint8_t) index,
                                            MADT_ENABLED};

                strbuf_append_bytes(table, &apic, sizeof(apic));
        } else {
                const MadtX2Apic apic = {9, sizeof(apic), 0, index, MADT_ENABLED, index};

                strbuf_append_bytes(table, &apic, sizeof(apic));
        }
}

static void acpi_build_madt(StrBuf *table, const BoardInfo *board) {
        const uint32_t head[] = {(uint32_t) MEMMAP_LAPIC_BASE, MADT_PCAT_COMPAT};
        const MadtIoApic io_apic = {1, sizeof(io_apic), 0, 0, (uint32_t) MEMMAP_IOAPIC_BASE, 0};
        const MadtOverride overrides[] = {
                {2, sizeof(overrides[0]), MADT_BUS_DEFAULT, ISA_IRQ_PIT, GSI_PIT, 0},
                {2, sizeof(overrides[0]), MADT_BUS_DEFAULT, GSI_SCI, GSI_SCI, MADT_LEVEL_HIGH},
        };
        const MadtLocalNmi nmi = {4, sizeof(nmi), 0xff /* all processors */, 0, 1};

        acpi_begin_table(table, "APIC", 5);
        strbuf_append_bytes(table, head, sizeof(head));
        for (unsigned i = 0; i < board->n_vcpus; i++)
                madt_add_processor(table, i);
        strbuf_append_bytes(table, &io_apic, sizeof(io_apic));
        strbuf_append_bytes(table, overrides, sizeof(overrides));
        strbuf_append_bytes(table, &nmi, sizeof(nmi));
        acpi_end_table(table);
}

static void acpi_build_mcfg(StrBuf *table, const BoardInfo *board) {
        const AcpiMcfg mcfg = {.base = board_ecam(board).start, .last_bus = MEMMAP_ECAM_BUSES - 1};

        acpi_begin_table(table, "MCFG", 1);
        strbuf_append_bytes(table, &mcfg, sizeof(mcfg));
        acpi_end_table(table);
}

static void acpi_build_xsdt(StrBuf *table, const gpa_t *tables, size_t n) {
        acpi_begin_table(table, "XSDT", 1);
        for (size_t i = 0; i < n; i++) {
                const uint64_t address = htole64(tables[i]);

                strbuf_append_bytes(table, &address, sizeof(address));
        }
        acpi_end_table(table);
}

/* Section 5.2.5.3: the anchor, found by its signature on a 16-byte boundary or through the boot parameters. */
static void acpi_build_rsdp(uint8_t rsdp[static ACPI_RSDP_SIZE], gpa_t xsdt) {
        memset(rsdp, 0, ACPI_RSDP_SIZE);
        memcpy(rsdp, "RSD PTR ", 8);
        memcpy(rsdp + 9, ACPI_OEM_ID, 6);
        rsdp[15] = 2; /* revision: the XSDT counts */
        rsdp[8] = acpi_checksum(rsdp, 20);
        le32_store(rsdp + 20, 36);
        le64_store(rsdp + 24, xsdt);
        rsdp[32] = acpi_checksum(rsdp, 36);
}

/* Adds the finished table to the image, and says where it will be. */
static gpa_t image_add(AcpiImage *image, const StrBuf *table, bool has_checksum) {
        static const uint8_t padding[ACPI_TABLE_ALIGN];
        const uint64_t offset = align_up(image->bytes.len, ACPI_TABLE_ALIGN);

        strbuf_append_bytes(&image->bytes, padding, offset - image->bytes.len);
        strbuf_append_bytes(&image->bytes, table->data, table->len);
        image->bytes.failed |= table->failed;
        if (has_checksum) {
                assert(image->n_tables < ELEMENTSOF(image->tables));
                image->tables[image->n_tables++] =
                        (AcpiRange){(uint32_t) offset, (uint32_t) table->len};
        }
        return image->base + offset;
}

/* @offset is in the table that was added last, at @table. */
static void image_add_pointer(AcpiImage *image, gpa_t table, size_t offset, unsigned size) {
        assert(image->n_pointers < ELEMENTSOF(image->pointers));
        image->pointers[image->n_pointers++] =
                (AcpiPointer){(uint32_t) (table - image->base + offset), (uint8_t) size};
}

static gpa_t image_add_facs(AcpiImage *image) {
        _cleanup_(strbuf_deinit) StrBuf table = {0};

        acpi_build_facs(&table);
        return image_add(image, &table, /* has_checksum= */ false);
}

static gpa_t image_add_dsdt(AcpiImage *image, const BoardInfo *board) {
        _cleanup_(strbuf_deinit) StrBuf table = {0};

        acpi_build_dsdt(&table, board);
        return image_add(image, &table, /* has_checksum= */ true);
}

static gpa_t image_add_fadt(AcpiImage *image, const BoardInfo *board, gpa_t facs, gpa_t dsdt) {
        _cleanup_(strbuf_deinit) StrBuf table = {0};
        gpa_t at;

        acpi_build_fadt(&table, board, facs, dsdt);
        at = image_add(image, &table, /* has_checksum= */ true);
        image_add_pointer(image, at, ACPI_HEADER_SIZE + offsetof(AcpiFadt, facs), 4);
        image_add_pointer(image, at, ACPI_HEADER_SIZE + offsetof(AcpiFadt, dsdt), 4);
        image_add_pointer(image, at, ACPI_HEADER_SIZE + offsetof(AcpiFadt, x_dsdt), 8);
        return at;
}

static gpa_t image_add_built(AcpiImage *image, const BoardInfo *board,
                             void (*build)(StrBuf *table, const BoardInfo *board)) {
        _cleanup_(strbuf_deinit) StrBuf table = {0};

        build(&table, board);
        return image_add(image, &table, /* has_checksum= */ true);
}

static void acpi_build_wdat_table(StrBuf *table, const BoardInfo *board) {
        acpi_build_wdat(table);
}

static gpa_t image_add_xsdt(AcpiImage *image, const gpa_t *listed, size_t n) {
        _cleanup_(strbuf_deinit) StrBuf table = {0};
        gpa_t at;

        acpi_build_xsdt(&table, listed, n);
        at = image_add(image, &table, /* has_checksum= */ true);
        for (size_t i = 0; i < n; i++)
                image_add_pointer(image, at, ACPI_HEADER_SIZE + 8 * i, 8);
        return at;
}

/**
 * acpi_image_build() - all tables, one behind the other
 * @base: where they are going to be; a multiple of 64. 0 when whoever places them adds the address to all pointers
 * @ret:  zeroed by the caller; release with acpi_image_deinit(), also on failure
 *
 * Return: 0 or -ENOMEM.
 */
int acpi_image_build(const BoardInfo *board, gpa_t base, AcpiImage *ret) {
        gpa_t facs, dsdt, listed[4 + VMM_ACPI_TABLES_MAX];
        size_t n = 0;

        ret->base = base;
        facs = image_add_facs(ret);
        dsdt = image_add_dsdt(ret, board);
        listed[n++] = image_add_fadt(ret, board, facs, dsdt);
        listed[n++] = image_add_built(ret, board, acpi_build_madt);
        if (board_ecam(board).size != 0)
                listed[n++] = image_add_built(ret, board, acpi_build_mcfg);
        if (board->watchdog)
                listed[n++] = image_add_built(ret, board, acpi_build_wdat_table);
        for (unsigned i = 0; board->acpi_tables && i < board->acpi_tables->n; i++)
                listed[n++] = image_add(ret, &board->acpi_tables->tables[i],
                                        /* has_checksum= */ true);
        acpi_build_rsdp(ret->rsdp, image_add_xsdt(ret, listed, n));
        return ret->bytes.failed ? -ENOMEM : 0;
}

/** acpi_image_deinit() - release what acpi_image_build() made */
void acpi_image_deinit(AcpiImage *image) {
        strbuf_deinit(&image->bytes);
}

/**
 * acpi_write() - build all tables and write them to the ACPI area below 1 MiB
 * @ret_rsdp: for boot_params.acpi_rsdp_addr
 *
 * Return: 0; -ENOSPC when they outgrow the area, which HV_VCPUS_MAX processors do not; other negative errno.
 */
int acpi_write(const GuestMem *mem, const BoardInfo *board, gpa_t *ret_rsdp) {
        _cleanup_(acpi_image_deinit) AcpiImage image = {0};
        int r;

        r = acpi_image_build(board, MEMMAP_ACPI_BASE + ACPI_TABLE_ALIGN, &image);
        if (r < 0)
                return r;
        if (!range_within(ACPI_TABLE_ALIGN, image.bytes.len, MEMMAP_ACPI_SIZE))
                return -ENOSPC;
        r = guest_mem_write(mem, image.base, image.bytes.data, image.bytes.len);
        if (r < 0)
                return r;
        r = guest_mem_write(mem, MEMMAP_ACPI_BASE, image.rsdp, sizeof(image.rsdp));
        if (r < 0)
                return r;
        *ret_rsdp = MEMMAP_ACPI_BASE;
        return 0;
}
