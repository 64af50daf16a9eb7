/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The networks that there are: netd.conf, see vivarium-netd(8). */

#include <stdbool.h>
#include <stddef.h>

#include "base/text_error.h"
#include "service/netd/kernel.h"

#define NETWORKS_MAX 64u

/* How a network comes by its address of one family. */
typedef enum IpChoice {
        IP_AUTO, /* chosen where it is made */
        IP_NONE,
        IP_GIVEN,
} IpChoice;

typedef struct Network {
        char name[VM_NETWORK_NAME_MAX + 1];
        bool isolated; /* no way out of the host */
        bool dhcp;     /* systemd-networkd hands out addresses */
        IpChoice v4_choice, v6_choice;
        IpAddress v4, v6; /* the host's, of IP_GIVEN */
} Network;

typedef struct Settings {
        Network networks[NETWORKS_MAX];
        size_t n_networks;
        IpAddress pool; /* of IPv4, for IP_AUTO */
} Settings;

void settings_init(Settings *settings);
int settings_parse(const char *text, size_t len, Settings *ret, TextError *reterr);
int settings_load(const char *path, Settings *ret, TextError *reterr);
const Network *settings_find(const Settings *settings, const char *name);
