/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Errors that say nothing of what was asked about, only that the means to look at it were used up. */

#include <errno.h>
#include <stdbool.h>

static inline bool is_shortage(int r) {
        return r == -ENOMEM || r == -EMFILE || r == -ENFILE;
}
