/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Lines of guests to the systemd journal, over its native protocol. Unlike sd_journal_send() this never waits: a guest
 * must not be able to hold up the daemon by writing faster than the journal does. What the journal has no room for is
 * not taken.
 */

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "service/vm.h"

#define GUEST_JOURNAL_SOCKET "/run/systemd/journal/socket"

typedef struct GuestJournal {
        int fd; /* owned; -EBADF: no line is taken */
        struct sockaddr_un address;
        socklen_t address_len;
} GuestJournal;

int guest_journal_open(const char *path, GuestJournal *ret);
void guest_journal_deinit(GuestJournal *journal);
bool guest_journal_send(const GuestJournal *journal, const VmInfo *info, VmStreamKind stream,
                        LineKind kind, const char *line);
