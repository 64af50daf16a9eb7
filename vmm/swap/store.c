/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/swap/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

#define PLACE 0x03u
#define COPIED                                                                                     \
        0x04u /* the file has what the page once was: if it is that again, it need not be written */

struct SwapStore {
        int guest_fd;     /* borrowed: the memfd */
        int file_fd;      /* owned */
        uint8_t *staging; /* owned mapping of @n_pages */
        uint8_t *run;     /* owned; what was read from the file, SWAP_RUN_PAGES */
        uint64_t n_pages;
        _Atomic uint8_t *pages; /* owned: a SwapPlace and COPIED each */
        _Atomic uint64_t n_staged, n_filed;
};

static uint8_t *staging_of(const SwapStore *store, uint64_t page) {
        return store->staging + page * SWAP_PAGE_SIZE;
}

/**
 * swap_store_new_consume() - everything is with the guest
 * @guest_fd:   borrowed; the memfd of @size_bytes, whole pages
 * @file_fd:    consumed, also on failure; a regular file, empty, open for reading and writing
 * @ret:        set on success only; release with swap_store_free()
 *
 * Return: 0 or -ENOMEM.
 */
int swap_store_new_consume(int guest_fd, uint64_t size_bytes, int file_fd, SwapStore **ret) {
        _cleanup_(swap_store_freep) SwapStore *store = calloc(1, sizeof(*store));
        void *staging;

        if (!store) {
                (void) fd_close(file_fd);
                return -ENOMEM;
        }
        store->guest_fd = guest_fd;
        store->file_fd = file_fd;
        store->n_pages = size_bytes / SWAP_PAGE_SIZE;
        store->pages = calloc(store->n_pages, sizeof(*store->pages));
        store->run = malloc(SWAP_RUN_PAGES * SWAP_PAGE_SIZE);
        if (!store->pages || !store->run)
                return -ENOMEM;
        staging = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (staging == MAP_FAILED)
                return -errno;
        store->staging = staging;
        /* Pages come and go one by one; and it is guest memory, which core dumps leave out. */
        (void) madvise(staging, size_bytes, MADV_NOHUGEPAGE);
        (void) madvise(staging, size_bytes, MADV_DONTDUMP);
        *ret = TAKE(store);
        return 0;
}

/** swap_store_free() - release; what is away is lost. Return: NULL. */
SwapStore *swap_store_free(SwapStore *store) {
        if (!store)
                return NULL;
        if (store->staging)
                (void) munmap(store->staging, store->n_pages * SWAP_PAGE_SIZE);
        (void) fd_close(store->file_fd);
        free((void *) (uintptr_t) store->pages);
        free(store->run);
        free(store);
        return NULL;
}

/** swap_store_pages() - how many pages RAM has */
uint64_t swap_store_pages(const SwapStore *store) {
        return store->n_pages;
}

static SwapPlace place_of(uint8_t state) {
        return (SwapPlace) (state & PLACE);
}

/** swap_store_place() - where a page is now; any thread */
SwapPlace swap_store_place(const SwapStore *store, uint64_t page) {
        return place_of(atomic_load(&store->pages[page]));
}

/** swap_store_staged() - pages in staging memory; any thread */
uint64_t swap_store_staged(const SwapStore *store) {
        return atomic_load(&store->n_staged);
}

/** swap_store_filed() - pages in the file; any thread */
uint64_t swap_store_filed(const SwapStore *store) {
        return atomic_load(&store->n_filed);
}

/** swap_store_resident() - pages that the memfd has; any thread */
uint64_t swap_store_resident(const SwapStore *store) {
        struct stat st;

        return fstat(store->guest_fd, &st) < 0 ? 0 : (uint64_t) st.st_blocks * 512 / SWAP_PAGE_SIZE;
}

/* ---- from place to place ---- */

static void count(SwapStore *store, SwapPlace place, bool more) {
        _Atomic uint64_t *n = place == SWAP_STAGED  ? &store->n_staged
                              : place == SWAP_FILED ? &store->n_filed
                                                    : NULL;

        if (n && more)
                atomic_fetch_add(n, 1);
        else if (n)
                atomic_fetch_sub(n, 1);
}

