/* SPDX-License-Identifier: Apache-2.0 */

/* Booting through firmware: the ROM and flash it runs from, and what fw_cfg tells it about the board. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/le.h"
#include "base/log.h"
#include "vmm/boot/smbios.h"
#include "vmm/firmware/kernel_rom.h"
#include "vmm/machine/machine_internal.h"
#include "vmm/mem/memmap.h"

#define ACPI_FILE_ALIGN 4096u /* tables grow and shrink by a little with what firmware does */

/* One entry of "etc/e820". */
typedef struct __attribute__((packed)) FwE820Entry {
        uint64_t gpa, size;
        uint32_t type;
} FwE820Entry;

enum { FW_E820_RAM = 1, FW_E820_RESERVED = 2 };

/**
 * machine_load_firmware() - the ROM and the flash below it, if @config has them; before the partition is built
 *
 * Return: 0, or negative errno with a sentence.
 */
int machine_load_firmware(Machine *machine, const VmmConfig *config, TextError *reterr) {
        MachineFirmware *firmware = &machine->firmware;
        int r;

        if (!config->bios)
                return 0;
        r = bios_rom_load(config->bios, machine->mem, &firmware->rom, reterr);
        if (r < 0 || !config->pflash.path)
                return r;
        return pflash_new(config->pflash.path, config->pflash.block_size,
                          MEMMAP_HIGH_RAM_BASE - firmware->rom.size, machine->mem,
                          &firmware->pflash, reterr);
}

/* ---- ACPI: final once the firmware asks, because then it has placed ECAM ---- */

static int build_acpi(Machine *machine, AcpiFiles *ret) {
        BoardInfo board = machine->firmware.board;

        if (!pci_root_ecam(machine->pci, &board.ecam_base, &board.ecam_size))
                board.ecam_base = 0;
        return acpi_files_build(&board, ret);
}

static void fill_acpi(Machine *machine, const StrBuf *(*file)(const AcpiFiles *files),
                      uint8_t *data, size_t size) {
        MachineFirmware *firmware = &machine->firmware;
        const StrBuf *buf;

        if (!firmware->acpi_final) {
                firmware->acpi_final = true;
                if (build_acpi(machine, &firmware->acpi) < 0)
                        log_error("cannot make the ACPI tables for the firmware: out of memory");
        }
        buf = file(&firmware->acpi);
        memset(data, 0, size);
        if (buf->data && !buf->failed)
                memcpy(data, buf->data, MIN(buf->len, size));
}

static const StrBuf *tables_of(const AcpiFiles *files) {
        return &files->tables;
}

static const StrBuf *rsdp_of(const AcpiFiles *files) {
        return &files->rsdp;
}

static const StrBuf *loader_of(const AcpiFiles *files) {
        return &files->loader;
}

static void fill_tables(void *userdata, uint8_t *data, size_t size) {
        fill_acpi(userdata, tables_of, data, size);
}

static void fill_rsdp(void *userdata, uint8_t *data, size_t size) {
        fill_acpi(userdata, rsdp_of, data, size);
}

static void fill_loader(void *userdata, uint8_t *data, size_t size) {
        fill_acpi(userdata, loader_of, data, size);
}

/* The sizes are in the directory before the contents are known: those with ECAM, and some more. */
static int add_acpi(Machine *machine) {
        FwCfg *fw = machine->firmware.fw_cfg;
        _cleanup_(acpi_files_deinit) AcpiFiles sample = {0};
        BoardInfo board = machine->firmware.board;
        int r;

        board.ecam_base = MEMMAP_ECAM_BASE;
        board.ecam_size = MEMMAP_ECAM_SIZE;
        r = acpi_files_build(&board, &sample);
        if (r < 0)
                return r;
        r = fw_cfg_add_file_late(fw, ACPI_FILE_TABLES,
                                 align_up(sample.tables.len + 64, ACPI_FILE_ALIGN), fill_tables,
                                 machine);
        if (r < 0)
                return r;
        r = fw_cfg_add_file_late(fw, ACPI_FILE_RSDP, sample.rsdp.len, fill_rsdp, machine);
        if (r < 0)
                return r;
        return fw_cfg_add_file_late(fw, ACPI_FILE_LOADER, sample.loader.len, fill_loader, machine);
}

/* ---- the other files ---- */

