/* SPDX-License-Identifier: Apache-2.0 */
#include "service/net/stable_id.h"

#include <systemd/sd-id128.h>

#include "base/le.h"

/* Of this use of the machine's id, which itself stays private. */
#define APPLICATION SD_ID128_MAKE(6d, 0b, 5c, 0a, 7e, 2e, 4f, 0b, 9a, 61, 0d, 0a, 34, a6, 8f, 5b)

/* FNV-1a, whose high bits are good, and a last mixing that makes the low ones as good. */
static uint64_t mix(uint64_t hash, const void *data, size_t len) {
        for (const uint8_t *p = data; len > 0; len--)
                hash = (hash ^ *p++) * 0x100000001b3u;
        return hash;
}

static uint64_t finish(uint64_t hash) {
        hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9u;
        hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebu;
        return hash ^ (hash >> 31);
}

/**
 * stable_id() - 64 evenly spread bits for the thing called @name
 * @kind:  what sort of thing it is, so that namesakes of two sorts differ
 * @index: which of the several that @name has
 *
 * Without an id of the machine they last until it boots anew.
 */
uint64_t stable_id(const char *kind, const char *name, unsigned index) {
        sd_id128_t machine = SD_ID128_NULL;
        uint64_t hash = 0xcbf29ce484222325u;
        uint8_t number[4];

        if (sd_id128_get_machine_app_specific(APPLICATION, &machine) < 0)
                (void) sd_id128_get_boot_app_specific(APPLICATION, &machine);
        le32_store(number, index);
        hash = mix(hash, machine.bytes, sizeof(machine.bytes));
        hash = mix(hash, kind, __builtin_strlen(kind) + 1);
        hash = mix(hash, name, __builtin_strlen(name) + 1);
        return finish(mix(hash, number, sizeof(number)));
}

/** stable_mac() - an address of one card, of stable_id()'s bits: locally administered and of one interface */
void stable_mac(const char *kind, const char *name, unsigned index, uint8_t ret[static MAC_LEN]) {
        uint64_t id = stable_id(kind, name, index);

        for (unsigned i = 0; i < MAC_LEN; i++)
                ret[i] = (uint8_t) (id >> (8 * i));
        ret[0] = (uint8_t) ((ret[0] & 0xfc) | 0x02);
}
