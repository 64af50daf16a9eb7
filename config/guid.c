/* SPDX-License-Identifier: Apache-2.0 */
#include "config/guid.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static const char digits[] = "0123456789abcdef";

static bool is_dash_before(unsigned byte) {
        return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

static int hex_digit(char c) {
        const char *p;

        if (c >= 'A' && c <= 'F')
                c = (char) (c - 'A' + 'a');
        p = c ? strchr(digits, c) : NULL;
        return p ? (int) (p - digits) : -EINVAL;
}

/** guid_parse() - "0fc63daf-8483-4772-8e79-3d69d8477de4", either case. Return: 0 or -EINVAL, @ret then unchanged. */
int guid_parse(const char *text, uint8_t ret[static 16]) {
        uint8_t guid[16];

        for (unsigned i = 0; i < 16; i++) {
                int high, low;

                if (is_dash_before(i) && *text++ != '-')
                        return -EINVAL;
                high = hex_digit(text[0]);
                if (high < 0)
                        return -EINVAL;
                low = hex_digit(text[1]);
                if (low < 0)
                        return -EINVAL;
                guid[i] = (uint8_t) (high << 4 | low);
                text += 2;
        }
        if (*text)
                return -EINVAL;
        memcpy(ret, guid, sizeof(guid));
        return 0;
}

/** guid_format() - the text form in lower case */
void guid_format(const uint8_t guid[static 16], char ret[static GUID_TEXT_SIZE]) {
        for (unsigned i = 0; i < 16; i++) {
                if (is_dash_before(i))
                        *ret++ = '-';
                *ret++ = digits[guid[i] >> 4];
                *ret++ = digits[guid[i] & 0xf];
        }
        *ret = '\0';
}
