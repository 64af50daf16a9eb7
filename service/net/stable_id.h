/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Numbers that are the same on this machine whenever they are asked for, and others on another one. */

#include <stdint.h>

#include "config/mac.h"

uint64_t stable_id(const char *kind, const char *name, unsigned index);
void stable_mac(const char *kind, const char *name, unsigned index, uint8_t ret[static MAC_LEN]);
