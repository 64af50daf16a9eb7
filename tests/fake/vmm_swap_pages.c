/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "tests/fake/vmm_swap_pages.h"

/** swap_pages_init() - RAM without contents; release with swap_pages_deinit() */
void swap_pages_init(SwapPages *pages) {
        const uint64_t size = SWAP_TEST_PAGES * SWAP_PAGE_SIZE;

        pages->guest_fd = memfd_create("ram", MFD_CLOEXEC);
        pages->file_fd = memfd_create("file", MFD_CLOEXEC);
        assert_true(pages->guest_fd >= 0 && pages->file_fd >= 0);
        assert_int_equal(ftruncate(pages->guest_fd, (off_t) size), 0);
        assert_int_equal(swap_store_new_consume(pages->guest_fd, size,
                                                fd_dup_cloexec(pages->file_fd), &pages->store),
                         0);
}

void swap_pages_deinit(SwapPages *pages) {
        (void) swap_store_free(pages->store);
        (void) fd_close(pages->guest_fd);
        (void) fd_close(pages->file_fd);
}

/** swap_pages_write() - give @page of RAM contents: @seed and its number */
void swap_pages_write(const SwapPages *pages, uint64_t page, uint8_t seed) {
        uint8_t bytes[SWAP_PAGE_SIZE];

        memset(bytes, seed, sizeof(bytes));
        memcpy(bytes, &page, sizeof(page));
        assert_int_equal(
                pwrite(pages->guest_fd, bytes, sizeof(bytes), (off_t) (page * SWAP_PAGE_SIZE)),
                sizeof(bytes));
}

/** swap_pages_expect() - that @page of RAM has what swap_pages_write() gave it; 0: nothing at all */
void swap_pages_expect(const SwapPages *pages, uint64_t page, uint8_t seed) {
        uint8_t bytes[SWAP_PAGE_SIZE], expected[SWAP_PAGE_SIZE];

        memset(expected, seed, sizeof(expected));
        if (seed)
                memcpy(expected, &page, sizeof(page));
        assert_int_equal(
                pread(pages->guest_fd, bytes, sizeof(bytes), (off_t) (page * SWAP_PAGE_SIZE)),
                sizeof(bytes));
        assert_memory_equal(bytes, expected, sizeof(bytes));
}

/** swap_pages_has() - whether @fd has @page, and no hole there */
bool swap_pages_has(int fd, uint64_t page) {
        return lseek(fd, (off_t) (page * SWAP_PAGE_SIZE), SEEK_DATA) ==
               (off_t) (page * SWAP_PAGE_SIZE);
}
