/* SPDX-License-Identifier: Apache-2.0 */

/* The options that say what the board is like. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/crosvm_flag_table.h"
#include "config/crosvm_memory_flags.h"
#include "config/crosvm_pci_flags.h"
#include "config/guid.h"
#include "config/kv_list.h"

/* ---- --smbios ---- */

#define SMBIOS_STRING_MAX 64u /* what the specification asks of software to expect */

static int set_name(char **member, const KvItem *item, TextError *reterr) {
        int r = kv_get_string(item, member, reterr);

        if (r == 0 && strlen(*member) > SMBIOS_STRING_MAX)
                return text_error_set(reterr, -EINVAL, "expected at most %u bytes",
                                      SMBIOS_STRING_MAX);
        return r;
}

static int set_bios_vendor(void *object, const KvItem *item, TextError *reterr) {
        return set_name(&((VmmConfig *) object)->board.smbios.bios_vendor, item, reterr);
}

static int set_bios_version(void *object, const KvItem *item, TextError *reterr) {
        return set_name(&((VmmConfig *) object)->board.smbios.bios_version, item, reterr);
}

static int set_manufacturer(void *object, const KvItem *item, TextError *reterr) {
        return set_name(&((VmmConfig *) object)->board.smbios.manufacturer, item, reterr);
}

static int set_product_name(void *object, const KvItem *item, TextError *reterr) {
        return set_name(&((VmmConfig *) object)->board.smbios.product_name, item, reterr);
}

static int set_serial_number(void *object, const KvItem *item, TextError *reterr) {
        return set_name(&((VmmConfig *) object)->board.smbios.serial_number, item, reterr);
}

static int set_uuid(void *object, const KvItem *item, TextError *reterr) {
        static const uint8_t none[16];
        uint8_t *uuid = ((VmmConfig *) object)->board.smbios.uuid;

        if (!item->value || guid_parse(item->value, uuid) < 0 ||
            memcmp(uuid, none, sizeof(none)) == 0)
                return text_error_set(
                        reterr, -EINVAL,
                        "expected 8-4-4-4-12 hexadecimal digits that are not all zero, not '%s'",
                        item->value ?: "");
        return 0;
}

/* They come behind those of --oem-strings that are given before, and are checked with them. */
static int set_oem_strings(void *object, const KvItem *item, TextError *reterr) {
        return kv_get_strings(item, VMM_OEM_STRINGS_MAX, &((VmmConfig *) object)->oem_strings,
                              reterr);
}

static int parse_smbios(VmmConfig *config, const char *value, TextError *reterr) {
        static const KvField fields[] = {
                {"bios-vendor", set_bios_vendor},          {"bios-version", set_bios_version},
                {"manufacturer", set_manufacturer},        {"product-name", set_product_name},
                {"serial-number", set_serial_number},      {"uuid", set_uuid},
                {"oem-strings", set_oem_strings, KV_LIST},
        };

        return kv_apply(value, NULL, fields, ELEMENTSOF(fields), config, reterr);
}

static void append_name(StrBuf *buf, const char *key, const char *value) {
        if (value)
                kv_append(buf, key, value);
}

static int emit_smbios(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        static const uint8_t none[16];
        const VmmSmbios *smbios = &config->board.smbios;
        _cleanup_(strbuf_deinit) StrBuf buf = {0};
        char uuid[GUID_TEXT_SIZE], *text;
        int r;

        append_name(&buf, "bios-vendor", smbios->bios_vendor);
        append_name(&buf, "bios-version", smbios->bios_version);
        append_name(&buf, "manufacturer", smbios->manufacturer);
        append_name(&buf, "product-name", smbios->product_name);
        append_name(&buf, "serial-number", smbios->serial_number);
        guid_format(smbios->uuid, uuid);
        if (memcmp(smbios->uuid, none, sizeof(none)) != 0)
                kv_append(&buf, "uuid", uuid);
        if (buf.len == 0 && !buf.failed)
                return 0;
        r = strbuf_finish(&buf, &text);
        return r < 0 ? r : crosvm_flag_emit_consume(flag, text, argv);
}

/* ---- the rest ---- */

static int parse_irqchip(VmmConfig *config, const char *value, TextError *reterr) {
        if (str_eq(value, "split"))
                return 0;
        if (str_eq(value, "kernel") || str_eq(value, "userspace"))
                return text_error_set(reterr, -EINVAL,
                                      "%s: this board is always split: local APICs are the "
                                      "hypervisor's, I/O APIC, PIC and PIT the VMM's",
                                      value);
        return text_error_set(reterr, -EINVAL, "expected split, not '%s'", value);
}

/* What is so in any case. */
static int parse_nothing(VmmConfig *config, const char *value, TextError *reterr) {
        return 0;
}

static int parse_balloon_bias(VmmConfig *config, const char *value, TextError *reterr) {
        const char *digits = *value == '-' ? value + 1 : value;
        uint32_t mib;

        if (parse_u32(digits, &mib) < 0)
                return text_error_set(reterr, -EINVAL, "expected a number of MiB, not '%s'", value);
        return 0;
}

