/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A guest that wishes the VMM ill: an ELF kernel for the 64-bit boot protocol, without drivers that would be in the way.
 * `hostile=SEED,ROUNDS` on its command line says what it does, the same each time. A round abuses every virtio device on
 * the bus (negotiation, queue registers, rings, descriptors, configuration space, MSI-X, BARs) and the board's
 * registers; then every device is reset and must serve a good request. At the end it prints `hostile: ok SEED ROUNDS` and
 * powers off, or `hostile: FAILED ...` and resets.
 *
 * Devices may write wherever they are told to, so they are only told of addresses where nothing of this program lies:
 * the arena, the last pages of RAM, and everywhere that is no RAM. What ends a machine by its specification (sleep,
 * reset, panic, an INIT by MSI) is left out: that is no attack on the VMM.
 */

#include <stdbool.h>
#include <stdint.h>

#define ARENA 0x2000000ul /* 32 MiB: behind this program */
#define ARENA_BYTES 0x400000ul
#define BUFFERS (ARENA + 0x200000ul)
#define RAM_END 0x4000000ul /* started with --mem 64 */
#define BARS 0xd0000000u /* where BARs are put: mapped at entry, in the window of the host bridge */
#define BAR_STEP 0x100000u
#define DEVICES_MAX 31u
#define PATIENCE 10000000000ull /* in ticks of the TSC */

#define COM1 0x3f8u
#define VIRTIO_VENDOR 0x1af4u
#define F_VERSION_1 (1ull << 32)
#define F_BLK_RO (1ull << 5)

enum { TYPE_NET = 1, TYPE_BLK, TYPE_CONSOLE, TYPE_RNG, TYPE_BALLOON, TYPE_VSOCK = 19 };
enum { S_ACK = 1, S_DRIVER = 2, S_DRIVER_OK = 4, S_FEATURES_OK = 8 };
enum { D_NEXT = 1, D_WRITE = 2, D_INDIRECT = 4 };

/* Offsets in the common configuration (virtio 1.2, section 4.1.4.3). */
enum {
        C_FEATURE_SELECT = 0,
        C_FEATURES = 4,
        C_ACCEPT_SELECT = 8,
        C_ACCEPT = 12,
        C_CONFIG_VECTOR = 16,
        C_QUEUES = 18,
        C_STATUS = 20,
        C_QUEUE = 22,
        C_SIZE = 24,
        C_VECTOR = 26,
        C_ENABLE = 28,
        C_NOTIFY_OFF = 30,
        C_DESC = 32,
        C_AVAIL = 40,
        C_USED = 48,
};

struct desc {
        uint64_t address;
        uint32_t len;
        uint16_t flags, next;
};

struct device {
        unsigned slot, type, n_queues;
        unsigned common, notify, notify_multiplier, config, config_len; /* offsets in its BAR */
        unsigned bar, bar_bytes, msix_table; /* register, size, offset in the BAR */
        volatile uint8_t *base;
};

static struct device devices[DEVICES_MAX];
static unsigned n_devices;
static uint64_t seed, state;

static inline void out8(uint16_t port, uint8_t v) {
        __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port) : "memory");
}
static inline void out16(uint16_t port, uint16_t v) {
        __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port) : "memory");
}
static inline void out32(uint16_t port, uint32_t v) {
        __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port) : "memory");
}
static inline uint8_t in8(uint16_t port) {
        uint8_t v;
        __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
        return v;
}
static inline uint16_t in16(uint16_t port) {
        uint16_t v;
        __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory");
        return v;
}
static inline uint32_t in32(uint16_t port) {
        uint32_t v;
        __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
        return v;
}

static uint64_t ticks(void) {
        uint32_t low, high;

        __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
        return (uint64_t) high << 32 | low;
}

static void *fill(void *to, int byte, unsigned long n) {
        void *p = to;

        __asm__ volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(byte) : "memory");
        return to;
}

void *memset(void *to, int byte, unsigned long n) { /* the compiler may call it */
        return fill(to, byte, n);
}

static void put(char c) {
        while (!(in8(COM1 + 5) & 0x20))
                ;
        out8(COM1, (uint8_t) c);
}

static void print(const char *text) {
        while (*text)
                put(*text++);
}

static void print_number(uint64_t v) {
        if (v >= 10)
                print_number(v / 10);
        put((char) ('0' + v % 10));
}

