/* SPDX-License-Identifier: Apache-2.0 */
#include "service/policy/caller.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

/* All of it, but for a process in a thousand groups, of which the last are then not seen. */
#define STATUS_BYTES_MAX 8192u

static int ask_bus(sd_bus_message *message, Caller *ret) {
        sd_bus_creds *creds = NULL;
        Caller caller = {0};
        int r;

        r = sd_bus_query_sender_creds(message, SD_BUS_CREDS_EUID | SD_BUS_CREDS_PID, &creds);
        if (r < 0)
                return r;
        r = sd_bus_creds_get_euid(creds, &caller.uid);
        if (r >= 0 && sd_bus_creds_get_pid(creds, &caller.pid) < 0)
                caller.pid = 0;
        (void) sd_bus_creds_unref(creds);
        if (r < 0)
                return r;
        *ret = caller;
        return 0;
}

/**
 * caller_identify() - uid and pid of the sender, as the bus vouches for them
 *
 * Asks the bus the first time, which answers at once, and the cache from then on.
 *
 * Return: 0; negative errno, for one when the sender has left.
 */
int caller_identify(CallerCache *cache, sd_bus_message *message, Caller *ret) {
        const char *name = sd_bus_message_get_sender(message);
        Caller caller;
        int r;

        if (!name)
                return -ENODATA;
        for (unsigned n = 0, i = cache->last; n < CALLER_CACHE_ENTRIES;
             n++, i = (i + 1) % CALLER_CACHE_ENTRIES)
                if (strcmp(cache->entries[i].name, name) == 0) {
                        cache->last = i;
                        *ret = cache->entries[i].caller;
                        return 0;
                }
        r = ask_bus(message, &caller);
        if (r < 0)
                return r;
        if (strlen(name) <= CALLER_NAME_MAX) {
                memcpy(cache->entries[cache->next].name, name, strlen(name) + 1);
                cache->entries[cache->next].caller = caller;
                cache->next = (cache->next + 1) % CALLER_CACHE_ENTRIES;
        }
        *ret = caller;
        return 0;
}

/** caller_is_privileged() - whether it may do all: root, and the user whose daemon this is */
bool caller_is_privileged(const Caller *caller, uid_t daemon_uid) {
        return caller->uid == 0 || caller->uid == daemon_uid;
}

/* The numbers after @name in a /proc/PID/status, or NULL. */
static const char *status_line(const char *status, const char *name) {
        size_t len = strlen(name);

        for (const char *line = status; line; line = strchr(line, '\n')) {
                line += line != status;
                if (strncmp(line, name, len) == 0)
                        return line + len;
        }
        return NULL;
}

/* Whether @wanted is among the decimal numbers of one line, from its @first to its @last. */
static bool line_has(const char *line, unsigned first, unsigned last, uint64_t wanted) {
        const char *p = line;

        for (unsigned i = 0; p && i <= last; i++) {
                uint64_t number = 0;

                p += strspn(p, "\t ");
                if (*p < '0' || *p > '9')
                        return false;
                for (; *p >= '0' && *p <= '9'; p++)
                        number = number * 10 + (uint64_t) (*p - '0');
                if (i >= first && number == wanted)
                        return true;
        }
        return false;
}

/**
 * caller_status_has_group() - whether a process is in a group, by the text of its /proc/PID/status
 * @uid: that it must have, or its number belongs to somebody else by now
 */
bool caller_status_has_group(const char *status, uid_t uid, gid_t gid) {
        const char *uids = status_line(status, "Uid:"), *gids = status_line(status, "Gid:"),
                   *groups = status_line(status, "Groups:");

        /* Real, effective, saved, file system. */
        if (!uids || !line_has(uids, 1, 1, uid))
                return false;
        return (gids && line_has(gids, 1, 1, gid)) ||
               (groups && line_has(groups, 0, UINT32_MAX, gid));
}

static int read_proc(pid_t pid, const char *name, char *buf, size_t size) {
        _cleanup_(fd_closep) int fd = -EBADF;
        char path[48];
        ssize_t n;

        (void) snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        n = read(fd, buf, size - 1);
        if (n < 0)
                return -errno;
        buf[n] = '\0';
        return 0;
}

/**
 * caller_is_in_group() - whether its process is in @gid, as the kernel says now
 *
 * The user database is not asked, because it may be a server that takes its time.
 */
bool caller_is_in_group(const Caller *caller, gid_t gid) {
        char status[STATUS_BYTES_MAX];

        return caller->pid > 0 && read_proc(caller->pid, "status", status, sizeof(status)) == 0 &&
               caller_status_has_group(status, caller->uid, gid);
}

/** caller_read_comm() - name of its process, for the log: chosen by it, and made printable here; "?" if it is gone */
void caller_read_comm(const Caller *caller, char *buf, size_t size) {
        if (caller->pid <= 0 || read_proc(caller->pid, "comm", buf, size) < 0)
                (void) snprintf(buf, size, "?");
        for (char *p = buf; *p; p++) {
                if (*p == '\n' && p[1] == '\0')
                        *p = '\0';
                else if (*p < ' ' || *p > '~')
                        *p = '_';
        }
}
