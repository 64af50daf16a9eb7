/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How touched pages of RAM are heard of and given: the kernel's userfaultfd, or what tests have in its place. */

#include <stdbool.h>
#include <stdint.h>

#include "base/text_error.h"

/* Called by the mover alone; offsets are the memfd's, ranges whole pages. None blocks. */
typedef struct SwapFaultOps {
        /* Whoever touches a hole of the memfd waits from now on, or no longer: then all who wait go on. 0, -errno. */
        int (*follow)(void *faults, bool on);
        /* Whoever writes to what is there waits as well, or no longer: then those go on who wait. 0, -errno. */
        int (*protect)(void *faults, uint64_t offset, uint64_t len, bool on);
        /* Fills holes, protected against writing, and lets nobody go on yet. @ret_len: how far it came, on failure too.
         * 0; -EEXIST: the page behind @ret_len is there; -EAGAIN: try again; other -errno. */
        int (*place)(void *faults, uint64_t offset, const uint8_t *bytes, uint64_t len,
                     uint64_t *ret_len);
        /* Makes one page of zeros, and lets go on who waits for it. The same errors. */
        int (*zero)(void *faults, uint64_t offset);
        /* The page that somebody waits for. Return: 1; 0: nobody waits; -errno. */
        int (*next)(void *faults, uint64_t *ret_offset);
} SwapFaultOps;

typedef struct Uffd Uffd;

extern const SwapFaultOps uffd_ops;

int uffd_new(uint8_t *base, uint64_t size_bytes, Uffd **ret, TextError *reterr);
Uffd *uffd_free(Uffd *uffd);
int uffd_fd(const Uffd *uffd);