static __attribute__((noreturn)) void fail(const struct device *dev, const char *what) {
        print("hostile: FAILED seed ");
        print_number(seed);
        if (dev) {
                print(" virtio type ");
                print_number(dev->type);
        }
        print(": ");
        print(what);
        put('\n');
        out8(0x64, 0xfe);
        for (;;)
                __asm__ volatile("hlt");
}

static uint64_t any(void) { /* xorshift64 */
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state;
}

static unsigned below(unsigned n) {
        return (unsigned) ((any() >> 16) % n);
}

static bool one_in(unsigned n) {
        return below(n) == 0;
}

#define PICK(list) ((list)[below(sizeof(list) / sizeof((list)[0]))])

/* A number that somebody forgot to think of. */
static uint64_t odd_number(void) {
        static const uint64_t numbers[] = {
                0,          1,          2,          3,          7,          8,          15,
                16,         255,        256,        257,        511,        512,        4095,
                4096,       32767,      32768,      65535,      65536,      0x7fffffff, 0x80000000,
                0xfffffff0, 0xffffffff, 1ull << 32, 1ull << 52, 1ull << 63, ~0ull,      ~15ull};

        return one_in(3) ? any() : PICK(numbers);
}

/* Somewhere for a ring or a buffer, with nothing of ours in the way of what a device may write there. */
static uint64_t odd_address(void) {
        static const uint64_t places[] = {
                RAM_END - 16, RAM_END - 4096, RAM_END - 1,   RAM_END,    0xfec00000,  0xfee00000,
                0xe0000000,   BARS,           BARS + 0x4000, 0xfffffff0, 0xffffffff,  1ull << 32,
                1ull << 46,   1ull << 63,     ~0ull,         ~0ull - 15, ~0ull << 12, 0xc0000000};

        switch (below(4)) {
        case 0:
                return PICK(places);
        case 1:
                return ARENA + below(ARENA_BYTES); /* misaligned, overlapping the rings */
        case 2:
                return any() | 1ull << 40; /* no RAM up there */
        default:
                return BUFFERS + below(0x100000) * 1ull;
        }
}

static uint32_t pci_read(unsigned slot, unsigned offset) {
        out32(0xcf8, 0x80000000u | slot << 11 | (offset & 0xfc));
        return in32(0xcfc);
}

static void pci_write(unsigned slot, unsigned offset, uint32_t v) {
        out32(0xcf8, 0x80000000u | slot << 11 | (offset & 0xfc));
        out32(0xcfc, v);
}

/* One access of 1, 2, 4 or 8 bytes, wherever it lies. */
static uint64_t poke(volatile uint8_t *at, bool write, unsigned width, uint64_t v) {
        switch (width) {
        case 0:
                return write ? (*at = (uint8_t) v) : *at;
        case 1:
                return write ? (*(volatile uint16_t *) at = (uint16_t) v)
                             : *(volatile uint16_t *) at;
        case 2:
                return write ? (*(volatile uint32_t *) at = (uint32_t) v)
                             : *(volatile uint32_t *) at;
        default:
                return write ? (*(volatile uint64_t *) at = v) : *(volatile uint64_t *) at;
        }
}

static uint8_t get8(const struct device *dev, unsigned at) {
        return dev->base[dev->common + at];
}
static uint16_t get16(const struct device *dev, unsigned at) {
        return *(volatile uint16_t *) (dev->base + dev->common + at);
}
static uint32_t get32(const struct device *dev, unsigned at) {
        return *(volatile uint32_t *) (dev->base + dev->common + at);
}
static void set8(const struct device *dev, unsigned at, uint64_t v) {
        dev->base[dev->common + at] = (uint8_t) v;
}
static void set16(const struct device *dev, unsigned at, uint64_t v) {
        *(volatile uint16_t *) (dev->base + dev->common + at) = (uint16_t) v;
}
static void set32(const struct device *dev, unsigned at, uint64_t v) {
        *(volatile uint32_t *) (dev->base + dev->common + at) = (uint32_t) v;
}
static void set64(const struct device *dev, unsigned at, uint64_t v) {
        set32(dev, at, v);
        set32(dev, at + 4, v >> 32);
}

