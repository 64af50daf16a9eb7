/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A NOR flash chip, eight bits wide, with the command set of Intel's 28F family (CFI command set 0001h; JESD68). Reading
 * comes from memory while the chip is in read array mode, and from here as soon as a command was written. Programming
 * turns ones into zeros and erasing a block turns them back, both at once and through to the file.
 */

#include "vmm/firmware/flash.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fd.h"
#include "base/fd_path.h"
#include "base/log.h"
#include "base/ratelimit.h"
#include "vmm/mem/bus_bytes.h"

#define BUFFER_SIZE 64u /* of the "write to buffer" command */
#define CFI_SIZE 0x31u

enum {
        COMMAND_PROGRAM = 0x10,
        COMMAND_ERASE = 0x20,
        COMMAND_PROGRAM_ALTERNATE = 0x40,
        COMMAND_CLEAR_STATUS = 0x50,
        COMMAND_LOCK = 0x60, /* set or clear lock bits: none here */
        COMMAND_READ_STATUS = 0x70,
        COMMAND_READ_ID = 0x90,
        COMMAND_CFI_QUERY = 0x98,
        COMMAND_CONFIRM = 0xd0,
        COMMAND_BUFFER = 0xe8,
        COMMAND_READ_ARRAY = 0xff,
};

/* Ready as soon as it did something: firmware for QEMU knows the chip by a status without it at first. */
#define STATUS_READY 0x80u
#define STATUS_ERASE_ERROR 0x20u
#define STATUS_PROGRAM_ERROR 0x10u
#define STATUS_SEQUENCE_ERROR (STATUS_ERASE_ERROR | STATUS_PROGRAM_ERROR)

#define ID_MANUFACTURER 0x89u /* Intel */
#define ID_DEVICE 0x18u

/* What the next write is taken for. */
typedef enum Expect {
        EXPECT_COMMAND,
        EXPECT_PROGRAM_DATA,
        EXPECT_ERASE_CONFIRM,
        EXPECT_LOCK_CONFIRM,
        EXPECT_BUFFER_COUNT,
        EXPECT_BUFFER_DATA,
        EXPECT_BUFFER_CONFIRM,
} Expect;

typedef enum Answer { ANSWER_ARRAY, ANSWER_STATUS, ANSWER_ID, ANSWER_CFI } Answer;

struct Pflash {
        pthread_mutex_t lock;
        int fd;         /* owned */
        uint8_t *bytes; /* owned mapping of @size bytes: what the file holds */
        uint64_t size;
        uint32_t block_size;
        gpa_t base;
        unsigned rom;         /* index in GuestMem */
        GuestMem *mem;        /* borrowed */
        Partition *partition; /* borrowed, from pflash_connect() on */

        Expect expect;
        Answer answer;
        uint8_t status;
        uint32_t buffer_at; /* block that the buffer is for */
        unsigned buffer_left;
        unsigned buffer_n;
        struct {
                uint32_t at;
                uint8_t value;
        } buffer[BUFFER_SIZE];
        RateLimit limit;
};

static void set_answer(Pflash *flash, Answer answer) {
        const bool was_shown = flash->answer == ANSWER_ARRAY, shown = answer == ANSWER_ARRAY;

        flash->answer = answer;
        if (was_shown != shown)
                (void) flash->partition->ops->show_rom(flash->partition, flash->rom, shown);
}

/* Writes through to the file. Return: false, with the memory as it was, when that failed. */
static bool store(Pflash *flash, uint32_t at, const uint8_t *data, uint32_t len) {
        const ssize_t n = pwrite(flash->fd, data, len, at);

        if (n != (ssize_t) len) {
                if (ratelimit_allow(&flash->limit, clock_monotonic_usec()))
                        log_warning("cannot write the firmware's variables: %s",
                                    n < 0 ? strerror(errno) : "only a part was written");
                return false;
        }
        memcpy(flash->bytes + at, data, len);
        guest_mem_written(flash->mem, flash->base + at, len);
        return true;
}

static void program(Pflash *flash, uint32_t at, uint8_t value) {
        const uint8_t after = flash->bytes[at] & value;

        flash->status |= STATUS_READY;
        if (after != flash->bytes[at] && !store(flash, at, &after, 1))
                flash->status |= STATUS_PROGRAM_ERROR;
}

static void erase(Pflash *flash, uint32_t at) {
        const uint32_t start = at - at % flash->block_size;
        uint8_t *blank = malloc(flash->block_size);

        flash->status |= STATUS_READY;
        if (blank)
                memset(blank, 0xff, flash->block_size);
        if (!blank || !store(flash, start, blank, flash->block_size))
                flash->status |= STATUS_ERASE_ERROR;
        free(blank);
}

