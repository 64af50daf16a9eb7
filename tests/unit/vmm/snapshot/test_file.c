/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/fd.h"
#include "base/le.h"
#include "vmm/snapshot/file.h"

#define RAM_BYTES (UINT64_C(8) << 20)
#define PAGE 4096u

typedef struct Fixture {
        GuestMem *mem;
        Snapshot saved;
        int fd;
} Fixture;

static int setup(void **state) {
        static Fixture f;
        uint32_t number = 0x12345678;

        f = (Fixture){.fd = memfd_create("snapshot", MFD_CLOEXEC)};
        assert_true(f.fd >= 0);
        assert_int_equal(guest_mem_new(RAM_BYTES, &f.mem), 0);
        snapshot_init_saving(&f.saved);
        snapshot_enter(&f.saved, "test", 0);
        snapshot_u32(&f.saved, &number);
        snapshot_leave(&f.saved);
        *state = &f;
        return 0;
}

static int teardown(void **state) {
        Fixture *f = *state;

        snapshot_deinit(&f->saved);
        (void) guest_mem_free(f->mem);
        (void) fd_close(f->fd);
        return 0;
}

static void write_file(Fixture *f) {
        const _Atomic bool cancel = false;

        assert_int_equal(snapshot_file_write(f->fd, &f->saved, f->mem, &cancel), 0);
}

static int read_state(Fixture *f, const char *why) {
        _cleanup_(text_error_deinit) TextError error = {0};
        _cleanup_(freep) uint8_t *bytes = NULL;
        size_t len = 0;
        int r = snapshot_file_read_state(f->fd, &bytes, &len, &error);

        if (r < 0) {
                if (!why || !strstr(text_error_message(&error, r), why))
                        fail_msg("%s", text_error_message(&error, r));
                return r;
        }
        assert_int_equal(len, f->saved.len);
        assert_memory_equal(bytes, f->saved.bytes, len);
        return 0;
}

/* @why: part of the sentence if it is refused; NULL: it is not */
static int read_memory(Fixture *f, const GuestMem *mem, const char *why) {
        _cleanup_(text_error_deinit) TextError error = {0};
        int r = snapshot_file_read_memory(f->fd, mem, &error);

        if (r < 0 && (!why || !strstr(text_error_message(&error, r), why)))
                fail_msg("%s", text_error_message(&error, r));
        return r;
}

static void put(Fixture *f, uint64_t at, uint64_t value, unsigned width) {
        uint8_t raw[8];

        le64_store(raw, value);
        assert_int_equal(pwrite(f->fd, raw, width, (off_t) at), width);
}

/* What a header says of itself is right again. */
static void sign_header(Fixture *f) {
        uint8_t raw[60];

        assert_int_equal(pread(f->fd, raw, sizeof(raw), 0), sizeof(raw));
        put(f, sizeof(raw), crc32(0, raw, sizeof(raw)), 4);
}

static void flip(Fixture *f, uint64_t at, unsigned bit) {
        uint8_t byte;

        assert_int_equal(pread(f->fd, &byte, 1, (off_t) at), 1);
        put(f, at, byte ^ (1u << bit), 1);
}

static void test_state_and_memory_come_back(void **state) {
        static const char text[] = "across a page";
        _cleanup_(guest_mem_freep) GuestMem *other = NULL;
        Fixture *f = *state;
        char back[sizeof(text)];

        assert_int_equal(guest_mem_write(f->mem, 5 * PAGE - 3, text, sizeof(text)), 0);
        assert_int_equal(guest_mem_write(f->mem, RAM_BYTES - sizeof(text), text, sizeof(text)), 0);
        write_file(f);
        assert_int_equal(read_state(f, NULL), 0);
        assert_int_equal(guest_mem_new(RAM_BYTES, &other), 0);
        assert_int_equal(read_memory(f, other, NULL), 0);
        assert_memory_equal(other->base, f->mem->base, RAM_BYTES);
        assert_int_equal(guest_mem_read(other, RAM_BYTES - sizeof(text), back, sizeof(back)), 0);
        assert_string_equal(back, text);
}

static uint64_t blocks(int fd) {
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        return (uint64_t) st.st_blocks * 512;
}

