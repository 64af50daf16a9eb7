/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* IP addresses as text and as numbers, and the choice of those of a network. */

#include <stdbool.h>
#include <stddef.h>

#include "service/netd/kernel.h"

#define IP_TEXT_SIZE 50u

int ip_parse(const char *text, int family, IpAddress *ret);
void ip_format(const IpAddress *address, char ret[static IP_TEXT_SIZE]);
void ip_network_of(const IpAddress *address, IpAddress *ret);
bool ip_overlaps(const IpAddress *a, const IpAddress *b);
int ip_choose_v4(const IpAddress *pool, uint64_t seed, const IpAddress *used, size_t n_used,
                 IpAddress *ret);
void ip_make_v6(uint64_t global_id, uint64_t subnet, IpAddress *ret);