static void drop_staging(SwapStore *store, uint64_t page, uint64_t n) {
        (void) madvise(staging_of(store, page), n * SWAP_PAGE_SIZE, MADV_DONTNEED);
}

/* Takes a page that is at @from on its way. Return: false when it is not there. */
static bool leave(SwapStore *store, uint64_t page, SwapPlace from) {
        uint8_t state = atomic_load(&store->pages[page]);

        do {
                if (place_of(state) != from)
                        return false;
        } while (!atomic_compare_exchange_weak(&store->pages[page], &state,
                                               (uint8_t) ((state & ~PLACE) | SWAP_MOVING)));
        count(store, from, /* more= */ false);
        return true;
}

/* Ends the way of a page. Return: false when it was forgotten on it, and is where it was put for nothing. */
static bool arrive(SwapStore *store, uint64_t page, SwapPlace at, bool copied) {
        uint8_t state = atomic_load(&store->pages[page]);

        count(store, at, /* more= */ true);
        do {
                if (place_of(state) != SWAP_MOVING) {
                        count(store, at, /* more= */ false);
                        return false;
                }
        } while (!atomic_compare_exchange_weak(
                &store->pages[page], &state,
                (uint8_t) ((state & ~PLACE) | at | (copied ? COPIED : 0))));
        return true;
}

/* Of [@page, @end) those that @from was left for, in one run. */
static uint64_t leave_run(SwapStore *store, uint64_t page, uint64_t end, SwapPlace from) {
        uint64_t n = 0;

        while (page + n < end && leave(store, page + n, from))
                n++;
        return n;
}

static int punch(int fd, uint64_t page, uint64_t n) {
        return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                         (off_t) (page * SWAP_PAGE_SIZE), (off_t) (n * SWAP_PAGE_SIZE)) < 0
                       ? -errno
                       : 0;
}

/** swap_store_turn_back() - put pages that are on their way back to @to, where they came from */
void swap_store_turn_back(SwapStore *store, uint64_t page, uint64_t n, SwapPlace to) {
        for (uint64_t i = 0; i < n; i++)
                if (!arrive(store, page + i, to, /* copied= */ false) && to == SWAP_STAGED)
                        drop_staging(store, page + i, 1);
}

/* [@page, @page + @n) are on their way to staging memory. The memfd is read, not the mapping, which may be followed. */
static int stage_run(SwapStore *store, uint64_t page, uint64_t n, uint64_t *ret_moved) {
        int r = fd_pread_all(store->guest_fd, staging_of(store, page), n * SWAP_PAGE_SIZE,
                             page * SWAP_PAGE_SIZE);

        if (r < 0) {
                drop_staging(store, page, n);
                swap_store_turn_back(store, page, n, SWAP_GUEST);
                return r;
        }
        for (uint64_t i = 0; i < n; i++)
                if (arrive(store, page + i, SWAP_STAGED, /* copied= */ false))
                        ++*ret_moved;
                else
                        drop_staging(store, page + i, 1);
        return punch(store->guest_fd, page, n);
}

/**
 * swap_store_stage() - move what the guest has of pages [@first, @first + @n) to staging memory
 * @ret_moved: grows by how many were moved
 *
 * Nobody may write to these pages meanwhile; who touches them afterwards finds holes of the memfd.
 *
 * Return: 0 or negative errno; pages that were moved before stay so.
 */
int swap_store_stage(SwapStore *store, uint64_t first, uint64_t n, uint64_t *ret_moved) {
        uint64_t page = first, end = MIN(first + n, store->n_pages);
        int r = 0;

        while (r == 0 && page < end) {
                off_t data = lseek(store->guest_fd, (off_t) (page * SWAP_PAGE_SIZE), SEEK_DATA);
                off_t hole;
                uint64_t to;

                if (data < 0)
                        return errno == ENXIO ? 0 : -errno;
                hole = lseek(store->guest_fd, data, SEEK_HOLE);
                if (hole < 0)
                        return -errno;
                page = (uint64_t) data / SWAP_PAGE_SIZE;
                to = MIN((uint64_t) hole / SWAP_PAGE_SIZE, end);
                while (r == 0 && page < to) {
                        uint64_t run = leave_run(store, page, to, SWAP_GUEST);

                        if (run > 0)
                                r = stage_run(store, page, run, ret_moved);
                        page += MAX(run, 1u);
                }
                page = MAX(page, to);
        }
        return r;
}

