/* SPDX-License-Identifier: Apache-2.0 */
#include "service/guest_journal.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"

/* VM_LINE_BREAK says what ended a line that no newline did, in the words of systemd's own LINE_BREAK. */
static const char *line_break(LineKind kind) {
        switch (kind) {
        case LINE_CUT:
                return "VM_LINE_BREAK=line-max\n";
        case LINE_UNFINISHED:
                return "VM_LINE_BREAK=eof\n";
        case LINE_WHOLE:
        case LINE_SUPPRESSED:
                return "";
        }
        return "";
}

/**
 * guest_journal_open() - a socket to send from; nothing is connected, so the journal may come and go
 * @path: absolute, of the journal's socket
 * @ret:  release with guest_journal_deinit()
 *
 * Return: 0; -ENAMETOOLONG; other negative errno.
 */
int guest_journal_open(const char *path, GuestJournal *ret) {
        GuestJournal journal = {.fd = -EBADF, .address = {.sun_family = AF_UNIX}};
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

void guest_journal_deinit(GuestJournal *journal) {
        journal->fd = fd_close(journal->fd);
}

/**
 * guest_journal_send() - one line with the fields of its VM; never waits
 * @line: without control characters, as the VM's name is: so every field is one line of the protocol
 *
 * The identifier is not the daemon's, so that no guest can make its words look like the daemon's own.
 * Return: whether the journal took it.
 */
bool guest_journal_send(const GuestJournal *journal, const VmInfo *info, VmStreamKind stream,
                        LineKind kind, const char *line) {
        const char *name = stream == VM_STREAM_CONSOLE ? "console" : "log";
        _cleanup_(strbuf_deinit) StrBuf text = {0};

        if (journal->fd < 0)
                return false;
        strbuf_printf(&text,
                      "MESSAGE=%s: %s\nPRIORITY=%d\nSYSLOG_IDENTIFIER=vivarium-%s\nVM=%s\n"
                      "VM_ID=%s\nVM_CID=%u\nVM_OWNER_UID=%u\nVM_STREAM=%s\n%s",
                      info->name, line, kind == LINE_SUPPRESSED ? LOG_LEVEL_NOTICE : LOG_LEVEL_INFO,
                      name, info->name, info->id, info->cid, info->owner_uid, name,
                      line_break(kind));
        if (text.failed)
                return false;
        return sendto(journal->fd, text.data, text.len, MSG_DONTWAIT | MSG_NOSIGNAL,
                      (const struct sockaddr *) &journal->address, journal->address_len) >= 0;
}
