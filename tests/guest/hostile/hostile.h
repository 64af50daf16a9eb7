/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A guest that wishes the VMM ill: an ELF kernel for the 64-bit boot protocol, without drivers that would be in the way.
 * `hostile=SEED,ROUNDS` on its command line says what it does, the same each time. A round abuses every virtio device on
 * the bus (negotiation, queue registers, rings, descriptors, configuration space, MSI-X, BARs; then, as its own kind of
 * device, by requests that are well put and mean harm) and the board's registers; then every device is reset and must
 * serve a good request. At the end it prints `hostile: ok SEED ROUNDS`, abuses all once more, prints `hostile: rests` and
 * stops for ever, so that the host can see that the VMM comes to rest too. What fails is `hostile: FAILED ...` and a reset.
 *
 * Devices may write wherever they are told to, so they are only told of addresses where nothing of this program lies:
 * the arena, the last pages of RAM, and everywhere that is no RAM; the numbers that a balloon reads out of another
 * device's ring are those of no page of this program, page tables included. What ends a machine by its specification (sleep,
 * reset, panic, an INIT by MSI) is left out: that is no attack on the VMM.
 */

#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ARENA 0x2000000ul /* 32 MiB: behind this program */
#define ARENA_BYTES 0x400000ul
#define BUFFERS (ARENA + 0x200000ul)
#define RAM_END 0x4000000ul /* started with --mem 64 */
#define BARS 0xd0000000u /* where BARs are put: mapped at entry, in the window of the host bridge */
#define BAR_STEP 0x100000u
#define DEVICES_MAX 31u
#define RINGS 8u      /* queues of a device that have memory of their own */
#define RING_SIZE 64u /* of a queue that begin() set up, if the device has so much */
#define PATIENCE                                                                                   \
        100000000000ull /* in ticks of the TSC: for what would otherwise never come, on a host that is busy */

#define PATIENCE_SHORT 1000000ull /* until there is room; if not, the ring overflows */

#define COM1 0x3f8u
#define VIRTIO_VENDOR 0x1af4u
#define F_VERSION_1 (1ull << 32)
#define F_RING_PACKED (1ull << 34)
#define F_BLK_RO (1ull << 5)

enum {
        TYPE_NET = 1,
        TYPE_BLK,
        TYPE_CONSOLE,
        TYPE_RNG,
        TYPE_BALLOON,
        TYPE_SCSI = 8,
        TYPE_VSOCK = 19,
        TYPE_FS = 26,
        TYPE_PMEM
};
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

/* In a packed ring, and in a table behind one. */
struct packed_desc {
        uint64_t address;
        uint32_t len;
        uint16_t id, flags;
};

struct device {
        unsigned slot, type, n_queues;
        const struct family *family;
        unsigned common, notify, notify_multiplier, config, config_len; /* offsets in its BAR */
        unsigned bar, bar_bytes, msix_table; /* register, size, offset in the BAR */
        volatile uint8_t *base;
};

/* What is particular to the devices of one type. Each is in a file of its own. */
struct family {
        unsigned type;
        void (*abuse)(struct device *
                              dev); /* requests that are well put and mean harm; DRIVER_OK is set */
        void (*check)(struct device *dev); /* after a reset: a good request must be served */
};

extern const struct family blk_family, net_family, console_family, rng_family, balloon_family,
        vsock_family, fs_family, pmem_family, scsi_family;
extern struct device devices[DEVICES_MAX];
extern unsigned n_devices;
extern uint64_t seed;
extern unsigned ring_sizes[RINGS]; /* of the device that begin() started last */
extern bool rings_are_packed;      /* the same */

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

static inline uint64_t ticks(void) {
        uint32_t low, high;

        __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
        return (uint64_t) high << 32 | low;
}

#define PICK(list) ((list)[below(sizeof(list) / sizeof((list)[0]))])

/* library.c */
void *fill(void *to, int byte, unsigned long n);
void put(char c);
void print(const char *text);
void print_number(uint64_t v);
__attribute__((noreturn)) void fail(const struct device *dev, const char *what);
void seed_random(uint64_t value);
uint64_t any(void);
unsigned below(unsigned n);
bool one_in(unsigned n);
uint64_t odd_number(void);
uint64_t odd_address(void);

/* transport.c */
uint32_t pci_read(unsigned slot, unsigned offset);
void pci_write(unsigned slot, unsigned offset, uint32_t v);
uint64_t poke(volatile uint8_t *at, bool write, unsigned width, uint64_t v);
void place_bar(struct device *dev);
void find_device(unsigned slot);
void reset(struct device *dev);
void notify(const struct device *dev, unsigned queue);
uint64_t offered(const struct device *dev);
void accept(const struct device *dev, uint64_t features);
uint64_t ring(unsigned queue, unsigned part);
void begin(struct device *dev, uint64_t features);

static inline uint8_t get8(const struct device *dev, unsigned at) {
        return dev->base[dev->common + at];
}
static inline uint16_t get16(const struct device *dev, unsigned at) {
        return *(volatile uint16_t *) (dev->base + dev->common + at);
}
static inline uint32_t get32(const struct device *dev, unsigned at) {
        return *(volatile uint32_t *) (dev->base + dev->common + at);
}
static inline void set8(const struct device *dev, unsigned at, uint64_t v) {
        dev->base[dev->common + at] = (uint8_t) v;
}
static inline void set16(const struct device *dev, unsigned at, uint64_t v) {
        *(volatile uint16_t *) (dev->base + dev->common + at) = (uint16_t) v;
}
static inline void set32(const struct device *dev, unsigned at, uint64_t v) {
        *(volatile uint32_t *) (dev->base + dev->common + at) = (uint32_t) v;
}
static inline void set64(const struct device *dev, unsigned at, uint64_t v) {
        set32(dev, at, v);
        set32(dev, at + 4, v >> 32);
}

/* requests.c */
struct request {
        unsigned queue, n_out, n_in; /* bytes to the device and from it */
        uint64_t out, in;            /* where they are; 0: BUFFERS, BUFFERS + 4096 */
};

void offer(const struct request *rq);
unsigned serve(struct device *dev, const struct request *rq);
volatile uint8_t *scratch(unsigned bytes);
void put32(volatile uint8_t *at, uint64_t v);
void put64(volatile uint8_t *at, uint64_t v);

/* packed.c */
void forget_packed(void);
void offer_packed(const struct request *rq);
bool answered_packed(unsigned queue, unsigned *ret_len);
void scribble_packed(unsigned queue);

/* rings.c */
void abuse(struct device *dev);
void scribble_descriptor(struct desc *d, unsigned size);

/* board.c */
void abuse_board(void);

/* firmware.c */
void abuse_firmware(void);