static void flush_buffer(Pflash *flash) {
        for (unsigned i = 0; i < flash->buffer_n; i++)
                program(flash, flash->buffer[i].at, flash->buffer[i].value);
}

static void take_command(Pflash *flash, uint32_t at, uint8_t value) {
        set_answer(flash, ANSWER_STATUS);
        switch (value) {
        case COMMAND_PROGRAM:
        case COMMAND_PROGRAM_ALTERNATE:
                flash->expect = EXPECT_PROGRAM_DATA;
                break;
        case COMMAND_ERASE:
                flash->expect = EXPECT_ERASE_CONFIRM;
                break;
        case COMMAND_LOCK:
                flash->expect = EXPECT_LOCK_CONFIRM;
                break;
        case COMMAND_BUFFER:
                flash->buffer_at = at - at % flash->block_size;
                flash->expect = EXPECT_BUFFER_COUNT;
                flash->status |= STATUS_READY; /* the buffer is free */
                break;
        case COMMAND_CLEAR_STATUS:
                flash->status = 0;
                set_answer(flash, ANSWER_ARRAY);
                break;
        case COMMAND_READ_STATUS:
                break;
        case COMMAND_READ_ID:
                set_answer(flash, ANSWER_ID);
                break;
        case COMMAND_CFI_QUERY:
                set_answer(flash, ANSWER_CFI);
                break;
        default: /* also COMMAND_READ_ARRAY */
                set_answer(flash, ANSWER_ARRAY);
                break;
        }
}

static void take_buffer_count(Pflash *flash, uint8_t value) {
        flash->expect = EXPECT_BUFFER_DATA;
        flash->buffer_n = 0;
        flash->buffer_left = value + 1u;
        if (flash->buffer_left > BUFFER_SIZE) {
                flash->status |= STATUS_SEQUENCE_ERROR;
                flash->expect = EXPECT_COMMAND;
        }
}

static void take_buffer_data(Pflash *flash, uint32_t at, uint8_t value) {
        if (at - at % flash->block_size != flash->buffer_at) {
                flash->status |= STATUS_SEQUENCE_ERROR;
                flash->expect = EXPECT_COMMAND;
                return;
        }
        flash->buffer[flash->buffer_n].at = at;
        flash->buffer[flash->buffer_n++].value = value;
        if (--flash->buffer_left == 0)
                flash->expect = EXPECT_BUFFER_CONFIRM;
}

static void take_confirm(Pflash *flash, uint32_t at, uint8_t value) {
        const Expect expect = flash->expect;

        flash->expect = EXPECT_COMMAND;
        if (expect == EXPECT_LOCK_CONFIRM)
                return; /* there are no lock bits to change */
        if (value != COMMAND_CONFIRM)
                flash->status |= STATUS_SEQUENCE_ERROR;
        else if (expect == EXPECT_ERASE_CONFIRM)
                erase(flash, at);
        else
                flush_buffer(flash);
}

static void write_byte(void *device, unsigned offset, uint8_t value) {
        Pflash *flash = device;

        switch (flash->expect) {
        case EXPECT_COMMAND:
                take_command(flash, offset, value);
                break;
        case EXPECT_PROGRAM_DATA:
                flash->expect = EXPECT_COMMAND;
                program(flash, offset, value);
                break;
        case EXPECT_BUFFER_COUNT:
                take_buffer_count(flash, value);
                break;
        case EXPECT_BUFFER_DATA:
                take_buffer_data(flash, offset, value);
                break;
        case EXPECT_ERASE_CONFIRM:
        case EXPECT_LOCK_CONFIRM:
        case EXPECT_BUFFER_CONFIRM:
                take_confirm(flash, offset, value);
                break;
        }
}

static uint8_t log2_of(uint64_t value) {
        return (uint8_t) (63 - __builtin_clzll(value));
}

/* The query structure (JESD68 section 4): "QRY", command set, timings, then one region of equal blocks. */
static uint8_t cfi_byte(const Pflash *flash, unsigned at) {
        const uint32_t blocks = (uint32_t) (flash->size / flash->block_size) - 1;
        const uint32_t units = flash->block_size / 256;
        const uint8_t table[CFI_SIZE] = {
                [0x10] = 'Q',
                'R',
                'Y',
                0x01,
                0x00,
                0x31,
                0x00,
                [0x1b] = 0x45,
                0x55,
                0,
                0, /* 4.5 V to 5.5 V */
                [0x1f] = 1,
                1,
                1,
                0,
                1,
                1,
                1,
                0, /* all take 2 microseconds or milliseconds at most */
                [0x27] = log2_of(flash->size),
                0,
                0,
                log2_of(BUFFER_SIZE),
                0,
                1,
                [0x2d] = (uint8_t) blocks,
                (uint8_t) (blocks >> 8),
                (uint8_t) units,
                (uint8_t) (units >> 8),
        };

        return at < CFI_SIZE ? table[at] : 0;
}

