/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "config/crosvm_flags.h"
#include "config/crosvm_pci_flags.h"

#define ARGV_MAX 64

/* Splits @line at '|' and parses it behind "run" and in front of a kernel. */
static int parse_line(const char *line, VmmConfig *ret, TextError *reterr) {
        _cleanup_(freep) char *copy = strdup(line);
        char run[] = "run", kernel[] = "k";
        char *argv[ARGV_MAX] = {copy, run};
        int argc = 2;

        assert_non_null(copy);
        for (char *p = copy; p; argc++) {
                assert_true(argc < ARGV_MAX - 2);
                argv[argc] = strsep(&p, "|");
        }
        argv[argc++] = kernel;
        return crosvm_flags_parse(argc, argv, ret, reterr);
}

static void assert_refused(const char *line, const char *words) {
        _cleanup_(text_error_deinit) TextError error = {0};
        VmmConfig config;
        int r = parse_line(line, &config, &error);

        if (r != -EINVAL || !error.message || !strstr(error.message, words))
                fail_msg("'%s' gave %d '%s', expected -EINVAL with '%s'", line, r,
                         error.message ?: "(none)", words);
}

/* What is parsed and emitted is understood as the same. */
static void assert_emitted(const char *line, const char *words) {
        _cleanup_(vmm_config_deinit) VmmConfig config = {0};
        _cleanup_(strvec_deinit) StrVec argv = {0};
        _cleanup_(strbuf_deinit) StrBuf text = {0};

        assert_int_equal(parse_line(line, &config, NULL), 0);
        assert_int_equal(crosvm_flags_emit(&config, &argv, NULL), 0);
        for (size_t i = 0; i < argv.n; i++)
                strbuf_printf(&text, "%s|", argv.items[i]);
        if (!strstr(text.data, words))
                fail_msg("'%s' was emitted as '%s', expected '%s'", line, text.data, words);
}

static void test_the_machine_is_named(void **state) {
        static const uint8_t uuid[] = {0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0,
                                       0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0};
        static const char line[] = "--smbios|bios-vendor=V,bios-version=\"1,2\",manufacturer=M,"
                                   "product-name=P,serial-number=S,"
                                   "uuid=12345678-9abc-def0-1234-56789abcdef0,oem-strings=[a,b]";
        _cleanup_(vmm_config_deinit) VmmConfig c = {0};

        assert_int_equal(parse_line(line, &c, NULL), 0);
        assert_string_equal(c.board.smbios.bios_vendor, "V");
        assert_string_equal(c.board.smbios.bios_version, "1,2");
        assert_string_equal(c.board.smbios.manufacturer, "M");
        assert_string_equal(c.board.smbios.product_name, "P");
        assert_string_equal(c.board.smbios.serial_number, "S");
        assert_memory_equal(c.board.smbios.uuid, uuid, sizeof(uuid));
        assert_int_equal(c.oem_strings.n, 2);
        assert_emitted(line, "--oem-strings|a|--oem-strings|b|");
        assert_emitted(line, "serial-number=S,uuid=12345678-9abc-def0-1234-56789abcdef0|");
        assert_refused("--smbios|uuid=12345678", "--smbios: uuid: expected 8-4-4-4-12");
        assert_refused("--smbios|uuid=00000000-0000-0000-0000-000000000000", "not all zero");
        assert_refused("--smbios|manufacturer=", "manufacturer");
        assert_refused("--smbios|colour=red", "colour: unknown key");
        assert_refused("--smbios|manufacturer=01234567890123456789012345678901234567890123456789"
                       "012345678901234567890",
                       "at most 64 bytes");
}

static void test_the_address_map_is_moved(void **state) {
        static const char line[] = "--pci|mem=[start=0x80000000,size=0x10000000],ecam=[start="
                                   "0xf0000000,size=0x100000]";
        _cleanup_(vmm_config_deinit) VmmConfig c = {0};

        assert_int_equal(parse_line(line, &c, NULL), 0);
        assert_int_equal(c.board.pci_mem.start, 0x80000000);
        assert_int_equal(c.board.pci_mem.size, 0x10000000);
        assert_int_equal(c.board.pci_ecam.start, 0xf0000000);
        assert_emitted(line, line);
        assert_emitted("--pci-start|0x80000000", "--pci|mem=[start=0x80000000,size=0x60000000]|");
        assert_emitted("--pcie-ecam|0xf0000000,0x100000",
                       "--pci|ecam=[start=0xf0000000,size=0x100000]|");
        assert_refused("--pci|cam=[start=1,size=1]", "cam: not on x86");
        assert_refused("--pci|mem=[start=0x80000000]", "needs start= and size=");
        assert_refused("--pci|mem=7", "expected [start=N,size=N]");
        assert_refused("--pci|mem=[start=0x80000001,size=0x1000]", "multiples");
        assert_refused("--pci|mem=[start=0x1000,size=0x1000]", "expected a range");
        assert_refused("--pci|mem=[start=0xfec00000,size=0x1000]", "expected a range");
        assert_refused("--pci|ecam=[start=0xf0001000,size=0x100000]", "multiples of 0x100000");
        assert_refused("--pci-start|0xffffffff", "below 0xe0000000");
        assert_refused("--pcie-ecam|7", "expected START,SIZE");
        assert_refused("--bios|b|--pci|mem=[start=0x80000000,size=0x1000]", "places PCI devices");
}