static bool is_zero(const uint8_t *page) {
        /* Each byte is that before it, and the first is zero. */
        return page[0] == 0 && memcmp(page, page + 1, SWAP_PAGE_SIZE - 1) == 0;
}

/* Whether the file has just this: then it need not be written. */
static bool is_in_file(SwapStore *store, uint64_t page) {
        return (atomic_load(&store->pages[page]) & COPIED) &&
               fd_pread_all(store->file_fd, store->run, SWAP_PAGE_SIZE, page * SWAP_PAGE_SIZE) ==
                       0 &&
               memcmp(store->run, staging_of(store, page), SWAP_PAGE_SIZE) == 0;
}

/**
 * swap_store_trim() - drop from staging memory, of pages [@first, @first + @n), what need not be there
 * @ret_dropped: grows by how many were dropped
 *
 * That is zeros, and what the file has as well, from the time before the guest took it back.
 *
 * Return: 0.
 */
int swap_store_trim(SwapStore *store, uint64_t first, uint64_t n, uint64_t *ret_dropped) {
        const uint64_t end = MIN(first + n, store->n_pages);

        for (uint64_t page = first; page < end; page++) {
                SwapPlace to = SWAP_STAGED;

                if (!leave(store, page, SWAP_STAGED))
                        continue;
                if (is_zero(staging_of(store, page)))
                        to = SWAP_GUEST; /* where it is a hole, which reads as zeros */
                else if (is_in_file(store, page))
                        to = SWAP_FILED;
                if (!arrive(store, page, to, /* copied= */ false) || to != SWAP_STAGED) {
                        drop_staging(store, page, 1);
                        ++*ret_dropped;
                }
        }
        return 0;
}

/**
 * swap_store_write_out() - move pages [@first, @first + @n) from staging memory to the file
 * @ret_written: grows by how many were
 *
 * Return: 0 or negative errno, and then what was not written is still in staging memory.
 */
int swap_store_write_out(SwapStore *store, uint64_t first, uint64_t n, uint64_t *ret_written) {
        const uint64_t end = MIN(first + n, store->n_pages);

        for (uint64_t page = first; page < end;) {
                const uint64_t run = leave_run(store, page, end, SWAP_STAGED);
                int r;

                if (run == 0) {
                        page++;
                        continue;
                }
                r = fd_pwrite_all(store->file_fd, staging_of(store, page), run * SWAP_PAGE_SIZE,
                                  page * SWAP_PAGE_SIZE);
                if (r < 0) {
                        swap_store_turn_back(store, page, run, SWAP_STAGED);
                        return r;
                }
                for (uint64_t i = 0; i < run; i++)
                        *ret_written += arrive(store, page + i, SWAP_FILED, /* copied= */ true);
                drop_staging(store, page, run);
                page += run;
        }
        return 0;
}

/**
 * swap_store_fetch() - what a page is, and those behind it that are at the same place
 * @max:       of pages, at least 1
 * @ret_bytes: borrowed until the next call
 * @ret_n:     how many pages; 0: @page is with the guest, or all zeros
 * @ret_from:  where they were
 *
 * The pages are on their way until swap_store_arrived() or swap_store_turn_back().
 *
 * Return: 0; negative errno when the file cannot be read, and then they are still there.
 */
