/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/snapshot/file.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/checked.h"
#include "base/fd.h"
#include "base/le.h"
#include "vmm/mem/memmap.h"

#define HEADER_SIZE 64u
#define HEADER_CRC_AT 60u
#define CHUNK_BYTES                                                                                \
        (UINT64_C(1) << 20) /* of RAM with one checksum; between two looks at whether to give up */
#define SUM_BYTES 4u        /* of a checksum in the table */

static const char magic[8] = "VIVSNAP\n";

typedef struct Header {
        uint32_t version, state_crc, table_crc;
        uint64_t state_len, ram_at, ram_len;
} Header;

static uint32_t crc_of(const uint8_t *bytes, size_t len) {
        return (uint32_t) crc32(0, bytes, (unsigned) len);
}

static bool is_zero(const uint8_t *page) {
        /* Each byte is that before it, and the first is zero. */
        return page[0] == 0 && memcmp(page, page + 1, MEMMAP_PAGE_SIZE - 1) == 0;
}

/* Where RAM begins in a file: behind the table, which has its checksums. */
static uint64_t ram_offset(uint64_t state_len, uint64_t ram_len) {
        const uint64_t chunks = ram_len / CHUNK_BYTES + (ram_len % CHUNK_BYTES != 0);

        return align_up(HEADER_SIZE + state_len + SUM_BYTES * chunks, MEMMAP_PAGE_SIZE);
}

static uint64_t table_offset(const Header *header) {
        return HEADER_SIZE + header->state_len;
}

/* The table with the zeros behind it. */
static uint64_t table_len(const Header *header) {
        return header->ram_at - table_offset(header);
}

/*
 * Count the page at @at in; pages come in ascending order. Those of zeros do not count, so that holes need no reading.
 * Return: whether it counts.
 */
static bool sum_page(uint8_t *table, const GuestMem *mem, uint64_t at) {
        uint8_t *sum = table + SUM_BYTES * (at / CHUNK_BYTES);
        uint8_t number[8];
        uLong crc;

        if (is_zero(mem->base + at))
                return false;
        le64_store(number, at / MEMMAP_PAGE_SIZE);
        crc = crc32(le32_load(sum), number, sizeof(number));
        le32_store(sum, (uint32_t) crc32(crc, mem->base + at, MEMMAP_PAGE_SIZE));
        return true;
}

/* ---- writing ---- */

/* The pages of [@from, @to) that are not all zeros, in runs. */
static int write_pages(int fd, const GuestMem *mem, uint8_t *table, uint64_t ram_at, uint64_t from,
                       uint64_t to) {
        int r;

        for (uint64_t at = from; at <= to; at += MEMMAP_PAGE_SIZE) {
                if (at < to && sum_page(table, mem, at))
                        continue;
                r = fd_pwrite_all(fd, mem->base + from, at - from, ram_at + from);
                if (r < 0)
                        return r;
                from = at + MEMMAP_PAGE_SIZE;
        }
        return 0;
}

