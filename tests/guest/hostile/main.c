/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/guest/hostile/hostile.h"

uint64_t seed;

static const struct family *const families[] = {
        &blk_family,   &net_family, &console_family, &rng_family,  &balloon_family,
        &vsock_family, &fs_family,  &pmem_family,    &scsi_family,
};

static void find_family(struct device *dev) {
        for (unsigned i = 0; i < sizeof(families) / sizeof(families[0]); i++)
                if (families[i]->type == dev->type)
                        dev->family = families[i];
        if (!dev->family)
                fail(dev, "a device that this guest does not know");
}

static void check(struct device *dev) {
        reset(dev);
        fill((void *) BUFFERS, 0, 8192);
        dev->family->check(dev);
        reset(dev);
}

/* First all are reset, because each may still write where another's good request lies. */
static void check_all(void) {
        for (unsigned i = 0; i < n_devices; i++)
                reset(&devices[i]);
        for (unsigned i = 0; i < n_devices; i++)
                check(&devices[i]);
}

static void abuse_all(void) {
        for (unsigned i = 0; i < n_devices; i++) {
                abuse(&devices[i]);
                reset(&devices[i]);
                devices[i].family->abuse(&devices[i]);
        }
        abuse_board();
        abuse_firmware();
}

static uint64_t number(const char **text) {
        uint64_t v = 0;

        while (**text >= '0' && **text <= '9')
                v = v * 10 + (uint64_t) (*(*text)++ - '0');
        return v;
}

static uint64_t arguments(const char *line) {
        static const char key[] = "hostile=";
        unsigned n = 0;
        uint64_t rounds;

        for (; *line && n < sizeof(key) - 1; line++)
                n = *line == key[n] ? n + 1 : 0;
        seed = number(&line);
        if (*line++ != ',')
                fail(0, "no hostile=SEED,ROUNDS on the command line");
        rounds = number(&line);
        seed_random(seed);
        return rounds;
}

/*
 * The boot loader's page tables are in pages of small numbers, which a balloon that reads a ring as a list of pages gives
 * away. Here is 4 GiB as they are, among the rest of the program.
 */
static void take_own_page_tables(void) {
        enum { PRESENT = 1, WRITABLE = 2, PAGE_2M = 0x80 };
        static uint64_t tables[6][512]
                __attribute__((aligned(4096))); /* PML4, PDPT, 4 directories */

        tables[0][0] = (uint64_t) (uintptr_t) tables[1] | PRESENT | WRITABLE;
        for (unsigned i = 0; i < 4; i++)
                tables[1][i] = (uint64_t) (uintptr_t) tables[2 + i] | PRESENT | WRITABLE;
        for (uint64_t i = 0; i < 2048; i++)
                tables[2 + i / 512][i % 512] = i << 21 | PRESENT | WRITABLE | PAGE_2M;
        __asm__ volatile("mov %0, %%cr3" : : "r"(tables) : "memory");
}

/* Called by _start with the boot parameters. */
__attribute__((noreturn, used)) void hostile_main(const uint8_t *params) {
        uint64_t rounds =
                arguments((const char *) (uintptr_t) * (const uint32_t *) (params + 0x228));

        take_own_page_tables();
        for (unsigned slot = 1; slot < 32; slot++)
                if ((pci_read(slot, 0) & 0xffff) == VIRTIO_VENDOR && n_devices < DEVICES_MAX)
                        find_device(slot);
        print("hostile: virtio types");
        for (unsigned i = 0; i < n_devices; i++) {
                put(' ');
                print_number(devices[i].type);
                find_family(&devices[i]);
        }
        put('\n');
        check_all();
        for (uint64_t round = 0; round < rounds; round++) {
                abuse_all();
                check_all();
        }
        print("hostile: ok ");
        print_number(seed);
        put(' ');
        print_number(rounds);
        put('\n');
        abuse_all();
        out32(0x648, ~0u); /* hotplug: every device that may go goes */
        print("hostile: rests\n");
        for (;;)
                __asm__ volatile("cli; hlt");
}

__asm__(".globl _start\n"
        "_start: cli\n"
        "movl $stack_end, %esp\n"
        "movq %rsi, %rdi\n"
        "call hostile_main\n"
        ".bss\n.balign 16\n.skip 65536\nstack_end:\n.text\n");