static void test_memory_that_holds_nothing_takes_no_room_on_either_side(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *other = NULL;
        Fixture *f = *state;
        const uint8_t one = 1;

        assert_int_equal(guest_mem_write(f->mem, 3u << 20, &one, 1), 0);
        memset(f->mem->base + (1u << 20), 0, 1u << 20); /* touched, and all zeros */
        write_file(f);
        assert_int_equal(blocks(f->fd), 3 * PAGE - PAGE); /* header with state, and the one page */
        assert_int_equal(guest_mem_new(RAM_BYTES, &other), 0);
        assert_int_equal(read_memory(f, other, NULL), 0);
        assert_int_equal(blocks(other->fd), PAGE);
}

static void test_a_file_without_holes_is_as_good(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *other = NULL;
        _cleanup_(freep) uint8_t *all = NULL;
        Fixture *f = *state;
        struct stat st;

        memset(f->mem->base + 7 * PAGE, 0x5a, 2 * PAGE);
        write_file(f);
        assert_int_equal(fstat(f->fd, &st), 0);
        all = malloc((size_t) st.st_size);
        assert_non_null(all);
        assert_int_equal(pread(f->fd, all, (size_t) st.st_size, 0), st.st_size);
        assert_int_equal(pwrite(f->fd, all, (size_t) st.st_size, 0), st.st_size);
        assert_int_equal(guest_mem_new(RAM_BYTES, &other), 0);
        assert_int_equal(read_memory(f, other, NULL), 0);
        assert_memory_equal(other->base, f->mem->base, RAM_BYTES);
}

static void test_one_that_was_given_up_is_none(void **state) {
        const _Atomic bool cancel = true;
        Fixture *f = *state;
        const uint8_t one = 1;

        assert_int_equal(guest_mem_write(f->mem, 0, &one, 1), 0);
        assert_int_equal(snapshot_file_write(f->fd, &f->saved, f->mem, &cancel), -ECANCELED);
        assert_int_equal(read_state(f, "not finished"), -EBADMSG);
}

static void test_what_was_in_the_file_before_is_gone(void **state) {
        Fixture *f = *state;

        put(f, UINT64_C(20) << 20, UINT64_MAX, 8);
        write_file(f);
        assert_int_equal(read_state(f, NULL), 0);
}

static void test_every_part_of_the_header_is_checked(void **state) {
        static const struct {
                uint64_t at, value;
                unsigned width;
                const char *why;
        } changes[] = {
                {0, 'X', 1, "no snapshot"},
                {8, 2, 4, "of version 2, not 3"},
                {8, SNAPSHOT_VERSION + 1, 4, "of version 4, not 3"},
                {12, 0, 4, "checksum of its state"},
                {16, 0, 8, "makes no sense"},
                {16, SNAPSHOT_STATE_MAX + 1, 8, "makes no sense"},
                {16, UINT64_MAX, 8, "makes no sense"},
                {24, 0, 8, "makes no sense"},
                {24, 4097, 8, "makes no sense"},
                {24, 8192, 8, "makes no sense"},
                {32, UINT64_MAX, 8, "makes no sense"},
                {32, RAM_BYTES + 4096, 8, "bytes and not the"},
                {64, 0xff, 1, "checksum of its state"},
        };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(changes); i++) {
                write_file(f);
                put(f, changes[i].at, changes[i].value, changes[i].width);
                sign_header(f);
                assert_int_equal(read_state(f, changes[i].why), -EBADMSG);
        }
}

/* The sentence of a file whose byte at @at is wrong. */
static const char *part_of(const Fixture *f, uint64_t at) {
        const uint64_t table = 64 + f->saved.len;

        if (at < 8)
                return "no snapshot";
        if (at < 12)
                return "of version";
        if (at < 64)
                return "checksum of its header";
        if (at < table)
                return "checksum of its state";
        if (at < PAGE)
                return "checksum of its table of checksums";
        return at < PAGE + (3u << 20) ? "checksum of its memory at 2 MiB"
                                      : "checksum of its memory at 7 MiB";
}

static void a_flipped_bit_is_noticed(Fixture *f, uint64_t at, unsigned bit) {
        _cleanup_(guest_mem_freep) GuestMem *other = NULL;
        const char *part = part_of(f, at);

        flip(f, at, bit);
        if (at < 64 + f->saved.len) {
                assert_int_equal(read_state(f, part), -EBADMSG);
        } else {
                assert_int_equal(read_state(f, NULL), 0);
                assert_int_equal(guest_mem_new(RAM_BYTES, &other), 0);
                assert_int_equal(read_memory(f, other, part), -EBADMSG);
        }
        flip(f, at, bit);
}

