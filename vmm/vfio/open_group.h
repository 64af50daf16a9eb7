/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a client of the control socket opens for a machine in its sandbox. */

#include "base/text_error.h"

int vfio_open_group(const char *path, char **ret_path, int *ret_fd, TextError *reterr);