static int add_smbios(Machine *machine) {
        FwCfg *fw = machine->firmware.fw_cfg;
        _cleanup_(strbuf_deinit) StrBuf tables = {0};
        uint8_t entry[SMBIOS_ENTRY_SIZE];
        int r;

        r = smbios_build(machine->mem, &machine->firmware.board, entry, &tables);
        if (r < 0)
                return r;
        r = fw_cfg_add_file(fw, "etc/smbios/smbios-tables", tables.data, tables.len);
        if (r < 0)
                return r;
        return fw_cfg_add_file(fw, "etc/smbios/smbios-anchor", entry, sizeof(entry));
}

static int add_memory_map(Machine *machine) {
        FwE820Entry entries[GUEST_MEM_REGIONS_MAX + 1];
        unsigned n = 0;

        for (unsigned i = 0; i < machine->mem->n_regions; i++)
                entries[n++] = (FwE820Entry){machine->mem->regions[i].gpa,
                                             machine->mem->regions[i].size_bytes, FW_E820_RAM};
        entries[n++] =
                (FwE820Entry){MEMMAP_KVM_IDENTITY_BASE,
                              MEMMAP_KVM_TSS_BASE + 3 * MEMMAP_PAGE_SIZE - MEMMAP_KVM_IDENTITY_BASE,
                              FW_E820_RESERVED};
        return fw_cfg_add_file(machine->firmware.fw_cfg, "etc/e820", entries,
                               n * sizeof(entries[0]));
}

/* Of the @n disks the one with the lowest boot index above @after, or NULL. */
static const VmmDisk *next_boot_disk(const VmmDisk *disks, size_t n, int after) {
        const VmmDisk *next = NULL;

        for (size_t i = 0; i < n; i++)
                if (disks[i].boot_index > after &&
                    (!next || disks[i].boot_index < next->boot_index))
                        next = &disks[i];
        return next;
}

/* The name of the disk that follows @after, as QEMU spells it. Return: its boot index; -1: there is none. */
static int print_boot_disk(const Machine *machine, const VmmConfig *config, int after,
                           StrBuf *order) {
        const VmmDisk *block = next_boot_disk(config->disks, config->n_disks, after),
                      *scsi = next_boot_disk(config->scsi_disks, config->n_scsi_disks, after);

        if (block && (!scsi || block->boot_index < scsi->boot_index)) {
                strbuf_printf(order, "/pci@i0cf8/scsi@%x/disk@0,0\n",
                              machine->disks[block - config->disks].slot);
                return block->boot_index;
        }
        if (scsi) {
                strbuf_printf(order, "/pci@i0cf8/scsi@%x/channel@0/disk@%x,0\n", machine->scsi_slot,
                              (unsigned) (scsi - config->scsi_disks));
                return scsi->boot_index;
        }
        return -1;
}

/*
 * Open Firmware device paths, a line each, the first to boot first; the list ends with a zero byte. A kernel precedes
 * every disk: OVMF tries it first by itself.
 */
static int add_boot_order(Machine *machine, const VmmConfig *config) {
        _cleanup_(strbuf_deinit) StrBuf order = {0};
        int last = -1;

        if (config->kernel)
                strbuf_printf(&order, "%s\n", KERNEL_ROM_DEVICE);
        do
                last = print_boot_disk(machine, config, last, &order);
        while (last >= 0);
        if (order.failed)
                return -ENOMEM;
        return order.len == 0 ? 0
                              : fw_cfg_add_file(machine->firmware.fw_cfg, "bootorder", order.data,
                                                order.len + 1);
}

/* There is no VGA: SeaBIOS shows its screen on the first serial port, unless nobody looks at that. */
static int add_serial_console(Machine *machine, const VmmConfig *config) {
        const uint8_t port[2] = {IOPORT_COM1 & 0xff, IOPORT_COM1 >> 8};

        for (size_t i = 0; i < config->n_serials; i++)
                if (config->serials[i].hardware == VMM_SERIAL_HARDWARE_16550 &&
                    config->serials[i].num == 1 && config->serials[i].type == VMM_SERIAL_SINK)
                        return 0;
        return fw_cfg_add_file(machine->firmware.fw_cfg, "etc/sercon-port", port, sizeof(port));
}