static int parse_swiotlb(VmmConfig *config, const char *value, TextError *reterr) {
        uint32_t mib;

        if (parse_u32(value, &mib) < 0)
                return text_error_set(reterr, -EINVAL, "expected a number of MiB, not '%s'", value);
        return 0;
}

static int parse_bus_locks(VmmConfig *config, const char *value, TextError *reterr) {
        if (parse_u32(value, &config->board.bus_locks_per_sec) < 0)
                return text_error_set(reterr, -EINVAL, "expected a number from 0 to %u, not '%s'",
                                      UINT32_MAX, value);
        return 0;
}

static int emit_bus_locks(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        int r = 0;

        if (config->board.bus_locks_per_sec > 0) {
                r = strvec_addf(argv, "--%s", flag->name);
                if (r == 0)
                        r = strvec_addf(argv, "%u", config->board.bus_locks_per_sec);
        }
        return r;
}

static int parse_hotplug_slots(VmmConfig *config, const char *value, TextError *reterr) {
        uint32_t n;

        if (parse_u32(value, &n) < 0 || n > VMM_PCI_SLOT_MAX)
                return text_error_set(reterr, -EINVAL, "expected a number from 0 to %u, not '%s'",
                                      VMM_PCI_SLOT_MAX, value);
        config->board.hotplug_slots = n;
        return 0;
}

static int emit_hotplug_slots(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        int r = 0;

        if (config->board.hotplug_slots > 0) {
                r = strvec_addf(argv, "--%s", flag->name);
                if (r == 0)
                        r = strvec_addf(argv, "%u", config->board.hotplug_slots);
        }
        return r;
}

static int emit_pci(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        char *value;
        int r = crosvm_pci_emit(&config->board, &value);

        return r < 0 || !value ? r : crosvm_flag_emit_consume(flag, value, argv);
}

static int emit_mmio_ranges(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        char *value;
        int r = crosvm_mmio_ranges_emit(&config->board, &value);

        return r < 0 || !value ? r : crosvm_flag_emit_consume(flag, value, argv);
}

