/* SPDX-License-Identifier: Apache-2.0 */

/* Where RAM has contents: in the memfd, or away. */

#include <errno.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vmm/mem/guest_mem.h"

/** guest_mem_set_mover() - from now on @mover may move pages away; before a second thread exists */
void guest_mem_set_mover(GuestMem *mem, const GuestMemMover *mover) {
        mem->mover = *mover;
}

/**
 * guest_mem_forget() - tell who moves pages that those of a range are free; any thread
 * @host: in the mapping of RAM
 *
 * Both before the hole is made, so that nothing that is away comes back into it, and after, for what was moved away in
 * between.
 */
void guest_mem_forget(const GuestMem *mem, const uint8_t *host, uint64_t len) {
        if (mem->mover.forget)
                mem->mover.forget(mem->mover.userdata, (uint64_t) (host - mem->base), len);
}

/**
 * guest_mem_next_data() - the next range of RAM that the guest may have something in; all else reads as zeros
 * @offset: in the memfd, as @ret_from and @ret_to, which is past the range
 *
 * On any thread, while nothing is moved away; what is touched may come back meanwhile.
 *
 * Return: 1; 0 when there is none; negative errno.
 */
int guest_mem_next_data(const GuestMem *mem, uint64_t offset, uint64_t *ret_from,
                        uint64_t *ret_to) {
        uint64_t away_from, away_to = 0;
        off_t data, hole;

        /* In this order: what is back between the two questions is found by the second. */
        if (!mem->mover.next_away ||
            !mem->mover.next_away(mem->mover.userdata, offset, &away_from, &away_to))
                away_from = UINT64_MAX;
        data = lseek(mem->fd, (off_t) offset, SEEK_DATA);
        if (data < 0 && errno != ENXIO)
                return -errno;
        if (away_from < (data < 0 ? mem->size_bytes : MIN((uint64_t) data, mem->size_bytes))) {
                *ret_from = away_from;
                *ret_to = away_to;
                return 1;
        }
        if (data < 0 || (uint64_t) data >= mem->size_bytes)
                return 0;
        hole = lseek(mem->fd, data, SEEK_HOLE);
        if (hole < 0)
                return -errno;
        *ret_from = (uint64_t) data;
        *ret_to = MIN((uint64_t) hole, mem->size_bytes);
        return 1;
}
