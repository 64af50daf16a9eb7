/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fake/vmm_swap_faults.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vmm/swap/store.h"

/** swap_faults_fake_touch() - somebody waits for @page */
void swap_faults_fake_touch(SwapFaultsFake *fake, uint64_t page) {
        assert(fake->n_waiting < sizeof(fake->waiting) / sizeof(fake->waiting[0]));
        fake->let_go[page] = false;
        fake->waiting[fake->n_waiting++] = page;
}

static bool is_there(const SwapFaultsFake *fake, uint64_t offset) {
        return lseek(fake->fd, (off_t) offset, SEEK_DATA) == (off_t) offset;
}

static int take(int *error) {
        int r = *error;

        *error = 0;
        return r;
}

static int follow(void *faults, bool on) {
        SwapFaultsFake *fake = faults;

        if (fake->follow_error)
                return take(&fake->follow_error);
        fake->following = on;
        return 0;
}

static int protect(void *faults, uint64_t offset, uint64_t len, bool on) {
        SwapFaultsFake *fake = faults;

        assert(fake->following);
        for (uint64_t page = offset / SWAP_PAGE_SIZE; page < (offset + len) / SWAP_PAGE_SIZE;
             page++) {
                fake->write_held[page] = on;
                fake->let_go[page] |= !on;
        }
        return 0;
}

static int put(SwapFaultsFake *fake, uint64_t offset, const uint8_t *bytes) {
        if (is_there(fake, offset))
                return -EEXIST;
        return pwrite(fake->fd, bytes, SWAP_PAGE_SIZE, (off_t) offset) == (ssize_t) SWAP_PAGE_SIZE
                       ? 0
                       : -EIO;
}

static int place(void *faults, uint64_t offset, const uint8_t *bytes, uint64_t len,
                 uint64_t *ret_len) {
        SwapFaultsFake *fake = faults;
        int r = 0;

        *ret_len = 0;
        if (fake->before_place)
                fake->before_place(fake->userdata);
        if (fake->place_error)
                return take(&fake->place_error);
        while (r == 0 && *ret_len < len) {
                r = put(fake, offset + *ret_len, bytes + *ret_len);
                if (r == 0) {
                        fake->write_held[(offset + *ret_len) / SWAP_PAGE_SIZE] = true;
                        *ret_len += SWAP_PAGE_SIZE;
                }
        }
        return r;
}

static int zero(void *faults, uint64_t offset) {
        static const uint8_t zeros[SWAP_PAGE_SIZE];
        SwapFaultsFake *fake = faults;
        int r = put(fake, offset, zeros);

        if (r == 0)
                fake->let_go[offset / SWAP_PAGE_SIZE] = true;
        return r;
}

static int next(void *faults, uint64_t *ret_offset) {
        SwapFaultsFake *fake = faults;

        if (fake->n_waiting == 0)
                return 0;
        *ret_offset = fake->waiting[0] * SWAP_PAGE_SIZE;
        memmove(fake->waiting, fake->waiting + 1, --fake->n_waiting * sizeof(fake->waiting[0]));
        return 1;
}

const SwapFaultOps swap_faults_fake_ops = {
        .follow = follow,
        .protect = protect,
        .place = place,
        .zero = zero,
        .next = next,
};
