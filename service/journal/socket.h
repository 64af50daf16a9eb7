/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The systemd journal over its native protocol. Unlike sd_journal_send() this never waits: neither a guest that writes
 * faster than the journal does nor a journal that stands still may hold up the daemon. What it has no room for is lost,
 * and counted.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/str.h"

#define JOURNAL_SOCKET_PATH "/run/systemd/journal/socket"

typedef struct JournalSocket {
        int fd; /* owned; -EBADF: nothing is taken */
        struct sockaddr_un address;
        socklen_t address_len;
        uint64_t n_lost; /* entries, since somebody set it to 0 */
} JournalSocket;

int journal_socket_open(const char *path, JournalSocket *ret);
void journal_socket_deinit(JournalSocket *journal);
void journal_field(StrBuf *entry, const char *name, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
bool journal_socket_send(JournalSocket *journal, const StrBuf *entry);
