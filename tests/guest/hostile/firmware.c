/* SPDX-License-Identifier: Apache-2.0 */

/* What only a machine with firmware has: fw_cfg, which reads and writes memory by itself, and the flash chip. */

#include "tests/guest/hostile/hostile.h"

#define FW_CFG 0x510u /* selector; data behind it; then the address of a command, big endian */
#define FLASH_BYTES 0x60000ul /* of which the upper third is the ROM that this program came from */
#define FLASH (0x100000000ul - FLASH_BYTES)
#define FLASH_READ 0xffu

static bool has_fw_cfg(void) {
        out16(FW_CFG, 0);
        return in8(FW_CFG + 1) == 'Q' && in8(FW_CFG + 1) == 'E' && in8(FW_CFG + 1) == 'M' &&
               in8(FW_CFG + 1) == 'U';
}

static uint32_t swap(uint64_t v) {
        return __builtin_bswap32((uint32_t) v);
}

static uint16_t odd_item(void) {
        return (uint16_t) (one_in(8) ? any() : one_in(2) ? below(0x20) : 0x20 + below(16));
}

/* Commands that read, write, skip and select, anywhere and as far as numbers go. */
static void command(void) {
        volatile uint8_t *at = scratch(16);
        uint64_t target = odd_address();

        put32(at, swap(one_in(8) ? any() : (unsigned) odd_item() << 16 | below(32)));
        put32(at + 4, swap(one_in(2) ? below(4096) : odd_number()));
        put32(at + 8, swap(target >> 32));
        put32(at + 12, swap(target));
        /* a length that would reach from somewhere else to this program is left out */
        if (target < ARENA + ARENA_BYTES && one_in(2))
                put32(at + 4, swap(below(65536)));
        out32(FW_CFG + 4, swap((one_in(8) ? odd_number() : (uint64_t) at) >> 32));
        out32(FW_CFG + 8, swap(one_in(8) ? odd_address() : (uint64_t) at));
}

static void abuse_fw_cfg(void) {
        for (unsigned i = 0; i < 64; i++) {
                out16(FW_CFG, odd_item());
                for (unsigned n = below(32); n > 0; n--)
                        (void) in8(FW_CFG + 1);
                if (one_in(4))
                        out8(FW_CFG + 1, (uint8_t) any());
                command();
        }
}

/* Commands half begun, to each other's confirmations, of each width, across sectors and the end. */
static void abuse_flash(void) {
        static const uint8_t commands[] = {0x10, 0x40, 0x20, 0xd0, 0xe8, 0x60, 0x01, 0x2f,
                                           0x50, 0x70, 0x90, 0x98, 0xb0, 0xff, 0x00};
        volatile uint8_t *flash = (volatile uint8_t *) FLASH;

        for (unsigned i = 0; i < 256; i++) {
                volatile uint8_t *at = flash + below(FLASH_BYTES - 8);

                (void) poke(at, !one_in(4), below(4), one_in(4) ? any() : PICK(commands));
        }
        flash[0] = FLASH_READ;
        flash[0] = FLASH_READ; /* the first may have been a program's data */
}

void abuse_firmware(void) {
        if (!has_fw_cfg())
                return;
        abuse_fw_cfg();
        abuse_flash();
        if (!has_fw_cfg())
                fail(0, "fw_cfg has forgotten its signature");
}
