/* SPDX-License-Identifier: Apache-2.0 */
#include "dbus/client/utf8.h"

#include <stdint.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* The shape of a sequence by its first byte: how many follow, and the smallest code point that needs them. */
static size_t followers(unsigned char first, uint32_t *ret_bits, uint32_t *ret_min) {
        if (first >= 0xc2 && first <= 0xdf) {
                *ret_bits = first & 0x1fu;
                *ret_min = 0x80;
                return 1;
        }
        if (first >= 0xe0 && first <= 0xef) {
                *ret_bits = first & 0x0fu;
                *ret_min = 0x800;
                return 2;
        }
        if (first >= 0xf0 && first <= 0xf4) {
                *ret_bits = first & 0x07u;
                *ret_min = 0x10000;
                return 3;
        }
        return 0;
}

/**
 * utf8_sequence_len() - length of the valid sequence at @bytes
 *
 * Return: 1 to 4; 0 when there is none: overlong, surrogate, above U+10FFFF, cut short, or NUL.
 */
size_t utf8_sequence_len(const unsigned char *bytes, size_t len) {
        uint32_t code, min;
        size_t n;

        if (len == 0 || bytes[0] == '\0')
                return 0;
        if (bytes[0] < 0x80)
                return 1;
        n = followers(bytes[0], &code, &min);
        if (n == 0 || n >= len)
                return 0;
        for (size_t i = 1; i <= n; i++) {
                if ((bytes[i] & 0xc0) != 0x80)
                        return 0;
                code = code << 6 | (bytes[i] & 0x3fu);
        }
        if (code < min || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
                return 0;
        return n + 1;
}

/** utf8_append_valid() - append @bytes with U+FFFD for each byte that is part of no valid sequence */
void utf8_append_valid(StrBuf *buf, const void *bytes, size_t len) {
        const unsigned char *p = bytes;

        while (len > 0) {
                size_t n = utf8_sequence_len(p, len);

                if (n == 0)
                        strbuf_append(buf, REPLACEMENT);
                else
                        strbuf_append_bytes(buf, p, n);
                n = MAX(n, (size_t) 1);
                p += n;
                len -= n;
        }
}

/**
 * utf8_append_printable() - append valid @text with '?' for control characters
 *
 * A name or a failure text must not be able to move the cursor of whoever looks at it.
 */
void utf8_append_printable(StrBuf *buf, const char *text) {
        for (const unsigned char *p = (const unsigned char *) text; *p; p++)
                if (*p < 0x20 || *p == 0x7f || (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)) {
                        strbuf_append(buf, "?");
                        p += *p == 0xc2; /* C1 controls take two bytes */
                } else {
                        strbuf_append_bytes(buf, p, 1);
                }
}

/** utf8_columns() - how wide valid @text is, one column a code point: names are not expected in wide scripts */
size_t utf8_columns(const char *text) {
        size_t n = 0;

        for (; *text; text++)
                n += ((unsigned char) *text & 0xc0) != 0x80;
        return n;
}

/** utf8_append_cut() - append valid @text, of each line no more than @columns code points */
void utf8_append_cut(StrBuf *buf, const char *text, size_t columns) {
        size_t column = 0;

        for (; *text; text++) {
                if (*text == '\n')
                        column = 0;
                else
                        column += ((unsigned char) *text & 0xc0) != 0x80;
                if (column <= columns)
                        strbuf_append_bytes(buf, text, 1);
        }
}
