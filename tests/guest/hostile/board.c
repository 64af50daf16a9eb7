/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/guest/hostile/hostile.h"

#define ECAM 0xe0000000u

/* Configuration space by memory: each width, also across words, of functions that are there and that are not. */
static void abuse_ecam(void) {
        for (unsigned i = 0; i < 64; i++) {
                unsigned slot = below(256), at = below(4096 - 8);
                bool write = one_in(2) && (slot == 0 || slot >= 32);

                (void) poke((volatile uint8_t *) (uintptr_t) (ECAM + (slot << 15 | at)), write,
                            below(4), odd_number());
        }
}

/* The board: ports and the I/O APIC, each width at each offset, but for what ends the machine. */
void abuse_board(void) {
        static const struct {
                uint16_t base, n;
        } ranges[] = {{0x20, 2},  {0xa0, 2},  {0x40, 4},  {0x60, 1},  {0x61, 1},   {0x64, 1},
                      {0x70, 2},  {0x80, 1},  {0x4d0, 2}, {0x505, 1}, {0x510, 12}, {0x600, 4},
                      {0x608, 4}, {0x620, 4}, {0x640, 5}, {0x2f8, 8}, {0x3e8, 8},  {0x2e8, 8},
                      {0x3f9, 7}, {0xcf8, 8}, {0x402, 1}, {0x92, 1},  {0xb2, 2},   {0x680, 16}};
        volatile uint8_t *ioapic = (volatile uint8_t *) 0xfec00000;

        for (unsigned i = 0; i < 256; i++) {
                unsigned r = below(sizeof(ranges) / sizeof(ranges[0])), width = below(3);
                uint16_t port = (uint16_t) (ranges[r].base + below(ranges[r].n));
                uint32_t v = (uint32_t) odd_number();

                if (port == 0x505 || port == 0x92)
                        v &= ~1u; /* panicked; fast reset */
                if (port == 0x64)
                        v = 0x20 +
                            (v & 0x8f); /* not a pulse on the reset line, nor the output port */
                if (port >= 0x680 && port < 0x684)
                        v &= ~1u; /* the watchdog's switch */
                if (port == 0x60 || port == 0x61 || port == 0x64 || port == 0x505 || port == 0x92)
                        width = 0;
                if ((port & ~7u) == 0xcf8 ||
                    (port < 0x604 && port >= 0x600)) { /* the reset register and sleep lie close */
                        width = 0;
                        if (port == 0xcf9)
                                continue;
                }
                if (width == 0)
                        one_in(2) ? out8(port, (uint8_t) v) : (void) in8(port);
                else if (width == 1)
                        one_in(2) ? out16(port, (uint16_t) v) : (void) in16(port);
                else
                        one_in(2) ? out32(port, v) : (void) in32(port);
        }
        for (unsigned i = 0; i < 64; i++) {
                unsigned at = below(0x60);

                if (at < 0x10 || at >= 0x20 || one_in(2))
                        (void) poke(ioapic + at, one_in(2) && (at < 0x10 || at >= 0x20), below(4),
                                    odd_number());
                *(volatile uint32_t *) ioapic = (uint32_t) odd_number();
                *(volatile uint32_t *) (ioapic + 0x10) =
                        (uint32_t) (any() & ~0x700ul) | 0x10010; /* masked, no INIT */
        }
        abuse_ecam();
        /* what the configuration ports may have hit, and the serial port, as they were; no ticks from the timer */
        for (unsigned i = 0; i < n_devices; i++)
                place_bar(&devices[i]);
        out8(0x43, 0x30);
        out8(0x40, 0);
        out8(0x40, 0);
        out8(COM1 + 3, 3);
        out8(COM1 + 1, 0);
        out8(COM1 + 2, 7);
        out8(COM1 + 4, 3);
}