static void place_bar(struct device *dev) {
        pci_write(dev->slot, 4, 0);
        pci_write(dev->slot, dev->bar, BARS + dev->slot * BAR_STEP);
        pci_write(dev->slot, dev->bar + 4, 0);
        pci_write(dev->slot, 4, 6); /* memory, bus master */
}

static void find_device(unsigned slot) {
        struct device dev = {.slot = slot, .type = (pci_read(slot, 0) >> 16) - 0x1040};
        unsigned at = pci_read(slot, 0x34) & 0xfc;

        for (unsigned n = 0; at && n < 48; n++) {
                uint32_t head = pci_read(slot, at);

                if ((head & 0xff) == 0x11)
                        dev.msix_table = pci_read(slot, at + 4) & ~7u;
                if ((head & 0xff) == 9) {
                        uint32_t offset = pci_read(slot, at + 8), len = pci_read(slot, at + 12);

                        switch (head >> 24) {
                        case 1:
                                dev.common = offset;
                                dev.bar = 0x10 + 4 * (pci_read(slot, at + 4) & 7);
                                break;
                        case 2:
                                dev.notify = offset;
                                dev.notify_multiplier = pci_read(slot, at + 16);
                                break;
                        case 4:
                                dev.config = offset;
                                dev.config_len = len;
                                break;
                        }
                }
                at = head >> 8 & 0xfc;
        }
        if (!dev.bar)
                return;
        pci_write(slot, 4, 0);
        pci_write(slot, dev.bar, ~0u);
        dev.bar_bytes = ~(pci_read(slot, dev.bar) & ~15u) + 1;
        dev.base = (volatile uint8_t *) (uintptr_t) (BARS + slot * BAR_STEP);
        place_bar(&dev);
        dev.n_queues = get16(&dev, C_QUEUES);
        devices[n_devices++] = dev;
}

static void reset(struct device *dev) {
        uint64_t end = ticks() + PATIENCE;

        place_bar(dev);
        set8(dev, C_STATUS, 0);
        while (get8(dev, C_STATUS) != 0)
                if (ticks() > end)
                        fail(dev, "reset does not end");
}

static void notify(const struct device *dev, unsigned queue) {
        __asm__ volatile("" : : : "memory");
        *(volatile uint16_t *) (dev->base + dev->notify +
                                (queue * dev->notify_multiplier) % 0x1000) = (uint16_t) queue;
}

static uint64_t offered(const struct device *dev) {
        uint64_t low;

        set32(dev, C_FEATURE_SELECT, 0);
        low = get32(dev, C_FEATURES);
        set32(dev, C_FEATURE_SELECT, 1);
        return (uint64_t) get32(dev, C_FEATURES) << 32 | low;
}

static void accept(const struct device *dev, uint64_t features) {
        set32(dev, C_ACCEPT_SELECT, 0);
        set32(dev, C_ACCEPT, features);
        set32(dev, C_ACCEPT_SELECT, 1);
        set32(dev, C_ACCEPT, features >> 32);
}

static void negotiate(struct device *dev) {
        uint64_t features = offered(dev);

        set8(dev, C_STATUS, S_ACK | S_DRIVER);
        switch (below(5)) {
        case 0:
                features = any(); /* what nobody offered */
                break;
        case 1:
                features &= any();
                break;
        case 2:
                features = F_VERSION_1;
                break;
        }
        accept(dev, features);
        if (one_in(8)) { /* a selector of nothing */
                set32(dev, C_ACCEPT_SELECT, odd_number());
                set32(dev, C_ACCEPT, any());
        }
        set8(dev, C_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK);
        if (one_in(4)) { /* too late */
                accept(dev, any());
                set8(dev, C_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK);
        }
        if (one_in(8))
                set8(dev, C_STATUS, any() | 1);
}

/* The rings of queue @queue: 64 KiB for each part. */
static uint64_t ring(unsigned queue, unsigned part) {
        return ARENA + (queue % 8) * 0x40000 + part * 0x10000;
}

static void scribble_descriptor(struct desc *d, unsigned size) {
        *d = (struct desc){
                .address = odd_address(),
                .len = (uint32_t) (one_in(3) ? odd_number() : below(8192)),
                .flags = (uint16_t) (one_in(8) ? any() : below(8) & (one_in(3) ? 7 : 3)),
                .next = (uint16_t) (one_in(8) ? any() : below(size)),
        };
        if (d->address + d->len > RAM_END && d->address < ARENA)
                d->address = BUFFERS;
        if (d->flags & D_INDIRECT && one_in(2)) { /* a table that is one, mostly */
                d->address = BUFFERS;
                d->len = 16 * (1 + below(one_in(4) ? 4096 : 16));
                d->flags &= (uint16_t) ~D_NEXT;
        }
}

