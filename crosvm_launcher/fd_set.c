/* SPDX-License-Identifier: Apache-2.0 */
#include "crosvm_launcher/fd_set.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/fd.h"

/** fd_set_deinit() - close them all; the set is empty again */
void fd_set_deinit(FdSet *set) {
        for (size_t i = 0; i < set->n; i++)
                (void) fd_close(set->fds[i]);
        free(set->fds);
        *set = (FdSet){0};
}

/** fd_set_add_consume() - own @fd from now on, even on failure. Return: 0 or -ENOMEM. */
int fd_set_add_consume(FdSet *set, int fd) {
        _cleanup_(fd_closep) int owned = fd;
        int *grown = reallocarray(set->fds, set->n + 1, sizeof(*grown));

        if (!grown)
                return -ENOMEM;
        set->fds = grown;
        grown[set->n++] = TAKE_FD(owned);
        return 0;
}
