/* SPDX-License-Identifier: Apache-2.0 */
#include "config/utf8.h"

#include <errno.h>
#include <string.h>

/* Length of the sequence at @p with its code point in @ret, or 0 when it is malformed. */
static size_t utf8_decode(const uint8_t *p, size_t len, uint32_t *ret) {
        static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
        uint32_t code;
        size_t n;

        if (p[0] < 0x80)
                n = 1, code = p[0];
        else if (p[0] >> 5 == 0x06)
                n = 2, code = p[0] & 0x1f;
        else if (p[0] >> 4 == 0x0e)
                n = 3, code = p[0] & 0x0f;
        else if (p[0] >> 3 == 0x1e)
                n = 4, code = p[0] & 0x07;
        else
                return 0;
        if (n > len)
                return 0;
        for (size_t i = 1; i < n; i++) {
                if (p[i] >> 6 != 0x02)
                        return 0;
                code = code << 6 | (p[i] & 0x3f);
        }
        if (code < smallest[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
                return 0;
        *ret = code;
        return n;
}

/** utf8_valid() - whether @len bytes are UTF-8 without NUL */
bool utf8_valid(const char *text, size_t len) {
        const uint8_t *p = (const uint8_t *) text;
        uint32_t code = 0;

        while (len > 0) {
                size_t n = utf8_decode(p, len, &code);

                if (n == 0 || code == 0)
                        return false;
                p += n;
                len -= n;
        }
        return true;
}

/**
 * utf8_cut() - how many of the first @max bytes of @text may be shown without half a character at their end
 *
 * What D-Bus and JSON get must be UTF-8 after it was shortened, too. Return: at most strlen(@text).
 */
size_t utf8_cut(const char *text, size_t max) {
        size_t n = strnlen(text, max);

        if (n == max)
                while (n > 0 && ((uint8_t) text[n] & 0xc0) == 0x80)
                        n--;
        return n;
}

/**
 * utf8_to_utf16() - convert @text to UTF-16 code units in host order
 * @ret:       room for @max_units; unused units are left alone
 * @ret_units: how many were written
 *
 * Return: 0; -EINVAL when @text is not UTF-8; -ENOSPC when it needs more units.
 */
int utf8_to_utf16(const char *text, uint16_t *ret, size_t max_units, size_t *ret_units) {
        const uint8_t *p = (const uint8_t *) text;
        size_t len = strlen(text), units = 0;

        while (len > 0) {
                uint32_t code = 0;
                size_t n = utf8_decode(p, len, &code), need = code > 0xffff ? 2 : 1;

                if (n == 0)
                        return -EINVAL;
                if (need > max_units - units)
                        return -ENOSPC;
                if (need == 2) {
                        ret[units++] = (uint16_t) (0xd800 + ((code - 0x10000) >> 10));
                        ret[units++] = (uint16_t) (0xdc00 + ((code - 0x10000) & 0x3ff));
                } else {
                        ret[units++] = (uint16_t) code;
                }
                p += n;
                len -= n;
        }
        *ret_units = units;
        return 0;
}