int swap_store_fetch(SwapStore *store, uint64_t page, uint64_t max, const uint8_t **ret_bytes,
                     uint64_t *ret_n, SwapPlace *ret_from) {
        const uint64_t wanted = MIN(max, SWAP_RUN_PAGES), end = MIN(page + wanted, store->n_pages);
        int r;

        *ret_from = SWAP_STAGED;
        *ret_n = leave_run(store, page, end, SWAP_STAGED);
        *ret_bytes = staging_of(store, page);
        if (*ret_n > 0)
                return 0;
        *ret_from = SWAP_FILED;
        *ret_n = leave_run(store, page, end, SWAP_FILED);
        *ret_bytes = store->run;
        r = fd_pread_all(store->file_fd, store->run, *ret_n * SWAP_PAGE_SIZE,
                         page * SWAP_PAGE_SIZE);
        if (r < 0)
                swap_store_turn_back(store, page, *ret_n, SWAP_FILED);
        return r;
}

/**
 * swap_store_arrived() - the guest has the pages that were fetched
 *
 * While it cannot write to them yet: what was forgotten on its way is taken from the guest again, so that it reads as zeros.
 */
void swap_store_arrived(SwapStore *store, uint64_t page, uint64_t n) {
        drop_staging(store, page, n);
        for (uint64_t i = 0; i < n; i++)
                if (!arrive(store, page + i, SWAP_GUEST, /* copied= */ false))
                        (void) punch(store->guest_fd, page + i, 1);
}

/** swap_store_reset() - everything is back: forget what the file has */
void swap_store_reset(SwapStore *store) {
        for (uint64_t i = 0; i < store->n_pages; i++)
                atomic_store(&store->pages[i], SWAP_GUEST);
        (void) madvise(store->staging, store->n_pages * SWAP_PAGE_SIZE, MADV_DONTNEED);
}

/**
 * swap_store_shrink_file() - give up to @bytes of the file's end back to its file system; after swap_store_reset()
 *
 * Return: whether there is more.
 */
bool swap_store_shrink_file(SwapStore *store, uint64_t bytes) {
        uint64_t size;
        struct stat st;

        if (fstat(store->file_fd, &st) < 0 || st.st_size == 0)
                return false;
        size = st.st_blocks == 0 || (uint64_t) st.st_size <= bytes ? 0
                                                                   : (uint64_t) st.st_size - bytes;
        return ftruncate(store->file_fd, (off_t) size) == 0 && size > 0;
}

/* ---- any thread ---- */

static void forget(SwapStore *store, uint64_t page) {
        uint8_t state = atomic_load(&store->pages[page]), next;

        /* Staging memory is dropped before the mover can put something new there. */
        do {
                next = (uint8_t) (state & ~PLACE);
                if (place_of(state) == SWAP_STAGED)
                        next |= SWAP_MOVING;
        } while (!atomic_compare_exchange_weak(&store->pages[page], &state, next));
        count(store, place_of(state), /* more= */ false);
        if (place_of(state) != SWAP_STAGED)
                return;
        drop_staging(store, page, 1);
        atomic_fetch_and(&store->pages[page], (uint8_t) ~PLACE);
}

/**
 * swap_store_forget() - pages are free: wherever they are, they do not come back
 * @offset, @len: whole pages
 *
 * By one thread at a time, beside the mover. What staging memory has of them goes; the file's is overwritten in time, or
 * goes with the file.
 */
void swap_store_forget(SwapStore *store, uint64_t offset, uint64_t len) {
        const uint64_t end = (offset + len) / SWAP_PAGE_SIZE;

        for (uint64_t page = offset / SWAP_PAGE_SIZE; page < end; page++)
                forget(store, page);
}

/**
 * swap_store_next_away() - the next pages from @offset on that are not with the guest
 *
 * Return: false when there are none.
 */
bool swap_store_next_away(const SwapStore *store, uint64_t offset, uint64_t *ret_from,
                          uint64_t *ret_to) {
        uint64_t page = offset / SWAP_PAGE_SIZE, end;

        while (page < store->n_pages && swap_store_place(store, page) == SWAP_GUEST)
                page++;
        for (end = page; end < store->n_pages && swap_store_place(store, end) != SWAP_GUEST;)
                end++;
        *ret_from = page * SWAP_PAGE_SIZE;
        *ret_to = end * SWAP_PAGE_SIZE;
        return end > page;
}
