/* SPDX-License-Identifier: Apache-2.0 */
#include "config/mac.h"

#include <stdio.h>

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        c |= 0x20;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/** mac_parse() - exactly "02:00:00:00:00:01", in either case. Return: whether it is one. */
bool mac_parse(const char *text, uint8_t ret[static MAC_LEN]) {
        for (unsigned i = 0; i < MAC_LEN; i++, text += 3) {
                int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);

                if (low < 0 || text[2] != (i < MAC_LEN - 1 ? ':' : '\0'))
                        return false;
                ret[i] = (uint8_t) (high << 4 | low);
        }
        return true;
}

/** mac_format() - the text of @mac in lower case */
void mac_format(const uint8_t mac[static MAC_LEN], char ret[static MAC_TEXT_SIZE]) {
        (void) snprintf(ret, MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
                        mac[3], mac[4], mac[5]);
}

/** mac_is_of_a_card() - whether one card may have it: no group's address, and not the unset one */
bool mac_is_of_a_card(const uint8_t mac[static MAC_LEN]) {
        uint8_t any = 0;

        for (unsigned i = 0; i < MAC_LEN; i++)
                any |= mac[i];
        return any != 0 && !(mac[0] & 1);
}
