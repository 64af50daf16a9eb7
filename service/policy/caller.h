/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Who sent a message, and what that one may do. */

#include <systemd/sd-bus.h>

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CALLER_CACHE_ENTRIES 64u
#define CALLER_NAME_MAX 31u

typedef struct Caller {
        uid_t uid;
        pid_t pid; /* 0 if the bus cannot tell */
} Caller;

/* The bus never gives a unique name to a second connection, so what is known of one stays true. */
typedef struct CallerCache {
        struct {
                char name[CALLER_NAME_MAX + 1]; /* "" if unused */
                Caller caller;
        } entries[CALLER_CACHE_ENTRIES];
        unsigned next; /* entry to be replaced next */
        unsigned last; /* that was found last, and likely is asked for again */
} CallerCache;

int caller_identify(CallerCache *cache, sd_bus_message *message, Caller *ret);
bool caller_is_privileged(const Caller *caller, uid_t daemon_uid);
bool caller_is_in_group(const Caller *caller, gid_t gid);
bool caller_status_has_group(const char *status, uid_t uid, gid_t gid);
void caller_read_comm(const Caller *caller, char *buf, size_t size);