static void test_windows_are_cut_to_the_ranges(void **state) {
        static const char line[] = "--mmio-address-range|0x1000-0x1fff,0x3000-0x5fff";
        _cleanup_(vmm_config_deinit) VmmConfig c = {0};
        VmmRange window;

        assert_int_equal(parse_line(line, &c, NULL), 0);
        assert_int_equal(c.board.n_mmio_ranges, 2);
        assert_emitted(line, line);
        window = vmm_board_limit(&c.board, (VmmRange){0, 0x10000});
        assert_int_equal(window.start, 0x3000);
        assert_int_equal(window.size, 0x3000);
        window = vmm_board_limit(&c.board, (VmmRange){0x1800, 0x2000});
        assert_int_equal(window.start, 0x1800);
        assert_int_equal(window.size, 0x800);
        assert_int_equal(vmm_board_limit(&c.board, (VmmRange){0x2000, 0x1000}).size, 0);
        assert_refused("--mmio-address-range|5", "expected FIRST-LAST");
        assert_refused("--mmio-address-range|5-4", "expected FIRST-LAST");
        assert_refused("--mmio-address-range|0-0xffffffffffffffff", "expected FIRST-LAST");
        assert_refused("--mmio-address-range|1-2,1-2,1-2,1-2,1-2,1-2,1-2,1-2,1-2", "more than 8");
}

static void test_addresses_of_functions_are_those_of_lspci(void **state) {
        static const char *const bad[] = {"",        "5",         "00:05",    "00:05.8",
                                          "00:20.0", "0:0:05.0.", "00:05.0 ", "000000:05.0",
                                          "g0:05.0", ":05.0",     "00:5.",    "1:00:05.0",
                                          "01:05.0", "00:00.0",   "00:05.1"};
        unsigned slot;

        assert_int_equal(crosvm_pci_address_parse("00:05.0", &slot, NULL), 0);
        assert_int_equal(slot, 5);
        assert_int_equal(crosvm_pci_address_parse("0000:00:1F.0", &slot, NULL), 0);
        assert_int_equal(slot, 31);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (crosvm_pci_address_parse(bad[i], &slot, NULL) != -EINVAL)
                        fail_msg("'%s' is taken for an address", bad[i]);
        assert_emitted("--block|a,pci-address=00:09.0", "path=a,ro=false,pci-address=00:09.0|");
        assert_emitted("--net|user,pci-address=0:a.0", "user,pci-address=00:0a.0|");
        assert_emitted("--vhost-user-fs|s,tag=t,pci-address=0:1.0", "pci-address=00:01.0|");
        assert_refused("--block|a,pci-address=0:5.0|--net|user,pci-address=0:5.0", "same address");
        assert_refused("--bios|b|--block|a,pci-address=0:1f.0", "chipset");
}

static void test_the_executor_is_of_all_files_or_of_one(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig c = {0};

        assert_int_equal(
                parse_line("--async-executor|uring|--block|a,async-executor=epoll", &c, NULL), 0);
        assert_int_equal(c.executor, VMM_EXECUTOR_URING);
        assert_int_equal(c.disks[0].executor, VMM_EXECUTOR_EPOLL);
        assert_emitted("--block|a,async-executor=epoll", "ro=false,async-executor=epoll|");
        assert_emitted("--async-executor|uring", "--async-executor|uring|");
}

static void test_stubs_have_an_identity(void **state) {
        _cleanup_(vmm_config_deinit) VmmConfig c = {0};
        const VmmStub *stub = &c.board.stubs[0];

        assert_int_equal(parse_line("--stub-pci-device|0:1e.0,vendor=0x8086,device=0x7000,"
                                    "class=0x060100,subsystem-vendor=1,subsystem-device=2,"
                                    "revision=3",
                                    &c, NULL),
                         0);
        assert_int_equal(stub->slot, 30);
        assert_int_equal(stub->vendor, 0x8086);
        assert_int_equal(stub->device, 0x7000);
        assert_int_equal(stub->class_code, 0x60100);
        assert_int_equal(stub->subsystem, 2);
        assert_int_equal(stub->revision, 3);
        assert_emitted("--stub-pci-device|0:1e.0,vendor=1,class=2",
                       "00:1e.0,vendor=0x1,device=0x0,class=0x2,");
        assert_refused("--stub-pci-device|vendor=1", "needs an address");
        assert_refused("--stub-pci-device|0:1.0,vendor=0xffff", "needs an address and a vendor");
        assert_refused("--stub-pci-device|0:1.0,vendor=0x10000", "vendor: expected a number");
        assert_refused("--stub-pci-device|0:1.0,class=0x1000000", "class");
        assert_refused("--stub-pci-device|0:1.0|--stub-pci-device|0:1.0", "given twice");
}