static int emit_stubs(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        for (size_t i = 0; i < config->board.n_stubs; i++) {
                char *value;
                int r = crosvm_stub_emit(&config->board.stubs[i], &value);

                if (r == 0)
                        r = crosvm_flag_emit_consume(flag, value, argv);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int emit_file_mappings(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        for (size_t i = 0; i < config->memory.n_mappings; i++) {
                char *value;
                int r = crosvm_file_mapping_emit(&config->memory.mappings[i], &value);

                if (r == 0)
                        r = crosvm_flag_emit_consume(flag, value, argv);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int emit_pstore(const VmmConfig *config, const Flag *flag, StrVec *argv) {
        char *value;
        int r = crosvm_pstore_emit(&config->memory, &value);

        return r < 0 || !value ? r : crosvm_flag_emit_consume(flag, value, argv);
}

#define BOARD_SWITCH(name_, member_, help_)                                                        \
        {                                                                                          \
                .name = name_, .scope = SCOPE_RUN, .group = GROUP_BOARD, .kind = FLAG_SWITCH,      \
                .offset = offsetof(VmmConfig, board.member_), .help = help_                        \
        }

const Flag crosvm_board_flags[] = {
        {.name = "smbios",
         .scope = SCOPE_RUN,
         .group = GROUP_BOARD,
         .kind = FLAG_CUSTOM,
         .metavar = "LIST",
         .parse = parse_smbios,
         .emit = emit_smbios,
         .help = "names, UUID and OEM strings of the machine; keys below"},
        {.name = "acpi-table",
         .scope = SCOPE_RUN,
         .group = GROUP_BOARD,
         .kind = FLAG_STRINGS,
         .repeatable = true,
         .metavar = "PATH",
         .offset = offsetof(VmmConfig, board.acpi_tables),
         .help = "one more ACPI table, such as an SSDT"},
        BOARD_SWITCH("s2idle", s2idle, "firmware recommends suspend-to-idle"),
        BOARD_SWITCH("no-rtc", no_rtc, "no clock of a PC (CMOS)"),
        BOARD_SWITCH("no-i8042", no_i8042, "no keyboard controller"),
        BOARD_SWITCH("no-pmu", no_pmu, "no performance counters"),
        BOARD_SWITCH("nested", nested, "guests may run guests, where the host's KVM can"),
        BOARD_SWITCH("force-calibrated-tsc-leaf", tsc_leaf, "CPUID says how fast the TSC is"),
        BOARD_SWITCH("disable-virtio-intx", no_virtio_intx,
                     "virtio devices have no interrupt pin, only messages"),
        BOARD_SWITCH("break-linux-pci-config-io", no_config_ports,
                     "configuration space is not at ports 0xcf8, 0xcfc"),
        {.name = "bus-lock-ratelimit",
         .scope = SCOPE_RUN,
         .group = GROUP_BOARD,
         .kind = FLAG_CUSTOM,
         .metavar = "N",
         .parse = parse_bus_locks,
         .emit = emit_bus_locks,
         .help = "vCPUs rest when they make more bus locks a second; 0: never"},
        {.name = "pci",
         .scope = SCOPE_RUN,
         .group = GROUP_BOARD,
         .kind = FLAG_CUSTOM,
         .metavar = "LIST",
         .parse = crosvm_pci_parse,
         .emit = emit_pci,
         .help = "mem=[start=N,size=N],ecam=[start=N,size=N]: PCI below 4 GiB"},
        {.name = "mmio-address-range",
         .scope = SCOPE_RUN,
         .group = GROUP_BOARD,
         .kind = FLAG_CUSTOM,
         .metavar = "RANGES",
         .parse = crosvm_mmio_ranges_parse,
         .emit = emit_mmio_ranges,
         .help = "FIRST-LAST,...: where PCI devices may have memory"},
        {.name = "pci-hotplug-slots",
         .scope = SCOPE_RUN,
         .group = GROUP_BOARD,
         .kind = FLAG_CUSTOM,
         .metavar = "N",
         .parse = parse_hotplug_slots,
         .emit = emit_hotplug_slots,
         .help = "leave room for so many devices to be plugged in"},
        {.name = "stub-pci-device",
         .scope = SCOPE_RUN,
         .group = GROUP_BOARD,
         .kind = FLAG_CUSTOM,
         .repeatable = true,
         .metavar = "LIST",
         .parse = crosvm_stub_parse,
         .emit = emit_stubs,
         .help = "a PCI function that does nothing; keys below"},
        {.name = "file-backed-mapping",
         .scope = SCOPE_RUN,
         .group = GROUP_BOARD,
         .kind = FLAG_CUSTOM,
         .repeatable = true,
         .metavar = "LIST",
         .parse = crosvm_file_mapping_parse,
         .emit = emit_file_mappings,
         .help = "a file at an address of the guest; keys below"},
        {.name = "pstore",
         .scope = SCOPE_RUN,
         .group = GROUP_BOARD,
         .kind = FLAG_CUSTOM,
         .metavar = "LIST",
         .parse = crosvm_pstore_parse,
         .emit = emit_pstore,
         .help = "path=PATH,size=BYTES: memory that outlives a crash (ramoops)"},
        {.name = "strict-balloon",
         .scope = SCOPE_RUN,
         .group = GROUP_DEVICES,
         .kind = FLAG_SWITCH,
         .offset = offsetof(VmmConfig, strict_balloon),
         .help = "a guest without memory does not take the balloon's back"},
        {.name = "suspended-vcpus",
         .scope = SCOPE_RUN,
         .group = GROUP_MACHINE,
         .kind = FLAG_SWITCH,
         .offset = offsetof(VmmConfig, suspended_vcpus),
         .help = "do not run the guest before `resume`"},
        {.name = "irqchip",
         .scope = SCOPE_RUN,
         .group = GROUP_ACCEPTED,
         .kind = FLAG_CUSTOM,
         .metavar = "KIND",
         .parse = parse_irqchip,
         .emit = crosvm_flag_emit_nothing,
         .help = "split, which it always is"},
        {.name = "split-irqchip",
         .scope = SCOPE_RUN,
         .group = GROUP_ACCEPTED,
         .kind = FLAG_CUSTOM,
         .parse = parse_nothing,
         .emit = crosvm_flag_emit_nothing,
         .help = "the same"},
        {.name = "swiotlb",
         .scope = SCOPE_RUN,
         .group = GROUP_ACCEPTED,
         .kind = FLAG_CUSTOM,
         .metavar = "MIB",
         .parse = parse_swiotlb,
         .emit = crosvm_flag_emit_nothing,
         .help = "a pool that only a device tree can name: none on x86"},
        {.name = "force-disable-readonly-mem",
         .scope = SCOPE_RUN,
         .group = GROUP_ACCEPTED,
         .kind = FLAG_CUSTOM,
         .parse = parse_nothing,
         .emit = crosvm_flag_emit_nothing,
         .help = "PCI configuration space is never shown as memory"},
        {.name = "balloon-bias-mib",
         .scope = SCOPE_RUN,
         .group = GROUP_ACCEPTED,
         .kind = FLAG_CUSTOM,
         .metavar = "MIB",
         .parse = parse_balloon_bias,
         .emit = crosvm_flag_emit_nothing,
         .help = "of a policy that crosvm no longer has: nothing"},
        {.name = "no-syslog",
         .scope = SCOPE_GLOBAL,
         .group = GROUP_ACCEPTED,
         .kind = FLAG_CUSTOM,
         .parse = parse_nothing,
         .emit = crosvm_flag_emit_nothing,
         .help = "messages go to standard error alone, as always"},
};

const size_t crosvm_n_board_flags = ELEMENTSOF(crosvm_board_flags);
