/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "base/log.h"
#include "tests/fake/vmm_hv_fake.h"
#include "tests/fake/vmm_kernel_image.h"
#include "vmm/machine/machine_internal.h"
#include "vmm/mem/memmap.h"

/* Two machines, of which the second takes over the state of the first. */
typedef struct Fixture {
        VmmConfig config;
        int kernel_fd;
        Machine *from, *to;
        TextError error;
        Snapshot saved;
} Fixture;

static int setup(void **state) {
        static Fixture f;
        VmmSerial *serial;
        StrBuf elf = {0};

        f = (Fixture){0};
        hv_fake_reset();
        log_set_level(LOG_LEVEL_ERROR);
        kernel_image_make(&elf, UNPACK_FORMAT_UNKNOWN);
        f.kernel_fd = fd_memfd_from("kernel", elf.data, elf.len);
        strbuf_deinit(&elf);
        assert_true(f.kernel_fd >= 0);
        assert_int_equal(fd_set_cloexec(f.kernel_fd, false), 0);
        vmm_config_init(&f.config);
        assert_true(asprintf(&f.config.kernel, "/proc/self/fd/%d", f.kernel_fd) > 0);
        f.config.memory_bytes = KERNEL_IMAGE_RAM;
        f.config.n_vcpus = 2;
        serial = &f.config.serials[f.config.n_serials++];
        vmm_serial_init(serial);
        serial->num = 1;
        serial->console = true;
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        snapshot_deinit(&f->saved);
        (void) machine_free(f->from);
        (void) machine_free(f->to);
        vmm_config_deinit(&f->config);
        text_error_deinit(&f->error);
        (void) fd_close(f->kernel_fd);
        return 0;
}

static Machine *new_machine_on(Fixture *f, const HvOps *hv) {
        Machine *machine = NULL;
        int r = machine_new(&f->config, hv, &machine, &f->error);

        if (r < 0)
                fail_msg("%s", text_error_message(&f->error, r));
        machine_suspend(machine, /* devices= */ true);
        return machine;
}

static Machine *new_machine(Fixture *f) {
        return new_machine_on(f, &hv_fake_ops);
}

static void save(Fixture *f) {
        snapshot_init_saving(&f->saved);
        machine_snapshot_state(f->from, &f->saved);
}

/* Return: why it failed, or NULL. */
static const char *restore(Fixture *f) {
        static char why[512];
        Snapshot s;
        int r;

        snapshot_init_restoring(&s, f->saved.bytes, f->saved.len);
        machine_snapshot_state(f->to, &s);
        r = s.error;
        (void) snprintf(why, sizeof(why), "%s", text_error_message(&s.text, r));
        snapshot_deinit(&s);
        return r < 0 ? why : NULL;
}

static uint8_t port(const Machine *machine, uint16_t at) {
        return (uint8_t) bus_read(machine->pio, at, 1);
}