static void scribble_ring(unsigned queue) {
        struct desc *table = (struct desc *) ring(queue, 0), *indirect = (struct desc *) BUFFERS;
        volatile uint16_t *avail = (volatile uint16_t *) ring(queue, 1);
        unsigned size = 1u << below(11);

        for (unsigned i = 0; i < 64; i++) {
                scribble_descriptor(&table[below(size)], size);
                scribble_descriptor(&indirect[below(32)], 32);
        }
        if (one_in(4)) /* every descriptor in one loop */
                for (unsigned i = 0; i < size; i++)
                        table[i] = (struct desc){.address = BUFFERS,
                                                 .len = 16,
                                                 .flags = D_NEXT,
                                                 .next = (uint16_t) ((i + 1) % size)};
        for (unsigned i = 0; i < 32; i++)
                avail[2 + below(size)] = (uint16_t) (one_in(8) ? any() : below(size));
        avail[0] = (uint16_t) any() & 1;
        avail[1] = (uint16_t) (avail[1] + (one_in(4) ? odd_number() : 1 + below(8)));
}

static void set_queue(struct device *dev, unsigned queue) {
        bool honest = one_in(2);

        set16(dev, C_QUEUE, queue);
        set16(dev, C_SIZE, honest ? 1u << below(11) : odd_number());
        set64(dev, C_DESC, honest || one_in(2) ? ring(queue, 0) : odd_address());
        set64(dev, C_AVAIL, honest || one_in(2) ? ring(queue, 1) : odd_address());
        /* the used ring over the available one, too */
        set64(dev, C_USED, honest ? ring(queue, 2) : one_in(2) ? ring(queue, 1) : odd_address());
        set16(dev, C_VECTOR, one_in(2) ? below(8) : odd_number());
        set16(dev, C_ENABLE, one_in(8) ? any() : 1);
}

/* MSI-X entries of every kind but one that resets a processor or stops it for good. */
static void scribble_msix(struct device *dev) {
        volatile uint8_t *entry = dev->base + dev->msix_table + 16 * below(16);
        uint64_t at = one_in(2) ? 0xfee00000u : odd_address();

        *(volatile uint32_t *) entry = (uint32_t) at;
        *(volatile uint32_t *) (entry + 4) = (uint32_t) (at >> 32);
        *(volatile uint32_t *) (entry + 8) = (uint32_t) (any() & ~0x700ul) | 0x10;
        *(volatile uint32_t *) (entry + 12) = (uint32_t) any();
}

static bool harmless(const struct device *dev, unsigned at) {
        return at < dev->msix_table || at >= dev->msix_table + 16 * 2048;
}

static void scribble_registers(struct device *dev) {
        for (unsigned i = 0; i < 32; i++) {
                unsigned width = below(4), at = below(dev->bar_bytes - 8);
                bool write = one_in(2) && harmless(dev, at) && harmless(dev, at + 8);

                if (one_in(3))
                        at = dev->config + below(dev->config_len + 8);
                if (one_in(4))
                        at = dev->common + below(64);
                /* an address of a ring that is not one of odd_address() could be anywhere, this program included */
                if (write && at + 8 > dev->common + C_DESC && at < dev->common + C_USED + 8)
                        write = false;
                (void) poke(dev->base + at, write, width, odd_number());
        }
        for (unsigned i = 0; i < 8; i++)
                scribble_msix(dev);
}

