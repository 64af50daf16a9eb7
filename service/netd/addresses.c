/* SPDX-License-Identifier: Apache-2.0 */
#include "service/netd/addresses.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* Of a network that nobody gave one: room for 253 guests. */
#define CHOSEN_PREFIX_LEN 24u

/**
 * ip_parse() - "ADDRESS/LENGTH"
 * @family: AF_INET or AF_INET6
 *
 * Return: 0 or -EINVAL.
 */
int ip_parse(const char *text, int family, IpAddress *ret) {
        const char *slash = strchr(text, '/');
        IpAddress address = {.family = family};
        char buf[INET6_ADDRSTRLEN];
        uint32_t len;

        if (!slash || (size_t) (slash - text) >= sizeof(buf) || parse_u32(slash + 1, &len) < 0 ||
            len < 1 || len > (family == AF_INET ? 32u : 128u))
                return -EINVAL;
        memcpy(buf, text, (size_t) (slash - text));
        buf[slash - text] = '\0';
        if (inet_pton(family, buf, &address.in6) != 1)
                return -EINVAL;
        address.prefix_len = len;
        *ret = address;
        return 0;
}

/** ip_format() - the text that ip_parse() takes */
void ip_format(const IpAddress *address, char ret[static IP_TEXT_SIZE]) {
        char buf[INET6_ADDRSTRLEN] = "";

        (void) inet_ntop(address->family, &address->in6, buf, sizeof(buf));
        (void) snprintf(ret, IP_TEXT_SIZE, "%s/%u", buf, address->prefix_len);
}

/** ip_network_of() - the same without the bits of the host */
void ip_network_of(const IpAddress *address, IpAddress *ret) {
        const unsigned n = address->family == AF_INET ? 4 : 16;
        uint8_t *bytes;

        *ret = *address;
        bytes = (uint8_t *) &ret->in6;
        for (unsigned i = 0; i < n; i++) {
                unsigned kept =
                        address->prefix_len > 8 * i ? MIN(address->prefix_len - 8 * i, 8u) : 0;

                bytes[i] &= (uint8_t) (0xff00u >> kept);
        }
}

/** ip_overlaps() - whether the networks of @a and @b have an address in common */
bool ip_overlaps(const IpAddress *a, const IpAddress *b) {
        const unsigned len = MIN(a->prefix_len, b->prefix_len);
        IpAddress x = *a, y = *b;

        if (a->family != b->family)
                return false;
        x.prefix_len = y.prefix_len = len;
        ip_network_of(&x, &x);
        ip_network_of(&y, &y);
        return memcmp(&x.in6, &y.in6, a->family == AF_INET ? 4 : 16) == 0;
}

static bool is_used(const IpAddress *candidate, const IpAddress *used, size_t n_used) {
        for (size_t i = 0; i < n_used; i++)
                if (ip_overlaps(candidate, &used[i]))
                        return true;
        return false;
}

/**
 * ip_choose_v4() - the first address of a network of 256 out of @pool that overlaps none of @used
 * @seed: where the search begins, so that a network gets the same one again
 *
 * Return: 0; -EADDRNOTAVAIL.
 */
int ip_choose_v4(const IpAddress *pool, uint64_t seed, const IpAddress *used, size_t n_used,
                 IpAddress *ret) {
        IpAddress base;
        uint32_t n;

        if (pool->family != AF_INET || pool->prefix_len > CHOSEN_PREFIX_LEN)
                return -EADDRNOTAVAIL;
        ip_network_of(pool, &base);
        n = 1u << (CHOSEN_PREFIX_LEN - pool->prefix_len);
        for (uint32_t i = 0; i < n; i++) {
                uint32_t which = (uint32_t) ((seed + i) % n);
                IpAddress candidate = {.family = AF_INET, .prefix_len = CHOSEN_PREFIX_LEN};

                candidate.in.s_addr = htonl(ntohl(base.in.s_addr) + (which << 8) + 1);
                if (!is_used(&candidate, used, n_used)) {
                        *ret = candidate;
                        return 0;
                }
        }
        return -EADDRNOTAVAIL;
}

/** ip_make_v6() - the first address of a unique local network, RFC 4193; the lowest 40 and 16 bits count */
void ip_make_v6(uint64_t global_id, uint64_t subnet, IpAddress *ret) {
        uint8_t *bytes;

        *ret = (IpAddress){.family = AF_INET6, .prefix_len = 64};
        bytes = ret->in6.s6_addr;
        bytes[0] = 0xfd;
        for (unsigned i = 0; i < 5; i++)
                bytes[1 + i] = (uint8_t) (global_id >> (8 * i));
        bytes[6] = (uint8_t) (subnet >> 8);
        bytes[7] = (uint8_t) subnet;
        bytes[15] = 1;
}