static void test_a_bit_that_flips_anywhere_is_noticed(void **state) {
        static const uint64_t data = UINT64_C(2) << 20, last = RAM_BYTES - 1;
        const uint64_t places[] = {
                PAGE - 1,               /* behind the table */
                PAGE + data,            /* a page of a pattern */
                PAGE + data + PAGE - 1, /* its end */
                PAGE + data + PAGE,     /* one that the guest cleared */
                PAGE + data + 3 * PAGE, /* one that it never wrote */
                PAGE + data + 5 * PAGE, /* the only byte of its page that is not zero */
                PAGE + last,            /* likewise, and the last one of all */
        };
        _cleanup_(guest_mem_freep) GuestMem *other = NULL;
        Fixture *f = *state;

        memset(f->mem->base + data, 0x5a, PAGE);
        memset(f->mem->base + data + PAGE, 0, PAGE);
        f->mem->base[data + 5 * PAGE] = 1;
        f->mem->base[last] = 1;
        write_file(f);
        for (uint64_t at = 0; at < 64 + f->saved.len + 32; at++)
                a_flipped_bit_is_noticed(f, at, at % 8);
        for (size_t i = 0; i < ELEMENTSOF(places); i++)
                for (unsigned bit = 0; bit < 8; bit++)
                        a_flipped_bit_is_noticed(f, places[i], bit);
        assert_int_equal(guest_mem_new(RAM_BYTES, &other), 0);
        assert_int_equal(read_memory(f, other, NULL), 0);
}

static void test_pages_that_changed_places_are_noticed(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *other = NULL;
        Fixture *f = *state;
        uint8_t page[PAGE];

        memset(f->mem->base, 1, PAGE);
        write_file(f);
        assert_int_equal(pread(f->fd, page, PAGE, PAGE), PAGE);
        assert_int_equal(pwrite(f->fd, page, PAGE, 2 * PAGE), PAGE);
        memset(page, 0, PAGE);
        assert_int_equal(pwrite(f->fd, page, PAGE, PAGE), PAGE);
        assert_int_equal(guest_mem_new(RAM_BYTES, &other), 0);
        assert_int_equal(read_memory(f, other, "checksum of its memory at 0 MiB"), -EBADMSG);
}

static void test_a_shorter_file_is_refused(void **state) {
        static const off_t lengths[] = {0, 63, 64, 70, 4096, 4096 + RAM_BYTES - 1};
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(lengths); i++) {
                write_file(f);
                assert_int_equal(ftruncate(f->fd, lengths[i]), 0);
                assert_int_equal(read_state(f, ""), -EBADMSG);
        }
}

static void test_memory_of_another_size_is_refused(void **state) {
        _cleanup_(guest_mem_freep) GuestMem *other = NULL;
        Fixture *f = *state;

        write_file(f);
        assert_int_equal(guest_mem_new(2 * RAM_BYTES, &other), 0);
        assert_int_equal(read_memory(f, other, "MiB of memory"), -EBADMSG);
}

static void test_a_pipe_is_no_snapshot(void **state) {
        Fixture *f = *state;
        int fds[2];

        assert_int_equal(pipe(fds), 0);
        (void) fd_close(f->fd);
        f->fd = fds[0];
        assert_int_equal(read_state(f, "no regular file"), -EINVAL);
        (void) fd_close(fds[1]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_state_and_memory_come_back),
                TEST(test_memory_that_holds_nothing_takes_no_room_on_either_side),
                TEST(test_a_file_without_holes_is_as_good),
                TEST(test_one_that_was_given_up_is_none),
                TEST(test_what_was_in_the_file_before_is_gone),
                TEST(test_every_part_of_the_header_is_checked),
                TEST(test_a_bit_that_flips_anywhere_is_noticed),
                TEST(test_pages_that_changed_places_are_noticed),
                TEST(test_a_shorter_file_is_refused),
                TEST(test_memory_of_another_size_is_refused),
                TEST(test_a_pipe_is_no_snapshot),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