static uint8_t read_byte(void *device, unsigned offset) {
        const Pflash *flash = device;

        switch (flash->answer) {
        case ANSWER_ARRAY: /* on the way between two modes */
                return flash->bytes[offset];
        case ANSWER_STATUS:
                return flash->status;
        case ANSWER_ID:
                return (offset & 0xff) == 0   ? ID_MANUFACTURER
                       : (offset & 0xff) == 1 ? ID_DEVICE
                                              : 0;
        case ANSWER_CFI:
                return cfi_byte(flash, offset & 0xff);
        }
        return 0;
}

static uint64_t pflash_read(void *device, uint64_t offset, unsigned size) {
        return bus_bytes_read(device, offset, size, read_byte);
}

static void pflash_write(void *device, uint64_t offset, unsigned size, uint64_t value) {
        bus_bytes_write(device, offset, size, value, write_byte);
}

static const BusOps pflash_ops = {.name = "pflash", .read = pflash_read, .write = pflash_write};

static int open_store(Pflash *flash, const char *path, TextError *reterr) {
        struct stat st;

        flash->fd = fd_path_open(path, O_RDWR | O_NONBLOCK, 0);
        if (flash->fd < 0)
                return flash->fd;
        if (fstat(flash->fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return text_error_set(reterr, -EINVAL, "it is not a regular file");
        if ((fcntl(flash->fd, F_GETFL) & O_ACCMODE) != O_RDWR)
                return text_error_set(reterr, -EACCES, "it must be open for reading and writing");
        if (st.st_size <= 0 || (uint64_t) st.st_size > FIRMWARE_SIZE_MAX ||
            st.st_size % flash->block_size != 0)
                return text_error_set(reterr, -EINVAL,
                                      "it has %" PRIu64 " bytes, and a flash is a multiple of its "
                                      "block size of %" PRIu32 " bytes and at most %" PRIu64 " MiB",
                                      (uint64_t) st.st_size, flash->block_size,
                                      FIRMWARE_SIZE_MAX >> 20);
        if (flock(flash->fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK
                               ? text_error_set(reterr, -EBUSY, "it is in use by another process")
                               : -errno;
        flash->size = (uint64_t) st.st_size;
        return 0;
}

static int load_store(Pflash *flash) {
        void *bytes =
                mmap(NULL, flash->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (bytes == MAP_FAILED)
                return -errno;
        flash->bytes = bytes;
        return fd_pread_all(flash->fd, bytes, flash->size, 0);
}

/**
 * pflash_new() - a flash chip with the contents of @path, which keeps what the guest programs
 * @block_size: what one erase command erases; a power of two, at least 4096
 * @end:        guest address behind the chip
 * @mem:        gets the ROM; before the partition is built
 *
 * The file is locked as long as the chip exists: two machines would ruin each other's variables.
 *
 * Return: 0, or negative errno with a sentence that names the file.
 */
int pflash_new(const char *path, uint32_t block_size, gpa_t end, GuestMem *mem, Pflash **ret,
               TextError *reterr) {
        _cleanup_(pflash_freep) Pflash *flash = calloc(1, sizeof(*flash));
        int r;

        if (!flash)
                return -ENOMEM;
        pthread_mutex_init(&flash->lock, NULL);
        flash->fd = -EBADF;
        flash->block_size = block_size;
        flash->mem = mem;
        r = open_store(flash, path, reterr);
        if (r >= 0)
                r = load_store(flash);
        if (r >= 0) {
                flash->base = end - flash->size;
                r = guest_mem_add_rom(mem, flash->base, flash->bytes, flash->size, &flash->rom);
        }
        if (r < 0)
                return text_error_prefix(reterr, r, "opening flash %s", path);
        *ret = TAKE(flash);
        return 0;
}

/**
 * pflash_connect() - take the guest's writes, and its reads while a command is being answered
 * @partition: has show_rom; borrowed, outlives the vCPUs' last access
 */
int pflash_connect(Pflash *flash, Bus *mmio, Partition *partition) {
        flash->partition = partition;
        return bus_add(mmio, flash->base, flash->size, &pflash_ops, flash, &flash->lock);
}

/** pflash_free() - release; the partition is gone. Return: NULL. */
Pflash *pflash_free(Pflash *flash) {
        if (!flash)
                return NULL;
        if (flash->bytes)
                (void) munmap(flash->bytes, flash->size);
        (void) fd_close(flash->fd);
        pthread_mutex_destroy(&flash->lock);
        free(flash);
        return NULL;
}