static int write_memory(int fd, const GuestMem *mem, uint8_t *table, uint64_t ram_at,
                        const _Atomic bool *cancel) {
        uint64_t at = 0, from = 0, to = 0;
        int r;

        while (at < mem->size_bytes) {
                r = guest_mem_next_data(mem, at, &from, &to);
                if (r <= 0)
                        return r;
                from = align_down(from, MEMMAP_PAGE_SIZE);
                at = MIN(align_up(to, MEMMAP_PAGE_SIZE), mem->size_bytes);
                for (; from < at; from += CHUNK_BYTES) {
                        if (atomic_load(cancel))
                                return -ECANCELED;
                        r = write_pages(fd, mem, table, ram_at, from, MIN(from + CHUNK_BYTES, at));
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

static int write_header(int fd, const Header *header) {
        uint8_t raw[HEADER_SIZE] = {0};

        memcpy(raw, magic, sizeof(magic));
        le32_store(raw + 8, header->version);
        le32_store(raw + 12, header->state_crc);
        le64_store(raw + 16, header->state_len);
        le64_store(raw + 24, header->ram_at);
        le64_store(raw + 32, header->ram_len);
        le32_store(raw + 40, header->table_crc);
        le32_store(raw + HEADER_CRC_AT, crc_of(raw, HEADER_CRC_AT));
        return fd_pwrite_all(fd, raw, sizeof(raw), 0);
}

/**
 * snapshot_file_write() - a whole snapshot, lasting when it returns; any thread
 * @fd:     a regular file, open for writing; what is in it is lost
 * @state:  saved without a mistake
 * @mem:    written by nobody meanwhile
 * @cancel: set by another thread to give up
 *
 * Return: 0; -ECANCELED; other negative errno.
 */
int snapshot_file_write(int fd, const Snapshot *state, const GuestMem *mem,
                        const _Atomic bool *cancel) {
        _cleanup_(freep) uint8_t *table = NULL;
        Header header = {
                .version = SNAPSHOT_VERSION,
                .state_crc = crc_of(state->bytes, state->len),
                .state_len = state->len,
                .ram_at = ram_offset(state->len, mem->size_bytes),
                .ram_len = mem->size_bytes,
        };
        int r;

        table = calloc(1, table_len(&header));
        if (!table)
                return -ENOMEM;
        if (ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t) (header.ram_at + header.ram_len)) < 0)
                return -errno;
        r = fd_pwrite_all(fd, state->bytes, state->len, HEADER_SIZE);
        if (r >= 0)
                r = write_memory(fd, mem, table, header.ram_at, cancel);
        if (r >= 0)
                r = fd_pwrite_all(fd, table, table_len(&header), table_offset(&header));
        if (r >= 0 && fdatasync(fd) < 0)
                r = -errno;
        header.table_crc = crc_of(table, table_len(&header));
        if (r >= 0)
                r = write_header(fd, &header);
        if (r >= 0 && fdatasync(fd) < 0)
                r = -errno;
        return r;
}

/* ---- reading ---- */

static int read_all(int fd, void *bytes, size_t len, uint64_t at) {
        uint8_t *p = bytes;

        while (len > 0) {
                ssize_t n = pread(fd, p, len, (off_t) at);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EBADMSG;
                p += n;
                at += (uint64_t) n;
                len -= (size_t) n;
        }
        return 0;
}

static int damaged(TextError *reterr, const char *part) {
        return text_error_set(reterr, -EBADMSG, "damaged: the checksum of its %s is wrong", part);
}

static int check_header(const Header *header, uint64_t file_len, TextError *reterr) {
        uint64_t end;

        if (header->state_len == 0 || header->state_len > SNAPSHOT_STATE_MAX ||
            header->ram_at != ram_offset(header->state_len, header->ram_len) ||
            !ADD_CHECKED(header->ram_at, header->ram_len, &end))
                return text_error_set(reterr, -EBADMSG, "its header makes no sense");
        if (end != file_len)
                return text_error_set(reterr, -EBADMSG,
                                      "has %" PRIu64 " bytes and not the %" PRIu64
                                      " that its header tells of",
                                      file_len, end);
        return 0;
}

static int read_header(int fd, Header *ret, TextError *reterr) {
        uint8_t raw[HEADER_SIZE];
        struct stat st;
        int r;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return text_error_set(reterr, -EINVAL, "no regular file");
        r = read_all(fd, raw, sizeof(raw), 0);
        if ((r < 0 && r != -EBADMSG))
                return r;
        if (r < 0 || memcmp(raw, magic, sizeof(magic)) != 0)
                return text_error_set(reterr, -EBADMSG,
                                      "no snapshot, or one that was not finished");
        if (le32_load(raw + 8) != SNAPSHOT_VERSION)
                return text_error_set(reterr, -EBADMSG, "of version %" PRIu32 ", not %u",
                                      le32_load(raw + 8), SNAPSHOT_VERSION);
        if (crc_of(raw, HEADER_CRC_AT) != le32_load(raw + HEADER_CRC_AT))
                return damaged(reterr, "header");
        *ret = (Header){
                .version = SNAPSHOT_VERSION,
                .state_crc = le32_load(raw + 12),
                .table_crc = le32_load(raw + 40),
                .state_len = le64_load(raw + 16),
                .ram_at = le64_load(raw + 24),
                .ram_len = le64_load(raw + 32),
        };
        return check_header(ret, (uint64_t) st.st_size, reterr);
}

/**
 * snapshot_file_read_state() - the state in a snapshot
 * @ret: owned by the caller
 *
 * Return: 0; negative errno, -EBADMSG with a sentence for what is no snapshot of this version.
 */
int snapshot_file_read_state(int fd, uint8_t **ret, size_t *ret_len, TextError *reterr) {
        _cleanup_(freep) uint8_t *state = NULL;
        Header header = {0};
        int r;

        r = read_header(fd, &header, reterr);
        if (r < 0)
                return r;
        state = malloc(MAX(header.state_len, 1u));
        if (!state)
                return -ENOMEM;
        r = read_all(fd, state, header.state_len, HEADER_SIZE);
        if (r < 0)
                return r;
        if (crc_of(state, header.state_len) != header.state_crc)
                return damaged(reterr, "state");
        *ret = TAKE(state);
        *ret_len = header.state_len;
        return 0;
}

/* The next range of @fd from @at on that is no hole. Return: false when there is none. */
static int next_data(int fd, uint64_t at, uint64_t size, uint64_t *ret_from, uint64_t *ret_to) {
        off_t from = lseek(fd, (off_t) at, SEEK_DATA), to;

        if (from < 0)
                return errno == ENXIO ? 0 : -errno;
        if ((uint64_t) from >= size)
                return 0;
        to = lseek(fd, from, SEEK_HOLE);
        if (to < 0)
                return -errno;
        *ret_from = (uint64_t) from;
        *ret_to = MIN((uint64_t) to, size);
        return 1;
}

static int read_table(int fd, const Header *header, uint8_t *table, TextError *reterr) {
        int r = read_all(fd, table, table_len(header), table_offset(header));

        if (r < 0)
                return r;
        return crc_of(table, table_len(header)) == header->table_crc
                       ? 0
                       : damaged(reterr, "table of checksums");
}

/* @table: of zeros; has the checksums of what was read then. */
static int read_pages(int fd, const Header *header, const GuestMem *mem, uint8_t *table) {
        uint64_t at = 0, from = 0, to = 0;
        int r;

        while (at < header->ram_len) {
                r = next_data(fd, header->ram_at + at, header->ram_at + header->ram_len, &from,
                              &to);
                if (r <= 0)
                        return r;
                /* A file system's blocks may be smaller than a page, of which none may count twice. */
                from = align_down(from - header->ram_at, MEMMAP_PAGE_SIZE);
                at = MIN(align_up(to - header->ram_at, MEMMAP_PAGE_SIZE), header->ram_len);
                while (from < at) {
                        to = MIN(from + CHUNK_BYTES, at);
                        r = read_all(fd, mem->base + from, to - from, header->ram_at + from);
                        if (r < 0)
                                return r;
                        for (; from < to; from += MEMMAP_PAGE_SIZE)
                                (void) sum_page(table, mem, from);
                }
        }
        return 0;
}

static int compare_tables(const uint8_t *written, const uint8_t *read, size_t len,
                          TextError *reterr) {
        for (size_t at = 0; at < len; at += SUM_BYTES)
                if (memcmp(written + at, read + at, MIN(SUM_BYTES, len - at)) != 0)
                        return text_error_set(reterr, -EBADMSG,
                                              "damaged: the checksum of its memory at %zu MiB "
                                              "is wrong",
                                              at / SUM_BYTES * (size_t) (CHUNK_BYTES >> 20));
        return 0;
}

/**
 * snapshot_file_read_memory() - fill RAM, in which nothing was written yet, with that of a snapshot
 *
 * Return: 0; negative errno, -EBADMSG with a sentence when it is not as long or damaged: no guest may see it then.
 */
int snapshot_file_read_memory(int fd, const GuestMem *mem, TextError *reterr) {
        _cleanup_(freep) uint8_t *written = NULL, *read = NULL;
        Header header = {0};
        int r;

        r = read_header(fd, &header, reterr);
        if (r < 0)
                return r;
        if (header.ram_len != mem->size_bytes)
                return text_error_set(reterr, -EBADMSG,
                                      "of a machine with %" PRIu64 " MiB of memory, not %" PRIu64,
                                      header.ram_len >> 20, mem->size_bytes >> 20);
        written = malloc(table_len(&header));
        read = calloc(1, table_len(&header));
        if (!written || !read)
                return -ENOMEM;
        r = read_table(fd, &header, written, reterr);
        if (r >= 0)
                r = read_pages(fd, &header, mem, read);
        return r < 0 ? r : compare_tables(written, read, table_len(&header), reterr);
}