/* Configuration space of the device, BARs moved and sized, then back to where they were. */
static void scribble_config(struct device *dev) {
        for (unsigned i = 0; i < 24; i++) {
                unsigned at = below(256), width = below(3);

                out32(0xcf8, 0x80000000u | dev->slot << 11 | (at & 0xfc));
                if (at >= 0x40 && one_in(2))
                        continue; /* half as often: the capabilities lead back into the BAR */
                if (width == 0)
                        out8((uint16_t) (0xcfc + (at & 3)), (uint8_t) any());
                else if (width == 1)
                        out16((uint16_t) (0xcfc + (at & 2)), (uint16_t) odd_number());
                else
                        out32(0xcfc, (uint32_t) odd_number() & ~0x700u);
                (void) in32(0xcfc);
        }
        for (unsigned i = 0; i < 16; i++) {
                static const uint32_t places[] = {0xffffffff, 0,          0x1000,     0x2000000,
                                                  0xfec00000, 0xfee00000, 0xe0000000, 0xfffff000,
                                                  BARS,       0xc0000000};

                pci_write(dev->slot, 4, one_in(2) ? 6 : 0);
                pci_write(dev->slot, dev->bar, PICK(places));
                pci_write(dev->slot, dev->bar + 4, one_in(2) ? 0 : (uint32_t) odd_number());
                (void) pci_read(dev->slot, dev->bar);
        }
        place_bar(dev);
}

