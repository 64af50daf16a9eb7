/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/mem/memmap.h"
#include "vmm/pci/pci.h"

#define LPC_SLOT 31u
#define PCIEXBAR 0x60u
#define PAM0 0x90u
#define PMBASE 0x40u
#define PIRQ_A 0x60u
#define ECAM UINT64_C(0xb0000000)
#define ECAM_256_MIB 0x0u
#define ECAM_128_MIB 0x2u
#define ECAM_64_MIB 0x4u
#define ENABLE 0x1u

/* The registers as firmware reaches them before there is ECAM: ports 0xcf8 and 0xcfc. */
typedef struct Fixture {
        Bus *mmio, *pio;
        PciRoot *root;
} Fixture;

static int setup(void **state) {
        static Fixture f;

        f = (Fixture){0};
        assert_int_equal(bus_new("mmio", &f.mmio), 0);
        assert_int_equal(bus_new("pio", &f.pio), 0);
        assert_int_equal(
                pci_root_new(&(PciRootConfig){.mmio = f.mmio, .pio = f.pio, .firmware = true},
                             &f.root),
                0);
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        (void) pci_root_free(f->root);
        (void) bus_free(f->mmio);
        (void) bus_free(f->pio);
        return 0;
}

static void select_register(const Fixture *f, unsigned slot, unsigned offset) {
        bus_write(f->pio, 0xcf8, 4, 0x80000000u | slot << 11 | (offset & 0xfcu));
}

static uint32_t config_read(const Fixture *f, unsigned slot, unsigned offset, unsigned size) {
        select_register(f, slot, offset);
        return (uint32_t) bus_read(f->pio, 0xcfc + (offset & 3), size);
}

static void config_write(const Fixture *f, unsigned slot, unsigned offset, unsigned size,
                         uint32_t value) {
        select_register(f, slot, offset);
        bus_write(f->pio, 0xcfc + (offset & 3), size, value);
}

static uint32_t ecam_read(const Fixture *f, uint64_t base) {
        return (uint32_t) bus_read(f->mmio, base, 4);
}

static void test_firmware_finds_the_chipset_that_it_knows(void **state) {
        const Fixture *f = *state;

        assert_int_equal(config_read(f, 0, 0, 4), 0x29c08086);
        assert_int_equal(config_read(f, 0, 0x2c, 4), 0x11001af4);
        assert_int_equal(config_read(f, LPC_SLOT, 0, 4), 0x29188086);
        assert_int_equal(config_read(f, LPC_SLOT, 8, 4) >> 8, 0x060100);
}

static void test_ecam_is_off_until_firmware_places_it(void **state) {
        const Fixture *f = *state;
        uint64_t base, size;

        assert_false(pci_root_ecam(f->root, &base, &size));
        assert_int_not_equal(ecam_read(f, ECAM), 0x29c08086);
        config_write(f, 0, PCIEXBAR, 4, ECAM | ENABLE);
        assert_true(pci_root_ecam(f->root, &base, &size));
        assert_int_equal(base, ECAM);
        assert_int_equal(size, 256 << 20);
        assert_int_equal(ecam_read(f, ECAM), 0x29c08086);
        assert_int_equal(ecam_read(f, ECAM + (LPC_SLOT << 15)), 0x29188086);
}

static void test_ecam_moves_and_goes_as_firmware_says(void **state) {
        const Fixture *f = *state;
        uint64_t base, size;

        config_write(f, 0, PCIEXBAR, 4, ECAM | ENABLE);
        config_write(f, 0, PCIEXBAR, 4, (ECAM + 0x10000000) | ECAM_64_MIB | ENABLE);
        assert_true(pci_root_ecam(f->root, &base, &size));
        assert_int_equal(size, 64 << 20);
        assert_int_equal(ecam_read(f, ECAM + 0x10000000), 0x29c08086);
        assert_int_not_equal(ecam_read(f, ECAM), 0x29c08086);
        config_write(f, 0, PCIEXBAR, 4, 0);
        assert_false(pci_root_ecam(f->root, &base, &size));
        assert_int_not_equal(ecam_read(f, ECAM + 0x10000000), 0x29c08086);
}

static void test_ecam_in_ram_or_over_the_interrupt_controllers_is_not_decoded(void **state) {
        const Fixture *f = *state;
        const uint32_t wrong[] = {
                ENABLE,                              /* at address 0 */
                0x70000000 | ECAM_128_MIB | ENABLE,  /* in RAM */
                0xf0000000u | ECAM_256_MIB | ENABLE, /* over the I/O APIC */
                0xfc000000u | ECAM_64_MIB | ENABLE,  /* the same, the smallest */
                (uint32_t) ECAM | 0x6u /* no such length */ | ENABLE,
        };
        uint64_t base, size;

        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                config_write(f, 0, PCIEXBAR, 4, wrong[i]);
                assert_false(pci_root_ecam(f->root, &base, &size));
        }
}

static void test_shadowing_registers_keep_what_they_have_bits_for(void **state) {
        const Fixture *f = *state;

        config_write(f, 0, PAM0 + 1, 1, 0xff);
        assert_int_equal(config_read(f, 0, PAM0 + 1, 1), 0x33);
        assert_int_equal(config_read(f, 0, PAM0 + 2, 1), 0);
}

static void test_the_lpc_bridge_says_where_power_management_is(void **state) {
        const Fixture *f = *state;

        assert_int_equal(config_read(f, LPC_SLOT, PMBASE, 4), IOPORT_PM_BASE | 1);
        config_write(f, LPC_SLOT, PMBASE, 4, 0);
        assert_int_equal(config_read(f, LPC_SLOT, PMBASE, 4), IOPORT_PM_BASE | 1);
        assert_int_equal(config_read(f, LPC_SLOT, PIRQ_A, 1), 0x80);
        config_write(f, LPC_SLOT, PIRQ_A, 1, 0x7a);
        assert_int_equal(config_read(f, LPC_SLOT, PIRQ_A, 1), 0x0a);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_firmware_finds_the_chipset_that_it_knows),
                TEST(test_ecam_is_off_until_firmware_places_it),
                TEST(test_ecam_moves_and_goes_as_firmware_says),
                TEST(test_ecam_in_ram_or_over_the_interrupt_controllers_is_not_decoded),
                TEST(test_shadowing_registers_keep_what_they_have_bits_for),
                TEST(test_the_lpc_bridge_says_where_power_management_is),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
