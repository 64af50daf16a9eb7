/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Files for systemd-networkd, which hands out addresses and translates them. */

#include "base/str.h"
#include "service/netd/settings.h"

void networkd_format(const Network *network, const IpAddress *v4, const IpAddress *v6, StrBuf *out);
int networkd_write(const char *dir, const Network *network, const IpAddress *v4,
                   const IpAddress *v6);
int networkd_remove(const char *dir, const char *network);
