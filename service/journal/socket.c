/* SPDX-License-Identifier: Apache-2.0 */
#include "service/journal/socket.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/le.h"

/**
 * journal_socket_open() - a socket to send from; nothing is connected, so the journal may come and go
 * @path: absolute, of the journal's socket
 * @ret:  release with journal_socket_deinit()
 *
 * Return: 0; -ENAMETOOLONG; other negative errno.
 */
int journal_socket_open(const char *path, JournalSocket *ret) {
        JournalSocket journal = {.fd = -EBADF, .address = {.sun_family = AF_UNIX}};
        size_t len = strlen(path);

        if (len >= sizeof(journal.address.sun_path))
                return -ENAMETOOLONG;
        memcpy(journal.address.sun_path, path, len + 1);
        journal.address_len = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + len + 1);
        journal.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (journal.fd < 0)
                return -errno;
        *ret = journal;
        return 0;
}

/** journal_socket_deinit() - close the socket */
void journal_socket_deinit(JournalSocket *journal) {
        journal->fd = fd_close(journal->fd);
}

/**
 * journal_field() - append a field to an entry
 * @name: capital letters, digits and underscores
 *
 * A value of several lines is sent with its length, so that none of its lines can pass for a field. @entry remembers it
 * when memory runs out.
 */
void journal_field(StrBuf *entry, const char *name, const char *format, ...) {
        _cleanup_(freep) char *value = NULL;
        uint8_t size[8];
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&value, format, ap);
        va_end(ap);
        if (n < 0) {
                value = NULL;
                entry->failed = true;
                return;
        }
        strbuf_append(entry, name);
        if (strchr(value, '\n')) {
                le64_store(size, (uint64_t) n);
                strbuf_append(entry, "\n");
                strbuf_append_bytes(entry, size, sizeof(size));
        } else
                strbuf_append(entry, "=");
        strbuf_append_bytes(entry, value, (size_t) n);
        strbuf_append(entry, "\n");
}

/** journal_socket_send() - give an entry to the journal, without waiting. Return: whether it was taken. */
bool journal_socket_send(JournalSocket *journal, const StrBuf *entry) {
        bool taken = journal->fd >= 0 && !entry->failed &&
                     sendto(journal->fd, entry->data, entry->len, MSG_DONTWAIT | MSG_NOSIGNAL,
                            (const struct sockaddr *) &journal->address, journal->address_len) >= 0;

        journal->n_lost += !taken;
        return taken;
}