/* A guest that has done something to every chip. */
static void work(const Machine *machine) {
        static const struct {
                uint16_t port;
                uint8_t value;
        } writes[] = {
                {IOPORT_PIC_MASTER, 0x11},
                {IOPORT_PIC_MASTER + 1, 0x30},
                {IOPORT_PIC_MASTER + 1, 0x04},
                {IOPORT_PIC_MASTER + 1, 0x01},
                {IOPORT_PIC_MASTER + 1, 0xe7},
                {IOPORT_PIT + 3, 0x34},
                {IOPORT_PIT, 0x9c},
                {IOPORT_PIT, 0x2e},
                {IOPORT_RTC, 0x60},
                {IOPORT_RTC + 1, 0x77},
                {IOPORT_I8042_COMMAND, 0x60},
                {IOPORT_I8042_DATA, 0x31},
                {IOPORT_COM1 + 7, 0x5a},
                {IOPORT_COM1 + 3, 0x03},
                {IOPORT_COM1 + 1, 0x02},
                {IOPORT_COM1 + 4, 0x0b},
                {IOPORT_PM_BASE + 3, 0x01},
                {IOPORT_RESET_CONTROL, 0x02},
        };

        for (size_t i = 0; i < ELEMENTSOF(writes); i++)
                bus_write(machine->pio, writes[i].port, 1, writes[i].value);
        bus_write(machine->pio, IOPORT_WATCHDOG + WATCHDOG_REG_COUNTDOWN, 4, 77);
        bus_write(machine->pio, IOPORT_PCI_CONFIG_ADDRESS, 4, 0x80000800u);
        bus_write(machine->mmio, MEMMAP_IOAPIC_BASE, 4, 0x10 + 2 * 4);
        bus_write(machine->mmio, MEMMAP_IOAPIC_BASE + 0x10, 4, 0x34); /* pin 4, not masked */
        bus_write(machine->mmio, MEMMAP_ECAM_BASE + (1u << 15) + PCI_COMMAND, 2,
                  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
        acpi_pm_press_power_button(machine->acpi_pm);
        hv_fake()->time_nsec = 123456789;
}

static void test_what_was_restored_is_saved_as_the_same_bytes(void **state) {
        Fixture *f = *state;
        Snapshot again;

        f->from = new_machine(f);
        work(f->from);
        save(f);
        assert_int_equal(f->saved.error, 0);
        f->to = new_machine(f);
        hv_fake()->time_nsec = 0;
        assert_null(restore(f));
        assert_int_equal(hv_fake()->time_nsec, 123456789);

        snapshot_init_saving(&again);
        machine_snapshot_state(f->to, &again);
        assert_int_equal(again.error, 0);
        assert_int_equal(again.len, f->saved.len);
        assert_memory_equal(again.bytes, f->saved.bytes, again.len);
        snapshot_deinit(&again);
}

static void test_the_guest_finds_registers_as_it_left_them(void **state) {
        Fixture *f = *state;

        f->from = new_machine(f);
        work(f->from);
        save(f);
        f->to = new_machine(f);
        assert_null(restore(f));
        assert_int_equal(port(f->to, IOPORT_PIC_MASTER + 1), 0xe7);
        assert_int_equal(port(f->to, IOPORT_RTC + 1), 0x77);
        assert_int_equal(port(f->to, IOPORT_COM1 + 7), 0x5a);
        assert_int_equal(port(f->to, IOPORT_PM_BASE + 1), 0x01); /* the button */
        assert_int_equal(port(f->to, IOPORT_RESET_CONTROL), 0x02);
        assert_int_equal(bus_read(f->to->pio, IOPORT_WATCHDOG + WATCHDOG_REG_COUNTDOWN, 4), 77);
        assert_int_equal(bus_read(f->to->pio, IOPORT_PCI_CONFIG_ADDRESS, 4), 0x80000800u);
        assert_int_equal(bus_read(f->to->mmio, MEMMAP_IOAPIC_BASE, 4), 0x10 + 2 * 4);
        assert_int_equal(bus_read(f->to->mmio, MEMMAP_IOAPIC_BASE + 0x10, 4), 0x34);
        bus_write(f->to->pio, IOPORT_I8042_COMMAND, 1, 0x20);
        assert_int_equal(port(f->to, IOPORT_I8042_DATA), 0x31);
}

static void test_guest_time_is_that_of_the_snapshot(void **state) {
        Fixture *f = *state;

        f->from = new_machine(f);
        save(f);
        f->to = new_machine(f);
        assert_null(restore(f));
        assert_true(guest_clock_now_nsec(f->to->clock) == guest_clock_now_nsec(f->from->clock));
}

static void refuses_other_on(Fixture *f, const HvOps *hv, const char *why) {
        const char *refusal;

        f->to = new_machine_on(f, hv);
        refusal = restore(f);
        assert_non_null(refusal);
        if (!strstr(refusal, why))
                fail_msg("%s", refusal);
        f->to = machine_free(f->to);
}

static void refuses_other(Fixture *f, const char *why) {
        refuses_other_on(f, &hv_fake_ops, why);
}

static void test_another_hypervisor_is_named(void **state) {
        HvOps other = hv_fake_ops;
        Fixture *f = *state;

        other.name = "other";
        f->from = new_machine(f);
        save(f);
        refuses_other_on(f, &other, "the hypervisor is fake in the snapshot and other here");
}

static void test_another_model_of_processor_is_told_by_its_leaf(void **state) {
        Fixture *f = *state;

        f->from = new_machine(f);
        save(f);
        hv_fake()->cpuid_ebx = 0x756e6547;
        refuses_other(f, "the processor's CPUID leaf 0x0.0 is");
}

static void test_a_machine_that_differs_is_told_why(void **state) {
        Fixture *f = *state;
        VmmSerial *console;

        f->from = new_machine(f);
        save(f);
        f->config.n_vcpus = 3;
        refuses_other(f, "the number of vCPUs is 2 in the snapshot and 3 here");
        f->config.n_vcpus = 2;
        f->config.memory_bytes += 1u << 20;
        refuses_other(f, "the memory in bytes is");
        f->config.memory_bytes -= 1u << 20;
        f->config.no_rng = true;
        refuses_other(f, "is virtio-pci in the snapshot and none here");
        f->config.no_rng = false;
        console = &f->config.serials[f->config.n_serials++];
        vmm_serial_init(console);
        console->hardware = VMM_SERIAL_HARDWARE_VIRTIO_CONSOLE;
        refuses_other(f, "is none in the snapshot and virtio-pci here");
        vmm_serial_deinit(console);
        f->config.n_serials--;
        f->config.board.no_rtc = true;
        refuses_other(f, "whether there is an RTC is 1 in the snapshot and 0 here");
        f->config.board.no_rtc = false;
        f->config.board.no_i8042 = true;
        refuses_other(f, "keyboard controller is 1 in the snapshot and 0 here");
}

static void test_every_truncation_is_refused(void **state) {
        Fixture *f = *state;
        size_t len;

        f->from = new_machine(f);
        save(f);
        len = f->saved.len;
        for (size_t cut = 1; cut < len; cut += 97) {
                f->saved.len = len - cut;
                f->to = new_machine(f);
                assert_non_null(restore(f));
                f->to = machine_free(f->to);
        }
        f->saved.len = len;
}

static void cannot_be_saved(Fixture *f, const char *why) {
        f->from = new_machine(f);
        save(f);
        assert_int_equal(f->saved.error, -EOPNOTSUPP);
        assert_non_null(strstr(text_error_message(&f->saved.text, f->saved.error), why));
}

static void test_options_that_have_a_state_of_their_own_are_named(void **state) {
        Fixture *f = *state;

        f->config.test_device = true;
        cannot_be_saved(f, "a machine with --test-device cannot be saved");
}

static void test_a_machine_that_was_changed_while_it_ran_cannot_be_saved(void **state) {
        Fixture *f = *state;

        f->from = new_machine(f);
        f->from->identity.hotplugged = true;
        save(f);
        assert_int_equal(f->saved.error, -EOPNOTSUPP);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_what_was_restored_is_saved_as_the_same_bytes),
                TEST(test_the_guest_finds_registers_as_it_left_them),
                TEST(test_guest_time_is_that_of_the_snapshot),
                TEST(test_another_hypervisor_is_named),
                TEST(test_another_model_of_processor_is_told_by_its_leaf),
                TEST(test_a_machine_that_differs_is_told_why),
                TEST(test_every_truncation_is_refused),
                TEST(test_options_that_have_a_state_of_their_own_are_named),
                TEST(test_a_machine_that_was_changed_while_it_ran_cannot_be_saved),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