static int add_board_items(Machine *machine, const VmmConfig *config) {
        FwCfg *fw = machine->firmware.fw_cfg;
        /* No S3 and no S4, which ask the firmware for more than a VM has: bytes 3 and 4 without bit 7. */
        static const uint8_t system_states[6] = {0x80, 0, 0, 0x01, 0x02, 0x80};
        const struct {
                unsigned key;
                uint64_t value;
                unsigned size;
        } numbers[] = {
                {FW_CFG_RAM_SIZE, machine->mem->size_bytes, 8},
                {FW_CFG_NB_CPUS, config->n_vcpus, 2},
                {FW_CFG_MAX_CPUS, config->n_vcpus, 2},
                {FW_CFG_BOOT_MENU, 0, 2},
                {FW_CFG_IRQ0_OVERRIDE, 1, 1},
        };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(numbers); i++) {
                r = fw_cfg_add_number(fw, numbers[i].key, numbers[i].value, numbers[i].size);
                if (r < 0)
                        return r;
        }
        r = fw_cfg_add_file(fw, "etc/system-states", system_states, sizeof(system_states));
        if (r < 0)
                return r;
        r = add_memory_map(machine);
        if (r < 0)
                return r;
        r = add_boot_order(machine, config);
        if (r < 0)
                return r;
        r = add_serial_console(machine, config);
        if (r < 0)
                return r;
        r = add_smbios(machine);
        return r < 0 ? r : add_acpi(machine);
}

/* ---- what the user adds ---- */

static int add_user_file(FwCfg *fw, const VmmFwCfgFile *file, TextError *reterr) {
        _cleanup_(image_file_deinit) ImageFile image = {0};
        int r;

        if (file->string) {
                r = fw_cfg_add_file(fw, file->name, file->string, strlen(file->string));
        } else {
                r = image_file_open(file->path, &image, reterr);
                if (r >= 0)
                        r = fw_cfg_add_file_image(fw, file->name, &image);
        }
        if (r == -EEXIST)
                (void) text_error_set(reterr, r, "the machine has a file of that name already");
        return r < 0 ? text_error_prefix(reterr, r, "--fw-cfg %s", file->name) : 0;
}

static int add_user_files(FwCfg *fw, const VmmConfig *config, TextError *reterr) {
        for (size_t i = 0; i < config->n_fw_cfg; i++) {
                int r = add_user_file(fw, &config->fw_cfg[i], reterr);

                if (r < 0)
                        return r;
        }
        return 0;
}

/** machine_has_fw_cfg() - whether the board has the configuration device */
bool machine_has_fw_cfg(const VmmConfig *config) {
        return config->bios || config->n_fw_cfg > 0 || config->enable_fw_cfg;
}

static int add_firmware_devices(Machine *machine, HaltSink halt) {
        MachineFirmware *firmware = &machine->firmware;

        if (firmware->pflash) {
                int r = pflash_connect(firmware->pflash, machine->mmio, machine->partition);

                if (r < 0)
                        return r;
        }
        return chipset_ports_new(machine->pio, halt, &firmware->ports);
}

/**
 * machine_add_firmware() - fw_cfg, and what else firmware needs, if @config asks for it; after all other devices
 * @boot: borrowed for the call; its board is copied
 *
 * Return: 0, or negative errno with a sentence.
 */
int machine_add_firmware(Machine *machine, const VmmConfig *config, const BootConfig *boot,
                         HaltSink halt, TextError *reterr) {
        MachineFirmware *firmware = &machine->firmware;
        int r;

        if (!machine_has_fw_cfg(config))
                return 0;
        firmware->board = boot->board;
        r = fw_cfg_new(machine->pio, machine->mem, &firmware->fw_cfg);
        if (r < 0)
                return r;
        if (config->bios) {
                r = add_firmware_devices(machine, halt);
                if (r < 0)
                        return r;
                r = add_board_items(machine, config);
                if (r < 0)
                        return r;
        }
        if (config->bios && config->kernel) {
                r = machine_serve_kernel(firmware->fw_cfg, boot, reterr);
                if (r < 0)
                        return r;
        }
        return add_user_files(firmware->fw_cfg, config, reterr);
}

/** machine_free_firmware() - release; the partition is gone */
void machine_free_firmware(MachineFirmware *firmware) {
        (void) chipset_ports_free(firmware->ports);
        (void) fw_cfg_free(firmware->fw_cfg);
        (void) pflash_free(firmware->pflash);
        bios_rom_deinit(&firmware->rom);
        acpi_files_deinit(&firmware->acpi);
}