static void abuse(struct device *dev) {
        place_bar(dev);
        if (!one_in(4))
                reset(dev);
        negotiate(dev);
        for (unsigned i = 0; i < 6; i++)
                set_queue(dev, one_in(6) ? (unsigned) odd_number() : below(dev->n_queues));
        set16(dev, C_CONFIG_VECTOR, odd_number());
        scribble_ring(0);
        if (!one_in(8)) /* else: notified before it is ready */
                set8(dev, C_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
        for (unsigned i = 0; i < 24; i++) {
                scribble_ring(below(dev->n_queues + 1));
                notify(dev, one_in(8) ? (unsigned) odd_number() : below(dev->n_queues));
                if (one_in(6)) /* while what was asked is under way */
                        set8(dev, C_STATUS, one_in(2) ? 0 : any());
                if (one_in(6))
                        scribble_registers(dev);
                if (one_in(12))
                        scribble_config(dev);
        }
}

/* The board: ports and the I/O APIC, each width at each offset, but for what ends the machine. */
static void abuse_board(void) {
        static const struct {
                uint16_t base, n;
        } ranges[] = {{0x20, 2},  {0xa0, 2},  {0x40, 4},  {0x60, 1},  {0x61, 1},   {0x64, 1},
                      {0x70, 2},  {0x80, 1},  {0x4d0, 2}, {0x505, 1}, {0x510, 12}, {0x600, 4},
                      {0x608, 4}, {0x620, 4}, {0x640, 5}, {0x2f8, 8}, {0x3e8, 8},  {0x2e8, 8},
                      {0x3f9, 7}, {0xcf8, 8}, {0x402, 1}, {0x92, 1},  {0xb2, 2}};
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
        /* what the configuration ports may have hit, and the serial port, as they were */
        for (unsigned i = 0; i < n_devices; i++)
                place_bar(&devices[i]);
        out8(COM1 + 3, 3);
        out8(COM1 + 1, 0);
        out8(COM1 + 2, 7);
        out8(COM1 + 4, 3);
}

struct request {
        unsigned queue, n_out,
                n_in; /* bytes to and from the device; at BUFFERS and BUFFERS + 4096 */
};

/* A well-behaved driver: one request on one queue of a device that was just reset. */
static unsigned serve(struct device *dev, const struct request *rq) {
        struct desc *table = (struct desc *) ring(rq->queue, 0);
        volatile uint16_t *avail = (volatile uint16_t *) ring(rq->queue, 1),
                          *used = (volatile uint16_t *) ring(rq->queue, 2);
        uint64_t end = ticks() + PATIENCE;
        unsigned n = 0;

        set8(dev, C_STATUS, S_ACK | S_DRIVER);
        accept(dev, F_VERSION_1);
        set8(dev, C_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK);
        if (!(get8(dev, C_STATUS) & S_FEATURES_OK))
                fail(dev, "does not take VERSION_1 after a reset");
        fill(table, 0, 0x30000);
        if (rq->n_out)
                table[n++] = (struct desc){.address = BUFFERS,
                                           .len = rq->n_out,
                                           .flags = rq->n_in ? D_NEXT : 0,
                                           .next = 1};
        if (rq->n_in)
                table[n] =
                        (struct desc){.address = BUFFERS + 4096, .len = rq->n_in, .flags = D_WRITE};
        set16(dev, C_QUEUE, rq->queue);
        set16(dev, C_SIZE, 8);
        set16(dev, C_VECTOR, 0xffff);
        set64(dev, C_DESC, ring(rq->queue, 0));
        set64(dev, C_AVAIL, ring(rq->queue, 1));
        set64(dev, C_USED, ring(rq->queue, 2));
        set16(dev, C_ENABLE, 1);
        set8(dev, C_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
        avail[1] = 1;
        notify(dev, rq->queue);
        while (used[1] == 0)
                if (ticks() > end)
                        fail(dev, "a good request after a reset gets no answer");
        return used[4] | (unsigned) used[5] << 16;
}

static void check_blk(struct device *dev) {
        volatile uint64_t *in = (volatile uint64_t *) (BUFFERS + 4096),
                          *out = (volatile uint64_t *) BUFFERS;

        out[0] = 0; /* VIRTIO_BLK_T_IN */
        out[1] = 0; /* sector */
        if (serve(dev, &(struct request){.n_out = 16, .n_in = 513}) != 513 ||
            ((volatile uint8_t *) in)[512] != 0)
                fail(dev, "a good read fails");
        if ((offered(dev) & F_BLK_RO) && in[0] != 0x454c4954534f48ul) /* begins with "HOSTILE" */
                fail(dev, "a good read has wrong data");
}

static void check_console(struct device *dev) {
        static const char text[] = "hostile: console\r\n";

        for (unsigned i = 0; i < sizeof(text); i++)
                ((volatile char *) BUFFERS)[i] = text[i];
        (void) serve(dev, &(struct request){.queue = 1, .n_out = sizeof(text) - 1});
}

static void check(struct device *dev) {
        reset(dev);
        fill((void *) BUFFERS, 0, 8192);
        switch (dev->type) {
        case TYPE_BLK:
                check_blk(dev);
                break;
        case TYPE_CONSOLE:
                check_console(dev);
                break;
        case TYPE_RNG:
                if (serve(dev, &(struct request){.n_in = 64}) != 64 ||
                    *(volatile uint64_t *) (BUFFERS + 4096) == 0)
                        fail(dev, "no randomness");
                break;
        case TYPE_BALLOON: /* the arena's last page, and back */
                *(volatile uint32_t *) BUFFERS = (ARENA + ARENA_BYTES - 4096) >> 12;
                (void) serve(dev, &(struct request){.n_out = 4});
                reset(dev);
                (void) serve(dev, &(struct request){.queue = 1, .n_out = 4});
                break;
        case TYPE_NET:
        case TYPE_VSOCK: /* a frame, or a packet for a port that nobody has: taken, and dropped */
                (void) serve(dev, &(struct request){.queue = 1, .n_out = 76});
                break;
        }
        reset(dev);
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
        state = seed * 0x9e3779b97f4a7c15ull + 1;
        return rounds;
}

/* Called by _start with the boot parameters. */
__attribute__((noreturn, used)) void hostile_main(const uint8_t *params) {
        uint64_t rounds =
                arguments((const char *) (uintptr_t) * (const uint32_t *) (params + 0x228));

        for (unsigned slot = 1; slot < 32; slot++)
                if ((pci_read(slot, 0) & 0xffff) == VIRTIO_VENDOR && n_devices < DEVICES_MAX)
                        find_device(slot);
        print("hostile: virtio types");
        for (unsigned i = 0; i < n_devices; i++) {
                put(' ');
                print_number(devices[i].type);
        }
        put('\n');
        for (unsigned i = 0; i < n_devices; i++)
                check(&devices[i]);
        for (uint64_t round = 0; round < rounds; round++) {
                for (unsigned i = 0; i < n_devices; i++)
                        abuse(&devices[i]);
                abuse_board();
                for (unsigned i = 0; i < n_devices; i++)
                        check(&devices[i]);
        }
        out32(0x648, ~0u); /* hotplug: every device that may go goes */
        print("hostile: ok ");
        print_number(seed);
        put(' ');
        print_number(rounds);
        put('\n');
        while (!(in8(COM1 + 5) & 0x40))
                ;
        out16(0x604, 5 << 10 | 1 << 13); /* S5: power off */
        for (;;)
                __asm__ volatile("hlt");
}

__asm__(".globl _start\n"
        "_start: cli\n"
        "movl $stack_end, %esp\n"
        "movq %rsi, %rdi\n"
        "call hostile_main\n"
        ".bss\n.balign 16\n.skip 65536\nstack_end:\n.text\n");
