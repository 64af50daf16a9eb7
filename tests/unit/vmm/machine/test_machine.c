/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/le.h"
#include "base/log.h"
#include "tests/fake/vmm_hv_fake.h"
#include "tests/fake/vmm_kernel_image.h"
#include "vmm/machine/machine.h"
#include "vmm/mem/memmap.h"

#define SLEEP_ENABLE 0x2000u
#define SLEEP_TYPE_SHIFT 10

typedef struct Fixture {
        VmmConfig config;
        int kernel_fd, console_fd;
        Machine *machine;
        TextError error;
} Fixture;

static int setup(void **state) {
        Fixture *fixture = calloc(1, sizeof(*fixture));
        StrBuf elf = {0};
        VmmSerial *console;

        hv_fake_reset();
        log_set_level(LOG_LEVEL_ERROR);
        kernel_image_make(&elf, UNPACK_FORMAT_UNKNOWN);
        fixture->kernel_fd = fd_memfd_from("kernel", elf.data, elf.len);
        fixture->console_fd = memfd_create("console", 0);
        strbuf_deinit(&elf);
        assert_true(fixture->kernel_fd >= 0 && fixture->console_fd >= 0);
        assert_int_equal(fd_set_cloexec(fixture->kernel_fd, false), 0);

        vmm_config_init(&fixture->config);
        assert_true(asprintf(&fixture->config.kernel, "/proc/self/fd/%d", fixture->kernel_fd) > 0);
        fixture->config.memory_bytes = KERNEL_IMAGE_RAM;
        fixture->config.n_vcpus = 3;
        console = &fixture->config.serials[fixture->config.n_serials++];
        vmm_serial_init(console);
        console->type = VMM_SERIAL_FILE;
        console->num = 1;
        console->console = true;
        assert_true(asprintf(&console->path, "/proc/self/fd/%d", fixture->console_fd) > 0);
        *state = fixture;
        return 0;
}

static int teardown(void **state) {
        Fixture *fixture = *state;

        (void) machine_free(fixture->machine);
        vmm_config_deinit(&fixture->config);
        text_error_deinit(&fixture->error);
        (void) fd_close(fixture->kernel_fd);
        (void) fd_close(fixture->console_fd);
        free(fixture);
        return 0;
}

static HaltReason run(Fixture *fixture, HvFakeScript script) {
        HaltReason reason = HALT_NONE;
        int r;

        hv_fake()->script = script;
        r = machine_new(&fixture->config, &hv_fake_ops, &fixture->machine, &fixture->error);
        if (r >= 0)
                r = machine_run(fixture->machine, &reason, &fixture->error);
        if (r < 0)
                fail_msg("%s", text_error_message(&fixture->error, r));
        return reason;
}

static HaltReason script_power_off(unsigned index, const CpuIo *io) {
        if (index == 1)
                io->pio_write(io->machine, IOPORT_PM_CONTROL, 2,
                              SLEEP_ENABLE | PM_SLEEP_TYPE_S5 << SLEEP_TYPE_SHIFT);
        return HALT_NONE;
}

static void test_acpi_power_off_ends_all_vcpus(void **state) {
        assert_int_equal(run(*state, script_power_off), HALT_POWER_OFF);
        assert_in_range(hv_fake()->n_runs, 1, 3); /* one that comes late does not enter any more */
        assert_int_equal(hv_fake()->n_freed, 3);
        assert_int_equal(hv_fake()->n_kicks, 3);
}

static HaltReason script_reset_port(unsigned index, const CpuIo *io) {
        if (index == 0)
                io->pio_write(io->machine, IOPORT_RESET_CONTROL, 1, 0x6);
        return HALT_NONE;
}

static void test_the_reset_port_is_reached_inside_the_pci_ports(void **state) {
        assert_int_equal(run(*state, script_reset_port), HALT_RESET);
}

static HaltReason script_keyboard_reset(unsigned index, const CpuIo *io) {
        if (index == 0)
                io->pio_write(io->machine, IOPORT_I8042_COMMAND, 1, 0xfe);
        return HALT_NONE;
}

static void test_the_keyboard_controller_resets(void **state) {
        assert_int_equal(run(*state, script_keyboard_reset), HALT_RESET);
}

static HaltReason script_panic_then_reset(unsigned index, const CpuIo *io) {
        if (index == 0) {
                io->pio_write(io->machine, IOPORT_PVPANIC, 1, 0x1);
                io->pio_write(io->machine, IOPORT_RESET_CONTROL, 1, 0x6);
        }
        return HALT_NONE;
}

static void test_the_first_reason_wins(void **state) {
        assert_int_equal(run(*state, script_panic_then_reset), HALT_GUEST_PANIC);
}

static HaltReason script_triple_fault(unsigned index, const CpuIo *io) {
        return index == 0 ? HALT_TRIPLE_FAULT : HALT_NONE;
}

static void test_a_processors_own_end_ends_the_machine(void **state) {
        assert_int_equal(run(*state, script_triple_fault), HALT_TRIPLE_FAULT);
}

static HaltReason script_print(unsigned index, const CpuIo *io) {
        if (index != 0)
                return HALT_NONE;
        for (const char *p = "no newline"; *p; p++)
                io->pio_write(io->machine, IOPORT_COM1, 1, (uint8_t) *p);
        return HALT_POWER_OFF;
}

