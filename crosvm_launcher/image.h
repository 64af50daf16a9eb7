/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a client's file is allowed to be as a disk or partition. */

#include <stdint.h>

#include "base/text_error.h"

int image_check_raw(int fd, uint64_t *ret_size, TextError *reterr);
