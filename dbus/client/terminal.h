/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The user's terminal as the guest's: raw mode, and the way out of it. */

#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

#include "base/clock.h"

/* Ctrl-] three times within a second, as machinectl and systemd-nspawn have it. */
#define ESCAPE_KEY 0x1d
#define ESCAPE_PRESSES 3u
#define ESCAPE_WINDOW_USEC USEC_PER_SEC

typedef struct Terminal {
        int fd; /* borrowed; -EBADF while not in raw mode */
        struct termios saved;
} Terminal;

int terminal_enter_raw(Terminal *terminal, int fd);
void terminal_leave_raw(Terminal *terminal);

typedef struct EscapeKey {
        unsigned presses;
        usec_t first_usec;
} EscapeKey;

bool escape_key_feed(EscapeKey *key, const char *bytes, size_t len, usec_t now_usec);
