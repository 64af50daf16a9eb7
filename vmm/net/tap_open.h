/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Attaching to a TAP interface by its name: what a VMM does at its start, and who asks a running one for a card. */

#include <linux/if_tun.h>
#include <stdbool.h>

#include "base/text_error.h"

/* How each interface of ours is opened. */
#define NET_TAP_FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)

int net_tap_open_queue(const char *name, bool multi, int *ret, TextError *reterr);
