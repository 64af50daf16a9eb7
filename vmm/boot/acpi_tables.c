/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The fixed tables. Not hardware-reduced: the board has the classic power management block, so that power button,
 * power-off and PM timer work with any guest's oldest driver.
 */

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
                         FADT_RESET_REGISTER,
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

static void acpi_build_mcfg(StrBuf *table) {
        const AcpiMcfg mcfg = {.base = MEMMAP_ECAM_BASE, .last_bus = MEMMAP_ECAM_BUSES - 1};

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
static void acpi_build_rsdp(uint8_t rsdp[static 36], gpa_t xsdt) {
        memset(rsdp, 0, 36);
        memcpy(rsdp, "RSD PTR ", 8);
        memcpy(rsdp + 9, ACPI_OEM_ID, 6);
        rsdp[15] = 2; /* revision: the XSDT counts */
        rsdp[8] = acpi_checksum(rsdp, 20);
        le32_store(rsdp + 20, 36);
        le64_store(rsdp + 24, xsdt);
        rsdp[32] = acpi_checksum(rsdp, 36);
}

/* Puts the table at @next, which moves on, and empties the buffer. */
static int acpi_place(const GuestMem *mem, StrBuf *table, gpa_t *next, gpa_t *ret) {
        gpa_t gpa = *next;
        int r;

        if (table->failed)
                return -ENOMEM;
        if (!range_within(gpa - MEMMAP_ACPI_BASE, table->len, MEMMAP_ACPI_SIZE))
                return -ENOSPC;
        r = guest_mem_write(mem, gpa, table->data, table->len);
        if (r < 0)
                return r;
        *next = align_up(gpa + table->len, ACPI_TABLE_ALIGN);
        *ret = gpa;
        table->len = 0;
        return 0;
}

/* Places a table that the XSDT is to list. */
static int acpi_place_listed(const GuestMem *mem, StrBuf *table, gpa_t *next, gpa_t *listed,
                             size_t *n_listed) {
        int r = acpi_place(mem, table, next, &listed[*n_listed]);

        if (r < 0)
                return r;
        (*n_listed)++;
        return 0;
}

static int acpi_place_all(const GuestMem *mem, const BoardInfo *board, StrBuf *table, gpa_t *next,
                          gpa_t *ret_xsdt) {
        gpa_t facs = 0, dsdt = 0, listed[4];
        size_t n = 0;
        int r;

        acpi_build_facs(table);
        r = acpi_place(mem, table, next, &facs);
        if (r < 0)
                return r;
        acpi_build_dsdt(table, board);
        r = acpi_place(mem, table, next, &dsdt);
        if (r < 0)
                return r;
        acpi_build_fadt(table, board, facs, dsdt);
        r = acpi_place_listed(mem, table, next, listed, &n);
        if (r < 0)
                return r;
        acpi_build_madt(table, board);
        r = acpi_place_listed(mem, table, next, listed, &n);
        if (r < 0)
                return r;
        acpi_build_mcfg(table);
        r = acpi_place_listed(mem, table, next, listed, &n);
        if (r < 0)
                return r;
        if (board->watchdog) {
                acpi_build_wdat(table);
                r = acpi_place_listed(mem, table, next, listed, &n);
                if (r < 0)
                        return r;
        }
        acpi_build_xsdt(table, listed, n);
        return acpi_place(mem, table, next, ret_xsdt);
}

/**
 * acpi_write() - build all tables and write them to the ACPI area below 1 MiB
 * @ret_rsdp: for boot_params.acpi_rsdp_addr
 *
 * Return: 0; -ENOSPC when they outgrow the area, which HV_VCPUS_MAX processors do not; other negative errno.
 */
int acpi_write(const GuestMem *mem, const BoardInfo *board, gpa_t *ret_rsdp) {
        _cleanup_(strbuf_deinit) StrBuf table = {0};
        gpa_t next = MEMMAP_ACPI_BASE + ACPI_TABLE_ALIGN, xsdt = 0;
        uint8_t rsdp[36];
        int r;

        r = acpi_place_all(mem, board, &table, &next, &xsdt);
        if (r < 0)
                return r;
        acpi_build_rsdp(rsdp, xsdt);
        r = guest_mem_write(mem, MEMMAP_ACPI_BASE, rsdp, sizeof(rsdp));
        if (r < 0)
                return r;
        *ret_rsdp = MEMMAP_ACPI_BASE;
        return 0;
}
