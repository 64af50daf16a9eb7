/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The checksum of IEEE 802.3, as GPT uses it; finds damage, proves nothing against an attacker. */

#include <stddef.h>
#include <stdint.h>

uint32_t crc32_ieee(const void *data, size_t len);