static void test_console_output_is_written_out_before_the_end(void **state) {
        Fixture *fixture = *state;
        char text[32] = {0};

        assert_int_equal(run(fixture, script_print), HALT_POWER_OFF);
        assert_int_equal(pread(fixture->console_fd, text, sizeof(text), 0), 10);
        assert_string_equal(text, "no newline");
}

static HaltReason script_find_bridge(unsigned index, const CpuIo *io) {
        uint64_t ecam, ports;

        if (index != 0)
                return HALT_NONE;
        ecam = io->mmio_read(io->machine, MEMMAP_ECAM_BASE, 4);
        io->pio_write(io->machine, IOPORT_PCI_CONFIG_ADDRESS, 4, 0x80000000u);
        ports = io->pio_read(io->machine, IOPORT_PCI_CONFIG_DATA, 4);
        return ecam == ports && ecam != UINT32_MAX ? HALT_POWER_OFF : HALT_ERROR;
}

static void test_pci_configuration_is_reached_both_ways(void **state) {
        assert_int_equal(run(*state, script_find_bridge), HALT_POWER_OFF);
}

static void test_processors_start_as_firmware_leaves_them(void **state) {
        HvFake *hv = hv_fake();

        (void) run(*state, script_power_off);
        assert_int_equal(hv->registers[0].rip, KERNEL_IMAGE_TEXT);
        assert_int_equal(hv->registers[0].rsi, MEMMAP_BOOT_PARAMS);
        assert_true(hv->system_registers[0].efer != 0);
        assert_int_equal(hv->registers[1].rip, 0);
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(le32_load(hv->apic[i].registers + VCPU_APIC_LVT_LINT0),
                                 VCPU_APIC_LVT_EXTINT);
                assert_int_equal(le32_load(hv->apic[i].registers + VCPU_APIC_LVT_LINT1),
                                 VCPU_APIC_LVT_NMI);
                assert_int_equal(hv->mtrr[i].def_type, 0xc06);
        }
}

static void test_a_vcpu_that_cannot_be_bound_is_a_start_error(void **state) {
        Fixture *fixture = *state;
        HaltReason reason = HALT_NONE;

        hv_fake()->bind_error = -EIO;
        hv_fake()->bind_error_index = 2;
        assert_int_equal(
                machine_new(&fixture->config, &hv_fake_ops, &fixture->machine, &fixture->error), 0);
        assert_int_equal(machine_run(fixture->machine, &reason, &fixture->error), -EIO);
        assert_non_null(strstr(fixture->error.message, "cannot set up the vCPUs"));
        assert_int_equal(hv_fake()->n_runs, 0);
        assert_int_equal(hv_fake()->n_freed, 2);
}

static void *halt_from_outside(void *machine) {
        machine_halt(machine, HALT_STOP);
        return NULL;
}

static void test_a_stop_from_another_thread_ends_it(void **state) {
        Fixture *fixture = *state;
        HaltReason reason = HALT_NONE;
        pthread_t thread;

        assert_int_equal(
                machine_new(&fixture->config, &hv_fake_ops, &fixture->machine, &fixture->error), 0);
        assert_int_equal(pthread_create(&thread, NULL, halt_from_outside, fixture->machine), 0);
        assert_int_equal(machine_run(fixture->machine, &reason, &fixture->error), 0);
        pthread_join(thread, NULL);
        assert_int_equal(reason, HALT_STOP);
}

static void test_memory_beyond_the_address_width_is_refused(void **state) {
        Fixture *fixture = *state;

        hv_fake()->physical_bits = 32;
        fixture->config.memory_bytes = UINT64_C(4) << 30;
        assert_int_equal(
                machine_new(&fixture->config, &hv_fake_ops, &fixture->machine, &fixture->error),
                -E2BIG);
        assert_non_null(strstr(fixture->error.message, "32 address bits"));
}

static void test_a_missing_disk_is_named(void **state) {
        Fixture *fixture = *state;
        VmmDisk *disk = &fixture->config.disks[fixture->config.n_disks++];

        vmm_disk_init(disk);
        disk->path = strdup("/nonexistent/disk.img");
        assert_int_equal(
                machine_new(&fixture->config, &hv_fake_ops, &fixture->machine, &fixture->error),
                -ENOENT);
        assert_non_null(strstr(fixture->error.message, "/nonexistent/disk.img"));
}

static void test_a_missing_kernel_is_named(void **state) {
        Fixture *fixture = *state;

        free(fixture->config.kernel);
        fixture->config.kernel = strdup("/nonexistent/vmlinuz");
        assert_int_equal(
                machine_new(&fixture->config, &hv_fake_ops, &fixture->machine, &fixture->error),
                -ENOENT);
        assert_non_null(strstr(fixture->error.message, "/nonexistent/vmlinuz"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_acpi_power_off_ends_all_vcpus),
                TEST(test_the_reset_port_is_reached_inside_the_pci_ports),
                TEST(test_the_keyboard_controller_resets),
                TEST(test_the_first_reason_wins),
                TEST(test_a_processors_own_end_ends_the_machine),
                TEST(test_console_output_is_written_out_before_the_end),
                TEST(test_pci_configuration_is_reached_both_ways),
                TEST(test_processors_start_as_firmware_leaves_them),
                TEST(test_a_vcpu_that_cannot_be_bound_is_a_start_error),
                TEST(test_a_stop_from_another_thread_ends_it),
                TEST(test_memory_beyond_the_address_width_is_refused),
                TEST(test_a_missing_disk_is_named),
                TEST(test_a_missing_kernel_is_named),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
