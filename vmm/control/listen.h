/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The listening end of the control socket. */

#include <errno.h>

#include "base/text_error.h"

typedef struct ControlListener {
        int fd; /* owned */
        int dir_fd; /* owned; where the socket is, which a path does not tell in the sandbox; or -EBADF */
        char *name; /* owned; in @dir_fd; removed with the listener; NULL for a descriptor that was handed in */
} ControlListener;

#define CONTROL_LISTENER_NONE ((ControlListener){.fd = -EBADF, .dir_fd = -EBADF})

int control_listener_open(const char *path, ControlListener *ret, TextError *reterr);
void control_listener_close(ControlListener *listener);
