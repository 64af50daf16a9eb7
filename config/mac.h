/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Ethernet addresses as text: six bytes in hexadecimal with colons between. */

#include <stdbool.h>
#include <stdint.h>

#define MAC_LEN 6u
#define MAC_TEXT_SIZE 18u

bool mac_parse(const char *text, uint8_t ret[static MAC_LEN]);
void mac_format(const uint8_t mac[static MAC_LEN], char ret[static MAC_TEXT_SIZE]);
bool mac_is_of_a_card(const uint8_t mac[static MAC_LEN]);