static void test_switches_of_the_board(void **state) {
        static const char line[] = "--s2idle|--no-rtc|--no-i8042|--no-pmu|--nested|"
                                   "--disable-virtio-intx|--break-linux-pci-config-io";
        _cleanup_(vmm_config_deinit) VmmConfig c = {0};

        assert_int_equal(parse_line(line, &c, NULL), 0);
        assert_true(c.board.s2idle && c.board.no_rtc && c.board.no_i8042 && c.board.no_pmu);
        assert_true(c.board.nested && c.board.no_virtio_intx && c.board.no_config_ports);
        assert_emitted(line, line);
        assert_refused("--bios|b|--break-linux-pci-config-io", "needs the ports");
        assert_emitted("--pci-hotplug-slots|4", "--pci-hotplug-slots|4|");
        assert_emitted("--bus-lock-ratelimit|100", "--bus-lock-ratelimit|100|");
        assert_emitted("--bus-lock-ratelimit|0", "run|--mem|");
        assert_refused("--bus-lock-ratelimit|-1", "from 0 to 4294967295");
        assert_refused("--bus-lock-ratelimit|4294967296", "from 0 to 4294967295");
        assert_refused("--pci-hotplug-slots|30", "the bus takes 31");
        assert_refused("--pci-hotplug-slots|32", "from 0 to 31");
        assert_emitted("--acpi-table|a|--acpi-table|b", "--acpi-table|a|--acpi-table|b|");
        assert_refused("--acpi-table|a|--acpi-table|b|--acpi-table|c|--acpi-table|d|--acpi-table|e|"
                       "--acpi-table|f|--acpi-table|g|--acpi-table|h|--acpi-table|i",
                       "more than 8");
}

static void test_what_is_so_in_any_case_is_accepted(void **state) {
        assert_emitted("--irqchip|split|--split-irqchip|--swiotlb|64", "run|--mem|");
        assert_emitted("--force-disable-readonly-mem", "run|--mem|");
        assert_refused("--irqchip|kernel", "always split");
        assert_refused("--irqchip|userspace", "always split");
        assert_refused("--irqchip|x", "expected split");
        assert_refused("--swiotlb|much", "number of MiB");
        assert_emitted("--balloon-bias-mib|-64", "run|--mem|");
        assert_refused("--balloon-bias-mib|--1", "number of MiB");
}

static void test_old_spellings_become_todays(void **state) {
        assert_emitted("--disk|a|-d|b,sparse=false",
                       "--block|path=a,ro=true|--block|path=b,ro=true,sparse=false|");
        assert_emitted("--rwdisk|a", "--block|path=a,ro=false|");
        assert_emitted("--root|a", "--block|path=a,ro=true,root|");
        assert_emitted("--rwroot|a", "--block|path=a,ro=false,root|");
        assert_emitted("--tap-fd|5", "--net|tap-fd=5|");
        assert_emitted("--tap-name|tap0", "--net|tap-name=tap0|");
        assert_emitted("--lock-guest-memory-dontneed", "--lock-guest-memory|");
        assert_emitted("--kvm-device|/k", "--hypervisor|kvm[device=/k]|");
        assert_refused("--kvm-device|/k|--hypervisor|soft", "only kvm takes device=");
        assert_refused("--kvm-device|", "the value is empty");
        assert_refused("--root|a|--rwroot|b", "only one disk can be root");
        assert_refused("--tap-fd|x", "--tap-fd: tap-fd: expected a descriptor");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_machine_is_named),
                cmocka_unit_test(test_the_address_map_is_moved),
                cmocka_unit_test(test_windows_are_cut_to_the_ranges),
                cmocka_unit_test(test_addresses_of_functions_are_those_of_lspci),
                cmocka_unit_test(test_the_executor_is_of_all_files_or_of_one),
                cmocka_unit_test(test_stubs_have_an_identity),
                cmocka_unit_test(test_switches_of_the_board),
                cmocka_unit_test(test_what_is_so_in_any_case_is_accepted),
                cmocka_unit_test(test_old_spellings_become_todays),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
