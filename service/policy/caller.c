/* SPDX-License-Identifier: Apache-2.0 */
#include "service/policy/caller.h"

#include <errno.h>
#include <string.h>

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
        for (unsigned i = 0; i < CALLER_CACHE_ENTRIES; i++)
                if (strcmp(cache->entries[i].name, name) == 0) {
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

/** caller_may_manage() - whether it may create VMs: root, and the user whose daemon this is */
bool caller_may_manage(const Caller *caller, uid_t daemon_uid) {
        return caller->uid == 0 || caller->uid == daemon_uid;
}

/** caller_may_touch() - whether it may see and change a VM: who may manage, and the VM's owner */
bool caller_may_touch(const Caller *caller, uid_t daemon_uid, uid_t owner_uid) {
        return caller_may_manage(caller, daemon_uid) || caller->uid == owner_uid;
}
