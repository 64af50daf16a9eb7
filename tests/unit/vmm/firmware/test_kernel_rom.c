/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/le.h"
#include "vmm/firmware/kernel_rom.h"

static uint8_t sum(const uint8_t *bytes, size_t len) {
        uint8_t total = 0;

        for (size_t i = 0; i < len; i++)
                total = (uint8_t) (total + bytes[i]);
        return total;
}

static void test_firmware_takes_it_for_an_option_rom(void **state) {
        uint8_t rom[KERNEL_ROM_SIZE];

        kernel_rom_make(rom);
        assert_int_equal(le16_load(rom), 0xaa55);
        assert_int_equal(rom[2] * 512, KERNEL_ROM_SIZE);
        assert_int_equal(rom[3], 0xcb); /* lret */
        assert_int_equal(sum(rom, sizeof(rom)), 0);
}

static void test_its_header_names_a_device_to_boot_from(void **state) {
        uint8_t rom[KERNEL_ROM_SIZE];
        const uint8_t *pnp;

        kernel_rom_make(rom);
        pnp = rom + le16_load(rom + 0x1a);
        assert_ptr_equal(pnp, rom + KERNEL_ROM_PNP);
        assert_memory_equal(pnp, "$PnP", 4);
        assert_int_equal(sum(pnp, pnp[5] * 16u), 0);
        assert_string_equal((const char *) rom + le16_load(pnp + 0xe), "Vivarium");
        assert_string_equal((const char *) rom + le16_load(pnp + 0x10), "Linux kernel");
        assert_int_equal(le16_load(pnp + 0x16), 0);         /* no disk */
        assert_int_equal(rom[le16_load(pnp + 0x1a)], 0xfa); /* where it boots: cli */
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_firmware_takes_it_for_an_option_rom),
                cmocka_unit_test(test_its_header_names_a_device_to_boot_from),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
